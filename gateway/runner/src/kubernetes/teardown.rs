//! Taking a run away, from what the cluster alone says: first what runs, then the rights at targets, each observed gone, then the namespace, observed gone.
//! Every delete names a UID. A namespace that does not go is reported with its conditions, never forced: what its finalizers guard may still be there.

use super::api::{ApiFault, Cluster, Mode};
use super::names::{CALL, MANAGED, RunName, TARGETS, WORKLOAD, listed, made_for, name};
use super::rights::{binding_path, role_path};
use super::{object, path};
use cofferdam_core::id::{CallId, Fence};
use cofferdam_core::kind;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long a namespace may take to go: five seconds are the least, a Pod on a busy node takes some more.
const GONE: Duration = Duration::from_secs(120);

/// How long Pods may take to go before the namespace is deleted all the same: their grace, and a node's delay. The server then waits for the rest.
const WORKLOAD_GONE: Duration = Duration::from_secs(30);

/// How long a Role or RoleBinding may take to go: they have no finalizers.
const RIGHTS_GONE: Duration = Duration::from_secs(30);

/// The first pause between two looks; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(1);

/// Namespaces of one call that are looked at: it is leased five times at most before it acts.
const ATTEMPTS: u32 = 100;

/// Why a run is not gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TeardownFault {
    /// The API server refuses, or cannot be asked.
    #[error("`{what}` cannot be removed: {fault}")]
    Api {
        /// What should go.
        what: String,
        /// Why it does not.
        #[source]
        fault: ApiFault,
    },
    /// It was asked to go, and is still there.
    #[error("`{what}` is still there after {seconds} s: {conditions}")]
    Stuck {
        /// What should go.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// What its conditions say.
        conditions: String,
    },
    /// It is not this software's.
    #[error("`{0}` is not a run's: its name and its labels do not say the same; nothing of it was touched")]
    Foreign(String),
}

/// Removes a run's namespace, and everything that was made for it elsewhere. Returns when all of it was observed gone; nothing there is gone already.
pub async fn remove(cluster: &Cluster, run: &str) -> Result<(), TeardownFault> {
    let at = path::namespace(run);
    let Some(found) = cluster.get(&at).await.map_err(api(run))? else { return Ok(()) };
    if RunName::of(&found).is_none_or(|own| own.to_string() != run) {
        return Err(TeardownFault::Foreign(run.to_owned()));
    }
    if !object::is_terminating(&found) {
        workload(cluster, run, &listed(&found, WORKLOAD)).await?;
    }
    // Rights that do not go lose their subject with the namespace: it goes all the same, and then it is said.
    let rights = rights(cluster, run, &listed(&found, TARGETS)).await;
    gone(cluster, &at, run, object::uid(&found), GONE).await?;
    rights
}

/// Removes what earlier leases of a call left, and names the newest.
pub async fn sweep(cluster: &Cluster, call: &CallId, fence: Fence) -> Result<Option<String>, TeardownFault> {
    let (found, _) =
        cluster.list("/api/v1/namespaces", &made_for(call), ATTEMPTS).await.map_err(api(&format!("{MANAGED}, {CALL}={call}")))?;
    let mut earlier: Vec<RunName> = found.iter().filter_map(RunName::of).filter(|own| own.call == *call && own.fence < fence).collect();
    earlier.sort_by_key(|own| own.fence);
    for own in &earlier {
        remove(cluster, &own.to_string()).await?;
    }
    Ok(earlier.last().map(RunName::to_string))
}

/// Removes the rights that a run has at its targets: the binding first, so that the Role alone gives nothing meanwhile.
pub async fn rights(cluster: &Cluster, run: &str, targets: &[&str]) -> Result<(), TeardownFault> {
    for target in targets {
        // An annotation is what somebody wrote: only a namespace that a plan may name becomes part of a path.
        if kind::check_namespace(target).is_err() {
            return Err(TeardownFault::Foreign(cofferdam_core::text::line(target)));
        }
        for at in [binding_path(target, run), role_path(target, run)] {
            let Some(found) = cluster.get(&at).await.map_err(api(&at))? else { continue };
            if RunName::of(&found).is_none_or(|own| own.to_string() != run) {
                return Err(TeardownFault::Foreign(at));
            }
            gone(cluster, &at, &at, object::uid(&found), RIGHTS_GONE).await?;
        }
    }
    Ok(())
}

