//! Changes exactly the named values of one document and nothing else: comments, order and other documents stay byte-identical. Every edit is read
//! back strictly and compared with the value tree that was meant; a difference, or a byte changed elsewhere, refuses it. Never writes a file.

mod block;
mod scalar;
#[cfg(test)]
mod tests;

use super::read::{Document, Node, Shape, Unclear, read};
use cofferdam_core::path::{FieldPath, PathFault, Segment};
use scalar::{key_value, yaml_value};
use serde_json::{Map, Value};
use std::ops::Range;
use std::str::FromStr;
use yaml_edit::{YamlFile, YamlNode};

/// Why a document was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditFault {
    /// The file is not readable in one way only.
    #[error("{0}")]
    Unclear(#[from] Unclear),
    /// The path does not fit the object.
    #[error("{0}")]
    Path(#[from] PathFault),
    /// A value that readers disagree about.
    #[error("line {line}: readers disagree about `{text}`; put it in quotes or write it in decimal")]
    Doubtful {
        /// Where.
        line: usize,
        /// As it is written.
        text: String,
    },
    /// The text cannot be changed there without changing something else.
    #[error("`{0}` cannot be changed in this file without changing something else; rewrite that part by hand first")]
    Entangled(String),
    /// The value would make the file one that is never changed again.
    #[error("the value for `{0}` holds `{{{{`, by which a file is known as a template; only plain manifests can be changed")]
    Template(String),
}

/// Changes fields of the document with this index among those [`read`] gives. No value removes the field.
pub fn patch(text: &str, document: usize, changes: &[(FieldPath, Option<Value>)]) -> Result<String, EditFault> {
    changes.iter().try_fold(text.to_owned(), |text, (path, value)| change(&text, document, path, value.as_ref()))
}

/// Removes a document; none when the file has no other and must go itself.
pub fn delete(text: &str, document: usize) -> Result<Option<String>, EditFault> {
    let before = read(text)?;
    if before.len() == 1 {
        return Ok(None);
    }
    let entangled = || EditFault::Entangled("the document".to_owned());
    let start = before.get(document).ok_or_else(entangled)?.root.span.start;
    // A line that begins with `---` is a document marker wherever it stands (YAML 1.2.2, 9.1.2).
    let markers = line_starts(text).filter(|at| is_marker(text.get(*at..).unwrap_or_default()));
    let (mut from, mut to) = (0, text.len());
    for marker in markers {
        if marker <= start {
            from = marker;
        } else {
            to = to.min(marker);
        }
    }
    let after = format!("{}{}", text.get(..from).unwrap_or_default(), text.get(to..).unwrap_or_default());
    let meant = before.iter().enumerate().filter(|(index, _)| *index != document).map(|(_, other)| facts(other));
    if meant.eq(read(&after)?.iter().map(facts)) { Ok(Some(after)) } else { Err(entangled()) }
}

fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

fn is_marker(rest: &str) -> bool {
    rest.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// What must stay the same of every other document.
fn facts(document: &Document) -> (Value, Option<String>) {
    (document.root.value(), document.unclear.as_ref().map(|unclear| unclear.reason.clone()))
}

/// One step as it was found in the document.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// How far a path leads.
struct Walk<'a> {
    /// The nodes on the way, the root first.
    nodes: Vec<&'a Node>,
    /// The steps between them.
    steps: Vec<Step>,
    /// What is not there.
    rest: &'a [Segment],
}

fn walk<'a>(root: &'a Node, segments: &'a [Segment]) -> Walk<'a> {
    let mut walk = Walk { nodes: vec![root], steps: Vec::new(), rest: segments };
    let mut node = root;
    while let Some((segment, rest)) = walk.rest.split_first() {
        let found = match (&node.shape, segment) {
            (Shape::Map { entries, .. }, Segment::Key(key)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| (&entry.node, Step::Key(key.clone())))
            }
            (Shape::List { items, .. }, Segment::Member { key, value }) => {
                items.iter().enumerate().find(|(_, item)| is_member(item, key, value)).map(|(index, item)| (item, Step::Index(index)))
            }
            _ => None,
        };
        let Some((next, step)) = found else { break };
        node = next;
        walk.nodes.push(next);
        walk.steps.push(step);
        walk.rest = rest;
    }
    walk
}

