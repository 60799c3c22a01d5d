//! Approver → gateway → recorder: questions that wait for a person, as that person may read and
//! sign them from another machine. The same forms go over HTTP. Never about a call whose approver
//! the person cannot be.

use super::operator_recorder::FreshPreview;
use crate::model::difference::Difference;
use crate::model::id::CallId;
use crate::model::job::StoredJob;
use crate::model::reason::ApprovalRule;
use crate::model::run::{Outcome, Phase};
use crate::model::statement::SignedStatement;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Questions in one list: a person can still choose by number.
pub const QUESTIONS: usize = 50;

/// A request of an approver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum ApproverAsk {
    /// The questions that wait and that this approver may sign, newest first, at most
    /// [`QUESTIONS`]. Answered by [`ApproverAnswer::Waiting`].
    Waiting,
    /// One question. Answered by [`ApproverAnswer::Question`].
    Question {
        /// The id of the call.
        call: CallId,
    },
    /// The changes that the call would make now. Answered by [`ApproverAnswer::Previewed`].
    Preview {
        /// The id of the call.
        call: CallId,
    },
    /// Hand in the approver's own signature, approval or rejection. Answered by
    /// [`ApproverAnswer::Signed`].
    Sign {
        /// The id of the call.
        call: CallId,
        /// The statement and its signature.
        signed: SignedStatement,
    },
    /// The state of a call. Answered by [`ApproverAnswer::Followed`], as soon as it has an outcome
    /// or the wait is over.
    Follow {
        /// The id of the call.
        call: CallId,
        /// Wait at most this many milliseconds.
        wait_ms: u64,
    },
    /// The signatures of a question. Answered by [`ApproverAnswer::Signatures`], as soon as other
    /// people than these many signed, the question waits no more, or the wait is over.
    Watch {
        /// The id of the call.
        call: CallId,
        /// The number of people whose signatures the reader knows.
        known: u32,
        /// Wait at most this many milliseconds.
        wait_ms: u64,
    },
}

impl ApproverAsk {
    /// The name of the request, for the ledger.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "list",
            Self::Question { .. } => "show",
            Self::Preview { .. } => "look",
            Self::Sign { .. } => "sign",
            Self::Follow { .. } => "follow",
            Self::Watch { .. } => "watch",
        }
    }
}

/// An answer for an approver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ApproverAnswer {
    /// The questions that wait.
    Waiting {
        /// The questions, newest first.
        waiting: Vec<WaitingQuestion>,
        /// True if there may be more than these.
        more: bool,
    },
    /// One question.
    Question(Box<Question>),
    /// The changes now.
    #[serde(rename = "seen")]
    Previewed(FreshPreview),
    /// The signature was taken.
    Signed {
        /// The approver, by the recorder's own trust file.
        approver: String,
        /// The number of missing signatures; 0 once the call went on, or was rejected.
        missing: u32,
    },
    /// The signatures of a question.
    Signatures(SignaturesNow),
    /// The state of a call.
    Followed {
        /// The phase of the job.
        phase: Phase,
        /// The outcome; `None` before the end.
        outcome: Option<Outcome>,
        /// The outcome in one sentence.
        detail: String,
        /// Changes by others to the same objects since the preview.
        meanwhile: Vec<Difference>,
    },
}

/// The signatures of a question at this moment. Not part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignaturesNow {
    /// The people whose approvals count, by the recorder's trust file.
    pub signers: Vec<String>,
    /// The number of missing signatures.
    pub missing: u32,
    /// True while the question waits for signatures, or for the check that follows the last one.
    pub waits: bool,
}

/// A question as an approver's own machine needs it: the text that is signed derives from the job
/// alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The job that waits.
    pub job: StoredJob,
    /// The people who approved so far, by the recorder's trust file. Not part of what is signed.
    pub signers: Vec<String>,
    /// The absent approver in whose place this person signs; none for themselves. Part of what is
    /// signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
}

/// A question in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingQuestion {
    /// The id of the call.
    pub call: CallId,
    /// The name of the tool.
    pub tool: String,
    /// The tool's own summary: words of others.
    pub summary: String,
    /// The name of the agent.
    pub agent: String,
    /// The person for whom the agent works.
    pub person: Option<String>,
    /// The time of the question.
    pub asked: Timestamp,
    /// The end of the question.
    pub expires: Timestamp,
    /// The signatures that it needs.
    pub approval: Option<ApprovalRule>,
}
