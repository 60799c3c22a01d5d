//! The settings of each role: the first packet on its control socket. Paths and numbers, never a
//! secret; a role reads its own keys from the files named here before it confines itself. Times are
//! in milliseconds.
// LONG: the settings of every role, one after the other.

use crate::model::budget::Budgets;
use crate::model::console_role::ConsoleRole;
use crate::model::notification::Receiver;
use crate::model::retention::Retention;
use crate::model::run::JobStep;
use crate::model::trust::Environment;
use crate::model::web_address::WebAddress;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The settings of a role's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// The log lines to write: a level, or directives as `tracing` has them.
    pub level: String,
    /// True for one JSON object a line instead of text for people.
    pub json: bool,
    /// True if spans are collected: a collector is configured to read them.
    pub spans: bool,
}

/// The name of the link to the copies in use, in the folder of all copies.
pub const IN_USE: &str = "current";

/// The settings of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// The environment of this installation.
    pub environment: Environment,
    /// Its own copy of the trust file.
    pub trust_file: PathBuf,
    /// Folder of the copies of every load, which the role may read: a reload adds one.
    pub copies: PathBuf,
    /// The agents and their tokens' digests; read again when it changes.
    pub agents_file: PathBuf,
    /// The home, to read the free space of its disk.
    pub disk: PathBuf,
    /// Folder of tools, a `NAME.wasm` each.
    pub tools: PathBuf,
    /// Folder of executors, a `NAME.wasm` each.
    pub executors: PathBuf,
    /// The file of the policy's module.
    pub policy_module: PathBuf,
    /// The policy's data document.
    pub policy_data: PathBuf,
    /// The key that signs permits.
    pub permit_key: PathBuf,
    /// The MAC key of its compiled artefacts.
    pub artefact_key: PathBuf,
    /// Folder of its compiled artefacts.
    pub artefacts: PathBuf,
    /// The binary `cofferdam-guest`, which compiles.
    pub guest: PathBuf,
    /// True if callers without a token may be served while no agent is configured.
    pub anonymous: bool,
    /// The address it is reached at, for `Host` and for texts.
    pub listen: String,
    /// The files of its TLS; `None` for plain HTTP.
    pub tls: Option<TlsSettings>,
    /// True if a courier is started, for issuers of access tokens.
    pub courier: bool,
    /// Values of `Origin` that are answered.
    pub origins: Vec<String>,
    /// Values of `Host` that are answered besides the address.
    pub hosts: Vec<String>,
    /// The origin of pages for people, to which their passkeys belong; `None` without passkeys.
    pub people: Option<String>,
    /// The issuers of access tokens; `None` where only the tokens of the agents file are taken.
    pub oauth: Option<OauthSettings>,
    /// The issuer of people at the console; `None` where they have passkeys alone.
    pub people_issuer: Option<PeopleIssuer>,
    /// The proxies whose word on the client's address is believed: addresses and blocks.
    pub trusted_proxies: Vec<String>,
    /// True if a proxy is in front: a client on this machine may then be one of elsewhere.
    pub behind_proxy: bool,
    /// How long a call is held, in milliseconds.
    pub wait_ms: u64,
    /// The limits of each caller.
    pub limits: Limits,
    /// Base URL of an OTLP/HTTP collector; with `None` nothing is exported.
    pub otlp: Option<String>,
    /// True if the other roles are on other hosts.
    pub links: bool,
}

/// The files of TLS, as PEM; read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate of the server, and those that lead to its authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients; `None` if no client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// The folders of these files, and of the files that they link to.
    pub folders: Vec<PathBuf>,
}

/// The check of access tokens (OAuth 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthSettings {
    /// The URL of the MCP endpoint as agents reach it: the `resource` of RFC 8707 and RFC 9728.
    pub resource: String,
    /// How far the clocks of this machine and of an issuer may differ, in seconds.
    pub skew_seconds: i64,
    /// The scope of a token that lists, previews and follows.
    pub read_scope: String,
    /// The scope of a token that calls tools. It includes the other one.
    pub call_scope: String,
    /// The text before each scope when a client asks for it; empty for most issuers.
    pub scope_prefix: String,
    /// The issuers, at least one.
    pub issuers: Vec<IssuerSettings>,
}

