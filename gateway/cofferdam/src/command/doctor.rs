//! `cofferdam doctor`: checks everything that `serve` needs, and the programs that authors need.
//! Changes nothing.

use super::http::{Request, send};
use super::plugin::Bench;
use super::policy::opa;
use super::report::Report;
use super::runner_binary;
use crate::config::home::Home;
use crate::config::{self, Agents, Cluster, Config, Infrastructure, read_trust};
use crate::serve::copies;
use crate::serve::health::{self, Depth, Finding, Findings};
use anyhow::Result;
use clap::Args;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::tool::able;
use cofferdam_process::confine::{Confined, Files, files};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Checks everything that `serve` needs, and prints the cause and the remedy of each error. Exits
/// with 1 if `serve` cannot run.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam doctor")]
pub struct Doctor {}

impl Doctor {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let found = look(home);
        let mut lines = vec![format!("home {}", home.root().display())];
        lines.extend(lines_of(&found));
        let good = found.all_good();
        lines.push(
            if good {
                "Nothing stands in the way of `cofferdam serve`."
            } else {
                "Correct what is WRONG, then ask again."
            }
            .to_owned(),
        );
        Ok(Report::new(
            lines.join("\n"),
            json!({"home": home.root(), "good": good, "findings": values(&found)}),
        )
        .good(good))
    }
}

/// A line for each finding, and a line for its remedy.
fn lines_of(found: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &found.0 {
        lines.push(format!("{:<6} {:<13} {}", finding.grade.word(), finding.what, finding.detail));
        if !finding.remedy.is_empty() {
            lines.push(format!("{:<20} → {}", "", finding.remedy));
        }
    }
    lines
}

/// The same findings for programs.
pub fn values(found: &Findings) -> Vec<Value> {
    let value = |one: &Finding| json!({"grade": one.grade.word(), "what": one.what, "detail": one.detail, "remedy": one.remedy});
    found.0.iter().map(value).collect()
}

/// Checks everything.
fn look(home: &Home) -> Findings {
    let mut found = Findings::default();
    let served = copies::current(home);
    let serving = copies::running(home);
    let (config, trust) = installation(home, served.as_ref(), &mut found);
    binaries(&mut found);
    match config.map(|config| config.infrastructure) {
        Some(Infrastructure::Kubernetes(cluster)) => {
            identities(&cluster, trust.as_ref(), &mut found)
        }
        Some(Infrastructure::Directory { tree }) => manifests(&tree, &mut found),
        None => {}
    }
    landlock(home, &mut found);
    tools(&mut found);
    if !serving {
        found.less("serve", "is not running", "cofferdam serve");
    }
    found
}

/// The most places of a tree in a finding; `cofferdam-runner survey` names more.
const PLACES: usize = 5;

/// Reports manifests that no call can use. They do not stop `serve`.
fn manifests(tree: &Path, found: &mut Findings) {
    match runner_binary::survey(tree) {
        Ok(left_out) if left_out.is_empty() => found.good("manifests", "all of them are read"),
        Ok(left_out) => {
            let named: Vec<_> =
                left_out.places.iter().take(PLACES).map(|place| line(&place.words())).collect();
            let detail = format!(
                "places that are not read or not relied on: {}; {}",
                left_out.count,
                named.join("; ")
            );
            found.good("manifests", detail);
        }
        Err(error) => found.less("manifests", format!("cannot be looked through: {error:#}"), ""),
    }
}

/// Checks the home and the infrastructure for `serve`.
pub fn installation(
    home: &Home,
    served: Option<&Home>,
    found: &mut Findings,
) -> (Option<Config>, Option<Trust>) {
    let serving = copies::running(home);
    if !config::is_made(home) {
        // Without an installation, every further check would fail.
        let detail = format!("there is no installation at `{}`", home.root().display());
        found.bad(
            "home",
            detail,
            "make one with `cofferdam init TREE`, or name another folder with `--home DIR`",
        );
        return (None, None);
    }
    health::places(home, serving, found);
    let config = configuration(home, found);
    health::permissions(home, found);
    let trust = trust_file(home, config.as_ref(), found);
    if let Some(trust) = &trust {
        health::keys(home, trust, serving, found);
        health::parts(home, trust, found);
        // The folder of commands may be missing: each of its files has its own finding.
        let folders = [home.keys(), home.plugins(), home.tools(), home.executors(), home.policy()];
        found.leave_out_beneath(
            &folders.into_iter().filter(|folder| !folder.is_dir()).collect::<Vec<_>>(),
        );
        policy_loads(home, found);
        health::store(home, trust, serving, found);
        if trust.approvers.is_empty() {
            let remedy = "cofferdam approver add NAME --key FILE.pub";
            found.less(
                "approvers",
                "no person is enrolled who could sign what needs approval",
                remedy,
            );
        }
    }
    health::disk("disk", &home.store(), found);
    if let Some(config) = &config {
        if let Infrastructure::Directory { tree } = &config.infrastructure {
            health::tree(tree, Depth::Whole, found);
            health::disk("tree's disk", tree, found);
        }
        let now = served.and_then(|copies| Config::read(copies).ok());
        // If the copy of the configuration is lost, the address is most likely the same.
        let ours = serving && now.as_ref().is_none_or(|now| now.edge.listen == config.edge.listen);
        health::port(config.edge.listen, ours, found);
        if let Some((problem, remedy)) = config.edge.exposure() {
            found.less("edge.listen", problem, remedy);
        }
        if serving {
            running(now.as_ref().unwrap_or(config).edge.listen, found);
        }
    }
    (config, trust)
}

