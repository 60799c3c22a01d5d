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
        r#"# Cofferdam's configuration. Read when `cofferdam serve` starts; unknown keys are errors; `cofferdam doctor` checks it.
# Beside it: agents.toml (who may connect), trust.toml (what is accepted), both written by commands.

[environment]
# What people call this infrastructure. It stands in every answer and approval; the same name stands in trust.toml.
name = "{environment}"

{infrastructure}
[edge]
# Where agents connect, in plain HTTP. Without configured agents only an address of this machine is allowed. An address that other machines reach shows
# them agents' tokens: listen on 127.0.0.1 behind a proxy that speaks TLS, and name its host in `hosts`.
listen = "{listen}"
# Web origins that may send requests. Programs send none and are always answered.
origins = []
# Further host names it is reached by, for instance behind a proxy.
hosts = []
# How long a call is held before it answers "still waiting", in seconds (1 to 55: clients give up at 60).
wait_seconds = 45

[serve]
# How long running jobs may take to finish after the signal to stop, in seconds (1 to 600). What is not finished then is taken up at the next start.
drain_seconds = 30

[runner]
# How many runners wait for jobs (1 to 16).
seats = 2
# A runner that sends no heartbeat for so long loses its job to another one, in seconds (3 to 300). It sends three in this time.
lease_seconds = 30

[telemetry]
# An OTLP/HTTP collector that gets traces and metrics (JSON). Prometheus reads the same metrics at /metrics.
# otlp = "http://127.0.0.1:4318"
# "text" for people, "json" for machines.
log_format = "text"
# error, warn, info, debug or trace.
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
# The folder of Kubernetes manifests that is looked at and changed. Nothing of Cofferdam may lie in it, nor it in Cofferdam's home.
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
# The kubeconfig of each identity (deploy/README.md says how to make them); each role reads its own and no other.
# Looks: reads all but Secrets, and dry-runs.
viewer = {}
# Makes each job's namespace and its rights, within the ceilings that administrators gave.
provisioner = {}
# Removes what expired.
reaper = {}
# How long the API server may work on one write of a runner, its admission webhooks included, in seconds (5 to 300). It is told so with each, and gives up what
# takes longer; sooner where its own --request-timeout is shorter. A lost runner's job is watched for that long before an effect that does not show is told as not
# done: lower it only while no job acts.
request_timeout_seconds = {}
# How a job acts: by a "token" of its own, or by "impersonation", which needs deploy/options/impersonation.yaml; then the audit log names both.
job_identity = "{by}"
"#,
        quoted(viewer),
        quoted(provisioner),
        quoted(reaper),
        request_timeout.as_secs()
    )
}
