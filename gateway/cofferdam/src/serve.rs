//! `cofferdam serve`: starts the roles, hands each the sockets it may use, and starts again what
//! dies. Has no listener's data, no key, no store: it binds the address and passes the listening
//! socket on, so that a restart of the gateway loses no connection.

mod banner;
pub mod copies;
pub mod gateway;
pub mod guest_process;
pub mod health;
mod notice;
pub mod recorder;
mod repair;
mod role_process;
pub mod role_settings;
mod role_start;
mod signals;
mod supervise;
#[cfg(test)]
mod testing;
mod watch;

use crate::config::Installation;
use anyhow::{Context as _, Result};
use cofferdam_core::model::run::JobStep;
use cofferdam_process::notify::Manager;
use cofferdam_telemetry::{Role, voice};
use std::path::PathBuf;
use std::time::Duration;

/// What the command line adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Kill a runner right after this step of a job's first run: an operator's rehearsal.
    pub drill: Option<JobStep>,
    /// How often roles are asked for a sign of life; none for what is usual. For tests.
    pub heartbeat: Option<Duration>,
    /// Folder of `cofferdam-runner` and `cofferdam-guest`; none for the folder of this binary.
    pub binaries: Option<PathBuf>,
}

/// Serves until a signal; returns once every role has ended. False: another signal ended it at
/// once.
pub fn run(installation: Installation, options: &Options) -> Result<bool> {
    // It holds every socket between roles for a moment.
    cofferdam_process::confine::baseline()?;
    // Its own spans go nowhere: it has no socket to the gateway, and what it does is told in lines.
    let _unsent = voice::start(Role::Serve, &role_settings::voice(&installation))
        .context("cannot start the log; see `telemetry` in cofferdam.toml")?;
    let manager = Manager::named(|name| std::env::var_os(name), std::process::id())
        .context("cannot tell the service manager")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(supervise::serve(installation, options, manager))
}
