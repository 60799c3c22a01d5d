//! The ledger entries: one for each event that must be provable later. An entry is canonical JSON
//! with keyed commitments, so that payloads can be erased without breaking a proof. Never has a
//! secret, an argument or an object's content in clear.

use crate::model::id::{
    CallId, ComponentDigest, Fence, PlanDigest, PolicyDigest, PreviewDigest, StatementDigest,
    TrustDigest,
};
use crate::model::job::Found;
use crate::model::retention::Retained;
use crate::model::run::{Outcome, Phase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema name of a ledger entry.
pub const LEAF_SCHEMA: &str = "cofferdam.leaf.v1";

/// The prefix of an operator's command in [`Event::Administered`].
pub const OPERATOR: &str = "operator ";

/// The use of an invitation's link in [`Event::Administered`]: no command of an operator.
pub const INVITATION_USED: &str = "invitation used";

/// The prefix of a request of an approver from another machine in [`Event::Administered`].
pub const APPROVER: &str = "approver ";

/// The prefix of a request of a person at the console in [`Event::Administered`].
pub const CONSOLE: &str = "console ";

/// An event of the ledger, without its payloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A call ended without a job: with an answer, a read, a denial or a failure.
    Ended {
        /// `answered`, `looked`, `previewed`, `denied`, `refused`, `failed`,
        /// `busy`.
        ending: String,
        /// The rule or reason code.
        code: String,
    },
    /// A person has to sign.
    Asked,
    /// The intent: decided, durable before anyone can claim it.
    Intended,
    /// An approver signed.
    Signed {
        /// Digest of the statement.
        statement: StatementDigest,
        /// The approver, by the recorder's own trust file.
        approver: String,
        /// The verdict: `approve` or `reject`.
        verdict: String,
        /// The absent approver in whose place they signed, by a delegation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stands_for: Option<String>,
    },
    /// A runner claimed it.
    Leased {
        /// The lease epoch.
        fence: Fence,
    },
    /// A job moved to a phase.
    Moved {
        /// The new phase.
        phase: Phase,
        /// The lease epoch.
        fence: Fence,
    },
    /// An operation is about to act.
    Started {
        /// The index of the operation.
        operation: u32,
        /// True if this is its undo.
        undo: bool,
        /// The lease epoch.
        fence: Fence,
    },
    /// An operation was done.
    Done {
        /// The index of the operation.
        operation: u32,
        /// True if this was its undo.
        undo: bool,
        /// The lease epoch.
        fence: Fence,
    },
    /// The job has its outcome.
    Finished {
        /// The outcome of the job.
        outcome: Outcome,
    },
    /// An operator resolved an indeterminate job.
    Resolved {
        /// The real outcome.
        found: Found,
        /// The operating-system user of the operator.
        by: String,
    },
    /// The run namespace was observed to be deleted.
    Closed {
        /// The run namespace; empty if it was never created.
        namespace: String,
    },
    /// Retention removed old rows from the store. The entries and their proofs stay.
    Removed {
        /// The kind of rows.
        what: Retained,
        /// The number of rows; of payloads, the number of entries that had any.
        count: u64,
        /// Rows until this time were removed.
        before: Timestamp,
        /// Of payloads: entries with a smaller index may lack them from now on.
        end: Option<u64>,
    },
    /// The gateway, an operator command, or a role's start.
    Administered {
        /// The act: `start`, `operator show` (or another command of the operators' socket),
        /// `approver show` (or another request of an approver from another machine),
        /// `console story` (or another request of a person at the console), `trust`,
        /// `policy`, `tool`, `erase`, `heartbeat`.
        what: String,
        /// By whom: an operating-system user id, an approver, or a role.
        by: String,
    },
}

/// One entry as proposed: the recorder adds sequence, time, and commitments to the payloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// The call; `None` for administration.
    pub call: Option<CallId>,
    /// The agent's name; empty for administration.
    pub principal: String,
    /// The tool's name and component; `None` where no tool was found.
    pub tool: Option<(String, ComponentDigest)>,
    /// The plan, once sealed.
    pub plan: Option<PlanDigest>,
    /// The preview, once made.
    pub preview: Option<PreviewDigest>,
    /// The policy, once asked.
    pub policy: Option<PolicyDigest>,
    /// The trust file, for administration.
    pub trust: Option<TrustDigest>,
    /// Trace id, 32 hexadecimal digits; empty without a trace.
    pub trace: String,
    /// Payloads by name, as JSON text: stored apart, committed to in the entry, erasable.
    pub payloads: BTreeMap<String, String>,
}

impl Entry {
    /// An entry with event and call alone.
    pub fn of(event: Event, call: Option<CallId>, principal: &str) -> Self {
        Self {
            event,
            call,
            principal: principal.to_owned(),
            tool: None,
            plan: None,
            preview: None,
            policy: None,
            trust: None,
            trace: String::new(),
            payloads: BTreeMap::new(),
        }
    }

    /// The same entry with one more payload.
    #[must_use]
    pub fn with(mut self, name: &str, json: String) -> Self {
        self.payloads.insert(name.to_owned(), json);
        self
    }
}

/// The place of an entry in the ledger: part of every result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its index in the ledger, from 0.
    pub index: u64,
}
