//! A change as plain data, and the writer's reply after the commit. Never has a connection.

use super::invitations::Invite;
use crate::leases::Via;
use cofferdam_core::model::callers::{GivenToken, ServedCaller};
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::delegation::SignedDelegation;
use cofferdam_core::model::id::{
    CallId, Fence, PolicyDigest, StatementDigest, TokenDigest, TrustDigest,
};
use cofferdam_core::model::job::{Cancellation, Found, LeasedJob, Obstacle, Said, StoredJob};
use cofferdam_core::model::notification::NotifyEvent;
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry, Recorded};
use cofferdam_core::model::retention::Retained;
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_core::model::stop::{Stop, StopScope};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::IdempotencyKey;
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One change with its ledger entries: applied as a whole or not at all.
#[derive(Debug)]
pub enum Change {
    /// Add only a ledger entry.
    End(Arc<Entry>),
    /// Add only a ledger entry, unless the call has one of this event already.
    EndAgain(Arc<Entry>),
    /// Add a new job.
    Enqueue {
        /// The job.
        job: Box<StoredJob>,
        /// The ledger entry.
        entry: Box<Entry>,
        /// The idempotency key of the client.
        key: Option<IdempotencyKey>,
        /// An earlier equal job that does not count, because its objects changed since.
        seen: Option<CallId>,
    },
    /// Lease the oldest claimable job to a runner.
    Claim {
        /// The token of the claim: a lease that has it already is the answer.
        token: Option<ClaimToken>,
        /// The way of the runner to this recorder.
        via: Via,
    },
    /// Apply a report of a runner: all of its events, or none.
    Move {
        /// The id of the call.
        call: CallId,
        /// The lease epoch of the runner.
        fence: Fence,
        /// The reported events, in order.
        events: Vec<RunnerEvent>,
        /// The number of the report; the newest one may come again.
        number: Option<u64>,
    },
    /// Add progress notes of an executor or of tasks.
    Progress {
        /// The id of the call.
        call: CallId,
        /// The lease epoch of the runner.
        fence: Fence,
        /// The notes.
        said: Vec<Said>,
    },
    /// End a lease: it is lost, or its runner gives the job back.
    Lose {
        /// The id of the call.
        call: CallId,
        /// The lease epoch of the runner.
        fence: Fence,
        /// The obstacle that the runner reported; `None` for a lost runner.
        obstacle: Option<Obstacle>,
    },
    /// Cancel a job for its agent.
    Cancel {
        /// The principal of the job.
        principal: String,
        /// The id of the call.
        call: CallId,
    },
    /// Cancel a job for an operator.
    CancelBy {
        /// The operator and the reason.
        cancellation: Cancellation,
        /// The request with role and sign-in, as JSON text, for the ledger.
        request: String,
        /// The id of the call.
        call: CallId,
    },
    /// Queue a job after the second decision allowed it.
    Permit {
        /// The id of the call.
        call: CallId,
        /// The signed permit.
        permit: Box<SignedPermit>,
        /// The ledger entry.
        entry: Box<Entry>,
        /// The end of the permit.
        expires: Timestamp,
    },
    /// End a job after the second decision refused it.
    Withdraw {
        /// The id of the call.
        call: CallId,
        /// The reason, one sentence.
        detail: String,
        /// The ledger entry.
        entry: Box<Entry>,
    },
    /// Add a checked signature of a person.
    Sign(Box<Signature>),
    /// Make, use or end an invitation of an approver.
    Invite(Invite),
    /// Record a person's finding about a job.
    Resolve {
        /// The id of the call.
        call: CallId,
        /// The finding.
        found: Found,
        /// The evidence, one sentence.
        because: String,
        /// The operating-system user.
        by: String,
    },
    /// End the questions that no served trust file supports, after the entry of a reload, if there
    /// was one.
    Retire(Vec<Arc<Trust>>, Option<Arc<Entry>>),
    /// Take queued jobs with permits of other policies than these from the queue, for another
    /// decision.
    Reopen(Arc<BTreeSet<PolicyDigest>>),
    /// Register the tokens of an agents file, and end those that are not there any more.
    Tokens {
        /// The tokens of the file.
        given: Vec<GivenToken>,
        /// Tokens that were replaced or removed.
        ended: Vec<TokenDigest>,
        /// True if there is no other agents file: a token that is missing has ended.
        only: bool,
    },
    /// Register the last uses of callers.
    Served(Vec<ServedCaller>),
    /// Stop calls, and cancel the jobs among them that have a lease.
    Stop {
        /// The stop.
        stop: Stop,
        /// The beginning of the ledger's word: an operator's command, or a request of the console.
        how: &'static str,
    },
    /// Lift a stop.
    LiftStop {
        /// The calls of the stop.
        calls: StopScope,
        /// The operating-system user, or the person at the console.
        by: String,
        /// The beginning of the ledger's word.
        how: &'static str,
    },
    /// Write a page without a change, to test a failed store.
    Probe,
    /// End the jobs that were not decided or not run in time.
    Expire,
    /// Make the notifications that time makes.
    Remind,
    /// Make a notification that no entry makes.
    Tell {
        /// The event.
        event: NotifyEvent,
        /// The cause and its remedy.
        detail: String,
        /// The only receiver; `None` for all that are told of this event.
        receiver: Option<String>,
    },
    /// Store the end of a try to deliver a notification.
    Settle {
        /// The name of the receiver.
        receiver: String,
        /// The number of the delivery.
        delivery: u64,
        /// The end.
        end: DeliveryEnd,
    },
    /// Remove the notifications of receivers that are not configured any more.
    KeepReceivers,
    /// Remove rows of one kind that are older than their retention.
    Retain {
        /// The kind of rows.
        what: Retained,
        /// The retention, in seconds.
        keep_seconds: u64,
    },
    /// Add the next entries to the list of calls.
    Index,
    /// Erase the payloads of a call.
    Erase {
        /// The id of the call.
        call: CallId,
        /// The operating-system user.
        by: String,
    },
}

