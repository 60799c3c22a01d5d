//! Deletes one object in the approved state, and follows it until it is gone or a finalizer holds
//! it. The undo creates a deleted object again, and compares it with the earlier state.

use super::pinned_write::{Change, Write};
use super::{Undo, is_as_approved, look, refused, unknown};
use crate::api::{ApiError, Cluster, Mode, Only};
use crate::held;
use crate::namespace::Namespace;
use crate::object;
use crate::poll::Poll;
use crate::preview::compare::differences;
use cofferdam_backend::effect_error::{EffectError, Going};
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::escape;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::preview::{Expect, PreviewedOperation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time limit until a deleted object is gone or has a deletion time.
const GOING: Duration = Duration::from_secs(30);

/// How long a deleted object is followed that is going: a Pod's grace, and a node's delay. A call
/// is held a little longer than that.
const FOLLOWED: Duration = Duration::from_secs(35);

/// How long an object that is going may take before one of its name is written again: a Pod's
/// grace.
const GONE: Duration = Duration::from_secs(60);

/// Differing fields of a restored object that an error names: enough to see the cause.
const NAMED: usize = 10;

impl Namespace {
    /// Deletes the approved object, and remembers how to write it again.
    pub(super) async fn delete(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let target = &approved.target;
        let Expect::Present { uid, .. } = &approved.expect else {
            return Err(EffectError::Conflict(target.clone()));
        };
        let job = self.job().await?;
        let at = self.at(target)?;
        let is_before =
            |live: Option<&Value>| live.is_some_and(|live| is_as_approved(live, &approved.expect));
        let live = look(&job, &at, target, None).await?.filter(|live| is_before(Some(live)));
        let live = live.ok_or_else(|| EffectError::Conflict(target.clone()))?;
        remove(&job, &at, target, uid, is_before).await?;
        // The deleted version may be newer than the approved one: only its status can differ.
        self.undo.insert(approved.index, Undo::Object(object::without_server_fields(&live)));
        let Some(going) = follow_deletion(&job, &at, target, uid).await? else {
            return Ok(BTreeMap::new());
        };
        let (by, after) = (held::words(&going), held::state(&going, &approved.before));
        Err(EffectError::Held(Box::new(Going { target: target.clone(), by, after })))
    }

    /// Removes the object that an apply created, and no object that replaced it.
    pub(super) async fn take_back(&self, uid: &str, target: &Target) -> Result<(), EffectError> {
        let job = self.job().await?;
        let at = self.at(target)?;
        if target.namespace != EPHEMERAL {
            let is_it =
                |live: Option<&Value>| live.is_none_or(|live| object::uid(live) == Some(uid));
            return remove(&job, &at, target, uid, is_it).await;
        }
        // The job has no read access there; the namespace is removed anyway.
        job.delete(&at, Only::Uid(uid), Mode::Real).await.map_err(|error| refused(target, &error))
    }

    /// Creates a deleted object again, only if it is still absent. Compares the result with the
    /// earlier object, without the fields that the server sets.
    pub(super) async fn restore(&self, object: &Value, target: &Target) -> Result<(), EffectError> {
        let job = self.job().await?;
        let at = self.at(target)?;
        let mut poll = Poll::within(GONE);
        loop {
            match look(&job, &at, target, None).await? {
                None => break,
                Some(live) if object::is_terminating(&live) && poll.again().await => {}
                Some(_) => return Err(EffectError::Conflict(target.clone())),
            }
        }
        let back = self.written(&job, &at, object, target).await?;
        // The outcome shows no values that the plan does not name.
        let differing: Vec<String> = differences(object, &object::without_server_fields(&back))
            .iter()
            .map(|difference| format!("`{}`", difference.place()))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let more = differing.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let named = escape::line(
            &differing.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "),
        );
        Err(EffectError::Differs(format!(
            "{target} was written again, and is not what it was in {named}{more}"
        )))
    }
}

/// Deletes one object of this UID, in the background, and reads it until it is gone or has a
/// deletion time.
async fn remove(
    job: &Cluster,
    at: &str,
    target: &Target,
    uid: &str,
    is_before: impl Fn(Option<&Value>) -> bool + Send,
) -> Result<(), EffectError> {
    let change = Change { job, at, target, write: Write::Delete };
    change.make(is_before, |live| is_gone(live, uid)).await?;
    let mut poll = Poll::within(GOING);
    let accepted = ApiError::Unclear("its deletion was accepted".to_owned());
    while !is_gone(look(job, at, target, Some(&accepted)).await?.as_ref(), uid) {
        if !poll.again().await {
            return Err(unknown(target, "it is still there", &accepted));
        }
    }
    Ok(())
}

/// Follows a terminating object. Returns the object if it remains at the end of the time.
async fn follow_deletion(
    job: &Cluster,
    at: &str,
    target: &Target,
    uid: &str,
) -> Result<Option<Value>, EffectError> {
    let accepted = ApiError::Unclear("its deletion was accepted".to_owned());
    let mut poll = Poll::within(FOLLOWED);
    loop {
        let live = look(job, at, target, Some(&accepted))
            .await?
            .filter(|live| object::uid(live) == Some(uid));
        if live.is_none() || !poll.again().await {
            return Ok(live);
        }
    }
}

/// Nothing, something else of that name, or on its way out.
fn is_gone(live: Option<&Value>, uid: &str) -> bool {
    live.is_none_or(|live| object::uid(live) != Some(uid) || object::is_terminating(live))
}
