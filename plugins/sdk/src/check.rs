//! The checks that a test made by [`tool!`](crate::tool!) runs on the author's machine. They are
//! not part of a guest. The host makes the same checks when it loads a component; here an author
//! sees an error before a build.

mod ceiling;
mod json;
mod object;
mod root;
mod update;

pub use json::draft as draft_json;

use crate::tool::{Action, Definition, Draft, Refusal};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use std::path::Path;

/// The largest number of characters of a title, as in `tool.wit`.
const TITLE: usize = 80;
/// The largest number of characters of a description, as in `tool.wit`.
const DESCRIPTION: usize = 2_000;
/// The largest number of bytes of a schema, as in `tool.wit`.
const SCHEMA: usize = 32 * 1_024;
/// The largest number of characters of a summary, as in `tool.wit`.
const SUMMARY: usize = 200;

/// Runs [`faults`] for the test made by `tool!`. With `updates`, which `UPDATE_EXAMPLES=1` sets, it
/// first writes the drafts of `plan` into the examples of this crate.
pub fn test(
    definition: &Definition,
    plan: impl Fn(&str) -> Result<Draft, Refusal>,
    folder: &str,
    updates: bool,
) -> Vec<String> {
    if !updates {
        return faults(definition, plan);
    }
    let mut found = Vec::new();
    let mut current = definition.clone();
    for example in &mut current.examples {
        let Ok(text) = arguments(None, &example.arguments) else { continue };
        let Ok(draft) = plan(&text) else { continue };
        if compare(&example.draft, &draft).is_none() {
            continue;
        }
        match update::update(Path::new(folder), &example.title, &example.draft, &draft) {
            Ok(path) => {
                println!(
                    "example `{}`: the new draft is in {}; read it before you commit it",
                    example.title,
                    path.display()
                );
                example.draft = draft_json(&draft).to_string();
            }
            Err(fault) => found.push(format!("example `{}`: {fault}", example.title)),
        }
    }
    found.extend(faults(&current, plan));
    found
}

/// Returns the errors of a definition and of the drafts that `plan` makes of its examples. Empty if
/// there are none. `plan` takes arguments as JSON text.
pub fn faults(
    definition: &Definition,
    plan: impl Fn(&str) -> Result<Draft, Refusal>,
) -> Vec<String> {
    let mut faults = texts(definition);
    let input = schema(&definition.input_schema)
        .map_err(|fault| faults.push(format!("input schema: {fault}")))
        .ok();
    faults.extend(
        root::combinator(&definition.input_schema).map(|fault| format!("input schema: {fault}")),
    );
    if let Err(fault) = schema(&definition.output_schema) {
        faults.push(format!("output schema: {fault}"));
    }
    if definition.examples.is_empty() {
        faults.push(
            "no example: add one with `Definition::example`; reviewers read the examples first"
                .into(),
        );
    }
    for example in &definition.examples {
        let title = &example.title;
        match arguments(input.as_ref(), &example.arguments) {
            Err(fault) => faults.push(format!("example `{title}`: {fault}")),
            Ok(text) => match plan(&text) {
                Err(refusal) => {
                    faults.push(format!("example `{title}`: refused: {}", refusal.reason))
                }
                Ok(draft) => {
                    faults.extend(
                        compare(&example.draft, &draft)
                            .into_iter()
                            .chain(inside(definition, &draft))
                            .map(|fault| format!("example `{title}`: {fault}")),
                    );
                }
            },
        }
    }
    faults
}

/// Returns the outcome of arguments: `schema: …`, `refused: …` with the tool's reason, or `planned:
/// …` with the summary. For tests of refusals.
pub fn verdict(
    definition: &Definition,
    plan: impl Fn(&str) -> Result<Draft, Refusal>,
    arguments_text: &str,
) -> String {
    let input = match schema(&definition.input_schema) {
        Ok(input) => input,
        Err(fault) => return format!("input schema: {fault}"),
    };
    match arguments(Some(&input), arguments_text) {
        Err(fault) => format!("schema: {fault}"),
        Ok(text) => match plan(&text) {
            Err(refusal) => format!("refused: {}", refusal.reason),
            Ok(draft) => format!("planned: {}", draft.summary),
        },
    }
}

