//! `cofferdam doctor`: what is missing or wrong, and how to mend it. Looks at everything `serve` needs and at what authors need; changes nothing.

use super::cluster;
use super::plugin::Bench;
use super::policy::opa;
use super::report::Report;
use crate::config::{Agents, Cluster, Config, Infrastructure, read_trust};
use crate::home::{Home, SECRETS};
use anyhow::Result;
use clap::Args;
use cofferdam_core::decide::policy_digest;
use cofferdam_core::id::ComponentDigest;
use cofferdam_core::permit::verifying_key_text;
use cofferdam_core::text::line;
use cofferdam_core::trust::Trust;
use cofferdam_process::confine::{Confined, Files, files};
use ed25519_dalek::SigningKey;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says what is missing or wrong, and how to mend it. Exit code 1 when `serve` could not run.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam doctor")]
pub struct Doctor {}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    /// As it should be.
    Good,
    /// Works, with less than it could, or wanted by some.
    Less,
    /// `serve` cannot run, or must not.
    Bad,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Less => "note",
            Self::Bad => "WRONG",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    grade: Grade,
    what: &'static str,
    detail: String,
    remedy: String,
}

/// Everything found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, what: &'static str, detail: impl Into<String>) {
        self.0.push(Finding { grade: Grade::Good, what, detail: detail.into(), remedy: String::new() });
    }

    fn less(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.0.push(Finding { grade: Grade::Less, what, detail: detail.into(), remedy: remedy.to_owned() });
    }

    fn bad(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.0.push(Finding { grade: Grade::Bad, what, detail: detail.into(), remedy: remedy.to_owned() });
    }
}

impl Doctor {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let mut found = Findings::default();
        let config = configuration(home, &mut found);
        permissions(home, &mut found);
        let trust = match read_trust(home) {
            Ok(trust) => {
                found.good(
                    "trust file",
                    format!("{} tools, {} executors, {} approvers", trust.tools.len(), trust.executors.len(), trust.approvers.len()),
                );
                Some(trust)
            }
            Err(fault) => {
                found.bad("trust file", fault.problem, &fault.remedy);
                None
            }
        };
        if let Some(trust) = &trust {
            keys(home, trust, &mut found);
            parts(home, trust, &mut found);
            if trust.approvers.is_empty() {
                found.less("approvers", "nobody can sign what needs a person", "cofferdam approver add NAME --key FILE.pub");
            }
        }
        binaries(&mut found);
        if let Some(Infrastructure::Kubernetes(cluster)) = config.map(|config| config.infrastructure) {
            identities(&cluster, trust.as_ref(), &mut found);
        }
        landlock(home, &mut found);
        tools(&mut found);
        match UnixStream::connect(home.operator_socket()) {
            Ok(_) => found.good("serve", "is running"),
            Err(_) => found.less("serve", "is not running", "cofferdam serve"),
        }
        let mut lines = vec![format!("home {}", home.root().display())];
        for finding in &found.0 {
            lines.push(format!("{:<6} {:<13} {}", finding.grade.word(), finding.what, finding.detail));
            if !finding.remedy.is_empty() {
                lines.push(format!("{:<20} → {}", "", finding.remedy));
            }
        }
        let good = found.0.iter().all(|finding| finding.grade != Grade::Bad);
        lines.push(if good { "Nothing stands in the way of `cofferdam serve`." } else { "Mend what is WRONG, then ask again." }.to_owned());
        let findings: Vec<_> = found
            .0
            .iter()
            .map(|one| json!({"grade": one.grade.word(), "what": one.what, "detail": one.detail, "remedy": one.remedy}))
            .collect();
        Ok(Report::new(lines.join("\n"), json!({"home": home.root(), "good": good, "findings": findings})).good(good))
    }
}

