//! Removal of a value, with its key or dash. Comments on other lines stay.

use super::lines::{line_end, line_start, next_line};
use super::set::{colon, is_block};
use super::walk::{Step, Walk};
use super::{Source, Splice, flow};
use crate::read::{Node, Shape, dash};

/// The splice that removes the end of a way from its collection.
pub(super) fn remove(source: Source<'_>, way: &Walk<'_>) -> Option<Splice> {
    let (host, step) = way.host()?;
    let (start, index, members) = match (&host.shape, step) {
        (Shape::Map { entries, .. }, Step::Key(key)) => {
            let index = entries.iter().position(|entry| entry.key == key)?;
            (entries.get(index)?.start, index, entries.len())
        }
        (Shape::List { items, .. }, Step::Index(index)) => {
            (items.get(index)?.span.start, index, items.len())
        }
        _ => return None,
    };
    if members == 1 {
        return last(source, way, start);
    }
    if !is_block(host) {
        return flow::remove(source, host, index);
    }
    let node = *way.nodes.last()?;
    let begin = |index: usize| match &host.shape {
        Shape::Map { entries, .. } => entries.get(index).map(|entry| entry.start),
        Shape::List { items, .. } => dash(source.text.get(..items.get(index)?.span.start)?),
        Shape::Scalar { .. } => None,
    };
    let start = begin(index)?;
    let end = node.end().max(start);
    if source.text.get(line_start(source.text, start)..start)?.trim().is_empty() {
        return Splice::new(lines(source.text, start, end), "");
    }
    // A dash before it is on the same line. The dash stays, and the next member moves up to it.
    let next = begin(index + 1)?;
    let between = source.text.get(end..next)?;
    let end = if between.trim().is_empty() { next } else { line_end(source.text, end) };
    Splice::new(start..end, "")
}

/// Whole lines, with the line end before them where they end the file without one.
fn lines(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    let (start, end) = (line_start(text, start), next_line(text, end));
    let is_open = end == text.len() && !text.ends_with('\n');
    let before = text.get(..start).unwrap_or_default();
    let shorter = before
        .strip_suffix('\n')
        .map(|before| before.strip_suffix('\r').unwrap_or(before))
        .unwrap_or(before);
    if is_open { shorter.len()..end } else { start..end }
}

/// Removes the only member: the empty collection is written out, since a block without members
/// would read as null.
fn last(source: Source<'_>, way: &Walk<'_>, start: usize) -> Option<Splice> {
    let shorter = way.shorter()?;
    let host = *shorter.nodes.last()?;
    let empty = if matches!(host.shape, Shape::Map { .. }) { "{}" } else { "[]" };
    if !is_block(host) {
        return Splice::new(host.span.clone(), empty);
    }
    let node: &Node = way.nodes.last()?;
    match shorter.host()? {
        (outer, Step::Key(key)) => {
            let colon = colon(source.text, outer.entry(key)?.start, host.span.start)?;
            let first = match host.shape {
                Shape::List { .. } => host.span.start,
                _ => start,
            };
            let kept = source.text.get(colon..line_start(source.text, first).max(colon))?;
            Splice::new(colon..next_line(source.text, node.end()), format!(" {empty}{kept}"))
        }
        (_, Step::Index(_)) => {
            Splice::new(host.span.start..line_end(source.text, node.end()), empty)
        }
    }
}
