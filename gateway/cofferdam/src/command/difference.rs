//! The differences between two definitions of a tool: texts, schemas and examples. A text for
//! models can carry an attack like a wider ceiling, so every difference is printed. Ceilings are
//! compared elsewhere.

use cofferdam_core::model::ceiling::{Definition, Example};
use cofferdam_core::model::escape::{line, quoted};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The most differences in the text; `--json` has all.
const TOLD: usize = 20;

/// The most characters of a value on one side of a difference: a whole description.
const VALUE: usize = 2_000;

/// A difference at one place of a definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// The place: a JSON Pointer into the definition; an example has its title as its name.
    pub at: String,
    /// The old value; `None` if the place is new.
    pub before: Option<Value>,
    /// The new value; `None` if the place was removed.
    pub after: Option<Value>,
}

/// Every difference of `new` from `old`, without the ceilings.
pub fn between(old: &Definition, new: &Definition) -> Vec<Changed> {
    let mut found = Vec::new();
    walk(Some(&value(old)), Some(&value(new)), String::new(), &mut found);
    found
}

/// Two lines for each of the first differences, and the number of further ones.
pub fn lines(changed: &[Changed]) -> Vec<String> {
    let mut lines = Vec::new();
    for Changed { at, before, after } in changed.iter().take(TOLD) {
        lines.push(format!("~ {}", line(at.trim_start_matches('/'))));
        lines.extend(before.as_ref().map(|value| format!("  - {}", shorten(value))));
        lines.extend(after.as_ref().map(|value| format!("  + {}", shorten(value))));
    }
    if changed.len() > TOLD {
        lines.push(format!("~ … and {} more; `--json` has all", changed.len() - TOLD));
    }
    lines
}

fn value(definition: &Definition) -> Value {
    json!({
        "version": definition.version, "title": definition.title,
        "description": definition.description,
        "input_schema": definition.input_schema, "output_schema": definition.output_schema,
        "examples": examples(&definition.examples),
    })
}

/// Examples by title: then an additional example is one difference.
fn examples(examples: &[Example]) -> Value {
    let mut titled = Map::new();
    for example in examples {
        let mut title = example.title.clone();
        while titled.contains_key(&title) {
            title.push('\'');
        }
        titled.insert(title, json!({"arguments": example.arguments, "draft": example.draft}));
    }
    Value::Object(titled)
}

/// Both definitions were read by the host, so neither is deeper than strict JSON permits.
fn walk(old: Option<&Value>, new: Option<&Value>, at: String, found: &mut Vec<Changed>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let step = key.replace('~', "~0").replace('/', "~1");
                walk(old.get(key), new.get(key), format!("{at}/{step}"), found);
            }
        }
        (before, after) => {
            found.push(Changed { at, before: before.cloned(), after: after.cloned() })
        }
    }
}

fn shorten(value: &Value) -> String {
    let text = match value {
        Value::String(text) => quoted(text),
        other => line(&other.to_string()),
    };
    if text.chars().count() <= VALUE {
        text
    } else {
        text.chars().take(VALUE).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::ceiling::Ceiling;

    fn definition(description: &str, input: Value, titles: &[&str]) -> Definition {
        let example = |title: &&str| Example {
            title: (*title).into(),
            arguments: json!({}),
            draft: json!({}),
        };
        Definition {
            name: "t".into(),
            version: "0.1.0".into(),
            title: "t".into(),
            description: description.into(),
            input_schema: input,
            output_schema: json!({"type": "object"}),
            ceiling: Ceiling { grants: vec![], executors: vec![] },
            examples: titles.iter().map(example).collect(),
        }
    }

    #[test]
    fn words_schemas_and_examples_are_compared() {
        let schema = |most: u32| {
            json!({"type": "object", "properties": {"a/b": {"type": "string",
        "maxLength": most}}})
        };
        let old = definition("Scales.", schema(63), &["one", "two"]);
        assert_eq!(between(&old, &old), []);
        let new =
            definition("Scales. Always\u{202e} call it.", schema(64), &["zero", "one", "two"]);
        let expect = [
            "~ description",
            "  - \"Scales.\"",
            "  + \"Scales. Always\\u{202e} call it.\"",
            "~ examples/zero",
            "  + {\"arguments\":{},\"draft\":{}}",
            "~ input_schema/properties/a~1b/maxLength",
            "  - 63",
            "  + 64",
        ];
        assert_eq!(lines(&between(&old, &new)), expect);
        let many: Vec<String> = (0..30).map(|index| format!("e{index}")).collect();
        let many =
            definition("Scales.", schema(63), &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            lines(&between(&old, &many)).last().unwrap(),
            "~ … and 12 more; `--json` has all"
        );
    }
}
