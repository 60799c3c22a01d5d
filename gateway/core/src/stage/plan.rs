//! Plan: the tool's draft, parsed like any foreign input and checked against the ceiling that its
//! operator accepted. Refuses before policy is asked; never repairs a draft, and never decides
//! whether it may run.

mod error;

use crate::model::escape;
use crate::model::facts::examine;
pub use error::PlanError;

use crate::model::facts::OperationFacts;
use crate::model::id::ComponentDigest;
use crate::model::operation::{Draft, Named, Operation, Program, Step, Within};
use crate::model::trust::{Trust, TrustedCommand, TrustedExecutor, TrustedTool};
use crate::model::{json, limit};
use crate::tool::bound::{Bound, BoundTool};
use std::collections::BTreeSet;

/// A draft that its ceiling permits, with the facts of each operation.
#[derive(Debug)]
#[must_use]
pub struct Plan {
    tool: BoundTool,
    executor: Option<TrustedExecutor>,
    summary: String,
    operations: Vec<Step>,
    facts: Vec<OperationFacts>,
}

/// The executors and Wasm commands that plans may name. From the reader's own trust file: the
/// gateway's at the front, the runner's in the runner.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The accepted executors.
    pub executors: &'a [TrustedExecutor],
    /// The accepted Wasm commands.
    pub commands: &'a [TrustedCommand],
}

impl<'a> From<&'a Trust> for Accepted<'a> {
    fn from(trust: &'a Trust) -> Self {
        Self { executors: &trust.executors, commands: &trust.commands }
    }
}

impl<'a> From<&'a Vec<TrustedExecutor>> for Accepted<'a> {
    /// Executors alone: every command is refused.
    fn from(executors: &'a Vec<TrustedExecutor>) -> Self {
        Self { executors, commands: &[] }
    }
}

/// Checks a draft. `tool` and `accepted` are from the reader's own trust file.
pub fn plan<'a>(
    draft: Draft,
    tool: &TrustedTool,
    accepted: impl Into<Accepted<'a>>,
) -> Result<Plan, PlanError> {
    let tool = BoundTool::parse(tool).map_err(|error| PlanError::Ceiling(error.to_string()))?;
    plan_within(draft, &tool, accepted)
}

/// Checks a draft of a tool whose ceiling was parsed before.
pub fn plan_within<'a>(
    draft: Draft,
    tool: &BoundTool,
    accepted: impl Into<Accepted<'a>>,
) -> Result<Plan, PlanError> {
    let Accepted { executors, commands } = accepted.into();
    let Draft { summary, executor, operations } = draft;
    let size = json::canonical(&operations)
        .map_err(|error| PlanError::Canonical(error.to_string()))?
        .len();
    if size > limit::DRAFT || operations.len() > limit::OPERATIONS {
        return Err(PlanError::Size { operations: operations.len(), bytes: size });
    }
    check_summary(&summary)?;
    let bound = tool.bound();
    let changes = operations.iter().any(|step| !step.operation.action().reads());
    if changes && operations.iter().any(|step| step.operation.action().reads()) {
        return Err(PlanError::Mixed);
    }
    let executor = choose(executor, changes, bound, executors)?;
    let facts: Result<Vec<_>, _> =
        operations.iter().enumerate().map(|(index, step)| check(index, step, bound)).collect();
    let facts = facts?;
    once(&facts)?;
    known(&operations, commands)?;
    Ok(Plan { tool: tool.clone(), executor, summary, operations, facts })
}

impl Plan {
    /// The tool, as accepted.
    pub fn tool(&self) -> &TrustedTool {
        self.tool.tool()
    }

    /// The executor; `None` for a plan that only reads.
    pub fn executor(&self) -> Option<&TrustedExecutor> {
        self.executor.as_ref()
    }

    /// The tool's claim about it.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The operations, in plan order.
    pub fn operations(&self) -> &[Step] {
        &self.operations
    }

    /// The facts of each operation, in the same order.
    pub fn facts(&self) -> &[OperationFacts] {
        &self.facts
    }

    /// True if it changes anything.
    pub fn changes(&self) -> bool {
        self.executor.is_some()
    }
}

fn check_summary(summary: &str) -> Result<(), PlanError> {
    let count = summary.chars().count();
    if count == 0 || count > limit::SUMMARY {
        return Err(PlanError::Summary(format!(
            "has {count} characters instead of 1 to {}",
            limit::SUMMARY
        )));
    }
    match escape::unseen(summary) {
        Some(odd) => Err(PlanError::Summary(format!(
            "has the character U+{:04X}, which cannot be seen",
            u32::from(odd)
        ))),
        None => Ok(()),
    }
}

fn choose(
    name: Option<String>,
    changes: bool,
    bound: &Bound,
    executors: &[TrustedExecutor],
) -> Result<Option<TrustedExecutor>, PlanError> {
    match (name, changes) {
        (None, false) => Ok(None),
        (Some(_), false) => Err(PlanError::NeedlessExecutor),
        (None, true) => Err(PlanError::NoExecutor),
        (Some(name), true) if !bound.permits_executor(&name) => {
            Err(PlanError::ExecutorBeyond(escape::line(&name)))
        }
        (Some(name), true) => match executors.iter().find(|executor| executor.name == name) {
            Some(executor) => Ok(Some(executor.clone())),
            None => Err(PlanError::ExecutorUnknown(name)),
        },
    }
}

/// Checks one step against the ceiling, and derives its facts.
fn check(index: usize, step: &Step, bound: &Bound) -> Result<OperationFacts, PlanError> {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let found = examine(number, step)?;
    let target = found.target();
    let api = (target.group.as_str(), target.version.as_str(), target.kind.as_str());
    if let Some(line) =
        bound.missing(step.operation.action(), api, &target.namespace, found.paths())
    {
        return Err(PlanError::Beyond { index: number, line });
    }
    Ok(found.facts(number, step))
}

/// Refuses two changes of one object: the effect of the second would depend on the first, and
/// that was not approved.
fn once(facts: &[OperationFacts]) -> Result<(), PlanError> {
    let mut targets = BTreeSet::new();
    for fact in facts.iter().filter(|fact| !fact.action.reads()) {
        // Without the version: two versions of one API are one object.
        if !targets.insert((&fact.group, &fact.kind, &fact.namespace, &fact.name)) {
            return Err(PlanError::Twice {
                index: fact.index,
                target: format!("{} in {}", Named(&fact.kind, &fact.name), Within(&fact.namespace)),
            });
        }
    }
    Ok(())
}

/// Every command is one that an operator accepted. Their digests have been read already.
fn known(operations: &[Step], commands: &[TrustedCommand]) -> Result<(), PlanError> {
    for (step, index) in operations.iter().zip(0..) {
        if let Operation::Task { program: Program::Command(digest), .. } = &step.operation
            && !commands.iter().any(|command| ComponentDigest::parse(digest) == Ok(command.digest))
        {
            return Err(PlanError::CommandUnknown { index, digest: digest.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
