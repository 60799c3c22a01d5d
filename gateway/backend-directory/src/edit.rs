//! Changes the named values of one object and nothing else: every other byte of the file stays,
//! with its line ends, comments and layout. One edit replaces one range of bytes. The result is
//! read back strictly and compared with the intended values; a difference refuses the edit. Never
//! writes a file.
//!
//! | file | what |
//! |---|---|
//! | `edit/walk.rs` | how far a path leads in an object |
//! | `edit/set.rs` | a value in place of another, or a new one |
//! | `edit/remove.rs` | a value that goes |
//! | `edit/object.rs` | an object that goes |
//! | `edit/flow.rs` | new members between brackets, of JSON too |
//! | `edit/block.rs`, `edit/scalar.rs` | single values as text |
//! | `edit/render.rs` | maps and lists as text |
//! | `edit/lines.rs` | lines and columns |

mod block;
mod flow;
mod lines;
mod object;
mod remove;
mod render;
mod scalar;
mod set;
#[cfg(test)]
mod tests;
mod walk;

use super::objects::Position;
use super::read::{Document, Format, Node, Shape, Unclear};
use cofferdam_core::model::path::{FieldPath, PathError};
use serde_json::Value;
use std::ops::Range;
use walk::walk;

/// Why an object was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The place is not readable in one way only.
    #[error("{0}")]
    Unclear(#[from] Unclear),
    /// The path does not fit the object.
    #[error("{0}")]
    Path(#[from] PathError),
    /// A value that readers disagree about.
    #[error(
        "line {line}: readers disagree about `{text}`; put it in quotes or write it in decimal"
    )]
    Doubtful {
        /// The line of the value, from 1.
        line: usize,
        /// As it is written.
        text: String,
    },
    /// The text cannot be changed there without changing something else.
    #[error(
        "`{0}` cannot be changed in this file without changing something else; rewrite that part \
         by hand first"
    )]
    Entangled(String),
}

/// One range of bytes, and what takes its place.
struct Splice {
    range: Range<usize>,
    text: String,
}

impl Splice {
    fn new(range: Range<usize>, text: impl Into<String>) -> Option<Self> {
        (range.start <= range.end).then(|| Self { range, text: text.into() })
    }

    fn applied(&self, text: &str) -> Option<String> {
        Some(format!(
            "{}{}{}",
            text.get(..self.range.start)?,
            self.text,
            text.get(self.range.end..)?
        ))
    }
}

/// A file's text, and how it is written.
#[derive(Clone, Copy)]
struct Source<'a> {
    format: Format,
    text: &'a str,
}

/// Changes fields of the object at a position. No value removes the field. The result is the file's
/// whole text.
pub fn patch(
    format: Format,
    text: &str,
    at: &Position,
    changes: &[(FieldPath, Option<Value>)],
) -> Result<String, EditError> {
    let mut text = text.to_owned();
    let mut documents = format.read(&text)?;
    for (path, value) in changes {
        if let Some(changed) =
            change(Source { format, text: &text }, &documents, at, path, value.as_ref())?
        {
            (text, documents) = changed;
        }
    }
    Ok(text)
}

/// Removes the object at a position. Returns `None` if the file has no other content and must be
/// removed itself.
pub fn delete(format: Format, text: &str, at: &Position) -> Result<Option<String>, EditError> {
    let before = format.read(text)?;
    if before.len() == 1 && at.items.is_empty() {
        return Ok(None);
    }
    let entangled = || EditError::Entangled("the object".to_owned());
    let source = Source { format, text };
    let after = object::removed(source, &before, at)
        .and_then(|splice| splice.applied(text))
        .ok_or_else(entangled)?;
    let read_back = format.read(&after).map_err(|_| entangled())?;
    if object::is_removed(&before, &read_back, at) { Ok(Some(after)) } else { Err(entangled()) }
}

