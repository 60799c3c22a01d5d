//! The writer of a field of an object, from its `metadata.managedFields`. Pure. Trusts only that
//! the server recorded the name of a manager.

use cofferdam_core::model::path::Segment;
use cofferdam_core::model::preview::Origin;
use serde_json::Value;

/// The manager that wrote a field last; `None` if the server names no manager.
pub fn manager(object: &Value, path: &[Segment]) -> Option<Origin> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let owning = entries
        .iter()
        .filter(|entry| entry.get("fieldsV1").is_some_and(|fields| owns(fields, path)));
    let time =
        |entry: &&Value| entry.get("time").and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = owning.max_by_key(time)?.get("manager").and_then(Value::as_str)?;
    (!name.is_empty()).then(|| Origin::Manager(name.to_owned()))
}

/// Returns whether a set of fields has this field, by itself or as a part of a value that is owned
/// whole.
fn owns(fields: &Value, path: &[Segment]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let Some(set) = fields.as_object() else { return false };
    if set.keys().all(|key| key == ".") {
        return true;
    }
    let is_own = |name: &str| match first {
        Segment::Key(key) => name.strip_prefix("f:") == Some(key),
        Segment::Member { key, value } => is_member(name, key, value),
        Segment::AnyMember => name.starts_with("k:"),
        Segment::AnyKey => name.starts_with("f:"),
    };
    set.iter().any(|(name, child)| is_own(name) && owns(child, rest))
}

/// Returns whether `k:{"containerPort":80,"protocol":"TCP"}` names the member with this merge key.
fn is_member(name: &str, key: &str, value: &str) -> bool {
    let keys = name.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Value>(keys).ok());
    match keys.as_ref().and_then(|keys| keys.get(key)) {
        Some(Value::String(text)) => text == value,
        Some(Value::Number(number)) => number.to_string() == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::path::FieldPath;
    use serde_json::json;

    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        let object = json!({"metadata": {"managedFields": [
            {"manager": "kubectl-create", "time": "2026-11-24T10:00:00Z", "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:replicas": {}, "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {},
                        "f:containerPort": {}}}}}}}},
            }},
            {
                "manager": "hpa",
                "subresource": "scale",
                "time": "2026-11-24T11:00:00Z",
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            },
            {
                "manager": "",
                "time": "2026-11-24T12:00:00Z",
                "fieldsV1": {"f:spec": {"f:paused": {}}},
            },
        ]}});
        let found = manager(&object, FieldPath::parse(path).unwrap().segments());
        assert_eq!(found, expect.map(|name| Origin::Manager(name.to_owned())), "{path}");
    }

    #[test]
    fn the_newest_writer_of_a_field_is_named() {
        check("spec.replicas", Some("hpa"));
        check("metadata.labels.app", Some("kubectl-create"));
        check("spec.template.spec.containers[name=web].image", Some("kubectl-create"));
        check(
            "spec.template.spec.containers[name=web].ports[containerPort=80].containerPort",
            Some("kubectl-create"),
        );
        check("spec.template.spec.containers[*].image", Some("kubectl-create"));
        check("spec.template.spec.containers[*].command", None);
        // Owned whole, as an atomic map is.
        check("spec.selector.matchLabels.app", Some("kubectl-create"));
        check("spec.template.spec.containers[name=log].image", None);
        check("metadata.annotations.x", None);
        check("spec.paused", None);
        assert_eq!(manager(&json!({}), &[]), None);
    }
}
