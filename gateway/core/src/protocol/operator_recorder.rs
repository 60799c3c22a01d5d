//! Operator command → recorder, over a socket that checks the operating-system user. A request that
//! changes the store or reads payloads becomes a ledger entry. Never carries a key but those of
//! commitments, each with the payload that it commits to.

use crate::model::call_filter::CallFilter;
use crate::model::call_row::{CallChanges, CallCursor, CallPage};
use crate::model::callers::ServedCaller;
use crate::model::difference::Difference;
use crate::model::id::{CallId, PolicyDigest, TokenDigest, TrustDigest};
use crate::model::job::{Found, JobView, StoredJob, StuckJob};
use crate::model::notification::ReceiverState;
use crate::model::preview::Preview;
use crate::model::retention::Retained;
use crate::model::run::{Outcome, Phase};
use crate::model::statement::SignedStatement;
use crate::model::stop::{Stop, StopScope};
pub use crate::model::story::{Removal, StoryEntry};
use crate::model::trust::Trust;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request of an operator command to the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Operate {
    /// Jobs, newest first. Answered by [`Operated::Jobs`].
    Jobs {
        /// Only those that wait for a person.
        waiting: bool,
        /// At most this many.
        limit: u32,
        /// Only those older than this one: its id or a unique beginning of it, at least 4
        /// characters.
        before: Option<String>,
    },
    /// Calls of the ledger, newest first, those without a job included. Answered by
    /// [`Operated::Calls`].
    Calls {
        /// The calls that are wanted.
        filter: CallFilter,
        /// The place of the page; `None` for the newest calls.
        before: Option<CallCursor>,
        /// At most this many, 1 to [`crate::protocol::console::CALLS_MOST`].
        limit: u32,
    },
    /// Changes of this list. Answered by [`Operated::CallChanges`], as soon as there are some or
    /// the wait is over.
    CallChanges {
        /// The calls that are wanted.
        filter: CallFilter,
        /// The number of ledger entries that the asker knows: `through` of the answer before.
        beyond: u64,
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// One call by id or unique beginning of one. Answered by [`Operated::Story`].
    Show {
        /// The id or its beginning, at least 4 characters.
        call: String,
    },
    /// Hand in a person's signature, approval or rejection. Answered by [`Operated::Signed`].
    Sign {
        /// The id of the call.
        call: CallId,
        /// The statement and its signature.
        signed: SignedStatement,
    },
    /// Asks for the changes of a waiting call at present. Answered by [`Operated::Previewed`].
    #[serde(rename = "look")]
    Preview {
        /// The id of the call.
        call: CallId,
    },
    /// Where a call's job is. Answered by [`Operated::Followed`], as soon as it has an outcome or
    /// the wait is over.
    Follow {
        /// The id of the call.
        call: CallId,
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// Who was served, and which static tokens have ended. Answered by [`Operated::Callers`].
    Callers,
    /// How things are. Answered by [`Operated::Status`].
    Status,
    /// Load tools, executors, policy and trust of the home again. Answered by
    /// [`Operated::Reloaded`], when that is done or refused.
    Reload,
    /// Say what became of a job whose outcome is indeterminate, or give up one that is stuck; once.
    /// Answered by [`Operated::Done`].
    Resolve {
        /// The id of the call.
        call: CallId,
        /// The real outcome.
        found: Found,
        /// How they know, 1 to [`crate::model::limit::PURPOSE`] visible characters.
        because: String,
    },
    /// Stop calls, and end the jobs among them that runners have. Answered by
    /// [`Operated::Stops`].
    Stop {
        /// The calls.
        calls: StopScope,
        /// The reason, 1 to [`crate::model::limit::PURPOSE`] visible characters.
        because: String,
    },
    /// Lift a stop. Answered by [`Operated::Stops`].
    LiftStop {
        /// The calls of the stop.
        calls: StopScope,
    },
    /// The stops. Answered by [`Operated::Stops`].
    Stops,
    /// Send a test to a receiver of notifications, once. Answered by [`Operated::Tested`].
    TestReceiver {
        /// The name of the receiver.
        receiver: String,
    },
    /// Invite a person to enrol a passkey, in place of an older invitation. Answered by
    /// [`Operated::Done`].
    Invite {
        /// The name of the person.
        person: String,
        /// SHA-256 of the link's secret, in hexadecimal. The secret itself is in the link alone.
        digest: String,
        /// The end of the link.
        expires: Timestamp,
    },
    /// Asks for open invitations, and for passkeys that wait for an operator. Answered by
    /// [`Operated::Invitations`].
    Invitations,
    /// End the invitation of a person. Answered by [`Operated::Done`].
    EndInvitation {
        /// The name of the person.
        person: String,
        /// The decision of the operator.
        decision: InvitationDecision,
    },
    /// The payloads of signatures, for a check on another machine. Answered by
    /// [`Operated::Approvals`].
    Approvals {
        /// The first entry.
        from: u64,
        /// The entry after the last one.
        end: u64,
    },
    /// Erase the payloads of a call; its ledger entries and proofs stay. Answered by
    /// [`Operated::Done`].
    Erase {
        /// The id of the call.
        call: CallId,
    },
}

/// The payloads of one signature, with the key of their commitments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPayload {
    /// The index of the entry.
    pub index: u64,
    /// The key of the entry's commitments, in base64. It is the key of this entry alone.
    pub key: String,
    /// The payloads by name, exactly as the entry commits to them.
    pub payloads: BTreeMap<String, String>,
}

/// The decision of an operator about the passkey of an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decided")]
pub enum InvitationDecision {
    /// The passkey is enrolled.
    Confirmed {
        /// The digest of its line, in hexadecimal.
        passkey: String,
    },
    /// Nothing is enrolled.
    Discarded,
}

/// The changes that a waiting call would make now. For a person to read; no decision depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "seen")]
pub enum FreshPreview {
    /// The state was read.
    Now {
        /// The preview, operation by operation.
        preview: Preview,
    },
    /// The call would be refused now, or its objects could not be read.
    Not {
        /// Why, in a clause.
        why: String,
    },
}

/// An invitation of an approver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The name of the person.
    pub person: String,
    /// The end of the link.
    pub expires: Timestamp,
    /// The line of the passkey that waits for an operator; `None` while the link is unused.
    pub passkey: Option<String>,
}

