//! The configuration: what `serve` needs to know, checked before anything starts. Every fault is
//! reported at once, each with its key and its remedy. Never a default for anything that decides
//! who may do what.

mod agents;
mod error;
mod file;
pub mod home;
mod infrastructure;
mod paths;
mod template;
#[cfg(test)]
mod tests;
mod toml_reader;
pub mod trust_file;

pub use agents::{Agent, Agents, TOKEN_PREFIX, valid_name};
pub use error::{ConfigError, ConfigErrors};
pub use infrastructure::REQUEST_TIMEOUT;
pub use paths::overlaps;
pub use template::template;

use crate::config::home::{Home, SECRETS};
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_core::protocol::role_settings::JobIdentity;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where agents connect unless something else is said.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8620);

/// Everything in `cofferdam.toml`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What people call the infrastructure: 1 to 40 of `a-z`, `0-9` and `-`.
    pub environment: String,
    /// What is looked at and changed.
    pub infrastructure: Infrastructure,
    /// What agents connect to.
    pub edge: Edge,
    /// How it all ends.
    pub serve: Serve,
    /// Those who act.
    pub runner: Runner,
    /// What is told about it all.
    pub telemetry: Telemetry,
}

/// What is looked at and changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Infrastructure {
    /// A directory of manifests.
    Directory {
        /// Its root: absolute, without symbolic links, an existing folder.
        tree: PathBuf,
    },
    /// A cluster.
    Kubernetes(Cluster),
}

/// A cluster, by the kubeconfig of each identity: absolute, without symbolic links, existing files
/// that only their owner reads, no two the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The viewer's: reads, and dry-runs.
    pub viewer: PathBuf,
    /// The runners': makes namespaces, and rights within the ceilings that administrators gave.
    pub provisioner: PathBuf,
    /// The reaper's: removes what expired.
    pub reaper: PathBuf,
    /// How long the API server may work on one write, 5 to 300 seconds.
    pub request_timeout: Duration,
    /// How jobs act.
    pub job_identity: JobIdentity,
}

impl Infrastructure {
    /// For people, in a few words: `tree /srv/manifests`, `a Kubernetes cluster`.
    pub fn words(&self) -> String {
        match self {
            Self::Directory { tree } => format!("tree {}", tree.display()),
            Self::Kubernetes(_) => "a Kubernetes cluster".to_owned(),
        }
    }
}

