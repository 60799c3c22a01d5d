//! `cofferdam accept`: writes a tool, an executor, a command or a policy to the trust file. A wider
//! ceiling needs `--wider`.

mod policy;

use super::baseline::{Baseline, few, width};
use super::plugin::{Bench, Kind, Plugin};
use super::report::{Report, Usage};
use crate::command::{reload, show};
use crate::config::home::{Home, write_private};
use crate::config::trust_file::TrustFile;
use anyhow::{Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::ceiling::{Ceiling, Definition};
use cofferdam_core::model::escape::{quoted, unseen};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::{TrustedCommand, TrustedExecutor};
use cofferdam_core::tool::compare::Width;
use cofferdam_core::tool::{able, compare};
use jiff::Timestamp;
use serde_json::json;
use std::path::PathBuf;

/// Writes a tool, an executor, a command or a policy to the trust file. A running
/// `serve` loads it. If its ceiling is wider than the accepted one, the command fails without
/// `--wider`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam inspect hello.wasm && cofferdam accept \
                        hello.wasm\n  cofferdam accept --executor sequential.wasm\n  cofferdam \
                        accept --command manifest_lint.wasm\n  cofferdam accept config_set.wasm \
                        --namespace team-a --namespace 'lab-*'\n  cofferdam accept --policy \
                        build/policy")]
pub struct Accept {
    /// The file of the component
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "policy")]
    file: Option<PathBuf>,
    /// The component is an executor; it gets the name of its file
    #[arg(long)]
    executor: bool,
    /// The component is a Wasm command for tasks; it gets the name of its file
    #[arg(long, conflicts_with_all = ["executor", "wider", "keep_ceiling"])]
    command: bool,
    /// Accept the policy in this folder: policy.wasm and data.json
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "executor", "command"], value_hint = ValueHint::DirPath)]
    policy: Option<PathBuf>,
    /// Accept the component even if its ceiling is wider than the accepted one
    #[arg(long)]
    wider: bool,
    /// Accept the new component and keep the accepted ceiling; plans outside that ceiling are
    /// refused
    #[arg(long, conflicts_with = "wider")]
    keep_ceiling: bool,
    /// Narrow its ceiling to this namespace (repeatable); plans for other namespaces are refused
    #[arg(long, value_name = "NAMESPACE", conflicts_with_all = ["executor", "command", "policy", "keep_ceiling"])]
    namespace: Vec<String>,
    /// Your reason, in one sentence; the trust file keeps it as a comment above the entry
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    because: Option<String>,
}

/// The most characters of a reason: two sentences.
const BECAUSE: usize = 300;

/// Checks that a reason is one line without invisible characters.
fn reason(text: &str) -> Result<String, String> {
    match (text.chars().count(), unseen(text)) {
        (1..=BECAUSE, None) => Ok(text.to_owned()),
        (1..=BECAUSE, Some(odd)) => {
            Err(format!("the character U+{:04X} is invisible; remove it", u32::from(odd)))
        }
        (count, _) => Err(format!("it has {count} characters; 1 to {BECAUSE} are kept")),
    }
}

/// The comment in the trust file: time, user id and reason.
fn noted(because: Option<&str>, now: Timestamp) -> Option<String> {
    let user = cofferdam_process::confine::user();
    because.map(|text| format!("accepted {:.0} by user {user}: {}", now, quoted(text)))
}

