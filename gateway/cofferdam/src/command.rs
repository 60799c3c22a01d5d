//! The commands: what they are called, what they take, and what their exit codes mean. Each lives
//! in a file of its own.

mod accept;
mod agents;
mod approve;
mod approver;
mod baseline;
mod build;
mod call;
mod component;
mod difference;
mod doctor;
mod http;
mod init;
mod inspect;
mod jobs;
mod ledger;
mod new;
#[cfg(test)]
mod pages;
mod plugin;
mod policy;
mod public_key;
mod recorder_client;
mod rehearse;
mod report;
mod resolve;
mod runner_binary;
mod show;
mod ssh;
mod try_out;

use crate::config::Installation;
use crate::config::home::Home;
use crate::serve;
use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser, Subcommand, ValueHint};
use cofferdam_core::model::run::{JOB_STEPS, JobStep};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Stands between AI agents and infrastructure: agents ask, policy and people decide, one-off
/// runners act, and a ledger proves it.
///
/// Start: `cofferdam init TREE`, `cofferdam serve`, `cofferdam agents add NAME --role ROLE --for
/// PERSON`.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version, max_term_width = 120, after_help = EXIT_CODES)]
struct Cli {
    /// The folder of this installation [default: $COFFERDAM_HOME, else $XDG_DATA_HOME/cofferdam,
    /// else ~/.local/share/cofferdam]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    home: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 64 faulty configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up an installation for a folder of Kubernetes manifests, or for a cluster
    Init(init::Init),
    /// Serve agents until SIGINT or SIGTERM
    Serve(Serve),
    /// Add, list and remove agents: their names, roles and people
    #[command(subcommand)]
    Agents(agents::Agents),
    /// Add, list and remove approvers and their SSH keys
    #[command(subcommand)]
    Approver(approver::ApproverCommand),
    /// List the tools an agent may see
    Tools(call::Tools),
    /// Call a tool as an agent does
    Call(call::Call),
    /// List jobs, newest first
    Jobs(jobs::Jobs),
    /// Tell one call as a story: asked, allowed, approved, done, cleaned up, proven
    Show(jobs::Show),
    /// Read a waiting call and approve it with your signature
    Approve(approve::Approve),
    /// Read a waiting call and deny it; the agent is told your reason
    Deny(approve::Deny),
    /// Record what became of a call whose outcome is unknown
    Resolve(resolve::Resolve),
    /// Check and prove what was recorded
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Start a new tool in a folder of its own
    New(new::New),
    /// Compile a tool or an executor, check it and show its ceiling
    Build(build::Build),
    /// Show the ceiling of a tool or an executor, and how it differs from the accepted one
    Inspect(inspect::Inspect),
    /// Show what a tool would do before it is accepted; nothing is recorded or changed
    Try(try_out::Try),
    /// Accept a tool, an executor, a command or a policy; the next start of `serve` uses it
    Accept(accept::Accept),
    /// Test and ask policies
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Show jobs, roles, ledger and disk on one page
    Status(jobs::Status),
    /// Find what is missing or wrong, with the remedy
    Doctor(doctor::Doctor),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  cofferdam completions bash > \
                            ~/.local/share/bash-completion/completions/cofferdam")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
        // Of the same name as the global option, and hidden: this command needs no installation.
        #[arg(long, hide = true)]
        home: Option<PathBuf>,
    },
}

/// What `serve` starts: no command of people, so that no help and no suggestion names it.
#[derive(Debug, Parser)]
struct RoleLine {
    #[command(subcommand)]
    line: RoleWord,
}

#[derive(Debug, Subcommand)]
enum RoleWord {
    #[command(subcommand)]
    Role(Role),
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Faces agents
    Gateway,
    /// Remembers
    Recorder,
}

/// Serves agents until SIGINT or SIGTERM, then lets running jobs finish; a second signal ends at
/// once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cofferdam serve\n  cofferdam --home /srv/cofferdam serve")]
struct Serve {
    /// Folder of cofferdam-runner and cofferdam-guest [default: beside this binary]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    binaries: Option<PathBuf>,
    /// A rehearsal: kill the runner of the first job right after this step
    #[arg(long, value_name = "STEP", value_parser = drill)]
    drill: Option<JobStep>,
    /// How often roles are asked for a sign of life, in milliseconds; for tests
    #[arg(long, hide = true, value_parser = clap::value_parser!(u64).range(10..))]
    heartbeat_ms: Option<u64>,
}

