//! Calls as the recorder shows them to their own caller.

use super::id::{CallId, PlanDigest};
use super::run::{Outcome, Phase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The ending of a call without a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndedCall {
    /// `answered`, `looked`, `previewed`, `denied`, `refused`, `failed` or `busy`; `removed` for a
    /// call whose closed job retention removed.
    pub ending: String,
    /// The rule or reason code; the outcome of a removed job.
    pub code: String,
    /// The tool; `None` where no tool was found.
    pub tool: Option<String>,
    /// The plan, where there was one.
    pub plan: Option<PlanDigest>,
    /// The time at which the call ended, or its job was removed.
    pub time: Timestamp,
    /// The index of its ledger entry.
    pub ledger: u64,
}

/// An approver's rejection of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// The approver, by the recorder's own trust file.
    pub approver: String,
    /// The reason in the words of the approver; may be empty.
    pub reason: String,
    /// The time of the rejection.
    pub at: Timestamp,
    /// The time until which the rejection is in effect.
    pub until: Timestamp,
}

/// One of a principal's own calls, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCall {
    /// The id of the call.
    pub call: CallId,
    /// The name of the tool.
    pub tool: String,
    /// Its operations in words; `None` where the plan was erased.
    pub what: Vec<String>,
    /// The phase of the job.
    pub phase: Phase,
    /// The outcome of the job; `None` before its end.
    pub outcome: Option<Outcome>,
    /// The time at which the call arrived.
    pub asked: Timestamp,
}
