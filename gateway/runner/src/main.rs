//! `cofferdam-runner`: reads (role `viewer`), acts (role `runner`) or removes expired runs (role
//! `reaper`), as its settings say. `cofferdam serve` starts it with one socket on standard input.
//! It reads its files, confines itself, and then uses only the sockets that it receives and, for a
//! cluster, the one API server of its kubeconfig. With arguments it runs a command of an operator.

mod cli;
mod cluster;
mod infrastructure;
mod roles;

use anyhow::Result;
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::ActorSettings;
use cofferdam_process::confine;
use cofferdam_process::control::{Inherited, Report};
use roles::{reaper, runner, viewer};
use std::process::ExitCode;
use std::sync::Arc;

/// Threads of a role that serves several requests at once.
const THREADS: usize = 2;

/// Threads of a runner besides its first one, which has the job: the heartbeats of its lease go on
/// while that one waits for the disk.
const RUNNER_THREADS: usize = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Before a credential is read, by a command too.
    let confined = confine::baseline().map_err(anyhow::Error::from);
    let done =
        confined.and_then(|()| if arguments.is_empty() { start() } else { cli::run(&arguments) });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cofferdam-runner: {}", escape::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// A role that has read what it needs and confined itself.
enum Ready {
    Viewer(Box<viewer::Viewer>),
    Runner(Box<runner::Actor>),
    Reaper(Box<reaper::Reaper>),
}

/// An error that was reported is the supervisor's to say, and is not said twice.
fn start() -> Result<ExitCode> {
    cofferdam_process::signal::ignore();
    let inherited = Arc::new(Inherited::from_stdin()?);
    let settings: ActorSettings = inherited.settings()?;
    let role = match settings {
        ActorSettings::Viewer(settings) => {
            viewer::prepare(settings).map(|viewer| Ready::Viewer(Box::new(viewer)))
        }
        ActorSettings::Runner(settings) => {
            runner::prepare(settings).map(|actor| Ready::Runner(Box::new(actor)))
        }
        ActorSettings::Reaper(settings) => {
            reaper::prepare(settings).map(|reaper| Ready::Reaper(Box::new(reaper)))
        }
    };
    let role = match role {
        Ok(role) => role,
        Err(error) => {
            inherited.report(&Report::Failed(escape::chain(error.as_ref())))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    // Threads inherit the confinement only when it came before them.
    let threads = if matches!(role, Ready::Runner(_)) { RUNNER_THREADS } else { THREADS };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async move {
        match role {
            Ready::Viewer(viewer) => viewer.serve(inherited).await,
            Ready::Runner(actor) => actor.act(inherited).await,
            Ready::Reaper(reaper) => reaper.serve(inherited).await,
        }
    })
}
