//! `cofferdam stop` and `cofferdam resume`: the emergency stop. A stop is in effect when the command
//! ends, and outlives every restart. Never changes policy or trust.

use super::recorder_client;
use super::report::{Report, Usage};
use crate::config::home::Home;
use anyhow::Result;
use clap::Args;
use cofferdam_core::model::escape::{line, unseen};
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::model::stop::{Stop as CallStop, StopScope};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use serde_json::json;

/// The calls of a stop: exactly one option.
#[derive(Debug, Args)]
#[group(id = "calls", required = false, multiple = false)]
struct Calls {
    /// Every call
    #[arg(long)]
    all: bool,
    /// The calls of this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// The calls of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

impl Calls {
    fn scope(self) -> Option<StopScope> {
        match (self.all, self.tool, self.agent) {
            (true, ..) => Some(StopScope::All),
            (_, Some(tool), _) => Some(StopScope::Tool(tool)),
            (_, _, Some(agent)) => Some(StopScope::Agent(agent)),
            (false, None, None) => None,
        }
    }
}

/// Stops calls at once: of one tool, of one agent, or all of them.
///
/// From the end of this command on, a stopped call is denied with your reason, no runner begins a
/// job of such a call, and a runner that has one ends it before its next effect. Queued jobs and
/// approved calls wait until `cofferdam resume`, at most until their permit or question expires.
/// Cleanup goes on. The stop is in the ledger with your user id, and outlives a restart.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam stop --all --because \"unknown changes in \
                        storefront\"\n  cofferdam stop --agent release --because \"its token \
                        leaked\"\n  cofferdam stop --list")]
pub struct Stop {
    #[command(flatten)]
    calls: Calls,
    /// Your reason, in one sentence; the agents and the ledger get it
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Show the stops, and change nothing
    #[arg(long, conflicts_with_all = ["calls", "because"])]
    list: bool,
}

/// Lifts a stop of `cofferdam stop`: its queued jobs and approved calls go on at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam stop --list\n  cofferdam resume --all\n  cofferdam \
                        resume --agent release"
)]
pub struct Resume {
    #[command(flatten)]
    calls: Calls,
}

impl Stop {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        if self.list {
            return Ok(report("", &ask(home, &Operate::Stops)?));
        }
        let calls = self.calls.scope().ok_or_else(which)?;
        let because = self.because.unwrap_or_default().trim().to_owned();
        if !(1..=PURPOSE).contains(&because.chars().count()) || unseen(&because).is_some() {
            let why = format!(
                "give your reason with `--because TEXT`, in 1 to {PURPOSE} visible characters; \
                 agents read it"
            );
            return Err(Usage(why).into());
        }
        let after = ask(home, &Operate::Stop { calls: calls.clone(), because })?;
        let ended = match after.ended {
            0 => String::new(),
            1 => " 1 job ends before its next effect.".to_owned(),
            many => format!(" {many} jobs end before their next effect."),
        };
        let text = format!("Stopped {}.{ended}\n", line(&calls.to_string()));
        Ok(report(&text, &after))
    }
}

impl Resume {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let calls = self.calls.scope().ok_or_else(which)?;
        let after = ask(home, &Operate::LiftStop { calls: calls.clone() })?;
        Ok(report(&format!("Resumed {}.\n", line(&calls.to_string())), &after))
    }
}

fn which() -> anyhow::Error {
    let why = "name the calls: `--tool NAME`, `--agent NAME` or `--all`; `cofferdam stop --list` \
               shows the stops";
    Usage(why.to_owned()).into()
}

/// The stops after a request.
struct After {
    stops: Vec<CallStop>,
    ended: u64,
    held: u64,
}

fn ask(home: &Home, ask: &Operate) -> Result<After> {
    match recorder_client::ask(home, ask)? {
        Operated::Stops { stops, ended, held } => Ok(After { stops, ended, held }),
        _ => Err(recorder_client::unexpected()),
    }
}

fn report(done: &str, after: &After) -> Report {
    let mut text = done.to_owned();
    if after.stops.is_empty() {
        text.push_str("No call is stopped.");
    } else {
        let lines: Vec<String> = after.stops.iter().map(|stop| line(&stop.warning())).collect();
        text.push_str(&lines.join("\n"));
        if after.held > 0 {
            text.push_str(&format!("\n{} queued jobs wait.", after.held));
        }
    }
    Report::new(text, json!({"stops": after.stops, "ended": after.ended, "held": after.held}))
}
