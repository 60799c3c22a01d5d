//! `cofferdam init`: makes a home for a tree: configuration, keys, trust file, plugins and policy. Never overwrites: what is there is named and kept.

use super::plugin::{Bench, Kind};
use super::report::Report;
use super::trustfile::TrustFile;
use crate::config::{self, Config};
use crate::home::{Home, SECRETS, Secret, write_private};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueHint};
use cofferdam_core::decide::policy_digest;
use cofferdam_core::id::hex;
use cofferdam_core::permit::verifying_key_text;
use cofferdam_core::trust::TrustedExecutor;
use ed25519_dalek::SigningKey;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Makes an installation for a tree of Kubernetes manifests. Run again it adds what is missing and overwrites nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam init ~/manifests\n  cofferdam --home /srv/cofferdam init /srv/manifests --name staging")]
pub struct Init {
    /// The folder of manifests that agents may look at and ask to change
    #[arg(value_hint = ValueHint::DirPath)]
    tree: PathBuf,
    /// What people call this environment [default: the folder's name]
    #[arg(long)]
    name: Option<String>,
    /// Folder with tools/, executors/ and policy/ to begin with [default: beside this binary]
    #[arg(long, value_name = "DIR", env = "COFFERDAM_ASSETS", value_hint = ValueHint::DirPath, hide_env_values = true)]
    assets: Option<PathBuf>,
    /// Take tools/ and executors/ from here instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    plugins: Option<PathBuf>,
    /// Take policy.wasm and data.json from here instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policy: Option<PathBuf>,
}

/// What was done, line by line.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
}

impl Log {
    fn made(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("  made     {what}"));
    }

    fn kept(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("  kept     {what}"));
    }

    fn accepted(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("  accepted {what}"));
    }
}

impl Init {
    /// Runs it.
    pub fn run(self, home: &Home, working: &Path) -> Result<Report> {
        let tree = std::fs::canonicalize(working.join(&self.tree))
            .ok()
            .filter(|tree| tree.is_dir())
            .with_context(|| format!("`{}` is not a folder; name the folder that holds the manifests", self.tree.display()))?;
        let overlap = config::overlaps(&tree, home);
        if !overlap.is_empty() {
            bail!(
                "the home `{}` and the tree `{}` overlap, so that a change could reach what decides about changes; choose another with `--home DIR`",
                home.root().display(),
                tree.display()
            );
        }
        let assets = self.assets()?;
        let mut log = Log::default();
        home.make_folders()?;
        // A home that has a configuration keeps its name and tree.
        let name = if home.config().exists() {
            let config = Config::read(home)?;
            if config.tree != tree {
                bail!(
                    "`{}` serves the tree `{}` already; use another home for `{}`: `--home DIR`",
                    home.root().display(),
                    config.tree.display(),
                    tree.display()
                );
            }
            log.kept("cofferdam.toml");
            config.environment
        } else {
            let name = self.name.clone().map_or_else(|| environment_name(&tree), Ok)?;
            write_private(&home.config(), config::template(&name, &tree).as_bytes())?;
            if let Err(faults) = Config::read(home) {
                std::fs::remove_file(home.config()).context("cannot take back the faulty configuration")?;
                return Err(faults.into());
            }
            log.made(format_args!("cofferdam.toml, environment `{name}`, tree {}", tree.display()));
            name
        };
        for secret in SECRETS {
            if home.secret(secret).exists() {
                home.read_secret(secret)?;
                log.kept(format_args!("keys/{}", secret.file()));
            } else {
                write_private(&home.secret(secret), format!("{}\n", hex(&random::<32>()?)).as_bytes())?;
                log.made(format_args!("keys/{}", secret.file()));
            }
        }
        if home.agents().exists() {
            log.kept("agents.toml");
        } else {
            write_private(&home.agents(), AGENTS.as_bytes())?;
            log.made("agents.toml, without an agent");
        }
        let fresh = !home.trust().exists();
        // Without a policy there is nothing to trust: it comes first.
        let (module, data) = policy(home, &assets.policy, fresh, &mut log)?;
        let bench = Bench::start()?;
        bench.policy(&module, &data).with_context(|| format!("the policy in `{}`", home.policy().display()))?;
        let digest = policy_digest(&module, &data).context("policy/data.json is not readable")?;
        let mut trust = if fresh {
            TrustFile::of(home.trust(), &trust_text(home, &name, &digest.to_string())?)?
        } else {
            log.kept("trust.toml");
            TrustFile::open(home)?
        };
        if fresh {
            log.accepted(format_args!("the policy {}", digest.short()));
        }
        plugins(home, &assets.plugins, &bench, &mut trust, &mut log)?;
        let trust = trust.save()?;
        if fresh {
            log.made("trust.toml");
        }
        let at = at(home);
        let text = format!(
            "{}\n{}\n\nNext:\n  \
             cofferdam{at} approver add me@example.com --key ~/.ssh/id_ed25519.pub   # who may sign\n  \
             cofferdam{at} agents add my-agent --role deployer --for colleague@example.com   # prints a token, once\n  \
             cofferdam{at} serve\n\n\
             The person an agent acts for cannot approve what it asks (`self_approval` in trust.toml). Read the policy before you connect anything that matters.",
            home.root().display(),
            log.lines.join("\n"),
        );
        Ok(Report::new(
            text,
            json!({
                "home": home.root(), "tree": tree, "environment": trust.environment, "policy": trust.policy,
                "tools": trust.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
                "executors": trust.executors.iter().map(|executor| &executor.name).collect::<Vec<_>>(),
                "done": log.lines.iter().map(|line| line.trim()).collect::<Vec<_>>(),
            }),
        ))
    }

