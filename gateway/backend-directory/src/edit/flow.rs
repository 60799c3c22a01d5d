//! Members between brackets, of YAML and of JSON. A new member gets the layout of its neighbours.

use super::lines::{line_break, line_start};
use super::render::{between, key, pretty, tight};
use super::walk::Walk;
use super::{Source, Splice};
use crate::read::{Format, Node, Shape};
use serde_json::Value;

/// One step of indentation where the file does not show its own.
const UNIT: &str = "  ";

/// Where a collection's members begin and end.
struct Members {
    starts: Vec<usize>,
    ends: Vec<usize>,
}

impl Members {
    fn of(node: &Node) -> Self {
        match &node.shape {
            Shape::Map { entries, .. } => Self {
                starts: entries.iter().map(|entry| entry.start).collect(),
                ends: entries.iter().map(|entry| entry.node.span.end.max(entry.start)).collect(),
            },
            Shape::List { items, .. } => Self {
                starts: items.iter().map(|item| item.span.start).collect(),
                ends: items.iter().map(|item| item.span.end).collect(),
            },
            Shape::Scalar { .. } => Self { starts: Vec::new(), ends: Vec::new() },
        }
    }
}

/// White space at the head of a line.
fn indentation(text: &str, at: usize) -> &str {
    let line = text.get(line_start(text, at)..).unwrap_or_default();
    line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

/// One step of indentation, where the members of a collection are on lines of their own.
fn unit<'a>(source: Source<'a>, node: &Node) -> Option<&'a str> {
    let first = *Members::of(node).starts.first()?;
    let is_apart = source.text.get(node.span.start..first)?.contains('\n');
    let (outer, inner) =
        (indentation(source.text, node.span.start), indentation(source.text, first));
    is_apart.then(|| inner.strip_prefix(outer).filter(|unit| !unit.is_empty()).unwrap_or(UNIT))
}

/// The text of a value in place of the last node of a way.
pub(super) fn value(source: Source<'_>, way: &Walk<'_>, value: &Value) -> Option<String> {
    let node = way.nodes.last()?;
    // The nearest collection that shows how lines are laid out.
    let unit = way.nodes.iter().rev().find_map(|node| unit(source, node));
    Some(match (source.format, unit) {
        (Format::Json, Some(unit)) => {
            let line = line_break(source.text, node.span.start);
            pretty(value, line, indentation(source.text, node.span.start), unit)
        }
        (Format::Json, None) if is_tight(source, way) => tight(value),
        (format, _) => between(format, value, true),
    })
}

/// Adds a member to the last node of a way, which is between brackets.
pub(super) fn add(
    source: Source<'_>,
    way: &Walk<'_>,
    name: Option<&str>,
    value: &Value,
) -> Option<Splice> {
    let node = *way.nodes.last()?;
    if matches!(node.shape, Shape::Map { .. }) != name.is_some() {
        return None;
    }
    let Members { starts, ends } = Members::of(node);
    let (Some(last), Some(end)) = (starts.last(), ends.last()) else {
        return first(source, way, name, value);
    };
    let own = unit(source, node);
    let before = starts.len().checked_sub(2).and_then(|at| ends.get(at)).copied();
    // The text between the last member and the comma before it, or the bracket.
    let gap = match before {
        Some(end) => source.text.get(end..*last)?.split_once(',')?.1,
        None => source.text.get(node.span.start + 1..*last)?,
    };
    let is_only = before.is_none() && source.format == Format::Yaml;
    let line = line_break(source.text, *last);
    let gap = match own {
        Some(_) => format!("{line}{}", indentation(source.text, *last)),
        None if is_only => " ".to_owned(),
        None => gap.to_owned(),
    };
    let inner = match own {
        Some(unit) if source.format == Format::Json => {
            pretty(value, line, indentation(source.text, *last), unit)
        }
        None if is_tight(source, way) => tight(value),
        _ => between(source.format, value, true),
    };
    let separator = if own.is_none() && is_tight(source, way) { ":" } else { ": " };
    let text = name
        .map_or(inner.clone(), |name| format!("{}{separator}{inner}", key(source.format, name)));
    Splice::new(*end..*end, format!(",{gap}{text}"))
}

/// Returns whether the file has no space after its colons, judged by the nearest entry on the way.
fn is_tight(source: Source<'_>, way: &Walk<'_>) -> bool {
    let entries = way.nodes.iter().rev().filter_map(|node| match &node.shape {
        Shape::Map { entries, .. } => entries.last(),
        _ => None,
    });
    let before = entries.map(|entry| entry.node.span.start).next().and_then(|at| at.checked_sub(1));
    source.format == Format::Json
        && before.and_then(|at| source.text.as_bytes().get(at)) == Some(&b':')
}

/// The first member of an empty collection.
fn first(source: Source<'_>, way: &Walk<'_>, name: Option<&str>, value: &Value) -> Option<Splice> {
    let node = *way.nodes.last()?;
    let unit = way.nodes.iter().rev().skip(1).find_map(|node| unit(source, node));
    let text = match (source.format, unit) {
        (Format::Json, Some(unit)) => {
            let whole = name.map_or_else(
                || Value::Array(vec![value.clone()]),
                |name| Value::Object([(name.to_owned(), value.clone())].into_iter().collect()),
            );
            let line = line_break(source.text, node.span.start);
            return Splice::new(
                node.span.clone(),
                pretty(&whole, line, indentation(source.text, node.span.start), unit),
            );
        }
        (Format::Json, None) if is_tight(source, way) => tight(value),
        _ => between(source.format, value, true),
    };
    let separator = if is_tight(source, way) { ":" } else { ": " };
    let text =
        name.map_or(text.clone(), |name| format!("{}{separator}{text}", key(source.format, name)));
    Splice::new(node.span.start + 1..node.span.end - 1, text)
}

/// The splice that removes one of several members of a collection.
pub(super) fn remove(source: Source<'_>, node: &Node, index: usize) -> Option<Splice> {
    let Members { starts, ends } = Members::of(node);
    let (start, end) = (*starts.get(index)?, *ends.get(index)?);
    let range = match (starts.get(index + 1), index.checked_sub(1).and_then(|at| ends.get(at))) {
        (Some(next), _) => start..*next,
        (None, Some(before)) => *before..end,
        (None, None) => return None,
    };
    // A comment between two members belongs to one of them; which one, only its writer knows.
    let gap = if range.start == start { end..range.end } else { range.start..start };
    let is_commented = source.text.get(gap)?.contains('#');
    if is_commented { None } else { Splice::new(range, "") }
}
