//! Replacement of a value, or a new value. Does not look at its neighbours.

use super::lines::{column, line_break, line_end, next_line, spaces};
use super::render::{Layout, between};
use super::walk::{Step, Walk};
use super::{Source, Splice, block, flow, scalar};
use crate::read::{Format, Node, Shape, dash};
use cofferdam_core::model::path::Segment;
use serde_json::{Map, Value};

/// Columns from a key to the keys beneath it where the file does not show its own.
const STEP: usize = 2;

/// The splice that sets a value at the end of a way; `None` if one splice is not enough.
pub(super) fn set(source: Source<'_>, way: &Walk<'_>, value: &Value) -> Option<Splice> {
    let node = *way.nodes.last()?;
    match (way.rest.split_first(), &node.shape) {
        (None, Shape::Scalar { style, .. }) => {
            let flow = source.format == Format::Json || way.is_flow();
            block::replace(source, node, *style, value, parent(source, way)?)
                .or_else(|| scalar::replace(source, node, *style, value, flow))
                .or_else(|| in_place(source, way, value))
        }
        (None, _) => in_place(source, way, value),
        (Some((Segment::Key(key), rest)), Shape::Map { .. }) => {
            add(source, way, Some(key), &wrap(rest, value))
        }
        (Some((Segment::Member { .. }, [])), Shape::List { .. }) => add(source, way, None, value),
        // There is no value yet: `annotations:` alone.
        (Some(_), Shape::Scalar { value: Value::Null, .. }) => {
            in_place(source, way, &wrap(way.rest, value))
        }
        _ => None,
    }
}

/// A value within the maps and lists that are missing above it.
fn wrap(rest: &[Segment], value: &Value) -> Value {
    rest.iter().rev().fold(value.clone(), |inner, segment| match segment {
        Segment::Key(key) => Value::Object(Map::from_iter([(key.clone(), inner)])),
        _ => Value::Array(vec![inner]),
    })
}

/// Replaces the last node of a way.
fn in_place(source: Source<'_>, way: &Walk<'_>, value: &Value) -> Option<Splice> {
    let node = *way.nodes.last()?;
    let (host, step) = way.host()?;
    let within = source.format == Format::Json || way.shorter()?.is_flow();
    let is_collection = matches!(value, Value::Array(_) | Value::Object(_));
    if within {
        let text = flow::value(source, way, value);
        return if node.span.is_empty() { None } else { Splice::new(node.span.clone(), text?) };
    }
    if node.is_flow() && is_collection && !is_empty(node) {
        return Splice::new(node.span.clone(), between(Format::Yaml, value, false));
    }
    let layout = layout(source, way, node.span.start);
    match step {
        Step::Key(key) => {
            let entry = host.entry(key)?;
            let indent = column(source.text, entry.start);
            let inner = if is_block(node) {
                column(source.text, node.span.start)
            } else {
                indent + layout.step
            };
            let body = layout.body(value, indent, inner);
            let colon = colon(source.text, entry.start, node.span.start)?;
            let (end, rest) = behind(source.text, node, colon)?;
            let rest = if rest.trim().is_empty() { "" } else { rest.trim_end() };
            let space = if body.head.is_empty() { "" } else { " " };
            Splice::new(colon..end, format!("{space}{}{rest}{}", body.head, body.tail))
        }
        Step::Index(_) if node.span.is_empty() => None,
        Step::Index(_) => {
            let dash = dash(source.text.get(..node.span.start)?)?;
            let member = layout.member(
                value,
                column(source.text, dash),
                column(source.text, node.span.start),
            );
            Splice::new(node.span.start..node.end(), member)
        }
    }
}

/// The end of the text after a key, and the comment on the key's line.
fn behind<'a>(text: &'a str, node: &Node, colon: usize) -> Option<(usize, &'a str)> {
    if is_block(node) {
        return Some((node.end(), text.get(colon..line_end(text, colon))?));
    }
    if text.get(node.span.clone())?.starts_with(['|', '>'])
        && matches!(node.shape, Shape::Scalar { .. })
    {
        let header =
            text.get(node.span.start..line_end(text, node.span.start).min(node.span.end))?;
        return Some((
            node.span.end,
            header.find(" #").and_then(|at| header.get(at..)).unwrap_or_default(),
        ));
    }
    let end = line_end(text, node.span.end);
    Some((end, text.get(node.span.end..end)?))
}

/// Behind the colon of a key, whose value begins at `value`; comments may be between the two.
pub(super) fn colon(text: &str, key: usize, value: usize) -> Option<usize> {
    let mut before = text.get(key..value)?;
    loop {
        before = before.trim_end();
        if before.ends_with(':') {
            return Some(key + before.len());
        }
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        before = before.get(..start + before.get(start..)?.find('#')?)?;
    }
}

/// Returns whether a node is a collection in block style.
pub(super) fn is_block(node: &Node) -> bool {
    matches!(node.shape, Shape::Map { flow: false, .. } | Shape::List { flow: false, .. })
}

fn is_empty(node: &Node) -> bool {
    match &node.shape {
        Shape::Map { entries, .. } => entries.is_empty(),
        Shape::List { items, .. } => items.is_empty(),
        Shape::Scalar { .. } => false,
    }
}

/// The column of the key or dash that the last node of a way belongs to.
fn parent(source: Source<'_>, way: &Walk<'_>) -> Option<usize> {
    let (host, step) = way.host()?;
    match step {
        Step::Key(key) => Some(column(source.text, host.entry(key)?.start)),
        Step::Index(_) => Some(column(source.text, host.span.start)),
    }
}

/// Adds an entry to the last node of a way, or a member.
fn add(source: Source<'_>, way: &Walk<'_>, key: Option<&str>, value: &Value) -> Option<Splice> {
    let node = *way.nodes.last()?;
    if !is_block(node) {
        return flow::add(source, way, key, value);
    }
    let layout = layout(source, way, node.end());
    let (indent, text) = match (&node.shape, key) {
        (Shape::Map { entries, .. }, Some(key)) => {
            let indent = column(source.text, entries.first()?.start);
            (indent, layout.entry(key, value, indent))
        }
        (Shape::List { .. }, None) => {
            let indent = column(source.text, node.span.start);
            (indent, layout.item(value, indent))
        }
        _ => return None,
    };
    let at = next_line(source.text, node.end());
    let line = layout.line;
    if source.text.get(..at)?.ends_with('\n') {
        Splice::new(at..at, format!("{}{text}{line}", spaces(indent)))
    } else {
        Splice::new(at..at, format!("{line}{}{text}{line}", spaces(indent)))
    }
}

/// The line end at a byte, and how far the file indents maps within maps.
fn layout<'a>(source: Source<'a>, way: &Walk<'_>, at: usize) -> Layout<'a> {
    let first = |node: &Node| match &node.shape {
        Shape::Map { entries, flow: false } => {
            entries.first().map(|entry| column(source.text, entry.start))
        }
        _ => None,
    };
    let between = |outer: &Node, inner: &Node| {
        first(inner)?.checked_sub(first(outer)?).filter(|step| (1..=8).contains(step))
    };
    let on_the_way = way
        .nodes
        .iter()
        .zip(way.nodes.iter().skip(1))
        .rev()
        .find_map(|(outer, inner)| between(outer, inner));
    let beneath = || {
        let object = way.nodes.first()?;
        let Shape::Map { entries, .. } = &object.shape else { return None };
        entries.iter().find_map(|entry| between(object, &entry.node))
    };
    Layout { line: line_break(source.text, at), step: on_the_way.or_else(beneath).unwrap_or(STEP) }
}
