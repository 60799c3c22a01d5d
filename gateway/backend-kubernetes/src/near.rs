//! Objects with a similar name, for an agent that named an absent one. Sends a few small requests
//! with the viewer's own rights, about the one named namespace. Leaves out kinds that the viewer
//! may not list. Never shows a Secret.

use super::api::Cluster;
use super::path;
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::kind;
use cofferdam_core::model::near::{WORKLOADS, is_workload, listed, nearest};
use cofferdam_core::model::operation::{Operation, Step, Target};
use http::Method;
use serde_json::Value;

/// Objects of a kind that are compared by name: a page of them.
const COMPARED: u32 = 100;

/// The reason for an empty list if its namespace does not exist. An empty list alone would read as
/// if no workload ran there.
pub(super) async fn unknown_namespace(
    cluster: &Cluster,
    steps: &[Step],
    results: &[Value],
) -> Option<Refusal> {
    let empty =
        |result: &Value| result.get("items").and_then(Value::as_array).is_some_and(Vec::is_empty);
    let (step, _) = steps.iter().zip(results).find(|(_, result)| empty(result))?;
    match &step.operation {
        Operation::List { namespace, .. } => missing_namespace(cluster, namespace).await,
        _ => None,
    }
}

/// A refusal of an object that is not there, with what is.
pub(super) async fn explained(cluster: &Cluster, refusal: Refusal, steps: &[Step]) -> Refusal {
    if refusal.code != "not-found" {
        return refusal;
    }
    let targets = steps.iter().filter_map(|step| step.operation.target());
    let Some(target) =
        targets.into_iter().find(|target| refusal.reason.contains(&target.to_string()))
    else {
        return refusal;
    };
    if let Some(gone) = missing_namespace(cluster, &target.namespace).await {
        return gone;
    }
    let other = other_kind(cluster, target).await;
    let same = names(cluster, target).await;
    let hint = match (other, nearest(&target.name, same.iter().map(String::as_str))) {
        (Some(kind), _) => format!("; there is a {kind} {}", target.name),
        (None, Some(name)) => format!("; did you mean `{name}`?"),
        (None, None) => String::new(),
    };
    let remedy = match listed(same.iter().map(String::as_str)) {
        names if names.is_empty() => refusal.remedy,
        names => format!("a {} of this namespace: {names}", target.kind),
    };
    Refusal::new("not-found", format!("there is no {target}{hint}"), &remedy)
}

/// The refusal of a namespace that does not exist; `None` if it exists, or may not be read.
async fn missing_namespace(cluster: &Cluster, namespace: &str) -> Option<Refusal> {
    kind::check_namespace(namespace).ok()?;
    match cluster.get(&path::namespace(namespace)).await {
        Ok(None) => {
            let reason = format!("there is no namespace `{namespace}` here");
            Some(Refusal::new(
                "not-found",
                reason,
                "a namespace that is there; your user knows them",
            ))
        }
        Ok(Some(_)) | Err(_) => None,
    }
}

/// The workload of another kind that has this name.
async fn other_kind(cluster: &Cluster, target: &Target) -> Option<&'static str> {
    if !is_workload(&target.kind) {
        return None;
    }
    for kind in WORKLOADS.into_iter().filter(|kind| *kind != target.kind) {
        let path = path::object(&Target { kind: kind.to_owned(), ..target.clone() }).ok()?;
        if let Ok(Some(_)) = cluster.get(&path).await {
            return Some(kind);
        }
    }
    None
}

async fn names(cluster: &Cluster, target: &Target) -> Vec<String> {
    let Ok(known) = kind::find(&target.group, &target.version, &target.kind) else {
        return Vec::new();
    };
    let collection =
        path::collection(&target.group, &target.version, &target.namespace, known.resource);
    let page = cluster
        .ask(&Method::GET, &collection, &format!("limit={COMPARED}"), None)
        .await
        .unwrap_or_default();
    let items = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.pointer("/metadata/name").and_then(Value::as_str))
        .map(str::to_owned)
        .collect()
}
