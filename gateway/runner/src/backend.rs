//! Where a job's effects go: a directory of manifests or a cluster, chosen by configuration. One
//! set of verbs for both, so that the journey of a job is one; what they differ in is behind them.

use crate::directory::namespace::Namespace as Copy;
use crate::directory::{Directory, Settled};
use crate::effect::{EffectError, Told};
use crate::ending::Ending;
use crate::host::Host;
use crate::kubernetes::api::ApiError;
use crate::kubernetes::check::CheckError;
use crate::kubernetes::fault::LookError;
use crate::kubernetes::teardown::{TeardownError, Traces};
use crate::kubernetes::{Kubernetes, namespace::Namespace as Enclosure};
use crate::refusal::Refusal;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{LeasedJob, Obstacle, OperationRecord, StoredJob};
use cofferdam_core::model::json::strict_into;
use cofferdam_core::model::operation::{Operation, Step};
use cofferdam_core::model::preview::{Preview, PreviewedOperation};
use cofferdam_core::model::run::{JobStep, Outcome};
use cofferdam_core::model::{kind, limit};
use cofferdam_core::protocol::role_guest::Observed;
use cofferdam_core::stage::readmit::LeasedPlan;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a runner changes.
pub enum Backend {
    /// A tree of manifests.
    Directory(Directory),
    /// A cluster.
    Kubernetes(Kubernetes),
}

/// A job's ephemeral namespace.
pub enum Namespace {
    /// A private copy.
    Directory(Copy),
    /// A namespace of the cluster.
    Kubernetes(Box<Enclosure>),
}

/// Why the infrastructure cannot be used: for operators. The job goes to another runner.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Another runner has taken the job over.
    #[error("the lease was lost; another runner takes the job over")]
    Lost,
    /// Files of this machine: the tree's or the runner's own.
    #[error(transparent)]
    Here(#[from] Obstacle),
    /// The API server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A cluster's fences do not stand, or cannot be seen.
    #[error(transparent)]
    Fences(#[from] CheckError),
    /// A namespace does not go away.
    #[error(transparent)]
    Teardown(#[from] TeardownError),
}

impl BackendError {
    /// What is in the way of a job, with the cause and what to do; none when the job is another
    /// runner's by now.
    pub fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Lost => None,
            Self::Here(obstacle) => Some(obstacle.clone()),
            Self::Teardown(TeardownError::Held { what, .. }) => {
                let remedy = format!(
                    "look at `kubectl get namespace {what} -o yaml`, and have the owner of the \
                     finalizer take it off"
                );
                Some(Obstacle::new(chain(self), remedy))
            }
            Self::Teardown(TeardownError::Stuck { what, .. })
                if what.starts_with("cofferdam-run-") =>
            {
                Some(Obstacle::new(
                    chain(self),
                    format!("look at `kubectl get namespace {what} -o yaml`"),
                ))
            }
            Self::Api(_) | Self::Fences(_) | Self::Teardown(_) => {
                let remedy = "run `cofferdam doctor`, which asks the API server";
                Some(Obstacle::new(chain(self), remedy))
            }
        }
    }
}

/// An error with its causes, in one sentence.
pub fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// What the plan names is not there, or cannot be changed so.
    #[error(transparent)]
    Refused(Refusal),
    /// The infrastructure cannot be asked.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// A job that earlier runners may have been lost over: what is known about it.
pub struct Lost<'a> {
    /// As it is stored.
    pub job: &'a StoredJob,
    /// What earlier runners recorded.
    pub operations: &'a [OperationRecord],
    /// The present lease.
    pub fence: Fence,
    /// Leases under which something may have been made.
    pub earlier: &'a [Fence],
    /// A person gave it up, and says why.
    pub given_up: Option<&'a str>,
}

impl From<LookError> for PreviewError {
    fn from(fault: LookError) -> Self {
        match fault {
            LookError::Refused(refusal) => Self::Refused(refusal),
            LookError::Unavailable(fault) => Self::Backend(fault.into()),
        }
    }
}

