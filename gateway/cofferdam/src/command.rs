//! The commands with their arguments and exit codes. Each command has a file of its own.

mod accept;
mod agent_token;
mod agents;
mod approve;
mod approver;
mod approvers_file;
mod audit;
mod baseline;
mod build;
mod call;
mod certificates;
mod component;
mod connect;
mod difference;
mod doctor;
mod gateway_url;
mod http;
mod init;
mod input_file;
mod inspect;
mod jobs;
mod ledger;
mod moment;
mod new;
mod notify;
#[cfg(test)]
mod pages;
mod people;
mod pinned_tls;
mod plugin;
mod policy;
mod public_key;
mod recorder_client;
mod rehearse;
mod reload;
mod report;
mod resolve;
mod role_home;
mod runner_binary;
mod show;
mod ssh;
mod stdio;
mod stop;
mod store;
mod token_life;
mod try_out;

use crate::config::Installation;
use crate::config::home::Home;
use crate::serve;
use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser, Subcommand, ValueHint};
use cofferdam_core::model::run::{JOB_STEPS, JobStep};
use cofferdam_core::protocol::link::LinkRole;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A gateway between AI agents and infrastructure. Agents call tools, policy and people decide,
/// one-off runners act, and a ledger records each step.
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
    /// Print the result as JSON, for programs
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
    /// Serve agents until SIGINT or SIGTERM; the log goes to standard error
    Serve(Serve),
    /// Add, list and remove agents, and replace their tokens
    #[command(subcommand)]
    Agents(agents::Agents),
    /// Enrol, list and remove approvers with their SSH keys and passkeys
    #[command(subcommand)]
    Approver(approver::ApproverCommand),
    /// Invite, list and remove auditors and operators, who enter the console in a browser
    #[command(subcommand)]
    People(people::PeopleCommand),
    /// List the tools that an agent may call
    Tools(call::Tools),
    /// Call a tool with the token of an agent
    Call(call::Call),
    /// Connect a client: print its configuration, or write it into the client's file
    Connect(connect::Connect),
    /// Connect a client that only starts programs to the running `serve` (MCP over stdio)
    Stdio(stdio::Stdio),
    /// List jobs, newest first
    Jobs(jobs::Jobs),
    /// List calls, also denied ones, by agent, person, tool, object, state and time
    Audit(audit::Audit),
    /// Show the history of one call: request, decision, approvals, effects and ledger entries
    Show(jobs::Show),
    /// Show a waiting call and approve it with your signature
    Approve(approve::Approve),
    /// Show a waiting call and deny it with your signature; the agent reads your reason
    Deny(approve::Deny),
    /// Record the real outcome of an indeterminate call, or give up a stuck one
    Resolve(resolve::Resolve),
    /// Stop calls at once: of one tool, of one agent, or all
    Stop(stop::Stop),
    /// Lift a stop
    Resume(stop::Resume),
    /// Check the ledger, and prove its entries
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Move the store to PostgreSQL, and give each role of the database its part
    #[command(subcommand)]
    Store(store::Store),
    /// Create a folder with a new tool: code, schema, tests and build files
    New(new::New),
    /// Compile a tool, an executor or a command, check it and show its ceiling
    Build(build::Build),
    /// Show the ceiling of a component, and its differences from the accepted one
    Inspect(inspect::Inspect),
    /// Run a tool that is not accepted yet: show its plan, decision and preview; change nothing
    Try(try_out::Try),
    /// Accept a tool, an executor, a command or a policy; a running `serve` loads it
    Accept(accept::Accept),
    /// Make a running `serve` load tools, executors, policy and trust again
    Reload(reload::Reload),
    /// Test and compile a policy, and evaluate it for one input
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Test the receivers of notifications
    #[command(subcommand)]
    Notify(notify::Notify),
    /// Make the certificates of roles on hosts of their own
    Certificates(certificates::Certificates),
    /// Make the home of one role on a host of its own
    RoleHome(role_home::RoleHome),
    /// Show the state of jobs, roles, ledger and disk
    Status(jobs::Status),
    /// Check the installation; for each error print the cause and the remedy
    Doctor(doctor::Doctor),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  cofferdam completions bash > \
                            ~/.local/share/bash-completion/completions/cofferdam")]
    Completions {
        /// The shell that reads the script
        shell: clap_complete::Shell,
        // Hides the global option of this name: this command needs no installation.
        #[arg(long, hide = true)]
        home: Option<PathBuf>,
    },
}

/// The commands that `serve` starts as roles. They are not for people, so no help names them.
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
    /// Serves agents and decides their calls
    Gateway,
    /// Writes the store and the ledger
    Recorder,
    /// Connects a role to those on other hosts
    Link,
}

/// Serves agents until SIGINT or SIGTERM, then waits for running jobs. A second signal ends every
/// role at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cofferdam serve\n  cofferdam --home \
                        /srv/cofferdam serve --role recorder")]
struct Serve {
    /// The one role of this home, linked to roles on other hosts: recorder, viewer, courier, gateway,
    /// runner or reaper; `[links]` in cofferdam.toml names it too [default: every role]
    #[arg(long, value_name = "ROLE")]
    role: Option<LinkRole>,
    /// Folder of cofferdam-runner and cofferdam-guest [default: beside this binary]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    binaries: Option<PathBuf>,
    /// Rehearse a recovery: kill the runner of the first job immediately after this step
    #[arg(long, value_name = "STEP", value_parser = drill)]
    drill: Option<JobStep>,
    /// Milliseconds between two heartbeat requests to each role; for tests
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

/// Serves one role. A role gets its settings from the supervisor and searches for no home.
fn serve_role(role: &Role) -> Result<Report> {
    let well = match role {
        Role::Gateway => serve::gateway::run()?,
        Role::Recorder => serve::recorder::run()?,
        Role::Link => serve::link::run()?,
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
            installation.config.check_role(command.role)?;
            let heartbeat = command.heartbeat_ms.map(Duration::from_millis);
            let options =
                serve::Options { drill: command.drill, heartbeat, binaries: command.binaries };
            Ok(Report::silent().good(serve::run(installation, &options)?))
        }
        Command::Agents(command) => command.run(&home),
        Command::Approver(command) => command.run(&home),
        Command::People(command) => command.run(&home),
        Command::Tools(command) => command.run(&home),
        Command::Call(command) => command.run(&home),
        Command::Connect(command) => command.run(&home, &working),
        Command::Stdio(command) => command.run(&home),
        Command::Jobs(command) => command.run(&home),
        Command::Audit(command) => command.run(&home, cli.json),
        Command::Show(command) => command.run(&home),
        Command::Approve(command) => command.run(&home, cli.json),
        Command::Deny(command) => command.run(&home, cli.json),
        Command::Resolve(command) => command.run(&home),
        Command::Stop(command) => command.run(&home),
        Command::Resume(command) => command.run(&home),
        Command::Ledger(command) => command.run(&home),
        Command::Store(command) => command.run(&home),
        Command::Build(command) => command.run(&home),
        Command::New(command) => command.run(&working),
        Command::Inspect(command) => command.run(&home),
        Command::Try(command) => command.run(&home),
        Command::Accept(command) => command.run(&home),
        Command::Reload(command) => command.run(&home),
        Command::Policy(command) => command.run(&home),
        Command::Notify(command) => command.run(&home),
        Command::Certificates(command) => command.run(&home),
        Command::RoleHome(command) => command.run(&home, &working),
        Command::Status(command) => command.run(&home),
        Command::Doctor(command) => command.run(&home),
        Command::Completions { shell, home: _ } => {
            // Into memory first: the generator panics if the reader closes the pipe.
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
