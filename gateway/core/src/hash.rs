//! Hash: a plan becomes canonical bytes and a digest. No time and no identity in it: the same request gives the same digest, for every caller and
//! whenever, so that anyone may derive it again to check.

use crate::decide::OperationFacts;
use crate::id::{ComponentDigest, PlanDigest};
use crate::json::{self, JsonFault};
use crate::operation::{Draft, Step};
use crate::plan::{self, Accepted, Plan, PlanFault};
use crate::trust::{Environment, TrustedTool};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema name of [`Document`].
pub const PLAN_SCHEMA: &str = "cofferdam.plan.v1";

/// A component by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
}

/// An executor by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorName {
    /// Its name.
    pub name: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
}

/// A sealed plan's document: what the digest is of. Reading one back proves nothing; only deriving it again does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Always [`PLAN_SCHEMA`].
    pub schema: String,
    /// The tool.
    pub tool: ToolName,
    /// The executor; `null` for a plan that looks.
    pub executor: Option<ExecutorName>,
    /// The arguments.
    pub arguments: Value,
    /// The tool's claim.
    pub summary: String,
    /// What shall be done.
    pub operations: Vec<Step>,
    /// Where.
    pub environment: Environment,
}

impl Document {
    /// Reads a plan's text, for showing it: the text must be canonical.
    pub fn read(text: &str) -> Result<(Self, PlanDigest), JsonFault> {
        let document: Self = json::strict_into(text.as_bytes())?;
        if json::canonical(&document)? != text {
            return Err(JsonFault::Shape("the plan is not in its canonical form".to_owned()));
        }
        Ok((document, PlanDigest::of(text.as_bytes())))
    }
}

/// A plan with its canonical bytes and digest. Made here alone.
#[derive(Debug)]
#[must_use]
pub struct SealedPlan {
    plan: Plan,
    text: String,
    digest: PlanDigest,
}

/// Seals a plan.
pub fn hash(plan: Plan, arguments: &Value, environment: &Environment) -> Result<SealedPlan, PlanFault> {
    let tool = plan.tool();
    let document = Document {
        schema: PLAN_SCHEMA.to_owned(),
        tool: ToolName { name: tool.name.clone(), version: tool.version.clone(), digest: tool.digest },
        executor: plan.executor().map(|executor| ExecutorName { name: executor.name.clone(), digest: executor.digest }),
        arguments: arguments.clone(),
        summary: plan.summary().to_owned(),
        operations: plan.operations().to_vec(),
        environment: environment.clone(),
    };
    let text = json::canonical(&document).map_err(|fault| PlanFault::Canonical(fault.to_string()))?;
    let digest = PlanDigest::of(text.as_bytes());
    Ok(SealedPlan { plan, text, digest })
}

/// From a tool's draft to the sealed plan, with nothing but one's own trust file: what a runner does, and anyone who checks.
pub fn seal<'a>(
    draft: Draft,
    tool: &TrustedTool,
    accepted: impl Into<Accepted<'a>>,
    arguments: &Value,
    environment: &Environment,
) -> Result<SealedPlan, PlanFault> {
    hash(plan::plan(draft, tool, accepted)?, arguments, environment)
}

impl SealedPlan {
    /// Its digest.
    pub fn digest(&self) -> PlanDigest {
        self.digest
    }

    /// Its canonical JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was sealed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What shall be done.
    pub fn operations(&self) -> &[Step] {
        self.plan.operations()
    }

    /// What the host found each operation to be.
    pub fn facts(&self) -> &[OperationFacts] {
        self.plan.facts()
    }
}
