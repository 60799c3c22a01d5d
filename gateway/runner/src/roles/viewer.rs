//! The role `viewer`: answers the gateway's read requests, within its own trust file. Changes
//! nothing.

use super::{folder, read_trust, trust};
use crate::infrastructure::Viewed;
use anyhow::Result;
use cofferdam_core::model::escape;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_viewer::ReadRequest;
use cofferdam_core::protocol::role_settings::{IN_USE, ViewerSettings};
use cofferdam_process::answering;
use cofferdam_process::confine::{self, Calls, Confined, Files};
use cofferdam_process::control::{Inherited, Report};
use cofferdam_runner::loaded_trust::LoadedTrust;
use cofferdam_telemetry::bootstrap::{self, PendingSink};
use cofferdam_telemetry::{Intake, Role};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// The limit of file descriptors: a link of each gateway, and the files of a tree.
const DESCRIPTORS: u64 = 2_048;

/// A viewer that has read what it needs and confined itself.
pub struct Viewer {
    infrastructure: Viewed,
    environment: Environment,
    trust: LoadedTrust,
    links: bool,
    confined: Confined,
    intake: Intake,
}

/// Reads what it needs, then gives up everything else.
pub fn prepare(settings: ViewerSettings) -> Result<Viewer> {
    let (_, intake) = bootstrap::start(Role::Viewer, &settings.voice)?;
    confine::descriptors(DESCRIPTORS)?;
    let trust_file = trust(&settings.trust_file, "viewer", &settings.environment)?;
    let (infrastructure, mut read) = Viewed::open(&settings.infrastructure)?;
    read.push(folder(&settings.trust_file)?.to_owned());
    let trust = LoadedTrust::new(trust_file, settings.copies.join(IN_USE));
    // Another load is another folder.
    read.push(settings.copies);
    let read: Vec<_> = read.iter().map(PathBuf::as_path).collect();
    let server = infrastructure.server();
    let confined = super::confine(
        Files { read: &read, ..Files::default() },
        server,
        Calls::Viewer(server.is_some()),
    )?;
    Ok(Viewer {
        infrastructure,
        environment: settings.environment,
        trust,
        links: settings.links,
        confined,
        intake,
    })
}

impl Viewer {
    /// Answers until the supervisor closes the control socket.
    pub async fn serve(self, inherited: Arc<Inherited>) -> Result<ExitCode> {
        let Self { infrastructure, environment, trust, links, confined, intake } = self;
        let checked = infrastructure.server().is_some();
        let looker = match infrastructure.connect(&environment).await {
            Ok(looker) => Arc::new(looker),
            Err(error) => {
                inherited.report(&Report::Failed(escape::chain(error.as_ref())))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let trust = Arc::new(trust);
        inherited.report(&Report::Ready { confined, checked })?;
        let mut voice = PendingSink::new(intake);
        let handler = move |request: ReadRequest| {
            let (looker, trust) = (Arc::clone(&looker), Arc::clone(&trust));
            let (ReadRequest::Preview { tool, digest, .. }
            | ReadRequest::Read { tool, digest, .. }) = &request;
            let (tool, digest) = (tool.clone(), *digest);
            async move { looker.look(request, move || accepted(&trust, &tool, digest)).await }
        };
        let others = |name: &str, stream| {
            if name == "telemetry" {
                voice.take(stream);
            }
        };
        Ok(answering::answer(inherited, links.then_some(broken as _), others, handler).await?)
    }
}

/// Tells of a socket to another host that was closed alone.
fn broken(error: &io::Error) {
    tracing::error!(what = "links", %error, "the socket to a gateway is broken; closed");
}

/// Reads the trust file again for each request: an operator may have changed it.
fn accepted(
    trust: &LoadedTrust,
    tool: &str,
    digest: ComponentDigest,
) -> Result<Arc<Trust>, RoleError> {
    read_trust(trust.path(), trust.of_call(tool, digest, SystemTime::now()))
        .map_err(|error| RoleError::Unavailable(escape::chain(error.as_ref())))
}
