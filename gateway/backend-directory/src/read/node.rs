//! Values of a file with their places, as read and without a decision about them.

use super::Unclear;
use saphyr_parser::ScalarStyle;
use serde_json::{Map, Value};
use std::ops::Range;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// The line in the file, from 1.
    pub line: usize,
    /// Bytes in the file. Exact for scalars (of a block scalar: from its indicator to the end of
    /// its last line) and flow collections; a block collection ends at [`Node::end`].
    pub span: Range<usize>,
    /// The value and its form.
    pub shape: Shape,
    /// It has an anchor: other places of the document may use it.
    pub anchored: bool,
    /// Its value, or a part of it, comes from another place: an alias, or a map with a merge key.
    pub borrows: bool,
}

/// The value of a node, with its form in the text.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A text, number, boolean or null.
    Scalar {
        /// The value as JSON.
        value: Value,
        /// How it is written.
        style: ScalarStyle,
        /// Readers disagree about it, or it is an alias.
        doubtful: bool,
    },
    /// A sequence of nodes.
    List {
        /// The members of the sequence.
        items: Vec<Node>,
        /// True if written in brackets.
        flow: bool,
    },
    /// A mapping of keys to nodes.
    Map {
        /// Its entries in order.
        entries: Vec<Entry>,
        /// True if written in braces.
        flow: bool,
    },
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key as a string.
    pub key: String,
    /// Where the key begins, in bytes.
    pub start: usize,
    /// The node of the value.
    pub node: Node,
}

/// The reason for an alias.
const ALIAS: &str = "an alias; write the value out";

/// The reason for a merge key.
const MERGE: &str = "a merge key; write the keys out";

/// The reason for an anchor.
const ANCHOR: &str = "an anchor; write the value out where it is used";

/// The reason for a scalar with more than one meaning.
const DOUBT: &str = "a value that readers disagree about; put it in quotes or write it in decimal";

impl Node {
    /// At a place, of a shape.
    pub(super) fn new(line: usize, span: Range<usize>, shape: Shape) -> Self {
        Self { line, span, shape, anchored: false, borrows: false }
    }

    /// A node with the value null.
    pub(super) fn nothing(line: usize, span: Range<usize>) -> Self {
        let shape =
            Shape::Scalar { value: Value::Null, style: ScalarStyle::Plain, doubtful: false };
        Self::new(line, span, shape)
    }

    /// The value as JSON. An alias has its text (`*name`). A repeated key has its first value.
    pub fn value(&self) -> Value {
        match &self.shape {
            Shape::Scalar { value, .. } => value.clone(),
            Shape::List { items, .. } => Value::Array(items.iter().map(Self::value).collect()),
            Shape::Map { entries, .. } => {
                let mut map = Map::new();
                for Entry { key, node, .. } in entries {
                    map.entry(key.clone()).or_insert_with(|| node.value());
                }
                Value::Object(map)
            }
        }
    }

    /// The value of a key; none where this is no map, or has no such key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.shape {
            Shape::Map { entries, .. } => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Its members; empty where this is no list.
    pub fn items(&self) -> &[Self] {
        match &self.shape {
            Shape::List { items, .. } => items,
            _ => &[],
        }
    }

    /// The text of a string. `None` for an alias, whose meaning is written elsewhere.
    pub fn text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar { value, .. } if !self.borrows => value.as_str(),
            _ => None,
        }
    }

    /// Returns whether the node is written in braces or brackets.
    pub fn is_flow(&self) -> bool {
        matches!(self.shape, Shape::Map { flow: true, .. } | Shape::List { flow: true, .. })
    }

    /// Where its last scalar or bracket ends, in bytes: trailing comments and blank lines are not
    /// its own.
    pub fn end(&self) -> usize {
        let last = match &self.shape {
            Shape::List { items, flow: false } => items.last().map(Self::end),
            Shape::Map { entries, flow: false } => entries.last().map(|entry| entry.node.end()),
            Shape::Scalar { .. } | Shape::List { .. } | Shape::Map { .. } => None,
        };
        last.unwrap_or(self.span.end)
    }

    /// Returns whether the node has the same value as another, wherever the two are.
    pub fn is_same(&self, other: &Self) -> bool {
        let shape = match (&self.shape, &other.shape) {
            (Shape::Scalar { value: a, .. }, Shape::Scalar { value: b, .. }) => a == b,
            (Shape::List { items: a, .. }, Shape::List { items: b, .. }) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Shape::Map { entries: a, .. }, Shape::Map { entries: b, .. }) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| a.key == b.key && a.node.is_same(&b.node))
            }
            _ => false,
        };
        shape && self.anchored == other.anchored && self.borrows == other.borrows
    }

    /// The first place in it whose value is not certain: doubtful, or from another place.
    pub fn doubt(&self) -> Option<Unclear> {
        if let Some(borrowed) = self.borrowed() {
            return Some(borrowed);
        }
        match &self.shape {
            Shape::Scalar { doubtful, .. } => doubtful.then(|| Unclear::at(self.line, DOUBT)),
            Shape::List { items, .. } => items.iter().find_map(Self::doubt),
            Shape::Map { entries, .. } => entries.iter().find_map(|entry| entry.node.doubt()),
        }
    }

    /// Why a part of this very node comes from another place.
    pub fn borrowed(&self) -> Option<Unclear> {
        let reason = if matches!(self.shape, Shape::Scalar { .. }) { ALIAS } else { MERGE };
        self.borrows.then(|| Unclear::at(self.line, reason))
    }

    /// Why a change of this very node would change another place.
    pub fn lent(&self) -> Option<Unclear> {
        self.anchored.then(|| Unclear::at(self.line, ANCHOR))
    }

    /// The first place in it that is used elsewhere, or comes from elsewhere.
    pub fn shared(&self) -> Option<Unclear> {
        self.lent().or_else(|| self.borrowed()).or_else(|| match &self.shape {
            Shape::Scalar { .. } => None,
            Shape::List { items, .. } => items.iter().find_map(Self::shared),
            Shape::Map { entries, .. } => entries.iter().find_map(|entry| entry.node.shared()),
        })
    }
}
