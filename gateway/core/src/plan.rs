//! Plan: the tool's draft, parsed like any foreign input and held against the ceiling its operator accepted. Refuses before policy is asked;
//! never repairs a draft, and never decides whether it may run.

mod facts;
mod fault;
mod look;
mod object;

pub use facts::overwrites_code;
pub use fault::PlanFault;

use crate::ceiling::{Bound, EPHEMERAL};
use crate::decide::OperationFacts;
use crate::kind;
use crate::operation::{Action, Draft, Operation, Place, Program, Step, Target};
use crate::path::FieldPath;
use crate::trust::{TrustedExecutor, TrustedTool};
use crate::{json, limit, text};
use std::collections::BTreeSet;

/// A draft that its ceiling permits, with what the host found each operation to be.
#[derive(Debug)]
#[must_use]
pub struct Plan {
    tool: TrustedTool,
    executor: Option<TrustedExecutor>,
    summary: String,
    operations: Vec<Step>,
    facts: Vec<OperationFacts>,
}

/// Checks a draft. `tool` and `executors` are from one's own trust file: the gateway's at the front, the runner's in the runner.
pub fn plan(draft: Draft, tool: &TrustedTool, executors: &[TrustedExecutor]) -> Result<Plan, PlanFault> {
    let Draft { summary, executor, operations } = draft;
    let size = json::canonical(&operations).map_err(|fault| PlanFault::Canonical(fault.to_string()))?.len();
    if size > limit::DRAFT || operations.len() > limit::OPERATIONS {
        return Err(PlanFault::Size { operations: operations.len(), bytes: size });
    }
    check_summary(&summary)?;
    let bound = Bound::parse(&tool.ceiling).map_err(|fault| PlanFault::Ceiling(fault.to_string()))?;
    let changes = operations.iter().any(|step| !step.operation.action().looks());
    if changes && operations.iter().any(|step| step.operation.action().looks()) {
        return Err(PlanFault::Mixed);
    }
    let executor = choose(executor, changes, &bound, executors)?;
    let facts: Result<Vec<_>, _> = operations.iter().enumerate().map(|(index, step)| check(index, step, &bound)).collect();
    let facts = facts?;
    once(&facts)?;
    Ok(Plan { tool: tool.clone(), executor, summary, operations, facts })
}

impl Plan {
    /// The tool, as accepted.
    pub fn tool(&self) -> &TrustedTool {
        &self.tool
    }

    /// The executor; none for a plan that looks.
    pub fn executor(&self) -> Option<&TrustedExecutor> {
        self.executor.as_ref()
    }

    /// The tool's claim about it.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// What shall be done.
    pub fn operations(&self) -> &[Step] {
        &self.operations
    }

    /// What the host found each operation to be, in the same order.
    pub fn facts(&self) -> &[OperationFacts] {
        &self.facts
    }

    /// Whether it changes anything.
    pub fn changes(&self) -> bool {
        self.executor.is_some()
    }
}

fn check_summary(summary: &str) -> Result<(), PlanFault> {
    let count = summary.chars().count();
    if count == 0 || count > limit::SUMMARY {
        return Err(PlanFault::Summary(format!("has {count} characters instead of 1 to {}", limit::SUMMARY)));
    }
    match text::unseen(summary) {
        Some(odd) => Err(PlanFault::Summary(format!("has the character U+{:04X}, which cannot be seen", u32::from(odd)))),
        None => Ok(()),
    }
}

fn choose(name: Option<String>, changes: bool, bound: &Bound, executors: &[TrustedExecutor]) -> Result<Option<TrustedExecutor>, PlanFault> {
    match (name, changes) {
        (None, false) => Ok(None),
        (Some(_), false) => Err(PlanFault::NeedlessExecutor),
        (None, true) => Err(PlanFault::NoExecutor),
        (Some(name), true) if !bound.permits_executor(&name) => Err(PlanFault::ExecutorBeyond(text::line(&name))),
        (Some(name), true) => match executors.iter().find(|executor| executor.name == name) {
            Some(executor) => Ok(Some(executor.clone())),
            None => Err(PlanFault::ExecutorUnknown(name)),
        },
    }
}

/// Checks one step, holds it against the ceiling, and finds out what it is.
fn check(index: usize, step: &Step, bound: &Bound) -> Result<OperationFacts, PlanFault> {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let Found { target, paths } = examine(number, step)?;
    let api = (target.group.as_str(), target.version.as_str(), target.kind.as_str());
    if let Some(line) = bound.missing(step.operation.action(), api, &target.namespace, &paths) {
        return Err(PlanFault::Beyond { index: number, line });
    }
    Ok(facts::derive(number, step, target, &paths))
}

