//! The facts of an operation: computed from the operation and the pinned kind table, never claimed
//! by a tool.

use crate::model::ceiling::EPHEMERAL;
use crate::model::facts::OperationFacts;
use crate::model::kind;
use crate::model::operation::{Action, Change, Operation, Program, Step, Target};
use crate::model::path::{FieldPath, Segment};
use serde_json::Value;

/// Members of a pod spec about the place and the duration of a run. Every other member counts as
/// code, because the image is not the only way to choose the code (command, environment, volumes,
/// init containers, …).
const NO_CODE: [&str; 6] = [
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "terminationGracePeriodSeconds",
];

/// Derives the facts of an operation. `target` has an empty name for a list and an empty namespace
/// for the ephemeral one.
pub fn derive(index: u32, step: &Step, target: Target, paths: &[FieldPath]) -> OperationFacts {
    let action = step.operation.action();
    let known = kind::find(&target.group, &target.version, &target.kind).ok();
    let (fields, changes) = match &step.operation {
        Operation::Read { fields, .. } | Operation::List { fields, .. } => {
            (fields.clone(), Vec::new())
        }
        Operation::Patch { changes, .. } => (Vec::new(), changes.clone()),
        Operation::Apply { object, .. } => (Vec::new(), super::object::leaves(object, paths)),
        Operation::Task { program, input, seconds, .. } => {
            (Vec::new(), runs(program, input, *seconds))
        }
        Operation::Egress { to } => (Vec::new(), vec![super::egress::opens(to)]),
        Operation::Logs { .. } | Operation::Delete { .. } => (Vec::new(), Vec::new()),
    };
    let pod_spec = known.map_or::<&[&str], _>(&[], |kind| kind.pod_spec);
    OperationFacts {
        index,
        action,
        resource: known.map(|kind| kind.resource.to_owned()).unwrap_or_default(),
        // The run namespace is deleted with the object in it; a delete elsewhere takes identity and
        // dependants along.
        destructive: action == Action::Delete && target.namespace != EPHEMERAL,
        executes_code: executes_code(action, pod_spec, paths),
        discloses: action.reads(),
        removes_field: changes.iter().any(|change| change.value.is_none()),
        reversible: step.reversible,
        group: target.group,
        version: target.version,
        kind: target.kind,
        namespace: target.namespace,
        name: target.name,
        fields,
        changes,
    }
}

/// The program and the input of a task, as changes: policy judges an image by the same rules, in a
/// task and in a Deployment.
pub(super) fn runs(program: &Program, input: &str, seconds: u32) -> Vec<Change> {
    let change = |path: &str, value: Value| Change { path: path.to_owned(), value: Some(value) };
    let mut changes = match program {
        Program::Image { reference, arguments } => {
            vec![
                change("task.image", Value::from(reference.as_str())),
                change("task.arguments", Value::from(arguments.as_slice())),
            ]
        }
        Program::Command(digest) => vec![change("task.command", Value::from(digest.as_str()))],
    };
    changes.extend([
        change("task.input", Value::from(input)),
        change("task.seconds", Value::from(seconds)),
    ]);
    changes
}

/// True if an operation decides what code runs, by its kind's pod spec and the fields that it
/// writes.
pub fn executes_code(action: Action, pod_spec: &[&str], paths: &[FieldPath]) -> bool {
    match action {
        Action::Task => true,
        Action::Apply => !pod_spec.is_empty(),
        Action::Patch => paths.iter().any(|path| overwrites_code(pod_spec, path)),
        Action::Read | Action::List | Action::Logs | Action::Delete | Action::Egress => false,
    }
}

/// True if writing this field can decide what code runs, for a kind whose pod spec lies there.
pub(crate) fn overwrites_code(pod_spec: &[&str], path: &FieldPath) -> bool {
    if pod_spec.is_empty() {
        return false;
    }
    let segments = path.segments();
    let inside = segments
        .iter()
        .zip(pod_spec)
        .all(|(segment, key)| matches!(segment, Segment::Key(name) if name == key));
    if !inside {
        return false;
    }
    match segments.get(pod_spec.len()..) {
        // At or above the pod spec: it is replaced whole.
        None | Some([]) => true,
        Some([Segment::Key(first), ..]) if NO_CODE.contains(&first.as_str()) => false,
        Some([Segment::Key(_), Segment::Member { .. }, Segment::Key(third), ..]) => {
            third != "resources"
        }
        Some(_) => true,
    }
}
