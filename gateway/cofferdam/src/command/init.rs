//! `cofferdam init`: creates a home for a tree or a cluster: configuration, keys, trust file,
//! plugins and policy. Never overwrites a file: existing ones are named and kept.

mod assets;
mod target;
mod trust;
mod used_home;

use super::plugin::Bench;
use super::rehearse::rehearse_new;
use super::report::Report;
use crate::config::home::{Home, SECRETS, write_private};
use crate::config::trust_file::TrustFile;
use crate::config::{self, Config, Infrastructure};
use anyhow::{Context as _, Result, bail};
use assets::Assets;
use clap::{Args, ValueHint};
use cofferdam_core::model::id::hex;
use cofferdam_core::model::trust::Environment;
use cofferdam_core::policy::digest::policy_digest;
use cofferdam_core::stage::question;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use target::Target;
pub use target::random;

/// The variable with the folder of the shipped assets.
const ASSETS: &str = "COFFERDAM_ASSETS";

const EXAMPLES: &str = "Examples:
  cofferdam init ~/manifests
  cofferdam --home /srv/cofferdam init /srv/manifests --name staging
  cofferdam init --kubernetes --name staging --viewer viewer.kubeconfig --provisioner \
                        provisioner.kubeconfig --reaper reaper.kubeconfig";

/// Creates an installation for a tree of Kubernetes manifests, or for a cluster: configuration,
/// keys, trust file, plugins and policy. A second run adds missing files and overwrites nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    /// The folder of manifests that agents read and ask to change
    #[arg(value_hint = ValueHint::DirPath, required_unless_present = "kubernetes", conflicts_with = "kubernetes")]
    tree: Option<PathBuf>,
    /// The name of this environment [default: the name of the folder; required for a cluster]
    #[arg(long)]
    name: Option<String>,
    /// Serve a cluster, with a kubeconfig for each of three identities (see deploy/README.md)
    #[arg(long, requires_all = ["name", "viewer", "provisioner", "reaper"])]
    kubernetes: bool,
    /// The kubeconfig of the viewer: reads objects and makes dry runs
    #[arg(long, value_name = "FILE", requires = "kubernetes", value_hint = ValueHint::FilePath)]
    viewer: Option<PathBuf>,
    /// The kubeconfig of the provisioner: creates the run namespace and the rights of each job
    #[arg(long, value_name = "FILE", requires = "kubernetes", value_hint = ValueHint::FilePath)]
    provisioner: Option<PathBuf>,
    /// The kubeconfig of the reaper: removes expired run namespaces and rights
    #[arg(long, value_name = "FILE", requires = "kubernetes", value_hint = ValueHint::FilePath)]
    reaper: Option<PathBuf>,
    /// The address and port that agents connect to [default: 127.0.0.1:8620]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The folder to copy tools/, executors/, commands/ and policy/ from [default:
    /// $COFFERDAM_ASSETS, else `share/cofferdam` or `assets` beside the folder of this binary]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    assets: Option<PathBuf>,
    /// Copy tools/, executors/ and commands/ from this folder instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    plugins: Option<PathBuf>,
    /// Copy policy.wasm and data.json from this folder instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policy: Option<PathBuf>,
}

/// The steps of `init`, line by line.
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

    /// The same steps for programs: a verb and its object.
    fn done(&self) -> Vec<Value> {
        let parts = self.lines.iter().filter_map(|line| line.trim().split_once(' '));
        parts.map(|(word, what)| json!({"what": word, "of": what.trim()})).collect()
    }

    fn accepted(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("  accepted {what}"));
    }
}

