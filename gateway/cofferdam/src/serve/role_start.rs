//! The start of a role of this binary: reads its settings and keys, confines itself while it has
//! one thread, then serves until the supervisor ends. Reports once that it is ready, or its error.

use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::LogSettings;
use cofferdam_process::confine::{self, Confined};
use cofferdam_process::control::{Handed, Inherited, Report};
use cofferdam_telemetry::{Intake, Outlet, Role, bootstrap};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The report to the supervisor, and the telemetry of the role.
pub struct Ready {
    control: Arc<Inherited>,
    confined: Confined,
    outlet: Outlet,
    intake: Intake,
}

impl Ready {
    /// The outlet of metrics.
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// The control socket, for later reports.
    pub fn control(&self) -> Arc<Inherited> {
        Arc::clone(&self.control)
    }

    /// Reports that the role is ready. Returns the collected telemetry, with the rest to come.
    pub fn say(self) -> Result<Intake> {
        self.control
            .report(&Report::Ready { confined: self.confined, checked: false })
            .context("the supervisor is gone")?;
        Ok(self.intake)
    }
}

/// Runs a role: `prepare` with one thread and before the confinement, then `serve` with `workers`
/// threads. Returns whether it ended without an error; an error is reported.
pub fn run<S, P, F>(
    role: Role,
    workers: usize,
    told: impl Fn(&S) -> LogSettings,
    prepare: impl FnOnce(S) -> Result<(P, Confined)>,
    serve: impl FnOnce(P, Ready, mpsc::Receiver<Handed>) -> F,
) -> Result<bool>
where
    S: DeserializeOwned,
    F: Future<Output = Result<()>>,
{
    cofferdam_process::signal::ignore();
    let control = Arc::new(Inherited::from_stdin().context("no control socket")?);
    let settings: S = control.settings().context("this role is started by `cofferdam serve`")?;
    let (outlet, intake) = bootstrap::start(role, &told(&settings))?;
    let done = confine::baseline()
        .map_err(anyhow::Error::from)
        .and_then(|()| prepare(settings))
        .and_then(|(prepared, confined)| {
            if confined != Confined::Fully {
                tracing::warn!(
                    what = "kernel",
                    ?confined,
                    "this kernel confines the process less than it could; `cofferdam doctor` says \
                     what is missing"
                );
            }
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()?;
            let ready = Ready { control: Arc::clone(&control), confined, outlet, intake };
            runtime.block_on(async { serve(prepared, ready, Arc::clone(&control).handed()).await })
        });
    if let Err(error) = &done {
        // The supervisor logs it once, with the name of the role.
        let said = escape::chain(error.as_ref());
        if control.report(&Report::Failed(said.clone())).is_err() {
            tracing::error!(what = "start", "{said}");
        }
    }
    Ok(done.is_ok())
}

/// Returns 32 random bytes from the operating system.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(bytes)
}

/// The user id of this process.
pub fn user() -> u32 {
    cofferdam_process::confine::user()
}
