//! The commands of `cofferdam-runner` for an operator: identify a cluster, check its admission
//! policies, remove expired runs without the gateway. Each command uses the given credential and no
//! other.

use crate::cluster;
use anyhow::{Context as _, Result, bail};
use cofferdam_backend_directory::index::Index;
use cofferdam_backend_kubernetes::api::Cluster;
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::environment::environment;
use cofferdam_backend_kubernetes::labels::RunName;
use cofferdam_backend_kubernetes::network_probe::{Enforcement, probe};
use cofferdam_backend_kubernetes::reap::{Reaped, reap};
use cofferdam_backend_kubernetes::self_check::{Identity, check_aloud};
use cofferdam_core::model::escape::line;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::left_out::LeftOut;
use cofferdam_core::protocol::role_settings::JobIdentity;
use cofferdam_process::rooted_fs::Root;
use cofferdam_telemetry::bootstrap;
use jiff::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The output of `--help`.
pub const HELP: &str = "\
cofferdam-runner: the roles of Cofferdam that reach infrastructure. `cofferdam serve` starts it.
Commands for an operator:

  cofferdam-runner identify --kubeconfig FILE [--json]
      Prints version, server and id of a cluster. `cofferdam init --kubernetes` runs it.
  cofferdam-runner check --kubeconfig FILE --identity provisioner|viewer|reaper
                         [--job-identity token|impersonation] [--json]
      Checks the admission policies of deploy/ around this credential, and that the objects for
      `job_identity` are installed. Exit code 1 if one is missing.
  cofferdam-runner survey --tree DIR [--json]
      Prints the places in a tree of manifests that are not read or not relied on, with file,
      line and reason. `cofferdam doctor` runs it.
  cofferdam-runner reap --once --kubeconfig FILE [--json]
      Removes run namespaces and derived rights after their `expires-at`; works without the
      gateway. Exit code 1 if one cannot be removed.
  cofferdam-runner probe-network --kubeconfig FILE --image NAME@sha256:DIGEST [--json]
      Tests whether the network plug-in enforces network policies. Needs the kubeconfig of the
      provisioner and an image with busybox; starts two Pods in a namespace of their own. Takes
      1 minute, or up to 5 if the image is slow to pull. The reaper removes the objects of an
      interrupted test after 15 minutes. Exit code 3 if policies are not enforced; 1 if the test
      shows nothing.
";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Identify,
    Check(Identity),
    Reap,
    Probe(String),
    Survey,
}

/// Exit code of a network test that found policies not enforced; an error has another code.
const NOT_ENFORCED: u8 = 3;

/// The options of a command line.
#[derive(Debug, Default)]
struct Options {
    kubeconfig: Option<PathBuf>,
    identity: Option<String>,
    job_identity: Option<String>,
    json: bool,
    once: bool,
    image: Option<String>,
    tree: Option<PathBuf>,
}

fn parse(arguments: &[String]) -> Result<(Command, Options)> {
    let mut options = Options::default();
    let (name, mut rest) = match arguments.split_first() {
        None => return Ok((Command::Help, options)),
        Some((name, rest)) => (name.as_str(), rest.iter()),
    };
    if matches!(name, "--help" | "-h" | "help") {
        return Ok((Command::Help, options));
    }
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next().with_context(|| {
                format!("`{argument}` needs a value; see `cofferdam-runner --help`")
            })
        };
        match argument.as_str() {
            "--kubeconfig" => options.kubeconfig = Some(PathBuf::from(value()?)),
            "--identity" => options.identity = Some(value()?.clone()),
            "--job-identity" => options.job_identity = Some(value()?.clone()),
            "--json" => options.json = true,
            "--image" => options.image = Some(value()?.clone()),
            "--tree" => options.tree = Some(PathBuf::from(value()?)),
            "--once" => options.once = true,
            "--help" | "-h" => return Ok((Command::Help, options)),
            other => bail!("unknown option `{other}`; see `cofferdam-runner --help`"),
        }
    }
    let command = match name {
        "identify" => Command::Identify,
        "check" => match options.identity.as_deref() {
            Some("provisioner") => {
                let word = options.job_identity.as_deref().unwrap_or(JobIdentity::Token.word());
                let jobs = JobIdentity::parse(word).with_context(|| {
                    format!("`--job-identity` is `token` or `impersonation`, not `{word}`")
                })?;
                Command::Check(Identity::Provisioner(jobs))
            }
            Some("viewer") => Command::Check(Identity::Viewer),
            Some("reaper") => Command::Check(Identity::Reaper),
            _ => {
                bail!(
                    "name the owner of the credential: `--identity provisioner`, `viewer` or \
                     `reaper`"
                )
            }
        },
        "survey" if options.tree.is_some() => Command::Survey,
        "survey" => bail!("name the folder of manifests: `--tree DIR`"),
        "reap" if options.once => Command::Reap,
        "reap" => bail!(
            "`cofferdam serve` reaps all the time; by hand it is `cofferdam-runner reap --once`"
        ),
        "probe-network" => {
            let image = options.image.clone().filter(|image| image.contains("@sha256:"));
            Command::Probe(image.context(
                "name an image that has busybox, by its digest: `--image NAME@sha256:DIGEST`",
            )?)
        }
        other => bail!("unknown command `{other}`; see `cofferdam-runner --help`"),
    };
    Ok((command, options))
}