/// Makes one change: first the intended values, then the text, then the text read back. Returns
/// `None` if the object is as intended already.
fn change(
    source: Source<'_>,
    before: &[Document],
    at: &Position,
    path: &FieldPath,
    value: Option<&Value>,
) -> Result<Option<(String, Vec<Document>)>, EditError> {
    let entangled = || EditError::Entangled(path.to_string());
    let document = before.get(at.document).ok_or_else(entangled)?;
    let object = at.object(before).ok_or_else(entangled)?;
    if let Some(unclear) = document.unclear_in(object) {
        return Err(unclear.clone().into());
    }
    let old = object.value();
    let mut meant = old.clone();
    path.set(&mut meant, value.cloned())?;
    if meant == old {
        return Ok(None);
    }
    let way = walk(object, path.segments());
    if let Some(shared) = way.shared() {
        return Err(shared.into());
    }
    if let Some(doubt) = way.target().and_then(doubtful) {
        let text = source.text.get(doubt.span.clone()).unwrap_or_default().to_owned();
        return Err(EditError::Doubtful { line: doubt.line, text });
    }
    let splice = match value {
        Some(value) => set::set(source, &way, value),
        None => remove::remove(source, &way),
    };
    let after = splice.and_then(|splice| splice.applied(source.text)).ok_or_else(entangled)?;
    let read_back = source.format.read(&after).map_err(|_| entangled())?;
    if is_meant(&read_back, before, at, &meant) {
        Ok(Some((after, read_back)))
    } else {
        Err(entangled())
    }
}

/// The first scalar in a value that readers disagree about.
fn doubtful(node: &Node) -> Option<&Node> {
    match &node.shape {
        Shape::Scalar { doubtful, .. } => doubtful.then_some(node),
        Shape::List { items, .. } => items.iter().find_map(doubtful),
        Shape::Map { entries, .. } => entries.iter().find_map(|entry| doubtful(&entry.node)),
    }
}

/// Returns whether the object is as intended, and the rest of the file is unchanged.
fn is_meant(after: &[Document], before: &[Document], at: &Position, meant: &Value) -> bool {
    let object = at.object(after);
    let clear = object
        .zip(after.get(at.document))
        .is_some_and(|(object, document)| document.unclear_in(object).is_none());
    let others = after.len() == before.len()
        && after.iter().zip(before).enumerate().all(|(index, (new, old))| {
            if index == at.document {
                is_same_beside(&new.root, &old.root, &at.items)
            } else {
                is_same(new, old)
            }
        });
    clear && others && object.is_some_and(|object| object.value() == *meant)
}

/// Returns whether two documents have the same values.
fn is_same(new: &Document, old: &Document) -> bool {
    let reason =
        |document: &Document| document.unclear.as_ref().map(|unclear| unclear.reason.clone());
    new.root.is_same(&old.root) && reason(new) == reason(old) && new.is_broken() == old.is_broken()
}

/// Returns whether two objects, or the lists around them, have the same values apart from the
/// object at this position.
fn is_same_beside(new: &Node, old: &Node, items: &[usize]) -> bool {
    match items.split_first() {
        None => true,
        Some((index, rest)) => {
            is_same_but_items(new, old)
                && is_same_list(new, old, *index, |new, old| is_same_beside(new, old, rest))
        }
    }
}

/// Compares like [`is_same_beside`], if the list at this position may have other members.
fn is_same_beside_list(new: &Node, old: &Node, items: &[usize]) -> bool {
    let members = items.split_first().is_none_or(|(index, rest)| {
        is_same_list(new, old, *index, |new, old| is_same_beside_list(new, old, rest))
    });
    is_same_but_items(new, old) && members
}

fn is_same_list(new: &Node, old: &Node, index: usize, at: impl Fn(&Node, &Node) -> bool) -> bool {
    let (Some(new), Some(old)) = (new.get("items"), old.get("items")) else { return false };
    let pairs = || new.items().iter().zip(old.items()).enumerate();
    new.items().len() == old.items().len()
        && pairs()
            .all(|(place, (new, old))| if place == index { at(new, old) } else { new.is_same(old) })
}

fn is_same_but_items(new: &Node, old: &Node) -> bool {
    let (Shape::Map { entries: new, .. }, Shape::Map { entries: old, .. }) =
        (&new.shape, &old.shape)
    else {
        return false;
    };
    new.len() == old.len()
        && new.iter().zip(old).all(|(new, old)| {
            new.key == old.key && (new.key == "items" || new.node.is_same(&old.node))
        })
}
