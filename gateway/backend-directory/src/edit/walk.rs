//! The part of a path that exists in an object, and the nodes on the way that other places share.
//! Never looks at text.

use crate::read::{Node, Shape, Unclear};
use cofferdam_core::model::path::Segment;
use serde_json::Value;

/// One step as it was found in the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A key of a map.
    Key(&'a str),
    /// A member of a list, by its index.
    Index(usize),
}

/// How far a path leads.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a> {
    /// The nodes on the way, the object first.
    pub nodes: Vec<&'a Node>,
    /// The steps between them.
    pub steps: Vec<Step<'a>>,
    /// The absent segments at the end of the path.
    pub rest: &'a [Segment],
    /// Members of a list that may be the one that is meant, and do not say so themselves.
    unknown: Option<Unclear>,
}

/// Follows a path from an object as far as its values exist.
pub(super) fn walk<'a>(object: &'a Node, segments: &'a [Segment]) -> Walk<'a> {
    let mut walk = Walk { nodes: vec![object], steps: Vec::new(), rest: segments, unknown: None };
    let mut node = object;
    while let Some((segment, rest)) = walk.rest.split_first() {
        let found = match (&node.shape, segment) {
            (Shape::Map { .. }, Segment::Key(key)) => {
                node.get(key).map(|next| (next, Step::Key(key)))
            }
            (Shape::List { items, .. }, Segment::Member { key, value }) => {
                let unknown =
                    items.iter().filter(|item| item.get(key).is_none()).find_map(Node::borrowed);
                walk.unknown = walk.unknown.or(unknown);
                items
                    .iter()
                    .enumerate()
                    .find(|(_, item)| is_member(item, key, value))
                    .map(|(index, item)| (item, Step::Index(index)))
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
    match node.get(key).map(|member| &member.shape) {
        Some(Shape::Scalar { value: Value::String(text), .. }) => text == wanted,
        Some(Shape::Scalar { value: Value::Number(number), .. }) => number.to_string() == wanted,
        _ => false,
    }
}

impl<'a> Walk<'a> {
    /// A way whose end is there.
    pub fn found(nodes: Vec<&'a Node>, steps: Vec<Step<'a>>) -> Self {
        Self { nodes, steps, rest: &[], unknown: None }
    }

    /// The value that the path names, if it exists.
    pub fn target(&self) -> Option<&'a Node> {
        if self.rest.is_empty() { self.nodes.last().copied() } else { None }
    }

    /// The collection that holds the last node, and the step to it.
    pub fn host(&self) -> Option<(&'a Node, Step<'a>)> {
        let last = self.steps.len().checked_sub(1)?;
        Some((self.nodes.get(last)?, *self.steps.get(last)?))
    }

    /// The way to the collection that holds the last node.
    pub fn shorter(&self) -> Option<Self> {
        let last = self.steps.len().checked_sub(1)?;
        let (nodes, steps) = (self.nodes.get(..=last)?.to_vec(), self.steps.get(..last)?.to_vec());
        Some(Self::found(nodes, steps))
    }

    /// Returns whether the last node is in brackets, or has brackets itself.
    pub fn is_flow(&self) -> bool {
        self.nodes.iter().any(|node| node.is_flow())
    }

    /// Why a change would change another place too, or what comes from another place.
    pub fn shared(&self) -> Option<Unclear> {
        let lent = self.nodes.iter().find_map(|node| node.lent());
        let last = self.nodes.last();
        let within = match self.rest {
            [] => last.and_then(|node| node.shared()),
            // A key that is not written may come from a merge key.
            _ => last.and_then(|node| node.borrowed()),
        };
        lent.or(within).or_else(|| self.unknown.clone())
    }
}
