//! Values of a document by key, with their lines. A value of an unexpected form counts as absent.

use crate::read::{Node, Shape};
use serde_json::Value;

/// The value of a key.
pub fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.shape {
        Shape::Map { entries, .. } => {
            entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
        }
        Shape::Scalar { .. } | Shape::List { .. } => None,
    }
}

/// The value at keys, one below the other.
pub fn at<'a>(node: &'a Node, keys: &[&str]) -> Option<&'a Node> {
    keys.iter().try_fold(node, |node, key| get(node, key))
}

/// The members of a list, each with the line at which it begins.
pub fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.shape) {
        Some(Shape::List { items, .. }) => items,
        _ => &[],
    }
}

/// The entries of a map: key and value.
pub fn pairs(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match node.map(|node| &node.shape) {
        Some(Shape::Map { entries, .. }) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.node))
}

/// A scalar's text, as other programs read it: a tag `1.10` without quotes is meant as a text.
pub fn text(node: &Node) -> Option<String> {
    match &node.shape {
        // An alias: what it means is written elsewhere.
        Shape::Scalar { .. } if node.borrows => None,
        Shape::Scalar { value: Value::String(text), .. } => Some(text.clone()),
        Shape::Scalar { value: Value::Null, .. } => None,
        Shape::Scalar { value, .. } => Some(value.to_string()),
        Shape::List { .. } | Shape::Map { .. } => None,
    }
}

/// The text of a key.
pub fn text_of(node: &Node, key: &str) -> Option<String> {
    get(node, key).and_then(text)
}

/// Returns whether a document is an object of this group and kind, in any version.
pub fn is_kind(node: &Node, group: &str, kind: &str) -> bool {
    let version = text_of(node, "apiVersion").unwrap_or_default();
    version.split_once('/').is_some_and(|(found, _)| found == group)
        && text_of(node, "kind").as_deref() == Some(kind)
}
