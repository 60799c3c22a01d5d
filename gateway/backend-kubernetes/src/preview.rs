//! The changes that operations would make in a cluster, by server-side dry run: each named field
//! before and after, and the state that the object must still have when they run. The viewer shows
//! it; the runner derives it again. Writes nothing: each write is a dry run, and the admission
//! policies reject other writes of the viewer.

pub mod compare;

use super::api::{Cluster, Manager, Mode, Only};
use super::json_patch;
use super::look::{absent, place};
use super::look_error::LookError;
use super::managers::manager as manager_of;
use super::object::{self, misfit, misfit_of};
use super::remarks;
use cofferdam_backend::delete_summary::delete_summary;
use cofferdam_backend::host_values::Host;
use cofferdam_backend::refusal::Refusal;
use cofferdam_backend::rest::{rest, rest_of_whole};
use cofferdam_backend::result_size::ResultSize;
use cofferdam_core::model::facts::OperationFacts;
use cofferdam_core::model::kind;
use cofferdam_core::model::operation::{Change, Operation, Place, Step, Target};
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::preview::{Expect, Preview, PreviewedOperation, Rest};
use cofferdam_core::model::{escape, facts, preview};
use cofferdam_core::stage::preview::ephemeral;
use compare::{Difference, as_written};
use serde_json::Value;
use std::collections::BTreeMap;

type Fields = BTreeMap<String, Value>;

/// Characters of a value that the cluster would set by itself: an image with its digest fits.
const SHOWN: usize = 160;

/// The preview of operations that change something, as this connection's identity.
pub async fn preview(cluster: &Cluster, tool: &str, steps: &[Step]) -> Result<Preview, LookError> {
    let facts = facts::facts_of(steps).map_err(|error| {
        Refusal::new("beyond-ceiling", error.to_string(), "ask for another plan")
    })?;
    let mut operations = Vec::with_capacity(steps.len());
    let mut sum = ResultSize::default();
    for (step, fact) in steps.iter().zip(&facts) {
        let mut shown = match ephemeral(&step.operation, fact.index) {
            Some(shown) => shown,
            None => preview_operation(cluster, tool, &step.operation, fact).await?,
        };
        sum.preview(&mut shown)?;
        operations.push(shown);
    }
    Ok(Preview { operations })
}

async fn preview_operation(
    cluster: &Cluster,
    tool: &str,
    operation: &Operation,
    fact: &OperationFacts,
) -> Result<PreviewedOperation, LookError> {
    // The leaves of an applied object, as the ceiling check found them.
    let leaves: Vec<_> = fact.changes.iter().map(|change| change.path.clone()).collect();
    Asked { cluster, manager: manager(tool), target: target(fact), index: fact.index }
        .preview_one(operation, &leaves)
        .await
}

/// Previews the same operation over the present state, as the job's identity. Never for an object
/// of the ephemeral namespace.
pub async fn again(
    cluster: &Cluster,
    manager: &str,
    operation: &Operation,
    approved: &PreviewedOperation,
) -> Result<PreviewedOperation, LookError> {
    let leaves: Vec<_> = approved.after.keys().cloned().collect();
    Asked {
        cluster,
        manager: manager.to_owned(),
        target: approved.target.clone(),
        index: approved.index,
    }
    .preview_one(operation, &leaves)
    .await
}

/// The field manager of a tool's writes: its own, so that no tool takes over what another wrote.
pub fn manager(tool: &str) -> String {
    format!("cofferdam-{tool}")
}

fn target(fact: &OperationFacts) -> Target {
    let OperationFacts { group, version, kind, namespace, name, .. } = fact.clone();
    Target { group, version, kind, namespace, name }
}

/// An object to apply as it is sent: in its namespace, with the host's values filled in.
pub fn filled(object: &Value, namespace: &str, host: &Host) -> Value {
    let mut sent = host.fill(object);
    if let Some(metadata) = sent.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    sent
}

