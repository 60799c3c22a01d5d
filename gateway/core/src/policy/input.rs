//! The policy input: facts that the gateway established, and nothing else. `arguments` and
//! `purpose` are the only words of the agent.

use crate::model::facts::OperationFacts;
use crate::model::facts::Resource;
use crate::model::id::{PlanDigest, PolicyDigest, PreviewDigest};
use crate::model::preview::PreviewedOperation;
use crate::model::subject::Subject;
use crate::model::trust::Environment;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema name of [`Input`].
pub const INPUT_SCHEMA: &str = "cofferdam.authz.v1";

/// The phase in which policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AskPhase {
    /// A listing: may the caller see this tool? Over the ceiling's facts, with empty arguments and
    /// no plan.
    List,
    /// The precheck, over the plan alone: a plan that is denied here never reaches the
    /// infrastructure.
    Plan,
    /// The decision, over the plan and its preview.
    Preview,
}

/// The whole input of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Always [`INPUT_SCHEMA`].
    pub schema: String,
    /// The phase of the call.
    pub phase: AskPhase,
    /// The agent that calls.
    pub subject: Subject,
    /// Always `tools/call`.
    pub action: ActionName,
    /// The tool that is called.
    pub resource: Resource,
    /// The canonical arguments, as the agent gave them; an empty object while listing.
    pub arguments: Value,
    /// The sealed plan; `null` while listing.
    pub plan: Option<PlanFacts>,
    /// The changes of the plan; `null` before the preview.
    pub preview: Option<PreviewFacts>,
    /// The time, the environment, the purpose and the approvals.
    pub context: Context,
}

/// The action (AuthZEN).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionName {
    /// Always `tools/call`.
    pub name: String,
}

/// The sealed plan, as policy reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanFacts {
    /// The digest of the plan.
    pub digest: PlanDigest,
    /// The executor; `null` for a plan that only reads.
    pub executor: Option<String>,
    /// The operations, in plan order.
    pub operations: Vec<OperationFacts>,
    /// The namespaces of the operations, each once, sorted.
    pub namespaces: Vec<String>,
}

/// The preview, as policy reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PreviewFacts {
    /// The digest of the preview.
    pub digest: PreviewDigest,
    /// The state before and after, for each operation.
    pub operations: Vec<PreviewedOperation>,
}

/// The time, the environment, the purpose and the approvals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The environment of the call.
    pub environment: Environment,
    /// RFC 3339, UTC, whole minutes: the seconds are always `00`.
    pub time: String,
    /// `Monday` to `Sunday`, UTC.
    pub weekday: String,
    /// Minutes since midnight, UTC: 0 to 1439.
    pub minute: u32,
    /// The agent's own words about why it calls; `null` if it gave none. A claim.
    pub purpose: Option<String>,
    /// The approvals that count; `null` without a signature.
    pub approval: Option<ApprovalFacts>,
    /// Digest of the policy that is asked.
    pub policy: PolicyDigest,
    /// Obligation types this host can carry out; any other is a denial.
    pub supported_obligations: Vec<String>,
}

/// Verified approvals of exactly this plan and preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalFacts {
    /// The people who signed, each once, sorted.
    pub approvers: Vec<String>,
    /// The plan they signed.
    pub plan: PlanDigest,
    /// The preview they signed.
    pub preview: PreviewDigest,
    /// The lifetime and the age of each approval: one member for each of `approvers`, in the same
    /// order. The host always gives it. A question of an earlier version does not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<SignatureFacts>,
}

/// The times of one approval, as its person signed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignatureFacts {
    /// The name of the approver.
    pub approver: String,
    /// The time of the question. RFC 3339, UTC, whole seconds.
    pub issued: String,
    /// The time at which the approval ends. RFC 3339, UTC, whole seconds.
    pub expires: String,
    /// Seconds from `issued` to `expires`, rounded up: at most a week.
    pub seconds: u64,
    /// Whole seconds from `issued` to now, 0 or more.
    pub age_seconds: u64,
    /// Seconds from `issued` to the time after which the person says to have signed; `null` if the
    /// question had not escalated. Never later than now.
    pub escalated_seconds: Option<u64>,
}

/// The input for a whole listing: which of these tools may this caller see?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListInput {
    /// Always [`INPUT_SCHEMA`].
    pub schema: String,
    /// Always `list`.
    pub phase: AskPhase,
    /// The agent that lists tools.
    pub subject: Subject,
    /// The tools to list.
    pub tools: Vec<Resource>,
    /// The time and the place of the request.
    pub context: Context,
}
