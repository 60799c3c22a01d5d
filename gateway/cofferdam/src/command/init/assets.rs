//! The shipped assets: policy and plugins, copied to a new home and accepted. Replaces no existing
//! file.

use super::Log;
use crate::command::plugin::{Bench, Kind};
use crate::config::home::{Home, write_private};
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::trust::{TrustedCommand, TrustedExecutor};
use std::path::{Path, PathBuf};

/// The folders of the shipped plugins and policy.
pub struct Assets {
    /// The folder with tools/, executors/ and commands/.
    pub plugins: PathBuf,
    /// The folder with policy.wasm and data.json.
    pub policy: PathBuf,
}

impl Assets {
    /// The folders of the command line, else those beside this binary.
    pub fn find(
        assets: Option<PathBuf>,
        plugins: Option<PathBuf>,
        policy: Option<PathBuf>,
    ) -> Result<Self> {
        let found = assets.or_else(beside);
        let part = |given: Option<PathBuf>, name: Option<&str>, what: &str| {
            given
                .or_else(|| {
                    found.as_ref().map(|found| name.map_or(found.clone(), |name| found.join(name)))
                })
                .with_context(|| {
                    format!(
                        "there are no {what}; build them with `scripts/setup`, or name their \
                         folder with `--assets DIR`"
                    )
                })
        };
        Ok(Self {
            plugins: part(plugins, None, "plugins")?,
            policy: part(policy, Some("policy"), "policy")?,
        })
    }
}

/// The assets that were installed or built with this binary.
fn beside() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let above = binary.parent()?.parent()?;
    ["share/cofferdam", "assets"]
        .iter()
        .map(|place| above.join(place))
        .find(|place| place.join("tools").is_dir())
}

/// Returns the policy of the home, and copies it first if it is missing.
pub fn policy(home: &Home, from: &Path, fresh: bool, log: &mut Log) -> Result<(Vec<u8>, String)> {
    if !fresh {
        log.kept("policy/");
    } else {
        for (name, to) in [("policy.wasm", home.policy_module()), ("data.json", home.policy_data())]
        {
            let source = from.join(name);
            let bytes = std::fs::read(&source).with_context(|| {
                format!(
                    "no policy at `{}`; build one with `scripts/build-policy DIR OUT`",
                    source.display()
                )
            })?;
            write_private(&to, &bytes)?;
        }
        home.keep_policy_rules(from)?;
        log.made(format_args!("policy/ from {}", from.display()));
    }
    let module = std::fs::read(home.policy_module()).context("cannot read policy/policy.wasm")?;
    let data =
        std::fs::read_to_string(home.policy_data()).context("cannot read policy/data.json")?;
    Ok((module, data))
}

/// Copies and accepts the plugins that are not in the trust file yet.
pub fn plugins(
    home: &Home,
    from: &Path,
    bench: &Bench,
    trust: &mut TrustFile,
    log: &mut Log,
) -> Result<()> {
    for (folder, to) in
        [("executors", home.executors()), ("commands", home.commands()), ("tools", home.tools())]
    {
        let from = from.join(folder);
        if !from.is_dir() {
            continue;
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(&from)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .with_context(|| format!("cannot list `{}`", from.display()))?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
            .collect();
        files.sort();
        for file in files {
            let plugin = bench.read(&file)?;
            // Refused as in `accept`: some MCP hosts drop the whole list of tools because of one
            // such schema.
            plugin.warnings()?;
            let name = plugin.name().to_owned();
            let known = trust.trust()?;
            let to = to.join(format!("{name}.wasm"));
            match (&plugin.kind, folder) {
                (Kind::Tool(_), "tools") if known.tool(&name).is_some() => {
                    log.kept(format_args!("tool {name}"))
                }
                (Kind::Executor(_), "executors") if known.executor(&name).is_some() => {
                    log.kept(format_args!("executor {name}"))
                }
                (Kind::Command(_), "commands")
                    if known.commands.iter().any(|command| command.name == name) =>
                {
                    log.kept(format_args!("command {name}"));
                }
                (Kind::Tool(definition), "tools") => {
                    write_private(&to, &plugin.bytes)?;
                    trust.put_tool(&plugin.trusted(definition, definition.ceiling.clone()))?;
                    log.accepted(format_args!(
                        "tool {name} {}: {}",
                        definition.version,
                        grants(&definition.ceiling)
                    ));
                }
                (Kind::Executor(_), "executors") => {
                    write_private(&to, &plugin.bytes)?;
                    trust.put_executor(&TrustedExecutor {
                        name: name.clone(),
                        digest: plugin.digest,
                    })?;
                    log.accepted(format_args!("executor {name}"));
                }
                (Kind::Command(_), "commands") => {
                    write_private(&to, &plugin.bytes)?;
                    trust.put_command(&TrustedCommand {
                        name: name.clone(),
                        digest: plugin.digest,
                    })?;
                    log.accepted(format_args!("command {name}"));
                }
                _ => bail!(
                    "`{}` lies in the wrong folder: tools belong into tools/, executors into \
                     executors/, commands into commands/",
                    file.display()
                ),
            }
        }
    }
    Ok(())
}

/// The most characters of a ceiling's summary; `cofferdam tools --accepted` prints more.
const SUMMARY: usize = 80;

/// A ceiling in half a line: operations and kinds, without fields and namespaces.
fn grants(ceiling: &cofferdam_core::model::ceiling::Ceiling) -> String {
    let mut actions: Vec<(String, Vec<&str>)> = Vec::new();
    for grant in &ceiling.grants {
        let action = grant.action.to_string();
        match actions.iter_mut().find(|(known, _)| *known == action) {
            Some((_, kinds)) if kinds.contains(&grant.kind.as_str()) => {}
            Some((_, kinds)) => kinds.push(&grant.kind),
            None => actions.push((action, vec![&grant.kind])),
        }
    }
    let told: Vec<String> =
        actions.iter().map(|(action, kinds)| format!("{action} {}", kinds.join(", "))).collect();
    if told.is_empty() {
        "answers only".to_owned()
    } else {
        crate::command::show::short(&told.join("; "), SUMMARY)
    }
}