/// One operation on one object.
struct Asked<'a> {
    cluster: &'a Cluster,
    manager: String,
    target: Target,
    index: u32,
}

impl Asked<'_> {
    /// `leaves` are an applied object's, as the ceiling was held against them.
    async fn preview_one(
        &self,
        operation: &Operation,
        leaves: &[String],
    ) -> Result<PreviewedOperation, LookError> {
        match operation {
            Operation::Patch { changes, .. } => self.patch(changes).await,
            Operation::Apply { place: Place::Namespace(_), object } => {
                self.apply(object, leaves).await
            }
            Operation::Delete { .. } => self.delete().await,
            other => {
                let reason = format!("`{}` has no preview", other.action());
                Err(Refusal::new("unsupported", reason, "ask for what changes an object").into())
            }
        }
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} {}", self.target)
    }

    /// Reads an object; `None` if it does not exist. A terminating object is refused.
    async fn existing(&self, path: &str) -> Result<Option<Value>, LookError> {
        let object = self
            .cluster
            .get(path)
            .await
            .map_err(|error| LookError::of(error, &self.what("read")))?;
        match &object {
            Some(object) if object::is_terminating(object) => {
                let reason = format!("{} is being deleted", self.target);
                Err(Refusal::new("conflict", reason, "wait until it is gone, and ask again").into())
            }
            _ => Ok(object),
        }
    }

    async fn patch(&self, changes: &[Change]) -> Result<PreviewedOperation, LookError> {
        let path = place(&self.target)?;
        let before = self.existing(&path).await?.ok_or_else(|| absent(&self.target))?;
        let changes = object::paths(changes)?;
        let sent = Host::sample().filled(&changes);
        let patch =
            json_patch::render(&before, &sent).map_err(|error| misfit_of(&error, &self.target))?;
        let answer = self.cluster.patch(&path, &patch, &self.manager, Mode::DryRun).await;
        let answer = answer.map_err(|error| LookError::of(error, &self.what("patch")))?;
        let paths: Vec<_> = changes.iter().map(|(path, _)| path.clone()).collect();
        let (old, new) =
            (object::without_server_fields(&before), object::without_server_fields(&answer));
        if let Some(beyond) = compare::beyond(&old, &new, &paths).map_err(misfit)? {
            return Err(changed(&beyond, &self.target).into());
        }
        let mut after = BTreeMap::new();
        for ((path, written), (_, sent)) in changes.iter().zip(&sent) {
            let answered = path.get(&answer).map_err(misfit)?.unwrap_or_default();
            let shown = match (written, sent) {
                (Some(written), Some(sent)) => as_written(written, sent, &answered),
                _ => answered,
            };
            after.insert(path.to_string(), shown);
        }
        let rest = self.rest(Some(&before), &paths);
        Ok(self.shown(object::expect(&before)?, object::fields(&before, &changes)?, after, rest))
    }

    async fn apply(
        &self,
        written: &Value,
        fields: &[String],
    ) -> Result<PreviewedOperation, LookError> {
        let path = place(&self.target)?;
        let before = self.existing(&path).await?;
        let sent = filled(written, &self.target.namespace, &Host::sample());
        let manager = Manager { name: &self.manager, force: false };
        let answer = self.cluster.apply(&path, &sent, manager, Mode::DryRun).await;
        let answer = answer.map_err(|error| LookError::of(error, &self.what("apply")))?;
        if before.as_ref().is_some_and(|before| object::uid(before) != object::uid(&answer)) {
            let reason = format!("{} was replaced while it was looked at", self.target);
            return Err(Refusal::new("conflict", reason, "ask again").into());
        }
        let paths: Result<Vec<_>, _> = fields.iter().map(|field| FieldPath::parse(field)).collect();
        let paths = paths.map_err(misfit)?;
        let old = before.as_ref().map(object::without_server_fields);
        let new = object::without_server_fields(&answer);
        let known = kind::find(&self.target.group, &self.target.version, &self.target.kind);
        let pod_spec = known.map_or::<&[&str], _>(&[], |kind| kind.pod_spec);
        if let Some(unnamed) = compare::unnamed(old.as_ref(), &new, &paths, pod_spec) {
            let refusal = if unnamed.removes() {
                removed(&unnamed, &self.target)
            } else {
                changed(&unnamed, &self.target)
            };
            return Err(refusal.into());
        }
        let mut after = BTreeMap::new();
        for path in &paths {
            let value =
                |object: &Value| path.get(object).map(Option::unwrap_or_default).map_err(misfit);
            after.insert(
                path.to_string(),
                as_written(&value(written)?, &value(&sent)?, &value(&answer)?),
            );
        }
        let expect = before.as_ref().map_or(Ok(Expect::Absent), object::expect)?;
        let rest = self.rest(before.as_ref(), &paths);
        let before = object::fields_as(before.as_ref().unwrap_or(&Value::Null), &after)?;
        Ok(self.shown(expect, before, after, rest))
    }

    async fn delete(&self) -> Result<PreviewedOperation, LookError> {
        let path = place(&self.target)?;
        let before = self.existing(&path).await?.ok_or_else(|| absent(&self.target))?;
        let expect = object::expect(&before)?;
        let answer =
            self.cluster.delete(&path, Only::uid(object::uid(&before)), Mode::DryRun).await;
        answer.map_err(|error| LookError::of(error, &self.what("delete")))?;
        let remarks = preview::bounded(remarks::finalizers(&before));
        let described = delete_summary(&before);
        let rest = rest_of_whole(&object::without_server_fields(&before), &described, |path| {
            manager_of(&before, path)
        });
        Ok(PreviewedOperation { remarks, ..self.shown(expect, described, BTreeMap::new(), rest) })
    }

    /// The other fields of an object, and their writers.
    fn rest(&self, before: Option<&Value>, own: &[FieldPath]) -> Rest {
        before
            .map(|before| {
                rest(&object::without_server_fields(before), own, |path| manager_of(before, path))
            })
            .unwrap_or_default()
    }

    fn shown(
        &self,
        expect: Expect,
        before: Fields,
        after: Fields,
        rest: Rest,
    ) -> PreviewedOperation {
        PreviewedOperation {
            index: self.index,
            target: self.target.clone(),
            expect,
            before,
            after,
            place: String::new(),
            remarks: Vec::new(),
            rest,
        }
    }
}

