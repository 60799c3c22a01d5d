//! A job of the caller as a task. Read again for each request, so that a task survives a restart of
//! every role. Waits for nothing and changes nothing.

use super::World;
use super::follow::told;
use crate::journey::ports::{Host, Recorder};
use crate::model::answer::Reply;
use crate::model::caller::Principal;
use crate::model::id::CallId;
use crate::model::run::Phase;
use crate::model::task::{Task, TaskState};
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed, StoredTask};
use crate::text;

/// The task of one of the caller's own calls. `None` if the caller has no job of this id.
///
/// # Errors
/// The recorder cannot be asked.
pub async fn task<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
) -> Result<Option<Task>, RoleError> {
    Ok(stored(host, principal, call).await?.map(|stored| of(world, stored)))
}

/// The same as the recorder has it.
pub(super) async fn stored<H: Host>(
    host: &H,
    principal: &Principal,
    call: &CallId,
) -> Result<Option<StoredTask>, RoleError> {
    let ask = Propose::Task { principal: principal.name.clone(), call: call.clone() };
    match host.recorder().propose(ask).await {
        Ok(Proposed::Task(stored)) => Ok(Some(*stored)),
        Ok(_) => Err(RoleError::Unavailable("a response to another request".to_owned())),
        Err(RoleError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn of(world: &World, stored: StoredTask) -> Task {
    let StoredTask { job, created, updated, stopping, kept_ms } = stored;
    let state = match (job.outcome, job.phase) {
        (None, Phase::AwaitingApproval) => TaskState::Waiting,
        (None, _) => TaskState::Running,
        (Some(_), _) if text::withdrawn(&job).is_some() => TaskState::Withdrawn,
        (Some(_), _) => TaskState::Ended(Box::new(told(world, &job, text::job_reply(&job)))),
    };
    let message = match &state {
        TaskState::Waiting | TaskState::Running => text::describe_progress(&job, stopping),
        TaskState::Ended(reply) => first_line(reply),
        TaskState::Withdrawn => text::withdrawn(&job).as_ref().map(first_line).unwrap_or_default(),
    };
    Task {
        call: job.call,
        plan: job.plan,
        state,
        message,
        created,
        updated,
        kept_ms,
        version: job.version,
    }
}

fn first_line(reply: &Reply) -> String {
    let text = match reply {
        Reply::Success(success) => success.text.clone(),
        Reply::Refused(refusal) => refusal.text(),
        _ => String::new(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