/// Deletes what runs, and waits for those Pods that this identity may read.
async fn workload(cluster: &Cluster, run: &str, entries: &[&str]) -> Result<(), TeardownFault> {
    let mut pods = Vec::new();
    for entry in entries {
        let Some((collection, name)) = entry.rsplit_once('/').and_then(|(kind, name)| Some((in_run(run, kind)?, name))) else { continue };
        if kind::check_name(name).is_err() {
            return Err(TeardownFault::Foreign(cofferdam_core::text::line(entry)));
        }
        let at = format!("{collection}/{name}");
        // Whatever has that name there: the whole namespace goes.
        match cluster.delete(&at, None, Mode::Real).await {
            // The runner was lost before it took on what it needs there, so nothing was brought up either.
            Err(fault) if fault.is_forbidden() => return Ok(()),
            answer => answer.or_else(tolerate).map_err(api(&at))?,
        }
        if entry.starts_with("v1/pods/") {
            pods.push(at);
        }
    }
    let end = Instant::now() + WORKLOAD_GONE;
    for at in pods {
        let mut pause = PAUSE;
        while cluster.get(&at).await.map_err(api(&at))?.is_some() && Instant::now() < end {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
    Ok(())
}

/// A delete without a clear answer is not waited for here: the namespace's own does it again.
fn tolerate(fault: ApiFault) -> Result<(), ApiFault> {
    if fault.is_unclear() { Ok(()) } else { Err(fault) }
}

/// The collection that an entry of the annotation names, `batch/v1/jobs`.
fn in_run(run: &str, kind: &str) -> Option<String> {
    // The two that hold a namespace up; nothing else is ever written there.
    match kind {
        "v1/pods" => Some(path::collection("", "v1", run, "pods")),
        "batch/v1/jobs" => Some(path::collection("batch", "v1", run, "jobs")),
        _ => None,
    }
}

/// Deletes one object of this UID and looks until it is gone. An outage in between is waited out.
async fn gone(cluster: &Cluster, at: &str, what: &str, uid: Option<&str>, limit: Duration) -> Result<(), TeardownFault> {
    let end = Instant::now() + limit;
    let mut pause = PAUSE;
    let mut asked = false;
    loop {
        let seen = match cluster.get(at).await {
            Ok(None) => return Ok(()),
            // Another one of that name is not the one that was to go.
            Ok(Some(other)) if object::uid(&other) != uid => return Ok(()),
            Ok(Some(present)) => {
                // A second delete of a namespace that is going is a conflict; of anything else nothing new.
                let fault = if asked || object::is_terminating(&present) { None } else { cluster.delete(at, uid, Mode::Real).await.err() };
                asked = asked || fault.is_none();
                match fault {
                    // The object is another one, or on its way: the next look says which.
                    Some(fault) if !fault.is_conflict() => Err(fault),
                    _ => Ok(present),
                }
            }
            Err(fault) => Err(fault),
        };
        if Instant::now() >= end {
            return Err(match seen {
                Ok(present) => TeardownFault::Stuck { what: what.to_owned(), seconds: limit.as_secs(), conditions: conditions(&present) },
                Err(fault) => TeardownFault::Api { what: what.to_owned(), fault },
            });
        }
        match seen {
            // Waiting does not give a right.
            Err(fault @ (ApiFault::Refused { .. } | ApiFault::Gated(_))) if !is_busy(&fault) => {
                return Err(TeardownFault::Api { what: what.to_owned(), fault });
            }
            _ => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST);
    }
}

fn is_busy(fault: &ApiFault) -> bool {
    fault.status() == Some(429)
}

/// What a namespace's conditions say about why it does not go, in the server's words.
pub fn conditions(namespace: &Value) -> String {
    let word = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let said: Vec<String> = namespace
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .map(|all| {
            let holds = all.iter().filter(|condition| word(condition, "status") == "True");
            holds
                .map(|condition| format!("{}: {}", word(condition, "type"), cofferdam_core::text::line(&word(condition, "message"))))
                .collect()
        })
        .unwrap_or_default();
    if said.is_empty() { format!("{} says no reason", name(namespace).unwrap_or("it")) } else { said.join("; ") }
}

fn api(what: &str) -> impl FnOnce(ApiFault) -> TeardownFault {
    let what = what.to_owned();
    move |fault| TeardownFault::Api { what, fault }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_quoted_and_their_absence_is_said() {
        let stuck = json!({"metadata": {"name": "x"}, "status": {"conditions": [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "ok"},
            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "Some content in the namespace has finalizers remaining: a/b in 1 resource instances"},
        ]}});
        assert_eq!(
            conditions(&stuck),
            "NamespaceFinalizersRemaining: Some content in the namespace has finalizers remaining: a/b in 1 resource instances"
        );
        assert_eq!(conditions(&json!({"metadata": {"name": "x"}})), "x says no reason");
    }

    #[test]
    fn the_annotation_names_collections_of_the_run_alone() {
        assert_eq!(in_run("r", "v1/pods").as_deref(), Some("/api/v1/namespaces/r/pods"));
        assert_eq!(in_run("r", "batch/v1/jobs").as_deref(), Some("/apis/batch/v1/namespaces/r/jobs"));
        assert_eq!(in_run("r", "a/b/c/d"), None);
        assert_eq!(in_run("r", "v1%2Fnamespaces%2Fother/pods"), None);
    }
}
