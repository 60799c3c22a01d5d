//! `cofferdam doctor`: checks everything that `serve` needs, and the programs that authors need.
//! Changes nothing.

mod cluster;
mod machine;
mod serving;

use super::plugin::Bench;
use super::report::Report;
use super::runner_binary;
use crate::config::home::Home;
use crate::config::{self, Agents, Config, Infrastructure, has_role, read_trust};
use crate::serve::copies;
use crate::serve::health::{self, Depth, Finding, Findings};
use anyhow::Result;
use clap::Args;
use cofferdam_core::model::approver_groups::ApproverGroups;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::tool::able;
use serde_json::{Value, json};
use std::path::Path;

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
                "There is no error: `cofferdam serve` can run."
            } else {
                "Correct each line with WRONG, then run `cofferdam doctor` again."
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
    let value = |one: &Finding| {
        json!({"grade": one.grade.word(), "what": one.what,
    "detail": one.detail, "remedy": one.remedy})
    };
    found.0.iter().map(value).collect()
}

/// Checks everything.
fn look(home: &Home) -> Findings {
    let mut found = Findings::default();
    let served = copies::current(home);
    let serving = copies::running(home);
    let (config, trust) = installation(home, served.as_ref(), &mut found);
    let role = config.as_ref().and_then(Config::role);
    let courier = config.as_ref().is_some_and(Config::has_courier);
    machine::binaries(courier, &mut found);
    match config.map(|config| config.infrastructure) {
        Some(Infrastructure::Kubernetes(cluster)) => {
            cluster::identities(&cluster, role, trust.as_ref(), &mut found)
        }
        Some(Infrastructure::Directory { tree }) if health::has_tree(role) => {
            manifests(&tree, &mut found)
        }
        Some(Infrastructure::Directory { .. }) | None => {}
    }
    machine::landlock(home, &mut found);
    machine::tools(&mut found);
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
        Ok(left_out) if left_out.is_empty() => found.good("manifests", "all manifests are read"),
        Ok(left_out) => {
            let named: Vec<_> =
                left_out.places.iter().take(PLACES).map(|place| line(&place.words())).collect();
            let detail =
                format!("{} places are not read or not used: {}", left_out.count, named.join("; "));
            found.good("manifests", detail);
        }
        Err(error) => found.less("manifests", format!("cannot be checked: {error:#}"), ""),
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
    let role = Config::read(home).ok().and_then(|config| config.role());
    health::places(home, role, serving, found);
    let config = configuration(home, found);
    health::permissions(home, found);
    let trust = trust_file(home, config.as_ref(), found);
    if let Some(trust) = &trust {
        health::keys(home, role, trust, serving, found);
        health::parts(home, role, trust, found);
        // The folder of commands may be missing: each of its files has its own finding.
        let folders = [home.keys(), home.plugins(), home.tools(), home.executors(), home.policy()];
        found.leave_out_beneath(
            &folders.into_iter().filter(|folder| !folder.is_dir()).collect::<Vec<_>>(),
        );
        policy_loads(home, found);
        approver_groups(home, trust, found);
        if has_role(role, LinkRole::Recorder) {
            match config.as_ref().and_then(|config| config.store.as_ref()) {
                Some(database) => health::store_in_database(home, database, trust, found),
                None => health::store(home, trust, serving, found),
            }
        }
        if trust.approvers.is_empty() {
            let remedy = "cofferdam approver add NAME --key FILE.pub";
            found.less("approvers", "no approver is enrolled, so no call can be approved", remedy);
        } else if let Some(config) = &config {
            notifications(config, found);
        }
    }
    health::disk("disk", &health::grows(home, role), found);
    if let Some(config) = &config {
        if let Infrastructure::Directory { tree } = &config.infrastructure
            && health::has_tree(role)
        {
            health::tree(tree, Depth::Whole, found);
            health::disk("tree's disk", tree, found);
        }
        if !config.has_role(LinkRole::Gateway) {
            return (Some(config.clone()), trust);
        }
        let now = served.and_then(|copies| Config::read(copies).ok());
        // If the copy of the configuration is lost, the address is most likely the same.
        let ours = serving && now.as_ref().is_none_or(|now| now.edge.listen == config.edge.listen);
        health::port(config.edge.listen, ours, found);
        if let Some(error) = config.edge.exposure() {
            found.bad("edge.listen", error.problem, &error.remedy);
        }
        if serving {
            serving::running(&now.as_ref().unwrap_or(config).edge, found);
        }
    }
    (config, trust)
}

/// Reports the receivers of notifications. Without one, approvers have to look for calls themselves.
fn notifications(config: &Config, found: &mut Findings) {
    let names: Vec<&str> =
        config.notify.iter().map(|notify| notify.settings.name.as_str()).collect();
    if names.is_empty() {
        found.less(
            "notify",
            "no receiver of notifications is configured, although calls can wait for a person",
            "add a section `[notify.NAME]` to cofferdam.toml; see docs/notifications.md",
        );
    } else {
        found.good("notify", names.join(", "));
    }
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
                let people = match trust.console.len() {
                    0 => String::new(),
                    1 => ", 1 entry of the console".to_owned(),
                    more => format!(", {more} entries of the console"),
                };
                found.good(
                    "trust file",
                    format!("{tools} tools, {executors} executors, {approvers} approvers{people}"),
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

/// Checks the groups of approvers in the policy's data: each member has to be enrolled.
fn approver_groups(home: &Home, trust: &Trust, found: &mut Findings) {
    let Ok(data) = std::fs::read_to_string(home.policy_data()) else { return };
    match ApproverGroups::read(&data) {
        Ok(groups) => {
            for (group, member) in groups.strangers(&trust.approvers) {
                found.less(
                    "approver groups",
                    format!(
                        "the group `{}` has `{}`, who is not enrolled under exactly this name",
                        line(group),
                        line(member)
                    ),
                    &format!("cofferdam approver add {} --key FILE.pub", line(member)),
                );
            }
        }
        Err(error) => found.bad(
            "approver groups",
            error.to_string(),
            "accept another with `cofferdam accept --policy DIR`",
        ),
    }
}

fn configuration(home: &Home, found: &mut Findings) -> Option<Config> {
    let config = match Config::read(home) {
        Ok(config) => {
            found.good(
                "configuration",
                format!(
                    "environment `{}`, {}, {}",
                    config.environment,
                    config.infrastructure.words(),
                    config.edge.url()
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
    if config.as_ref().is_some_and(|config| !config.has_role(LinkRole::Gateway)) {
        return config;
    }
    match Agents::read(&home.agents()) {
        Ok(agents)
            if agents.list().is_empty()
                && config.as_ref().is_some_and(|config| config.edge.oauth.is_some()) =>
        {
            found.good("agents", "by access tokens alone".to_owned());
        }
        Ok(agents) if agents.list().is_empty() => {
            found.less(
                "agents",
                "none: callers on this machine can read and preview",
                "cofferdam agents add NAME --role ROLE --for PERSON",
            );
        }
        Ok(agents) => found.good(
            "agents",
            agents.list().iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>().join(", "),
        ),
        Err(error) => found.bad("agents", error.cause(), &error.remedy),
    }
    config
}