fn configuration(home: &Home, found: &mut Findings) -> Option<Config> {
    let config = match Config::read(home) {
        Ok(config) => {
            found.good(
                "configuration",
                format!("environment `{}`, {}, http://{}", config.environment, config.infrastructure.words(), config.edge.listen),
            );
            Some(config)
        }
        Err(faults) => {
            for fault in faults.0 {
                found.bad("configuration", format!("{}: {} {}", fault.file, fault.key, fault.problem), &fault.remedy);
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
        Ok(agents) => found.good("agents", agents.list().iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>().join(", ")),
        Err(fault) => found.bad("agents", fault.problem, &fault.remedy),
    }
    config
}

/// Each identity leads to the trusted cluster, may do what its role needs, and no more: said by the binary that uses it.
fn identities(cluster: &Cluster, trust: Option<&Trust>, found: &mut Findings) {
    for (identity, kubeconfig) in cluster.identities() {
        let path = kubeconfig.display();
        let met = match cluster::identify(kubeconfig) {
            Ok(met) => met,
            Err(fault) => {
                found.bad(identity, format!("{fault:#}"), "see that the API server is reached, and that the kubeconfig is still good");
                continue;
            }
        };
        if let Some(trusted) = trust.map(|trust| &trust.environment.id).filter(|trusted| **trusted != met.environment_id) {
            let detail = format!("`{path}` leads to {} ({}), not to the trusted cluster {trusted}", met.server, met.environment_id);
            found.bad(identity, detail, "use a kubeconfig of that cluster; another cluster needs a home of its own");
            continue;
        }
        match cluster::check(identity, cluster.job_identity, kubeconfig) {
            Ok(checked) => {
                for looked in checked.findings.iter().filter(|looked| !looked.ok) {
                    // What is said of a fence that does not stand has its remedy in it.
                    let says = if looked.says.is_empty() { &looked.check } else { &looked.says };
                    found.bad(identity, line(says), &line(&looked.remedy));
                }
                if checked.ok {
                    let held = checked.findings.len();
                    found.good(identity, format!("Kubernetes {} at {}, {held} checks hold", line(&met.version), line(&met.server)));
                }
            }
            Err(fault) => found.bad(identity, format!("{fault:#}"), "see that `cofferdam-runner` is of this version"),
        }
    }
}

/// Nobody else may read the home, above all the keys.
fn permissions(home: &Home, found: &mut Findings) {
    let mut open = Vec::new();
    let private = [home.root().to_owned(), home.keys(), home.store(), home.trust(), home.agents()];
    for path in private.into_iter().chain(SECRETS.map(|secret| home.secret(secret))) {
        if std::fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
            open.push(path.display().to_string());
        }
    }
    if open.is_empty() {
        found.good("permissions", "the home is private");
    } else {
        found.bad("permissions", format!("others can read {}", open.join(", ")), &format!("chmod -R go= {}", home.root().display()));
    }
}

/// The private keys are those that the trust file names.
fn keys(home: &Home, trust: &Trust, found: &mut Findings) {
    use crate::home::Secret;
    let mut wrong = Vec::new();
    for (secret, expected) in [(Secret::Permits, &trust.keys.gateway), (Secret::Checkpoints, &trust.keys.recorder)] {
        match home.read_secret(secret) {
            Ok(seed) if verifying_key_text(&SigningKey::from_bytes(&seed).verifying_key()) == *expected => {}
            Ok(_) => wrong.push(format!("keys/{} is not the one in trust.toml", secret.file())),
            Err(fault) => wrong.push(format!("{fault:#}")),
        }
    }
    for secret in [Secret::GatewayArtefacts, Secret::RunnerArtefacts] {
        wrong.extend(home.read_secret(secret).err().map(|fault| format!("{fault:#}")));
    }
    if wrong.is_empty() {
        found.good("keys", "those that the trust file names");
    } else {
        found.bad("keys", wrong.join("; "), "restore them from a copy, or make a new home with `cofferdam init`");
    }
}

/// What was accepted is there, unchanged.
fn parts(home: &Home, trust: &Trust, found: &mut Findings) {
    let mut wrong = Vec::new();
    let tools = trust.tools.iter().map(|tool| (home.tools(), &tool.name, tool.digest));
    let executors = trust.executors.iter().map(|executor| (home.executors(), &executor.name, executor.digest));
    let commands = trust.commands.iter().map(|command| (home.commands(), &command.name, command.digest));
    for (folder, name, digest) in tools.chain(executors).chain(commands) {
        match std::fs::read(folder.join(format!("{name}.wasm"))) {
            Ok(bytes) if ComponentDigest::of(&bytes) == digest => {}
            Ok(_) => wrong.push(format!("{name} is another component than was accepted")),
            Err(_) => wrong.push(format!("{name} is missing")),
        }
    }
    if wrong.is_empty() {
        found.good("plugins", "those that were accepted");
    } else {
        found.bad("plugins", wrong.join("; "), "look at it with `cofferdam inspect FILE`, accept it with `cofferdam accept FILE`");
    }
    let read = || -> Result<(Vec<u8>, String)> { Ok((std::fs::read(home.policy_module())?, std::fs::read_to_string(home.policy_data())?)) };
    let sound = read().and_then(|(module, data)| {
        Bench::start()?.policy(&module, &data)?;
        Ok(policy_digest(&module, &data)?)
    });
    match sound {
        Ok(digest) if digest == trust.policy => found.good("policy", digest.short()),
        Ok(digest) => {
            found.bad("policy", format!("{} is not the accepted {}", digest.short(), trust.policy.short()), "cofferdam accept --policy DIR")
        }
        Err(fault) => found.bad("policy", format!("{fault:#}"), "cofferdam accept --policy DIR"),
    }
}

fn binaries(found: &mut Findings) {
    let beside = std::env::current_exe().ok().and_then(|binary| binary.parent().map(Path::to_owned)).unwrap_or_default();
    for name in ["cofferdam-runner", "cofferdam-guest"] {
        let path = beside.join(name);
        let runs = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if runs {
            found.good("binaries", path.display().to_string());
        } else {
            found.bad(
                "binaries",
                format!("`{}` is missing", path.display()),
                "build it with `scripts/setup`, or say where it is with `cofferdam serve --binaries DIR`",
            );
        }
    }
}

/// Tries it: Landlock holds for a thread, and this one ends here.
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
                "this kernel has no Landlock: a role that is taken over can read what this user can",
                "boot with `lsm=landlock,…`, Linux 5.13 or newer",
            );
        }
        Ok(Err(fault)) => found.less("landlock", format!("cannot be tried: {fault}"), "see above"),
        Err(_) => found.less("landlock", "cannot be tried", "tell us"),
    }
}

/// What authors and approvers use.
fn tools(found: &mut Findings) {
    let on_path = |name: &str| -> Option<PathBuf> {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    match on_path("ssh-keygen") {
        Some(path) => found.good("ssh-keygen", path.display().to_string()),
        None => {
            found.less("ssh-keygen", "missing: approvals cannot be checked by it", "install the OpenSSH client (Debian: openssh-client)")
        }
    }
    match opa() {
        Some(path) => found.good("opa", path.display().to_string()),
        None => found.less("opa", "missing: policies cannot be built or tested", "scripts/setup tools"),
    }
    let target =
        Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).stderr(Stdio::null()).output();
    let there = target.is_ok_and(|output| output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if there {
        found.good("wasm target", "wasm32-unknown-unknown");
    } else {
        found.less("wasm target", "missing: tools cannot be built", "rustup target add wasm32-unknown-unknown");
    }
}