impl Cluster {
    /// Each identity's name and kubeconfig.
    pub fn identities(&self) -> [(&'static str, &Path); 3] {
        [
            ("viewer", self.viewer.as_path()),
            ("provisioner", &self.provisioner),
            ("reaper", &self.reaper),
        ]
    }
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

impl Edge {
    /// What stands against the address, and the remedy, where other machines reach it: the edge
    /// speaks plain HTTP.
    pub fn exposure(&self) -> Option<(String, &'static str)> {
        let problem = format!(
            "`{}` is reached by other machines in plain HTTP: agents' tokens and all answers can \
             be read on the way",
            self.listen
        );
        let remedy =
            "listen on 127.0.0.1 behind a proxy that speaks TLS, and name its host in `edge.hosts`";
        (!self.listen.ip().is_loopback()).then_some((problem, remedy))
    }
}

/// How it all ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serve {
    /// How long running jobs may take to finish after the signal to stop, 1 to 600 seconds.
    pub drain: Duration,
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
    /// Where the trust file, the policy and the plugins lie that roles use: the copies of this
    /// start, once it has them.
    pub served: Home,
    /// `cofferdam.toml`.
    pub config: Config,
    /// `agents.toml`.
    pub agents: Agents,
    /// `trust.toml`.
    pub trust: Trust,
}

impl Installation {
    /// Reads and checks all three files. Reports every fault of all of them.
    pub fn read(home: Home) -> Result<Self, ConfigErrors> {
        if !is_made(&home) {
            let problem = format!("there is no installation at `{}`", home.root().display());
            return Err(ConfigErrors(vec![ConfigError::new("home", "", problem, MAKE)]));
        }
        let mut errors = Vec::new();
        let agents =
            Agents::read(&home.agents()).map_err(|error| errors.push(error)).unwrap_or_default();
        let trust = read_trust(&home).map_err(|error| errors.push(error)).ok();
        errors.extend(
            SECRETS.into_iter().filter_map(|secret| paths::open_to_others(&home.secret(secret))),
        );
        let config = match paths::text(&home.config(), &restore(&home, "cofferdam.toml")) {
            Ok(text) => file::check(&text, &home, &mut errors),
            Err(error) => {
                errors.push(error);
                None
            }
        };
        if let Some(config) = &config {
            check_together(
                config,
                &agents,
                trust.as_ref().map(|trust| &trust.environment),
                &mut errors,
            );
        }
        match (config, trust) {
            (Some(config), Some(trust)) if errors.is_empty() => {
                Ok(Self { served: home.clone(), home, config, agents, trust })
            }
            _ => Err(ConfigErrors(errors)),
        }
    }
}

impl Config {
    /// Reads and checks `cofferdam.toml` alone.
    pub fn read(home: &Home) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let text = paths::text(&home.config(), &restore(home, "cofferdam.toml"))
            .map_err(|error| ConfigErrors(vec![error]))?;
        match file::check(&text, home, &mut errors) {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// What configuration and trust file do not agree on.
pub fn disagreements(config: &Config, trust: &Trust) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    check_environment(config, &trust.environment, &mut errors);
    errors
}

/// What the files must agree on.
fn check_together(
    config: &Config,
    agents: &Agents,
    trusted: Option<&Environment>,
    errors: &mut Vec<ConfigError>,
) {
    if !config.edge.listen.ip().is_loopback() && agents.list().is_empty() {
        errors.push(ConfigError::new(
            "cofferdam.toml",
            "edge.listen",
            format!(
                "`{}` can be reached from other machines, and no agent is configured",
                config.edge.listen
            ),
            "listen on 127.0.0.1, or add an agent first: `cofferdam agents add NAME --role R \
             --for PERSON`",
        ));
    }
    if let Some(trusted) = trusted {
        check_environment(config, trusted, errors);
    }
}

fn check_environment(config: &Config, trusted: &Environment, errors: &mut Vec<ConfigError>) {
    if trusted.name != config.environment {
        errors.push(ConfigError::new(
            "cofferdam.toml",
            "environment.name",
            format!(
                "`{}` is not the environment of trust.toml, which is `{}`",
                config.environment, trusted.name
            ),
            "give both the same name; a new environment needs a home of its own",
        ));
    }
    // The id in the trust file is what plans and approvals are good for: a cluster's must never be
    // used for a directory, nor the reverse.
    let cluster = matches!(config.infrastructure, Infrastructure::Kubernetes(_));
    if trusted.is_cluster() != cluster {
        let (key, problem) = if cluster {
            ("kubernetes", "trust.toml is for a directory, not for a cluster")
        } else {
            ("directory", "trust.toml is for a cluster, not for a directory")
        };
        errors.push(ConfigError::new(
            "cofferdam.toml",
            key,
            problem,
            "make another home with `cofferdam --home DIR init`",
        ));
    }
}

/// Returns whether anything of an installation lies there.
pub fn is_made(home: &Home) -> bool {
    let made = [home.config(), home.trust(), home.agents(), home.keys(), home.store()];
    // What may not be looked at is there: only its absence is none.
    made.iter().any(|path| !matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound))
}

/// What to do about a file that is lost. Never `init` where a home was made: it would make another
/// environment, whose ledger the stored one is not.
fn restore(home: &Home, file: &str) -> String {
    if is_made(home) {
        format!("restore `{file}` from a backup of this home")
    } else {
        MAKE.to_owned()
    }
}

/// What to do where no installation is.
const MAKE: &str = "make one with `cofferdam init TREE`, or name another folder with `--home DIR`";

/// Reads and checks `trust.toml`.
pub fn read_trust(home: &Home) -> Result<Trust, ConfigError> {
    let text = paths::text(&home.trust(), &restore(home, "trust/trust.toml"))?;
    match Trust::parse(&text) {
        Ok(trust) => Ok(trust),
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {}", cause.to_string().trim()))
                .unwrap_or_default();
            Err(ConfigError::new(
                "trust.toml",
                "",
                format!("{error}{cause}"),
                &restore(home, "trust/trust.toml"),
            ))
        }
    }
}
