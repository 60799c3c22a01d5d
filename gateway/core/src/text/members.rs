//! A JSON Schema for people: one line for each member, at most one screen. `--json` has the whole
//! schema.

use super::short;
use crate::model::escape::{line, quoted};
use serde_json::Value;

/// The most members in the text; tools with more are rare.
const MEMBERS: usize = 20;

/// The most characters of a member's description: one line of a terminal.
const WORDS: usize = 120;

/// A line for each member of an object's schema: name, type, whether it is required, and its words.
pub fn members(schema: &Value) -> Vec<String> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return vec!["any members".to_owned()];
    };
    let told = |(name, member): (&String, &Value)| {
        let needed = if required.contains(&name.as_str()) { ", required" } else { "" };
        let words = member
            .get("description")
            .and_then(Value::as_str)
            .map(|words| format!("  {}", quoted(&cut(words))));
        format!("{}: {}{needed}{}", line(name), kind(member), words.unwrap_or_default())
    };
    let mut lines: Vec<String> = properties.iter().take(MEMBERS).map(told).collect();
    if properties.len() > MEMBERS {
        lines.push(format!("… and {} more", properties.len() - MEMBERS));
    }
    lines
}

fn cut(words: &str) -> String {
    if words.chars().count() <= WORDS {
        words.to_owned()
    } else {
        words.chars().take(WORDS).chain(['…']).collect()
    }
}

fn kind(member: &Value) -> String {
    let name = match member.get("type") {
        Some(Value::String(name)) => line(name),
        Some(other) => short(&other.to_string(), 40),
        None => "any".to_owned(),
    };
    match member.get("enum") {
        Some(options) => format!("{name}, one of {}", short(&options.to_string(), 60)),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_member_is_a_line() {
        let schema = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Its name\u{202e}."},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "value": {"type": ["string", "null"]}, "rest": true,
            },
        });
        let expect = [
            r#"mode: string, one of ["a","b"]"#,
            r#"name: string, required  "Its name\u{202e}.""#,
            "rest: any",
            r#"value: ["string","null"]"#,
        ];
        assert_eq!(members(&schema), expect);
        assert_eq!(members(&json!({"type": "object"})), ["any members"]);
    }
}
