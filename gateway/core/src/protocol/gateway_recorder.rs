//! Gateway → recorder: propose jobs, record endings, read what is the caller's own. Never claims,
//! never sees another principal's job.

use super::operator_recorder::Seen;
use crate::model::call::EndedCall;
use crate::model::call::OwnCall;
use crate::model::call::Rejected;
use crate::model::id::{ArgumentsDigest, CallId, PlanDigest, PolicyDigest};
use crate::model::job::{JobView, StoredJob, StuckJob};
use crate::model::permit::SignedPermit;
use crate::model::record::{Entry, Recorded};
use crate::model::run::{Outcome, Phase};
use crate::model::statement::SignedStatement;
use crate::model::trust::Trust;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the gateway may ask of the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Propose {
    /// Record a call that ended without a job. Answered by [`Proposed::Recorded`].
    End {
        /// The entry.
        entry: Entry,
    },
    /// Store a job: queued when it has a permit, awaiting approval otherwise. One transaction with
    /// its entry (`intended` or `asked`). Answered by [`Proposed::Recorded`], or by
    /// [`Proposed::Joined`]: with a key when the key stands for a job; without one
    /// when [`Propose::Same`] would tell of a job other than `seen`.
    Enqueue {
        /// The job.
        job: Box<StoredJob>,
        /// Its entry.
        entry: Entry,
        /// The client's idempotency key.
        key: Option<IdempotencyKey>,
        /// A job that did the same a moment ago, where the objects were looked at since and are
        /// not as it left them.
        seen: Option<CallId>,
    },
    /// The newest job of this principal, plan and policy that has no outcome yet, or succeeded at
    /// most [`ALREADY_MS`] ago. Answered by [`Proposed::Same`].
    Same {
        /// Whose.
        principal: String,
        /// The plan.
        plan: PlanDigest,
        /// The policy that decides at present.
        policy: PolicyDigest,
    },
    /// What an idempotency key stands for. Answered by [`Proposed::Key`].
    Key {
        /// Whose.
        principal: String,
        /// The key.
        key: String,
    },
    /// Whether a person denied this principal's same plan a short time ago. Answered by
    /// [`Proposed::Rejection`].
    Rejection {
        /// Whose.
        principal: String,
        /// The plan.
        plan: PlanDigest,
    },
    /// One of the principal's own jobs. Answered by [`Proposed::Job`]; waits up to `wait_ms` for a
    /// version beyond `beyond`.
    Job {
        /// Whose.
        principal: String,
        /// Which.
        call: CallId,
        /// Answer when its version is greater than this.
        beyond: u64,
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// The principal's own calls that became jobs, newest first. Answered by [`Proposed::Calls`].
    Calls {
        /// Whose.
        principal: String,
        /// Only those without an outcome.
        open: bool,
        /// At most this many; more than [`crate::model::limit::CALLS`] are never given.
        limit: u32,
    },
    /// How one of the principal's own calls ended that left no job. Answered by
    /// [`Proposed::Ended`].
    Ended {
        /// Whose.
        principal: String,
        /// Which.
        call: CallId,
    },
    /// Withdraw one of the principal's own jobs: at once while no runner has claimed it, else the
    /// runner is asked to stop. Answered by [`Proposed::Job`].
    Cancel {
        /// Whose.
        principal: String,
        /// Which.
        call: CallId,
    },
    /// A call whose approvals are complete as far as signatures go. Answered by
    /// [`Proposed::Approved`]; waits up to `wait_ms`.
    NextApproved {
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// A waiting call that a person is about to sign, to look at its objects afresh. Answered by
    /// [`Proposed::ToLook`]; waits up to `wait_ms`.
    NextLook {
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// What that look saw. Answered by [`Proposed::Done`].
    Seen {
        /// Which call.
        call: CallId,
        /// What it would change at present.
        seen: Seen,
    },
    /// The journey was run again and allowed: the permit, for the fenced way to the queue. Answered
    /// by [`Proposed::Recorded`].
    Permit {
        /// Which.
        call: CallId,
        /// The permit.
        permit: SignedPermit,
        /// Its entry (`intended`).
        entry: Entry,
        /// When the permit runs out.
        expires: Timestamp,
    },
    /// The journey was run again and said no, or its plan or state is another by now. Answered by
    /// [`Proposed::Recorded`].
    Withdraw {
        /// Which.
        call: CallId,
        /// One sentence.
        detail: String,
        /// Its entry.
        entry: Entry,
    },
    /// What this gateway serves. Questions that could not be carried out with it are closed, by
    /// [`crate::stage::outdated::outdated`]. Answered by [`Proposed::Done`].
    Serving {
        /// The gateway's trust file: policy, tools with their ceilings, executors, commands and
        /// approvers.
        trust: Box<Trust>,
    },
    /// Whether a runner would carry a job out. Answered by [`Proposed::Runners`].
    Runners,
    /// Whether new work is taken at present, and what was repaired at the start. Answered by
    /// [`Proposed::Health`].
    Health,
    /// The ledger's newest checkpoint. Answered by [`Proposed::Head`].
    Head,
    /// How many of what there are in the store, for metrics. Answered by [`Proposed::Counts`].
    Counts,
}

/// A client's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyKey {
    /// The key, 1 to 128 visible ASCII characters.
    pub key: String,
    /// The tool.
    pub tool: String,
    /// Digest of the canonical arguments it stands for.
    pub arguments: ArgumentsDigest,
}

/// What the recorder answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Proposed {
    /// It is durable.
    Recorded(Recorded),
    /// It is the same as this job of the same principal.
    Joined {
        /// That job's call.
        call: CallId,
    },
    /// The job that the same call led to; none when there is none.
    Same {
        /// The job.
        job: Option<Box<JobView>>,
        /// Milliseconds since its end; 0 while it has none.
        ended_ms: u64,
    },
    /// How a call ended that left no job; none when there is no such call of this principal.
    Ended {
        /// Its ending.
        ended: Option<EndedCall>,
    },
    /// What the key stands for; none when it is free.
    Key {
        /// The call and arguments it was first used for.
        used: Option<UsedKey>,
    },
    /// A person's denial of the same plan that still counts.
    Rejection {
        /// Who, when and why.
        rejected: Option<Rejected>,
    },
    /// The job, as it is now.
    Job {
        /// The view.
        job: Box<JobView>,
    },
    /// Calls of the principal's own.
    Calls {
        /// Newest first.
        calls: Vec<OwnCall>,
        /// There are older ones.
        more: bool,
    },
    /// An approved call, with everything needed to run the journey again.
    Approved {
        /// The job; none when there was none in time.
        job: Option<Box<StoredJob>>,
        /// The signed statements.
        statements: Vec<SignedStatement>,
    },
    /// A waiting call to look at.
    ToLook {
        /// The job; none when there was none in time.
        job: Option<Box<StoredJob>>,
    },
    /// Whether a runner is there.
    Runners {
        /// One holds its socket, or did a moment ago.
        there: bool,
        /// Jobs that cannot be finished at present, oldest first; a bounded number of them.
        stuck: Vec<StuckJob>,
    },
    /// How the store and the ledger are.
    Health {
        /// Why new work is refused at present: path, cause (errno where there is one) and remedy,
        /// in one sentence. None while it is taken.
        refuses: Option<String>,
        /// What is not as it should be and refuses nothing yet, a sentence each.
        warns: Vec<String>,
        /// Damage that was found and repaired at the start, a sentence each: the file, and where
        /// the evidence was put.
        repaired: Vec<String>,
    },
    /// The newest checkpoint, as a signed note.
    Head {
        /// Number of entries.
        size: u64,
        /// The note's text.
        checkpoint: String,
    },
    /// How many of what.
    Counts(Counts),
    /// Noted.
    Done,
}

/// How many of what there are in the store: whole numbers that outlive every restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Jobs by phase, `closed` among them.
    pub phases: BTreeMap<Phase, u64>,
    /// Closed jobs by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Signed answers of people: `approve` and `reject`.
    pub answers: BTreeMap<String, u64>,
    /// Entries of the ledger.
    pub entries: u64,
}

/// What an idempotency key was first used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsedKey {
    /// The call.
    pub call: CallId,
    /// The tool.
    pub tool: String,
    /// Digest of the canonical arguments.
    pub arguments: ArgumentsDigest,
}
