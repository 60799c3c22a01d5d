//! The reaper: removes expired runs by the marks in the cluster alone, also without the gateway.
//! Touches only objects with a run's name *and* its labels; never forces a removal.

use super::api::{ApiError, Cluster, Extent, Mode, Only};
use super::labels::{
    CALL, EXPIRES, FENCE, MANAGED, RunName, TARGETS, annotation, is_expired, listed, managed, name,
    namespace,
};
use super::rights::everywhere;
use super::teardown::{self, TeardownError};
use super::{held, object, path};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// Objects of one kind that are looked at in one round: twice the 10,000 namespaces that Kubernetes
/// is tested with. More of them are a sign of an error.
pub(super) const ALL: Extent = Extent { page: 500, pages: 40 };

/// The result of one round of reaping.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reaped {
    /// Namespaces that were deleted in this round.
    pub namespaces: Vec<String>,
    /// Roles and RoleBindings that are gone, as `rolebindings/NAME in NAMESPACE`.
    pub rights: Vec<String>,
    /// Objects that are terminating or cannot be removed, each with the cluster's reason.
    pub stuck: Vec<(String, String)>,
    /// Objects with the label of Cofferdam whose name or other marks do not fit. They were not
    /// touched.
    pub foreign: Vec<String>,
    /// Kinds with more objects than one round reads. Some objects were not read.
    #[serde(rename = "crowded")]
    pub overflow: Vec<String>,
}

impl Reaped {
    /// Returns whether the round removed nothing and has nothing to report.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Reaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "nothing was left");
        }
        let mut lines: Vec<String> =
            self.namespaces.iter().map(|name| format!("told to go: namespace {name}")).collect();
        lines.extend(self.rights.iter().map(|what| format!("removed: {what}")));
        lines.extend(self.stuck.iter().map(|(what, why)| format!("stuck: {what}: {why}")));
        lines.extend(
            self.foreign
                .iter()
                .map(|what| format!("not an object of Cofferdam, not touched: {what}")),
        );
        lines.extend(self.overflow.iter().map(|kind| {
            format!(
                "one round cannot read all {kind} with the label of Cofferdam; find out who \
                 creates them"
            )
        }));
        write!(f, "{}", lines.join("; "))
    }
}

/// Runs one round. It does not wait: the next round reads the objects that this round deleted.
pub async fn reap(cluster: &Cluster, now: Timestamp) -> Result<Reaped, ApiError> {
    let mut reaped = Reaped::default();
    // Rights before namespaces: a namespace is created before its rights, so rights whose namespace
    // is missing afterwards have lost it.
    let mut rights = Vec::new();
    for resource in ["rolebindings", "roles"] {
        match cluster.list_all(&everywhere(resource), &managed(), ALL, lean).await {
            Ok((found, more)) => {
                reaped.overflow.extend(more.then(|| resource.to_owned()));
                rights.extend(found.into_iter().map(|object| (resource, object)));
            }
            // A list that is too large to read must not stop the reaping of namespaces.
            Err(error) => reaped.stuck.push((format!("the list of {resource}"), error.to_string())),
        }
    }
    let (namespaces, more) = cluster.list_all("/api/v1/namespaces", &managed(), ALL, lean).await?;
    reaped.overflow.extend(more.then(|| "namespaces".to_owned()));
    let there: BTreeSet<String> = namespaces.iter().filter_map(name).map(str::to_owned).collect();
    // Rights in a run namespace are removed with it.
    for (resource, object) in
        rights.iter().filter(|(_, object)| !namespace(object).is_some_and(|at| there.contains(at)))
    {
        let what = format!(
            "{resource}/{} in {}",
            name(object).unwrap_or_default(),
            namespace(object).unwrap_or_default()
        );
        let Some(run) = RunName::of(object) else {
            reaped.foreign.push(what);
            continue;
        };
        let lost = !more && !there.contains(&run.to_string());
        if is_expired(object, now) || lost {
            right(cluster, resource, object, what, &mut reaped).await;
        } else {
            readable(object, &what, &mut reaped);
        }
    }
    for object in &namespaces {
        reap_object(cluster, object, now, &mut reaped).await;
    }
    Ok(reaped)
}

/// The fields of an object that a round needs. A client that creates many objects may create large
/// ones.
pub(super) fn lean(object: Value) -> Value {
    let take = |from: &str, keys: &[&str]| {
        let of = |key: &&str| {
            object.pointer(from)?.get(*key).map(|value| ((*key).to_owned(), value.clone()))
        };
        keys.iter().filter_map(of).collect::<serde_json::Map<_, _>>()
    };
    let mut metadata =
        take("/metadata", &["name", "namespace", "uid", "deletionTimestamp", "finalizers"]);
    metadata.insert("labels".to_owned(), take("/metadata/labels", &[MANAGED, CALL, FENCE]).into());
    metadata.insert(
        "annotations".to_owned(),
        take("/metadata/annotations", &[EXPIRES, TARGETS]).into(),
    );
    json!({
        "metadata": metadata,
        "spec": take("/spec", &["finalizers"]),
        "status": take("/status", &["conditions"]),
    })
}

/// Deletes a Role or a RoleBinding, of the UID that was listed.
async fn right(
    cluster: &Cluster,
    resource: &str,
    object: &Value,
    what: String,
    reaped: &mut Reaped,
) {
    let (Some(at), Some(own)) = (namespace(object), name(object)) else { return };
    let at = format!("{}/{own}", path::collection("rbac.authorization.k8s.io", "v1", at, resource));
    match cluster.delete(&at, Only::uid(object::uid(object)), Mode::Real).await {
        Ok(()) => reaped.rights.push(what),
        Err(error) => reaped.stuck.push((what, error.to_string())),
    }
}

async fn reap_object(cluster: &Cluster, object: &Value, now: Timestamp, reaped: &mut Reaped) {
    let Some(own) = name(object).map(str::to_owned) else { return };
    if RunName::of(object).is_none() {
        reaped.foreign.push(own);
    } else if object::is_terminating(object) {
        reaped.stuck.push((own, held::words(object)));
    } else if is_expired(object, now) {
        // The lists above may be incomplete: the rights that this namespace names are removed in
        // any case.
        let gone =
            match teardown::rights(cluster, &own, &listed(object, TARGETS).into_iter().collect())
                .await
            {
                Ok(()) => {
                    let deleted = cluster
                        .delete(&path::namespace(&own), Only::uid(object::uid(object)), Mode::Real)
                        .await;
                    deleted.map_err(|error| TeardownError::Api { what: own.clone(), error })
                }
                Err(error) => Err(error),
            };
        match gone {
            Ok(()) => reaped.namespaces.push(own),
            Err(error) => reaped.stuck.push((own, error.to_string())),
        }
    } else {
        readable(object, &own, reaped);
    }
}

/// Reports an object without a readable expiry. It is never removed; a person has to look at it.
fn readable(object: &Value, what: &str, reaped: &mut Reaped) {
    if annotation(object, EXPIRES).and_then(|text| text.parse::<Timestamp>().ok()).is_none() {
        reaped.stuck.push((what.to_owned(), format!("it has no readable annotation {EXPIRES}")));
    }
}
