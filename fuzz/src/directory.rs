//! Manifests: each document and each value lies where it says, and a document that is clear reads
//! the same when it stands alone.

use crate::{Broken, Checked, hold};
use cofferdam_backend_directory::read::{Document, Format, MARK, Node, Shape};

/// Reads the bytes as a file of YAML and as a file of JSON.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    for format in [Format::Yaml, Format::Json] {
        let Ok(documents) = format.read(text) else { continue };
        in_order(text, &documents)?;
        for document in documents.iter().filter(|document| document.doubt().is_none()) {
            within(text, &document.root)?;
            let sharing = documents.iter().filter(|other| other.range == document.range).count();
            if sharing == 1 {
                alone(format, text, document)?;
            }
        }
    }
    Ok(())
}

/// Documents follow one another. Those that no line separates share a range, and no edit removes one
/// of them.
fn in_order(text: &str, documents: &[Document]) -> Checked {
    for document in documents {
        let range = document.range.clone();
        hold(text.get(range.clone()).is_some(), || format!("a document has the range {range:?}"))?;
    }
    for (one, next) in documents.iter().zip(documents.iter().skip(1)) {
        let apart = one.range.end <= next.range.start || one.range == next.range;
        hold(apart, || {
            format!("two documents have the ranges {:?} and {:?}", one.range, next.range)
        })?;
    }
    Ok(())
}

fn within(text: &str, node: &Node) -> Checked {
    hold(text.get(node.span.clone()).is_some(), || {
        format!("a value has the range {:?}", node.span)
    })?;
    match &node.shape {
        Shape::Scalar { .. } => Ok(()),
        Shape::List { items, .. } => items.iter().try_for_each(|item| within(text, item)),
        Shape::Map { entries, .. } => {
            entries.iter().try_for_each(|entry| within(text, &entry.node))
        }
    }
}

fn alone(format: Format, text: &str, document: &Document) -> Checked {
    let part = text.get(document.range.clone()).unwrap_or_default();
    // A byte order mark begins a file alone.
    if part.starts_with(MARK) {
        return Ok(());
    }
    let value = document.root.value();
    let read = format
        .read(part)
        .map_err(|fault| Broken(format!("a clear document is refused alone: {fault}: {part:?}")))?;
    let values: Vec<_> = read.iter().map(|document| document.root.value()).collect();
    hold(values == [value.clone()], || {
        format!("{part:?} is {value} in its file, and alone {values:?}")
    })
}
