//! The role `reaper`: every half minute it removes expired run namespaces and derived rights, of
//! all runners. Touches nothing else, and never forces the removal of a namespace.

use super::{Server, confine};
use crate::cluster::{admit, credential, files_to_read};
use anyhow::Result;
use cofferdam_backend_kubernetes::api::Cluster;
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::reap::{Reaped, reap};
use cofferdam_backend_kubernetes::self_check::Identity;
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::ReaperSettings;
use cofferdam_process::confine::{Calls, Confined, Files};
use cofferdam_process::control::{Handed, Inherited, Report};
use cofferdam_telemetry::bootstrap::{self, PendingSink};
use cofferdam_telemetry::{Intake, Role};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The pause between rounds: an expired run is removed within a minute, and the load on the cluster
/// is low.
const ROUND: Duration = Duration::from_secs(30);

/// A reaper that has read what it needs and confined itself.
pub struct Reaper {
    credential: Credential,
    settings: ReaperSettings,
    confined: Confined,
    intake: Intake,
}

/// Reads what it needs, then gives up everything else.
pub fn prepare(settings: ReaperSettings) -> Result<Reaper> {
    let (_, intake) = bootstrap::start(Role::Reaper, &settings.voice)?;
    let credential = credential(&settings.kubeconfig)?;
    let read = files_to_read(&credential);
    let read: Vec<_> = read.iter().map(PathBuf::as_path).collect();
    let confined = confine(
        Files { read: &read, ..Files::default() },
        Some(Server::of(&credential)),
        Calls::Reaper,
    )?;
    Ok(Reaper { credential, settings, confined, intake })
}

impl Reaper {
    /// Reaps until the supervisor closes the control socket.
    pub async fn serve(self, inherited: Arc<Inherited>) -> Result<ExitCode> {
        let Self { credential, settings, confined, intake } = self;
        let ready = async {
            admit(&credential, Identity::Reaper, &settings.environment).await?;
            anyhow::Ok(Cluster::connect(&credential)?)
        };
        let cluster = match ready.await {
            Ok(cluster) => cluster,
            Err(error) => {
                inherited.report(&Report::Failed(escape::chain(error.as_ref())))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        inherited.report(&Report::Ready { confined, checked: true })?;
        let mut handed = inherited.handed();
        let mut voice = PendingSink::new(intake);
        let mut rounds = tokio::time::interval(ROUND);
        let mut going = BTreeSet::new();
        loop {
            tokio::select! {
                handed = handed.recv() => match handed {
                    Some(Handed::Socket(given)) if given.name == "telemetry" => voice.take(given.into_stream()),
                    Some(_useless) => {}
                    None => return Ok(ExitCode::SUCCESS),
                },
                _ = rounds.tick() => match reap(&cluster, Timestamp::now()).await {
                    Ok(reaped) => going = tell(&reaped, &going),
                    Err(error) => tracing::warn!(
                        what = "expired runs",
                        error = %error,
                        "cannot look for expired runs; trying again"
                    ),
                },
            }
        }
    }
}

/// Logs the result of a round. An object that is terminating is logged if it is still there a round
/// later. Returns those objects.
fn tell(reaped: &Reaped, going: &BTreeSet<String>) -> BTreeSet<String> {
    for what in reaped.namespaces.iter().chain(&reaped.rights) {
        tracing::warn!(what, "removed an expired object of another runner");
    }
    for (what, why) in reaped.stuck.iter().filter(|(what, _)| going.contains(what)) {
        tracing::warn!(name = what, error = why, "cannot be removed; look at it with `kubectl`");
    }
    for kind in &reaped.overflow {
        tracing::error!(
            kind,
            "one round cannot read all objects of this kind with the label of Cofferdam; find \
             out who creates them"
        );
    }
    for what in &reaped.foreign {
        tracing::warn!(
            what,
            "has the label of Cofferdam and is not an object of Cofferdam; not touched"
        );
    }
    reaped.stuck.iter().map(|(what, _)| what.clone()).collect()
}