/// Runs the command of this process's command line.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == "role") {
        let RoleLine { line: RoleWord::Role(role) } = RoleLine::parse();
        return report::end(serve_role(&role), false);
    }
    let cli = Cli::parse();
    let json = cli.json;
    report::end(run(cli), json)
}

/// Roles are told where things are by their supervisor; they look for no home.
fn serve_role(role: &Role) -> Result<Report> {
    let well = match role {
        Role::Gateway => serve::gateway::run()?,
        Role::Recorder => serve::recorder::run()?,
    };
    Ok(Report::silent().good(well))
}

fn run(cli: Cli) -> Result<Report> {
    let working = std::env::current_dir().context("the working folder is gone")?;
    let home = Home::find(cli.home, |name| std::env::var_os(name), &working)?;
    match cli.command {
        Command::Init(command) => command.run(&home, &working),
        Command::Serve(command) => {
            let installation = Installation::read(home)?;
            let heartbeat = command.heartbeat_ms.map(Duration::from_millis);
            let options =
                serve::Options { drill: command.drill, heartbeat, binaries: command.binaries };
            Ok(Report::silent().good(serve::run(installation, &options)?))
        }
        Command::Agents(command) => command.run(&home),
        Command::Approver(command) => command.run(&home),
        Command::Tools(command) => command.run(&home),
        Command::Call(command) => command.run(&home),
        Command::Jobs(command) => command.run(&home),
        Command::Show(command) => command.run(&home),
        Command::Approve(command) => command.run(&home, cli.json),
        Command::Deny(command) => command.run(&home, cli.json),
        Command::Resolve(command) => command.run(&home),
        Command::Ledger(command) => command.run(&home),
        Command::Build(command) => command.run(&home),
        Command::New(command) => command.run(&working),
        Command::Inspect(command) => command.run(&home),
        Command::Try(command) => command.run(&home),
        Command::Accept(command) => command.run(&home),
        Command::Policy(command) => command.run(&home),
        Command::Status(command) => command.run(&home),
        Command::Doctor(command) => command.run(&home),
        Command::Completions { shell, home: _ } => {
            // Into memory first: the generator panics where a reader goes away.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cofferdam", &mut script);
            let script = String::from_utf8_lossy(&script).trim_end().to_owned();
            Ok(Report::new(
                script.clone(),
                serde_json::json!({"shell": shell.to_string(), "script": script}),
            ))
        }
    }
}

/// Reads a job step by its name.
fn drill(text: &str) -> Result<JobStep, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        let names = JOB_STEPS.map(|step| {
            serde_json::to_value(step)
                .ok()
                .and_then(|name| name.as_str().map(str::to_owned))
                .unwrap_or_default()
        });
        format!("no such step; the steps are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_only_options_that_the_command_uses() {
        for (command, named) in
            [("completions", false), ("new", false), ("jobs", true), ("init", true)]
        {
            let told =
                Cli::try_parse_from(["cofferdam", command, "--help"]).unwrap_err().to_string();
            assert_eq!(told.contains("--home"), named, "{told}");
        }
        for words in [
            &["cofferdam", "--home", "h", "completions", "bash"][..],
            &["cofferdam", "completions", "bash", "--home", "h"],
        ] {
            assert!(Cli::try_parse_from(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn a_usage_line_names_no_option_as_required_that_has_a_default() {
        let told = Cli::try_parse_from(["cofferdam", "init", "tree", "--nothing"])
            .unwrap_err()
            .to_string();
        assert!(!told.contains("--assets") && !told.contains("--home"), "{told}");
    }

    #[test]
    fn a_mistyped_command_is_told_only_commands_for_people() {
        let told = Cli::try_parse_from(["cofferdam", "rol"]).unwrap_err().to_string();
        assert!(!told.contains("'role'"), "{told}");
    }
}
