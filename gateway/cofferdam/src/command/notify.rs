//! `cofferdam notify`: tests a receiver of notifications through the running `serve`. Reads no
//! secret and connects to no receiver itself.

use super::recorder_client;
use super::report::Report;
use crate::config::home::Home;
use anyhow::Result;
use clap::{Args, Subcommand};
use cofferdam_core::model::escape::line;
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use serde_json::json;

/// The commands about receivers of notifications.
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Send a test to a receiver, and wait for the result
    Test(Test),
}

/// Sends a test to a receiver of `cofferdam.toml`, and waits for the result. `serve` must be running:
/// its courier alone has the secret. A failed test is not repeated. Exits with 1 if the receiver did
/// not take it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam notify test oncall")]
pub struct Test {
    /// The name of the receiver: NAME of `[notify.NAME]`
    name: String,
}

impl Notify {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let Self::Test(Test { name }) = self;
        let ask = Operate::TestReceiver { receiver: name.clone() };
        let Operated::Tested { error } = recorder_client::ask(home, &ask)? else {
            return Err(recorder_client::unexpected());
        };
        let shown = line(&name);
        let text = match &error {
            None => format!("The receiver {shown} took the test."),
            Some(error) => format!("The receiver {shown} did not take the test: {}", line(error)),
        };
        let good = error.is_none();
        Ok(Report::new(text, json!({"receiver": name, "delivered": good, "error": error}))
            .good(good))
    }
}
