//! Applies one object as the tool's own field manager, never by force: at a target over the
//! approved state, or into the run namespace.

use super::pinned_write::{Change, Write};
use super::{PAUSE, TRIES, Undo, compare, has, is_as_approved, refused, unknown};
use crate::api::{ApiError, Cluster, Manager, Mode};
use crate::error_text;
use crate::namespace::{Namespace, RIGHTS_WAIT};
use crate::object;
use crate::poll::Poll;
use crate::preview::filled;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::host_values::Host;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::preview::{Expect, PreviewedOperation};
use serde_json::Value;
use std::collections::BTreeMap;

impl Namespace {
    /// Applies an object at its target.
    pub(super) async fn apply(
        &mut self,
        written: &Value,
        approved: &PreviewedOperation,
        host: &Host,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let target = &approved.target;
        let job = self.job().await?;
        let at = self.at(target)?;
        let expected = host.fields(&approved.after);
        let sent = filled(written, &target.namespace, host);
        let change =
            Change { job: &job, at: &at, target, write: Write::Apply(&self.manager, &sent) };
        let is_before = |live: Option<&Value>| match (&approved.expect, live) {
            (Expect::Absent, live) => live.is_none(),
            (expect, live) => live.is_some_and(|live| is_as_approved(live, expect)),
        };
        let is_it = |live: &Value| match &approved.expect {
            Expect::Absent => true,
            Expect::Present { uid, .. } => object::uid(live) == Some(uid.as_str()),
        };
        let object = change
            .make(is_before, |live| live.is_some_and(|live| is_it(live) && has(live, &expected)))
            .await?
            .unwrap_or_default();
        let uid = object::uid(&object).unwrap_or_default().to_owned();
        let undo = match &approved.expect {
            Expect::Absent => Undo::Created { uid },
            Expect::Present { .. } => {
                let before = approved.before.iter().map(|(path, value)| {
                    let path = FieldPath::parse(path).map_err(object::misfit)?;
                    Ok((path, (!value.is_null()).then(|| value.clone())))
                });
                let before = before.collect::<Result<_, cofferdam_backend::refusal::Refusal>>()?;
                Undo::Values {
                    uid,
                    before,
                    after: object::fields_as(&object, &expected).unwrap_or_default(),
                }
            }
        };
        self.undo.insert(approved.index, undo);
        if approved.expect == Expect::Absent && !is_alone(&object, &self.manager) {
            return Err(EffectError::Differs(format!(
                "{target} was created outside Cofferdam at the same moment, and has fields of both"
            )));
        }
        compare(target, &object, &expected)
    }

    /// Creates an object in the run namespace, after a dry run: a refusal by admission is reported
    /// at once, in the server's words, and a new right may need a moment to take effect.
    pub(super) async fn bring_up(
        &mut self,
        written: &Value,
        approved: &PreviewedOperation,
        host: &Host,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let sent = filled(written, &self.name, host);
        let target = Target { namespace: self.name.clone(), ..approved.target.clone() };
        let object = self.put(&sent, &target).await?;
        let uid = object::uid(&object).unwrap_or_default().to_owned();
        self.undo.insert(approved.index, Undo::Created { uid });
        // As in the plan, with long values by their digest: only this job writes there, and the
        // objects end with the run.
        Ok(host.fields(&approved.after))
    }

    /// Applies a new object in the run namespace.
    pub(super) async fn put(&self, sent: &Value, target: &Target) -> Result<Value, EffectError> {
        let job = self.job().await?;
        let at = self.at(target)?;
        self.tried(&job, &at, sent, target).await?;
        self.written(&job, &at, sent, target).await
    }

    /// Applies an absent object. Repeats the request while no clear response comes, since a second
    /// apply changes nothing.
    pub(super) async fn written(
        &self,
        job: &Cluster,
        at: &str,
        sent: &Value,
        target: &Target,
    ) -> Result<Value, EffectError> {
        let manager = Manager { name: &self.manager, force: false };
        let mut unclear: Option<ApiError> = None;
        let mut poll = Poll::within(RIGHTS_WAIT);
        let mut tries = 0;
        while tries < TRIES {
            match job.apply(at, sent, manager, Mode::Real).await {
                Ok(object) => return Ok(object),
                Err(error) if error.is_unclear() => unclear = Some(error),
                // Another API server may see a right or a guard later than the first one. Nothing
                // was done.
                Err(error) if is_unseen(&error) && poll.again().await => continue,
                Err(error) => {
                    return Err(match unclear {
                        Some(unclear) => unknown(target, "the next attempt was refused", &unclear),
                        None => refused(target, &error),
                    });
                }
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Err(unclear.map_or_else(
            || EffectError::Conflict(target.clone()),
            |error| unknown(target, "no attempt got a clear answer", &error),
        ))
    }

    async fn tried(
        &self,
        job: &Cluster,
        at: &str,
        sent: &Value,
        target: &Target,
    ) -> Result<(), EffectError> {
        let manager = Manager { name: &self.manager, force: false };
        let mut poll = Poll::within(RIGHTS_WAIT);
        loop {
            match job.apply(at, sent, manager, Mode::DryRun).await {
                Ok(_) => return Ok(()),
                Err(error) if (error.is_unclear() || is_unseen(&error)) && poll.again().await => {}
                Err(error) => return Err(refused(target, &error)),
            }
        }
    }
}

/// Returns whether the server's authorizer has not seen a right yet, or its admission a guard.
/// Admission refuses with the same status and other words.
fn is_unseen(error: &ApiError) -> bool {
    error.is_unauthorized() || error.is_about_rights() || error_text::is_unguarded(error)
}

/// Returns whether this manager wrote all fields of an object. If not, another client created it at
/// the same moment.
fn is_alone(object: &Value, manager: &str) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.is_none_or(|entries| {
        let word = |entry: &Value, key: &str| {
            entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        entries.iter().all(|entry| {
            word(entry, "manager") == manager || !word(entry, "subresource").is_empty()
        })
    })
}
