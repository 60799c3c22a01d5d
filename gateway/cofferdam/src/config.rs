//! The configuration of `serve`, checked before anything starts. All errors are reported together,
//! each with its key and its remedy. A setting about permissions never has a default.

mod agents;
pub mod authority;
pub mod ended_tokens;
mod error;
mod file;
pub mod home;
mod infrastructure;
mod issuers;
mod limits;
pub mod links;
mod neighbours;
mod notify;
mod oauth;
mod paths;
mod people;
mod retention;
pub mod store;
mod template;
#[cfg(test)]
mod tests;
mod tls;
mod toml_reader;
pub mod trust_file;

pub use agents::{Agent, Agents, TOKEN_PREFIX, valid_name};
pub use error::{ConfigError, ConfigErrors};
pub use infrastructure::REQUEST_TIMEOUT;
pub use issuers::Courier;
pub use links::Links;
pub use notify::Notify;
pub use paths::overlaps;
pub use people::People;
pub use template::template;
pub use tls::Tls;

use crate::config::home::{Home, SECRETS};
use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::model::retention::Retention;
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_settings::{
    DatabaseSettings, JobIdentity, Limits, OauthSettings,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default address for agents.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8620);

/// The checked content of `cofferdam.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name of the environment: 1 to 40 of `a-z`, `0-9` and `-`.
    pub environment: String,
    /// The directory or the cluster that is read and changed.
    pub infrastructure: Infrastructure,
    /// The settings of the edge.
    pub edge: Edge,
    /// The issuers that the courier reaches; `None` without an issuer.
    pub courier: Option<Courier>,
    /// The issuer of people at the console; `None` where they have passkeys alone.
    pub people: Option<People>,
    /// The limits of each agent.
    pub limits: Limits,
    /// The budgets of each agent in the store.
    pub budgets: Budgets,
    /// The settings of the stop.
    pub serve: Serve,
    /// The settings of the runners.
    pub runner: Runner,
    /// The database of the store; `None` for the file in the home.
    pub store: Option<DatabaseSettings>,
    /// The times after which rows of the store are removed.
    pub retention: Retention,
    /// The settings of logs, traces and metrics.
    pub telemetry: Telemetry,
    /// The receivers of notifications.
    pub notify: Vec<Notify>,
    /// The links of the one role of this home; `None` for a home with every role.
    pub links: Option<Links>,
}

/// The directory or the cluster that is read and changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Infrastructure {
    /// A directory of Kubernetes manifests.
    Directory {
        /// The root: an absolute path without symbolic links, to an existing folder.
        tree: PathBuf,
    },
    /// A Kubernetes cluster.
    Kubernetes(Cluster),
}

/// A cluster with the kubeconfig of each identity: absolute paths without symbolic links, to
/// different existing files that only their owner can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The kubeconfig of the viewer: reads and dry runs.
    pub viewer: PathBuf,
    /// The kubeconfig of the runners: creates namespaces, and rights within the ceilings of the
    /// administrators.
    pub provisioner: PathBuf,
    /// The kubeconfig of the reaper: removes expired objects.
    pub reaper: PathBuf,
    /// The time limit of the API server for one write, 5 to 300 seconds.
    pub request_timeout: Duration,
    /// The identity of jobs.
    pub job_identity: JobIdentity,
}

impl Infrastructure {
    /// The credentials of this infrastructure, each with its key in the configuration.
    pub fn credentials(&self) -> Vec<(String, &Path)> {
        match self {
            Self::Directory { .. } => Vec::new(),
            Self::Kubernetes(cluster) => {
                cluster.identities().map(|(name, file)| (format!("kubernetes.{name}"), file)).into()
            }
        }
    }

    /// A short description for people: `tree /srv/manifests`, `a Kubernetes cluster`.
    pub fn words(&self) -> String {
        match self {
            Self::Directory { tree } => format!("tree {}", tree.display()),
            Self::Kubernetes(_) => "a Kubernetes cluster".to_owned(),
        }
    }
}

