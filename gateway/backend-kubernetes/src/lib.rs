//! # A Kubernetes cluster as infrastructure
//!
//! Each identity has its own client. Never uses a credential of an administrator, and never trusts
//! the discovery of a cluster: kinds come from a fixed table.
//!
//! | file | content |
//! |---|---|
//! | `backend.rs` | the cluster as the backend of a runner |
//! | `credential.rs` | a kubeconfig, read without running a program |
//! | `api.rs` | requests of one identity: deadlines, retries, the meaning of a response |
//! | `self_check.rs` | requests that the admission policies must reject before a role starts |
//! | `path.rs` | paths of objects in the API |
//! | `task.rs` | tasks as Pods, and the meaning of their state |
//! | `object.rs`, `managers.rs` | the fields of an object that count; the writer of a field |
//! | `json_patch.rs` | changes of fields, pinned to one object in one state |
//! | `labels.rs` | names, labels and annotations of the objects of a run |
//! | `run_objects.rs` | a run namespace with its guards, as objects |
//! | `rights.rs` | the rights of a job, derived from its plan |
//! | `poll.rs` | repeated reads with a time limit |
//! | `namespace.rs`, `identity.rs` | creation of a run namespace, and of the job's identity in it |
//! | `effect.rs`, `readiness.rs` | one operation as the job; the readiness of its object |
//! | `teardown.rs`, `reap.rs` | removal of a run; removal of expired runs |
//! | `held.rs`, `pressure.rs` | finalizers that hold an object; terminating namespaces |
//! | `network_probe.rs` | a test of the network plug-in |
//! | `recover.rs` | the outcome of a lost runner's job |
//! | `review.rs` | requests about an identity: its name, its tokens |
//! | `typed.rs` | typed objects of Kubernetes as JSON |
//! | `environment.rs` | the identity of the cluster |
//! | `look.rs`, `preview.rs` | reads for the viewer; dry runs of operations |
//! | `near.rs`, `remarks.rs` | objects with a similar name; remarks on a preview |
//! | `webhook.rs` | the configuration of a webhook without a response |
//! | `look_error.rs`, `error_text.rs` | errors of a read; the text of a refusal by the API server |

pub mod api;
mod backend;
pub mod credential;
pub mod effect;
pub mod environment;
pub mod error_text;
pub mod held;
mod identity;
pub mod json_patch;
pub mod labels;
pub mod look;
pub mod look_error;
mod managers;
pub mod namespace;
mod near;
pub mod network_probe;
pub mod object;
pub mod path;
mod poll;
pub mod pressure;
pub mod preview;
pub mod readiness;
pub mod reap;
pub mod recover;
mod remarks;
mod review;
pub mod rights;
pub mod run_objects;
pub mod self_check;
pub mod task;
pub mod teardown;
mod typed;
pub mod webhook;

