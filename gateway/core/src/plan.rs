//! Plan: the tool's draft, parsed like any foreign input and held against the ceiling its operator accepted. Refuses before policy is asked;
//! never repairs a draft, and never decides whether it may run.

mod egress;
mod facts;
mod fault;
mod look;
mod object;

pub use facts::executes_code;
pub use fault::PlanFault;

use crate::ceiling::{Bound, EPHEMERAL};
use crate::decide::OperationFacts;
use crate::id::ComponentDigest;
use crate::kind;
use crate::operation::{Action, Change, Draft, Named, Operation, Place, Program, Step, Target, Within};
use crate::path::FieldPath;
use crate::trust::{Trust, TrustedCommand, TrustedExecutor, TrustedTool};
use crate::{json, limit, text};
use std::collections::BTreeSet;

/// What the paths of a task's facts begin with.
pub(crate) const TASK: &str = "task.";

/// What the paths of ways out begin with.
pub(crate) const EGRESS: &str = "egress.";

/// What the paths of ways out to addresses begin with: those that lead out of the cluster's own view.
pub(crate) const LET_OUT: &str = "egress.addresses";

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

/// What plans may name besides objects. From one's own trust file: the gateway's at the front, the runner's in the runner.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// What carries plans out.
    pub executors: &'a [TrustedExecutor],
    /// What tasks run.
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

/// Checks a draft. `tool` and what is accepted are from one's own trust file.
pub fn plan<'a>(draft: Draft, tool: &TrustedTool, accepted: impl Into<Accepted<'a>>) -> Result<Plan, PlanFault> {
    let Accepted { executors, commands } = accepted.into();
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
    known(&operations, commands)?;
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

/// What operations are, without a ceiling to hold them against: for showing a plan that was sealed elsewhere.
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
        Operation::Apply { place, object } => object::apply(place, object).and_then(not_ours),
        Operation::Patch { target, changes } => named(target).and_then(|base| object::patch(changes).map(|paths| base.with(paths))),
        Operation::Delete { target } => named(target),
        Operation::Task { name, program, input, seconds } => task(name, program, input, *seconds),
        Operation::Egress { to } => egress::check(to),
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

/// What names of the host's own objects in the ephemeral namespace begin with: a task's Pod and its input are among them.
const OURS: &str = "cofferdam-";

fn not_ours(found: Found) -> Result<Found, String> {
    if found.target.namespace == EPHEMERAL && found.target.name.starts_with(OURS) {
        return Err(format!("its object's name begins with `{OURS}`, as the host's own do in the ephemeral namespace"));
    }
    Ok(found)
}

/// An operation on one named object.
fn named(target: &Target) -> Result<Found, String> {
    kind::check(target).map_err(|fault| fault.to_string())?;
    Ok(Found { target: target.clone(), paths: Vec::new() })
}

/// Seconds a task may take, as `tool.wit` says.
const TASK_SECONDS: std::ops::RangeInclusive<u32> = 1..=3_600;

/// Arguments of a task's image: a command line, not a data format.
const TASK_ARGUMENTS: usize = 64;

fn task(name: &str, program: &Program, input: &str, seconds: u32) -> Result<Found, String> {
    kind::check_name(name).map_err(|fault| fault.to_string())?;
    if !TASK_SECONDS.contains(&seconds) {
        return Err(format!("its time limit of {seconds} s is not within 1 to 3600"));
    }
    if input.len() > limit::TASK_INPUT {
        return Err(format!("its input has {} bytes, at most {} are given", input.len(), limit::TASK_INPUT));
    }
    let digest = match program {
        Program::Image { reference, arguments } => {
            if arguments.len() > TASK_ARGUMENTS || arguments.iter().any(|argument| argument.contains('\0')) {
                return Err(format!("its image has more than {TASK_ARGUMENTS} arguments, or one that no process can be given"));
            }
            reference.split_once('@').filter(|(image, _)| is_image(image)).map(|(_, digest)| digest)
        }
        Program::Command(digest) => Some(digest.as_str()),
    };
    if digest.is_none_or(|digest| ComponentDigest::parse(digest).is_err()) {
        return Err("its program is not named by digest: `registry/name@sha256:…`".to_owned());
    }
    Ok(Found { target: pod(name), paths: Vec::new() })
}

/// What stands before the digest of an image: registry, path and perhaps a tag, of the characters these may have.
fn is_image(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':');
    (1..=255).contains(&text.len()) && text.bytes().all(plain)
}

/// No two operations change the same object: what the second does would depend on the first, and that was not approved.
fn once(facts: &[OperationFacts]) -> Result<(), PlanFault> {
    let mut targets = BTreeSet::new();
    for fact in facts.iter().filter(|fact| !fact.action.looks()) {
        // Without the version: two versions of one API are one object.
        if !targets.insert((&fact.group, &fact.kind, &fact.namespace, &fact.name)) {
            return Err(PlanFault::Twice {
                index: fact.index,
                target: format!("{} in {}", Named(&fact.kind, &fact.name), Within(&fact.namespace)),
            });
        }
    }
    Ok(())
}

/// Every command is one that an operator accepted. Their digests have been read already.
fn known(operations: &[Step], commands: &[TrustedCommand]) -> Result<(), PlanFault> {
    for (step, index) in operations.iter().zip(0..) {
        if let Operation::Task { program: Program::Command(digest), .. } = &step.operation
            && !commands.iter().any(|command| ComponentDigest::parse(digest) == Ok(command.digest))
        {
            return Err(PlanFault::CommandUnknown { index, digest: digest.clone() });
        }
    }
    Ok(())
}

/// What an operation puts into the ephemeral namespace, field by field. None for one that reaches an object elsewhere.
pub(crate) fn brought(operation: &Operation) -> Option<(Target, Vec<Change>)> {
    match operation {
        Operation::Apply { place: place @ Place::Ephemeral, object } => {
            let Found { target, paths } = object::apply(place, object).ok()?;
            Some((target, object::leaves(object, &paths)))
        }
        Operation::Task { name, program, input, seconds } => Some((pod(name), facts::runs(program, input, *seconds))),
        Operation::Egress { to } => Some((egress::target(to), vec![egress::opens(to)])),
        _ => None,
    }
}

/// A task is a Pod of its name, also where it is a command that no cluster sees.
fn pod(name: &str) -> Target {
    Target { group: String::new(), version: "v1".into(), kind: "Pod".into(), namespace: EPHEMERAL.into(), name: name.to_owned() }
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
