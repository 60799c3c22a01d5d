//! A change as plain data: what the writer is asked, and what it answers after the commit. Never
//! holds a connection.

use cofferdam_core::model::id::{CallId, Fence, StatementDigest, TrustDigest};
use cofferdam_core::model::job::{Found, LeasedJob, Obstacle, Said, StoredJob};
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry, Recorded};
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::IdempotencyKey;
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use jiff::Timestamp;

/// One change: all of it or nothing, together with its ledger entries.
#[derive(Debug)]
pub enum Change {
    /// An entry alone.
    End(Box<Entry>),
    /// A new job.
    Enqueue {
        /// The job.
        job: Box<StoredJob>,
        /// Its entry.
        entry: Box<Entry>,
        /// The client's key.
        key: Option<IdempotencyKey>,
        /// A job that did the same and does not count, because the objects are not as it left
        /// them.
        seen: Option<CallId>,
    },
    /// A runner wants the oldest claimable job.
    Claim,
    /// A runner reports.
    Move {
        /// Which job.
        call: CallId,
        /// Under which fence.
        fence: Fence,
        /// What happened.
        event: RunnerEvent,
    },
    /// Words of an executor or of tasks.
    Progress {
        /// Which job.
        call: CallId,
        /// Under which fence.
        fence: Fence,
        /// The words.
        said: Vec<Said>,
    },
    /// A lease is lost, or its runner lets go of the job.
    Lose {
        /// Which job.
        call: CallId,
        /// Under which fence.
        fence: Fence,
        /// What is in the job's way, as its runner says; none where the runner was lost.
        obstacle: Option<Obstacle>,
    },
    /// The agent withdraws.
    Cancel {
        /// Whose.
        principal: String,
        /// Which.
        call: CallId,
    },
    /// Decided again and allowed.
    Permit {
        /// Which.
        call: CallId,
        /// The permit.
        permit: Box<SignedPermit>,
        /// Its entry.
        entry: Box<Entry>,
        /// When the permit runs out.
        expires: Timestamp,
    },
    /// Decided again and refused.
    Withdraw {
        /// Which.
        call: CallId,
        /// One sentence.
        detail: String,
        /// Its entry.
        entry: Box<Entry>,
    },
    /// A person's checked signature.
    Sign(Box<Signature>),
    /// A person found out what became of a job.
    Resolve {
        /// Which.
        call: CallId,
        /// What they found.
        found: Found,
        /// How they know.
        because: String,
        /// Who.
        by: String,
    },
    /// The gateway serves these: questions under other means end.
    Retire(Box<Trust>),
    /// Writes a page and changes nothing: whether a store that failed takes something again.
    Probe,
    /// Jobs that were not decided or not run in time.
    Expire,
    /// Payloads of a call go.
    Erase {
        /// Which.
        call: CallId,
        /// By whom.
        by: String,
    },
}

/// A person's signature, checked by the handler.
#[derive(Debug)]
pub struct Signature {
    /// Which call.
    pub call: CallId,
    /// Who signed, by the recorder's own trust file.
    pub approver: String,
    /// Approve or reject.
    pub verdict: Verdict,
    /// The person's reason.
    pub reason: String,
    /// Digest of the statement.
    pub digest: StatementDigest,
    /// The statement as signed.
    pub signed: SignedStatement,
    /// The trust file that knew the approver.
    pub trust: TrustDigest,
    /// The operating-system user who handed it in.
    pub by: String,
}

/// What the writer answers once the change is durable.
#[derive(Debug)]
pub enum Done {
    /// Its newest entry.
    Recorded(Recorded),
    /// It is another job.
    Joined(CallId),
    /// The job that was claimed.
    Leased(Option<Box<LeasedJob>>),
    /// How many more signatures are needed.
    Signed(u32),
    /// Nothing to tell.
    Noted,
}

/// A change's answer.
pub type Answer = Result<Done, RoleError>;
