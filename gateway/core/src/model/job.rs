//! A job as it is stored and handed on: plain data that no role trusts. A runner makes a
//! `LeasedPlan` of it only through `stage::readmit`.

use crate::model::caller::{Principal, TraceParent};
use crate::model::difference::Difference;
use crate::model::id::{
    ArgumentsDigest, CallId, ComponentDigest, Fence, PlanDigest, PolicyDigest, PreviewDigest,
};
use crate::model::permit::SignedPermit;
use crate::model::reason::{ApprovalRule, Reason};
use crate::model::run::{Outcome, Phase};
use crate::model::statement::SignedStatement;
use crate::model::trust::Environment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The stored job of a call: the same from the question to the last retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredJob {
    /// The id of the call.
    pub call: CallId,
    /// The caller, who owns the job.
    pub principal: Principal,
    /// The name of the tool.
    pub tool: String,
    /// The digest of the tool's component.
    pub tool_digest: ComponentDigest,
    /// Canonical arguments, as JSON text.
    pub arguments: String,
    /// The purpose that the agent gave.
    pub purpose: Option<String>,
    /// The sealed plan, as canonical JSON text.
    pub plan: String,
    /// Its digest, computed by the gateway.
    pub plan_digest: PlanDigest,
    /// The preview, as canonical JSON text.
    pub preview: String,
    /// Its digest, computed by the gateway.
    pub preview_digest: PreviewDigest,
    /// The environment that the job is for.
    pub environment: Environment,
    /// The policy that decided or asked.
    pub policy: PolicyDigest,
    /// The reasons of the decision.
    pub reasons: Vec<Reason>,
    /// The approval rule; `None` where policy asked for no signature.
    pub approval: Option<ApprovalRule>,
    /// The nonce of the question to approvers: 32 hexadecimal digits.
    pub nonce: String,
    /// Signed statements so far, approvals and rejections.
    pub statements: Vec<SignedStatement>,
    /// The permit; `None` while a person is asked.
    pub permit: Option<SignedPermit>,
    /// The span that later stages are children of.
    pub trace: Option<TraceParent>,
    /// The time at which the call arrived.
    pub created: Timestamp,
    /// The time at which the question or the permit expires.
    pub expires: Timestamp,
}

/// The record of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRecord {
    /// Its index in the plan.
    pub index: u32,
    /// True if this was its undo.
    pub undo: bool,
    /// Before, redacted: field path → value.
    pub before: BTreeMap<String, Value>,
    /// After, redacted; `None` until it is done.
    pub after: Option<BTreeMap<String, Value>>,
}

/// One line of an executor or a task on its way: others' words, quoted wherever they are shown,
/// never interpreted, never in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Counts the job's notes, from 1.
    pub number: u64,
    /// The text and its source.
    pub said: Said,
}

/// A line of text from an executor or a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Index of the operation whose task said it; `None` for the executor's own words.
    pub operation: Option<u32>,
    /// At most [`crate::model::limit::NOTE`] characters.
    pub text: String,
    /// Lines before it that were not passed on, because there were too many at once.
    pub skipped: u64,
}

/// An operator's record of the real outcome of an indeterminate job, or of a stuck one. The
/// recorded outcome itself stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// The real outcome.
    #[serde(rename = "as")]
    pub found: Found,
    /// The evidence, in the words of the operator: at most [`crate::model::limit::PURPOSE`]
    /// characters.
    pub because: String,
    /// The operating-system user of the command.
    pub by: String,
    /// The time of the record.
    pub at: Timestamp,
}

/// The end of a job by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// The name of the operator, by the recorder's own trust file.
    pub by: String,
    /// The reason, in the words of the operator: at most [`crate::model::limit::PURPOSE`]
    /// characters.
    pub because: String,
}

impl Cancellation {
    /// The sentence for the agent, without a full stop.
    pub fn words(&self) -> String {
        if self.because.is_empty() {
            return format!("the operator `{}` cancelled it", self.by);
        }
        format!("the operator `{}` cancelled it: {}", self.by, self.because)
    }
}

/// A real outcome: the job did all that was approved, or it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Every operation is in effect.
    Succeeded,
    /// At least one operation is not in effect.
    Failed,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        })
    }
}

