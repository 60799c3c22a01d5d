//! Removal of a run, by the marks in the cluster alone: first the workload, then the rights in
//! target namespaces, then the run namespace, each checked to be gone. Every delete names a UID. A
//! namespace that remains is reported with its finalizers and conditions and never forced, since
//! its finalizers may protect something.

use super::api::{ApiError, Cluster, Extent, Mode, Only};
use super::labels::{CALL, MANAGED, RunName, TARGETS, WORKLOAD, listed, made_for};
use super::poll::Poll;
use super::rights::{binding_path, role_path};
use super::{held, object, path};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::kind;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a namespace may take to go: five seconds are the least, a Pod on a busy node takes some
/// more.
const GONE: Duration = Duration::from_secs(120);

/// The time limit for a namespace that was already deleted before the first read. Its job waits
/// elsewhere meanwhile, and is tried again.
const GOING: Duration = Duration::from_secs(20);

/// How long a namespace that the server is done with may be held by the finalizers of others before
/// its runner gives its place up.
const HELD: Duration = Duration::from_secs(5);

/// The time limit for Pods before the namespace is deleted anyway: their grace period, and a delay
/// of the node. The server then waits for the rest.
const WORKLOAD_GONE: Duration = Duration::from_secs(30);

/// How long a Role or RoleBinding may take to go: they have no finalizers.
const RIGHTS_GONE: Duration = Duration::from_secs(30);

/// The bound of a search for namespaces of one call: far more than the five leases before it acts.
const RUNS: Extent = Extent { page: 100, pages: 10 };

/// How long an API server may take to refuse a job whose rights are gone from the store: it
/// remembers a token and an answer for some seconds.
const REFUSED: Duration = Duration::from_secs(30);

/// A job and its readable objects: each API server has to refuse the job once its rights are gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Witness<'a> {
    /// The connection of the job.
    pub job: &'a Cluster,
    /// Paths of objects at its targets.
    pub readable: &'a [String],
}

/// The leases of a call whose runs may remain.
#[derive(Debug, Clone, Copy)]
pub struct Traces<'a> {
    /// The call whose runs are removed.
    pub call: &'a CallId,
    /// The lease that looks for them.
    pub fence: Fence,
    /// Earlier lease epochs whose runs may remain. Run namespaces that exist are found without this
    /// list; rights whose namespace is gone are not.
    pub earlier: &'a [Fence],
    /// Namespaces where there may be rights.
    pub targets: &'a BTreeSet<String>,
}

/// Why a run is not gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TeardownError {
    /// The API server refuses, or cannot be asked.
    #[error("`{what}` cannot be removed: {error}")]
    Api {
        /// The object to remove.
        what: String,
        /// Why it does not.
        #[source]
        error: ApiError,
    },
    /// The server is done with it, and finalizers of others hold it.
    #[error("the namespace `{what}` is {by}")]
    Held {
        /// The name of the namespace.
        what: String,
        /// The finalizers that hold it, and the deletion time.
        by: String,
    },
    /// The object was deleted and still exists.
    #[error("`{what}` is still there after {seconds} s: {conditions}")]
    Stuck {
        /// The object to remove.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// The conditions of the namespace.
        conditions: String,
    },
    /// Its rights are gone from the store, and an API server still lets its job in.
    #[error(
        "the rights of `{what}` are gone, and the API server still lets its job read `{at}` \
         after {} s",
        REFUSED.as_secs()
    )]
    Allowed {
        /// The name of the run.
        what: String,
        /// The path that the job can still read.
        at: String,
    },
    /// More namespaces than one call can have in good order.
    #[error(
        "there are more namespaces with the labels `{0}` than a call can have; find out who \
         created them"
    )]
    Crowded(String),
    /// The object does not belong to Cofferdam.
    #[error("`{0}` is not a run of Cofferdam: its name and its labels differ; it was not touched")]
    Foreign(String),
}

/// Removes a run namespace and its rights: in the targets that the namespace names, and in these
/// targets even if the namespace is gone. Returns after all of it was observed gone. Returns
/// whether there was a run namespace.
pub async fn remove(
    cluster: &Cluster,
    run: &str,
    targets: &BTreeSet<String>,
) -> Result<bool, TeardownError> {
    remove_before(cluster, run, targets, None).await
}