/// One issuer of access tokens, and the meaning of its claims. A claim is named by the name of a
/// member of the token, or by a JSON pointer, which begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The short name, first in the names of its principals.
    pub name: String,
    /// The claim `iss` of its tokens.
    pub issuer: String,
    /// The value that the claim `aud` of its tokens must have.
    pub audience: String,
    /// The permitted signature algorithms (RFC 7518), at least one.
    pub algorithms: Vec<String>,
    /// True if the header `typ` may be `JWT` or missing, for issuers before RFC 9068.
    pub plain_jwt: bool,
    /// True if opaque tokens are given to this issuer (RFC 7662).
    pub introspection: bool,
    /// Claims with the value that each must have.
    pub required_claims: BTreeMap<String, String>,
    /// The claim with the id of the client; empty for `client_id`, then `azp`.
    pub client_claim: String,
    /// The claim with the name of the person.
    pub person_claim: String,
    /// True if a token without this claim is taken, as one that acts for no person.
    pub person_optional: bool,
    /// The roles of every token.
    pub roles: Vec<String>,
    /// The claim with the groups or roles of the issuer; empty if there is none.
    pub roles_claim: String,
    /// The role for each value of that claim. Other values have no meaning.
    pub roles_of: BTreeMap<String, String>,
    /// The claim with the scopes; empty for `scope`, then `scp`.
    pub scopes_claim: String,
}

/// The issuer of people at the console (OpenID Connect), and the meaning of its claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleIssuer {
    /// The claim `iss` of its ID tokens.
    pub issuer: String,
    /// The id of this server at the issuer: the one value of the claim `aud`.
    pub client_id: String,
    /// The permitted signature algorithms (RFC 7518), at least one.
    pub algorithms: Vec<String>,
    /// The scopes that a sign-in asks for; `openid` is among them.
    pub scopes: Vec<String>,
    /// The claim with the name of the person.
    pub name_claim: String,
    /// The claim with the groups of the person.
    pub groups_claim: String,
    /// The roles of each group: auditor and operator alone.
    pub roles_of: BTreeMap<String, Vec<ConsoleRole>>,
}

/// The limits of each caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a second, 1 to 1,000,000.
    pub requests_per_second: u32,
    /// The most requests at once after a pause, 1 to 1,000,000.
    pub burst: u32,
    /// The most calls in progress, 1 to 512.
    pub calls: u32,
    /// The most requests that are held for a person or a job, 1 to 512.
    pub waits: u32,
    /// Requests a second of one address without a valid token, 1 to 1,000,000.
    pub without_token_per_second: u32,
}

/// The PostgreSQL database of the store. Never has a password: only the path of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The name or the address of the server.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// The user of the database.
    pub user: String,
    /// The name of the database.
    pub database: String,
    /// The file with the password; `None` if the server asks for none.
    pub password_file: Option<PathBuf>,
    /// The file with the certificates of the server's authorities, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The check of the server.
    pub tls: DatabaseTls,
}

/// The check of the database server by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseTls {
    /// TLS; the certificate is of a known authority, and has the name of the server.
    VerifyFull,
    /// TLS; the certificate is of a known authority, and may have another name.
    VerifyCa,
    /// No TLS: for a server on this machine.
    Off,
}

