//! The configuration: what `serve` needs to know, checked before anything starts. Every fault is reported at once, each with its key and its
//! remedy. Never a default for anything that decides who may do what.

mod agents;
mod fault;
mod file;
mod paths;
mod template;
#[cfg(test)]
mod tests;

pub use agents::{Agent, Agents, TOKEN_PREFIX, valid_name};
pub use fault::{ConfigFault, ConfigFaults};
pub use paths::overlaps;
pub use template::template;

use crate::home::Home;
use cofferdam_core::trust::{Environment, Trust};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything in `cofferdam.toml`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What people call the infrastructure: 1 to 40 of `a-z`, `0-9` and `-`.
    pub environment: String,
    /// The tree of manifests: absolute, without symbolic links, an existing folder.
    pub tree: PathBuf,
    /// What agents connect to.
    pub edge: Edge,
    /// Those who act.
    pub runner: Runner,
    /// What is told about it all.
    pub telemetry: Telemetry,
}

/// What agents connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where it listens. Loopback unless agents are configured.
    pub listen: SocketAddr,
    /// Values of `Origin` that are answered, besides requests without one.
    pub origins: Vec<String>,
    /// Values of `Host` that are answered, besides the listening address and `localhost`.
    pub hosts: Vec<String>,
    /// How long a call is held, 1 to 55 seconds.
    pub wait: Duration,
}

/// Those who act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runner {
    /// How many runners wait for jobs, 1 to 16; each runs one job at a time.
    pub seats: u8,
    /// A lease without a heartbeat is lost after this, 3 to 300 seconds.
    pub lease: Duration,
}

/// What is told about it all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// Base URL of an OTLP/HTTP collector; none sends nothing.
    pub otlp: Option<String>,
    /// How log lines look.
    pub format: LogFormat,
    /// Which log lines there are: a level, or directives as `tracing` has them.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// All that `serve` reads at its start.
#[derive(Debug)]
pub struct Installation {
    /// Where everything lies.
    pub home: Home,
    /// `cofferdam.toml`.
    pub config: Config,
    /// `agents.toml`.
    pub agents: Agents,
    /// `trust.toml`.
    pub trust: Trust,
}

impl Installation {
    /// Reads and checks all three files. Reports every fault of all of them.
    pub fn read(home: Home) -> Result<Self, ConfigFaults> {
        let mut faults = Vec::new();
        let agents = Agents::read(&home.agents()).map_err(|fault| faults.push(fault)).unwrap_or_default();
        let trust = read_trust(&home).map_err(|fault| faults.push(fault)).ok();
        let config = match paths::text(&home.config(), "run `cofferdam init TREE`") {
            Ok(text) => file::check(&text, &home, &mut faults),
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        if let Some(config) = &config {
            check_together(config, &agents, trust.as_ref().map(|trust| &trust.environment), &mut faults);
        }
        match (config, trust) {
            (Some(config), Some(trust)) if faults.is_empty() => Ok(Self { home, config, agents, trust }),
            _ => Err(ConfigFaults(faults)),
        }
    }
}

impl Config {
    /// Reads and checks `cofferdam.toml` alone.
    pub fn read(home: &Home) -> Result<Self, ConfigFaults> {
        let mut faults = Vec::new();
        let text = paths::text(&home.config(), "run `cofferdam init TREE`").map_err(|fault| ConfigFaults(vec![fault]))?;
        match file::check(&text, home, &mut faults) {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigFaults(faults)),
        }
    }
}

/// What the files must agree on.
fn check_together(config: &Config, agents: &Agents, trusted: Option<&Environment>, faults: &mut Vec<ConfigFault>) {
    if !config.edge.listen.ip().is_loopback() && agents.list().is_empty() {
        faults.push(ConfigFault::new(
            "cofferdam.toml",
            "edge.listen",
            format!("`{}` can be reached from other machines, and no agent is configured", config.edge.listen),
            "listen on 127.0.0.1, or add an agent first: `cofferdam agents add NAME --role R --for PERSON`",
        ));
    }
    if let Some(trusted) = trusted.filter(|trusted| trusted.name != config.environment) {
        faults.push(ConfigFault::new(
            "cofferdam.toml",
            "environment.name",
            format!("`{}` is not the environment of trust.toml, which is `{}`", config.environment, trusted.name),
            "give both the same name; a new environment needs a home of its own",
        ));
    }
}

/// Reads and checks `trust.toml`.
pub fn read_trust(home: &Home) -> Result<Trust, ConfigFault> {
    let text = paths::text(&home.trust(), "run `cofferdam init TREE`, which writes it")?;
    match Trust::parse(&text) {
        Ok(trust) => Ok(trust),
        Err(fault) => {
            let cause = std::error::Error::source(&fault).map(|cause| format!(": {}", cause.to_string().trim())).unwrap_or_default();
            Err(ConfigFault::new("trust.toml", "", format!("{fault}{cause}"), "restore it from a copy, or accept its parts again"))
        }
    }
}
