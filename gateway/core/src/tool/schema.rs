//! A tool's JSON Schema, compiled once at load. No references out of it, linear regular
//! expressions, bounded size.

mod cycle;
mod lint;
mod listed;
mod words;

pub use lint::{Oddity, RootCombinator, Warning, Which, lint};
pub use listed::listed;

use crate::model::json;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

/// The member of the arguments that is the host's: the agent's purpose, outside schema and
/// digest.
pub const PURPOSE: &str = "purpose";

/// Bytes of a schema, as `tool.wit` says.
pub const SCHEMA: usize = 32 * 1024;

/// Bytes a compiled pattern may take: a pattern that needs more is no pattern of a name or a
/// number.
const PATTERN: usize = 1 << 20;

/// The one dialect that is taken.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A schema, compiled for checks.
#[derive(Debug)]
pub struct Schema {
    value: Value,
    validator: Validator,
}

/// A schema that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The schema is too large.
    #[error("the schema has {0} bytes; at most {SCHEMA} are accepted")]
    Size(usize),
    /// The root of the schema is not an object.
    #[error("the schema's root needs `\"type\": \"object\"`")]
    Root,
    /// The schema names another dialect.
    #[error("the schema names the dialect `{0}`; leave `$schema` out or write `{DIALECT}`")]
    Dialect(String),
    /// The schema has a reference to another document.
    #[error("the schema refers to `{0}`; references stay within the schema and begin with `#`")]
    Reference(String),
    /// A check would follow the schema for ever.
    #[error(
        "the schema applies itself to the same value; a reference to itself belongs below \
         `properties` or `items`"
    )]
    Cycle,
    /// A check would follow the schema for too long.
    #[error(
        "the schema holds one value against more schemas than any reader has time for; take \
         combinators out"
    )]
    Applied,
    /// An argument would be a secret.
    #[error(
        "the schema marks an argument `writeOnly`; secrets cannot be sealed to the runner yet, so \
         leave it out and reference a Secret by name"
    )]
    WriteOnly,
    /// The schema names the host's own argument.
    #[error("the schema names `{PURPOSE}`; that argument is the host's, give yours another name")]
    Purpose,
    /// The text is not a JSON Schema.
    #[error("the schema does not compile: {0}")]
    Compile(String),
}

impl Schema {
    /// Compiles a schema of arguments.
    pub fn of_input(value: &Value) -> Result<Self, SchemaError> {
        if names_purpose(value) { Err(SchemaError::Purpose) } else { Self::compile(value) }
    }

    /// Compiles a schema of results.
    pub fn of_output(value: &Value) -> Result<Self, SchemaError> {
        Self::compile(value)
    }

    fn compile(value: &Value) -> Result<Self, SchemaError> {
        let size =
            json::canonical(value).map_err(|error| SchemaError::Compile(error.to_string()))?.len();
        if size > SCHEMA {
            return Err(SchemaError::Size(size));
        }
        if value.get("type").and_then(Value::as_str) != Some("object") {
            return Err(SchemaError::Root);
        }
        inspect(value)?;
        cycle::bounded(value)?;
        let validator = jsonschema::draft202012::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN))
            .offline()
            .build(value)
            .map_err(|error| SchemaError::Compile(error.to_string()))?;
        Ok(Self { value: value.clone(), validator })
    }

    /// The schema as the tool gave it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The schema as agents see it: with the host's optional `purpose`.
    pub fn with_purpose(&self) -> Value {
        let mut value = self.value.clone();
        // Hosts that compile schemas by an older draft refuse a named dialect; every revision of
        // MCP takes this one by default.
        value.as_object_mut().map(|root| root.remove("$schema"));
        let purpose = json!({
            "type": "string",
            "maxLength": crate::model::limit::PURPOSE,
            "description": "Why you ask; approvers see it.",
        });
        if let Some(root) = value.as_object_mut() {
            let properties = root.entry("properties").or_insert_with(|| json!({}));
            if let Some(properties) = properties.as_object_mut() {
                properties.insert(PURPOSE.to_owned(), purpose);
            }
        }
        value
    }

    /// Checks a value with the schema. The error is the first one.
    pub fn check(&self, value: &Value) -> Result<(), ArgumentsError> {
        self.validator.validate(value).map_err(|error| self.error(&error))
    }

    /// Every error of a value.
    pub(crate) fn faults(&self, value: &Value) -> Vec<ArgumentsError> {
        self.validator.iter_errors(value).map(|error| self.error(&error)).collect()
    }

    fn error(&self, error: &jsonschema::ValidationError<'_>) -> ArgumentsError {
        ArgumentsError {
            path: error.instance_path().to_string(),
            reason: words::reason(error, &self.value),
        }
    }
}

