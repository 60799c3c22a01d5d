//! The reasons why a deleted object still exists: finalizers of others, and its conditions. Pure;
//! removes no finalizer.

use super::error_text::foreign;
use super::object;
use cofferdam_core::model::escape::line;
use serde_json::Value;
use std::collections::BTreeMap;

/// The field that says that an object is going.
const GOING: &str = "metadata.deletionTimestamp";

/// Finalizers that are named: one is enough to find its owner.
const NAMED: usize = 5;

/// The finalizers of the object. The finalizers of a namespace in `spec` belong to the server and
/// are not included.
pub fn finalizers(object: &Value) -> Vec<String> {
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(NAMED)
        .map(|name| format!("`{}`", line(name)))
        .collect()
}

/// Returns whether only finalizers of others keep a namespace: it is terminating, and the server
/// has removed all objects in it.
pub fn only_by_others(namespace: &Value) -> bool {
    let own = namespace
        .pointer("/spec/finalizers")
        .and_then(Value::as_array)
        .is_some_and(|own| !own.is_empty());
    object::is_terminating(namespace) && !own && !finalizers(namespace).is_empty()
}

/// The finalizers that hold an object and the time of its deletion, as the end of a sentence: `held
/// by the finalizer `a/b`, going since 2026-11-29T17:00:00Z`.
pub fn words(object: &Value) -> String {
    let finalizers = finalizers(object);
    let mut said = Vec::new();
    if !finalizers.is_empty() {
        let noun = if finalizers.len() == 1 { "finalizer" } else { "finalizers" };
        said.push(format!("held by the {noun} {}", finalizers.join(", ")));
    }
    said.extend(conditions(object));
    if said.is_empty() {
        said.push("named by no finalizer and no condition".to_owned());
    }
    said.extend(since(object).map(|since| format!("going since {}", line(since))));
    said.join(", ")
}

/// The deletion time, as the server writes it.
pub fn since(object: &Value) -> Option<&str> {
    object.pointer("/metadata/deletionTimestamp")?.as_str()
}

/// The conditions of a namespace that are true and about its removal, with their messages.
/// Conditions of another object are about its work.
pub fn conditions(namespace: &Value) -> Vec<String> {
    let word = |condition: &Value, key: &str| {
        condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let all = namespace.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter(|condition| {
            word(condition, "status") == "True" && word(condition, "type").starts_with("Namespace")
        })
        .map(|condition| {
            format!("{}: {}", line(&word(condition, "type")), foreign(&word(condition, "message")))
        })
        .collect()
}

/// The state of a terminating object for a record: the fields shown before, the deletion time and
/// the finalizers.
pub fn state(object: &Value, before: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut state = before.clone();
    for (path, at) in
        [(GOING, "/metadata/deletionTimestamp"), ("metadata.finalizers", "/metadata/finalizers")]
    {
        state.extend(object.pointer(at).map(|value| (path.to_owned(), value.clone())));
    }
    state
}

/// Returns whether a recorded state is of an object with a deletion time.
pub fn is_state(recorded: &BTreeMap<String, Value>) -> bool {
    recorded.contains_key(GOING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn going(finalizers: &Value, own: &Value, conditions: &Value) -> Value {
        json!({"metadata": {
            "name": "x",
            "deletionTimestamp": "2026-11-29T17:00:00Z",
            "finalizers": finalizers,
        },
            "spec": {"finalizers": own}, "status": {"conditions": conditions}})
    }

    #[test]
    fn what_holds_an_object_is_named_with_its_time() {
        let check = |object: &Value, expect: &str| assert_eq!(words(object), expect);
        check(
            &going(&json!(["a/b"]), &json!([]), &json!([])),
            "held by the finalizer `a/b`, going since 2026-11-29T17:00:00Z",
        );
        check(
            &going(&json!(["a/b", "c\n/d"]), &json!([]), &json!([])),
            "held by the finalizers `a/b`, `c\\u{a}/d`, going since 2026-11-29T17:00:00Z",
        );
        let remaining = json!([
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "ok"},
            {
                "type": "NamespaceFinalizersRemaining",
                "status": "True",
                "message": "Some content has finalizers remaining: a/b in 1 resource instances",
            },
        ]);
        check(
            &going(&json!([]), &json!(["kubernetes"]), &remaining),
            "NamespaceFinalizersRemaining: \"Some content has finalizers remaining: a/b in 1 \
             resource instances\", going since 2026-11-29T17:00:00Z",
        );
        let working =
            json!([{"type": "Progressing", "status": "True", "message": "web is progressing"}]);
        check(
            &going(&json!(["a/b"]), &json!([]), &working),
            "held by the finalizer `a/b`, going since 2026-11-29T17:00:00Z",
        );
        check(&json!({"metadata": {"name": "x"}}), "named by no finalizer and no condition");
    }

    #[test]
    fn a_namespace_is_others_once_the_server_is_done_with_it() {
        assert!(only_by_others(&going(&json!(["a/b"]), &json!([]), &json!([]))));
        assert!(!only_by_others(&going(&json!(["a/b"]), &json!(["kubernetes"]), &json!([]))));
        assert!(!only_by_others(&going(&json!([]), &json!([]), &json!([]))));
        assert!(!only_by_others(&json!({"metadata": {"finalizers": ["a/b"]}})));
    }
}