fn is_member(node: &Node, key: &str, wanted: &str) -> bool {
    match node.value().get(key) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Number(number)) => number.to_string() == wanted,
        _ => false,
    }
}

/// One change: what is meant first, then the text, then the text read back.
fn change(text: &str, index: usize, path: &FieldPath, value: Option<&Value>) -> Result<String, EditFault> {
    let before = read(text)?;
    let entangled = || EditFault::Entangled(path.to_string());
    if value.is_some_and(|value| value.to_string().contains("{{")) {
        return Err(EditFault::Template(path.to_string()));
    }
    let document = before.get(index).ok_or_else(entangled)?;
    if let Some(unclear) = &document.unclear {
        return Err(unclear.clone().into());
    }
    let old = document.root.value();
    let mut meant = old.clone();
    path.set(&mut meant, value.cloned())?;
    if meant == old {
        return Ok(text.to_owned());
    }
    let way = walk(&document.root, path.segments());
    if let (true, Some(doubt)) = (way.rest.is_empty(), way.nodes.last().and_then(|node| node.doubt())) {
        return Err(EditFault::Doubtful { line: doubt.line, text: text.get(doubt.span.clone()).unwrap_or_default().to_owned() });
    }
    let after = match value {
        Some(value) => set(text, &document.root, &way, value),
        None => remove(text, &document.root, &way),
    }
    .ok_or_else(entangled)?;
    let read_back = read(&after).map_err(|_| entangled())?;
    let same = read_back.len() == before.len()
        && read_back.iter().zip(&before).enumerate().all(|(at, (new, old))| {
            if at == index { new.unclear.is_none() && new.root.value() == meant } else { facts(new) == facts(old) }
        });
    if same { Ok(after) } else { Err(entangled()) }
}

/// The document's text with a value set; none where that is not possible without touching something else.
fn set(text: &str, root: &Node, way: &Walk<'_>, value: &Value) -> Option<String> {
    let node = way.nodes.last()?;
    let inside = way.nodes.iter().any(|node| matches!(node.shape, Shape::Map { flow: true, .. } | Shape::List { flow: true, .. }));
    if way.rest.is_empty()
        && let Shape::Scalar { style, .. } = &node.shape
        && let Some(after) = block::replace(text, node, *style, value).or_else(|| scalar::replace(text, node, *style, value, inside))
    {
        return Some(after);
    }
    // The nearest collection that is there already takes the rest, wrapped in what is missing.
    let (at, key, value) = match (way.rest.split_first(), &node.shape) {
        (None, _) => (way.steps.len().checked_sub(1)?, way.steps.last()?.clone(), value.clone()),
        (Some((Segment::Key(key), rest)), Shape::Map { .. }) => (way.steps.len(), Step::Key(key.clone()), wrap(rest, value)),
        (Some((Segment::Member { .. }, [])), Shape::List { items, .. }) => (way.steps.len(), Step::Index(items.len()), value.clone()),
        // Nothing stands there yet: `annotations:` without a value.
        (Some(_), Shape::Scalar { .. }) => (way.steps.len().checked_sub(1)?, way.steps.last()?.clone(), wrap(way.rest, value)),
        _ => return None,
    };
    let replaced = match way.nodes.get(at + 1) {
        Some(old) => Some(spaced(text, old.span.start..old.end().max(old.span.start))),
        None => way.nodes.get(at).and_then(|host| bracket(host)),
    };
    let after = restructure(text, root, way.steps.get(..at)?, |host| match (host, &key) {
        (YamlNode::Mapping(map), Step::Key(key)) => {
            map.set(key_value(key), yaml_value(&value, inside));
            Some(())
        }
        (YamlNode::Sequence(list), Step::Index(index)) if *index < list.len() => list.set(*index, yaml_value(&value, inside)).then_some(()),
        (YamlNode::Sequence(list), Step::Index(_)) => {
            list.push(yaml_value(&value, inside));
            Some(())
        }
        _ => None,
    })?;
    only(text, &after, replaced).then_some(after)
}

