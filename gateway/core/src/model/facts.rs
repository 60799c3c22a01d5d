//! The facts of an operation: what the host finds it to be, from the operation and the table of
//! kinds alone. Refuses what no ceiling could permit; never claimed by a tool.

mod derive;
mod egress;
mod object;
mod read;

pub use derive::executes_code;
#[cfg(test)]
pub(crate) use derive::overwrites_code;

use super::ceiling::{EPHEMERAL, Grant};
use super::id::ComponentDigest;
use super::operation::{Action, Change, Operation, Place, Program, Step, Target};
use super::path::FieldPath;
use super::{kind, limit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The tool that is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Always `tool`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the tool.
    pub id: String,
    /// The facts of the tool.
    pub properties: ToolFacts,
}

/// The facts of a tool: computed from its accepted ceiling, never claimed by the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolFacts {
    /// The version of the tool.
    pub version: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
    /// Its ceiling, line by line: listing asks policy over plans made of these, so that nothing is
    /// shown that could never be called.
    pub grants: Vec<Grant>,
    /// Actions its ceiling permits.
    pub actions: Vec<Action>,
    /// Kinds its ceiling permits.
    pub kinds: Vec<String>,
    /// Namespace patterns its ceiling permits.
    pub namespaces: Vec<String>,
    /// True if the tool only reads.
    pub read_only: bool,
    /// True if the widest plan of the tool could destroy an object or a value.
    pub destructive: bool,
}

/// The facts of one operation, as policy reads them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OperationFacts {
    /// Its index in the plan.
    pub index: u32,
    /// The action of the operation.
    pub action: Action,
    /// The API group; empty for the core group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The kind's resource in the API: `deployments`.
    pub resource: String,
    /// Namespace; `""` for the ephemeral one.
    pub namespace: String,
    /// Name; `""` for a list.
    pub name: String,
    /// Fields read or listed.
    pub fields: Vec<String>,
    /// Fields changed, as the tool asked. For `apply` every leaf of the object, list members by
    /// `name` where each has one of its own; for `task` what runs: `task.image` and
    /// `task.arguments`, or `task.command`; `task.input` and `task.seconds`. For `egress` the
    /// destination: `egress.siblings`, `egress.name-service`, or
    /// `egress.addresses["203.0.113.0/24 tcp 443"]` with `{block, protocol, port}` as its value.
    pub changes: Vec<Change>,
    /// True if undoing this operation would not bring back everything that it removes.
    pub destructive: bool,
    /// True if the operation decides which code runs: images, commands, tasks.
    pub executes_code: bool,
    /// True if the operation shows contents to the agent.
    pub discloses: bool,
    /// True if the change removes a field.
    pub removes_field: bool,
    /// True if the operation can be undone.
    pub reversible: bool,
}

/// The prefix of the paths in a task's facts.
pub(crate) const TASK: &str = "task.";

/// The prefix of the paths of egress operations.
pub(crate) const EGRESS: &str = "egress.";

/// The prefix of the paths of egress to addresses, which Cofferdam cannot observe.
pub(crate) const LET_OUT: &str = "egress.addresses";

/// An operation that no plan may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}: {reason}")]
pub struct OperationError {
    /// Its index in the plan.
    pub index: u32,
    /// The rule that it breaks.
    pub reason: String,
}

/// The facts of operations without a ceiling to check them: for showing a plan that was sealed
/// elsewhere.
pub fn facts_of(operations: &[Step]) -> Result<Vec<OperationFacts>, OperationError> {
    let each = operations.iter().enumerate().map(|(index, step)| {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        examine(number, step).map(|found| found.facts(number, step))
    });
    each.collect()
}

/// Refuses an operation that no ceiling could permit.
pub(crate) fn examine(number: u32, step: &Step) -> Result<Found, OperationError> {
    let bad = |reason: String| OperationError { index: number, reason };
    let mut seen = BTreeSet::new();
    if step.after.iter().any(|after| *after >= number || !seen.insert(*after)) {
        return Err(bad("it waits for itself, for a later one, or twice for the same".to_owned()));
    }
    if step.reversible
        && !matches!(step.operation.action(), Action::Apply | Action::Patch | Action::Delete)
    {
        return Err(bad("it cannot be reversible: it changes no object".to_owned()));
    }
    match &step.operation {
        Operation::Read { target, fields } => {
            named(target).and_then(|base| read::fields(fields).map(|paths| base.with(paths)))
        }
        Operation::List { group, version, kind, namespace, fields, limit } => {
            read::list((group, version, kind), namespace, fields, *limit)
        }
        Operation::Logs { target, container, lines } => {
            named(target).and_then(|base| read::logs(base, container.as_deref(), *lines))
        }
        Operation::Apply { place, object } => object::apply(place, object).and_then(not_ours),
        Operation::Patch { target, changes } => {
            named(target).and_then(|base| object::patch(changes).map(|paths| base.with(paths)))
        }
        Operation::Delete { target } => named(target),
        Operation::Task { name, program, input, seconds } => task(name, program, input, *seconds),
        Operation::Egress { to } => egress::check(to),
    }
    .map_err(bad)
}