/// Why a job cannot go on at present, and what an operator does about it. Both are the words of a
/// sentence: lower case, no full stop, input in backticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{cause}; {remedy}")]
pub struct Obstacle {
    /// The cause: the task that fails, with the path and the error.
    pub cause: String,
    /// The remedy, in one sentence.
    pub remedy: String,
}

impl Obstacle {
    /// An obstacle with its cause and its remedy.
    pub fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }
}

/// A job that cannot be finished at present. It is tried again by itself, with a growing pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stuck {
    /// The obstacle of the newest try.
    pub obstacle: Obstacle,
    /// The time of the first try that met it.
    pub since: Timestamp,
    /// The number of tries that met it.
    pub tries: u32,
}

/// A stuck job in a list for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StuckJob {
    /// The id of the call.
    pub call: CallId,
    /// The phase of the job.
    pub phase: Phase,
    /// The obstacle, and the time since when it is there.
    pub stuck: Stuck,
}

/// One operation of a job's plan, as it is named to people. Made of the stored plan for showing,
/// and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Its index in the plan.
    pub index: u32,
    /// `patch Deployment web in namespace team-a`.
    pub words: String,
    /// True if the operation reaches the run namespace alone.
    pub ephemeral: bool,
    /// True if the operation decides which code runs.
    pub executes_code: bool,
    /// The remarks of the preview, one for each line.
    pub remarks: Vec<String>,
}

/// A job as its owner may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobView {
    /// The id of the call.
    pub call: CallId,
    /// The name of the tool.
    pub tool: String,
    /// The digest of the plan.
    pub plan: PlanDigest,
    /// The digest of the canonical arguments.
    pub arguments: ArgumentsDigest,
    /// The phase of the job.
    pub phase: Phase,
    /// The outcome; `None` before the end.
    pub outcome: Option<Outcome>,
    /// The outcome in one sentence, in the words of the runner or of a person.
    pub detail: String,
    /// The changes elsewhere in the same objects between decision and effect.
    pub meanwhile: Vec<Difference>,
    /// An operator's record of the real outcome, where the job is indeterminate or was given up.
    pub resolution: Option<Resolution>,
    /// The operator who cancelled it, and why; `None` also where its agent withdrew it.
    pub cancellation: Option<Cancellation>,
    /// The obstacle that keeps the job from its end at present.
    pub stuck: Option<Stuck>,
    /// Files of a directory that it edited: relative to the tree, sorted. Empty until it
    /// succeeded.
    pub files: Vec<String>,
    /// True if a runner ever held it: what ended before was ended by the gateway, by a person or
    /// by time.
    pub claimed: bool,
    /// The planned operations; empty where the plan was erased.
    pub planned: Vec<Planned>,
    /// The operations that were begun.
    pub operations: Vec<OperationRecord>,
    /// The newest of what its executor and its tasks said, oldest first.
    pub progress: Vec<Note>,
    /// The approval rule, while the job waits for people.
    pub approval: Option<ApprovalRule>,
    /// The rules that decided.
    pub reasons: Vec<Reason>,
    /// The environment that the job is for.
    pub environment: Environment,
    /// Index of the ledger entry that proves its state: of its outcome or, since then, of what a
    /// person found out; while it has no outcome, its newest.
    pub ledger: u64,
    /// The time at which the question or the permit expires.
    pub expires: Timestamp,
    /// Grows with every change: what a waiting reader compares.
    pub version: u64,
}

/// A job under a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeasedJob {
    /// The job as it was stored.
    pub job: StoredJob,
    /// The lease's fencing token.
    pub fence: Fence,
    /// The phase it was in when it was leased: `leased` for a first run, `acting` or
    /// `tearing_down` to recover.
    pub phase: Phase,
    /// The outcome, if it was recorded before the last runner was lost.
    pub outcome: Option<Outcome>,
    /// The operations that earlier runners recorded.
    pub operations: Vec<OperationRecord>,
    /// Earlier leases before the job acted, oldest first: each of them may have created objects.
    pub earlier: Vec<Fence>,
    /// A person gave it up because it is stuck: the runner tries once more, and else says what is
    /// half done.
    pub given_up: Option<Resolution>,
    /// How long the lease lasts without a heartbeat, in seconds.
    pub lease_seconds: u64,
}