/// Runs a command of an operator.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let (command, options) = parse(arguments)?;
    if command == Command::Help {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(tree) = options.tree.filter(|_| command == Command::Survey) {
        return survey(&tree, options.json);
    }
    let kubeconfig = options.kubeconfig.context("name the credential: `--kubeconfig FILE`")?;
    let credential = cluster::credential(&kubeconfig)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Help | Command::Survey => Ok(ExitCode::SUCCESS),
            Command::Identify => identify(&credential, options.json).await,
            Command::Check(identity) => check(&credential, identity, options.json).await,
            Command::Probe(image) => probe_network(&credential, &image, options.json).await,
            Command::Reap => reap_once(&credential, options.json).await,
        }
    })
}

async fn identify(credential: &Credential, json: bool) -> Result<ExitCode> {
    let found = environment(credential).await?;
    if json {
        println!("{}", serde_json::to_string(&found)?);
    } else {
        println!("{} at {}: environment id {}", found.version, found.server, found.id);
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(credential: &Credential, identity: Identity, json: bool) -> Result<ExitCode> {
    let account = identity.account();
    let checked = check_aloud(credential, identity, |words| eprintln!("{words}")).await;
    let (ok, said) = match &checked {
        Ok(()) => (true, format!("every admission policy around `{account}` is in effect")),
        Err(error) => (false, error.to_string()),
    };
    if json {
        let findings = json!([{"check": "fences", "ok": ok, "says": said}]);
        println!("{}", json!({"ok": ok, "identity": account, "findings": findings}));
    } else {
        println!("{said}");
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn probe_network(credential: &Credential, image: &str, json: bool) -> Result<ExitCode> {
    let run = RunName::new(&CallId::from_random(bootstrap::random()), Fence(1));
    let found = probe(&Cluster::connect(credential)?, run, image, Timestamp::now()).await?;
    let enforced = found == Enforcement::Enforced;
    if json {
        println!("{}", json!({"network_policies_enforced": enforced}));
    } else if enforced {
        println!(
            "network policies are enforced: a connection was closed by `deny-all`, and open with \
             `allow-siblings`"
        );
    } else {
        println!(
            "network policies are not enforced: a connection was open although `deny-all` closes \
             it"
        );
    }
    Ok(if enforced { ExitCode::SUCCESS } else { ExitCode::from(NOT_ENFORCED) })
}

async fn reap_once(credential: &Credential, json: bool) -> Result<ExitCode> {
    let reaped = reap(&Cluster::connect(credential)?, Timestamp::now()).await?;
    show(&reaped, json)?;
    let is_clean = reaped.stuck.is_empty() && reaped.overflow.is_empty();
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the parts of a tree that cannot be relied on.
fn survey(tree: &Path, json: bool) -> Result<ExitCode> {
    let root =
        Root::open(tree).with_context(|| format!("`{}` cannot be opened", tree.display()))?;
    let left_out: LeftOut = Index::read(&root, None)?.survey().into_iter().collect();
    if json {
        println!("{}", serde_json::to_string(&left_out)?);
    } else {
        println!("places that are not read or not relied on: {}", left_out.count);
        left_out.places.iter().for_each(|place| println!("  {}", line(&place.words())));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(reaped: &Reaped, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(reaped)?);
        return Ok(());
    }
    println!("{reaped}");
    Ok(())
}

#[cfg(test)]
mod pages;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(line: &str, expect: Result<Command, &str>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match (parse(&words), expect) {
            (Ok((got, _)), Ok(expect)) => assert_eq!(got, expect, "{line}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, _) => panic!("{line}: {:?}", got.map(|(command, _)| command)),
        }
    }

    #[test]
    fn commands_are_read_and_faults_name_the_remedy() {
        check_line("", Ok(Command::Help));
        check_line("identify --kubeconfig f --json", Ok(Command::Identify));
        check_line("check --kubeconfig f --identity viewer", Ok(Command::Check(Identity::Viewer)));
        check_line("check --kubeconfig f", Err("--identity"));
        check_line(
            "check --kubeconfig f --identity provisioner",
            Ok(Command::Check(Identity::Provisioner(JobIdentity::Token))),
        );
        check_line(
            "check --kubeconfig f --identity provisioner --job-identity impersonation",
            Ok(Command::Check(Identity::Provisioner(JobIdentity::Impersonation))),
        );
        check_line(
            "check --kubeconfig f --identity provisioner --job-identity both",
            Err("`token` or `impersonation`, not `both`"),
        );
        check_line("reap --kubeconfig f --once", Ok(Command::Reap));
        check_line("reap --kubeconfig f", Err("--once"));
        check_line("reap --kubeconfig", Err("needs a value"));
        check_line(
            "probe-network --kubeconfig f --image a@sha256:0",
            Ok(Command::Probe("a@sha256:0".to_owned())),
        );
        check_line("probe-network --kubeconfig f", Err("--image"));
        check_line("probe-network --kubeconfig f --image busybox:1.37", Err("by its digest"));
        check_line("survey --tree t --json", Ok(Command::Survey));
        check_line("survey", Err("--tree DIR"));
        check_line("reap --force", Err("unknown option"));
        check_line("erase", Err("unknown command"));
    }
}
