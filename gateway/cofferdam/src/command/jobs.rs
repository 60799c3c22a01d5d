//! `cofferdam jobs`, `show` and `status`: the state of the recorder, for operators. Changes
//! nothing.

use super::approve::write_out;
use super::doctor;
use super::recorder_client;
use super::reload::told;
use super::report::Report;
use super::ssh::signer_of;
use crate::command::show::{Story, short, story, table};
use crate::config::Config;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use crate::serve::copies;
use crate::serve::health::{self, Findings, bytes};
use anyhow::{Context as _, Result};
use clap::{Args, ValueHint};
use cofferdam_core::model::document::Document;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::notification::ReceiverState;
use cofferdam_core::model::rights::of_plan;
use cofferdam_core::model::run::PHASES;
use cofferdam_core::protocol::operator_recorder::{
    Disk, Operate, Operated, OwnedJob, Reload, Removal, RetentionState,
};
use cofferdam_core::text::{in_full, question, seconds};
use serde_json::json;
use std::path::PathBuf;

/// The most characters of a summary in a list.
const SUMMARY: usize = 60;

/// Lists the jobs of all agents, newest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cofferdam jobs --waiting\n  cofferdam jobs --limit 20 --before 4kq2"
)]
pub struct Jobs {
    /// List only jobs that wait for a person
    #[arg(long)]
    waiting: bool,
    /// The largest number of jobs to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// List only jobs older than this call (its id, or at least its first 4 characters); the last
    /// line of a page gives the command for the next page
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

impl Jobs {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let jobs = self.jobs(home)?;
        let text = if jobs.is_empty() {
            if self.waiting {
                "Nothing waits for a person.".to_owned()
            } else {
                "There are no jobs yet.".to_owned()
            }
        } else {
            let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
            let mut text =
                table(&["ID", "SINCE", "STATE", "AGENT", "FOR", "TOOL", "SUMMARY"], &rows);
            if let (true, Some(last)) =
                (usize::try_from(self.limit).is_ok_and(|limit| jobs.len() >= limit), jobs.last())
            {
                text.push_str(&format!(
                    "\n\nOlder ones: cofferdam jobs --before {}",
                    last.job.call
                ));
            }
            if self.waiting {
                text.push_str(
                    "\n\nLook and sign: cofferdam approve ID    refuse: cofferdam deny ID \
                     --reason TEXT",
                );
            }
            text
        };
        Ok(Report::new(text, json!({"jobs": jobs})))
    }
}

impl Jobs {
    /// Gets the wanted number of jobs. One response may have fewer.
    fn jobs(&self, home: &Home) -> Result<Vec<OwnedJob>> {
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut jobs: Vec<OwnedJob> = Vec::new();
        loop {
            let before =
                jobs.last().map(|last| last.job.call.to_string()).or_else(|| self.before.clone());
            let limit = u32::try_from(most.saturating_sub(jobs.len())).unwrap_or(u32::MAX);
            let Operated::Jobs { jobs: page } = recorder_client::ask(
                home,
                &Operate::Jobs { waiting: self.waiting, limit, before },
            )?
            else {
                return Err(recorder_client::unexpected());
            };
            let last = page.is_empty();
            jobs.extend(page);
            if last || jobs.len() >= most {
                return Ok(jobs);
            }
        }
    }
}

fn row(owned: &OwnedJob) -> Vec<String> {
    let job = &owned.job;
    let state = match job.outcome {
        Some(outcome) if job.resolution.is_some() => {
            format!(
                "{outcome}, resolved as {}",
                job.resolution
                    .as_ref()
                    .map_or_else(String::new, |resolution| resolution.found.to_string())
            )
        }
        Some(outcome) if job.phase == cofferdam_core::model::run::Phase::Closed => {
            outcome.to_string()
        }
        Some(outcome) => format!("{outcome}, {}", job.phase.word().replace('_', " ")),
        None if job.stuck.is_some() => format!("{}, stuck", job.phase.word().replace('_', " ")),
        None => job.phase.word().replace('_', " "),
    };
    vec![
        job.call.to_string(),
        seconds(owned.created),
        state,
        line(&owned.principal),
        owned.person.as_deref().map(line).unwrap_or_default(),
        line(&job.tool),
        short(&owned.summary, SUMMARY),
    ]
}

/// Prints the history of one call: request, decision, approvals, effects and ledger entries.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam show 4kq2\n  cofferdam show 4kq2 --full                 \
                  every value in full\n  cofferdam show 4kq2 --export ~/approvals   its signed \
                  statements, for ssh-keygen -Y verify"
)]
pub struct Show {
    /// The id of the call, or at least its first 4 characters
    id: String,
    /// Write the signed statements and their signatures to this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    export: Option<PathBuf>,
    /// Print the exact text that approvers read; each signed statement has its digest
    #[arg(long, conflicts_with = "export")]
    shown: bool,
    /// Print every operation, value and argument in full
    #[arg(long, conflicts_with_all = ["export", "shown"])]
    full: bool,
}

