//! One operation on a cluster, as the job: read, carried out, compared with the approved state, and
//! undone. Each effect is pinned to the object and to the approved state, so that a retry after an
//! unclear response cannot do it twice. Never uses the provisioner.

mod apply;
mod delete;
mod egress;
mod pinned_write;
mod renew;
mod task;

use super::api::{ApiError, Cluster};
use super::namespace::Namespace;
use super::poll::Poll;
use super::readiness::readiness;
use super::{error_text, object, path};
use cofferdam_backend::effect_error::{EffectError, Told};
use cofferdam_backend::host_values::Host;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::operation::{Operation, Place, Target};
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::preview::{Expect, PreviewedOperation};
use cofferdam_core::protocol::role_guest::Observed;
use cofferdam_core::stage::preview::is_object;
use pinned_write::{Change, Write};
use renew::RENEWALS;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a write into the run's own namespace, or of a deleted object, is asked for.
const TRIES: u32 = 3;

/// The pause between an unclear response and the next read: the request may still arrive.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an outage may last between an unclear answer and reading back what became of it.
const READ_BACK: Duration = Duration::from_secs(60);

/// The way back to the state before an operation.
#[derive(Debug)]
pub(super) enum Undo {
    /// Fields as they were; and as the operation left them, to see that they were not changed
    /// since.
    Values { uid: String, before: Vec<(FieldPath, Option<Value>)>, after: BTreeMap<String, Value> },
    /// A deleted object, as it could be written again.
    Object(Value),
    /// The object that an apply created.
    Created { uid: String },
}

/// Returns whether an object is in the state over which an effect was approved.
fn is_as_approved(object: &Value, expect: &Expect) -> bool {
    match expect {
        Expect::Absent => false,
        Expect::Present { uid, digest } => {
            object::uid(object) == Some(uid.as_str())
                && !object::is_terminating(object)
                && object::digest(object).is_ok_and(|seen| seen == *digest)
        }
    }
}

/// Returns whether these fields have these values.
fn has(object: &Value, fields: &BTreeMap<String, Value>) -> bool {
    object::fields_as(object, fields).is_ok_and(|seen| seen == *fields)
}

/// Returns a check that this object exists with these values.
fn is_with(uid: &str, fields: &BTreeMap<String, Value>) -> impl Fn(Option<&Value>) -> bool + Send {
    move |live| live.is_some_and(|live| object::uid(live) == Some(uid) && has(live, fields))
}

/// A refusal of an effect: nothing happened.
fn refused(target: &Target, error: &ApiError) -> EffectError {
    EffectError::Refused(format!("{target} was not changed: {}", error_text::said(error)))
}

/// The error of an unclear response, when reading the object does not settle it.
fn unknown(target: &Target, why: &str, error: &ApiError) -> EffectError {
    EffectError::Unknown(format!("{target}: {why}; {}", error_text::said(error)))
}

/// Reads an object. After an unclear response it waits for the end of an outage, since the result
/// has to be known.
async fn look(
    job: &Cluster,
    at: &str,
    target: &Target,
    unclear: Option<&ApiError>,
) -> Result<Option<Value>, EffectError> {
    let mut poll = Poll::within(READ_BACK);
    loop {
        match (job.get(at).await, unclear) {
            (Ok(object), _) => return Ok(object),
            (Err(error), None) => {
                return Err(EffectError::Refused(format!(
                    "{target} cannot be read: {}",
                    error_text::said(&error)
                )));
            }
            (Err(_), Some(_)) if poll.again().await => {}
            (Err(_), Some(unclear)) => {
                return Err(unknown(target, "it cannot be read back", unclear));
            }
        }
    }
}

