//! The viewer's answers about a tree: previews and reads, within the ceiling in its own trust file,
//! and never a Secret. Changes nothing.

use super::index::{Found, Index, Listing, phrase};
use super::kept::KeptTree;
use super::near;
use super::preview::{preview, unsupported};
use super::read::{Node, Shape, Unclear};
use super::tree::TreeError;
use cofferdam_backend::ceiling_check::check_ceiling;
use cofferdam_backend::refusal::Refusal;
use cofferdam_backend::result_size::ResultSize;
use cofferdam_core::model::left_out::{LeftOut, Place};
use cofferdam_core::model::limit;
use cofferdam_core::model::operation::{Operation, Step};
use cofferdam_core::model::path::{FieldPath, PathError, Segment};
use cofferdam_core::model::preview::{Remark, bounded};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::tool::bound::Bound;
use cofferdam_process::rooted_fs::Root;
use serde_json::{Map, Value, json};
use std::time::Instant;

#[cfg(test)]
mod tests;

/// Looks at one tree.
#[derive(Debug)]
pub struct Looker {
    tree: KeptTree,
}

impl Looker {
    /// A reader of this tree. Opens the queue of its changes, so call it before the process confines
    /// itself. `clock` gives the present time.
    pub fn new(root: Root, clock: fn() -> Instant) -> Self {
        Self { tree: KeptTree::watched(root, clock) }
    }

    /// Answers one request of the gateway.
    pub fn look(&self, look: &ReadRequest, trust: &Trust) -> Result<ReadResponse, TreeError> {
        let (ReadRequest::Preview { tool, digest, operations }
        | ReadRequest::Read { tool, digest, operations }) = look;
        if let Err(refusal) = check_ceiling(trust, tool, *digest, operations) {
            return Ok(refusal.into());
        }
        let index = self.tree.index(operations)?;
        let bound = trust.tool(tool).and_then(|tool| Bound::parse(&tool.ceiling).ok());
        if let Some(refusal) =
            bound.as_ref().and_then(|bound| near::unknown_namespace(&index, operations, bound))
        {
            return Ok(refusal.into());
        }
        let answer = match look {
            ReadRequest::Preview { .. } => {
                preview(&index, operations).map(|preview| ReadResponse::Preview { preview })
            }
            ReadRequest::Read { .. } => results(&index, operations),
        };
        Ok(answer.unwrap_or_else(|refusal| match &bound {
            Some(bound) => near::explained(refusal, &index, operations, bound).into(),
            None => refusal.into(),
        }))
    }
}

fn results(index: &Index, steps: &[Step]) -> Result<ReadResponse, Refusal> {
    let mut left_out = LeftOut::default();
    let mut given = Vec::new();
    let mut sum = ResultSize::default();
    let mut results = Vec::with_capacity(steps.len());
    for step in steps {
        let result = result(index, &step.operation, &mut left_out, &mut given)?;
        sum.result(&result)?;
        results.push(result);
    }
    Ok(ReadResponse::Results { results, left_out, given: bounded(given) })
}