use api::{ApiError, Cluster};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::job::OperationRecord;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::protocol::role_settings::JobIdentity;
use credential::Credential;
use namespace::{Maker, Namespace, Wanted};
use poll::Poll;
use recover::Fate;
use self_check::{CheckError, Identity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use teardown::{TeardownError, Traces};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The time after which a passed check of the admission policies is repeated, before the next job.
pub const FENCE_CHECK_TTL: Duration = Duration::from_secs(600);

/// The time that an API server may need to notice removed rights, and its store to finish a write
/// of an ended request.
const PROPAGATION: Duration = Duration::from_secs(5);

/// A cluster that a runner changes: as the provisioner, and as each job.
#[derive(Debug)]
pub struct Kubernetes {
    credential: Credential,
    provisioner: Cluster,
    jobs: JobIdentity,
    /// Start of the last passed check of the admission policies.
    last_checked: Mutex<Option<Instant>>,
}

impl Kubernetes {
    /// Uses the credential of the provisioner. `write` is the time limit of one write at the API
    /// server, in whole seconds; `jobs` is how a job takes on its identity. Needs a running
    /// `tokio`; sends nothing yet.
    pub fn connect(
        credential: Credential,
        write: Duration,
        jobs: JobIdentity,
    ) -> Result<Self, ApiError> {
        let provisioner = Cluster::connect(&credential)?.with_write_time(write);
        Ok(Self { credential, provisioner, jobs, last_checked: Mutex::new(None) })
    }

    /// Takes over the check of another runner of this installation, which passed `ago`.
    #[must_use]
    pub fn last_checked(mut self, ago: Option<Duration>) -> Self {
        *self.last_checked.get_mut() = ago.and_then(|ago| Instant::now().checked_sub(ago));
        self
    }

    /// Checks the admission policies, unless a check passed within [`FENCE_CHECK_TTL`]. Returns
    /// whether it sent requests.
    ///
    /// # Errors
    /// A policy is missing or lets a request through, or the cluster gives no answer.
    pub async fn check_fences(&self) -> Result<bool, CheckError> {
        let mut last_checked = self.last_checked.lock().await;
        if last_checked.is_some_and(|last_checked| last_checked.elapsed() < FENCE_CHECK_TTL) {
            return Ok(false);
        }
        *last_checked = None;
        let begun = Instant::now();
        self_check::check(&self.credential, Identity::Provisioner(self.jobs)).await?;
        *last_checked = Some(begun);
        Ok(true)
    }

    /// The connection of the provisioner.
    pub fn cluster(&self) -> &Cluster {
        &self.provisioner
    }

    /// Creates a run namespace. If `gated`, the connection of the job sends only requests for the
    /// objects of the plan. Tests of RBAC and admission leave it out.
    pub async fn make_for(
        &self,
        wanted: &Wanted<'_>,
        gated: bool,
    ) -> Result<Namespace, EffectError> {
        let maker =
            Maker { provisioner: &self.provisioner, credential: &self.credential, jobs: self.jobs };
        namespace::make(maker, wanted, gated).await
    }

    /// Removes everything that earlier leases of a call created. Returns the name of the newest run
    /// that had a namespace.
    pub async fn sweep(&self, traces: Traces<'_>) -> Result<Option<String>, TeardownError> {
        teardown::sweep(&self.provisioner, traces).await
    }

    /// Removes all that remains of a run, in these target namespaces too, and checks that it is
    /// gone. Returns whether there was a run namespace.
    pub async fn remove(
        &self,
        run: &str,
        targets: &BTreeSet<String>,
    ) -> Result<bool, TeardownError> {
        teardown::remove(&self.provisioner, run, targets).await
    }

    /// Removes a run of this process, and checks also that the API server rejects its job.
    pub async fn remove_own(
        &self,
        own: &Namespace,
        targets: &BTreeSet<String>,
    ) -> Result<bool, TeardownError> {
        teardown::remove_before(&self.provisioner, own.name(), targets, Some(own.witness())).await
    }

    /// Finds out which operations of a lost runner are in effect. Call it after
    /// [`Kubernetes::sweep`]: until the rights of a job are removed, a write may still arrive. A
    /// write that an admission webhook delays may land up to the write time later, so the objects
    /// are read until then. After that no effect is possible.
    pub async fn fate(
        &self,
        preview: &Preview,
        recorded: &[OperationRecord],
    ) -> Result<Fate, ApiError> {
        let mut poll = Poll::within(self.provisioner.write_time() + PROPAGATION);
        loop {
            // Read before the objects are: the last read begins after the time is over.
            let last = poll.is_over();
            let fate = recover::fate(preview, recorded, &self.live(preview, recorded).await?);
            if last || fate.open.is_empty() {
                return Ok(fate);
            }
            poll.again().await;
        }
    }

    /// The live objects of operations that began and are not recorded as done, by index.
    async fn live(
        &self,
        preview: &Preview,
        recorded: &[OperationRecord],
    ) -> Result<BTreeMap<u32, Option<Value>>, ApiError> {
        let mut live = BTreeMap::new();
        for operation in recover::open(preview, recorded) {
            let at = path::object(&operation.target)
                .map_err(|error| ApiError::Gated(error.to_string()))?;
            live.insert(operation.index, self.provisioner.get(&at).await?);
        }
        Ok(live)
    }
}
