//! `cofferdam reload`: makes a running `serve` load tools, executors, policy and trust of the home
//! again. Also the last step of the commands that write these files. Writes no file itself.

use super::recorder_client;
use super::report::Report;
use crate::config::Config;
use crate::config::home::Home;
use crate::serve::copies;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use cofferdam_core::model::escape::line;
use cofferdam_core::protocol::operator_recorder::{Loaded, Operate, Operated};
use cofferdam_core::text::seconds;
use serde_json::json;
use std::time::Duration;

/// The time limit of a reload: longer than that of the recorder, which says more.
const LIMIT: Duration = Duration::from_secs(270);

/// The further sentence in a home of the recorder alone.
const OTHERS: &str = " This is the recorder alone: update the homes of the other roles with \
                      `cofferdam role-home --update`, and send SIGHUP to their `cofferdam serve`.";

/// Makes a running `serve` load tools, executors, policy and trust again. If one part is refused,
/// nothing changes. SIGHUP does the same.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam reload")]
pub struct Reload {}

impl Reload {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match ask(home)? {
            (loaded, None) => {
                let alone = Config::read(home).is_ok_and(|config| config.links.is_some());
                let others = if alone { OTHERS } else { "" };
                let text = format!("Loaded {}.{others}", told(&loaded));
                Ok(Report::new(text, json!({"loaded": loaded})))
            }
            (_, Some(why)) => bail!("not loaded; what is served stays in use: {}", line(&why)),
        }
    }
}

/// A loaded set in words.
pub fn told(loaded: &Loaded) -> String {
    let Loaded { tools, executors, commands, approvers, .. } = loaded;
    format!(
        "tools: {tools}, executors: {executors}, commands: {commands}, keys of approvers: \
         {approvers}, policy {}, trust file {}; in use since {}",
        loaded.policy.short(),
        loaded.trust.short(),
        seconds(loaded.since)
    )
}

/// The set in use after the reload, and the reason if the new one was refused.
fn ask(home: &Home) -> Result<(Loaded, Option<String>)> {
    match recorder_client::ask_within(home, &Operate::Reload, LIMIT)? {
        Operated::Reloaded { loaded, refused } => Ok((loaded, refused)),
        _ => Err(recorder_client::unexpected()),
    }
}

/// Makes a running `serve` load the home. Returns false if none runs.
///
/// # Errors
/// A `serve` runs, and does not load it.
pub fn now(home: &Home) -> Result<bool> {
    if !copies::running(home) {
        return Ok(false);
    }
    match ask(home)? {
        (_, None) => Ok(true),
        (_, Some(why)) => Err(anyhow!("{}", line(&why))),
    }
}

/// Makes a running `serve` load a part that a command just wrote; `done` says in a clause what it
/// wrote. Returns the last sentence of the command, and whether the part is in use.
///
/// # Errors
/// A `serve` runs, and does not use the part.
pub fn after(home: &Home, done: &str) -> Result<(String, bool)> {
    if !copies::running(home) {
        return Ok(("It is used from the next start of `cofferdam serve` on.".to_owned(), false));
    }
    let (_, refused) = ask(home).with_context(|| {
        format!("{done}, and is not in use yet: ask again with `cofferdam reload`")
    })?;
    match refused {
        None => Ok(("The running `cofferdam serve` has loaded it.".to_owned(), true)),
        Some(why) => Err(anyhow!(
            "{done}, and the running `cofferdam serve` refused to load it; what is served stays in \
             use: {}",
            line(&why)
        )),
    }
}
