//! One object in the text of its file: found, compared with the approved state, and edited. Pure.

use crate::edit;
use crate::index::{digest, uid};
use crate::objects::{Position, objects};
use crate::preview::{fields, paths, unsupported};
use crate::read::Format;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::host_values::Host;
use cofferdam_core::model::operation::{Operation, Target};
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::preview::{Expect, PreviewedOperation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A file's text after an operation, which has to be as approved, with the fields as they are then.
/// `written` is the object as the file names it.
pub(super) fn edited(
    path: &Path,
    text: &str,
    operation: &Operation,
    approved: &PreviewedOperation,
    (written, host): (&Target, &Host),
) -> Result<(Option<String>, BTreeMap<String, Value>), EffectError> {
    let conflict = || EffectError::Conflict(approved.target.clone());
    let (at, _) = find(path, text, written).ok_or_else(conflict)?;
    let (after, observed) = match operation {
        Operation::Patch { changes, .. } => {
            let changes = paths(changes)?;
            let after = edit::patch(Format::of(path), text, &at, &host.filled(&changes))?;
            let (_, object) = find(path, &after, written).ok_or_else(conflict)?;
            let observed = fields(&object, &changes)?;
            (Some(after), observed)
        }
        Operation::Delete { .. } => match edit::delete(Format::of(path), text, &at)? {
            Some(text) if find(path, &text, written).is_some() => return Err(conflict()),
            after => (after, BTreeMap::new()),
        },
        other => return Err(unsupported(other.action()).into()),
    };
    if observed == host.fields(&approved.after) {
        Ok((after, observed))
    } else {
        Err(EffectError::Refused(format!(
            "{} would not be as approved afterwards",
            approved.target
        )))
    }
}

/// The object in the text of a file, if it is clear.
pub(super) fn find(path: &Path, text: &str, target: &Target) -> Option<(Position, Value)> {
    let documents = Format::of(path).read(text).ok()?;
    let (position, _) =
        objects(&documents).into_iter().find(|(_, identity)| identity.matches_target(target))?;
    let object = position.object(&documents)?;
    let is_clear = documents.get(position.document)?.unclear_in(object).is_none();
    is_clear.then(|| (position, object.value()))
}

pub(super) fn values(
    object: &Value,
    changes: &[(FieldPath, Option<Value>)],
) -> Result<Vec<(FieldPath, Option<Value>)>, EffectError> {
    let values: Result<_, _> = changes
        .iter()
        .map(|(path, _)| path.get(object).map(|value| (path.clone(), value)))
        .collect();
    values.map_err(|error| EffectError::Refused(error.to_string()))
}

/// Returns whether an object in this file is in the state over which it was approved.
pub(super) fn expected(
    path: &Path,
    approved: &PreviewedOperation,
    object: &Value,
) -> Result<bool, EffectError> {
    let seen = digest(object).map_err(|error| EffectError::Refused(error.to_string()))?;
    Ok(Expect::Present { uid: uid(path, &approved.target), digest: seen } == approved.expect)
}