/// Asks the running `serve` for its readiness.
fn running(listen: SocketAddr, found: &mut Findings) {
    match send(
        listen,
        &Request { method: "GET", path: "/readyz", token: None, key: None, body: None },
    ) {
        Ok(answer) => {
            let listed = |key: &str| -> Vec<&str> {
                let list = answer.body.get(key).and_then(Value::as_array);
                list.into_iter().flatten().filter_map(Value::as_str).collect()
            };
            let missing = listed("missing");
            let restart = listed("restart_needed");
            if !restart.is_empty() {
                found.less(
                    "restart",
                    format!("needed: {}", restart.join("; ")),
                    "start `cofferdam serve` again to use it",
                );
            }
            for warning in listed("warnings") {
                if !is_known(warning, found) {
                    found.warn("serve", line(warning), "");
                }
            }
            for stuck in listed("stuck") {
                found.less("stuck", line(stuck), "it goes on by itself once the cause is gone");
            }
            match missing.as_slice() {
                [] if answer.status == 200 => {
                    found.good("serve", "is running, and calls can be carried out")
                }
                [] => found.bad(
                    "serve",
                    format!("is running, and answers {} to `/readyz`", answer.status),
                    "read its log",
                ),
                causes => {
                    let new: Vec<_> =
                        causes.iter().filter(|cause| !is_known(cause, found)).collect();
                    if new.is_empty() {
                        found.less(
                            "serve",
                            "is running, and calls fail by what is WRONG above",
                            "",
                        );
                    }
                    new.iter().for_each(|cause| found.bad("serve", line(cause), ""));
                }
            }
        }
        Err(error) => found.bad(
            "serve",
            format!("runs, and does not answer: {error:#}"),
            "read its log; it may still be starting",
        ),
    }
}

/// Returns whether a finding already has this line of the running `serve`. Each error is listed
/// once, with one remedy. The note that the old state is in use until the next start is added to
/// the finding.
fn is_known(told: &str, found: &mut Findings) -> bool {
    let Some(finding) = found.0.iter_mut().find(|finding| finding.is_told_by(told)) else {
        return false;
    };
    let effect = health::NEXT.trim_end_matches(": ");
    if told.starts_with(health::NEXT) && !finding.detail.contains(effect) {
        finding.detail = format!("{}: {effect}", finding.detail);
    }
    true
}

/// Checks the trust file, and that it belongs to this configuration.
fn trust_file(home: &Home, config: Option<&Config>, found: &mut Findings) -> Option<Trust> {
    match read_trust(home) {
        Ok(trust) => {
            let mismatch: Vec<_> = config
                .into_iter()
                .flat_map(|config| config::disagreements(config, &trust))
                .collect();
            for error in &mismatch {
                found.bad(
                    "trust file",
                    format!("{} in {}: {}", error.key, error.file, error.problem),
                    &error.remedy,
                );
            }
            if mismatch.is_empty() {
                let (tools, executors, approvers) =
                    (trust.tools.len(), trust.executors.len(), trust.approvers.len());
                found.good(
                    "trust file",
                    format!("{tools} tools, {executors} executors, {approvers} approvers"),
                );
            }
            left_out(&trust, found);
            Some(trust)
        }
        Err(error) => {
            found.bad("trust file", error.problem, &error.remedy);
            None
        }
    }
}

/// Reports tools that agents do not see, because the environment supports no operation of their
/// ceilings.
fn left_out(trust: &Trust, found: &mut Findings) {
    let left: Vec<_> = trust
        .tools
        .iter()
        .filter(|tool| !able(&tool.ceiling, trust))
        .map(|tool| line(&tool.name))
        .collect();
    if !left.is_empty() {
        let detail = format!(
            "{}: a {} can carry out none of their plans, so no agent sees them",
            left.join(", "),
            trust.environment.kind()
        );
        found.good("left out", detail);
    }
}

/// Checks that the policy loads in a sandbox, as in the gateway.
fn policy_loads(home: &Home, found: &mut Findings) {
    let (Ok(module), Ok(data)) =
        (std::fs::read(home.policy_module()), std::fs::read_to_string(home.policy_data()))
    else {
        return;
    };
    if let Err(error) = Bench::start().and_then(|bench| bench.policy(&module, &data).map(drop)) {
        found.bad(
            "policy",
            format!("does not load: {error:#}"),
            "accept another with `cofferdam accept --policy DIR`",
        );
    }
}