impl Cluster {
    /// The name and the kubeconfig of each identity.
    pub fn identities(&self) -> [(&'static str, &Path); 3] {
        [
            ("viewer", self.viewer.as_path()),
            ("provisioner", &self.provisioner),
            ("reaper", &self.reaper),
        ]
    }
}

/// The settings of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The listening address. Loopback unless agents are configured.
    pub listen: SocketAddr,
    /// The files of TLS; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// The proxy that speaks TLS in front of this server, in the operator's words.
    pub behind_proxy: Option<String>,
    /// The accepted values of `Origin`; a request without one is always accepted.
    pub origins: Vec<String>,
    /// The accepted values of `Host`, besides the listening address and `localhost`.
    pub hosts: Vec<String>,
    /// The proxies whose word on the client's address is believed: addresses and blocks.
    pub trusted_proxies: Vec<String>,
    /// The address at which people open pages, where it is configured.
    pub url: Option<RelyingParty>,
    /// The longest time that a call is held, 1 to 55 seconds.
    pub wait: Duration,
    /// The issuers of access tokens.
    pub oauth: Option<OauthSettings>,
}

impl Edge {
    /// The error, if other machines can reach the address in plain HTTP and no proxy is named.
    pub fn exposure(&self) -> Option<ConfigError> {
        let problem = format!(
            "`{}` is reached by other machines in plain HTTP: agents' tokens and all answers can \
             be read on the way",
            self.listen
        );
        let remedy = "name a certificate and its key in `[edge.tls]`; or, if a proxy in front \
                      speaks TLS, name it: behind_proxy = \"nginx at 10.0.0.5\"";
        let exposed =
            !self.listen.ip().is_loopback() && self.tls.is_none() && self.behind_proxy.is_none();
        exposed.then(|| ConfigError::new("cofferdam.toml", "edge.listen", problem, remedy))
    }

    /// The warning, if a proxy is named and none is trusted.
    pub fn shared_address(&self) -> Option<ConfigError> {
        let proxy = self.behind_proxy.as_ref().filter(|_| self.trusted_proxies.is_empty())?;
        let problem = format!(
            "clients of `{proxy}` count as one address, its own: one client without a valid token \
             can use up the limit of all"
        );
        let remedy = "name the proxy's address: trusted_proxies = [\"10.0.0.5\"]";
        Some(ConfigError::new("cofferdam.toml", "edge.trusted_proxies", problem, remedy))
    }

    /// The address at which people open pages: the configured one, or `localhost` where this server
    /// is reached from its own machine. `None` if browsers offer no passkeys at its address.
    pub fn people(&self) -> Option<RelyingParty> {
        let own = || {
            let (scheme, port) = (self.scheme(), self.listen.port());
            let is_usual = port == if self.tls.is_some() { 443 } else { 80 };
            let port = if is_usual { String::new() } else { format!(":{port}") };
            RelyingParty::read(&format!("{scheme}://localhost{port}")).ok()
        };
        self.url.clone().or_else(|| own().filter(|_| self.listen.ip().is_loopback()))
    }

    /// The scheme of this server: `https` with TLS, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The address of this server for people: the configured one; else, as far as the configuration
    /// knows it, the server of the resource that agents reach, or a configured host, or this machine.
    pub fn public_url(&self) -> String {
        let resource = || {
            let (scheme, rest) = self.oauth.as_ref()?.resource.split_once("://")?;
            Some(format!("{scheme}://{}", rest.split('/').next()?))
        };
        let named = || {
            let https = self.tls.is_some() || self.behind_proxy.is_some();
            let scheme = if https { "https" } else { "http" };
            self.hosts.first().map(|host| format!("{scheme}://{host}"))
        };
        let configured = self.url.as_ref().map(|party| party.origin().to_owned());
        let local = || self.people().map_or_else(|| self.url(), |party| party.origin().to_owned());
        configured.or_else(resource).or_else(named).unwrap_or_else(local)
    }

    /// The address of this server for clients on this machine: `https://127.0.0.1:8620`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.listen)
    }
}

/// The settings of the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serve {
    /// The time limit of running jobs after the signal to stop, 1 to 600 seconds.
    pub drain: Duration,
}

/// The settings of the runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runner {
    /// The number of runners, 1 to 16; each runs one job at a time.
    pub seats: u8,
    /// The length of a lease without a heartbeat, 3 to 300 seconds.
    pub lease: Duration,
    /// The most jobs that wait for a runner, 1 to 1,000,000.
    pub max_queued: u64,
}

/// The settings of logs, traces and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// The base URL of an OTLP/HTTP collector; `None` exports nothing.
    pub otlp: Option<String>,
    /// The format of log lines.
    pub format: LogFormat,
    /// The filter of log lines: a level, or directives of `tracing`.
    pub level: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object for each line, for programs.
    Json,
}

