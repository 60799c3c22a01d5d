//! A person at the console → gateway → recorder: calls, their stories and proofs, and the state of
//! the installation. The recorder checks person and role by its own trust file. Approves nothing;
//! the only change is that an operator cancels a call.

use super::approver::WaitingQuestion;
use super::operator_recorder::{Disk, Notice, RetentionState};
use crate::model::budget::Budgets;
use crate::model::call_filter::CallFilter;
use crate::model::call_row::{CallChanges, CallCursor, CallPage};
use crate::model::id::CallId;
use crate::model::job::{JobView, StoredJob, StuckJob};
use crate::model::notification::ReceiverState;
use crate::model::run::Phase;
use crate::model::story::{Removal, StoryEntry};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most calls in one page of a list.
pub const CALLS_MOST: u32 = 500;

/// The most callers in one answer, the last used first.
pub const AGENTS_MOST: usize = 500;

/// The most proofs in one answer: a call has an entry for each step of each operation.
pub const PROOFS_MOST: usize = 500;

/// A request of a person at the console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum ConsoleAsk {
    /// Calls, newest first; for an approver, those that the person signed. Answered by
    /// [`ConsoleAnswer::Calls`].
    Calls {
        /// The calls that are wanted.
        filter: CallFilter,
        /// The place of the page; `None` for the newest calls.
        before: Option<CallCursor>,
        /// At most this many, 1 to [`CALLS_MOST`].
        limit: u32,
    },
    /// Changes of this list. Answered by [`ConsoleAnswer::Changes`], as soon as there are some or
    /// the wait is over.
    Changes {
        /// The calls that are wanted.
        filter: CallFilter,
        /// The number of ledger entries that the asker knows: `through` of the answer before.
        beyond: u64,
        /// Wait at most this many milliseconds.
        wait_ms: u64,
    },
    /// The story of one call. Answered by [`ConsoleAnswer::Story`].
    Story {
        /// The id of the call.
        call: CallId,
    },
    /// The proofs of the entries of one call. Answered by [`ConsoleAnswer::Proof`].
    Proof {
        /// The id of the call.
        call: CallId,
    },
    /// The questions that wait, newest first; for an approver, those that the person may sign.
    /// Answered by [`ConsoleAnswer::Waiting`].
    Waiting,
    /// Agents that were served. Answered by [`ConsoleAnswer::Agents`].
    Agents,
    /// The state of the installation. Answered by [`ConsoleAnswer::Overview`].
    Overview,
    /// Cancel a call; for operators alone. Answered by [`ConsoleAnswer::Cancelled`].
    Cancel {
        /// The id of the call.
        call: CallId,
        /// The reason, 1 to [`crate::model::limit::PURPOSE`] visible characters; the agent reads
        /// it.
        because: String,
    },
}

impl ConsoleAsk {
    /// The name of the request, for the ledger.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Calls { .. } => "calls",
            Self::Changes { .. } => "changes",
            Self::Story { .. } => "story",
            Self::Proof { .. } => "proof",
            Self::Waiting => "waiting",
            Self::Agents => "agents",
            Self::Overview => "overview",
            Self::Cancel { .. } => "cancel",
        }
    }
}

/// An answer for a person at the console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ConsoleAnswer {
    /// A page of calls.
    Calls(CallPage),
    /// Changes of a list.
    Changes(CallChanges),
    /// The story of a call.
    Story(Box<CallStory>),
    /// The proofs of the entries of a call.
    Proof(CallProof),
    /// The questions that wait.
    Waiting {
        /// The questions, newest first; at most [`super::approver::QUESTIONS`].
        waiting: Vec<WaitingCall>,
        /// True if there may be more than these.
        more: bool,
    },
    /// Agents that were served.
    Agents {
        /// The agents, the last used first; at most [`AGENTS_MOST`].
        agents: Vec<AgentRow>,
        /// True if there are more than these.
        more: bool,
    },
    /// The state of the installation.
    Overview(Box<Overview>),
    /// The call was cancelled.
    Cancelled {
        /// True if it ended at once; false if its runner was asked to stop.
        at_once: bool,
    },
    /// The request was refused; nothing was changed.
    Refused {
        /// The code of the refusal.
        code: ConsoleRefusal,
        /// Cause and remedy, in one sentence.
        why: String,
    },
}

