//! A second call without a key. It joins the unfinished job of the first call. Shortly after a
//! success the reply is ALREADY DONE, if the objects still are as that job left them. Never joins
//! another principal's job.

use super::call_record::CallRecord;
use super::read::preview_request;
use super::{Wait, follow, unrecorded};
use crate::journey::ports::{Host, Recorder, Viewer};
use crate::model::answer::Reply;
use crate::model::id::CallId;
use crate::model::job::{JobView, OperationRecord};
use crate::model::operation::{Action, Step};
use crate::model::preview::Preview;
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::protocol::gateway_viewer::ReadResponse;
use crate::stage::preview::ephemeral;
use crate::stage::seal::SealedPlan;
use crate::text;
use serde_json::Value;
use std::collections::BTreeMap;

/// Finds the job of the same earlier call. If that job is the reply to this call, the reply ends
/// the call. Otherwise returns the id of a job that succeeded a moment ago and whose objects
/// changed since.
pub(super) async fn same<H: Host>(
    record: &CallRecord<'_, H>,
    sealed: &SealedPlan,
    wait: Wait<'_>,
) -> Result<Option<CallId>, Reply> {
    let principal = record.principal().name.clone();
    let ask = Propose::Same { principal, plan: sealed.digest(), policy: record.world().policy };
    let (job, ended_ms) = match record.host().recorder().propose(ask).await {
        Ok(Proposed::Same { job: None, .. }) => return Ok(None),
        Ok(Proposed::Same { job: Some(job), ended_ms }) => (job, ended_ms),
        _ => return Err(unrecorded()),
    };
    if job.outcome.is_none() {
        return Err(follow::outcome(
            record.host(),
            record.world(),
            record.principal(),
            &job.call,
            wait,
        )
        .await);
    }
    if as_left(record, sealed, &job).await? {
        return Err(Reply::Success(text::already_done(&job, ended_ms)));
    }
    Ok(Some(job.call))
}

/// True if every field that the job set is as the job left it, and every object that it deleted is
/// absent. The objects are read again for this. Other fields do not count, as for an approval
/// (DECISIONS.md 47 and 59): controllers write to an object right after each change, so the whole
/// object differs within a second, and a restart would be carried out twice.
async fn as_left<H: Host>(
    record: &CallRecord<'_, H>,
    sealed: &SealedPlan,
    job: &JobView,
) -> Result<bool, Reply> {
    let lasting = sealed.operations().iter().zip(sealed.facts());
    let lasting = lasting.filter(|(step, fact)| {
        !fact.action.reads() && ephemeral(&step.operation, fact.index).is_none()
    });
    let (gone, there): (Vec<_>, Vec<_>) =
        lasting.partition(|(_, fact)| fact.action == Action::Delete);
    for (step, _) in gone {
        match read(record, sealed, vec![step.clone()]).await? {
            // A patch of it may be left.
            ReadResponse::Refused { code, .. }
                if matches!(code.as_str(), "not-found" | "not-an-object") => {}
            _ => return Ok(false),
        }
    }
    if there.is_empty() {
        return Ok(true);
    }
    let left: Option<Vec<&OperationRecord>> =
        there.iter().map(|(_, fact)| done(job, fact.index)).collect();
    let (Some(left), steps) = (left, there.into_iter().map(|(step, _)| step.clone()).collect())
    else {
        return Ok(false);
    };
    match read(record, sealed, steps).await? {
        ReadResponse::Preview { preview } => Ok(holds(&left, &preview)),
        _ => Ok(false),
    }
}

fn done(job: &JobView, index: u32) -> Option<&OperationRecord> {
    job.operations
        .iter()
        .find(|record| record.index == index && !record.undo && record.after.is_some())
}

/// True if the fields are now as the job left them. Of two operations on one field the later one
/// counts.
fn holds(left: &[&OperationRecord], now: &Preview) -> bool {
    if left.len() != now.operations.len() {
        return false;
    }
    let mut last: BTreeMap<(String, &String), bool> = BTreeMap::new();
    for (done, shown) in left.iter().zip(&now.operations) {
        for (path, value) in done.after.iter().flatten() {
            let same = shown.before.get(path).unwrap_or(&Value::Null) == value;
            last.insert((shown.target.to_string(), path), same);
        }
    }
    last.into_values().all(|same| same)
}

async fn read<H: Host>(
    record: &CallRecord<'_, H>,
    sealed: &SealedPlan,
    operations: Vec<Step>,
) -> Result<ReadResponse, Reply> {
    match record.host().viewer().read(preview_request(sealed, operations)).await {
        Ok(looked) => Ok(looked),
        error => Err(record.unread(error.into()).await),
    }
}

#[cfg(test)]
mod tests;
