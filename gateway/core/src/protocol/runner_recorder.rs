//! Runner → recorder: claim one job, keep the lease, move the job by events that name the lease
//! epoch. A request whose answer was lost with the connection may be repeated on another one: the
//! answer is the first one. Never reads another job, never writes the ledger directly.

use crate::model::claim_token::ClaimToken;
use crate::model::difference::Difference;
use crate::model::id::{CallId, Fence};
use crate::model::job::{LeasedJob, Obstacle, Said};
use crate::model::record::Recorded;
use crate::model::run::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A request of a runner to the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Claim {
    /// Claim the oldest claimable job. Answered by [`Claimed::Leased`]; waits up to `wait_ms`. With
    /// the token of a lease that is in effect, the answer is the job of that lease.
    Next {
        /// Wait at most this many milliseconds.
        wait_ms: u64,
        /// The token of this claim; `None` from a runner of version 1.0, whose lease ends with its
        /// connection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<ClaimToken>,
    },
    /// Take a lease over from a lost connection of the same runner. Answered by
    /// [`Claimed::Lease`]; [`RoleError::Fenced`](super::RoleError::Fenced) if the lease is lost, or
    /// was another claim's.
    Resume {
        /// The id of the job's call.
        call: CallId,
        /// The lease epoch.
        fence: Fence,
        /// The token of the claim.
        token: ClaimToken,
    },
    /// Keep the lease. Answered by [`Claimed::Lease`].
    Heartbeat {
        /// The id of the job's call.
        call: CallId,
        /// The lease epoch.
        fence: Fence,
    },
    /// Move the job by these events: in order, in one transaction, all or none. Answered by
    /// [`Claimed::Recorded`] once durable.
    Move {
        /// The id of the job's call.
        call: CallId,
        /// The lease epoch.
        fence: Fence,
        /// The events of the job, at least one.
        events: Vec<RunnerEvent>,
        /// The number of the report: from 1 on, greater at each further report of this lease. The
        /// newest report may be repeated. `None` from a runner of version 1.0, which repeats none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
    },
    /// Let go of a job that cannot go on at present; it is offered again after a pause. Answered by
    /// [`Claimed::Released`].
    LetGo {
        /// The id of the job's call.
        call: CallId,
        /// The lease epoch.
        fence: Fence,
        /// The obstacle of the job.
        obstacle: Obstacle,
    },
    /// Words of the executor or of tasks to callers that wait; not a ledger entry. Answered by
    /// [`Claimed::Lease`].
    Progress {
        /// The id of the job's call.
        call: CallId,
        /// The lease epoch.
        fence: Fence,
        /// At most [`crate::model::limit::NOTES_AT_ONCE`], each of at most
        /// [`crate::model::limit::NOTE`] characters.
        said: Vec<Said>,
    },
}

/// An event that a runner reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event", deny_unknown_fields)]
pub enum RunnerEvent {
    /// The run namespace, or the private copy, exists.
    Prepared {
        /// The name of the namespace.
        namespace: String,
        /// Its UID; for a directory, the private copy's random id.
        uid: String,
    },
    /// The permit is consumed. Refused with `fenced` or `refused` when the job was cancelled.
    Acting,
    /// An operation is about to act.
    Started {
        /// The index of the operation.
        operation: u32,
        /// True if this is its undo.
        undo: bool,
        /// The fields before, redacted.
        before: BTreeMap<String, Value>,
    },
    /// An operation was done.
    Done {
        /// The index of the operation.
        operation: u32,
        /// True if this was its undo.
        undo: bool,
        /// The fields after, redacted.
        after: BTreeMap<String, Value>,
    },
    /// Effects are over; also when the runner's own checks refused the job, or recovery found out
    /// what became of it.
    Finished {
        /// The outcome of the job.
        outcome: Outcome,
        /// Stable code: `done`, `operation-failed`, `permit-signature`, `permit-expired`,
        /// `plan-differs`, `approval-missing`, …
        code: String,
        /// The cause, in one sentence.
        detail: String,
        /// Files of a directory that it edited: relative to the tree, sorted.
        files: Vec<String>,
        /// The changes elsewhere in the same objects between decision and effect.
        meanwhile: Vec<Difference>,
    },
    /// The namespace was observed to be deleted, or never existed.
    Gone {
        /// The name of the namespace; empty if it was never created.
        namespace: String,
    },
}

/// A response of the recorder to a runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Claimed {
    /// A job under a lease; `None` when no job came in time.
    Leased {
        /// The job and its lease, or `None`.
        job: Option<Box<LeasedJob>>,
    },
    /// The lease is still in effect.
    Lease {
        /// The job was cancelled: stop before the next effect.
        cancelled: bool,
    },
    /// The lease is over.
    Released,
    /// The events are durable; the index of the last one.
    Recorded(Recorded),
}
