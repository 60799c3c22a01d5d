//! A call with a job, as a task of MCP: the state that a client polls. Made by the journey, rendered
//! by the edge. Never holds a call of another caller.

use crate::model::answer::Reply;
use crate::model::id::{CallId, PlanDigest};
use jiff::Timestamp;

/// The state of one call as a task. Its id is the id of the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The id of the call.
    pub call: CallId,
    /// The digest of its plan.
    pub plan: PlanDigest,
    /// The state of the task.
    pub state: TaskState,
    /// The state in one line, for models and people.
    pub message: String,
    /// The time at which the call arrived.
    pub created: Timestamp,
    /// The time of the newest ledger entry about its state.
    pub updated: Timestamp,
    /// The task is kept at least this long after it was created, in milliseconds; `None`: for ever.
    pub kept_ms: Option<u64>,
    /// Grows with every change of the job.
    pub version: u64,
}

/// The state of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// A person has to sign.
    Waiting,
    /// The job is on its way.
    Running,
    /// The call ended. The reply is the one that the call itself would have got.
    Ended(Box<Reply>),
    /// The caller withdrew the call before anything was changed.
    Withdrawn,
}

impl Task {
    /// True if the state is final.
    pub fn is_over(&self) -> bool {
        matches!(self.state, TaskState::Ended(_) | TaskState::Withdrawn)
    }
}
