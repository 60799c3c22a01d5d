//! Single values as text: in the present style if it fits the new value, in double quotes
//! otherwise. Never writes a plain scalar that a reader could take for another value.

use super::{Source, Splice};
use crate::read::{Format, Node, plain};
use saphyr_parser::ScalarStyle;
use serde_json::Value;

/// Replaces a scalar by a scalar; `None` if either is no scalar, or the present value has no text.
pub(super) fn replace(
    source: Source<'_>,
    node: &Node,
    style: ScalarStyle,
    value: &Value,
    flow: bool,
) -> Option<Splice> {
    let inline =
        matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    if !inline || node.span.is_empty() {
        return None;
    }
    let new = match (source.format, value) {
        (Format::Json, Value::String(string)) => double_quoted(string),
        (Format::Yaml, Value::String(string)) => written(string, style, flow),
        (_, Value::Null | Value::Bool(_) | Value::Number(_)) => value.to_string(),
        (_, Value::Array(_) | Value::Object(_)) => return None,
    };
    Splice::new(node.span.clone(), new)
}

/// A string in this style where it can be.
fn written(string: &str, style: ScalarStyle, flow: bool) -> String {
    match style {
        ScalarStyle::SingleQuoted if string.chars().all(is_printable) => {
            format!("'{}'", string.replace('\'', "''"))
        }
        ScalarStyle::Plain if is_plain(string, flow) => string.to_owned(),
        _ => double_quoted(string),
    }
}

/// Returns whether a character can be in a scalar of one line without an escape.
pub(super) fn is_printable(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A string without quotes where no reader can take it for something else.
pub(super) fn quoted_if_needed(string: &str, flow: bool) -> String {
    if is_plain(string, flow) { string.to_owned() } else { double_quoted(string) }
}

/// A string in double quotes. JSON strings are YAML double-quoted strings (YAML 1.2.2, 1.2);
/// characters that YAML cannot print are escaped too.
pub(super) fn double_quoted(string: &str) -> String {
    let mut quoted = String::with_capacity(string.len() + 2);
    for character in Value::from(string).to_string().chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)))
            }
            other => quoted.push(other),
        }
    }
    quoted
}

/// Returns whether a string can be without quotes. A strict subset of YAML's rule: no reader takes
/// the string for a number, a time or a boolean.
pub(super) fn is_plain(string: &str, flow: bool) -> bool {
    let first = string
        .starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '/' | '_'));
    let inner = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(character, '_' | '-' | '.' | '/' | ':' | '+' | '@' | '=' | ' ')
            || (character == ',' && !flow)
    };
    let date = string.len() >= 8
        && string.bytes().take(4).all(|byte| byte.is_ascii_digit())
        && string.as_bytes().get(4) == Some(&b'-');
    let colon = string.contains(": ") || string.ends_with(':') || (flow && string.contains(':'));
    if !first || date || colon || string.ends_with(' ') || !string.chars().all(inner) {
        return false;
    }
    plain(string) == (Value::String(string.to_owned()), false)
}

/// A key, in quotes where a reader could take it for something else.
pub(super) fn key(key: &str) -> String {
    quoted_if_needed(key, true)
}
