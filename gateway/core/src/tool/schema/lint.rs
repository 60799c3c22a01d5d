//! Checks for parts of a tool's schemas that hosts of models are known to refuse, though JSON
//! Schema permits them. A combinator at the root of the arguments is an error: it costs an agent
//! every tool of the list, not this one alone. The rest are warnings. Run by `build`, `inspect`,
//! `init` and `accept`; a gateway goes on serving a tool that was accepted before.

use crate::model::ceiling::Definition;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

/// Keywords that the APIs of models refuse at the root of the arguments' schema.
const ROOT: [&str; 11] = [
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "$dynamicRef",
    "enum",
    "const",
];

/// Keywords with one schema.
const ONE: [&str; 8] =
    ["items", "contains", "not", "if", "then", "else", "propertyNames", "contentSchema"];

/// Keywords with one schema that hosts take as `true` or `false` too.
const ONE_OR_BOOLEAN: [&str; 3] =
    ["additionalProperties", "unevaluatedProperties", "unevaluatedItems"];

/// Keywords with a list of schemas.
const LIST: [&str; 4] = ["oneOf", "anyOf", "allOf", "prefixItems"];

/// Keywords with schemas by name.
const MAP: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Warnings of one tool that are kept: more say nothing new.
const WARNINGS: usize = 64;

/// The arguments' schema has a combinator at its root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the input schema has `{0}` at its root, and the APIs of models then refuse every tool of the \
     list; describe the choice in words, leave `{0}` out, and refuse in `plan` what does not go \
     together"
)]
pub struct RootCombinator(&'static str);

/// One of the two schemas of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The schema of the arguments.
    Input,
    /// The schema of the result.
    Output,
}

/// A part that some hosts refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// `$schema` names a dialect.
    Dialect,
    /// `type` is a list.
    TypeList,
    /// `true` or `false` in place of a schema.
    Boolean,
    /// `enum` without a `type`.
    EnumWithoutType,
    /// `properties` without `"type": "object"`.
    PropertiesWithoutType,
}

/// One place of a schema that some hosts refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The schema that has the part.
    pub schema: Which,
    /// JSON Pointer into it; empty for its root.
    pub at: String,
    /// The part that hosts refuse.
    pub what: Oddity,
}

impl Oddity {
    /// The name of the part, the hosts that are known to refuse it, and the remedy.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Dialect => (
                "`$schema`",
                "OpenClaw and LLxprt Code",
                "leave it out; 2020-12 is meant without it",
            ),
            Self::TypeList => (
                "a list of types",
                "Gemini models (Copilot CLI, Gemini CLI) and Cursor",
                "name one type",
            ),
            Self::Boolean => (
                "`true` or `false` as a schema",
                "Gemini models (Copilot CLI), Claude's Agent SDK and OpenCode",
                "write the type out, or leave the member out",
            ),
            Self::EnumWithoutType => ("`enum` without `type`", "Gemini models", "name the type"),
            Self::PropertiesWithoutType => {
                ("`properties` without `type`", "Gemini models", "write `\"type\": \"object\"`")
            }
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.schema {
            Which::Input => "input",
            Which::Output => "output",
        };
        let place = if self.at.is_empty() {
            "its root".to_owned()
        } else {
            format!("`{}`", crate::model::escape::line(&self.at))
        };
        let (what, hosts, remedy) = self.what.words();
        write!(f, "{which} schema, {place}: {what}; {hosts} refuse it; {remedy}")
    }
}

/// Reads both schemas of a tool as hosts of models do. Returns the parts that some of them refuse.
///
/// # Errors
///
/// A combinator is at the root of the input schema.
pub fn lint(definition: &Definition) -> Result<Vec<Warning>, RootCombinator> {
    let root = definition.input_schema.as_object();
    if let Some(keyword) =
        root.and_then(|root| ROOT.into_iter().find(|keyword| root.contains_key(*keyword)))
    {
        return Err(RootCombinator(keyword));
    }
    let mut warnings = Vec::new();
    for (schema, value) in
        [(Which::Input, &definition.input_schema), (Which::Output, &definition.output_schema)]
    {
        walk(schema, value, String::new(), &mut warnings);
    }
    warnings.truncate(WARNINGS);
    Ok(warnings)
}