impl Accept {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let bench = Bench::start()?;
        let noted = noted(self.because.as_deref(), Timestamp::now());
        let mut trust = TrustFile::open(home)?;
        let file = match (&self.policy, &self.file) {
            (Some(folder), _) => {
                return policy::accept(home, folder, &bench, trust, noted.as_deref());
            }
            (None, Some(file)) => file,
            (None, None) => {
                return Err(
                    Usage("name a component, or a policy with `--policy DIR`".to_owned()).into()
                );
            }
        };
        let plugin = bench.read(file)?;
        match (&plugin.kind, self.executor, self.command) {
            (Kind::Executor(_), false, _) => {
                Err(Usage("this is an executor; accept it with `--executor`".to_owned()).into())
            }
            (Kind::Command(_), _, false) => {
                Err(Usage("this is a command for tasks; accept it with `--command`".to_owned())
                    .into())
            }
            (Kind::Tool(_), true, _) => {
                Err(Usage("this is a tool and not an executor; omit `--executor`".to_owned())
                    .into())
            }
            (Kind::Tool(_), _, true) => {
                Err(Usage("this is a tool and not a command; omit `--command`".to_owned()).into())
            }
            (Kind::Executor(name), true, _) => {
                let digest = plugin.digest;
                named(name, "executor")?;
                write_private(&home.executors().join(format!("{name}.wasm")), &plugin.bytes)?;
                trust.put_executor(&TrustedExecutor { name: name.clone(), digest })?;
                trust.note("executor", name, noted.as_deref())?;
                trust.save()?;
                taken(home, "executor", name, digest)
            }
            (Kind::Command(name), _, true) => {
                let digest = plugin.digest;
                named(name, "command")?;
                // A home of an older version has no folder for commands.
                home.make_folders()?;
                write_private(&home.commands().join(format!("{name}.wasm")), &plugin.bytes)?;
                trust.put_command(&TrustedCommand { name: name.clone(), digest })?;
                trust.note("command", name, noted.as_deref())?;
                trust.save()?;
                taken(home, "command", name, digest)
            }
            (Kind::Tool(definition), false, false) => {
                self.tool(home, &bench, &plugin, definition, (trust, noted.as_deref()))
            }
        }
    }

    fn tool(
        &self,
        home: &Home,
        bench: &Bench,
        plugin: &Plugin,
        definition: &Definition,
        (mut trust, noted): (TrustFile, Option<&str>),
    ) -> Result<Report> {
        let warnings = plugin.warnings()?;
        let known = trust.trust()?;
        if let Some(bad) = plugin
            .examples(&known.executors)
            .into_iter()
            .find_map(|run| Some((&run.example.title, run.error?)))
        {
            bail!("its example \"{}\" does not hold: {}", bad.0, bad.1);
        }
        if let Some(missing) =
            definition.ceiling.executors.iter().find(|name| known.executor(name).is_none())
        {
            bail!(
                "its plans name the executor `{missing}`, which is not accepted; accept it first \
                 with `cofferdam accept --executor {missing}.wasm`"
            );
        }
        let wanted = if self.namespace.is_empty() {
            definition.ceiling.clone()
        } else {
            narrowed(&definition.ceiling, &self.namespace)?
        };
        let accepted = known.tool(&definition.name);
        let before = Baseline::accepted(bench, home, &known, plugin, definition);
        let compared =
            before.map(|before| before.compare(plugin, definition, &wanted)).transpose()?;
        let ceiling = match (&compared, accepted) {
            (Some(compared), Some(_))
                if compared.ceiling.width == Width::Wider && !self.wider && !self.keep_ceiling =>
            {
                bail!(
                    "its ceiling is wider than the accepted one:\n  {}\naccept the wider ceiling \
                     with `--wider`, or only the new component with `--keep-ceiling`",
                    few("+", &compared.ceiling.added).join("\n  ")
                );
            }
            (Some(_), Some(accepted)) if self.keep_ceiling => accepted.ceiling.clone(),
            _ => wanted,
        };
        let trusted = plugin.trusted(definition, ceiling.clone());
        if accepted.is_none_or(|accepted| accepted.ceiling != ceiling) {
            policy::try_on(home, bench, &known, &trusted)?;
        }
        write_private(&home.tools().join(format!("{}.wasm", definition.name)), &plugin.bytes)?;
        if let Some(accepted) = accepted.filter(|accepted| **accepted != trusted) {
            trust.put_replaced(accepted)?;
        }
        trust.put_tool(&trusted)?;
        trust.note("tool", &definition.name, noted)?;
        trust.save()?;
        let stands = match accepted {
            Some(accepted) => width(compare::compare(&accepted.ceiling, &ceiling)?.width),
            None => "new",
        };
        let (name, version, digest) = (&definition.name, &definition.version, plugin.digest);
        let mut lines = vec![format!("Accepted the tool {name} {version} ({stands}), {digest}:")];
        lines.extend(show::ceiling(&ceiling).into_iter().map(|line| format!("  {line}")));
        if let Some(compared) = compared.as_ref().filter(|compared| !compared.same) {
            lines.push(format!("Against {}:", compared.before.named));
            lines.extend(compared.lines().into_iter().map(|line| format!("  {line}")));
        }
        if !warnings.is_empty() {
            lines.push("Some MCP hosts refuse its schemas:".to_owned());
            let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            lines.extend(few("!", &told).into_iter().map(|line| format!("  {line}")));
        }
        if !able(&ceiling, &known) {
            lines.push(format!(
                "The environment is a {}, which can carry out none of its plans: no agent sees it.",
                known.environment.kind()
            ));
        }
        let (after, in_use) = reload::after(home, &format!("the tool {name} is accepted"))?;
        lines.push(after);
        let changed = compared.as_ref().map(|compared| compared.json());
        Ok(Report::new(
            lines.join("\n"),
            json!({
                "kind": "tool", "name": name, "version": version, "digest": digest,
                "ceiling": ceiling, "width": stands,
                "warnings": warnings, "compared": changed, "listed": able(&ceiling, &known),
                "loaded": in_use,
            }),
        ))
    }
}

/// Checks the name of a component that is named by its file.
fn named(name: &str, kind: &str) -> Result<()> {
    if crate::config::valid_name(name) {
        return Ok(());
    }
    bail!(
        "`{name}` is not a valid name for {kind}s; name the file with small letters, digits and `_`"
    )
}

fn taken(home: &Home, kind: &str, name: &str, digest: ComponentDigest) -> Result<Report> {
    let (after, loaded) = reload::after(home, &format!("the {kind} {name} is accepted"))?;
    Ok(Report::new(
        format!("Accepted the {kind} {name}, {digest}. {after}"),
        json!({"kind": kind, "name": name, "digest": digest, "loaded": loaded}),
    ))
}

/// Narrows a ceiling to these namespaces. The result never permits more than the declared ceiling.
fn narrowed(declared: &Ceiling, namespaces: &[String]) -> Result<Ceiling> {
    let mut narrow = declared.clone();
    for grant in &mut narrow.grants {
        grant.namespaces = namespaces.to_vec();
    }
    let comparison = compare::compare(declared, &narrow)?;
    if comparison.width == Width::Wider {
        bail!("the tool does not declare these namespaces: {}", comparison.added.join("; "));
    }
    Ok(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::ceiling::Grant;
    use cofferdam_core::model::operation::Action;

    #[test]
    fn an_operator_narrows_and_never_widens() {
        let check = |declared: &str, wanted: &str, expect: bool| {
            let grant = Grant {
                action: Action::Delete,
                group: "apps".into(),
                version: "v1".into(),
                kind: "Deployment".into(),
                namespaces: vec![declared.into()],
                fields: vec![],
            };
            let ceiling = Ceiling { grants: vec![grant], executors: vec![] };
            assert_eq!(
                narrowed(&ceiling, &[wanted.to_owned()]).is_ok(),
                expect,
                "{declared} to {wanted}"
            );
        };
        check("*", "team-a", true);
        check("team-*", "team-a", true);
        check("team-a", "team-*", false);
        check("team-a", "team-b", false);
    }
}