/// The result of checking an operation: its object and the fields that it reaches. The name is
/// empty for a list, the namespace is empty for the run's own.
pub(crate) struct Found {
    target: Target,
    paths: Vec<FieldPath>,
}

impl Found {
    /// The object of the operation.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The fields it reaches.
    pub(crate) fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// The facts for policy and people.
    pub(crate) fn facts(self, index: u32, step: &Step) -> OperationFacts {
        derive::derive(index, step, self.target, &self.paths)
    }

    fn with(mut self, paths: Vec<FieldPath>) -> Self {
        self.paths = paths;
        self
    }
}

/// The prefix of the host's own objects in the run namespace: a task's Pod and its input are among
/// them.
const OURS: &str = "cofferdam-";

fn not_ours(found: Found) -> Result<Found, String> {
    if found.target.namespace == EPHEMERAL && found.target.name.starts_with(OURS) {
        return Err(format!(
            "its object's name begins with `{OURS}`, as the host's own do in the ephemeral \
             namespace"
        ));
    }
    Ok(found)
}

/// An operation on one named object.
fn named(target: &Target) -> Result<Found, String> {
    kind::check(target).map_err(|error| error.to_string())?;
    Ok(Found { target: target.clone(), paths: Vec::new() })
}

/// Seconds a task may take, as `tool.wit` says.
const TASK_SECONDS: std::ops::RangeInclusive<u32> = 1..=3_600;

/// Arguments of a task's image: a command line, not a data format.
const TASK_ARGUMENTS: usize = 64;

fn task(name: &str, program: &Program, input: &str, seconds: u32) -> Result<Found, String> {
    kind::check_name(name).map_err(|error| error.to_string())?;
    if !TASK_SECONDS.contains(&seconds) {
        return Err(format!("its time limit of {seconds} s is not within 1 to 3600"));
    }
    if input.len() > limit::TASK_INPUT {
        return Err(format!(
            "its input has {} bytes, at most {} are given",
            input.len(),
            limit::TASK_INPUT
        ));
    }
    let digest = match program {
        Program::Image { reference, arguments } => {
            if arguments.len() > TASK_ARGUMENTS
                || arguments.iter().any(|argument| argument.contains('\0'))
            {
                return Err(format!(
                    "its image has more than {TASK_ARGUMENTS} arguments, or one that no process \
                     can be given"
                ));
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

/// True if the text is an image with a digest: registry, path and perhaps a tag, of the characters
/// that these may have.
fn is_image(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':');
    (1..=255).contains(&text.len()) && text.bytes().all(plain)
}

/// The object that an operation puts into the run namespace, field by field. `None` for an
/// operation on an object elsewhere.
pub(crate) fn brought(operation: &Operation) -> Option<(Target, Vec<Change>)> {
    match operation {
        Operation::Apply { place: place @ Place::Ephemeral, object } => {
            let Found { target, paths } = object::apply(place, object).ok()?;
            Some((target, object::leaves(object, &paths)))
        }
        Operation::Task { name, program, input, seconds } => {
            Some((pod(name), derive::runs(program, input, *seconds)))
        }
        Operation::Egress { to } => Some((egress::target(to), vec![egress::opens(to)])),
        _ => None,
    }
}

/// A task is a Pod of its name, also where it is a command that no cluster sees.
fn pod(name: &str) -> Target {
    Target {
        group: String::new(),
        version: "v1".into(),
        kind: "Pod".into(),
        namespace: EPHEMERAL.into(),
        name: name.to_owned(),
    }
}

/// Where an applied object goes, as a namespace.
fn namespace_of(place: &Place) -> &str {
    match place {
        Place::Ephemeral => EPHEMERAL,
        Place::Namespace(name) => name,
    }
}
