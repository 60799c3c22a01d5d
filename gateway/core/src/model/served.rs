//! The set that a gateway serves, as the console shows it: accepted tools, policy and the rules of
//! the trust file. Plain data without a key or a secret; no decision depends on it.

use crate::model::ceiling::{Ceiling, Example};
use crate::model::id::{ComponentDigest, PolicyDigest, TrustDigest};
use crate::model::trust::{Environment, Floor, TrustedCommand, TrustedExecutor};
use serde::Serialize;
use serde_json::Value;

/// The accepted set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Served {
    /// The environment of the gateway.
    pub environment: Environment,
    /// The digest of the trust file, which names all other parts.
    pub trust: TrustDigest,
    /// The tools, by name.
    pub tools: Vec<ServedTool>,
    /// The executors.
    pub executors: Vec<TrustedExecutor>,
    /// The Wasm commands of tasks.
    pub commands: Vec<TrustedCommand>,
    /// The policy.
    pub policy: ServedPolicy,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServedTool {
    /// The name that agents call.
    pub name: String,
    /// The version (Semantic Versioning).
    pub version: String,
    /// The digest of the component.
    pub digest: ComponentDigest,
    /// The title, in the words of the tool.
    pub title: String,
    /// The description, in the words of the tool.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
    /// JSON Schema of the result.
    pub output_schema: Value,
    /// The ceiling as accepted.
    pub ceiling: Ceiling,
    /// The lines that the tool declares and the operator did not accept.
    pub narrowed: Vec<String>,
    /// The change of the ceiling at the last acceptance; `None` if the tool was accepted once.
    pub change: Option<ServedChange>,
    /// Arguments with the drafts that they give.
    pub examples: Vec<Example>,
}

/// The difference between two acceptances of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServedChange {
    /// The version before.
    pub version: String,
    /// The digest of the component before.
    pub digest: ComponentDigest,
    /// The lines of the ceiling that the newer acceptance adds.
    pub added: Vec<String>,
    /// The lines of the ceiling that are no longer permitted.
    pub removed: Vec<String>,
}

/// The policy and the rules beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServedPolicy {
    /// The digest of rules and data.
    pub digest: PolicyDigest,
    /// The sources of its rules, as the build wrote them beside the compiled ones. The digest does
    /// not cover them. `None` if it was accepted without them, or if they are too long.
    pub rules: Option<String>,
    /// The data of the policy.
    pub data: Value,
    /// The effects that need a person's signature, whatever the policy decides.
    pub floor: Floor,
    /// True if the person for whom an agent works may approve its calls.
    pub self_approval: bool,
    /// The people who may approve, each once.
    pub approvers: Vec<String>,
}

/// The most bytes of the rules that a page shows: some thousand lines.
pub const RULES_BYTES: u64 = 256 * 1024;

/// The first line of a file of rules.
pub fn rules_heading(policy: &PolicyDigest) -> String {
    format!("# The rules of the policy {policy}\n")
}