/// Checks names and texts against the limits of `tool.wit`.
fn texts(definition: &Definition) -> Vec<String> {
    let mut faults = Vec::new();
    let Definition { name, title, description, .. } = definition;
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if name.len() > 64 || !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        faults.push(format!(
            "name `{name}`: 1 to 64 of `a-z`, `0-9` and `_`, beginning with a letter; change it \
             in Cargo.toml"
        ));
    }
    for (what, text, limit) in [("title", title, TITLE), ("description", description, DESCRIPTION)]
    {
        if text.is_empty() || text.chars().count() > limit {
            faults.push(format!("{what}: 1 to {limit} characters, not {}", text.chars().count()));
        }
        if let Some(odd) = text.chars().find(|c| unseen(*c)) {
            faults.push(format!(
                "{what}: the character U+{:04X} cannot be seen; remove it",
                u32::from(odd)
            ));
        }
    }
    faults
}

/// True for control, bidirectional and invisible characters, with which a reader and a model would
/// see different texts.
fn unseen(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    let turning = matches!(c,
    '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
    c.is_control() || invisible || turning
}

/// Compiles a schema as the host does: 2020-12, a linear regular expression engine, no reference
/// outside itself.
fn schema(text: &str) -> Result<Validator, String> {
    if text.len() > SCHEMA {
        return Err(format!("{} bytes; at most {SCHEMA}", text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
    if value.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its root needs `\"type\": \"object\"`".into());
    }
    jsonschema::draft202012::options()
        .with_pattern_options(PatternOptions::regex())
        .build(&value)
        .map_err(|fault| fault.to_string())
}

/// Checks arguments against the schema. Returns them in the form that the host passes on: keys
/// sorted, no blanks.
fn arguments(input: Option<&Validator>, text: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|fault| format!("the arguments are not JSON: {fault}"))?;
    match input.map(|input| input.validate(&value)) {
        Some(Err(fault)) => Err(format!("`{}`: {fault}", fault.instance_path())),
        _ => Ok(value.to_string()),
    }
}

/// Compares the values of two drafts, not their spelling.
fn compare(expected: &str, draft: &Draft) -> Option<String> {
    let found = draft_json(draft);
    match serde_json::from_str::<Value>(expected) {
        Err(fault) => Some(format!("its draft is not JSON: {fault}")),
        Ok(expected) if expected == found => None,
        Ok(expected) => Some(format!(
            "the draft differs; if the new one is right, paste it, or let \
             `UPDATE_EXAMPLES=1 cargo test` write it\nexpected {expected:#}\nfound {found:#}"
        )),
    }
}

/// Checks a draft against the ceiling and against the limits of drafts.
fn inside(definition: &Definition, draft: &Draft) -> Vec<String> {
    let mut faults: Vec<String> = draft
        .operations
        .iter()
        .filter_map(|step| ceiling::beyond(&definition.ceiling, &step.operation))
        .collect();
    if draft.summary.is_empty() || draft.summary.chars().count() > SUMMARY {
        faults.push(format!(
            "summary: 1 to {SUMMARY} characters, not {}",
            draft.summary.chars().count()
        ));
    }
    let looks = |step: &crate::tool::Step| {
        matches!(ceiling::action(&step.operation), Action::Read | Action::List | Action::Logs)
    };
    match &draft.executor {
        Some(executor) if !definition.ceiling.executors.contains(executor) => {
            faults.push(format!(
                "executor `{executor}` is not in the ceiling; add `.executor(\"{executor}\")` to \
                 the definition"
            ));
        }
        Some(_) if draft.operations.iter().any(looks) => {
            faults.push("a read in a draft with an executor; use `Draft::look`".into())
        }
        None if !draft.operations.iter().all(looks) => {
            faults.push("a change without an executor; use `Draft::change`".into())
        }
        _ => {}
    }
    for (index, step) in draft.operations.iter().enumerate() {
        if step.after.iter().any(|after| usize::try_from(*after).is_ok_and(|after| after >= index))
        {
            faults.push(format!("operation {index} waits for itself or a later one"));
        }
    }
    faults
}
