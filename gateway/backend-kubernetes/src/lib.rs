//! # A Kubernetes cluster as infrastructure
//!
//! Each identity has its own client; nothing here ever uses
//! an administrator's, and nothing believes a cluster's discovery: kinds come from the pinned
//! table.
//!
//! | file | what |
//! |---|---|
//! | `backend.rs` | the cluster as the backend of a runner |
//! | `credential.rs` | a kubeconfig, read without running anything |
//! | `api.rs` | one identity's requests: deadlines, retries, what an answer means; its table says which file does what |
//! | `check.rs` | what must be refused before a role starts |
//! | `path.rs` | where objects are in the API |
//! | `task.rs` | tasks as Pods, and what their state means |
//! | `object.rs`, `managers.rs` | what of an object counts; who wrote a field |
//! | `json_patch.rs` | changes of fields, pinned to one object in one state |
//! | `names.rs` | what a run's objects are called and marked with |
//! | `guard.rs` | what stands around a run |
//! | `rights.rs` | a job's rights, derived from its plan |
//! | `pace.rs` | looking again, for how long and how often |
//! | `namespace.rs` | a run's namespace |
//! | `identity.rs` | the job's identity in it |
//! | `effect.rs`, `readiness.rs` | one operation as the job; how far its object is |
//! | `teardown.rs`, `reap.rs` | taking a run away; taking away what outlived one |
//! | `held.rs`, `pressure.rs` | why an object does not go; what the cluster still has to remove |
//! | `probe.rs` | whether the network plug-in enforces policies |
//! | `recover.rs` | what became of a lost runner's job |
//! | `environment.rs` | which cluster this is |
//! | `look.rs`, `preview.rs` | what the viewer answers; what operations would change |
//! | `remarks.rs` | what a person has to know of a preview besides |
//! | `fault.rs` | why a look gave nothing |
//! | `words.rs` | an API server's refusal in words for an outcome |

pub mod api;
mod backend;
pub mod check;
pub mod credential;
pub mod effect;
pub mod environment;
pub mod fault;
pub mod guard;
pub mod held;
mod identity;
pub mod json_patch;
pub mod look;
mod managers;
pub mod names;
pub mod namespace;
mod near;
pub mod object;
mod pace;
pub mod path;
pub mod pressure;
pub mod preview;
pub mod probe;
pub mod readiness;
pub mod reap;
pub mod recover;
mod remarks;
pub mod rights;
pub mod task;
pub mod teardown;
pub mod webhook;
pub mod words;

use api::{ApiError, Cluster};
use check::{CheckError, Identity};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::job::OperationRecord;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::protocol::role_settings::{FENCES, JobIdentity};
use credential::Credential;
use namespace::{Maker, Namespace, Wanted};
use pace::Pace;
use recover::Fate;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use teardown::{TeardownError, Traces};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an API server may take to hear that a right is gone, and its store to write what it was
/// told by a request that is over.
const HEARD: Duration = Duration::from_secs(5);

/// A cluster that a runner changes, as the provisioner and as each job.
#[derive(Debug)]
pub struct Kubernetes {
    credential: Credential,
    provisioner: Cluster,
    jobs: JobIdentity,
    /// When its fences were last seen to stand.
    stood: Mutex<Option<Instant>>,
}

impl Kubernetes {
    /// With the provisioner's credential, how long the API server may work on one write, in whole
    /// seconds, and how jobs act. In a running `tokio`; nothing is sent yet.
    pub fn connect(
        credential: Credential,
        write: Duration,
        jobs: JobIdentity,
    ) -> Result<Self, ApiError> {
        let provisioner = Cluster::connect(&credential)?.within(write);
        Ok(Self { credential, provisioner, jobs, stood: Mutex::new(None) })
    }

    /// The same, if another runner of this installation saw the fences hold so long ago.
    #[must_use]
    pub fn stood(mut self, ago: Option<Duration>) -> Self {
        *self.stood.get_mut() = ago.and_then(|ago| Instant::now().checked_sub(ago));
        self
    }

    /// Looks whether the fences stand, unless that was seen within the last [`FENCES`]. Whether it
    /// looked.
    pub async fn stands(&self) -> Result<bool, CheckError> {
        let mut stood = self.stood.lock().await;
        if stood.is_some_and(|stood| stood.elapsed() < FENCES) {
            return Ok(false);
        }
        *stood = None;
        let begun = Instant::now();
        check::check(&self.credential, Identity::Provisioner(self.jobs)).await?;
        *stood = Some(begun);
        Ok(true)
    }

    /// The provisioner's connection.
    pub fn cluster(&self) -> &Cluster {
        &self.provisioner
    }

    /// Makes a run's namespace. `gated` says whether the job's connection is held to the plan's
    /// objects on this side too: without, which is for trying the fences, RBAC and admission
    /// stand alone.
    pub async fn make_for(
        &self,
        wanted: &Wanted<'_>,
        gated: bool,
    ) -> Result<Namespace, EffectError> {
        let maker =
            Maker { provisioner: &self.provisioner, credential: &self.credential, jobs: self.jobs };
        namespace::make(maker, wanted, gated).await
    }

    /// Removes what earlier leases of a call left, and names the newest of which there was a
    /// namespace.
    pub async fn sweep(&self, traces: Traces<'_>) -> Result<Option<String>, TeardownError> {
        teardown::sweep(&self.provisioner, traces).await
    }

    /// Removes a run, whatever of it is there, at these targets too, and looks that it is gone.
    pub async fn remove(
        &self,
        run: &str,
        targets: &BTreeSet<String>,
    ) -> Result<bool, TeardownError> {
        teardown::remove(&self.provisioner, run, targets).await
    }

    /// The same of a run whose job is still known: it is asked whether it is refused.
    pub async fn remove_own(
        &self,
        own: &Namespace,
        targets: &BTreeSet<String>,
    ) -> Result<bool, TeardownError> {
        teardown::remove_before(&self.provisioner, own.name(), targets, Some(own.witness())).await
    }

    /// What became of a lost runner's operations. To be asked after [`Kubernetes::sweep`]: while a
    /// job's rights stand, an effect may still come. And for some time after: what the API
    /// server let in before, and an admission webhook holds up, it ends when the write's time is
    /// over. So what has not happened by then does not happen any more.
    pub async fn fate(
        &self,
        preview: &Preview,
        recorded: &[OperationRecord],
    ) -> Result<Fate, ApiError> {
        let mut pace = Pace::within(self.provisioner.write_time() + HEARD);
        loop {
            // Decided before it is looked: the last look begins when the time is over.
            let last = pace.is_over();
            let fate = recover::fate(preview, recorded, &self.live(preview, recorded).await?);
            if last || fate.open.is_empty() {
                return Ok(fate);
            }
            pace.again().await;
        }
    }

    /// The objects of operations that were begun and not recorded as done, by index.
    async fn live(
        &self,
        preview: &Preview,
        recorded: &[OperationRecord],
    ) -> Result<BTreeMap<u32, Option<Value>>, ApiError> {
        let mut live = BTreeMap::new();
        for operation in recover::open(preview, recorded) {
            let at = path::object(&operation.target)
                .map_err(|fault| ApiError::Gated(fault.to_string()))?;
            live.insert(operation.index, self.provisioner.get(&at).await?);
        }
        Ok(live)
    }
}