/// Removes a run like [`remove`]. Before it removes the namespace, it checks that the API server
/// refuses the job itself.
pub(super) async fn remove_before(
    cluster: &Cluster,
    run: &str,
    targets: &BTreeSet<String>,
    witness: Option<Witness<'_>>,
) -> Result<bool, TeardownError> {
    let at = path::namespace(run);
    let found = cluster.get(&at).await.map_err(api(run))?;
    let mut places: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
    let found = found.map(|found| {
        if RunName::of(&found).is_some_and(|own| own.to_string() == run) {
            Ok(found)
        } else {
            Err(())
        }
    });
    if let Some(Ok(found)) = &found {
        places.extend(listed(found, TARGETS));
        if !object::is_terminating(found) {
            workload(cluster, run, &listed(found, WORKLOAD)).await?;
        }
    }
    // Rights that remain lose their subject with the namespace. So the namespace is removed anyway,
    // and the error is reported afterwards.
    let mut rights = rights(cluster, run, &places).await;
    if let (Ok(()), Some(witness)) = (&rights, witness) {
        rights = refused(run, witness).await;
    }
    match &found {
        Some(Ok(found)) => wait_gone(cluster, &at, run, object::uid(found), GONE).await?,
        Some(Err(())) => return Err(TeardownError::Foreign(run.to_owned())),
        None => {}
    }
    rights.map(|()| found.is_some())
}

/// Sends reads as the job until they are refused. Rights that are gone from the store may still be
/// in the cache of a server. A server that does not respond allows nothing either.
async fn refused(run: &str, Witness { job, readable }: Witness<'_>) -> Result<(), TeardownError> {
    let mut poll = Poll::within(REFUSED);
    for at in readable {
        while let Ok(_let_in) = job.get(at).await {
            if !poll.again().await {
                return Err(TeardownError::Allowed { what: run.to_owned(), at: at.clone() });
            }
        }
    }
    Ok(())
}

/// Removes what earlier leases of a call left, and names the newest of which there was a namespace.
pub async fn sweep(cluster: &Cluster, traces: Traces<'_>) -> Result<Option<String>, TeardownError> {
    let Traces { call, fence, earlier, targets } = traces;
    let what = format!("{MANAGED}, {CALL}={call}");
    let (found, more) = cluster
        .list_all("/api/v1/namespaces", &made_for(call), RUNS, |object| object)
        .await
        .map_err(api(&what))?;
    if more {
        return Err(TeardownError::Crowded(what));
    }
    let found: Vec<RunName> = found
        .iter()
        .filter_map(RunName::of)
        .filter(|own| own.call == *call && own.fence < fence)
        .collect();
    let newest = found.iter().max_by_key(|own| own.fence).map(RunName::to_string);
    // A run whose namespace was removed by others may still have rights.
    let earlier =
        earlier.iter().filter(|other| **other < fence).map(|other| RunName::new(call, *other));
    let runs: BTreeMap<Fence, RunName> =
        found.into_iter().chain(earlier).map(|own| (own.fence, own)).collect();
    for own in runs.values() {
        remove(cluster, &own.to_string(), targets).await?;
    }
    Ok(newest)
}

/// Removes the rights that a run has at its targets: the binding first, so that the Role alone
/// gives nothing meanwhile.
pub async fn rights(
    cluster: &Cluster,
    run: &str,
    targets: &BTreeSet<&str>,
) -> Result<(), TeardownError> {
    for target in targets {
        // Anyone can write an annotation, and a stored plan is not trusted either: only a namespace
        // that a plan may name becomes part of a path.
        if kind::check_namespace(target).is_err() {
            return Err(TeardownError::Foreign(cofferdam_core::model::escape::line(target)));
        }
        for at in [binding_path(target, run), role_path(target, run)] {
            let Some(found) = cluster.get(&at).await.map_err(api(&at))? else { continue };
            if RunName::of(&found).is_none_or(|own| own.to_string() != run) {
                return Err(TeardownError::Foreign(at));
            }
            wait_gone(cluster, &at, &at, object::uid(&found), RIGHTS_GONE).await?;
        }
    }
    Ok(())
}

