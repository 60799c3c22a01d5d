//! Gateway → recorder: propose jobs, record endings, read what is the caller's own. Never claims,
//! never sees another principal's job.

use super::approver::{ApproverAnswer, ApproverAsk};
use super::console::{ConsoleAnswer, ConsoleAsk};
use super::operator_recorder::FreshPreview;
use crate::model::call::EndedCall;
use crate::model::call::OwnCall;
use crate::model::call::Rejected;
use crate::model::callers::{GivenToken, ServedCaller};
use crate::model::console_role::ConsolePerson;
use crate::model::id::{
    ArgumentsDigest, CallId, PlanDigest, PolicyDigest, TokenDigest, TrustDigest,
};
use crate::model::job::{JobView, StoredJob, StuckJob};
use crate::model::notification::ReceiverState;
use crate::model::permit::SignedPermit;
use crate::model::record::{Entry, Recorded};
use crate::model::role_limits::RoleLimits;
use crate::model::run::{Outcome, Phase};
use crate::model::statement::SignedStatement;
use crate::model::trust::Trust;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request of the gateway to the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Propose {
    /// Record a call that ended without a job. Answered by [`Proposed::Recorded`].
    End {
        /// The ledger entry.
        entry: Entry,
        /// True if the answer to the same request was lost: an entry of this call and event that
        /// is recorded already is the answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// Store a job: queued when it has a permit, awaiting approval otherwise. One transaction with
    /// its entry (`intended` or `asked`). Answered by [`Proposed::Recorded`], or by
    /// [`Proposed::Joined`]: with a key when the key belongs to a job; without one when
    /// [`Propose::Same`] would return a job other than `seen`. The same request again gets the
    /// first answer.
    Enqueue {
        /// The job to store.
        job: Box<StoredJob>,
        /// The job's ledger entry.
        entry: Entry,
        /// The client's idempotency key.
        key: Option<IdempotencyKey>,
        /// A job that did the same a moment ago. Its objects were read since, and are not as the
        /// job left them.
        seen: Option<CallId>,
    },
    /// The newest job of this principal, plan and policy that has no outcome yet, or succeeded at
    /// most [`crate::model::limit::ALREADY_MS`] ago. Answered by [`Proposed::Same`].
    Same {
        /// The name of the principal.
        principal: String,
        /// The digest of the plan.
        plan: PlanDigest,
        /// The policy that decides at present.
        policy: PolicyDigest,
    },
    /// Asks for the call of an idempotency key. Answered by [`Proposed::Key`].
    Key {
        /// The name of the principal.
        principal: String,
        /// The client's key.
        key: String,
    },
    /// True if a person denied this principal's same plan a short time ago. Answered by
    /// [`Proposed::Rejection`].
    Rejection {
        /// The name of the principal.
        principal: String,
        /// The digest of the plan.
        plan: PlanDigest,
    },
    /// One of the principal's own jobs. Answered by [`Proposed::Job`]; waits up to `wait_ms` for a
    /// version beyond `beyond`.
    Job {
        /// The name of the principal.
        principal: String,
        /// The id of the call.
        call: CallId,
        /// Answer when its version is greater than this.
        beyond: u64,
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// One of the principal's own jobs, with its times. Answered at once by [`Proposed::Task`].
    Task {
        /// The name of the principal.
        principal: String,
        /// The id of the call.
        call: CallId,
    },
    /// The plan of one of the principal's own jobs. Answered by [`Proposed::Plan`].
    Plan {
        /// The name of the principal.
        principal: String,
        /// The id of the call.
        call: CallId,
    },
    /// The principal's own calls that became jobs, newest first. Answered by [`Proposed::Calls`].
    Calls {
        /// The name of the principal.
        principal: String,
        /// Only those without an outcome.
        open: bool,
        /// At most this many; more than [`crate::model::limit::CALLS`] are never given.
        limit: u32,
    },
    /// How one of the principal's own calls ended that left no job. Answered by
    /// [`Proposed::Ended`].
    Ended {
        /// The name of the principal.
        principal: String,
        /// The id of the call.
        call: CallId,
    },
    /// Withdraw one of the principal's own jobs: at once while no runner has claimed it, else the
    /// runner is asked to stop. Answered by [`Proposed::Job`].
    Cancel {
        /// The name of the principal.
        principal: String,
        /// The id of the call.
        call: CallId,
    },
    /// A call whose approvals are complete as far as signatures go. Answered by
    /// [`Proposed::Approved`]; waits up to `wait_ms`.
    NextApproved {
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// Take a waiting call that a person is about to sign, to read its objects again. Answered by
    /// [`Proposed::ToPreview`]; waits up to `wait_ms`.
    #[serde(rename = "next_look")]
    NextPreview {
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// Reports the state that was read. Answered by [`Proposed::Done`].
    #[serde(rename = "seen")]
    Previewed {
        /// The id of the call.
        call: CallId,
        /// The changes of the plan at present.
        seen: FreshPreview,
    },
    /// The journey was run again and allowed: the permit that moves the job to the queue. Answered
    /// by [`Proposed::Recorded`].
    Permit {
        /// The id of the call.
        call: CallId,
        /// The permit of the call.
        permit: SignedPermit,
        /// The ledger entry (`intended`).
        entry: Entry,
        /// When the permit runs out.
        expires: Timestamp,
    },
    /// The journey was run again and denied, or its plan or state differs now. Answered by
    /// [`Proposed::Recorded`].
    Withdraw {
        /// The id of the call.
        call: CallId,
        /// The cause, in one sentence.
        detail: String,
        /// The ledger entry of the withdrawal.
        entry: Entry,
    },
    /// A request of an approver who signed in at the gateway. The recorder checks the approver's
    /// right by its own trust file. Answered by [`Proposed::Approver`].
    Approver {
        /// The name of the approver, by the gateway's trust file.
        approver: String,
        /// The request.
        ask: ApproverAsk,
    },
    /// A request of a person who signed in at the console. The recorder checks person and role by
    /// its own trust file. Answered by [`Proposed::Console`].
    Console {
        /// The person, the role of this request and the way of the sign-in, as the gateway says.
        person: ConsolePerson,
        /// The request.
        ask: ConsoleAsk,
    },
    /// Announces another set, before it is in use: a ledger entry with both digests. Changes
    /// nothing else. Answered by [`Proposed::Done`].
    Reload {
        /// The digest of the trust file's text.
        digest: TrustDigest,
        /// The trust file of the announced set.
        trust: Box<Trust>,
    },
    /// Reports what this gateway serves. Another set than before becomes a ledger entry with both
    /// digests. Questions that could not be carried out with it are closed, by
    /// [`crate::stage::outdated::outdated`]. Answered by [`Proposed::Done`].
    Serving {
        /// The digest of the trust file's text.
        digest: TrustDigest,
        /// The gateway's trust file: policy, tools with their ceilings, executors, commands and
        /// approvers.
        trust: Box<Trust>,
        /// The limits of roles in the policy's data, for budgets.
        limits: RoleLimits,
    },
    /// The static tokens that the agents file has now, and those that its commands ended. A token
    /// that is no longer there ends for ever. Answered by [`Proposed::EndedTokens`].
    Tokens {
        /// The tokens of the file.
        given: Vec<GivenToken>,
        /// The tokens that were replaced or removed.
        ended: Vec<TokenDigest>,
    },
    /// Callers that were served in the last minutes; at most [`crate::model::limit::SERVED`]. Answered by
    /// [`Proposed::Done`].
    Served {
        /// The callers.
        callers: Vec<ServedCaller>,
    },
    /// Asks for the person whom a link invites. Answered by [`Proposed::Invited`].
    Invited {
        /// SHA-256 of the link's secret, in hexadecimal.
        digest: String,
    },
    /// Use a link, once: its passkey waits for an operator. Answered by [`Proposed::Done`].
    Enrol {
        /// SHA-256 of the link's secret, in hexadecimal.
        digest: String,
        /// The line of the passkey, as trust files have it.
        passkey: String,
    },
    /// True if a runner would carry a job out. Answered by [`Proposed::Runners`].
    Runners,
    /// True if new work is taken at present, and what was repaired at the start. Answered by
    /// [`Proposed::Health`].
    Health,
    /// The ledger's newest checkpoint. Answered by [`Proposed::Head`].
    Head,
    /// Agents that were over a limit of their own since the last request of this kind, for the
    /// status. Answered by [`Proposed::Done`].
    OverLimit {
        /// The agents, each with the limit.
        agents: Vec<(String, String)>,
    },
    /// How many of what there are in the store, for metrics. Answered by [`Proposed::Counts`].
    Counts,
}

/// A client's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyKey {
    /// The key, 1 to 128 visible ASCII characters.
    pub key: String,
    /// The name of the tool.
    pub tool: String,
    /// The digest of the canonical arguments of the first call.
    pub arguments: ArgumentsDigest,
}

/// A response of the recorder to the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Proposed {
    /// The entry is durable.
    Recorded(Recorded),
    /// It is the same as this job of the same principal.
    Joined {
        /// The id of the joined job's call.
        call: CallId,
    },
    /// The job that the same call led to, or `None`.
    Same {
        /// The job as its caller sees it.
        job: Option<Box<JobView>>,
        /// Milliseconds since the end of the job; 0 before the end.
        ended_ms: u64,
    },
    /// How a call ended that left no job; `None` when there is no such call of this principal.
    Ended {
        /// The ending of the call.
        ended: Option<EndedCall>,
    },
    /// The first use of the key; `None` while the key is free.
    Key {
        /// The call and arguments it was first used for.
        used: Option<UsedKey>,
    },
    /// A person's denial of the same plan that still counts.
    Rejection {
        /// The rejection, with person, time and reason.
        rejected: Option<Rejected>,
    },
    /// The job, as it is now.
    Job {
        /// The job as its caller sees it.
        job: Box<JobView>,
    },
    /// The job with its times.
    Task(Box<StoredTask>),
    /// The plan of the job.
    Plan {
        /// The canonical JSON text; `None` where it was erased.
        plan: Option<String>,
    },
    /// Calls of the principal's own.
    Calls {
        /// The calls, newest first.
        calls: Vec<OwnCall>,
        /// There are older ones.
        more: bool,
    },
    /// An approved call, with everything needed to run the journey again.
    Approved {
        /// The job; `None` when no call came in time.
        job: Option<Box<StoredJob>>,
        /// The statements that people signed.
        statements: Vec<SignedStatement>,
    },
    /// A waiting call whose objects are to be read.
    #[serde(rename = "to_look")]
    ToPreview {
        /// The job; `None` when no call came in time.
        job: Option<Box<StoredJob>>,
    },
    /// The tokens of the file that ended earlier: a backup brought them back.
    EndedTokens {
        /// Their digests.
        tokens: Vec<TokenDigest>,
    },
    /// The link is open.
    Invited {
        /// The name of the person.
        person: String,
    },
    /// True if a runner is there.
    Runners {
        /// One holds its socket, or did a moment ago.
        there: bool,
        /// Jobs that cannot be finished at present, oldest first; a bounded number of them.
        stuck: Vec<StuckJob>,
    },
    /// How the store and the ledger are.
    Health {
        /// Why new work is refused at present: path, cause (errno where there is one) and remedy,
        /// in one sentence. `None` while it is taken.
        refuses: Option<String>,
        /// Conditions that refuse nothing yet, a sentence each.
        warns: Vec<String>,
        /// Damage that was found and repaired at the start, a sentence each: the file, and where
        /// the evidence was put.
        repaired: Vec<String>,
    },
    /// The newest checkpoint, as a signed note.
    Head {
        /// The number of ledger entries.
        size: u64,
        /// The text of the checkpoint.
        checkpoint: String,
    },
    /// How many of what.
    Counts(Counts),
    /// The answer for an approver.
    Approver {
        /// The answer.
        told: Box<ApproverAnswer>,
    },
    /// The answer for a person at the console.
    Console {
        /// The answer.
        told: Box<ConsoleAnswer>,
    },
    /// The request was carried out.
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
    /// Deliveries of notifications.
    pub receivers: Vec<ReceiverState>,
}

/// A job as its caller sees it, with its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTask {
    /// The job.
    pub job: JobView,
    /// The time at which the call arrived.
    pub created: Timestamp,
    /// The time of the ledger entry that proves its state.
    pub updated: Timestamp,
    /// True if its caller withdrew it, and a runner had it.
    pub stopping: bool,
    /// The job is kept at least this long after it was created, in milliseconds; `None`: for ever.
    pub kept_ms: Option<u64>,
}

/// The first use of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsedKey {
    /// The id of the call.
    pub call: CallId,
    /// The name of the tool.
    pub tool: String,
    /// Digest of the canonical arguments.
    pub arguments: ArgumentsDigest,
}