impl Lost<'_> {
    /// Of a leased job.
    pub fn of(leased: &LeasedJob) -> Lost<'_> {
        let given_up = leased.given_up.as_ref().map(|resolution| resolution.because.as_str());
        Lost {
            job: &leased.job,
            operations: &leased.operations,
            fence: leased.fence,
            earlier: &leased.earlier,
            given_up,
        }
    }

    /// Namespaces where the job may have been given rights, as its preview is stored; none where
    /// that cannot be read. Where to look for what is this software's own, and nothing else:
    /// the store is not trusted.
    pub fn targets(&self) -> BTreeSet<String> {
        let preview = strict_into::<Preview>(self.job.preview.as_bytes());
        let places = preview
            .into_iter()
            .flat_map(|preview| preview.operations)
            .map(|operation| operation.target.namespace);
        // Nothing can have been derived where no plan may go; and a plan has no more operations
        // than that.
        places
            .filter(|place| kind::check_namespace(place).is_ok())
            .take(limit::OPERATIONS)
            .collect()
    }

    /// The same as what there is to be swept, at these targets.
    pub fn traces<'a>(&'a self, targets: &'a BTreeSet<String>) -> Traces<'a> {
        Traces { call: &self.job.call, fence: self.fence, earlier: self.earlier, targets }
    }
}

impl Backend {
    /// What these operations would change now, without touching anything.
    pub async fn preview(&self, tool: &str, steps: &[Step]) -> Result<Preview, PreviewError> {
        match self {
            Self::Directory(directory) => directory.preview(steps),
            Self::Kubernetes(cluster) => Ok(cluster.preview(tool, steps).await?),
        }
    }

    /// Whether this process can still carry a job out at all; when not, another has to take its
    /// place.
    pub fn ready(&self) -> Result<(), BackendError> {
        match self {
            Self::Directory(directory) => directory.ready(),
            Self::Kubernetes(_) => Ok(()),
        }
    }

    /// Why no further job should be claimed now; none when there is no reason.
    pub async fn congested(&self, now: Timestamp) -> Result<Option<String>, BackendError> {
        match self {
            Self::Directory(_) => Ok(None),
            Self::Kubernetes(cluster) => cluster.congested(now).await,
        }
    }

    /// Removes what earlier leases of this job left, before anything is made; names the newest.
    pub async fn sweep(&self, lost: &Lost<'_>) -> Result<Option<String>, BackendError> {
        match self {
            Self::Directory(directory) => directory.sweep(&lost.job.call, lost.fence),
            Self::Kubernetes(cluster) => Ok(cluster.sweep(lost.traces(&lost.targets())).await?),
        }
    }

    /// Makes the namespace of a job under a lease, with what the plan needs and no more.
    pub async fn make(
        &self,
        call: &CallId,
        fence: Fence,
        plan: &LeasedPlan,
        now: Timestamp,
    ) -> Result<Namespace, EffectError> {
        match self {
            Self::Directory(directory) => {
                directory.make(call, fence, plan).map(Namespace::Directory)
            }
            Self::Kubernetes(cluster) => {
                Ok(Namespace::Kubernetes(Box::new(cluster.make(call, fence, plan, now).await?)))
            }
        }
    }

    /// Makes effects final: a directory is written back, a cluster has them already. Says when it
    /// is durable and when all of it is visible.
    pub fn commit(
        &self,
        call: &CallId,
        fence: Fence,
        namespace: &mut Namespace,
        step: &dyn Fn(JobStep),
    ) -> Result<Settled, BackendError> {
        match (self, namespace) {
            (Self::Directory(directory), Namespace::Directory(copy)) => {
                directory.commit(call, fence, copy, step)
            }
            _ => {
                step(JobStep::EffectCommitted);
                step(JobStep::EffectApplied);
                let ending = Ending::new(
                    Outcome::Succeeded,
                    "done",
                    "every operation was done, and observed as approved",
                );
                Ok(ending.into())
            }
        }
    }

