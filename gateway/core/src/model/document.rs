//! The document of a sealed plan: the digest is over it, and it is stored and shown. Proves
//! nothing: only `stage::seal` makes a sealed plan.

use super::id::{ComponentDigest, PlanDigest};
use super::json::{self, JsonError};
use super::operation::Step;
use super::trust::Environment;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema name of [`Document`].
pub const PLAN_SCHEMA: &str = "cofferdam.plan.v1";

/// A component by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolName {
    /// The name of the tool.
    pub name: String,
    /// The version of the tool.
    pub version: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
}

/// An executor by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorName {
    /// The name of the executor.
    pub name: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
}

/// The document that the digest of a sealed plan is over. Reading one back proves nothing; only
/// deriving it again does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Always [`PLAN_SCHEMA`].
    pub schema: String,
    /// The tool that made the plan.
    pub tool: ToolName,
    /// The executor; `null` for a plan that only reads.
    pub executor: Option<ExecutorName>,
    /// The canonical arguments.
    pub arguments: Value,
    /// The tool's own summary.
    pub summary: String,
    /// The operations, in order.
    pub operations: Vec<Step>,
    /// The environment that the plan is for.
    pub environment: Environment,
}

impl Document {
    /// Reads a plan's text, for showing it: the text must be canonical.
    pub fn read(text: &str) -> Result<(Self, PlanDigest), JsonError> {
        let document: Self = json::strict_into(text.as_bytes())?;
        if json::canonical(&document)? != text {
            return Err(JsonError::Shape("the plan is not in its canonical form".to_owned()));
        }
        Ok((document, PlanDigest::of(text.as_bytes())))
    }
}
