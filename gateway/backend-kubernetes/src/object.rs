//! The parts of an object in the API that count: identity, digest, the fields that a plan names,
//! and the fields that can be written again. Pure. Preview and effect use the same functions, so
//! that the approved and the observed state are compared alike.

use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::id::ObjectDigest;
use cofferdam_core::model::json::{JsonError, canonical};
use cofferdam_core::model::operation::{Change, Target};
use cofferdam_core::model::path::{FieldPath, PathError};
use cofferdam_core::model::preview::Expect;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields below `metadata` that every write changes, or that name the writers. A change of these
/// alone is no drift.
const BOOKKEEPING: [&str; 3] = ["generation", "managedFields", "resourceVersion"];

/// Fields below `metadata` that the server sets at creation or deletion.
const GIVEN: [&str; 6] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "selfLink",
    "uid",
];

/// Annotations in which controllers note their view of an object: status, apart from its place.
const NOTED: [&str; 2] =
    ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];

/// Labels that the Job controller gives to a Job's pods, made from the Job's UID.
const JOB_LABELS: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// The UID of an object.
pub fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}

/// Its version in the store: another one after each write.
pub fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
}

/// Returns whether the object has a deletion time.
pub fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// Digest of an object without status and the server's bookkeeping, so that a heartbeat is no
/// drift.
pub fn digest(object: &Value) -> Result<ObjectDigest, JsonError> {
    Ok(ObjectDigest::of(canonical(&bare(object))?.as_bytes()))
}

/// The state that an effect is approved over: this object, in this state.
pub fn expect(object: &Value) -> Result<Expect, Refusal> {
    let uid = uid(object).ok_or_else(|| unusual("the API server gave an object without a UID"))?;
    let digest = digest(object).map_err(|error| unusual(error.to_string()))?;
    Ok(Expect::Present { uid: uid.to_owned(), digest })
}

/// Changes with their paths parsed.
pub fn paths(changes: &[Change]) -> Result<Vec<(FieldPath, Option<Value>)>, Refusal> {
    let parsed: Result<Vec<_>, _> = changes
        .iter()
        .map(|change| FieldPath::parse(&change.path).map(|path| (path, change.value.clone())))
        .collect();
    parsed.map_err(misfit)
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
    values.map_err(misfit)
}

/// The values at the paths of these approved fields; `null` for an absent value.
pub fn fields_as(
    object: &Value,
    named: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, Refusal> {
    let value = |text: &String| {
        FieldPath::parse(text)?.get(object).map(|value| (text.clone(), value.unwrap_or_default()))
    };
    named.keys().map(value).collect::<Result<_, _>>().map_err(misfit)
}

/// An object as a client could have written it: without what the server or its controllers gave it.
/// For creating it again.
pub fn without_server_fields(object: &Value) -> Value {
    let mut object = bare(object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        GIVEN.iter().for_each(|key| drop(metadata.remove(*key)));
    }
    let is_job = object.get("kind").and_then(Value::as_str) == Some("Job");
    if is_job && object.pointer("/spec/manualSelector") != Some(&Value::Bool(true)) {
        // Generated from the UID of the deleted object; the server creates new ones and rejects
        // given ones.
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("selector");
        }
        if let Some(labels) =
            object.pointer_mut("/spec/template/metadata/labels").and_then(Value::as_object_mut)
        {
            JOB_LABELS.iter().for_each(|key| drop(labels.remove(*key)));
        }
    }
    object
}

/// Without status and bookkeeping.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            BOOKKEEPING.iter().for_each(|key| drop(metadata.remove(*key)));
            without_notes(metadata);
        }
    }
    object
}

fn without_notes(metadata: &mut Map<String, Value>) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    NOTED.iter().for_each(|key| drop(annotations.remove(*key)));
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

fn unusual(reason: impl Into<String>) -> Refusal {
    Refusal::new("ambiguous", reason, "a person has to look at that object")
}

/// The same of an object that is named.
pub fn misfit_of(error: &PathError, target: &Target) -> Refusal {
    Refusal::new(
        "conflict",
        error.about(&format!("{} {}", target.kind, target.name)),
        "name fields and list members as they are",
    )
}

/// The refusal of a path that does not fit an object.
pub fn misfit(error: PathError) -> Refusal {
    Refusal::new("conflict", error.to_string(), "read the object and name fields as they are")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "7",
                "generation": 3,
                "creationTimestamp": "2026-11-23T12:00:00Z", "managedFields": [
                    {"manager": "kubectl"},
                ],
                "labels": {"app": "web"}, "annotations": {"deployment.kubernetes.io/revision": "2"},
            },
            "spec": {
                "replicas": 3,
                "template": {"spec": {"containers": [{"name": "web", "image": "a"}]}},
            },
            "status": {"readyReplicas": 3},
        })
    }

    /// Checks whether the digest stays the same if this pointer gets this value.
    fn check(pointer: &str, value: Value, same: bool) {
        let mut other = deployment();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_eq!(digest(&other).unwrap() == digest(&deployment()).unwrap(), same, "{pointer}");
    }

    #[test]
    fn a_heartbeat_is_no_drift_and_everything_else_is() {
        check("/status/readyReplicas", json!(1), true);
        check("/metadata/resourceVersion", json!("8"), true);
        check("/metadata/generation", json!(4), true);
        check("/metadata/managedFields", json!([]), true);
        check("/metadata/annotations", json!({}), true);
        check("/metadata/annotations", json!({"owner": "me"}), false);
        check("/metadata/labels/app", json!("api"), false);
        check("/metadata/uid", json!("u2"), false);
        check("/spec/replicas", json!(4), false);
    }

    #[test]
    fn an_object_is_created_again_as_a_client_wrote_it() {
        let expect = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
                "name": "web",
                "namespace": "shop",
                "labels": {"app": "web"},
            },
            "spec": {
                "replicas": 3,
                "template": {"spec": {"containers": [{"name": "web", "image": "a"}]}},
            },
        });
        assert_eq!(without_server_fields(&deployment()), expect);
        let job = json!({"kind": "Job", "spec": {
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {
                "metadata": {"labels": {"controller-uid": "u", "job-name": "j", "app": "x"}},
            },
        }});
        assert_eq!(
            without_server_fields(&job),
            json!({"kind": "Job", "spec": {"template": {"metadata": {"labels": {"app": "x"}}}}})
        );
    }

    #[test]
    fn fields_are_found_where_they_were_approved() {
        let named = BTreeMap::from([
            ("spec.replicas".to_owned(), json!(9)),
            ("spec.paused".to_owned(), json!(true)),
            ("spec.template.spec.containers[name=web].image".to_owned(), json!("b")),
        ]);
        let found = fields_as(&deployment(), &named).unwrap();
        assert_eq!(found.values().collect::<Vec<_>>(), [&json!(null), &json!(3), &json!("a")]);
        assert_eq!(expect(&json!({})).unwrap_err().code, "ambiguous");
    }
}