/// The refusal of a request of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRefusal {
    /// The recorder does not know that this person has this role.
    NotEnrolled,
    /// The role sees no such page.
    NotForRole,
    /// The role may not cancel a call.
    MayNotCancel,
    /// There is no such call, or it is not for this person: one answer for both.
    UnknownCall,
    /// The call has no job that can still be cancelled.
    NotOpen,
    /// A part of the request is not valid.
    Invalid,
}

impl ConsoleRefusal {
    /// The word of the code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotEnrolled => "not_enrolled",
            Self::NotForRole => "not_for_role",
            Self::MayNotCancel => "may_not_cancel",
            Self::UnknownCall => "unknown_call",
            Self::NotOpen => "not_open",
            Self::Invalid => "invalid",
        }
    }
}

/// Everything that is stored about one call, for a person to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallStory {
    /// The id of the call.
    pub call: CallId,
    /// The job; `None` for a call without one, and where it was removed or erased.
    pub job: Option<StoredJob>,
    /// The job as its caller sees it.
    pub view: Option<JobView>,
    /// The entries, oldest first.
    pub entries: Vec<StoryEntry>,
    /// The parts that retention removed.
    pub removed: Vec<Removal>,
}

/// The proofs of the entries of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallProof {
    /// The key of the recorder by its own trust file: `ed25519:` and 64 hexadecimal digits. A
    /// reader who brings a key of their own needs to believe nothing here.
    pub key: String,
    /// The proofs, oldest entry first; at most [`PROOFS_MOST`]. Entries that no checkpoint of the
    /// published ledger signs yet are left out.
    pub proofs: Vec<EntryProof>,
    /// True if the call has more entries than these.
    pub more: bool,
}

/// The proof of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryProof {
    /// The index of the entry.
    pub index: u64,
    /// The proof, as the file `.tlog-proof` has it: the entry is its extra data.
    pub proof: String,
}

/// A question that waits, with the people who signed so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingCall {
    /// The question.
    pub question: WaitingQuestion,
    /// The people who approved so far.
    pub signers: Vec<String>,
}

/// An agent that was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRow {
    /// The name of the agent.
    pub name: String,
    /// Its roles at the last use.
    pub roles: Vec<String>,
    /// The person for whom it worked at the last use.
    pub person: Option<String>,
    /// The last use, at most [`crate::model::limit::USE_SECONDS`] too early.
    pub used: Timestamp,
    /// The budgets of the agent with these roles.
    pub budgets: Budgets,
    /// Its new jobs of today.
    pub jobs_today: u64,
    /// The bytes of its calls' first entries of today.
    pub bytes_today: u64,
    /// Its calls that wait for a person.
    pub waiting: u64,
}

/// The state of the installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overview {
    /// The number of jobs in each phase.
    pub phases: BTreeMap<Phase, u64>,
    /// Entries in the ledger.
    pub entries: u64,
    /// The text of the newest checkpoint.
    pub checkpoint: String,
    /// The disk under the store; `None` if its state is not known.
    pub disk: Option<Disk>,
    /// The reason why new work is refused at present: path, cause and remedy, in one sentence.
    pub refuses: Option<String>,
    /// Conditions that refuse nothing yet, a sentence each.
    pub warns: Vec<String>,
    /// Damage that was found and repaired at the start, a sentence each.
    pub repaired: Vec<String>,
    /// The report of the supervisor: the set in use, faults and warnings.
    pub supervisor: Notice,
    /// The number of sockets of each role.
    pub roles: BTreeMap<String, u32>,
    /// Jobs that cannot be finished at present, oldest first.
    pub stuck: Vec<StuckJob>,
    /// The state of retention.
    pub retention: Vec<RetentionState>,
    /// Deliveries of notifications.
    pub receivers: Vec<ReceiverState>,
    /// The number of ledger entries that lists of calls know.
    pub indexed: u64,
}
