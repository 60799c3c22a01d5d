//! The role `viewer`: answers the gateway's looks, no further than its own trust file permits.
//! Changes nothing.

use super::{admit, confine, credential, folder, network, open, read_trust, trust};
use anyhow::Result;
use cofferdam_core::model::escape;
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_viewer::{Look, Looked};
use cofferdam_core::protocol::role_settings::{Infrastructure, ViewerSettings};
use cofferdam_process::confine::{Calls, Confined, Files};
use cofferdam_process::control::{Handed, Inherited, Report};
use cofferdam_process::peer;
use cofferdam_runner::backend::chain;
use cofferdam_runner::directory::look::Looker as TreeLooker;
use cofferdam_runner::kubernetes::api::Cluster;
use cofferdam_runner::kubernetes::check::Identity;
use cofferdam_runner::kubernetes::credential::Credential;
use cofferdam_runner::kubernetes::look::Looker as ClusterLooker;
use cofferdam_telemetry::voice::{self, Voicing};
use cofferdam_telemetry::{Intake, Role};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A viewer that has read what it needs and confined itself.
pub struct Viewer {
    sight: Sight,
    environment: Environment,
    trust_file: PathBuf,
    confined: Confined,
    intake: Intake,
}

/// What it will look at.
enum Sight {
    Tree(TreeLooker),
    Cluster(Credential),
}

/// What it looks at.
enum Looker {
    Tree(Arc<TreeLooker>),
    Cluster(ClusterLooker),
}

/// Reads what it needs, then gives up everything else.
pub fn prepare(settings: ViewerSettings) -> Result<Viewer> {
    let (_, intake) = voice::start(Role::Viewer, &settings.voice)?;
    trust(&settings.trust_file, "viewer", &settings.environment)?;
    let (sight, mut read) = match &settings.infrastructure {
        Infrastructure::Directory { tree } => {
            (Sight::Tree(TreeLooker::new(open(tree)?)), vec![tree.clone()])
        }
        Infrastructure::Kubernetes { kubeconfig, .. } => {
            let credential = credential(kubeconfig)?;
            let read = network(&credential);
            (Sight::Cluster(credential), read)
        }
    };
    read.push(folder(&settings.trust_file)?.to_owned());
    let read: Vec<_> = read.iter().map(PathBuf::as_path).collect();
    let server = match &sight {
        Sight::Tree(_) => None,
        Sight::Cluster(credential) => Some(credential),
    };
    let confined = confine(
        Files { read: &read, ..Files::default() },
        server,
        Calls::Viewer(server.is_some()),
    )?;
    Ok(Viewer {
        sight,
        environment: settings.environment,
        trust_file: settings.trust_file,
        confined,
        intake,
    })
}

impl Viewer {
    /// Answers until the supervisor closes the control socket.
    pub async fn serve(self, inherited: Arc<Inherited>) -> Result<ExitCode> {
        let Self { sight, environment, trust_file, confined, intake } = self;
        let checked = matches!(sight, Sight::Cluster(_));
        let looker = match look_at(sight, &environment).await {
            Ok(looker) => Arc::new(looker),
            Err(fault) => {
                inherited.report(&Report::Failed(escape::chain(fault.as_ref())))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let trust_file: Arc<Path> = trust_file.into();
        inherited.report(&Report::Ready { confined, checked })?;
        let mut handed = Arc::clone(&inherited).handed();
        let mut voice = Voicing::new(intake);
        let (breaks, mut broken) = mpsc::channel(1);
        loop {
            let next = tokio::select! {
                handed = handed.recv() => handed,
                // This holds a sender.
                Some(why) = broken.recv() => {
                    // The supervisor starts it again and connects it.
                    inherited.report(&Report::Failed(why))?;
                    return Ok(ExitCode::FAILURE);
                }
            };
            let Some(handed) = next else { return Ok(ExitCode::SUCCESS) };
            let Handed::Socket(given) = handed else { continue };
            match given.name.as_str() {
                "gateway" => {}
                "telemetry" => {
                    voice.take(given.into_stream());
                    continue;
                }
                _ => continue,
            }
            let (looker, trust_file, breaks) =
                (Arc::clone(&looker), Arc::clone(&trust_file), breaks.clone());
            tokio::spawn(async move {
                let ended = peer::serve(given.into_stream(), move |look: Look| {
                    let (looker, trust_file) = (Arc::clone(&looker), Arc::clone(&trust_file));
                    async move { looker.look(look, trust_file).await }
                });
                if let Err(fault) = ended.await {
                    let _ending =
                        breaks.send(format!("the socket to the gateway is broken: {fault}")).await;
                }
            });
        }
    }
}

async fn look_at(sight: Sight, environment: &Environment) -> Result<Looker> {
    match sight {
        Sight::Tree(looker) => Ok(Looker::Tree(Arc::new(looker))),
        Sight::Cluster(credential) => {
            admit(&credential, Identity::Viewer, environment).await?;
            Ok(Looker::Cluster(ClusterLooker::new(Cluster::connect(&credential)?)))
        }
    }
}

impl Looker {
    async fn look(&self, look: Look, trust_file: Arc<Path>) -> Result<Looked, RoleError> {
        let unreadable =
            |fault: anyhow::Error| RoleError::Unavailable(escape::chain(fault.as_ref()));
        match self {
            Self::Tree(looker) => {
                let looker = Arc::clone(looker);
                // A look reads files and parses them; one that panics is an answer, not a lost
                // request.
                let looked = tokio::task::spawn_blocking(move || {
                    let accepted = read_trust(&trust_file).map_err(unreadable)?;
                    looker
                        .look(&look, &accepted)
                        .map_err(|fault| RoleError::Unavailable(chain(&fault)))
                });
                looked
                    .await
                    .unwrap_or_else(|_| Err(RoleError::Unavailable("the look failed".to_owned())))
            }
            Self::Cluster(looker) => {
                looker.look(&look, &read_trust(&trust_file).map_err(unreadable)?).await
            }
        }
    }
}