impl Show {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let answer = recorder_client::ask(home, &Operate::Show { call: self.id })?;
        let Operated::Story { call, job, view, entries, removed } = &answer else {
            return Err(recorder_client::unexpected());
        };
        if self.shown {
            let job = job.as_ref().with_context(|| {
                gone(call, removed).unwrap_or_else(|| {
                    format!("the call {call} ended without a job: no approver was asked")
                })
            })?;
            let (text, digest) = question(job)?;
            return Ok(Report::new(
                text.trim_end().to_owned(),
                json!({"call": call, "shown": text, "digest": digest}),
            ));
        }
        if self.full {
            let job = job.as_ref().with_context(|| {
                gone(call, removed).unwrap_or_else(|| {
                    format!("the call {call} ended without a job: there is nothing to show in full")
                })
            })?;
            let lines = in_full(job)
                .with_context(|| format!("the plan or the preview of {call} was erased"))?;
            return Ok(Report::new(lines.join("\n"), json!({"call": call, "full": lines})));
        }
        let (job_text, view) = (job.as_deref(), view.as_deref());
        let mut text = story(&Story { call, job: job_text, view, entries, removed });
        let mut exported = Vec::new();
        if let Some(folder) = &self.export {
            let approvers = TrustFile::open(&copies::in_use(home))?.trust()?.approvers;
            for signed in job.iter().flat_map(|job| &job.statements) {
                let approver = signer_of(signed, &approvers)
                    .context("a statement is signed with a key that is not enrolled any more")?;
                let written =
                    write_out(folder, &call.to_string(), &approver.name, &approver.key, signed)?;
                text.push_str(&format!("\n             {}", written.command));
                exported.push(json!({"approver": approver.name, "statement": written.statement,
                "signature": written.signature, "command": written.command}));
            }
        }
        let mut value = serde_json::to_value(&answer).context("the story has no JSON form")?;
        if let Some(object) = value.as_object_mut() {
            let facts = job
                .as_ref()
                .and_then(|job| Document::read(&job.plan).ok())
                .and_then(|(plan, _)| facts_of(&plan.operations).ok());
            if let Some(facts) = facts {
                object.insert("rights".to_owned(), json!(of_plan(&facts)));
            }
            if !exported.is_empty() {
                object.insert("exported".to_owned(), exported.into());
            }
        }
        Ok(Report::new(text, value))
    }
}

/// The cause if retention removed what a command has to show.
fn gone(call: &CallId, removed: &[Removal]) -> Option<String> {
    let newest = removed.iter().max_by_key(|removal| removal.at)?;
    Some(format!(
        "retention removed the details of {call} at {}; its ledger entries stay: `cofferdam show \
         {call}`",
        seconds(newest.at)
    ))
}

/// What retention removed, and when it looks again.
fn retention(states: &[RetentionState]) -> Option<String> {
    let removed: Vec<String> = states
        .iter()
        .filter(|state| state.removed > 0)
        .map(|state| format!("{} {}", state.removed, state.what))
        .collect();
    let removed = if removed.is_empty() {
        "nothing removed yet".to_owned()
    } else {
        format!("removed {}", removed.join(", "))
    };
    let next = states.iter().find_map(|state| state.next)?;
    Some(format!("{removed}; next look at {}", seconds(next)))
}

/// The deliveries to one receiver of notifications, and a warning if they fail.
fn deliveries(state: &ReceiverState) -> Vec<String> {
    let ReceiverState { name, waiting, delivered, failed, dropped, over, error } = state;
    let counts = format!(
        "notify       {}: {delivered} delivered, {waiting} waiting, {failed} failed tries, \
         {dropped} given up, {over} not needed any more",
        line(name)
    );
    let failing = error
        .as_ref()
        .map(|error| format!("warning      notifications to {} fail: {}", line(name), line(error)));
    std::iter::once(counts).chain(failing).collect()
}

/// The free space on the disk of the store.
fn room(disk: Disk) -> String {
    format!(
        "{} free; {} of it are reserved for running jobs",
        bytes(disk.free_bytes),
        bytes(disk.reserve_bytes)
    )
}

/// The page without a running `serve`: the obstacles of a start, and the command for it.
fn not_serving(home: &Home) -> Report {
    let mut found = Findings::default();
    let (config, _) = doctor::installation(home, None, &mut found);
    let environment = config.map_or_else(|| "not known".to_owned(), |config| config.environment);
    let mut lines = vec![format!("environment  {environment}"), "serving      no".to_owned()];
    for finding in found.bad_ones() {
        lines.push(format!("WRONG        {}", finding.line()));
    }
    lines.push(format!(
        "next         {}",
        if found.all_good() { "cofferdam serve" } else { "cofferdam doctor" }
    ));
    let json = json!({"serving": false, "environment_name": environment, "good": found.all_good(),
    "findings": doctor::values(&found)});
    Report::new(lines.join("\n"), json).good(false)
}

