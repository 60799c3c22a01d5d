//! The configuration that `init` writes: every key with its purpose and its default. A test
//! compares it with the reader.

use super::{Cluster, Infrastructure};
use std::net::SocketAddr;
use std::path::Path;

/// The text of a new `cofferdam.toml`.
pub fn template(environment: &str, infrastructure: &Infrastructure, listen: SocketAddr) -> String {
    let infrastructure = match infrastructure {
        Infrastructure::Directory { tree } => directory(tree),
        Infrastructure::Kubernetes(cluster) => kubernetes(cluster),
    };
    format!(
        r#"# The configuration of Cofferdam. `cofferdam serve` reads it at its start; `cofferdam doctor` checks
# it. Unknown keys are errors. Commands write the agents (agents.toml) and the trust file (trust.toml).

[environment]
# The name of this infrastructure, as in trust.toml. Every result and every approval has it.
name = "{environment}"

{infrastructure}
[edge]
# The address for agents. Without configured agents it must be an address of this machine. If other
# machines reach it, they need TLS: of this server ([edge.tls] below), or of a proxy in front.
listen = "{listen}"
# The proxy in front that speaks TLS, in your words. Only needed for an address that other machines
# reach in plain HTTP. Add the name of the proxy to `hosts`.
# behind_proxy = "nginx at 10.0.0.5"
# The web origins whose requests are accepted. A request without an origin is always accepted.
origins = []
# Further host names of this address, such as the name of a proxy.
hosts = []
# The proxies in front, as addresses or blocks ("10.0.0.0/8"). They name the client's address in
# `Forwarded` or `X-Forwarded-For`; the header of any other peer is not believed.
trusted_proxies = []
# The address at which people open pages, to approve with a passkey: https://NAME, with the port if it
# is not 443. A passkey belongs to this name for ever. Without it, pages are for this machine alone.
# url = "https://cofferdam.example.com"
# The longest time that a call is held, in seconds (1 to 55: clients give up after 60).
wait_seconds = 45

# TLS of this server. The files are PEM, and are read again when they change. The gateway may read
# their whole folders.
# [edge.tls]
# certificate = "/etc/cofferdam/tls/server.pem"
# key = "/etc/cofferdam/tls/server.key"
# The authorities of clients: a client may then show a certificate of one of them.
# client_ca = "/etc/cofferdam/tls/clients.pem"

# Agents can sign in at an identity provider, beside those of agents.toml: see docs/oauth.md for the
# keys of [edge.oauth].

[limits]
# What each agent may use. More gets 429 with Retry-After. Raise a value if `cofferdam status` or the
# log names an agent that does its work.
# Requests a second (1 to 1000000), and the requests that may come at once after a pause.
requests_per_second = 200
burst = 2000
# Calls in progress (1 to 512, which is the limit for all agents together).
calls = 128
# Requests that are held for a person or for the end of a job (1 to 512). They take no place of a call.
waits = 128
# Requests a second that one address may send without a valid token (1 to 1000000), ten times as many
# at once after a pause.
without_token_per_second = 50
# Calls that wait for a person (1 to 100000).
waiting_approvals = 100
# New jobs in a day of UTC (1 to 100000000).
jobs_per_day = 20000
# Ledger entries of calls in a day of UTC, in MiB (1 to 1000000): the first entry of each call, with
# its payloads. What runners and approvers write does not count.
ledger_mib_per_day = 1024

[serve]
# The time limit of running jobs after the signal to stop, in seconds (1 to 600). The next start
# continues unfinished jobs.
drain_seconds = 30

[runner]
# The number of runners (1 to 16). Each runs one job at a time.
seats = 2
# A runner that sends no heartbeat for this time loses its job to another one, in seconds (3 to 300).
# A runner sends three heartbeats in this time.
lease_seconds = 30
# The most jobs that wait for a runner (1 to 1000000). With more, and with a queue that takes longer
# than half of a permit's life, new calls get 503 with Retry-After.
max_queued = 50000

# The store is a file in this home. A PostgreSQL database can take its place: see docs/postgresql.md.
# [store]
# postgres = "postgresql://cofferdam@db.example.com:5432/cofferdam"
# The file with the password of that user, which no other user can read.
# password_file = "/etc/cofferdam/database.password"
# The authority of the server's certificate. TLS checks it and the name of the server; for a server
# on this machine, TLS is off. Anything else has to be named: tls = "verify-ca" or "off".
# ca_file = "/etc/cofferdam/database-ca.pem"

[retention]
# The times after which old rows are removed from the store: whole days ("90d"), hours ("36h"), or
# "forever". The ledger keeps its entries, and every proof stays valid.
# Closed jobs, by their outcome (at least 1d, and as long as idempotency keys).
closed_jobs = "90d"
# Idempotency keys, by their first use (at least 1d). A removed key is a new key.
idempotency_keys = "7d"
# Rejections by approvers (at least 1h, in which they are in effect).
rejections = "1d"
# Payloads of ledger entries: arguments, plans, previews, signatures (at least 8d).
payloads = "forever"

# People can be told when a call waits for them: see docs/notifications.md for the keys of
# [notify.NAME].

[telemetry]
# An OTLP/HTTP collector for traces and metrics (JSON). Prometheus reads the same metrics at
# /metrics.
# otlp = "http://127.0.0.1:4318"
# The format of the log: "text" for people, "json" for programs.
log_format = "text"
# The level of the log: error, warn, info, debug or trace.
log_level = "info"
"#
    )
}

/// Quotes a path as TOML.
fn quoted(path: &Path) -> toml_edit::Value {
    toml_edit::Value::from(path.to_string_lossy().into_owned())
}

fn directory(tree: &Path) -> String {
    format!(
        r#"[directory]
# The folder of Kubernetes manifests that is read and changed. It must not overlap with the home of
# Cofferdam.
tree = {}
"#,
        quoted(tree)
    )
}

fn kubernetes(
    Cluster { viewer, provisioner, reaper, request_timeout, job_identity }: &Cluster,
) -> String {
    let by = job_identity.word();
    format!(
        r#"[kubernetes]
# The kubeconfig of each identity (see deploy/README.md). Each role reads only its own.
# Reads all objects except Secrets, and makes dry runs.
viewer = {}
# Creates the run namespace and the rights of each job, within the ceilings of the administrators.
provisioner = {}
# Removes expired run namespaces and rights.
reaper = {}
# The time limit of the API server for one write of a runner, in seconds (5 to 300), with its admission
# webhooks. Each write has it as its `timeout`; a shorter --request-timeout of the server wins. After
# the loss of a runner, its writes are awaited for this time. Lower it only while no job is running.
request_timeout_seconds = {}
# The identity of a job: a "token" of its own, or "impersonation", which needs
# deploy/options/impersonation.yaml. With impersonation, the audit log names both identities.
job_identity = "{by}"
"#,
        quoted(viewer),
        quoted(provisioner),
        quoted(reaper),
        request_timeout.as_secs()
    )
}