fn result(
    index: &Index,
    operation: &Operation,
    left_out: &mut LeftOut,
    given: &mut Vec<Remark>,
) -> Result<Value, Refusal> {
    let result = match operation {
        Operation::Read { target, fields } => {
            let found = index.find(target)?;
            given.extend_from_slice(found.given());
            let fields = parsed(fields)?;
            let mut values = Map::new();
            for field in &fields {
                values.insert(
                    field.to_string(),
                    shown(&found, field).map_err(|odd| odd.refusal(&found))?,
                );
            }
            json!({"fields": values})
        }
        Operation::List { group, version, kind, namespace, fields, limit } => {
            let mut fields = fields.clone();
            if !fields.iter().any(|field| field == "metadata.name") {
                fields.push("metadata.name".to_owned());
            }
            let fields = parsed(&fields)?;
            let Listing { found, gaps } = index.list(group, version, kind, namespace);
            gaps.into_iter().for_each(|gap| left_out.push(gap));
            let most = usize::try_from(*limit).unwrap_or(usize::MAX);
            given.extend(found.iter().take(most).flat_map(Found::given).cloned());
            let items: Vec<_> =
                found.iter().take(most).map(|found| item(found, &fields, left_out)).collect();
            json!({"items": items, "truncated": found.len() > most})
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

/// One object of a list. A field whose value is not certain is shown as absent, and named.
fn item(found: &Found<'_>, fields: &[FieldPath], left_out: &mut LeftOut) -> Map<String, Value> {
    let mut value = |field: &FieldPath| {
        shown(found, field).unwrap_or_else(|odd| {
            left_out.push(odd.place(found, field));
            Value::Null
        })
    };
    fields.iter().map(|field| (field.to_string(), value(field))).collect()
}

fn parsed(fields: &[String]) -> Result<Vec<FieldPath>, Refusal> {
    let paths: Result<Vec<_>, _> = fields.iter().map(|field| FieldPath::parse(field)).collect();
    paths.map_err(|error| Refusal::new("conflict", error.to_string(), "name fields as they are"))
}

/// Why a field is not shown.
enum Odd {
    /// Its value is not certain.
    Doubt(Unclear),
    /// The object has another form there.
    Misfit(String),
}

impl Odd {
    fn refusal(self, found: &Found<'_>) -> Refusal {
        match self {
            Self::Doubt(Unclear { line, reason }) => {
                let reason =
                    format!("`{}:{line}` {}", found.path.display(), phrase("has", &reason));
                Refusal::new(
                    "ambiguous",
                    reason,
                    "a person has to make that place of the tree clear first",
                )
            }
            Self::Misfit(reason) => Refusal::new("conflict", reason, "name fields as they are"),
        }
    }

    fn place(self, found: &Found<'_>, field: &FieldPath) -> Place {
        let (line, reason) = match self {
            Self::Doubt(Unclear { line, reason }) => (line, phrase("has", &reason)),
            Self::Misfit(reason) => (found.object.line, format!("has another form: {reason}")),
        };
        Place::new(found.path.to_string_lossy(), line, format!("(`{field}`) {reason}"))
    }
}

fn shown(found: &Found<'_>, field: &FieldPath) -> Result<Value, Odd> {
    if let Some(doubt) = doubt(found.object, field.segments()) {
        return Err(Odd::Doubt(doubt));
    }
    let value = value(found.object, field).map_err(|error| Odd::Misfit(error.to_string()))?;
    Ok(value.unwrap_or_default())
}

/// The same as [`FieldPath::get`] of the object's value. Makes the value of the whole object only
/// for a path that names a member of a list.
fn value(object: &Node, field: &FieldPath) -> Result<Option<Value>, PathError> {
    let is_plain = |segment: &Segment| matches!(segment, Segment::Key(_) | Segment::AnyMember);
    if field.segments().iter().all(is_plain) {
        Ok(plain_value(object, field.segments()))
    } else {
        field.get(&object.value())
    }
}

/// The value at a path of keys and of all members.
fn plain_value(node: &Node, segments: &[Segment]) -> Option<Value> {
    match (segments.split_first(), &node.shape) {
        (None, _) => Some(node.value()),
        (Some((Segment::Key(key), rest)), _) => plain_value(node.get(key)?, rest),
        (Some((Segment::AnyMember, rest)), Shape::List { items, .. }) => {
            let each = items.iter().map(|item| plain_value(item, rest).unwrap_or_default());
            Some(Value::Array(each.collect()))
        }
        (Some(_), _) => None,
    }
}

/// The first place among what a path shows whose value is not certain.
fn doubt(node: &Node, segments: &[Segment]) -> Option<Unclear> {
    match (segments.split_first(), &node.shape) {
        (None, _) => node.doubt(),
        (Some((Segment::Key(key), rest)), Shape::Map { .. }) => match node.get(key) {
            Some(next) => doubt(next, rest),
            // A key that is not written may come from a merge key.
            None => node.borrowed(),
        },
        (Some((Segment::Member { .. } | Segment::AnyMember, rest)), Shape::List { items, .. }) => {
            items.iter().find_map(|item| doubt(item, rest))
        }
        (Some(_), _) => node.borrowed(),
    }
}
