//! `cofferdam-courier`: reaches the configured issuers of access tokens and the receivers of
//! notifications (role `courier`). `cofferdam serve` starts it with one socket on standard input. It
//! has no command for people.

use anyhow::Result;
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::CourierSettings;
use cofferdam_courier::role;
use cofferdam_process::confine;
use cofferdam_process::control::{Inherited, Report};
use std::process::ExitCode;
use std::sync::Arc;

/// The output with any argument.
const HELP: &str = "\
cofferdam-courier: the role of Cofferdam that connects to the issuers of access tokens and to the
receivers of notifications. `cofferdam serve` starts it if cofferdam.toml names one of them; it has
no command.
";

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some() {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    // Before a secret is read.
    let confined = confine::baseline().map_err(anyhow::Error::from);
    match confined.and_then(|()| start()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cofferdam-courier: {}", escape::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error that was reported is the supervisor's to say, and is not said twice.
fn start() -> Result<ExitCode> {
    cofferdam_process::signal::ignore();
    let inherited = Arc::new(Inherited::from_stdin()?);
    let settings: CourierSettings = inherited.settings()?;
    let ready = match role::prepare(settings) {
        Ok(ready) => ready,
        Err(error) => {
            inherited.report(&Report::Failed(escape::chain(error.as_ref())))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    // Threads inherit the confinement only when it came before them.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(ready.serve(inherited))
}