/// The end of a try to deliver a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The receiver took it.
    Delivered,
    /// It was not sent: it is outdated.
    Over,
    /// The receiver did not take it.
    Failed {
        /// The cause and its remedy.
        error: String,
        /// The pause that the receiver asked for, in milliseconds, bounded; 0 for none.
        retry_after_ms: i64,
    },
}

/// A signature of a person, checked by the handler.
#[derive(Debug)]
pub struct Signature {
    /// The id of the call.
    pub call: CallId,
    /// The signer, from the recorder's own trust file.
    pub approver: String,
    /// The person whom the rule names: the signer, or the absent one in whose place they signed.
    pub voice: String,
    /// The delegation by which they signed in that place.
    pub delegation: Option<SignedDelegation>,
    /// The verdict: approve or reject.
    pub verdict: Verdict,
    /// The reason of the person.
    pub reason: String,
    /// The digest of the statement.
    pub digest: StatementDigest,
    /// The signed statement.
    pub signed: SignedStatement,
    /// The stored signatures of this question that no longer count: they are removed.
    pub void: Vec<String>,
    /// The digest of the trust file with the approver.
    pub trust: TrustDigest,
    /// The operating-system user who sent it.
    pub by: String,
}

/// The reply of the writer after the commit.
#[derive(Debug)]
pub enum Done {
    /// The newest entry of the change.
    Recorded(Recorded),
    /// The call joined another job.
    Joined(CallId),
    /// The leased job, if there is one.
    Leased(Option<Box<LeasedJob>>),
    /// The number of missing signatures.
    Signed(u32),
    /// Queued jobs were reopened.
    Reopened {
        /// More jobs may be queued under another policy.
        more: bool,
    },
    /// The tokens of the agents file that ended earlier.
    EndedTokens(Vec<TokenDigest>),
    /// Retention removed rows.
    Removed {
        /// The kind of rows.
        what: Retained,
        /// Their number.
        count: u64,
        /// More rows may be old.
        more: bool,
    },
    /// A try to deliver a notification was stored.
    Settled {
        /// True if it was a test.
        test: bool,
        /// True if it was given up.
        dropped: bool,
    },
    /// Entries were added to the list of calls.
    Indexed {
        /// The number of entries that the list knows.
        through: u64,
    },
    /// A stop was made or lifted.
    Stopped {
        /// The number of jobs that runners were asked to end.
        ended: u64,
    },
    /// An operator cancelled a job.
    Cancelled {
        /// True if it ended at once; false if its runner was asked to stop.
        at_once: bool,
    },
    /// Done, without a value.
    Noted,
}

/// The result of a change.
pub type Answer = Result<Done, RoleError>;
