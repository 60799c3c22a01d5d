//! A tool's output schema as it is listed: open for the members that the host adds to every result,
//! and free of parts for which some hosts refuse a whole list of tools. Never changes the schema
//! that a tool's own result is checked with.

use serde_json::Value;

/// The keywords that may be at the root of a schema that is open once nothing is required there.
const PLAIN: [&str; 7] =
    ["type", "properties", "title", "description", "$defs", "definitions", "examples"];

/// The schema that every answer of a tool satisfies whose own result satisfies `own`.
pub fn listed(own: &Value) -> Value {
    let mut schema = opened(own);
    if let Some(root) = schema.as_object_mut() {
        root.remove("$schema");
        // A call that waits has no member of the result yet. A root with more in it than members is
        // opened when it is listed.
        if root.keys().all(|key| key == "required" || PLAIN.contains(&key.as_str())) {
            root.remove("required");
        }
    }
    schema
}

/// Without what closes objects against further members.
fn opened(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let closing = |key: &str, value: &Value| {
                matches!(key, "additionalProperties" | "unevaluatedProperties")
                    && *value == Value::Bool(false)
            };
            let kept = members.iter().filter(|(key, value)| !closing(key, value));
            kept.map(|(key, value)| (key.clone(), opened(value))).collect()
        }
        Value::Array(items) => items.iter().map(opened).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_listed_schema_is_open() {
        let own = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "additionalProperties": false, "required": ["results"],
            "properties": {"results": {"type": "array", "items": {"type": "object",
            "additionalProperties": false, "required": ["fields"]}}},
        });
        let open = json!({
            "type": "object", "properties": {"results": {"type": "array",
            "items": {"type": "object", "required": ["fields"]}}},
        });
        assert_eq!(listed(&own), open);
        let combined = json!({"type": "object", "required": ["a"], "anyOf": [{"required": ["b"]}],
        "additionalProperties": false});
        assert_eq!(
            listed(&combined),
            json!({"type": "object", "required": ["a"], "anyOf": [{"required": ["b"]}]})
        );
    }
}
