//! Errors of arguments, in words that name the argument and the remedy. Never longer than a line,
//! and never repeats a large value.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// Characters of an error that an agent is shown: jsonschema repeats the offending value in it.
const REASON: usize = 300;

/// The cause and the remedy, in one sentence.
pub(super) fn reason(error: &ValidationError<'_>, schema: &Value) -> String {
    let said = match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => {
            format!("`{name}` is missing")
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unknown(unexpected, &error.instance_path().to_string(), schema)
        }
        _ => error.to_string(),
    };
    crate::model::escape::line(&shorten(said))
}

fn unknown(unexpected: &[String], path: &str, schema: &Value) -> String {
    let names = crate::model::near::listed(unexpected.iter().map(String::as_str));
    let there =
        if path.is_empty() { schema.get("properties").and_then(Value::as_object) } else { None };
    let Some(there) = there else { return format!("{names}: there is no such member") };
    let there = || there.keys().map(String::as_str);
    match unexpected.first().and_then(|name| crate::model::near::nearest(name, there())) {
        Some(meant) => format!("there is no argument {names}; did you mean `{meant}`?"),
        None => format!(
            "there is no argument {names}; there are {}",
            crate::model::near::listed(there())
        ),
    }
}

fn shorten(text: String) -> String {
    if text.chars().count() <= REASON {
        text
    } else {
        text.chars().take(REASON).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::tool::schema::Schema;
    use serde_json::{Value, json};

    #[test]
    fn the_argument_at_fault_is_named() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["namespace", "name"],
            "properties": {
                "namespace": {"type": "string"}, "name": {"type": "string"},
                "limit": {"type": "integer", "maximum": 5},
                "at": {"type": "object", "required": ["x"], "additionalProperties": false,
                "properties": {"x": {"type": "integer"}}},
            },
        });
        let schema = Schema::of_input(&schema).unwrap();
        let check = |arguments: Value, path: &str, reason: &str| {
            let error = schema.check(&arguments).unwrap_err();
            assert_eq!((error.path.as_str(), error.reason.as_str()), (path, reason));
        };
        let with = |more: Value| {
            let mut arguments = json!({"namespace": "a", "name": "b"});
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            arguments
        };
        check(json!({"namespace": "a"}), "", "`name` is missing");
        check(with(json!({"limt": 5})), "", "there is no argument `limt`; did you mean `limit`?");
        check(
            with(json!({"selector": 5})),
            "",
            "there is no argument `selector`; there are `at`, `limit`, `name` and `namespace`",
        );
        check(with(json!({"limit": null})), "/limit", "null is not of type \"integer\"");
        check(with(json!({"limit": 6})), "/limit", "6 is greater than the maximum of 5");
        check(with(json!({"at": {}})), "/at", "`x` is missing");
        check(with(json!({"at": {"x": 1, "y": 2}})), "/at", "`y`: there is no such member");
    }
}
