//! Seal: a plan becomes canonical bytes and a digest. No time and no identity in it: the same
//! request gives the same digest, for every caller and at any time, so that anyone may derive it
//! again to check.

use crate::model::document::Document;
use crate::model::document::ExecutorName;
use crate::model::document::PLAN_SCHEMA;
use crate::model::document::ToolName;
use crate::model::facts::OperationFacts;
use crate::model::id::PlanDigest;
use crate::model::json;
use crate::model::operation::{Draft, Step};
use crate::model::trust::{Environment, TrustedTool};
use crate::stage::plan;
use crate::stage::plan::{Accepted, Plan, PlanError};
use crate::tool::bound::BoundTool;
use serde_json::Value;

/// A plan with its canonical bytes and digest. Made here alone.
#[derive(Debug)]
#[must_use]
pub struct SealedPlan {
    plan: Plan,
    text: String,
    digest: PlanDigest,
}

/// Seals a plan: canonical bytes and their digest.
pub fn hash(
    plan: Plan,
    arguments: &Value,
    environment: &Environment,
) -> Result<SealedPlan, PlanError> {
    let tool = plan.tool();
    let document = Document {
        schema: PLAN_SCHEMA.to_owned(),
        tool: ToolName {
            name: tool.name.clone(),
            version: tool.version.clone(),
            digest: tool.digest,
        },
        executor: plan
            .executor()
            .map(|executor| ExecutorName { name: executor.name.clone(), digest: executor.digest }),
        arguments: arguments.clone(),
        summary: plan.summary().to_owned(),
        operations: plan.operations().to_vec(),
        environment: environment.clone(),
    };
    let text =
        json::canonical(&document).map_err(|error| PlanError::Canonical(error.to_string()))?;
    let digest = PlanDigest::of(text.as_bytes());
    Ok(SealedPlan { plan, text, digest })
}

/// From a tool's draft to the sealed plan, with only the reader's own trust file: for a runner
/// and for anyone who checks.
pub fn seal<'a>(
    draft: Draft,
    tool: &TrustedTool,
    accepted: impl Into<Accepted<'a>>,
    arguments: &Value,
    environment: &Environment,
) -> Result<SealedPlan, PlanError> {
    hash(plan::plan(draft, tool, accepted)?, arguments, environment)
}

/// Seals the draft of a tool whose ceiling was parsed before, as [`seal`] does.
pub fn seal_within<'a>(
    draft: Draft,
    tool: &BoundTool,
    accepted: impl Into<Accepted<'a>>,
    arguments: &Value,
    environment: &Environment,
) -> Result<SealedPlan, PlanError> {
    hash(plan::plan_within(draft, tool, accepted)?, arguments, environment)
}

impl SealedPlan {
    /// The digest of the plan.
    pub fn digest(&self) -> PlanDigest {
        self.digest
    }

    /// The plan as canonical JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The plan that was sealed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The operations, in plan order.
    pub fn operations(&self) -> &[Step] {
        self.plan.operations()
    }

    /// The facts of each operation, in the same order.
    pub fn facts(&self) -> &[OperationFacts] {
        self.plan.facts()
    }
}