/// The files that `serve` reads at its start.
#[derive(Debug)]
pub struct Installation {
    /// The folder of the installation.
    pub home: Home,
    /// The home with the trust file, the policy and the plugins that roles use: the copies, once
    /// they exist.
    pub served: Home,
    /// The checked `cofferdam.toml`.
    pub config: Config,
    /// The checked `agents.toml`.
    pub agents: Agents,
    /// The checked `trust.toml`.
    pub trust: Trust,
}

impl Installation {
    /// Reads and checks all three files. Returns every error of all of them.
    pub fn read(home: Home) -> Result<Self, ConfigErrors> {
        if !is_made(&home) {
            let problem = format!("there is no installation at `{}`", home.root().display());
            return Err(ConfigErrors(vec![ConfigError::new("home", "", problem, MAKE)]));
        }
        let mut errors = Vec::new();
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
        let faces = config.as_ref().is_none_or(|config| config.has_role(LinkRole::Gateway));
        let agents = match faces.then(|| Agents::read(&home.agents())).transpose() {
            Ok(agents) => agents.unwrap_or_default(),
            Err(error) => {
                errors.insert(0, error);
                Agents::default()
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
    /// The one role of this home; `None` for a home with every role.
    pub fn role(&self) -> Option<LinkRole> {
        self.links.as_ref().map(|links| links.role)
    }

    /// Returns whether this home has the files of a role.
    pub fn has_role(&self, role: LinkRole) -> bool {
        has_role(self.role(), role)
    }

    /// Returns whether the courier is started: there is an issuer, or a receiver of notifications.
    pub fn has_courier(&self) -> bool {
        self.courier.is_some() || !self.notify.is_empty()
    }

    /// Reads and checks only `cofferdam.toml`.
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

/// Returns whether a home has the files of a role. `own`: its one role, or `None` for every role.
pub fn has_role(own: Option<LinkRole>, role: LinkRole) -> bool {
    own.is_none_or(|own| own == role)
}

/// The contradictions between the configuration and the trust file.
pub fn disagreements(config: &Config, trust: &Trust) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    check_environment(config, &trust.environment, &mut errors);
    errors
}

/// Checks that the files agree.
fn check_together(
    config: &Config,
    agents: &Agents,
    trusted: Option<&Environment>,
    errors: &mut Vec<ConfigError>,
) {
    errors.extend(config.links.iter().flat_map(|links| links.neighbours(config)));
    errors.extend(links::alone(config));
    if config.has_role(LinkRole::Gateway) {
        check_edge(config, agents, errors);
    }
    if let Some(trusted) = trusted {
        check_environment(config, trusted, errors);
    }
}

/// Checks that the address for agents fits the agents.
fn check_edge(config: &Config, agents: &Agents, errors: &mut Vec<ConfigError>) {
    let none = agents.list().is_empty() && config.edge.oauth.is_none();
    // Through a proxy of this machine, other machines come from this machine's address.
    if none && (!config.edge.listen.ip().is_loopback() || config.edge.behind_proxy.is_some()) {
        errors.push(ConfigError::new(
            "cofferdam.toml",
            "edge.listen",
            format!(
                "`{}` can be reached from other machines, and no agent is configured",
                config.edge.listen
            ),
            "listen on 127.0.0.1, or add an agent first: `cofferdam agents add NAME --role R \
             --for PERSON`; or name an issuer of access tokens in `[edge.oauth]`",
        ));
    }
    errors.extend(config.edge.exposure());
    errors.extend(config.edge.tls.iter().flat_map(|tls| tls.neighbours(config)));
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
    // Plans and approvals are bound to the id in the trust file: the id of a cluster must never be
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

/// Returns whether the home has any file of an installation.
pub fn is_made(home: &Home) -> bool {
    let made = [home.config(), home.trust(), home.agents(), home.keys(), home.store()];
    // An unreadable file counts as present.
    made.iter().any(|path| {
        !matches!(path.symlink_metadata(),
    Err(error) if error.kind() == std::io::ErrorKind::NotFound)
    })
}

/// The remedy for a lost file. Never `init` on an existing home: it would make another environment,
/// and the stored ledger would not belong to it.
fn restore(home: &Home, file: &str) -> String {
    if is_made(home) {
        format!("restore `{file}` from a backup of this home")
    } else {
        MAKE.to_owned()
    }
}

/// Checks that the home has any file of an installation, for commands that read only one of them.
///
/// # Errors
/// The home has none.
pub fn require_made(home: &Home) -> anyhow::Result<()> {
    match is_made(home) {
        true => Ok(()),
        false => anyhow::bail!("there is no installation at `{}`; {MAKE}", home.root().display()),
    }
}

/// The remedy for a missing installation.
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
