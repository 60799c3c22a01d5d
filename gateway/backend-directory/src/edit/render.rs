//! Maps and lists as text, in YAML's block style or between brackets. Does not choose their place.

use super::lines::spaces;
use super::scalar;
use crate::read::Format;
use serde_json::{Map, Value};

/// How new block text is laid out.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a> {
    /// The line end of the file: LF or CRLF.
    pub line: &'a str,
    /// Columns from a key to the keys beneath it.
    pub step: usize,
}

/// The text after a key: the part on its line, and whole lines below, each with a line end before
/// it.
pub(super) struct Body {
    pub head: String,
    pub tail: String,
}

impl Layout<'_> {
    fn line(&self, indent: usize, text: &str) -> String {
        format!("{}{}{text}", self.line, spaces(indent))
    }

    /// An entry, without the spaces before it.
    pub fn entry(&self, key: &str, value: &Value, indent: usize) -> String {
        let Body { head, tail } = self.body(value, indent, indent + self.step);
        let space = if head.is_empty() { "" } else { " " };
        format!("{}:{space}{head}{tail}", scalar::key(key))
    }

    /// A member of a block sequence with its dash, without the spaces before it.
    pub fn item(&self, value: &Value, indent: usize) -> String {
        format!("- {}", self.member(value, indent, indent + 2))
    }

    /// A member without its dash, which is at `indent`; its first character is at `column`.
    pub fn member(&self, value: &Value, indent: usize, column: usize) -> String {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.entries(map, column).trim_start().to_owned()
            }
            Value::Array(items) if !items.is_empty() => {
                self.items(items, column).trim_start().to_owned()
            }
            _ => {
                let Body { head, tail } = self.body(value, indent, column);
                format!("{head}{tail}")
            }
        }
    }

    /// The text after a key at `indent`, with the content at `inner`. A sequence may be as far left
    /// as its key.
    pub fn body(&self, value: &Value, indent: usize, inner: usize) -> Body {
        let deeper = inner.max(indent + 1);
        match value {
            Value::Object(map) if !map.is_empty() => {
                Body { head: String::new(), tail: self.entries(map, deeper) }
            }
            Value::Array(items) if !items.is_empty() => {
                Body { head: String::new(), tail: self.items(items, inner) }
            }
            Value::String(string) if super::block::is_literal(string) => {
                let head = if string.ends_with('\n') { "|" } else { "|-" };
                let text = string.strip_suffix('\n').unwrap_or(string);
                let lines = text
                    .split('\n')
                    .map(|line| self.line(if line.is_empty() { 0 } else { deeper }, line));
                Body { head: head.to_owned(), tail: lines.collect() }
            }
            _ => Body { head: between(Format::Yaml, value, false), tail: String::new() },
        }
    }

    fn entries(&self, map: &Map<String, Value>, indent: usize) -> String {
        map.iter().map(|(key, value)| self.line(indent, &self.entry(key, value, indent))).collect()
    }

    fn items(&self, items: &[Value], indent: usize) -> String {
        items.iter().map(|item| self.line(indent, &self.item(item, indent))).collect()
    }
}

/// A value on one line, with collections between brackets. `flow` is true if it is between brackets
/// itself.
pub(super) fn between(format: Format, value: &Value, flow: bool) -> String {
    inline(format, value, flow, (", ", ": "))
}

/// JSON on one line, without white space.
pub(super) fn tight(value: &Value) -> String {
    inline(Format::Json, value, true, (",", ":"))
}

fn inline(format: Format, value: &Value, flow: bool, between: (&str, &str)) -> String {
    match (format, value) {
        (_, Value::Array(items)) => {
            let items: Vec<_> =
                items.iter().map(|item| inline(format, item, true, between)).collect();
            format!("[{}]", items.join(between.0))
        }
        (_, Value::Object(map)) => {
            let entry = |(name, value): (&String, &Value)| {
                format!(
                    "{}{}{}",
                    key(format, name),
                    between.1,
                    inline(format, value, true, between)
                )
            };
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(between.0))
        }
        (Format::Json, Value::String(string)) => scalar::double_quoted(string),
        (Format::Yaml, Value::String(string)) => scalar::quoted_if_needed(string, flow),
        (_, Value::Null | Value::Bool(_) | Value::Number(_)) => value.to_string(),
    }
}

/// A key as text.
pub(super) fn key(format: Format, key: &str) -> String {
    match format {
        Format::Json => scalar::double_quoted(key),
        Format::Yaml => scalar::key(key),
    }
}

/// A JSON value over several lines. Its container is indented by `indent`, its content by one
/// `unit` more.
pub(super) fn pretty(value: &Value, line: &str, indent: &str, unit: &str) -> String {
    let inner = format!("{indent}{unit}");
    let members: Vec<_> = match value {
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| pretty(item, line, &inner, unit)).collect()
        }
        Value::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(key, value)| {
                format!("{}: {}", scalar::double_quoted(key), pretty(value, line, &inner, unit))
            })
            .collect(),
        _ => return between(Format::Json, value, true),
    };
    let members: Vec<_> =
        members.into_iter().map(|member| format!("{line}{inner}{member}")).collect();
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    format!("{open}{}{line}{indent}{close}", members.join(","))
}
