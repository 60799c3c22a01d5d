//! Seal: a plan becomes canonical bytes and a digest. No time and no identity in it: the same
//! request gives the same digest, for every caller and at any time, so that anyone may derive it
//! again to check.

use crate::model::document::PLAN_SCHEMA;
use crate::model::facts::OperationFacts;
use crate::model::id::{ComponentDigest, PlanDigest};
use crate::model::json;
use crate::model::operation::{Draft, Step};
use crate::model::trust::{Environment, TrustedTool};
use crate::stage::plan;
use crate::stage::plan::{Accepted, Plan, PlanError};
use crate::tool::bound::BoundTool;
use serde::Serialize;
use serde_json::Value;

/// A plan with its canonical bytes and digest. Made here alone.
#[derive(Debug)]
#[must_use]
pub struct SealedPlan {
    plan: Plan,
    text: String,
    digest: PlanDigest,
}

/// A [`crate::model::document::Document`] as it is written, without a copy of its parts.
#[derive(Serialize)]
struct Written<'a> {
    schema: &'a str,
    tool: WrittenTool<'a>,
    executor: Option<WrittenExecutor<'a>>,
    arguments: &'a Value,
    summary: &'a str,
    operations: &'a [Step],
    environment: &'a Environment,
}

/// A [`crate::model::document::ToolName`] as it is written.
#[derive(Serialize)]
struct WrittenTool<'a> {
    name: &'a str,
    version: &'a str,
    digest: ComponentDigest,
}

/// A [`crate::model::document::ExecutorName`] as it is written.
#[derive(Serialize)]
struct WrittenExecutor<'a> {
    name: &'a str,
    digest: ComponentDigest,
}

/// Seals a plan: canonical bytes and their digest.
pub fn hash(
    plan: Plan,
    arguments: &Value,
    environment: &Environment,
) -> Result<SealedPlan, PlanError> {
    let (tool, executor) = (plan.tool(), plan.executor());
    let document = Written {
        schema: PLAN_SCHEMA,
        tool: WrittenTool { name: &tool.name, version: &tool.version, digest: tool.digest },
        executor: executor
            .map(|executor| WrittenExecutor { name: &executor.name, digest: executor.digest }),
        arguments,
        summary: plan.summary(),
        operations: plan.operations(),
        environment,
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