fn configuration(home: &Home, found: &mut Findings) -> Option<Config> {
    let config = match Config::read(home) {
        Ok(config) => {
            found.good(
                "configuration",
                format!(
                    "environment `{}`, {}, http://{}",
                    config.environment,
                    config.infrastructure.words(),
                    config.edge.listen
                ),
            );
            Some(config)
        }
        Err(errors) => {
            for error in errors.0 {
                found.bad("configuration", error.cause(), &error.remedy);
            }
            None
        }
    };
    match Agents::read(&home.agents()) {
        Ok(agents) if agents.list().is_empty() => {
            found.less(
                "agents",
                "none: callers on this machine may look and preview",
                "cofferdam agents add NAME --role ROLE --for PERSON",
            );
        }
        Ok(agents) => found.good(
            "agents",
            agents.list().iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>().join(", "),
        ),
        Err(error) => found.bad("agents", error.problem, &error.remedy),
    }
    config
}

/// Checks each identity with `cofferdam-runner`: it reaches the trusted cluster, and has the rights
/// of its role and no more.
fn identities(cluster: &Cluster, trust: Option<&Trust>, found: &mut Findings) {
    for (identity, kubeconfig) in cluster.identities() {
        let path = kubeconfig.display();
        let met = match runner_binary::identify(kubeconfig) {
            Ok(met) => met,
            Err(error) => {
                found.bad(
                    identity,
                    format!("{error:#}"),
                    "see that the API server is reached, and that the kubeconfig is still good",
                );
                continue;
            }
        };
        if let Some(trusted) = trust
            .map(|trust| &trust.environment.id)
            .filter(|trusted| **trusted != met.environment_id)
        {
            let detail = format!(
                "`{path}` leads to {} ({}), not to the trusted cluster {trusted}",
                met.server, met.environment_id
            );
            found.bad(
                identity,
                detail,
                "use a kubeconfig of that cluster; another cluster needs a home of its own",
            );
            continue;
        }
        match runner_binary::check(identity, cluster.job_identity, kubeconfig) {
            Ok(checked) => {
                for looked in checked.findings.iter().filter(|looked| !looked.ok) {
                    // The text about an admission policy that is not in effect includes its remedy.
                    let says = if looked.says.is_empty() { &looked.check } else { &looked.says };
                    found.bad(identity, line(says), &line(&looked.remedy));
                }
                if checked.ok {
                    let held = checked.findings.len();
                    found.good(
                        identity,
                        format!(
                            "Kubernetes {} at {}, {held} checks hold",
                            line(&met.version),
                            line(&met.server)
                        ),
                    );
                }
            }
            Err(error) => found.bad(
                identity,
                format!("{error:#}"),
                "see that `cofferdam-runner` is of this version",
            ),
        }
    }
}

fn binaries(found: &mut Findings) {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|binary| binary.parent().map(Path::to_owned))
        .unwrap_or_default();
    for name in ["cofferdam-runner", "cofferdam-guest"] {
        let path = beside.join(name);
        let runs = std::fs::metadata(&path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if runs {
            found.good("binaries", path.display().to_string());
        } else {
            found.bad(
                "binaries",
                format!("`{}` is missing", path.display()),
                "build it with `scripts/setup`, or say where it is with `cofferdam serve \
                 --binaries DIR`",
            );
        }
    }
}

/// Checks Landlock with a rule set on a thread of its own.
fn landlock(home: &Home, found: &mut Findings) {
    let root = home.root().to_owned();
    let tried = std::thread::spawn(move || {
        let paths: Vec<&Path> = if root.is_dir() { vec![root.as_path()] } else { Vec::new() };
        files(Files { read: &paths, ..Files::default() })
    })
    .join();
    match tried {
        Ok(Ok(Confined::Fully)) => found.good("landlock", "roles are confined to their files"),
        Ok(Ok(Confined::Partly)) => found.less(
            "landlock",
            "this kernel has an older Landlock; roles are confined to what it knows",
            "Linux 6.12 or newer has all of it",
        ),
        Ok(Ok(Confined::Not)) => {
            found.less(
                "landlock",
                "this kernel has no Landlock: a role that is taken over can read what this user \
                 can",
                "boot with `lsm=landlock,…`, Linux 5.13 or newer",
            );
        }
        Ok(Err(error)) => found.less("landlock", format!("cannot be tried: {error}"), "see above"),
        Err(_) => found.less("landlock", "cannot be tried", "tell us"),
    }
}

/// Checks the programs that authors and approvers use.
fn tools(found: &mut Findings) {
    let on_path = |name: &str| -> Option<PathBuf> {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    };
    match on_path("ssh-keygen") {
        Some(path) => found.good("ssh-keygen", path.display().to_string()),
        None => found.less(
            "ssh-keygen",
            "missing: approvals cannot be checked by it",
            "install the OpenSSH client (Debian: openssh-client)",
        ),
    }
    match opa() {
        Some(path) => found.good("opa", path.display().to_string()),
        None => {
            found.less("opa", "missing: policies cannot be built or tested", "scripts/setup tools")
        }
    }
    let target = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"])
        .stderr(Stdio::null())
        .output();
    let there = target.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if there {
        found.good("wasm target", "wasm32-unknown-unknown");
    } else {
        found.less(
            "wasm target",
            "missing: tools cannot be built",
            "rustup target add wasm32-unknown-unknown",
        );
    }
}