/// Compares the observed state with the approved one.
fn compare(
    target: &Target,
    object: &Value,
    expected: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, EffectError> {
    let observed = object::fields_as(object, expected)
        .map_err(|error| EffectError::Differs(format!("{target}: {}", error.reason)))?;
    let differing: Vec<String> = expected
        .iter()
        .filter(|(path, value)| observed.get(*path) != Some(value))
        .map(|(path, value)| {
            format!("`{path}` is {} instead of {value}", observed.get(path).unwrap_or(&Value::Null))
        })
        .collect();
    if differing.is_empty() {
        Ok(observed)
    } else {
        Err(EffectError::Differs(format!(
            "{target}: {}",
            cofferdam_core::model::escape::line(&differing.join(", "))
        )))
    }
}

impl Namespace {
    /// Checks that an operation can still happen: its object is as approved, or absent as approved.
    pub async fn check(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
    ) -> Result<(), EffectError> {
        let target = &approved.target;
        // The run namespace is new, so its objects cannot have changed.
        if target.namespace == EPHEMERAL {
            return Ok(());
        }
        let live = look(&self.job().await?, &self.at(target)?, target, None).await?;
        let holds = match (&approved.expect, &live) {
            (Expect::Absent, None) => true,
            (expect, Some(live)) => is_as_approved(live, expect),
            (Expect::Present { .. }, None) => false,
        };
        if holds { Ok(()) } else { self.renew(operation, approved).await.map(drop) }
    }

    /// Changes by others in the objects since the admission.
    pub fn meanwhile(&self) -> &[Difference] {
        &self.meanwhile
    }

    /// Carries out one operation and compares the result with the approved one. Sends output of a
    /// task to `told` meanwhile. Returns the observed state after it.
    pub async fn perform(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
        told: &Told,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        if approved.target.namespace == EPHEMERAL {
            return self.perform_over(operation, approved, host, told).await;
        }
        let mut over = self.latest(approved);
        for _ in 0..RENEWALS {
            match self.perform_over(operation, &over, host, told).await {
                // Nothing happened: the object is not in the state of the last read.
                Err(EffectError::Conflict(_)) => over = self.renew(operation, approved).await?,
                done => return done,
            }
        }
        let why = format!(
            "{} was not changed: it was changed by others between each of {RENEWALS} looks and \
             the change",
            approved.target
        );
        Err(EffectError::Changed(why))
    }

    /// The same over one state.
    async fn perform_over(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
        told: &Told,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        match operation {
            Operation::Patch { changes, .. } => {
                let changes = object::paths(changes)?;
                self.patch(&changes, approved, host).await
            }
            Operation::Delete { .. } => self.delete(approved).await,
            Operation::Apply { place: Place::Namespace(_), object } => {
                self.apply(object, approved, host).await
            }
            Operation::Apply { place: Place::Ephemeral, object } => {
                self.bring_up(object, approved, host).await
            }
            Operation::Task { .. } => self.run(operation, approved, told).await,
            Operation::Egress { to } => self.open(to, approved).await,
            Operation::Read { .. } | Operation::List { .. } | Operation::Logs { .. } => {
                Err(EffectError::Refused(format!(
                    "`{}` changes nothing, and no job does it",
                    operation.action()
                )))
            }
        }
    }

    /// Brings the state before an operation back. Returns the observed state.
    pub async fn undo(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let target = &approved.target;
        match self.undo.remove(&approved.index) {
            None => Err(EffectError::Conflict(target.clone())),
            Some(Undo::Values { uid, before, after }) => {
                let job = self.job().await?;
                let meant = object::fields_as(&Value::Null, &after).map(|mut fields| {
                    before.iter().for_each(|(path, value)| {
                        drop(fields.insert(path.to_string(), value.clone().unwrap_or_default()))
                    });
                    fields
                })?;
                let change = Change {
                    job: &job,
                    at: &self.at(target)?,
                    target,
                    write: Write::Patch(&self.manager, &before),
                };
                let object = change
                    .make(is_with(&uid, &after), is_with(&uid, &meant))
                    .await?
                    .unwrap_or_default();
                compare(target, &object, &meant)
            }
            Some(Undo::Object(object)) => {
                self.restore(&object, target).await?;
                Ok(approved.before.clone())
            }
            Some(Undo::Created { uid }) => {
                self.take_back(&uid, target).await?;
                Ok(BTreeMap::new())
            }
        }
    }

    /// How far the object of an operation is that was done: one look, without waiting.
    pub async fn observe(&self, approved: &PreviewedOperation) -> Result<Observed, EffectError> {
        let target = &approved.target;
        if target.namespace == EPHEMERAL && !is_object(approved) {
            return Ok(Observed::Ready);
        }
        let at = self.at(target)?;
        let job = self.job().await?;
        // In the run namespace the job may write and not read: it reads the result of an empty
        // patch.
        let live = if target.namespace == EPHEMERAL {
            match job.patch(&at, &json!([]), &self.manager, super::api::Mode::DryRun).await {
                Ok(object) => Some(object),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(refused(target, &error)),
            }
        } else {
            look(&job, &at, target, None).await?
        };
        Ok(readiness(live.as_ref(), approved))
    }

    /// The path of a target. The ephemeral namespace is the run namespace.
    fn at(&self, target: &Target) -> Result<String, EffectError> {
        let mut target = target.clone();
        if target.namespace == EPHEMERAL {
            target.namespace.clone_from(&self.name);
        }
        path::object(&target).map_err(|error| EffectError::Refused(error.to_string()))
    }

    async fn patch(
        &mut self,
        changes: &[(FieldPath, Option<Value>)],
        approved: &PreviewedOperation,
        host: &Host,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let target = &approved.target;
        let Expect::Present { uid, .. } = &approved.expect else {
            return Err(EffectError::Conflict(target.clone()));
        };
        let job = self.job().await?;
        let at = self.at(target)?;
        let expected = host.fields(&approved.after);
        let filled = host.filled(changes);
        let change =
            Change { job: &job, at: &at, target, write: Write::Patch(&self.manager, &filled) };
        let is_before =
            |live: Option<&Value>| live.is_some_and(|live| is_as_approved(live, &approved.expect));
        let object = change.make(is_before, is_with(uid, &expected)).await?.unwrap_or_default();
        let after = object::fields_as(&object, &expected).unwrap_or_default();
        // The undo writes the values of the approved state, and no others.
        let before = changes.iter().map(|(path, _)| {
            let value = approved.before.get(&path.to_string()).cloned().unwrap_or_default();
            (path.clone(), (!value.is_null()).then_some(value))
        });
        self.undo.insert(
            approved.index,
            Undo::Values { uid: uid.clone(), before: before.collect(), after },
        );
        compare(target, &object, &expected)
    }
}

#[cfg(test)]
mod tests;
