//! The preview of the objects in the run namespace. That namespace does not exist yet, so nothing
//! is read: the plan alone gives the preview, and every role makes the same one. Never shows more
//! of a value than a person reads.

use crate::model::facts;
use crate::model::id::ObjectDigest;
use crate::model::operation::Operation;
use crate::model::preview::Expect;
use crate::model::preview::PreviewedOperation;
use crate::model::preview::Rest;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Bytes of a value that are shown as they are: a screen of text. A longer one is shown by size and
/// digest; the plan holds it in full.
pub const SHOWN: usize = 1024;

/// The objects that an operation puts into the run namespace: the fields of an applied object, or a
/// task, by the names that policy knows. `None` for an operation on an object elsewhere, which has
/// to be read, and for an object that no sealed plan could have.
pub fn ephemeral(operation: &Operation, index: u32) -> Option<PreviewedOperation> {
    let (target, written) = facts::brought(operation)?;
    let after = written
        .into_iter()
        .map(|change| (change.path, bounded(change.value.unwrap_or_default())))
        .collect();
    Some(PreviewedOperation {
        index,
        target,
        expect: Expect::Absent,
        before: BTreeMap::new(),
        after,
        place: String::new(),
        remarks: Vec::new(),
        rest: Rest::default(),
    })
}

/// True if an operation left an object that its own job wrote and may read. A task is over when it
/// is done, and egress is the host's to open.
pub fn is_object(shown: &PreviewedOperation) -> bool {
    !shown.after.keys().any(|path| path.starts_with(facts::TASK) || path.starts_with(facts::EGRESS))
}

/// A value as it is, or by size and digest; for a text those of its own bytes, so that anyone can
/// compare them with a file's.
fn bounded(value: Value) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.len() <= SHOWN {
        value
    } else {
        json!({"bytes": text.len(), "digest": ObjectDigest::of(text.as_bytes()).to_string()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::plan::tests::{deployment, step};

    fn shown(operation: Value) -> Option<PreviewedOperation> {
        let step: crate::model::operation::Step = serde_json::from_value(step(operation)).unwrap();
        ephemeral(&step.operation, 3)
    }

    fn check(operation: Value, target: &str, after: Value) {
        let shown = shown(operation).unwrap();
        assert_eq!(
            (shown.index, &shown.expect, shown.before.len(), shown.place.as_str()),
            (3, &Expect::Absent, 0, "")
        );
        assert_eq!(shown.target.to_string(), target);
        assert_eq!(serde_json::to_value(shown.after).unwrap(), after);
    }

    #[test]
    fn tasks_and_ephemeral_objects_are_shown_from_the_plan_alone() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = format!("registry.example/probe@{digest}");
        check(
            json!({"action": "task", "name": "probe", "program": {"image": {"reference": image,
            "arguments": ["--url", "http://web"]}}, "input": "{}", "seconds": 30}),
            "Pod probe in the ephemeral namespace",
            json!({"task.image": image, "task.arguments": ["--url", "http://web"],
            "task.input": "{}", "task.seconds": 30}),
        );
        let long = "x".repeat(SHOWN + 1);
        check(
            json!({"action": "task", "name": "lint", "program": {"command": digest}, "input": long,
            "seconds": 5}),
            "Pod lint in the ephemeral namespace",
            json!({"task.command": digest, "task.input": {"bytes": SHOWN + 1,
            "digest": ObjectDigest::of(long.as_bytes())}, "task.seconds": 5}),
        );
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c",
        "labels": {"a": "b"}}, "data": {"k": "v", "long": long}});
        check(
            json!({"action": "apply", "place": "ephemeral", "object": object}),
            "ConfigMap c in the ephemeral namespace",
            json!({"metadata.labels.a": "b", "data.k": "v", "data.long": {"bytes": SHOWN + 1,
            "digest": ObjectDigest::of(long.as_bytes())}}),
        );
    }

    #[test]
    fn tasks_and_ways_out_leave_no_object_to_look_at() {
        let task = json!({"action": "task", "name": "t",
        "program": {"command": format!("sha256:{}", "a".repeat(64))}, "input": "", "seconds": 5});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
        "data": {"k": "v"}});
        for (operation, expect) in [
            (task, false),
            (json!({"action": "egress", "to": "siblings"}), false),
            (json!({"action": "apply", "place": "ephemeral", "object": object}), true),
        ] {
            assert_eq!(is_object(&shown(operation.clone()).unwrap()), expect, "{operation}");
        }
    }

    #[test]
    fn what_lies_elsewhere_has_to_be_looked_at() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
        "data": {"k": "v"}});
        assert_eq!(
            shown(json!({"action": "apply", "place": {"namespace": "team-a"}, "object": object})),
            None
        );
        assert_eq!(shown(json!({"action": "delete", "target": deployment("team-a", "web")})), None);
        assert_eq!(
            shown(
                json!({"action": "apply", "place": "ephemeral", "object": {"kind": "ConfigMap"}})
            ),
            None
        );
    }
}