/// The supervisor's report on the installation, which a confined role cannot read. For operators:
/// names and causes, never a value of a key or a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Changes that are in effect after a restart, a sentence each. Empty where a restart would
    /// fail.
    pub restart: Vec<String>,
    /// The causes for which calls fail: path, cause and remedy, a sentence each.
    pub faults: Vec<String>,
    /// Conditions that make no call fail yet, with effect and remedy, a sentence each.
    pub warnings: Vec<String>,
    /// The set in use; `None` before the first notice.
    pub loaded: Option<Loaded>,
    /// The last reload; `None` before the first one.
    pub reload: Option<Reload>,
    /// The cause if the newest self-check of a cluster failed: an admission policy is missing or
    /// does not hold.
    pub unfenced: Option<String>,
}

/// The set of tools, executors, policy and trust in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loaded {
    /// The time since which this set is in use.
    pub since: Timestamp,
    /// The digest of the trust file, which names all other parts.
    pub trust: TrustDigest,
    /// The digest of the policy.
    pub policy: PolicyDigest,
    /// The number of tools.
    pub tools: u64,
    /// The number of executors.
    pub executors: u64,
    /// The number of commands of tasks.
    pub commands: u64,
    /// The number of keys of approvers.
    pub approvers: u64,
}

impl Loaded {
    /// The set of this trust file.
    pub fn of(trust: &Trust, digest: TrustDigest, since: Timestamp) -> Self {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Self {
            since,
            trust: digest,
            policy: trust.policy,
            tools: count(trust.tools.len()),
            executors: count(trust.executors.len()),
            commands: count(trust.commands.len()),
            approvers: count(trust.approvers.len()),
        }
    }
}

/// The end of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// The newest request that it answers; 0 if only a signal asked.
    pub request: u64,
    /// The time of the end.
    pub at: Timestamp,
    /// Cause and remedy, if the new set was refused; the set before it is in use then.
    pub refused: Option<String>,
}