impl Init {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, working: &Path) -> Result<Report> {
        let served = match (self.tree, self.name, [self.viewer, self.provisioner, self.reaper]) {
            (Some(tree), name, _) => target::tree(&tree, name, home, working)?,
            (None, Some(name), [Some(viewer), Some(provisioner), Some(reaper)]) => {
                target::cluster(name, [viewer, provisioner, reaper], working)?
            }
            // The parser refused such a command line before.
            (None, ..) => bail!("name a tree, or a cluster with `--kubernetes`"),
        };
        // Read here and not by clap: with the variable set, its usage lines would name `--assets`
        // as required.
        let assets = self.assets.or_else(|| {
            std::env::var_os(ASSETS).filter(|text| !text.is_empty()).map(PathBuf::from)
        });
        let assets = Assets::find(assets, self.plugins, self.policy)?;
        let mut log = Log::default();
        let fresh = !home.trust().exists();
        used_home::check(home, fresh)?;
        home.make_folders()?;
        let environment = configure(home, &served, self.listen, &mut log)?;
        for secret in SECRETS {
            if home.secret(secret).exists() {
                home.read_secret(secret)?;
                log.kept(format_args!("keys/{}", secret.file()));
            } else {
                write_private(
                    &home.secret(secret),
                    format!("{}\n", hex(&random::<32>()?)).as_bytes(),
                )?;
                log.made(format_args!("keys/{}", secret.file()));
            }
        }
        if home.agents().exists() {
            log.kept("agents/agents.toml");
        } else {
            write_private(&home.agents(), trust::AGENTS.as_bytes())?;
            log.made("agents/agents.toml, without an agent");
        }
        // The policy comes first, because the trust file needs its digest.
        let (module, data) = assets::policy(home, &assets.policy, fresh, &mut log)?;
        let bench = Bench::start()?;
        let named = || format!("the policy in `{}`", home.policy().display());
        bench.policy(&module, &data).with_context(named)?;
        let digest = policy_digest(&module, &data).context("policy/data.json is not readable")?;
        let mut trust = if fresh {
            TrustFile::of(home.trust(), &trust::text(home, &environment, &digest.to_string())?)?
        } else {
            log.kept("trust/trust.toml");
            let trust = TrustFile::open(home)?;
            let known = trust.trust()?.environment.id;
            if environment.is_cluster() && known != environment.id {
                bail!(
                    "`{}` serves another cluster already, {known}; use another home: `--home DIR`",
                    home.root().display()
                );
            }
            trust
        };
        if fresh {
            log.accepted(format_args!("the policy {}", digest.short()));
        }
        let before = trust.trust()?.tools;
        assets::plugins(home, &assets.plugins, &bench, &mut trust, &mut log)?;
        // In an existing home, the policy was already measured with the accepted tools.
        let tools = trust.trust()?.tools;
        let new: Vec<_> = tools
            .iter()
            .filter(|tool| !before.contains(tool))
            .map(|tool| tool.name.as_str())
            .collect();
        let context = question::context(&environment, digest, None, None, Timestamp::now());
        rehearse_new(&bench, (&module, &data), &tools, &new, &context).with_context(named)?;
        let trust = trust.save()?;
        if fresh {
            log.made("trust/trust.toml");
        }
        let at = at(home);
        let (tree, kubeconfigs, doctor) = match &served.infrastructure {
            Infrastructure::Directory { tree } => {
                (Some(tree), None, "   # checks the installation")
            }
            Infrastructure::Kubernetes(cluster) => (
                None,
                Some(BTreeMap::from(cluster.identities())),
                "   # checks each identity's rights",
            ),
        };
        let text = format!(
            "{}\n{}\n\nNext:\n  cofferdam{at} approver add me@example.com --key \
             ~/.ssh/id_ed25519.pub   # who may sign\n  cofferdam{at} agents add my-agent --role \
             deployer --for colleague@example.com   # prints a token, once\n  cofferdam{at} \
             doctor{doctor}\n  cofferdam{at} serve\n\nThe person an agent acts for cannot approve \
             what it asks (`self_approval` in trust.toml). Read the policy before you connect \
             anything that matters.",
            home.root().display(),
            log.lines.join("\n"),
        );
        Ok(Report::new(
            text,
            json!({
                "home": home.root(), "tree": tree, "kubernetes": kubeconfigs,
                "environment": trust.environment, "policy": trust.policy,
                "tools": trust.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
                "executors": trust.executors.iter().map(|executor| &executor.name).collect::<Vec<_>>(),
                "commands": trust.commands.iter().map(|command| &command.name).collect::<Vec<_>>(),
                "done": log.done(),
            }),
        ))
    }
}

/// Writes the configuration. An existing one keeps its name and its infrastructure.
fn configure(
    home: &Home,
    served: &Target,
    listen: Option<SocketAddr>,
    log: &mut Log,
) -> Result<Environment> {
    let Target { infrastructure, environment, words } = served;
    if home.config().exists() {
        let config = Config::read(home)?;
        if listen.is_some_and(|listen| listen != config.edge.listen) {
            bail!(
                "cofferdam.toml is there already, with `edge.listen` as `{}`; change it there",
                config.edge.listen
            );
        }
        if config.infrastructure != *infrastructure {
            let root = home.root().display();
            bail!(
                "`{root}` serves {} already; use another home for {words}: `--home DIR`",
                config.infrastructure.words()
            );
        }
        log.kept("cofferdam.toml");
        return Ok(Environment { name: config.environment, id: environment.id.clone() });
    }
    let mut environment = environment.clone();
    if home.trust().exists() {
        // Only the configuration was lost: it must name the environment of the trust file.
        environment.name = TrustFile::open(home)?.trust()?.environment.name;
    }
    let listen = listen.unwrap_or(config::LISTEN);
    write_private(
        &home.config(),
        config::template(&environment.name, infrastructure, listen).as_bytes(),
    )?;
    if let Err(errors) = Config::read(home) {
        std::fs::remove_file(home.config()).context("cannot remove the invalid configuration")?;
        return Err(errors.into());
    }
    log.made(format_args!("cofferdam.toml, environment `{}`, {words}", environment.name));
    Ok(environment)
}

/// The option that names this home in further commands.
fn at(home: &Home) -> String {
    let usual = Home::find(None, |name| std::env::var_os(name), Path::new("/"));
    if usual.is_ok_and(|usual| usual == *home) {
        String::new()
    } else {
        format!(" --home {}", home.root().display())
    }
}
