//! The viewer's answers over a tree: previews and reads, no further than the ceiling in its own trust file, and never a Secret. Changes nothing.

use super::index::{Found, Index};
use super::near;
use super::preview::{preview, unsupported};
use super::read::{Node, Shape};
use super::tree::TreeFault;
use crate::refusal::Refusal;
use crate::within::within;
use cofferdam_core::ceiling::Bound;
use cofferdam_core::exchange::look::{Look, Looked};
use cofferdam_core::limit;
use cofferdam_core::operation::{Operation, Step};
use cofferdam_core::path::{FieldPath, Segment};
use cofferdam_core::trust::Trust;
use cofferdam_process::beneath::Root;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(test)]
mod tests;

/// Looks at one tree.
#[derive(Debug)]
pub struct Looker {
    root: Root,
    last: Mutex<Arc<Index>>,
}

impl Looker {
    /// Of a tree.
    pub fn new(root: Root) -> Self {
        Self { root, last: Mutex::default() }
    }

    /// The tree as it is now.
    pub fn index(&self) -> Result<Arc<Index>, TreeFault> {
        let before = Arc::clone(&self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let index = Arc::new(Index::read(&self.root, Some(&before))?);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&index);
        Ok(index)
    }

    /// One look.
    pub fn look(&self, look: &Look, trust: &Trust) -> Result<Looked, TreeFault> {
        let (Look::Preview { tool, digest, operations } | Look::Read { tool, digest, operations }) = look;
        if let Err(refusal) = within(trust, tool, *digest, operations) {
            return Ok(refusal.into());
        }
        let index = self.index()?;
        let bound = trust.tool(tool).and_then(|tool| Bound::parse(&tool.ceiling).ok());
        if let Some(refusal) = bound.as_ref().and_then(|bound| near::unknown_namespace(&index, operations, bound)) {
            return Ok(refusal.into());
        }
        let answer = match look {
            Look::Preview { .. } => preview(&index, operations).map(|preview| Looked::Preview { preview }),
            Look::Read { .. } => results(&index, operations).map(|results| Looked::Results { results }),
        };
        Ok(answer.unwrap_or_else(|refusal| match &bound {
            Some(bound) => near::explained(refusal, &index, operations, bound).into(),
            None => refusal.into(),
        }))
    }
}

fn results(index: &Index, steps: &[Step]) -> Result<Vec<Value>, Refusal> {
    steps.iter().map(|step| result(index, &step.operation)).collect()
}

fn result(index: &Index, operation: &Operation) -> Result<Value, Refusal> {
    let result = match operation {
        Operation::Read { target, fields } => json!({"fields": shown(&index.find(target)?, &parsed(fields)?)?}),
        Operation::List { group, version, kind, namespace, fields, limit } => {
            let mut fields = fields.clone();
            if !fields.iter().any(|field| field == "metadata.name") {
                fields.push("metadata.name".to_owned());
            }
            let fields = parsed(&fields)?;
            let (found, unclear) = index.list(group, version, kind, namespace);
            if !unclear.is_empty() {
                tracing::warn!(detail = unclear.join(", "), "objects that cannot be told for sure are left out of a list");
            }
            let most = usize::try_from(*limit).unwrap_or(usize::MAX);
            let items: Result<Vec<_>, _> = found.iter().take(most).map(|found| shown(found, &fields)).collect();
            json!({"items": items?, "truncated": found.len() > most})
        }
        other => return Err(unsupported(other.action())),
    };
    let size = result.to_string().len();
    if size > limit::RESULT {
        let reason = format!("the result of {size} bytes exceeds {}", limit::RESULT);
        return Err(Refusal::new("unsupported", reason, "name fewer fields, or a smaller limit"));
    }
    Ok(result)
}

fn parsed(fields: &[String]) -> Result<Vec<FieldPath>, Refusal> {
    let paths: Result<Vec<_>, _> = fields.iter().map(|field| FieldPath::parse(field)).collect();
    paths.map_err(|fault| Refusal::new("conflict", fault.to_string(), "name fields as they are"))
}

fn shown(found: &Found<'_>, fields: &[FieldPath]) -> Result<Map<String, Value>, Refusal> {
    let object = found.document.root.value();
    let mut values = Map::new();
    for field in fields {
        if let Some(doubt) = doubt(&found.document.root, field.segments()) {
            let reason = format!("readers disagree about the value in `{}:{}`", found.path.display(), doubt.line);
            return Err(Refusal::new("ambiguous", reason, "a person has to put it in quotes or write it in decimal"));
        }
        let value = field.get(&object).map_err(|fault| Refusal::new("conflict", fault.to_string(), "name fields as they are"))?;
        values.insert(field.to_string(), value.unwrap_or_default());
    }
    Ok(values)
}

/// The first doubtful scalar among what a path shows.
fn doubt<'a>(node: &'a Node, segments: &[Segment]) -> Option<&'a Node> {
    match (segments.split_first(), &node.shape) {
        (None, _) => node.doubt(),
        (Some((Segment::Key(key), rest)), Shape::Map { entries, .. }) => {
            entries.iter().find(|entry| entry.key == *key).and_then(|entry| doubt(&entry.node, rest))
        }
        (Some((Segment::Member { .. } | Segment::AnyMember, rest)), Shape::List { items, .. }) => {
            items.iter().find_map(|item| doubt(item, rest))
        }
        _ => None,
    }
}