/// A response of the recorder to an operator command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Operated {
    /// Jobs: at least one if there is any, and no more than one answer carries.
    Jobs {
        /// With whose they are; each without its operations, which its story has.
        jobs: Vec<OwnedJob>,
    },
    /// All that the ledger has of one call.
    Story {
        /// The id of the call.
        call: CallId,
        /// The job, where there was one.
        job: Option<Box<StoredJob>>,
        /// Its state, where there was one.
        view: Option<Box<JobView>>,
        /// Its entries, oldest first.
        entries: Vec<StoryEntry>,
        /// What retention removed of it.
        removed: Vec<Removal>,
    },
    /// The invitations, by person.
    Invitations {
        /// The open ones, and those with a passkey.
        invitations: Vec<Invitation>,
    },
    /// Payloads of signatures, in the order of the ledger; as many as one answer carries.
    Approvals {
        /// Those that are still there.
        payloads: Vec<ApprovalPayload>,
        /// The entry with which the next request begins; `None` at the end.
        next: Option<u64>,
    },
    /// The signature was taken.
    Signed {
        /// The approver, by the recorder's own trust file.
        approver: String,
        /// How many more are needed; 0 once the call went on, or was rejected.
        missing: u32,
    },
    /// The state that was read.
    #[serde(rename = "seen")]
    Previewed(FreshPreview),
    /// The state of one job.
    Followed {
        /// The phase of the job.
        phase: Phase,
        /// The outcome; `None` before the end.
        outcome: Option<Outcome>,
        /// The words on the outcome, one sentence.
        detail: String,
        /// The changes elsewhere in the same objects between decision and effect.
        meanwhile: Vec<Difference>,
    },
    /// A page of calls.
    Calls(CallPage),
    /// Changes of a list of calls.
    CallChanges(CallChanges),
    /// The register of callers.
    Callers {
        /// Those that were served, the last one first; at most
        /// [`crate::model::limit::SHOWN_CALLERS`].
        served: Vec<ServedCaller>,
        /// The static tokens that were replaced or removed.
        ended: Vec<TokenDigest>,
    },
    /// The state of the installation.
    Status {
        /// The number of jobs in each phase.
        phases: BTreeMap<Phase, u64>,
        /// Entries in the ledger.
        entries: u64,
        /// The newest checkpoint's text.
        checkpoint: String,
        /// The disk under the store; `None` when it cannot be asked.
        disk: Option<Disk>,
        /// Why new work is refused at present: path, cause and remedy, in one sentence.
        refuses: Option<String>,
        /// Conditions that refuse nothing yet, a sentence each.
        warns: Vec<String>,
        /// Damage that was found and repaired at the start, a sentence each.
        repaired: Vec<String>,
        /// The report of the supervisor.
        supervisor: Box<Notice>,
        /// Roles that hold a socket right now, by name.
        roles: BTreeMap<String, u32>,
        /// Jobs that cannot be finished at present, oldest first; a bounded number of them.
        stuck: Vec<StuckJob>,
        /// What retention removes, and what it removed.
        retention: Vec<RetentionState>,
        /// Deliveries of notifications.
        receivers: Vec<ReceiverState>,
    },
    /// The stops after the request, oldest first.
    Stops {
        /// At most [`crate::model::stop::STOPS`].
        stops: Vec<Stop>,
        /// The number of jobs that runners were asked to end by this request.
        ended: u64,
        /// The number of queued jobs that wait for the end of a stop.
        held: u64,
    },
    /// The result of a test.
    Tested {
        /// The cause and its remedy; `None` if the receiver took the test.
        error: Option<String>,
    },
    /// The home was loaded again, or that was refused.
    Reloaded {
        /// The set in use from now on.
        loaded: Loaded,
        /// Cause and remedy, if the new set was refused; the set before it is in use then.
        refused: Option<String>,
    },
    /// The request was carried out.
    Done,
}

/// The state of retention for one kind of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionState {
    /// The kind of rows.
    pub what: Retained,
    /// The retention in seconds; `None` keeps them for ever.
    pub seconds: Option<u64>,
    /// The number of removed rows so far; of payloads, of entries that had any.
    pub removed: u64,
    /// The time of the newest removal.
    pub newest: Option<Timestamp>,
    /// The time of the next look for old rows; `None` if they are kept for ever.
    pub next: Option<Timestamp>,
}

/// Room on the disk under the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Bytes that the recorder may still write.
    pub free_bytes: u64,
    /// Bytes that stay for outcomes and teardown: at or below them new work is refused.
    pub reserve_bytes: u64,
}

/// A job with its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedJob {
    /// The name of the agent.
    pub principal: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// The time at which the call came.
    pub created: Timestamp,
    /// The summary the tool gave, quoted.
    pub summary: String,
    /// The job as people see it.
    pub job: JobView,
}
