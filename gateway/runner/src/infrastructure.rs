//! The one file that picks a backend: the settings of a role name a tree or a cluster, and the role
//! gets the matching backend or reader. Opens files before the role confines itself, and connects
//! to a cluster afterwards.

use crate::cluster::{admit, credential, files_to_read, same};
use crate::roles::{Server, made_again, open};
use anyhow::Result;
use cofferdam_backend::chain;
use cofferdam_backend_directory::Directory;
use cofferdam_backend_directory::journal::Journal;
use cofferdam_backend_directory::look::Looker as TreeLooker;
use cofferdam_backend_kubernetes::Kubernetes;
use cofferdam_backend_kubernetes::api::Cluster;
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::look::Looker as ClusterLooker;
use cofferdam_backend_kubernetes::self_check::{CheckError, Identity};
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::protocol::role_settings::{Infrastructure, RunnerSettings};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The infrastructure of a viewer, opened and not yet connected.
pub enum Viewed {
    /// A tree of manifests.
    Tree(TreeLooker),
    /// A cluster, with the viewer's credential.
    Cluster(Box<Credential>),
}

impl Viewed {
    /// Opens the infrastructure, and lists the paths that the viewer has to read later.
    pub fn open(infrastructure: &Infrastructure) -> Result<(Self, Vec<PathBuf>)> {
        match infrastructure {
            Infrastructure::Directory { tree } => {
                Ok((Self::Tree(TreeLooker::new(open(tree)?, Instant::now)), vec![tree.clone()]))
            }
            Infrastructure::Kubernetes { kubeconfig, .. } => {
                let credential = credential(kubeconfig)?;
                let read = files_to_read(&credential);
                Ok((Self::Cluster(Box::new(credential)), read))
            }
        }
    }

    /// The API server that the viewer connects to; `None` for a tree.
    pub fn server(&self) -> Option<Server> {
        match self {
            Self::Tree(_) => None,
            Self::Cluster(credential) => Some(Server::of(credential)),
        }
    }

    /// Connects to a cluster, after its admission policies and its identity were checked.
    pub async fn connect(self, environment: &Environment) -> Result<Looker> {
        match self {
            Self::Tree(looker) => Ok(Looker::Tree(Arc::new(looker))),
            Self::Cluster(credential) => {
                admit(&credential, Identity::Viewer, environment).await?;
                Ok(Looker::Cluster(ClusterLooker::new(Cluster::connect(&credential)?)))
            }
        }
    }
}

/// The reader of a viewer.
pub enum Looker {
    /// The reader of a tree.
    Tree(Arc<TreeLooker>),
    /// The reader of a cluster.
    Cluster(ClusterLooker),
}

impl Looker {
    /// Answers a request of the gateway, within the ceilings of the trust file that `trust` reads.
    pub async fn look(
        &self,
        look: ReadRequest,
        trust: impl FnOnce() -> Result<Arc<Trust>, RoleError> + Send + 'static,
    ) -> Result<ReadResponse, RoleError> {
        match self {
            Self::Tree(looker) => {
                let looker = Arc::clone(looker);
                // Files are read and parsed on another thread. If that panics, the gateway gets an
                // error and the viewer goes on.
                let looked = tokio::task::spawn_blocking(move || {
                    let trust = trust()?;
                    looker
                        .look(&look, &trust)
                        .map_err(|error| RoleError::Unavailable(chain(&error)))
                });
                looked
                    .await
                    .unwrap_or_else(|_| Err(RoleError::Unavailable("the look failed".to_owned())))
            }
            Self::Cluster(looker) => {
                let trust = trust()?;
                looker.look(&look, &trust).await
            }
        }
    }
}

/// The infrastructure of a runner, opened and not yet connected.
pub enum Acted {
    /// A tree of manifests.
    Tree(Directory),
    /// A cluster, with the time limit of one write.
    Cluster(Box<Credential>, Duration),
}

/// The paths that a runner needs for its infrastructure after it confined itself.
#[derive(Default)]
pub struct Paths {
    /// The paths to read.
    pub read: Vec<PathBuf>,
    /// The paths to write.
    pub write: Vec<PathBuf>,
}

/// The backend of a runner, ready for a job.
pub enum Backend {
    /// A tree of manifests.
    Directory(Directory),
    /// A cluster; true if this process checked the admission policies itself.
    Kubernetes(Kubernetes, bool),
}

/// Returns whether a role cannot start because an admission policy of the cluster is missing or does
/// not hold.
pub fn is_about_fences(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<CheckError>(),
        Some(CheckError::Open { .. } | CheckError::Idle { .. } | CheckError::Hidden { .. })
    )
}

impl Acted {
    /// Opens the infrastructure, and creates the journal folder again if it is missing.
    pub fn open(settings: &RunnerSettings) -> Result<(Self, Paths)> {
        match &settings.infrastructure {
            Infrastructure::Directory { tree } => {
                made_again(&settings.journal)?;
                let journal = Journal::new(settings.journal.clone(), open(tree)?);
                let directory = Directory::new(open(tree)?, journal, settings.runs.clone());
                let write = vec![tree.clone(), settings.journal.clone()];
                Ok((Self::Tree(directory), Paths { write, ..Paths::default() }))
            }
            Infrastructure::Kubernetes { kubeconfig, write_ms } => {
                let credential = credential(kubeconfig)?;
                let read = files_to_read(&credential);
                let limit = Duration::from_millis(*write_ms);
                let cluster = Self::Cluster(Box::new(credential), limit);
                Ok((cluster, Paths { read, ..Paths::default() }))
            }
        }
    }

    /// The API server that the runner connects to; `None` for a tree.
    pub fn server(&self) -> Option<Server> {
        match self {
            Self::Tree(_) => None,
            Self::Cluster(credential, _) => Some(Server::of(credential)),
        }
    }

    /// Connects to a cluster, after its admission policies and its identity were checked. A recent
    /// check of another runner is as good: it takes some fifty requests. The supervisor reports
    /// that check, and also names the credential.
    pub async fn connect(self, settings: &RunnerSettings) -> Result<Backend> {
        match self {
            Self::Tree(directory) => Ok(Backend::Directory(directory)),
            Self::Cluster(credential, write) => {
                let ago = settings.checked_ms.map(Duration::from_millis);
                let jobs = settings.job_identity;
                let kubernetes = Kubernetes::connect(Credential::clone(&credential), write, jobs)?
                    .last_checked(ago);
                let checked = kubernetes.check_fences().await?;
                same(&credential, &settings.environment).await?;
                Ok(Backend::Kubernetes(kubernetes, checked))
            }
        }
    }
}