/// Visits schemas alone: a property that is called `enum` is no keyword. Schemas are as deep as
/// strict JSON permits.
fn walk(schema: Which, value: &Value, at: String, found: &mut Vec<Warning>) {
    let mut odd = |what| found.push(Warning { schema, at: at.clone(), what });
    let members = match value {
        Value::Bool(_) => return odd(Oddity::Boolean),
        Value::Object(members) => members,
        _ => return,
    };
    if members.contains_key("$schema") {
        odd(Oddity::Dialect);
    }
    match members.get("type") {
        Some(Value::Array(_)) => odd(Oddity::TypeList),
        None if members.contains_key("enum") => odd(Oddity::EnumWithoutType),
        None if members.contains_key("properties") => odd(Oddity::PropertiesWithoutType),
        _ => {}
    }
    for (place, inner) in inner(members) {
        walk(schema, inner, format!("{at}/{place}"), found);
    }
}

/// Every schema inside one, with its place.
fn inner(members: &Map<String, Value>) -> Vec<(String, &Value)> {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    let mut inner = Vec::new();
    for (keyword, value) in members {
        let name = keyword.as_str();
        match value {
            Value::Array(list) if LIST.contains(&name) => {
                inner.extend(
                    list.iter().enumerate().map(|(index, item)| (format!("{name}/{index}"), item)),
                );
            }
            Value::Object(map) if MAP.contains(&name) => {
                inner.extend(
                    map.iter().map(|(key, item)| (format!("{name}/{}", escaped(key)), item)),
                );
            }
            Value::Bool(_) if ONE_OR_BOOLEAN.contains(&name) => {}
            _ if ONE.contains(&name) || ONE_OR_BOOLEAN.contains(&name) => {
                inner.push((name.to_owned(), value))
            }
            _ => {}
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ceiling::Ceiling;
    use serde_json::json;

    fn check(input: Value, output: Value, expect: Result<&[&str], &str>) {
        let definition = Definition {
            name: "t".into(),
            version: "0.1.0".into(),
            title: "t".into(),
            description: "t".into(),
            input_schema: input,
            output_schema: output,
            ceiling: Ceiling { grants: vec![], executors: vec![] },
            examples: vec![],
        };
        match (lint(&definition), expect) {
            (Ok(found), Ok(expect)) => {
                let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                assert_eq!(found.len(), expect.len(), "{found:?}");
                assert!(
                    found.iter().zip(expect).all(|(found, expect)| found.starts_with(expect)),
                    "{found:?}"
                );
            }
            (Err(error), Err(keyword)) => assert!(
                error.to_string().contains(&format!("has `{keyword}` at its root")),
                "{error}"
            ),
            (found, expect) => panic!("{found:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn every_combinator_at_the_root_of_arguments_is_refused_by_name() {
        for keyword in ROOT {
            check(
                json!({"type": "object", keyword: [{}]}),
                json!({"type": "object"}),
                Err(keyword),
            );
            // In a result, and deeper, it is none of a model's business.
            check(
                json!({"type": "object"}),
                json!({"type": "object", "oneOf": [{"type": "object"}]}),
                Ok(&[]),
            );
            check(
                json!({"type": "object", "properties": {keyword: {"type": "string"}}}),
                json!({"type": "object"}),
                Ok(&[]),
            );
        }
    }

    #[test]
    fn what_some_hosts_refuse_is_named_with_its_place_and_the_hosts() {
        let clean = json!({
            "type": "object", "additionalProperties": false, "properties": {
                "a": {"type": "array", "items": {"type": "string", "enum": ["x"]}},
                "enum": {"type": "string"}, "b": {"type": "object",
                "additionalProperties": {"type": "string"}},
            },
        });
        check(clean.clone(), clean.clone(), Ok(&[]));
        let odd = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {
                "a": {"type": ["string", "null"]}, "b/c": true, "d": {"enum": ["x"]},
                "e": {"type": "array", "items": {"properties": {"f": {"type": "string"}}}},
                "g": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
            },
        });
        check(
            odd,
            json!({"type": "object", "properties": {"z": {"anyOf": [{"type": "string"}, false]}}}),
            Ok(&[
                "input schema, its root: `$schema`; OpenClaw and LLxprt Code refuse it; leave it \
                 out",
                "input schema, `/properties/a`: a list of types; Gemini models (Copilot CLI, \
                 Gemini CLI) and Cursor refuse",
                "input schema, `/properties/b~1c`: `true` or `false` as a schema; Gemini models \
                 (Copilot CLI), Claude's",
                "input schema, `/properties/d`: `enum` without `type`",
                "input schema, `/properties/e/items`: `properties` without `type`",
                "input schema, `/properties/g/additionalProperties`: a list of types",
                "output schema, `/properties/z/anyOf/1`: `true` or `false` as a schema",
            ]),
        );
    }
}