    fn assets(&self) -> Result<Assets> {
        let found = self.assets.clone().or_else(beside);
        let part = |given: &Option<PathBuf>, name: Option<&str>, what: &str| {
            given.clone().or_else(|| found.as_ref().map(|found| name.map_or(found.clone(), |name| found.join(name)))).with_context(|| {
                format!("no {what} to begin with; build them with `scripts/setup`, or say where they are with `--assets DIR`")
            })
        };
        Ok(Assets { plugins: part(&self.plugins, None, "plugins")?, policy: part(&self.policy, Some("policy"), "policy")? })
    }
}

/// Where plugins and policy come from.
struct Assets {
    plugins: PathBuf,
    policy: PathBuf,
}

/// The parts that were installed or built with this binary.
fn beside() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let above = binary.parent()?.parent()?;
    ["share/cofferdam", "assets"].iter().map(|place| above.join(place)).find(|place| place.join("tools").is_dir())
}

/// The home's policy; copied there when there is none.
fn policy(home: &Home, from: &Path, fresh: bool, log: &mut Log) -> Result<(Vec<u8>, String)> {
    if home.policy_module().exists() && !fresh {
        log.kept("policy/");
    } else {
        for (name, to) in [("policy.wasm", home.policy_module()), ("data.json", home.policy_data())] {
            let source = from.join(name);
            let bytes = std::fs::read(&source)
                .with_context(|| format!("no policy at `{}`; build one with `scripts/build-policy DIR OUT`", source.display()))?;
            write_private(&to, &bytes)?;
        }
        log.made(format_args!("policy/ from {}", from.display()));
    }
    let module = std::fs::read(home.policy_module()).context("cannot read policy/policy.wasm")?;
    let data = std::fs::read_to_string(home.policy_data()).context("cannot read policy/data.json")?;
    Ok((module, data))
}

/// Copies and accepts the plugins that no entry of the trust file names yet.
fn plugins(home: &Home, from: &Path, bench: &Bench, trust: &mut TrustFile, log: &mut Log) -> Result<()> {
    for (folder, to) in [("executors", home.executors()), ("tools", home.tools())] {
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
            let name = plugin.name().to_owned();
            let known = trust.trust()?;
            let to = to.join(format!("{name}.wasm"));
            match (&plugin.kind, folder) {
                (Kind::Tool(_), "tools") if known.tool(&name).is_some() => log.kept(format_args!("tool {name}")),
                (Kind::Executor(_), "executors") if known.executor(&name).is_some() => log.kept(format_args!("executor {name}")),
                (Kind::Tool(tool), "tools") => {
                    let definition = &tool.0;
                    write_private(&to, &plugin.bytes)?;
                    trust.put_tool(&plugin.trusted(definition, definition.ceiling.clone()))?;
                    log.accepted(format_args!("tool {name} {}: {}", definition.version, grants(&definition.ceiling)));
                }
                (Kind::Executor(_), "executors") => {
                    write_private(&to, &plugin.bytes)?;
                    trust.put_executor(&TrustedExecutor { name: name.clone(), digest: plugin.digest })?;
                    log.accepted(format_args!("executor {name}"));
                }
                _ => bail!("`{}` lies in the wrong folder: tools belong into tools/, executors into executors/", file.display()),
            }
        }
    }
    Ok(())
}

