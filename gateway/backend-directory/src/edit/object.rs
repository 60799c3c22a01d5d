//! Removal of an object: a document of its file, or a member of a list. The head comment of the
//! file, comments after the object and those of its neighbours stay.

use super::lines::{line_start, next_line};
use super::walk::{Step, Walk};
use super::{Source, Splice, is_same, remove};
use crate::objects::Position;
use crate::read::{Document, Format, Node, is_separator};
use std::ops::Range;

/// The splice that removes the object at a position; `None` if it is the only one of its file.
pub(super) fn removed(source: Source<'_>, documents: &[Document], at: &Position) -> Option<Splice> {
    let document = documents.get(at.document)?;
    if at.items.is_empty() {
        return match source.format {
            Format::Yaml => yaml(source.text, documents, at.document),
            Format::Json => json(source.text, documents, at.document),
        };
    }
    let object = at.object(documents)?;
    if let Some(shared) = object.shared().or_else(|| document.unclear_in(object).cloned()) {
        tracing::debug!(detail = %shared, "an object in a list is not removed");
        return None;
    }
    remove::remove(source, &way(&document.root, &at.items)?)
}

/// The way to a member of a list.
fn way<'a>(root: &'a Node, items: &[usize]) -> Option<Walk<'a>> {
    let (mut nodes, mut steps) = (vec![root], Vec::new());
    for index in items {
        let list = nodes.last()?.get("items")?;
        let item = list.items().get(*index)?;
        nodes.extend([list, item]);
        steps.extend([Step::Key("items"), Step::Index(*index)]);
    }
    Some(Walk::found(nodes, steps))
}

/// A value of a JSON file, with the white space behind it.
fn json(text: &str, documents: &[Document], index: usize) -> Option<Splice> {
    let own = documents.get(index)?.range.clone();
    match documents.get(index + 1) {
        Some(next) => Splice::new(own.start..next.range.start, ""),
        None => {
            let before = documents.get(index.checked_sub(1)?)?.range.end;
            let kept = if text.ends_with('\n') { next_line(text, before) } else { before };
            Splice::new(
                kept.min(own.start)..if text.ends_with('\n') {
                    next_line(text, own.end)
                } else {
                    own.end
                },
                "",
            )
        }
    }
}

/// The lines of a document, from its separator to the end of its content. The first document leaves
/// the text before its content, and takes the separator after it instead.
fn yaml(text: &str, documents: &[Document], index: usize) -> Option<Splice> {
    let document = documents.get(index)?;
    let (content, end) = content(text, document);
    let end = behind(text, end);
    let separator = before(text, content);
    let is_first = text.get(..separator.unwrap_or(0)).unwrap_or_default().lines().all(is_blank);
    let Some(separator) = separator.filter(|_| !is_first) else {
        return first(text, content, end, separator.is_some());
    };
    Splice::new(separator..end, "")
}

/// The splice that removes the first document. The text before its content stays. If that text has
/// a separator, the separator after the document goes too.
fn first(text: &str, content: usize, end: usize, separated: bool) -> Option<Splice> {
    let rest = text.get(end..)?;
    let mut at = end;
    for line in rest.split_inclusive('\n') {
        if is_separator(line.trim_start_matches('\u{feff}')) {
            let bare = line.trim_end() == "---";
            let kept = text.get(end..at)?;
            return match (separated, bare) {
                (true, true) => Splice::new(content..at + line.len(), kept),
                _ => Splice::new(content..end, ""),
            };
        }
        at += line.len();
    }
    Splice::new(content..end, "")
}

/// A document's content as whole lines; without a document that was read, all between two
/// separators.
fn content(text: &str, document: &Document) -> (usize, usize) {
    let Range { start, end } = document.range;
    if document.is_broken() {
        return (start, end);
    }
    let first = document.root.span.start;
    let line = line_start(text, first);
    let shares =
        text.get(line..).is_some_and(|rest| is_separator(rest.lines().next().unwrap_or_default()));
    (if shares { first } else { line }, next_line(text, document.root.end()))
}

/// The separator that a content belongs to: no content of another document is between the two.
fn before(text: &str, content: usize) -> Option<usize> {
    let mut at = content;
    // The content may be on the line of its separator.
    let own = line_start(text, content);
    if own < content
        && text.get(own..).is_some_and(|rest| is_separator(rest.lines().next().unwrap_or_default()))
    {
        return Some(own);
    }
    while at > 0 {
        let start = line_start(text, at.checked_sub(1)?);
        if start >= at {
            return None;
        }
        let line = text.get(start..at)?;
        if is_separator(line) {
            return Some(start);
        }
        if !is_blank(line) {
            return None;
        }
        at = start;
    }
    None
}

/// Returns whether a line is empty or has a comment alone.
fn is_blank(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    line.is_empty() || line.starts_with('#')
}

/// Behind the `...` that ends a document, where one follows its content at once.
fn behind(text: &str, end: usize) -> usize {
    let line =
        text.get(end..).and_then(|rest| rest.split_inclusive('\n').next()).unwrap_or_default();
    if line.trim_end() == "..." { end + line.len() } else { end }
}

/// Returns whether the object at a position is gone, and the rest is unchanged.
pub(super) fn is_removed(before: &[Document], after: &[Document], at: &Position) -> bool {
    let Some((last, rest)) = at.items.split_last() else {
        let others = before
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != at.document)
            .map(|(_, other)| other);
        return after.len() + 1 == before.len()
            && after.iter().zip(others).all(|(new, old)| is_same(new, old));
    };
    let list = Position { document: at.document, items: rest.to_vec() };
    let (Some(new), Some(old)) = (list.object(after), list.object(before)) else { return false };
    let (Some(new), Some(old)) =
        (new.get("items").map(Node::items), old.get("items").map(Node::items))
    else {
        return false;
    };
    let others = old.iter().enumerate().filter(|(index, _)| index != last).map(|(_, other)| other);
    let siblings =
        new.len() + 1 == old.len() && new.iter().zip(others).all(|(new, old)| new.is_same(old));
    siblings
        && after.len() == before.len()
        && after.iter().zip(before).enumerate().all(|(index, (new, old))| {
            if index == at.document {
                super::is_same_beside_list(&new.root, &old.root, rest)
            } else {
                is_same(new, old)
            }
        })
}