/// True if the root, or anything that is applied to the root, speaks of `purpose`.
fn names_purpose(schema: &Value) -> bool {
    let property = ["properties", "dependentSchemas", "dependentRequired"]
        .iter()
        .any(|keyword| schema.get(keyword).and_then(|map| map.get(PURPOSE)).is_some());
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|names| names.iter().any(|name| name.as_str() == Some(PURPOSE)));
    let in_one = ["not", "if", "then", "else"]
        .iter()
        .filter_map(|keyword| schema.get(keyword))
        .any(names_purpose);
    let lists = ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|keyword| schema.get(keyword).and_then(Value::as_array));
    property || required || in_one || lists.flatten().any(names_purpose)
}

/// Walks every member: a keyword counts even where it is only the name of a property, which does no
/// harm.
fn inspect(value: &Value) -> Result<(), SchemaError> {
    match value {
        Value::Object(members) => members.iter().try_for_each(|(key, member)| {
            match (key.as_str(), member) {
                ("writeOnly", Value::Bool(true)) => return Err(SchemaError::WriteOnly),
                ("$ref" | "$dynamicRef", Value::String(to)) if !to.starts_with('#') => {
                    return Err(SchemaError::Reference(to.clone()));
                }
                ("$id", Value::String(id)) => return Err(SchemaError::Reference(id.clone())),
                ("$schema", Value::String(dialect)) if dialect != DIALECT => {
                    return Err(SchemaError::Dialect(dialect.clone()));
                }
                _ => {}
            }
            inspect(member)
        }),
        Value::Array(items) => items.iter().try_for_each(inspect),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expect: &str) {
        let got = Schema::of_input(&schema)
            .map_or_else(|error| error.to_string(), |_| "compiled".to_owned());
        assert!(got.contains(expect), "{got}");
    }

    #[test]
    fn schemas_stay_small_closed_and_without_secrets() {
        check(json!({"type": "object"}), "compiled");
        check(json!({"type": "string"}), "root needs");
        check(
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"type": "string"}}}),
            "compiled",
        );
        check(
            json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}}),
            "refers to",
        );
        check(
            json!({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}),
            "refers to",
        );
        check(
            json!({"type": "object",
            "properties": {"a": {"items": {"properties": {"b": {"writeOnly": true}}}}}}),
            "writeOnly",
        );
        check(json!({"type": "object", "properties": {"purpose": {}}}), "`purpose`");
        check(json!({"type": "object", "allOf": [{"required": ["purpose"]}]}), "`purpose`");
        check(
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)y"}}}),
            "does not compile",
        );
        check(
            json!({"type": "object", "properties": {"a": {"type": "string",
            "pattern": "(a{1000}){1000}"}}}),
            "does not compile",
        );
        check(
            json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}),
            "dialect",
        );
        check(json!({"type": "object", "description": "x".repeat(SCHEMA)}), "bytes");
    }
}

/// What is wrong with arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub struct ArgumentsError {
    /// JSON Pointer into the arguments.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl ArgumentsError {
    pub(crate) fn at(path: &str, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }

    /// Says that an argument which may be absent is to be left out, where `null` or an empty text
    /// was sent for it.
    pub(crate) fn if_optional(mut self, schema: &Value, arguments: &Value) -> Self {
        let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
        let Some(name) = self.path.strip_prefix('/').filter(|name| !name.contains('/')) else {
            return self;
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        let required = schema.get("required").and_then(Value::as_array);
        let required =
            required.is_some_and(|names| names.iter().any(|one| one.as_str() == Some(&name)));
        if !required && arguments.get(&name).is_some_and(empty) {
            self.reason.push_str(&format!("; `{name}` is optional: leave it out"));
        }
        self
    }
}