/// A ceiling in half a line.
fn grants(ceiling: &cofferdam_core::ceiling::Ceiling) -> String {
    let lines: Vec<String> = ceiling
        .grants
        .iter()
        .map(|grant| {
            let fields =
                if grant.fields.is_empty() { String::new() } else { format!(" ({})", crate::show::short(&grant.fields.join(", "), 60)) };
            format!("{} {}{fields} in {}", grant.action, grant.kind, grant.namespaces.join(", "))
        })
        .collect();
    if lines.is_empty() { "answers only".to_owned() } else { lines.join("; ") }
}

/// The folder's name as an environment's: small letters, digits and hyphens.
fn environment_name(tree: &Path) -> Result<String> {
    let name: String = tree
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default()
        .chars()
        .map(|letter| if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' })
        .take(40)
        .collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { Err(anyhow!("the folder's name makes no name for the environment; give one with `--name`")) } else { Ok(name) }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|fault| anyhow!("the system gives no random bits: {fault}"))?;
    Ok(bytes)
}

/// How the home has to be named in further commands.
fn at(home: &Home) -> String {
    let usual = Home::find(None, |name| std::env::var_os(name), Path::new("/"));
    if usual.is_ok_and(|usual| usual == *home) { String::new() } else { format!(" --home {}", home.root().display()) }
}

/// The public key of a role's secret, as trust files have it.
fn public(home: &Home, secret: Secret) -> Result<String> {
    Ok(verifying_key_text(&SigningKey::from_bytes(&home.read_secret(secret)?).verifying_key()))
}

const AGENTS: &str = "\
# Who may connect. Written by `cofferdam agents add|remove|rotate`; read again by the gateway when it changes.
# Tokens are not kept: `token` is the SHA-256 of one.
";

fn trust_text(home: &Home, name: &str, policy: &str) -> Result<String> {
    let id = hex(&random::<16>()?);
    let (gateway, recorder) = (public(home, Secret::Permits)?, public(home, Secret::Checkpoints)?);
    Ok(format!(
        r#"# What the roles of this installation believe without asking anybody. Written by `cofferdam accept` and `cofferdam approver`; every role reads
# its own copy. Whatever is not here is refused.

# The accepted policy: its module and its data.
policy = "{policy}"
# The person an agent acts for may approve what it asks. Leave it off unless you are alone and know why.
self_approval = false

[environment]
name = "{name}"
# Random, made once: plans and approvals are good for this environment alone.
id = "{id}"

[keys]
# Signs permits.
gateway = "{gateway}"
# Signs the ledger's checkpoints: `cofferdam ledger verify` wants it.
recorder = "{recorder}"

# What needs a person's signature whatever the policy says.
[floor]
actions = ["delete", "task"]
namespaces = ["default", "production", "prod", "prod-*"]
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::trust::{Floor, Trust};

    #[test]
    fn a_fresh_trust_file_is_readable_and_has_the_conservative_floor() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        for secret in SECRETS {
            write_private(&home.secret(secret), hex(&[secret as u8; 32]).as_bytes()).unwrap();
        }
        let digest = policy_digest(b"module", "{}").unwrap().to_string();
        let trust = Trust::parse(&trust_text(&home, "lab", &digest).unwrap()).unwrap();
        assert_eq!(trust.floor, Floor::conservative());
        assert!(!trust.self_approval);
        assert_eq!(trust.policy.to_string(), digest);
        assert!(cofferdam_core::permit::verifying_key(&trust.keys.gateway).is_some());
    }

    #[test]
    fn a_folder_gives_its_name() {
        let check = |path: &str, expect: Option<&str>| assert_eq!(environment_name(Path::new(path)).ok().as_deref(), expect);
        check("/home/me/My Manifests", Some("my-manifests"));
        check("/srv/staging_2", Some("staging-2"));
        check("/srv/___", None);
    }
}
