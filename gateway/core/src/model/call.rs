//! Calls as the recorder tells of them to their own caller.

use super::id::{CallId, PlanDigest};
use super::run::{Outcome, Phase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a call ended that left no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndedCall {
    /// `answered`, `looked`, `previewed`, `denied`, `refused` or `failed`.
    pub ending: String,
    /// The rule or reason code.
    pub code: String,
    /// The tool; none where no tool was found.
    pub tool: Option<String>,
    /// The plan, where there was one.
    pub plan: Option<PlanDigest>,
    /// When.
    pub time: Timestamp,
    /// Its ledger entry.
    pub ledger: u64,
}

/// A person's denial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Who, by the recorder's own trust file.
    pub approver: String,
    /// Why, in their words; empty without any.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
}

/// One of a principal's own calls, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCall {
    /// The call.
    pub call: CallId,
    /// The tool.
    pub tool: String,
    /// Its operations in words; none where the plan was erased.
    pub what: Vec<String>,
    /// Where it is.
    pub phase: Phase,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// When it arrived.
    pub asked: Timestamp,
}
