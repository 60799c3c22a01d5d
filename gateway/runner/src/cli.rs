//! The commands of `cofferdam-runner` for an operator: identify a cluster, check its admission
//! policies, remove expired runs without the gateway. Each command uses the given credential and no
//! other.

use crate::cluster;
use anyhow::{Context as _, Result, bail};
use cofferdam_backend_directory::index::Index;
use cofferdam_backend_kubernetes::api::Cluster;
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
cofferdam-runner: the roles of Cofferdam that reach infrastructure. `cofferdam serve` starts it; \
                        by hand it answers:

  cofferdam-runner identify --kubeconfig FILE [--json]
      Which cluster this is. `cofferdam init --kubernetes` asks it.
  cofferdam-runner check --kubeconfig FILE --identity provisioner|viewer|reaper [--job-identity \
                        token|impersonation] [--json]
      Whether the fences of deploy/ stand around this credential, and whether what `job_identity` \
                        says is installed. Exit code 1 when not.
  cofferdam-runner survey --tree DIR [--json]
      What of a tree of manifests is not read or not relied on, with file, line and reason. \
                        `cofferdam doctor` asks it.
  cofferdam-runner reap --once --kubeconfig FILE [--json]
      Removes run namespaces and derived rights that are past their `expires-at`; works without \
                        the gateway. Exit code 1 when one is stuck.
  cofferdam-runner probe-network --kubeconfig FILE --image NAME@sha256:DIGEST [--json]
      Whether the cluster's network plug-in enforces network policies: with the provisioner's \
                        kubeconfig and an image that has busybox, two Pods in a
      namespace of their own show it. Takes a minute, five at most where the image comes slowly; \
                        what an interrupted one leaves the reaper takes after 15
      minutes. Exit code 3 when not; 1 when nothing could be shown.
";

/// A command line, read.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Identify,
    Check(Identity),
    Reap,
    Probe(String),
    Survey,
}

/// Exit code of a probe that found policies not enforced: not that of an error.
const NOT_ENFORCED: u8 = 3;

/// Its options.
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
            other => bail!("`{other}` is no option; see `cofferdam-runner --help`"),
        }
    }
    let command = match name {
        "identify" => Command::Identify,
        "check" => match options.identity.as_deref() {
            Some("provisioner") => {
                let word = options.job_identity.as_deref().unwrap_or(JobIdentity::Token.word());
                let jobs = JobIdentity::parse(word).with_context(|| {
                    format!(
                        "`{word}` is no way for jobs to act: `--job-identity token` or \
                         `impersonation`"
                    )
                })?;
                Command::Check(Identity::Provisioner(jobs))
            }
            Some("viewer") => Command::Check(Identity::Viewer),
            Some("reaper") => Command::Check(Identity::Reaper),
            _ => {
                bail!("name whose credential it is: `--identity provisioner`, `viewer` or `reaper`")
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
        other => bail!("`{other}` is no command; see `cofferdam-runner --help`"),
    };
    Ok((command, options))
}

/// Answers an operator.
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
            Command::Help | Command::Survey => {}
            Command::Identify => {
                let found = environment(&credential).await?;
                if options.json {
                    println!("{}", serde_json::to_string(&found)?);
                } else {
                    println!("{} at {}: environment id {}", found.version, found.server, found.id);
                }
            }
            Command::Check(identity) => {
                let checked = check_aloud(&credential, identity, |words| eprintln!("{words}")).await;
                let (ok, said) = match &checked {
                    Ok(()) => (true, format!("every fence around `{}` stands", identity.account())),
                    Err(error) => (false, error.to_string()),
                };
                if options.json {
                    println!(
                        "{}",
                        json!({"ok": ok, "identity": identity.account(), "findings": [{"check": "fences", "ok": ok, "says": said}]})
                    );
                } else {
                    println!("{said}");
                }
                return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Command::Probe(image) => {
                let run = RunName::new(&CallId::from_random(bootstrap::random()), Fence(1));
                let found = probe(&Cluster::connect(&credential)?, run, &image, Timestamp::now()).await?;
                let enforced = found == Enforcement::Enforced;
                if options.json {
                    println!("{}", json!({"network_policies_enforced": enforced}));
                } else if enforced {
                    println!("network policies are enforced: a way was closed by `deny-all`, and open with `allow-siblings`");
                } else {
                    println!("network policies are not enforced: a way was open although `deny-all` closes it");
                }
                return Ok(if enforced { ExitCode::SUCCESS } else { ExitCode::from(NOT_ENFORCED) });
            }
            Command::Reap => {
                let reaped = reap(&Cluster::connect(&credential)?, Timestamp::now()).await?;
                show(&reaped, options.json)?;
                return Ok(if reaped.stuck.is_empty() && reaped.overflow.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
        Ok(ExitCode::SUCCESS)
    })
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

    fn check(line: &str, expect: Result<Command, &str>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match (parse(&words), expect) {
            (Ok((got, _)), Ok(expect)) => assert_eq!(got, expect, "{line}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, _) => panic!("{line}: {:?}", got.map(|(command, _)| command)),
        }
    }

    #[test]
    fn commands_are_read_and_faults_name_the_remedy() {
        check("", Ok(Command::Help));
        check("identify --kubeconfig f --json", Ok(Command::Identify));
        check("check --kubeconfig f --identity viewer", Ok(Command::Check(Identity::Viewer)));
        check("check --kubeconfig f", Err("--identity"));
        check(
            "check --kubeconfig f --identity provisioner",
            Ok(Command::Check(Identity::Provisioner(JobIdentity::Token))),
        );
        check(
            "check --kubeconfig f --identity provisioner --job-identity impersonation",
            Ok(Command::Check(Identity::Provisioner(JobIdentity::Impersonation))),
        );
        check(
            "check --kubeconfig f --identity provisioner --job-identity both",
            Err("no way for jobs to act"),
        );
        check("reap --kubeconfig f --once", Ok(Command::Reap));
        check("reap --kubeconfig f", Err("--once"));
        check("reap --kubeconfig", Err("needs a value"));
        check(
            "probe-network --kubeconfig f --image a@sha256:0",
            Ok(Command::Probe("a@sha256:0".to_owned())),
        );
        check("probe-network --kubeconfig f", Err("--image"));
        check("probe-network --kubeconfig f --image busybox:1.37", Err("by its digest"));
        check("survey --tree t --json", Ok(Command::Survey));
        check("survey", Err("--tree DIR"));
        check("reap --force", Err("no option"));
        check("erase", Err("no command"));
    }
}
