//! The changes that operations would make in a tree: each named field before and after, and the
//! state that the object must still have when they run. The viewer shows it; the runner derives it
//! again. Changes nothing.

use super::edit::{self, EditError};
use super::index::{FindError, Found, Index, bare, digest, phrase, uid};
use super::kustomize::overrides::Edit;
use super::origin::origin;
use super::read::Unclear;
use cofferdam_backend::delete_summary::delete_summary;
use cofferdam_backend::host_values::Host;
use cofferdam_backend::refusal::Refusal;
use cofferdam_backend::rest::{rest, rest_of_whole};
use cofferdam_backend::result_size::ResultSize;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::operation::{Action, Change, Operation, Program, Step, Target};
use cofferdam_core::model::path::{FieldPath, PathError};
use cofferdam_core::model::preview::{Expect, Preview, PreviewedOperation};
use cofferdam_core::stage::preview;
use serde_json::Value;
use std::collections::BTreeMap;

/// A directory has no cluster in it.
pub fn unsupported(action: Action) -> Refusal {
    let reason = format!("this environment is a folder of manifests: `{action}` needs a cluster");
    Refusal::new("unsupported", reason, "an environment that is a cluster")
}

impl From<FindError> for Refusal {
    fn from(error: FindError) -> Self {
        match &error {
            FindError::Absent(_) => Self::new(
                "not-found",
                error.to_string(),
                "list what is there and name one of those",
            ),
            FindError::Ambiguous { .. } => Self::new(
                "ambiguous",
                error.to_string(),
                "a person has to make that place of the tree clear first",
            ),
            FindError::Built { code, remedy, .. } => Self::new(code, error.to_string(), remedy),
        }
    }
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        let code = if matches!(error, EditError::Path(_)) { "conflict" } else { "ambiguous" };
        Self::new(
            code,
            error.to_string(),
            "read the object and name fields as they are, or have a person rewrite that part of \
             the file",
        )
    }
}

/// The preview of operations that change something.
pub fn preview(index: &Index, steps: &[Step]) -> Result<Preview, Refusal> {
    let mut sum = ResultSize::default();
    let mut operations = Vec::with_capacity(steps.len());
    for (step, at) in steps.iter().zip(0..) {
        let mut shown = preview_operation(index, &step.operation, at)?;
        sum.preview(&mut shown)?;
        operations.push(shown);
    }
    Ok(Preview { operations })
}

pub(super) fn preview_operation(
    index: &Index,
    operation: &Operation,
    at: u32,
) -> Result<PreviewedOperation, Refusal> {
    match operation {
        Operation::Patch { target, changes } => {
            let found = index.find(target)?;
            let object = found.object.value();
            let changes = paths(changes)?;
            let mut meant = object.clone();
            for (path, value) in &changes {
                path.set(&mut meant, value.clone()).map_err(|error| misfit(&error, target))?;
            }
            edit::patch(
                found.file.format,
                &found.file.text,
                found.position,
                &Host::sample().filled(&changes),
            )
            .map_err(|error| unchanged(&found, error))?;
            let edits: Vec<_> = changes
                .iter()
                .map(|(path, _)| Edit { path, before: &object, after: &meant })
                .collect();
            let remarks = index.remarks(&found, target, &edits);
            let own: Vec<_> = changes.iter().map(|(path, _)| path.clone()).collect();
            Ok(PreviewedOperation {
                index: at,
                target: target.clone(),
                expect: expect(&found, target, &object)?,
                before: fields(&object, &changes)?,
                after: fields(&meant, &changes)?,
                place: found.place(),
                remarks,
                rest: rest(&bare(&object), &own, |path| origin(found.path, found.object, path)),
            })
        }
        Operation::Delete { target } => {
            let found = index.find(target)?;
            let left = edit::delete(found.file.format, &found.file.text, found.position)
                .map_err(|error| unchanged(&found, error))?;
            if let Some(refusal) = index.still_named(&found, target, left.is_none()) {
                return Err(refusal);
            }
            let object = found.object.value();
            let described = delete_summary(&object);
            let rest = rest_of_whole(&bare(&object), &described, |path| {
                origin(found.path, found.object, path)
            });
            Ok(PreviewedOperation {
                index: at,
                target: target.clone(),
                expect: expect(&found, target, &object)?,
                before: described,
                after: BTreeMap::new(),
                place: found.place(),
                remarks: index.remarks(&found, target, &[]),
                rest,
            })
        }
        // A Wasm command needs no cluster: it runs beside the runner, and reaches nothing.
        Operation::Task { program: Program::Command(_), .. } => {
            preview::ephemeral(operation, at).ok_or_else(|| unsupported(Action::Task))
        }
        other => Err(unsupported(other.action())),
    }
}

/// An edit that is refused, with its file.
fn unchanged(found: &Found<'_>, error: EditError) -> Refusal {
    let reason = match &error {
        EditError::Unclear(Unclear { line, reason }) => {
            format!("`{}:{line}` {}", found.path.display(), phrase("has", reason))
        }
        EditError::Path(_) => return error.into(),
        EditError::Doubtful { .. } | EditError::Entangled(_) => {
            format!("in `{}`, {error}", found.place())
        }
    };
    Refusal { reason, ..Refusal::from(error) }
}

/// Previews the same operation over this tree, if the object is not in its approved state.
pub fn renewed(
    index: &Index,
    operation: &Operation,
    approved: &PreviewedOperation,
) -> Result<Option<PreviewedOperation>, Refusal> {
    let Some(target) = operation.target().filter(|_| approved.target.namespace != EPHEMERAL) else {
        return Ok(None);
    };
    let found = index.find(target)?;
    if expect(&found, target, &found.object.value())? == approved.expect {
        return Ok(None);
    }
    preview_operation(index, operation, approved.index).map(Some)
}

/// A path that does not fit the object that was named.
fn misfit(error: &PathError, target: &Target) -> Refusal {
    Refusal::new(
        "conflict",
        error.about(&format!("{} {}", target.kind, target.name)),
        "name fields and list members as they are",
    )
}

/// Changes with their paths parsed.
pub fn paths(changes: &[Change]) -> Result<Vec<(FieldPath, Option<Value>)>, Refusal> {
    let parsed: Result<Vec<_>, _> = changes
        .iter()
        .map(|change| FieldPath::parse(&change.path).map(|path| (path, change.value.clone())))
        .collect();
    parsed.map_err(|error| EditError::Path(error).into())
}

/// The values at the changed paths; `null` for an absent value.
pub fn fields(
    object: &Value,
    changes: &[(FieldPath, Option<Value>)],
) -> Result<BTreeMap<String, Value>, Refusal> {
    let values: Result<_, _> = changes
        .iter()
        .map(|(path, _)| {
            path.get(object).map(|value| (path.to_string(), value.unwrap_or_default()))
        })
        .collect();
    values.map_err(|error| EditError::Path(error).into())
}

fn expect(found: &Found<'_>, target: &Target, object: &Value) -> Result<Expect, Refusal> {
    let digest = digest(object).map_err(|error| {
        Refusal::new("ambiguous", error.to_string(), "a person has to rewrite that value")
    })?;
    Ok(Expect::Present { uid: uid(found.path, target), digest })
}
