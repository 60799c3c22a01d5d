//! The fields that show a person which object a delete removes. Shared by all backends. Shows the
//! keys of a ConfigMap, never its values.

use cofferdam_core::model::path::FieldPath;
use serde_json::Value;
use std::collections::BTreeMap;

/// Labels, replicas, images, schedule and ports, and the keys of data: field path → value.
pub fn delete_summary(object: &Value) -> BTreeMap<String, Value> {
    let mut shown = BTreeMap::new();
    for path in [
        "metadata.labels",
        "spec.replicas",
        "spec.template.spec.containers[*].image",
        "spec.schedule",
        "spec.ports",
    ] {
        if let Ok(Some(value)) = FieldPath::parse(path).and_then(|path| path.get(object)) {
            shown.insert(path.to_owned(), value);
        }
    }
    if let Some(data) = object.get("data").and_then(Value::as_object) {
        shown.insert("data".to_owned(), data.keys().cloned().map(Value::String).collect());
    }
    shown
}