/// Deletes the workload, and waits for the Pods that this identity may read.
async fn workload(cluster: &Cluster, run: &str, entries: &[&str]) -> Result<(), TeardownError> {
    let mut pods = Vec::new();
    for entry in entries {
        let Some((collection, name)) =
            entry.rsplit_once('/').and_then(|(kind, name)| Some((in_run(run, kind)?, name)))
        else {
            continue;
        };
        if kind::check_name(name).is_err() {
            return Err(TeardownError::Foreign(cofferdam_core::model::escape::line(entry)));
        }
        let at = format!("{collection}/{name}");
        // Any object of that name, since the whole namespace is removed.
        match cluster.delete(&at, Only::Any, Mode::Real).await {
            // The runner was lost before it took on its rights there, so it created no workload.
            Err(error) if error.is_forbidden() => return Ok(()),
            answer => answer.or_else(tolerate).map_err(api(&at))?,
        }
        if entry.starts_with("v1/pods/") {
            pods.push(at);
        }
    }
    let mut poll = Poll::within(WORKLOAD_GONE);
    for at in pods {
        while cluster.get(&at).await.map_err(api(&at))?.is_some() && poll.again().await {}
    }
    Ok(())
}

/// A delete without a clear answer is not waited for here: the namespace's own does it again.
fn tolerate(error: ApiError) -> Result<(), ApiError> {
    if error.is_unclear() { Ok(()) } else { Err(error) }
}

/// The collection that an entry of the annotation names, `batch/v1/jobs`.
fn in_run(run: &str, kind: &str) -> Option<String> {
    // The two kinds that delay the removal of a namespace. No other kind is ever written there.
    match kind {
        "v1/pods" => Some(path::collection("", "v1", run, "pods")),
        "batch/v1/jobs" => Some(path::collection("batch", "v1", run, "jobs")),
        _ => None,
    }
}

/// Deletes one object of this UID and reads until it is gone. Waits for the end of an outage.
async fn wait_gone(
    cluster: &Cluster,
    at: &str,
    what: &str,
    uid: Option<&str>,
    limit: Duration,
) -> Result<(), TeardownError> {
    let mut poll = Poll::within(limit);
    let mut asked = false;
    let mut held: Option<Poll> = None;
    loop {
        let seen = match cluster.get(at).await {
            Ok(None) => return Ok(()),
            // The object of this name has another UID: the deleted one is gone.
            Ok(Some(other)) if object::uid(&other) != uid => return Ok(()),
            Ok(Some(present)) => {
                // A namespace that was terminating before this read had its time elsewhere.
                if !asked && object::is_terminating(&present) {
                    poll = Poll::within(limit.min(GOING));
                    held = Some(Poll::within(Duration::ZERO));
                }
                if held::only_by_others(&present)
                    && held.get_or_insert_with(|| Poll::within(HELD)).is_over()
                {
                    return Err(TeardownError::Held {
                        what: what.to_owned(),
                        by: held::words(&present),
                    });
                }
                // A second delete of a terminating namespace is a conflict; of another object it
                // changes nothing.
                let told = asked || object::is_terminating(&present);
                let error = if told {
                    None
                } else {
                    cluster.delete(at, Only::uid(uid), Mode::Real).await.err()
                };
                asked = asked || error.is_none();
                match error {
                    // The object is another one, or terminating: the next read shows which.
                    Some(error) if !error.is_conflict() => Err(error),
                    _ => Ok(present),
                }
            }
            Err(error) => Err(error),
        };
        // Waiting does not give a right.
        let waits = !matches!(&seen,
        Err(error @ (ApiError::Refused { .. } | ApiError::Gated(_))) if !is_busy(error));
        if waits && poll.again().await {
            continue;
        }
        return Err(match seen {
            Ok(present) => TeardownError::Stuck {
                what: what.to_owned(),
                seconds: limit.as_secs(),
                conditions: held::words(&present),
            },
            Err(error) => TeardownError::Api { what: what.to_owned(), error },
        });
    }
}

fn is_busy(error: &ApiError) -> bool {
    error.status() == Some(429)
}

fn api(what: &str) -> impl FnOnce(ApiError) -> TeardownError {
    let what = what.to_owned();
    move |error| TeardownError::Api { what, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_names_collections_of_the_run_alone() {
        assert_eq!(in_run("r", "v1/pods").as_deref(), Some("/api/v1/namespaces/r/pods"));
        assert_eq!(
            in_run("r", "batch/v1/jobs").as_deref(),
            Some("/apis/batch/v1/namespaces/r/jobs")
        );
        assert_eq!(in_run("r", "a/b/c/d"), None);
        assert_eq!(in_run("r", "v1%2Fnamespaces%2Fother/pods"), None);
    }
}
