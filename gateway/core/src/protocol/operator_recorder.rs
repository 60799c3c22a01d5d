//! Operator command → recorder, over a socket that checks who is at the other end. A use that
//! changes something or reads payloads is a ledger entry. Never carries a key.

use crate::model::difference::Difference;
use crate::model::id::CallId;
use crate::model::job::{Found, JobView, StoredJob, StuckJob};
use crate::model::preview::Preview;
use crate::model::record::Event;
use crate::model::run::{Outcome, Phase};
use crate::model::statement::SignedStatement;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an operator command may ask.
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
    /// One call by id or unique beginning of one. Answered by [`Operated::Story`].
    Show {
        /// The id or its beginning, at least 4 characters.
        call: String,
    },
    /// Hand in a person's signature, approval or rejection. Answered by [`Operated::Signed`].
    Sign {
        /// Which call.
        call: CallId,
        /// The signed statement.
        signed: SignedStatement,
    },
    /// What a waiting call would change at present. Answered by [`Operated::Seen`].
    Look {
        /// Which call.
        call: CallId,
    },
    /// Where a call's job is. Answered by [`Operated::Followed`], as soon as it has an outcome or
    /// the wait is over.
    Follow {
        /// Which call.
        call: CallId,
        /// Wait at most this long.
        wait_ms: u64,
    },
    /// How things are. Answered by [`Operated::Status`].
    Status,
    /// Say what became of a job whose outcome is indeterminate, or give up one that is stuck; once.
    /// Answered by [`Operated::Done`].
    Resolve {
        /// Which.
        call: CallId,
        /// What a person found.
        found: Found,
        /// How they know, 1 to [`crate::model::limit::PURPOSE`] visible characters.
        because: String,
    },
    /// Erase a call's payloads; its leaves and proofs stay. Answered by [`Operated::Done`].
    Erase {
        /// Which.
        call: CallId,
    },
}

/// A fresh look at what a waiting call would change. For the eyes of a person alone: nothing is
/// decided by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "seen")]
pub enum Seen {
    /// What it would change now.
    Now {
        /// Per operation.
        preview: Preview,
    },
    /// It would be refused now, or could not be looked at.
    Not {
        /// Why, in a clause.
        why: String,
    },
}

/// One ledger entry of a call, with the payloads that are still there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoryEntry {
    /// Its index.
    pub index: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
    /// Payloads by name.
    pub payloads: BTreeMap<String, Value>,
}

/// What the supervisor sees of the installation and a confined role cannot. For operators: names
/// and causes, never a value of a key or a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What a restart would bring into use, a sentence each. Empty where a restart would fail.
    pub restart: Vec<String>,
    /// What makes calls fail: path, cause and remedy, a sentence each.
    pub faults: Vec<String>,
    /// What makes no call fail yet, with its effect and its remedy, a sentence each.
    pub warnings: Vec<String>,
}

/// What the recorder answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Operated {
    /// Jobs: at least one if there is any, and no more than one answer carries.
    Jobs {
        /// With whose they are; each without its operations, which its story has.
        jobs: Vec<OwnedJob>,
    },
    /// One call, whole.
    Story {
        /// The call.
        call: CallId,
        /// The job, where there was one.
        job: Option<Box<StoredJob>>,
        /// Its state, where there was one.
        view: Option<Box<JobView>>,
        /// Its entries, oldest first.
        entries: Vec<StoryEntry>,
    },
    /// The signature was taken.
    Signed {
        /// Who signed, by the recorder's own trust file.
        approver: String,
        /// How many more are needed; 0 once the call went on, or was rejected.
        missing: u32,
    },
    /// What was seen.
    Seen(Seen),
    /// Where it is.
    Followed {
        /// Its phase.
        phase: Phase,
        /// What became of it.
        outcome: Option<Outcome>,
        /// The words on the outcome, one sentence.
        detail: String,
        /// What was changed elsewhere in the same objects between the decision and the effect.
        meanwhile: Vec<Difference>,
    },
    /// How things are.
    Status {
        /// Jobs by phase.
        phases: BTreeMap<Phase, u64>,
        /// Entries in the ledger.
        entries: u64,
        /// The newest checkpoint's text.
        checkpoint: String,
        /// The disk under the store; none when it cannot be asked.
        disk: Option<Disk>,
        /// Why new work is refused at present: path, cause and remedy, in one sentence.
        refuses: Option<String>,
        /// What is not as it should be and refuses nothing yet, a sentence each.
        warns: Vec<String>,
        /// Damage that was found and repaired at the start, a sentence each.
        repaired: Vec<String>,
        /// What the supervisor told.
        supervisor: Box<Notice>,
        /// Roles that hold a socket right now, by name.
        roles: BTreeMap<String, u32>,
        /// Jobs that cannot be finished at present, oldest first; a bounded number of them.
        stuck: Vec<StuckJob>,
    },
    /// Done.
    Done,
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
    /// The agent.
    pub principal: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// When it came.
    pub created: Timestamp,
    /// The summary the tool gave, quoted.
    pub summary: String,
    /// The job.
    pub job: JobView,
}
