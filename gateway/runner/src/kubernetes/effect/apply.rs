//! One object applied as the tool's own field manager, never by force: at a target over the state that was approved, or into the run's own namespace.

use super::{PAUSE, TRIES, Undo, compare, has, is_as_approved, look, refused, unknown};
use crate::effect::EffectFault;
use crate::host::Host;
use crate::kubernetes::api::{ApiFault, Cluster, Manager, Mode};
use crate::kubernetes::namespace::{Namespace, RIGHTS_WAIT};
use crate::kubernetes::object;
use crate::kubernetes::preview::filled;
use cofferdam_core::operation::Target;
use cofferdam_core::path::FieldPath;
use cofferdam_core::preview::{Expect, PreviewedOperation};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::time::Instant;

impl Namespace {
    /// Applies an object at its target.
    pub(super) async fn apply(
        &mut self,
        written: &Value,
        approved: &PreviewedOperation,
        host: &Host,
    ) -> Result<BTreeMap<String, Value>, EffectFault> {
        let target = &approved.target;
        let job = self.job().await?;
        let at = self.at(target)?;
        let expected = host.fields(&approved.after);
        let sent = filled(written, &target.namespace, host);
        let object = self.send(&job, &at, &sent, approved, &expected).await?;
        let uid = object::uid(&object).unwrap_or_default().to_owned();
        let undo = match &approved.expect {
            Expect::Absent => Undo::Created { uid },
            Expect::Present { .. } => {
                let before = approved.before.iter().map(|(path, value)| {
                    let path = FieldPath::parse(path).map_err(object::misfit)?;
                    Ok((path, (!value.is_null()).then(|| value.clone())))
                });
                let before = before.collect::<Result<_, crate::refusal::Refusal>>()?;
                Undo::Values { uid, before, after: object::fields_as(&object, &expected).unwrap_or_default() }
            }
        };
        self.undo.insert(approved.index, undo);
        if approved.expect == Expect::Absent && !is_alone(&object, &self.manager) {
            return Err(EffectFault::Differs(format!("{target} was created by somebody else at the same moment, and has fields of both")));
        }
        compare(target, &object, &expected)
    }

    async fn send(
        &self,
        job: &Cluster,
        at: &str,
        sent: &Value,
        approved: &PreviewedOperation,
        expected: &BTreeMap<String, Value>,
    ) -> Result<Value, EffectFault> {
        let target = &approved.target;
        let conflict = || EffectFault::Conflict(target.clone());
        let manager = Manager { name: &self.manager, force: false };
        let mut unclear: Option<ApiFault> = None;
        for _ in 0..TRIES {
            let live = look(job, at, target, unclear.as_ref()).await?;
            let body = match (&approved.expect, &live, &unclear) {
                (Expect::Absent, None, _) => sent.clone(),
                (expect @ Expect::Present { .. }, Some(live), _) if is_as_approved(live, expect) => pinned(sent, live),
                (_, Some(live), Some(_)) if has(live, expected) => return Ok(live.clone()),
                (_, _, Some(fault)) => return Err(unknown(target, "it was changed by somebody else meanwhile", fault)),
                _ => return Err(conflict()),
            };
            match job.apply(at, &body, manager, Mode::Real).await {
                Ok(object) => return Ok(object),
                Err(fault) if fault.is_unclear() => {
                    unclear = Some(fault);
                    tokio::time::sleep(PAUSE).await;
                }
                // Another version than the one that was read; a field that somebody else owns says so.
                Err(fault) if fault.is_conflict() && !is_owned(&fault) => {}
                Err(fault) => {
                    return Err(match unclear {
                        Some(unclear) => unknown(target, "the next attempt was refused", &unclear),
                        None => refused(target, &fault),
                    });
                }
            }
        }
        match unclear {
            Some(fault) => Err(unknown(target, "no attempt got a clear answer", &fault)),
            None => Err(conflict()),
        }
    }

    /// Brings an object up in the run's own namespace. A dry run first: what the namespace's fences refuse is said at once, by the server, and a
    /// right that was just written may take a moment.
    pub(super) async fn bring_up(
        &mut self,
        written: &Value,
        approved: &PreviewedOperation,
        host: &Host,
    ) -> Result<BTreeMap<String, Value>, EffectFault> {
        let sent = filled(written, &self.name, host);
        let target = Target { namespace: self.name.clone(), ..approved.target.clone() };
        let object = self.put(&sent, &target).await?;
        let uid = object::uid(&object).unwrap_or_default().to_owned();
        self.undo.insert(approved.index, Undo::Created { uid });
        // As the plan says it, long values by their digest: nobody else writes there, and nothing of it outlives the run.
        Ok(host.fields(&approved.after))
    }

    /// Applies an object in the run's own namespace, where it is new.
    pub(super) async fn put(&self, sent: &Value, target: &Target) -> Result<Value, EffectFault> {
        let job = self.job().await?;
        let at = self.at(target)?;
        let manager = Manager { name: &self.manager, force: false };
        self.tried(&job, &at, sent, target).await?;
        let mut unclear: Option<ApiFault> = None;
        for _ in 0..TRIES {
            match job.apply(&at, sent, manager, Mode::Real).await {
                Ok(object) => return Ok(object),
                // The same apply a second time changes nothing.
                Err(fault) if fault.is_unclear() => unclear = Some(fault),
                Err(fault) => return Err(refused(target, &fault)),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(unclear.map_or_else(|| EffectFault::Conflict(target.clone()), |fault| unknown(target, "no attempt got a clear answer", &fault)))
    }

    async fn tried(&self, job: &Cluster, at: &str, sent: &Value, target: &Target) -> Result<(), EffectFault> {
        let manager = Manager { name: &self.manager, force: false };
        let end = Instant::now() + RIGHTS_WAIT;
        let mut pause = PAUSE / 50;
        loop {
            match job.apply(at, sent, manager, Mode::DryRun).await {
                Ok(_) => return Ok(()),
                Err(fault) if (fault.is_unclear() || is_unseen(&fault)) && Instant::now() < end => {}
                Err(fault) => return Err(refused(target, &fault)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }
}

/// An object as it is applied over the one that was read: of this UID, in this version.
fn pinned(sent: &Value, live: &Value) -> Value {
    let mut body = sent.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        for (key, value) in [("uid", object::uid(live)), ("resourceVersion", object::version(live))] {
            metadata.insert(key.to_owned(), value.unwrap_or_default().into());
        }
    }
    body
}

/// Server-side apply's conflict over ownership, which asking again does not end.
fn is_owned(fault: &ApiFault) -> bool {
    matches!(fault, ApiFault::Refused { message, .. } if message.starts_with("Apply failed with "))
}

/// A right that the server's authorizer has not seen yet. Admission refuses with the same status, and in other words.
fn is_unseen(fault: &ApiFault) -> bool {
    matches!(fault, ApiFault::Refused { status: 401, .. })
        || matches!(fault, ApiFault::Refused { status: 403, message, .. } if message.contains(" is forbidden: User "))
}

/// Whether all that was written of an object was written by this manager: nobody created it at the same moment.
fn is_alone(object: &Value, manager: &str) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.is_none_or(|entries| {
        let word = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        entries.iter().all(|entry| word(entry, "manager") == manager || !word(entry, "subresource").is_empty())
    })
}
