//! Single values as text: in the style that stood there when it can hold the new value, in double quotes otherwise. Never writes a plain scalar that
//! any reader could take for something else.

use crate::directory::read::{Node, plain};
use saphyr_parser::ScalarStyle;
use serde_json::Value;
use yaml_edit::{ScalarValue, YamlValue};

/// Replaces a scalar by a scalar; none where either is something else, or nothing is written there.
pub(super) fn replace(text: &str, node: &Node, style: ScalarStyle, value: &Value, flow: bool) -> Option<String> {
    let inline = matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    if !inline || node.span.is_empty() {
        return None;
    }
    let new = match value {
        Value::String(string) => written(string, style, flow),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => return None,
    };
    // Of a plain scalar over several lines the parser's span may hold trailing white space.
    let old = text.get(node.span.clone())?.trim_end();
    let end = node.span.start + old.len();
    Some(format!("{}{new}{}", text.get(..node.span.start)?, text.get(end..)?))
}

/// A string in this style where it can be.
fn written(string: &str, style: ScalarStyle, flow: bool) -> String {
    match style {
        ScalarStyle::SingleQuoted if string.chars().all(|character| !character.is_control()) => format!("'{}'", string.replace('\'', "''")),
        ScalarStyle::Plain if is_plain(string, flow) => string.to_owned(),
        _ => double_quoted(string),
    }
}

/// JSON strings are YAML double-quoted strings (YAML 1.2.2, 1.2); what is not printable there is escaped too.
pub(super) fn double_quoted(string: &str) -> String {
    let mut quoted = String::with_capacity(string.len() + 2);
    for character in Value::from(string).to_string().chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => quoted.push(other),
        }
    }
    quoted
}

/// Whether a string can stand without quotes: a careful subset of YAML's rule, and no reader takes it for a number, a time or a boolean.
pub(super) fn is_plain(string: &str, flow: bool) -> bool {
    let first = string.starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '/' | '_'));
    let inner = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(character, '_' | '-' | '.' | '/' | ':' | '+' | '@' | '=' | ' ')
            || (character == ',' && !flow)
    };
    let date = string.len() >= 8 && string.bytes().take(4).all(|byte| byte.is_ascii_digit()) && string.as_bytes().get(4) == Some(&b'-');
    let colon = string.contains(": ") || string.ends_with(':') || (flow && string.contains(':'));
    if !first || date || colon || string.ends_with(' ') || !string.chars().all(inner) {
        return false;
    }
    plain(string) == (Value::String(string.to_owned()), false)
}

/// A key for the syntax tree, in quotes where a reader could take it for something else.
pub(super) fn key_value(key: &str) -> ScalarValue {
    if is_plain(key, true) { ScalarValue::plain(key) } else { ScalarValue::double_quoted(key) }
}

/// A value for the syntax tree; `flow` where it goes between brackets.
pub(super) fn yaml_value(value: &Value, flow: bool) -> YamlValue {
    match value {
        Value::String(string) if is_plain(string, flow) => YamlValue::Scalar(ScalarValue::plain(string.as_str())),
        Value::String(string) if !flow && super::block::is_literal(string) => YamlValue::Scalar(ScalarValue::literal(string.as_str())),
        Value::String(string) => YamlValue::Scalar(ScalarValue::double_quoted(string.as_str())),
        Value::Null => YamlValue::Scalar(ScalarValue::null()),
        Value::Bool(boolean) => YamlValue::Scalar(ScalarValue::from(*boolean)),
        Value::Number(number) => YamlValue::Scalar(ScalarValue::parse(number.to_string())),
        Value::Array(items) => YamlValue::Sequence(items.iter().map(|item| yaml_value(item, flow)).collect()),
        Value::Object(map) => YamlValue::Mapping(map.iter().map(|(key, value)| (key.clone(), yaml_value(value, flow))).collect()),
    }
}