/// The cluster would do something else than the plan says.
fn changed(unnamed: &Difference, target: &Target) -> Refusal {
    let place = escape::line(&unnamed.place());
    let value = |value: &Value| {
        if value.is_null() { "absent".to_owned() } else { escape::shown(&value.to_string(), SHOWN) }
    };
    let (before, after) = (value(&unnamed.before), value(&unnamed.after));
    let reason = format!(
        "the cluster's own admission would also change `{place}` of {target} from {before} to \
         {after}, which the plan does not name"
    );
    let tool = if unnamed.place().ends_with(".image") {
        "`image_set` does for an image, and "
    } else {
        ""
    };
    let remedy = format!(
        "first a change that names that field and gives it that value ({tool}`manifests_apply` \
         does with the whole object): the cluster then has nothing to add; or an operator exempts \
         the object from the mutating admission policy or webhook that sets it"
    );
    Refusal::new("conflict", reason, &remedy)
}

/// The refusal of an apply that would remove an unnamed field.
fn removed(unnamed: &Difference, target: &Target) -> Refusal {
    let reason = format!(
        "applying it would remove `{}` from {target}, which the plan does not name",
        escape::line(&unnamed.place())
    );
    Refusal::new(
        "removes-field",
        reason,
        "keep that field in the object, or remove it with a `patch` that names it",
    )
}

#[cfg(test)]
mod tests;