/// The page of a running `serve` whose recorder does not respond.
fn unanswered(home: &Home, error: &anyhow::Error) -> Report {
    let mut found = Findings::default();
    if let Ok(config) = Config::read(home) {
        found = health::while_serving(home, &config);
    }
    let mut lines = vec![
        "serving      yes".to_owned(),
        format!("WRONG        the recorder cannot be asked: {}", line(&format!("{error:#}"))),
    ];
    lines.extend(found.bad_ones().map(|finding| format!("WRONG        {}", finding.line())));
    lines.push("next         cofferdam doctor".to_owned());
    let json = json!({"serving": true, "good": false, "fault": format!("{error:#}"),
    "findings": doctor::values(&found)});
    Report::new(lines.join("\n"), json).good(false)
}

/// Prints the state of jobs, roles, ledger and disk. Exits with 1 if new calls fail.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam status")]
pub struct Status {}

impl Status {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        if !home.operator_socket().exists() && !copies::running(home) {
            return Ok(not_serving(home));
        }
        let answer = match recorder_client::ask(home, &Operate::Status) {
            // A killed `serve` does not remove its socket.
            Err(_) if !copies::running(home) => return Ok(not_serving(home)),
            Err(error) => return Ok(unanswered(home, &error)),
            Ok(answer) => answer,
        };
        let Operated::Status {
            phases,
            entries,
            checkpoint,
            disk,
            refuses,
            warns,
            repaired,
            supervisor,
            roles,
            stuck,
            retention: kept,
            receivers,
        } = &answer
        else {
            return Err(recorder_client::unexpected());
        };
        let environment = TrustFile::open(&copies::in_use(home))?.trust()?.environment;
        // The recorder knows nothing of the infrastructure: its name is in the trust file, and only
        // the roles read its state.
        let backend = if environment.is_cluster() { "a Kubernetes cluster" } else { "a directory" };
        let mut lines =
            vec![format!("environment  {}, {backend} ({})", environment.name, environment.id)];
        let has_courier = roles.contains_key("courier");
        let roles: Vec<String> =
            roles.iter().map(|(name, count)| format!("{} {count}", line(name))).collect();
        lines.push(format!(
            "connected    {}",
            if roles.is_empty() {
                "no role: is `cofferdam serve` still starting?".to_owned()
            } else {
                roles.join(", ")
            }
        ));
        let jobs: Vec<String> = PHASES
            .iter()
            .filter_map(|phase| {
                Some(format!(
                    "{} {}",
                    phases.get(phase).filter(|count| **count > 0)?,
                    phase.word().replace('_', " ")
                ))
            })
            .collect();
        lines.push(format!(
            "jobs         {}",
            if jobs.is_empty() { "none yet".to_owned() } else { jobs.join(", ") }
        ));
        lines.extend(stuck.iter().map(|job| {
            format!(
                "stuck        {} cannot be finished at present: {}",
                job.call,
                line(&job.stuck.obstacle.to_string())
            )
        }));
        let signed = checkpoint.lines().nth(1).unwrap_or("no");
        lines.push(format!(
            "ledger       {entries} entries, {} under the newest checkpoint",
            line(signed)
        ));
        lines.extend(retention(kept).map(|text| format!("retention    {text}")));
        lines.extend(receivers.iter().flat_map(deliveries));
        if !receivers.is_empty() && !has_courier {
            lines.push(
                "warning      notifications wait: the courier is not connected, and is started \
                 again by itself; the log of `cofferdam serve` has the cause"
                    .to_owned(),
            );
        }
        lines.push(format!("disk         {}", disk.map_or_else(|| "not known".to_owned(), room)));
        lines.extend(
            supervisor.loaded.iter().map(|loaded| format!("loaded       {}", told(loaded))),
        );
        if let Some(Reload { at, refused: Some(why), .. }) = &supervisor.reload {
            lines.push(format!("reload       refused at {}: {}", seconds(*at), line(why)));
        }
        lines.extend(refuses.iter().map(|why| format!("REFUSED      all new work: {}", line(why))));
        // The recorder reports its disk itself; report it once.
        let errors = supervisor
            .faults
            .iter()
            .filter(|error| refuses.is_none() || !error.starts_with("disk:"));
        lines.extend(errors.map(|why| format!("WRONG        calls fail: {}", line(why))));
        lines.extend(
            supervisor
                .warnings
                .iter()
                .chain(warns)
                .map(|why| format!("warning      {}", line(why))),
        );
        lines.extend(repaired.iter().map(|what| format!("repaired     {}", line(what))));
        let restart = &supervisor.restart;
        if !restart.is_empty() {
            lines.push(format!("restart      needed: {}", line(&restart.join("; "))));
        }
        if phases
            .get(&cofferdam_core::model::run::Phase::AwaitingApproval)
            .is_some_and(|count| *count > 0)
        {
            lines.push("next         cofferdam jobs --waiting".to_owned());
        }
        let mut value = serde_json::to_value(&answer).context("the status has no JSON form")?;
        if let Some(object) = value.as_object_mut() {
            object.insert("serving".to_owned(), json!(true));
            object.insert("restart_needed".to_owned(), json!(restart));
            object.insert("environment".to_owned(), json!(environment));
            object.insert(
                "backend".to_owned(),
                json!(if environment.is_cluster() { "kubernetes" } else { "directory" }),
            );
        }
        Ok(Report::new(lines.join("\n"), value))
    }
}