impl DatabaseSettings {
    /// The database for people: `HOST:PORT/DATABASE`.
    pub fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

/// The settings of the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderSettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// The environment of this installation.
    pub environment: Environment,
    /// Its own copy of the trust file; read again when it changes.
    pub trust_file: PathBuf,
    /// Folder of the copies of every load, which the role may read: a reload adds one.
    pub copies: PathBuf,
    /// Folder of its database.
    pub store: PathBuf,
    /// The database that takes the place of a file in that folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSettings>,
    /// Folder of the ledger's tiles and checkpoints.
    pub ledger: PathBuf,
    /// The key that signs checkpoints.
    pub checkpoint_key: PathBuf,
    /// Where operator commands reach it; its folder exists and is private.
    pub operator_socket: PathBuf,
    /// Seconds after which a lease without a heartbeat is lost.
    pub lease_seconds: u64,
    /// True if a runner that claimed from a recorder before this one may go on.
    pub keeps_leases: bool,
    /// True if gateways and runners of other hosts have links to it.
    pub links: bool,
    /// The most jobs that wait in the queue.
    pub max_queued: u64,
    /// The budgets of each principal.
    pub budgets: Budgets,
    /// The times after which rows of the store are removed.
    pub retention: Retention,
    /// The receivers of notifications.
    pub receivers: Vec<Receiver>,
    /// The roles that people by the issuer of `people.oidc` may have; empty without one.
    pub oidc_roles: Vec<ConsoleRole>,
}

/// The infrastructure that plans read and change, as one role reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "backend", deny_unknown_fields)]
pub enum Infrastructure {
    /// A tree of manifests.
    Directory {
        /// The root of the tree.
        tree: PathBuf,
    },
    /// A Kubernetes cluster.
    Kubernetes {
        /// The kubeconfig of this role's own identity.
        kubeconfig: PathBuf,
        /// How long the API server may work on one write of a runner, in milliseconds: a whole
        /// number of seconds.
        write_ms: u64,
    },
}

/// How a job acts at a cluster's API server: as its own ServiceAccount in either way, so that RBAC
/// and the fences hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobIdentity {
    /// By a token of its own, which expires with the run.
    Token,
    /// By impersonation: the provisioner's connection names the ServiceAccount in each request.
    /// Needs `deploy/options/impersonation.yaml`.
    Impersonation,
}

impl JobIdentity {
    /// The word for configuration and commands.
    pub fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Impersonation => "impersonation",
        }
    }

    /// Reads the text form back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Token, Self::Impersonation].into_iter().find(|known| known.word() == word)
    }
}

/// The settings of the viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewerSettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// The environment of this installation.
    pub environment: Environment,
    /// Its own copy of the trust file; read again when it changes.
    pub trust_file: PathBuf,
    /// Folder of the copies of every load, which the role may read: a reload adds one.
    pub copies: PathBuf,
    /// The infrastructure that the viewer reads.
    pub infrastructure: Infrastructure,
    /// True if gateways of other hosts have links to it.
    pub links: bool,
}

/// The settings of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerSettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// The environment of this installation.
    pub environment: Environment,
    /// Its own copy of the trust file; read again for each job.
    pub trust_file: PathBuf,
    /// Folder of the copies of every load, which the role may read: a reload adds one.
    pub copies: PathBuf,
    /// The infrastructure that the runner changes.
    pub infrastructure: Infrastructure,
    /// Folder of the jobs' private copies, of a directory; and of the marks of drills.
    pub runs: PathBuf,
    /// Folder of the write-back journal of a directory.
    pub journal: PathBuf,
    /// Folder of tools, a `NAME.wasm` each.
    pub tools: PathBuf,
    /// Folder of executors, a `NAME.wasm` each.
    pub executors: PathBuf,
    /// Folder of commands of tasks, a `NAME.wasm` each.
    pub commands: PathBuf,
    /// The file of the policy's module.
    pub policy_module: PathBuf,
    /// The policy's data document.
    pub policy_data: PathBuf,
    /// The MAC key of its compiled artefacts.
    pub artefact_key: PathBuf,
    /// Folder of its compiled artefacts.
    pub artefacts: PathBuf,
    /// The path of `cofferdam-guest`.
    pub guest: PathBuf,
    /// How a job acts at a cluster's API server; without meaning for a directory.
    pub job_identity: JobIdentity,
    /// Milliseconds since the self-check of a runner with the same credential passed in this
    /// installation. `None` if no runner passed it.
    pub checked_ms: Option<u64>,
    /// A drill: the runner kills itself right after this step of a job's first run.
    pub drill: Option<JobStep>,
}