    /// Removes a namespace, and what belongs to it at these targets, and looks that it is gone. Its
    /// name, where there was one.
    pub async fn remove(
        &self,
        call: &CallId,
        left: &Left<'_>,
        targets: &BTreeSet<String>,
    ) -> Result<Option<String>, BackendError> {
        let name = left.name();
        let was_there = match (self, left, &name) {
            (Self::Directory(directory), _, name) => {
                directory.remove(call, name.as_deref())?;
                name.is_some()
            }
            (Self::Kubernetes(cluster), Left::Own(Namespace::Kubernetes(own)), _) => {
                cluster.remove_own(own, targets).await?
            }
            (Self::Kubernetes(cluster), _, Some(name)) => cluster.remove(name, targets).await?,
            (Self::Kubernetes(_), _, None) => false,
        };
        // One that is known to have been made was there, also if others took it away.
        Ok(name.filter(|_| was_there || !matches!(left, Left::Perhaps(_))))
    }

    /// Finds out what became of a job whose runner was lost while it acted, after nothing of that
    /// runner can act any more.
    pub async fn recover(
        &self,
        lost: &Lost<'_>,
    ) -> Result<(Option<String>, Settled), BackendError> {
        match self {
            Self::Directory(directory) => {
                directory.recover(&lost.job.call, lost.fence, lost.given_up)
            }
            Self::Kubernetes(cluster) => {
                let (name, ending) = cluster.recover(lost).await?;
                Ok((name, ending.into()))
            }
        }
    }

    /// What a job leaves that ended early, in words: the operations in effect are those that were
    /// done and not undone.
    pub fn leaves(&self, in_effect: &BTreeSet<u32>) -> String {
        match self {
            Self::Directory(directory) => directory.leaves(),
            Self::Kubernetes(_) if in_effect.is_empty() => "nothing of it is in effect".to_owned(),
            Self::Kubernetes(_) => {
                let list: Vec<_> = in_effect.iter().map(u32::to_string).collect();
                format!("still in effect: operation {}", list.join(", "))
            }
        }
    }
}

/// What a job may have left of a namespace.
pub enum Left<'a> {
    /// Nothing was made.
    Nothing,
    /// It was begun to be made.
    Perhaps(&'a str),
    /// It was found, or is recorded.
    Found(&'a str),
    /// This runner made it.
    Own(&'a Namespace),
}

impl Left<'_> {
    fn name(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Perhaps(name) | Self::Found(name) => Some((*name).to_owned()),
            Self::Own(namespace) => Some(namespace.name()),
        }
    }
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Directory(copy) => copy
                .folder()
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            Self::Kubernetes(enclosure) => enclosure.name().to_owned(),
        }
    }

    /// Its UID in the cluster; a private copy has none of its own.
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::Directory(_) => None,
            Self::Kubernetes(enclosure) => Some(enclosure.uid()),
        }
    }

    /// Whether an operation can still happen: the object is there, as it was approved.
    pub async fn check(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
    ) -> Result<(), EffectError> {
        match self {
            Self::Directory(copy) => copy.check(approved),
            Self::Kubernetes(enclosure) => enclosure.check(operation, approved).await,
        }
    }

    /// What changed elsewhere in the job's objects since it was admitted.
    pub fn meanwhile(&self) -> &[Difference] {
        match self {
            Self::Directory(copy) => copy.meanwhile(),
            Self::Kubernetes(enclosure) => enclosure.meanwhile(),
        }
    }

    /// Does one operation and compares what came out with what was approved; a task's words are
    /// told meanwhile. Returns the observed state after.
    pub async fn perform(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
        told: &Told,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        match self {
            Self::Directory(copy) => copy.perform(operation, approved, host),
            Self::Kubernetes(enclosure) => enclosure.perform(operation, approved, host, told).await,
        }
    }

    /// Brings the state before an operation back. Returns the observed state.
    pub async fn undo(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        match self {
            Self::Directory(copy) => copy.undo(approved),
            Self::Kubernetes(enclosure) => enclosure.undo(approved).await,
        }
    }

    /// Whether an object is ready. In a directory nothing runs: what is written is all there is.
    pub async fn observe(&self, approved: &PreviewedOperation) -> Result<Observed, EffectError> {
        match self {
            Self::Directory(_) => Ok(Observed::Ready),
            Self::Kubernetes(enclosure) => enclosure.observe(approved).await,
        }
    }
}