/// What operations are, without a ceiling to hold them against: for showing a plan that somebody else sealed.
pub fn facts_of(operations: &[Step]) -> Result<Vec<OperationFacts>, PlanFault> {
    let each = operations.iter().enumerate().map(|(index, step)| {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        examine(number, step).map(|Found { target, paths }| facts::derive(number, step, target, &paths))
    });
    each.collect()
}

/// Checks what no ceiling could permit.
fn examine(number: u32, step: &Step) -> Result<Found, PlanFault> {
    let bad = |reason: String| PlanFault::Operation { index: number, reason };
    let mut seen = BTreeSet::new();
    if step.after.iter().any(|after| *after >= number || !seen.insert(*after)) {
        return Err(bad("it waits for itself, for a later one, or twice for the same".to_owned()));
    }
    if step.reversible && !matches!(step.operation.action(), Action::Apply | Action::Patch | Action::Delete) {
        return Err(bad("it cannot be reversible: it changes no object".to_owned()));
    }
    match &step.operation {
        Operation::Read { target, fields } => named(target).and_then(|base| look::fields(fields).map(|paths| base.with(paths))),
        Operation::List { group, version, kind, namespace, fields, limit } => look::list((group, version, kind), namespace, fields, *limit),
        Operation::Logs { target, container, lines } => named(target).and_then(|base| look::logs(base, container.as_deref(), *lines)),
        Operation::Apply { place, object } => object::apply(place, object),
        Operation::Patch { target, changes } => named(target).and_then(|base| object::patch(changes).map(|paths| base.with(paths))),
        Operation::Delete { target } => named(target),
        Operation::Task { name, program, seconds, .. } => task(name, program, *seconds),
    }
    .map_err(bad)
}

/// What a check found out about an operation: its object (empty name for a list, empty namespace for the ephemeral one) and the fields it reaches.
struct Found {
    target: Target,
    paths: Vec<FieldPath>,
}

impl Found {
    fn with(mut self, paths: Vec<FieldPath>) -> Self {
        self.paths = paths;
        self
    }
}

/// An operation on one named object.
fn named(target: &Target) -> Result<Found, String> {
    kind::check(target).map_err(|fault| fault.to_string())?;
    Ok(Found { target: target.clone(), paths: Vec::new() })
}

/// Seconds a task may take, as `tool.wit` says.
const TASK_SECONDS: std::ops::RangeInclusive<u32> = 1..=3_600;

fn task(name: &str, program: &Program, seconds: u32) -> Result<Found, String> {
    kind::check_name(name).map_err(|fault| fault.to_string())?;
    if !TASK_SECONDS.contains(&seconds) {
        return Err(format!("its time limit of {seconds} s is not within 1 to 3600"));
    }
    let digest = match program {
        Program::Image { reference, .. } => reference.split_once('@').map(|(_, digest)| digest),
        Program::Command(digest) => Some(digest.as_str()),
    };
    if digest.is_none_or(|digest| crate::id::ComponentDigest::parse(digest).is_err()) {
        return Err("its program is not named by digest: `registry/name@sha256:…`".to_owned());
    }
    let text = |text: &str| text.to_owned();
    let target = Target { group: String::new(), version: text("v1"), kind: text("Pod"), namespace: text(EPHEMERAL), name: text(name) };
    Ok(Found { target, paths: Vec::new() })
}

/// No two operations change the same object: what the second does would depend on the first, and nobody approved that.
fn once(facts: &[OperationFacts]) -> Result<(), PlanFault> {
    let mut targets = BTreeSet::new();
    for fact in facts.iter().filter(|fact| !fact.action.looks()) {
        // Without the version: two versions of one API are one object.
        if !targets.insert((&fact.group, &fact.kind, &fact.namespace, &fact.name)) {
            return Err(PlanFault::Twice {
                index: fact.index,
                target: format!("{} {} in namespace {}", fact.kind, fact.name, fact.namespace),
            });
        }
    }
    Ok(())
}

/// Where an applied object goes, as a namespace.
fn namespace_of(place: &Place) -> &str {
    match place {
        Place::Ephemeral => EPHEMERAL,
        Place::Namespace(name) => name,
    }
}

#[cfg(test)]
pub(crate) mod tests;
