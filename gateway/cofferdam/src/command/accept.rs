//! `cofferdam accept`: from now on this tool, executor, command or policy is used. Writes the trust file; what is wider than before needs a word of its own.

use super::inspect::width;
use super::plugin::{Bench, Kind, Plugin};
use super::report::{Report, Usage};
use super::trustfile::TrustFile;
use crate::home::{Home, write_private};
use crate::show;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::ceiling::{self, Ceiling, Definition, Width};
use cofferdam_core::decide::policy_digest;
use cofferdam_core::id::ComponentDigest;
use cofferdam_core::trust::{TrustedCommand, TrustedExecutor};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Accepts a tool, an executor, a command or a policy. `serve` uses it from its next start on.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam inspect hello.wasm && cofferdam accept hello.wasm\n  cofferdam accept --executor sequential.wasm\n  \
    cofferdam accept --command manifest_lint.wasm\n  \
    cofferdam accept config_set.wasm --namespace team-a --namespace 'lab-*'\n  cofferdam accept --policy build/policy"
)]
pub struct Accept {
    /// The component
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "policy")]
    file: Option<PathBuf>,
    /// The component is an executor; its name is its file's
    #[arg(long)]
    executor: bool,
    /// The component is a command that tasks run; its name is its file's
    #[arg(long, conflicts_with_all = ["executor", "wider", "keep_ceiling"])]
    command: bool,
    /// Accept the policy in this folder: policy.wasm and data.json
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "executor", "command"], value_hint = ValueHint::DirPath)]
    policy: Option<PathBuf>,
    /// Accept it though its ceiling is wider than the accepted one
    #[arg(long)]
    wider: bool,
    /// Accept the new component, but keep the ceiling that was accepted: what it declares beyond stays refused
    #[arg(long, conflicts_with = "wider")]
    keep_ceiling: bool,
    /// Narrow its ceiling to these namespaces (repeatable): whatever it plans elsewhere is refused
    #[arg(long, value_name = "NAMESPACE", conflicts_with_all = ["executor", "command", "policy", "keep_ceiling"])]
    namespace: Vec<String>,
}

impl Accept {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let bench = Bench::start()?;
        let mut trust = TrustFile::open(home)?;
        let file = match (&self.policy, &self.file) {
            (Some(folder), _) => return policy(home, folder, &bench, trust),
            (None, Some(file)) => file,
            (None, None) => return Err(Usage("name a component, or a policy with `--policy DIR`".to_owned()).into()),
        };
        let plugin = bench.read(file)?;
        match (&plugin.kind, self.executor, self.command) {
            (Kind::Executor(_), false, _) => {
                Err(Usage("this is an executor, which carries plans out; say so with `--executor`".to_owned()).into())
            }
            (Kind::Command(_), _, false) => Err(Usage("this is a command, which tasks run; say so with `--command`".to_owned()).into()),
            (Kind::Tool(_), true, _) => Err(Usage("this is a tool, not an executor; leave `--executor` out".to_owned()).into()),
            (Kind::Tool(_), _, true) => Err(Usage("this is a tool, not a command; leave `--command` out".to_owned()).into()),
            (Kind::Executor(name), true, _) => {
                let digest = plugin.digest;
                named(name, "executor")?;
                write_private(&home.executors().join(format!("{name}.wasm")), &plugin.bytes)?;
                trust.put_executor(&TrustedExecutor { name: name.clone(), digest })?;
                trust.save()?;
                Ok(taken("executor", name, digest))
            }
            (Kind::Command(name), _, true) => {
                let digest = plugin.digest;
                named(name, "command")?;
                // A home from before there were commands has no folder for them.
                home.make_folders()?;
                write_private(&home.commands().join(format!("{name}.wasm")), &plugin.bytes)?;
                trust.put_command(&TrustedCommand { name: name.clone(), digest })?;
                trust.save()?;
                Ok(taken("command", name, digest))
            }
            (Kind::Tool(tool), false, false) => self.tool(home, &plugin, &tool.0, trust),
        }
    }

    fn tool(&self, home: &Home, plugin: &Plugin, definition: &Definition, mut trust: TrustFile) -> Result<Report> {
        let known = trust.trust()?;
        if let Some(bad) = plugin.examples(&known.executors).into_iter().find_map(|run| Some((&run.example.title, run.fault?))) {
            bail!("its example \"{}\" does not hold: {}", bad.0, bad.1);
        }
        if let Some(missing) = definition.ceiling.executors.iter().find(|name| known.executor(name).is_none()) {
            bail!(
                "its plans name the executor `{missing}`, which is not accepted; accept it first with `cofferdam accept --executor {missing}.wasm`"
            );
        }
        let wanted = if self.namespace.is_empty() { definition.ceiling.clone() } else { narrowed(&definition.ceiling, &self.namespace)? };
        let accepted = known.tool(&definition.name);
        let comparison = accepted.map(|accepted| ceiling::compare(&accepted.ceiling, &wanted)).transpose()?;
        let ceiling = match (&comparison, accepted) {
            (Some(comparison), Some(_)) if comparison.width == Width::Wider && !self.wider && !self.keep_ceiling => {
                bail!(
                    "it is wider than what was accepted:\n  + {}\naccept that with `--wider`, or only the new component with `--keep-ceiling`",
                    comparison.added.join("\n  + ")
                );
            }
            (Some(_), Some(accepted)) if self.keep_ceiling => accepted.ceiling.clone(),
            _ => wanted,
        };
        write_private(&home.tools().join(format!("{}.wasm", definition.name)), &plugin.bytes)?;
        trust.put_tool(&plugin.trusted(definition, ceiling.clone()))?;
        trust.save()?;
        let stands = match accepted {
            Some(accepted) => width(ceiling::compare(&accepted.ceiling, &ceiling)?.width),
            None => "new",
        };
        Ok(Report::new(
            format!(
                "Accepted the tool {} {} ({stands}), {}:\n  {}\n{}",
                definition.name,
                definition.version,
                plugin.digest,
                show::ceiling(&ceiling).join("\n  "),
                AFTER.trim_start()
            ),
            json!({"kind": "tool", "name": definition.name, "version": definition.version, "digest": plugin.digest, "ceiling": ceiling, "width": stands}),
        ))
    }
}

