//! The definition of a tool, read once when it is loaded. Models and reviewers see it, so it must
//! match the WIT exactly.

use super::text::{group, json, name, paths, shown};
use super::{bad, over};
use crate::bindings::tool::types;
use crate::error::SandboxError;
use cofferdam_core::model::ceiling::{Ceiling, Definition, EPHEMERAL, Example, Grant};
use cofferdam_core::model::limit as core_limit;
use cofferdam_core::model::operation::Action;
use serde_json::Value;

/// Longest name of a tool, in characters.
const NAME: usize = 64;
/// Longest title, in characters.
const TITLE: usize = 80;
/// Longest description, in characters.
const DESCRIPTION: usize = 2_000;
/// Most bytes of a schema.
const SCHEMA: usize = 32 * 1024;
/// Most lines of a ceiling: a reviewer reads each.
const GRANTS: usize = 64;
/// Most members of a list inside a line: namespaces, fields, executors.
const MEMBERS: usize = 64;
/// Most examples: each runs at every build and acceptance.
const EXAMPLES: usize = 32;

/// Converts a definition.
pub(crate) fn definition(said: types::Definition) -> Result<Definition, SandboxError> {
    at_most("ceiling", said.ceiling.grants.len(), GRANTS, "grants")?;
    at_most("ceiling", said.ceiling.executors.len(), MEMBERS, "executors")?;
    at_most("examples", said.examples.len(), EXAMPLES, "examples")?;
    let executors = said
        .ceiling
        .executors
        .into_iter()
        .map(|executor| name("ceiling: executor", executor))
        .collect::<Result<_, _>>()?;
    let grants = said
        .ceiling
        .grants
        .into_iter()
        .enumerate()
        .map(|(index, line)| grant(index, line))
        .collect::<Result<_, _>>()?;
    let examples = said
        .examples
        .into_iter()
        .enumerate()
        .map(|(index, given)| example(index, given))
        .collect::<Result<_, _>>()?;
    Ok(Definition {
        name: tool_name(said.name)?,
        version: version(said.version)?,
        title: shown("title", said.title, TITLE)?,
        description: shown("description", said.description, DESCRIPTION)?,
        input_schema: schema("input schema", &said.input_schema)?,
        output_schema: schema("output schema", &said.output_schema)?,
        ceiling: Ceiling { grants, executors },
        examples,
    })
}

fn at_most(place: &str, count: usize, most: usize, what: &str) -> Result<(), SandboxError> {
    if count > most {
        Err(over(place, format_args!("{count} {what}, at most {most} are taken")))
    } else {
        Ok(())
    }
}

fn tool_name(text: String) -> Result<String, SandboxError> {
    let letters =
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
    if letters && begins && text.len() <= NAME {
        return Ok(text);
    }
    let start: String = text.chars().take(NAME).collect();
    Err(bad(
        "name",
        format_args!(
            "{start:?} is not 1 to {NAME} of `a-z`, `0-9` and `_`, beginning with a letter"
        ),
    ))
}

/// Semantic version 2.0.0: three numbers without leading zeros, then an optional `-pre.release` and
/// `+build`.
fn version(text: String) -> Result<String, SandboxError> {
    let number = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    let words = |part: &str| {
        part.split('.').all(|word| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    let (rest, build) =
        text.split_once('+').map_or((text.as_str(), None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let numbers: Vec<&str> = core.split('.').collect();
    let valid = numbers.len() == 3
        && numbers.iter().all(|part| number(part))
        && pre.is_none_or(words)
        && build.is_none_or(words);
    if valid && text.len() <= NAME {
        return Ok(text);
    }
    let start: String = text.chars().take(NAME).collect();
    Err(bad("version", format_args!("{start:?} is not a semantic version, such as `1.2.0`")))
}

/// An object schema that refers to nothing outside of itself. The core checks that it is a valid
/// schema.
fn schema(place: &str, text: &str) -> Result<Value, SandboxError> {
    let schema = json(place, text, SCHEMA)?;
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(bad(place, "its root needs `\"type\": \"object\"`"));
    }
    inside(place, &schema)?;
    Ok(schema)
}

fn inside(place: &str, schema: &Value) -> Result<(), SandboxError> {
    match schema {
        Value::Object(members) => {
            members.iter().try_for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(to)) if !to.starts_with('#') => Err(bad(
                    place,
                    format_args!(
                        "the reference {to:?} leads outside it; write the schema out, under \
                         `$defs`"
                    ),
                )),
                ("writeOnly", Value::Bool(true)) => Err(bad(
                    place,
                    "it marks an argument `writeOnly`: secrets cannot be arguments yet; let the \
                     plan name a Secret instead",
                )),
                _ => inside(place, value),
            })
        }
        Value::Array(items) => items.iter().try_for_each(|item| inside(place, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn grant(index: usize, line: types::Grant) -> Result<Grant, SandboxError> {
    let place = format!("grant {index}");
    at_most(&place, line.namespaces.len(), MEMBERS, "namespaces")?;
    at_most(&place, line.fields.len(), MEMBERS, "fields")?;
    let action = action(line.action);
    if action == Action::Delete && !line.fields.is_empty() {
        return Err(bad(&place, "`delete` takes the whole object; leave `fields` empty"));
    }
    let namespaces = line
        .namespaces
        .into_iter()
        .map(|text| namespace(&place, text))
        .collect::<Result<_, _>>()?;
    Ok(Grant {
        action,
        group: group(&place, line.group)?,
        version: name(&place, line.version)?,
        kind: name(&place, line.kind)?,
        namespaces,
        fields: paths(&place, line.fields)?,
    })
}

/// An exact name, a prefix with `*`, `*`, or the empty text for the namespace of the run.
fn namespace(place: &str, text: String) -> Result<String, SandboxError> {
    if text == EPHEMERAL {
        return Ok(text);
    }
    let label = text.strip_suffix('*').unwrap_or(&text);
    let plain = label
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !plain || text.len() > 64 {
        let start: String = text.chars().take(64).collect();
        return Err(bad(
            place,
            format_args!("the namespace {start:?} is neither a name nor a prefix followed by `*`"),
        ));
    }
    Ok(text)
}

fn action(said: types::Action) -> Action {
    match said {
        types::Action::Read => Action::Read,
        types::Action::List => Action::List,
        types::Action::Logs => Action::Logs,
        types::Action::Apply => Action::Apply,
        types::Action::Patch => Action::Patch,
        types::Action::Delete => Action::Delete,
        types::Action::Task => Action::Task,
        types::Action::Egress => Action::Egress,
    }
}

fn example(index: usize, given: types::Example) -> Result<Example, SandboxError> {
    let place = format!("example {index}");
    Ok(Example {
        title: shown(&place, given.title, TITLE)?,
        arguments: json(&place, &given.arguments, core_limit::ARGUMENTS)?,
        draft: json(&place, &given.draft, core_limit::DRAFT)?,
    })
}
