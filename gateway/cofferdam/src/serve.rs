//! `cofferdam serve`: starts the roles, passes each role its sockets, and restarts a role that
//! ended. Binds the address and passes the listening socket on, so that a restart of the gateway
//! loses no connection. Never reads a request, a key or the store.

mod banner;
pub mod copies;
pub mod gateway;
pub mod guest_process;
pub mod health;
pub mod link;
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
use cofferdam_telemetry::{Role, bootstrap};
use std::path::PathBuf;
use std::time::Duration;

/// The options of the command line.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Kill a runner immediately after this step of the first job, to rehearse a recovery.
    pub drill: Option<JobStep>,
    /// The time between two heartbeat requests; `None` for the default. For tests.
    pub heartbeat: Option<Duration>,
    /// The folder of `cofferdam-runner` and `cofferdam-guest`; `None` for the folder of this
    /// binary.
    pub binaries: Option<PathBuf>,
}

/// Serves until a signal, and returns after the end of every role. Returns false if a second signal
/// ended all roles at once.
pub fn run(installation: Installation, options: &Options) -> Result<bool> {
    // This process holds each socket between roles for a moment.
    cofferdam_process::confine::baseline()?;
    // The supervisor exports no spans: it has no socket to the gateway. Its events are log lines.
    let _unsent = bootstrap::start(Role::Serve, &role_settings::voice(&installation))
        .context("cannot start the log; see `telemetry` in cofferdam.toml")?;
    let manager = Manager::named(|name| std::env::var_os(name), std::process::id())
        .context("cannot tell the service manager")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(supervise::serve(installation, options, manager))
}