/// A component that has no name of its own is named by its file.
fn named(name: &str, kind: &str) -> Result<()> {
    if crate::config::valid_name(name) {
        return Ok(());
    }
    bail!("`{name}` is no name for {kind}s; name the file by small letters, digits and `_`")
}

fn taken(kind: &str, name: &str, digest: ComponentDigest) -> Report {
    Report::new(format!("Accepted the {kind} {name}, {digest}.{AFTER}"), json!({"kind": kind, "name": name, "digest": digest}))
}

/// The ceiling in these namespaces alone. Never more than was declared.
fn narrowed(declared: &Ceiling, namespaces: &[String]) -> Result<Ceiling> {
    let mut narrow = declared.clone();
    for grant in &mut narrow.grants {
        grant.namespaces = namespaces.to_vec();
    }
    let comparison = ceiling::compare(declared, &narrow)?;
    if comparison.width == Width::Wider {
        bail!("the tool does not declare these namespaces: {}", comparison.added.join("; "));
    }
    Ok(narrow)
}

/// Said after everything that was accepted.
const AFTER: &str = " It is used from the next start of `cofferdam serve` on.";

fn policy(home: &Home, folder: &Path, bench: &Bench, mut trust: TrustFile) -> Result<Report> {
    let read = |name: &str| {
        std::fs::read(folder.join(name))
            .with_context(|| format!("no `{name}` in `{}`; build it with `scripts/build-policy`", folder.display()))
    };
    let (module, data) = (read("policy.wasm")?, read("data.json")?);
    let text = std::str::from_utf8(&data).context("data.json is not UTF-8")?;
    bench.policy(&module, text).with_context(|| format!("the policy in `{}`", folder.display()))?;
    let digest = policy_digest(&module, text).context("data.json is not readable")?;
    let before = trust.trust()?.policy;
    write_private(&home.policy_module(), &module)?;
    write_private(&home.policy_data(), &data)?;
    trust.set_policy(digest);
    trust.save()?;
    let text = if before == digest {
        format!("The policy {digest} was accepted already.")
    } else {
        format!(
            "Accepted the policy {digest} in the place of {}. What waits for a person under the old one has to be asked again.{AFTER}",
            before.short()
        )
    };
    Ok(Report::new(text, json!({"kind": "policy", "digest": digest, "before": before})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::ceiling::Grant;
    use cofferdam_core::operation::Action;

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
            assert_eq!(narrowed(&ceiling, &[wanted.to_owned()]).is_ok(), expect, "{declared} to {wanted}");
        };
        check("*", "team-a", true);
        check("team-*", "team-a", true);
        check("team-a", "team-*", false);
        check("team-a", "team-b", false);
    }
}