/// The document's text without what the path names.
fn remove(text: &str, root: &Node, way: &Walk<'_>) -> Option<String> {
    let last = way.steps.len().checked_sub(1)?;
    let (host, node, step) = (way.nodes.get(last)?, way.nodes.last()?, way.steps.last()?);
    let (start, members) = match (&host.shape, step) {
        (Shape::Map { entries, .. }, Step::Key(key)) => (entries.iter().find(|entry| entry.key == *key)?.start, entries.len()),
        (Shape::List { items, .. }, Step::Index(index)) => (items.get(*index)?.span.start, items.len()),
        _ => return None,
    };
    let gone = bracket(host).unwrap_or_else(|| whole_lines(text, start..node.end()));
    if members == 1 && last > 0 {
        // An empty collection is written as one: a block without members would read as nothing at all.
        let empty = if matches!(step, Step::Key(_)) { Value::Object(Map::new()) } else { Value::Array(Vec::new()) };
        let shorter = Walk { nodes: way.nodes.get(..=last)?.to_vec(), steps: way.steps.get(..last)?.to_vec(), rest: &[] };
        return set(text, root, &shorter, &empty);
    }
    let after = restructure(text, root, way.steps.get(..last)?, |host| match (host, step) {
        (YamlNode::Mapping(map), Step::Key(key)) => map.remove(key.as_str()).map(drop),
        (YamlNode::Sequence(list), Step::Index(index)) => list.remove(*index).map(drop),
        _ => None,
    })?;
    only(text, &after, Some(gone)).then_some(after)
}

/// A value within the maps and lists that are missing above it.
fn wrap(rest: &[Segment], value: &Value) -> Value {
    rest.iter().rev().fold(value.clone(), |inner, segment| match segment {
        Segment::Key(key) => Value::Object(Map::from_iter([(key.clone(), inner)])),
        _ => Value::Array(vec![inner]),
    })
}

/// Edits the syntax tree of the document at a collection and gives the file's whole text.
fn restructure(text: &str, root: &Node, steps: &[Step], edit: impl FnOnce(&YamlNode) -> Option<()>) -> Option<String> {
    let file = YamlFile::from_str(text).ok()?;
    let document = file.documents().find(|document| {
        let range = document.byte_range();
        (range.start as usize..range.end as usize).contains(&root.span.start)
    })?;
    let top = document.as_mapping().map(YamlNode::Mapping)?;
    let host = steps.iter().try_fold(top, |node, step| match (node, step) {
        (YamlNode::Mapping(map), Step::Key(key)) => map.get(key.as_str()),
        (YamlNode::Sequence(list), Step::Index(index)) => list.get(*index),
        _ => None,
    })?;
    edit(&host)?;
    Some(file.to_string())
}

/// A flow collection's bytes: within its brackets commas move.
fn bracket(node: &Node) -> Option<Range<usize>> {
    matches!(node.shape, Shape::Map { flow: true, .. } | Shape::List { flow: true, .. }).then(|| node.span.clone())
}

/// The range with the white space around it.
fn spaced(text: &str, range: Range<usize>) -> Range<usize> {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    before.trim_end().len()..range.end + (after.len() - after.trim_start().len())
}

/// The range made whole lines, with the line break before it where it ends the file.
fn whole_lines(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.get(..range.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(range.end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| range.end + at + 1);
    let start = if end == text.len() { start.saturating_sub(1) } else { start };
    start..end
}

/// Whether nothing but these bytes changed; without a range, whether something was only added in one place.
fn only(before: &str, after: &str, changed: Option<Range<usize>>) -> bool {
    let same_start = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let same_end = before.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
    match changed {
        None => same_start + same_end >= before.len(),
        Some(range) => {
            let tail = before.len().saturating_sub(range.end);
            same_start >= range.start && same_end >= tail && after.len() >= range.start + tail
        }
    }
}