/// The settings of the reaper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReaperSettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// The environment of this installation.
    pub environment: Environment,
    /// The kubeconfig of the reaper's own identity.
    pub kubeconfig: PathBuf,
}

/// The settings of the courier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourierSettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// A file of PEM certificates that the courier trusts in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The issuers that it may reach.
    pub issuers: Vec<IssuerConnection>,
    /// The name of the environment, for notifications.
    pub environment: String,
    /// The address of the gateway for people: `https://cofferdam.example.com`.
    pub base: String,
    /// The receivers of notifications.
    pub receivers: Vec<ReceiverSettings>,
    /// True if recorder and gateways are on other hosts.
    pub links: bool,
}

/// A receiver of notifications, as the courier reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverSettings {
    /// The name of the configuration.
    pub name: String,
    /// True if it is told that the ledger cannot be written. The outbox cannot store that.
    pub unwritable: bool,
    /// The format and the address.
    pub kind: ReceiverKind,
    /// The file with its secret, readable by its owner alone; `None` without a secret.
    pub secret_file: Option<PathBuf>,
    /// A file of PEM certificates that are trusted in place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The format of a receiver, and its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum ReceiverKind {
    /// JSON, signed with the secret (Standard Webhooks).
    Webhook {
        /// The address.
        url: WebAddress,
    },
    /// An incoming webhook of Slack. The secret is its URL.
    Slack,
    /// A workflow of Microsoft Teams. The secret is its URL.
    Teams,
    /// A topic of ntfy. The secret is an access token.
    Ntfy {
        /// The address of the topic.
        url: WebAddress,
    },
    /// PagerDuty (Events API version 2). The secret is the routing key.
    Pagerduty {
        /// The address of the events.
        url: WebAddress,
    },
    /// E-mail. The secret is the password of the user.
    Mail {
        /// The mail server.
        server: MailServer,
        /// The user at the mail server; `None` without a sign-in.
        user: Option<String>,
        /// The sender.
        from: String,
        /// The recipients, at least one.
        to: Vec<String>,
    },
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// The name or the address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// True if TLS begins with the connection; false if it begins with STARTTLS.
    pub implicit_tls: bool,
}

/// An issuer of access tokens, as the courier reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConnection {
    /// The issuer, exactly as its tokens and its metadata name it.
    pub issuer: WebAddress,
    /// The address of its keys; `None` to read it from its metadata.
    pub jwks_uri: Option<WebAddress>,
    /// The client for introspection; `None` without introspection.
    pub introspection: Option<IntrospectionClient>,
    /// The client for sign-ins of people; `None` for an issuer of access tokens alone.
    pub sign_in: Option<SignInClient>,
}

/// The client that exchanges the code of a person's sign-in for an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInClient {
    /// The page where people sign in; `None` to read it from the metadata of the issuer.
    pub authorization_endpoint: Option<WebAddress>,
    /// The address of the exchange; `None` to read it from the metadata of the issuer.
    pub token_endpoint: Option<WebAddress>,
    /// The id of the client at the issuer.
    pub client_id: String,
    /// The file with the secret of the client, readable by its owner alone.
    pub secret_file: PathBuf,
}

/// The client that asks an issuer about opaque tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionClient {
    /// The address of the introspection; `None` to read it from the metadata of the issuer.
    pub endpoint: Option<WebAddress>,
    /// The id of the client at the issuer.
    pub client_id: String,
    /// The file with the secret of the client, readable by its owner alone.
    pub secret_file: PathBuf,
}

/// The settings of `cofferdam-runner`: one of its three roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
#[expect(clippy::large_enum_variant, reason = "made and read once, at a role's start")]
pub enum ActorSettings {
    /// The viewer, which reads.
    Viewer(ViewerSettings),
    /// The runner, which changes.
    Runner(RunnerSettings),
    /// The reaper, which removes objects that other runners left in a cluster.
    Reaper(ReaperSettings),
}
