//! The history of one call: request, decision, approvals, effects, cleanup and proof. Made from the
//! recorder's response alone; words of others are quoted.

mod entries;

pub use entries::event;

use super::change_lines::change_lines;
use super::short;
use crate::model::document::Document;
use crate::model::escape::{legible_json, legible_quoted, line, quoted};
use crate::model::facts::OperationFacts;
use crate::model::facts::facts_of;
use crate::model::id::CallId;
use crate::model::job::{JobView, OperationRecord, Resolution, StoredJob, Stuck};
use crate::model::json;
use crate::model::record::Event;
use crate::model::retention::Retained;
use crate::model::run::{Outcome, Phase};
use crate::model::statement::{SignedStatement, Statement, Verdict};
use crate::model::story::{Removal, StoryEntry};
use crate::text::difference;
use crate::text::{changed, describe_notes, later, named, needed, rights, seconds, would_do};
use entries::{decided, ending, payload, remembered, signer};
use serde::Serialize;
use serde_json::Value;

/// Everything that the recorder knows of a call.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    /// The id of the call.
    pub call: &'a CallId,
    /// Its job, if the call had one.
    pub job: Option<&'a StoredJob>,
    /// The state of the job.
    pub view: Option<&'a JobView>,
    /// Its ledger entries, oldest first.
    pub entries: &'a [StoryEntry],
    /// What retention removed of it.
    pub removed: &'a [Removal],
}

/// The most characters of the arguments; `show --full` has all of them.
const ARGUMENTS: usize = 400;

/// Width of the column of headings.
const COLUMN: usize = 12;

/// The history of a call in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoryText {
    /// The call, its environment and its state, in a line.
    pub title: String,
    /// The state alone: an outcome, a phase or an ending.
    pub state: String,
    /// The parts, in the order of time.
    pub parts: Vec<StoryPart>,
}

/// One part of a history. A line that begins with a blank belongs to the line before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoryPart {
    /// `asked`, `would do`, `allowed` or `policy`, `approved`, `done`, `removed`, `cleaned up`,
    /// `proven`.
    pub heading: &'static str,
    /// What happened, a line each.
    pub lines: Vec<String>,
}

/// Renders the history as text: headings on the left, events on the right.
pub fn story(story: &Story<'_>) -> String {
    let StoryText { title, parts, .. } = story_text(story);
    let mut lines = vec![title];
    for StoryPart { mut heading, lines: told } in parts {
        for text in told {
            lines.push(format!("{heading:<COLUMN$} {text}").trim_end().to_owned());
            heading = "";
        }
    }
    lines.join("\n")
}

/// Renders the history in parts. A part without lines is left out.
pub fn story_text(story: &Story<'_>) -> StoryText {
    let mut parts = Vec::new();
    let mut tell = |heading, lines: Vec<String>| {
        if !lines.is_empty() {
            parts.push(StoryPart { heading, lines });
        }
    };
    let state = match story.view {
        Some(JobView { outcome: Some(outcome), resolution: Some(resolution), .. }) => {
            format!("{outcome}, resolved as {}", resolution.found)
        }
        Some(JobView { outcome: Some(outcome), .. }) => format!("{outcome}"),
        Some(view) if view.stuck.is_some() => format!("{}, stuck", view.phase).replace('_', " "),
        Some(view) => format!("{}", view.phase).replace('_', " "),
        None => story
            .entries
            .iter()
            .rev()
            .find_map(|entry| ending(&entry.event).or_else(|| finished(&entry.event)))
            .unwrap_or_else(|| "recorded".to_owned()),
    };
    let place =
        story.view.map(|view| format!(" in {}", line(&view.environment.name))).unwrap_or_default();
    match story.job {
        Some(job) => {
            tell("asked", asked(job));
            if story.view.is_some_and(|view| view.phase == Phase::AwaitingApproval) {
                tell(
                    "would do",
                    would_do(job)
                        .unwrap_or_else(|| vec!["its plan or preview was erased".to_owned()]),
                );
            }
            // Before the permit, the policy has not allowed the call.
            let permitted = story.entries.iter().any(|entry| entry.event == Event::Intended);
            tell(if permitted { "allowed" } else { "policy" }, allowed(job, story.entries));
            tell("approved", approved(job, story.entries));
        }
        None => {
            tell("asked", remembered(story.entries));
            tell("allowed", decided(story.entries));
        }
    }
    tell("done", done(story));
    tell("removed", story.removed.iter().map(removal).collect());
    tell("cleaned up", cleaned(story.entries, story.view));
    tell("proven", proven(story));
    StoryText { title: format!("Call {}{place}: {state}", story.call), state, parts }
}

/// The outcome of a job whose row was removed.
fn finished(event: &Event) -> Option<String> {
    match event {
        Event::Finished { outcome } => Some(outcome.to_string()),
        _ => None,
    }
}

fn removal(removal: &Removal) -> String {
    let what = match removal.what {
        Retained::ClosedJobs => "the details of its job".to_owned(),
        Retained::Payloads => "the payloads of its entries".to_owned(),
        other => other.to_string(),
    };
    format!("{what}, by retention, at {}; the entries and their proofs stay", seconds(removal.at))
}

fn asked(job: &StoredJob) -> Vec<String> {
    let who = &job.principal;
    let agent =
        if who.anonymous { "a caller without a name".to_owned() } else { quoted(&who.name) };
    let roles = if who.roles.is_empty() {
        String::new()
    } else {
        format!(" ({})", line(&who.roles.join(", ")))
    };
    let person =
        who.person.as_ref().map(|person| format!(" for {}", quoted(person))).unwrap_or_default();
    let mut lines = vec![format!("{} by {agent}{roles}{person}", seconds(job.created))];
    lines.push(job.purpose.as_ref().map_or_else(
        || "it gave no purpose".to_owned(),
        |purpose| format!("its purpose, it says: {}", legible_quoted(purpose)),
    ));
    let arguments = json::strict(job.arguments.as_bytes()).map_or_else(
        |_| line(&job.arguments),
        |arguments| short(&legible_json(&arguments), ARGUMENTS),
    );
    lines.push(format!("{} {arguments}", line(&job.tool)));
    if let Ok((plan, _)) = Document::read(&job.plan) {
        lines.push(format!("the tool calls it {}", legible_quoted(&plan.summary)));
    }
    lines.push(format!("plan    {}", job.plan_digest));
    lines.push(format!("preview {}", job.preview_digest));
    lines
}

/// Each operation that was decided over, with its facts, a line each: what is destructive, decides
/// which code runs, or can be undone. Empty without a plan, and where it was erased.
pub fn decided_over(story: &Story<'_>) -> Vec<String> {
    let of_entries = || {
        let plan = payload(story.entries, "plan")?;
        let plan: Document = serde_json::from_value(plan.clone()).ok()?;
        facts_of(&plan.operations).ok()
    };
    let found = story.job.and_then(facts).or_else(of_entries).unwrap_or_default();
    found.iter().map(|fact| line(&super::operation(fact))).collect()
}

/// The facts of the plan's operations; `None` if the plan was erased.
fn facts(job: &StoredJob) -> Option<Vec<OperationFacts>> {
    Document::read(&job.plan).ok().and_then(|(plan, _)| facts_of(&plan.operations).ok())
}

fn allowed(job: &StoredJob, entries: &[StoryEntry]) -> Vec<String> {
    let permitted = entries.iter().any(|entry| entry.event == Event::Intended);
    let mut lines = match &job.approval {
        Some(rule) if !permitted => {
            let plural = if rule.quorum == 1 { "" } else { "s" };
            vec![
                format!("asks for {} approval{plural}", rule.quorum),
                format!("it is {}", job.policy),
            ]
        }
        _ => vec![format!("by the policy {}", job.policy)],
    };
    lines.extend(
        job.reasons
            .iter()
            .map(|reason| format!("rule {}: {}", line(&reason.id), line(&reason.message))),
    );
    if let Some(rule) = &job.approval {
        lines.push(format!("needed: {}", needed(rule)));
        lines.extend(later(rule, job.created).map(|later| format!("later: {later}")));
    }
    lines.extend(
        facts(job)
            .into_iter()
            .flat_map(|facts| rights(&facts))
            .map(|right| format!("rights {right}")),
    );
    lines.push(match entries.iter().rfind(|entry| entry.event == Event::Intended) {
        Some(entry) => {
            format!("permit signed {}, good until {}", seconds(entry.time), seconds(job.expires))
        }
        None => "no permit was signed".to_owned(),
    });
    lines
}

fn approved(job: &StoredJob, entries: &[StoryEntry]) -> Vec<String> {
    let mut signed = entries.iter().filter_map(|entry| match &entry.event {
        Event::Signed { statement, approver, verdict, stands_for } => {
            Some((entry.time, *statement, signer(approver, stands_for.as_deref()), verdict))
        }
        _ => None,
    });
    let mut lines = Vec::new();
    for (when, digest, approver, verdict) in signed.by_ref() {
        let word = if verdict == "reject" { "rejected" } else { "signed" };
        lines.push(format!("{} {word} by {}", seconds(when), approver));
        let statement = job.statements.iter().find_map(|kept| {
            read(kept).filter(|read| read.canonical().is_ok_and(|(_, own)| own == digest))
        });
        if let Some(statement) = statement {
            if statement.verdict == Verdict::Reject || !statement.reason.is_empty() {
                lines.push(format!("they say: {}", quoted(&statement.reason)));
            }
            lines.push(format!("shown     {}", statement.shown));
        }
        lines.push(format!("statement {digest}"));
    }
    if lines.is_empty() {
        lines.push(if job.approval.is_some() {
            "not yet".to_owned()
        } else {
            "no approval was needed".to_owned()
        });
    }
    lines
}

fn read(signed: &SignedStatement) -> Option<Statement> {
    json::strict_into(signed.statement.as_bytes()).ok()
}

fn done(story: &Story<'_>) -> Vec<String> {
    let Some(view) = story.view else {
        let outcome = story.entries.iter().rev().find_map(|entry| finished(&entry.event));
        return vec![outcome.unwrap_or_else(|| "nothing: there was no job".to_owned())];
    };
    let names = story.job.and_then(facts);
    let mut lines = Vec::new();
    for record in &view.operations {
        let name = names
            .iter()
            .flatten()
            .find(|fact| fact.index == record.index)
            .map_or_else(|| format!("operation {}", record.index), |fact| line(&named(fact)));
        lines.extend(operation(record, &name, story.entries));
    }
    if lines.is_empty() {
        lines.push("nothing was changed".to_owned());
    }
    // For a successful job, only the result is shown.
    if view.outcome != Some(Outcome::Succeeded) {
        lines.extend(describe_notes(view));
    }
    if let Some(outcome) = view.outcome {
        let detail = if view.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", line(&view.detail))
        };
        lines.push(format!("{outcome}{detail}"));
        lines.extend(
            difference::sentence(&view.meanwhile)
                .map(|changed| format!("meanwhile: {}", line(&changed))),
        );
        if !view.files.is_empty() {
            lines.push(format!(
                "edited {}; not committed to a repository",
                line(&view.files.join(", "))
            ));
        }
        // A recorded effect may not be in effect: in a directory, all effects are committed
        // together.
        if outcome != Outcome::Succeeded && !view.operations.is_empty() {
            lines.push(changed(view, outcome).text());
        }
    }
    if let Some(Stuck { obstacle, since, tries }) = &view.stuck {
        lines.push(format!("it cannot be finished at present: {}", line(&obstacle.cause)));
        lines.push(format!("what to do: {}; it then goes on by itself", line(&obstacle.remedy)));
        lines.push(format!("since {}, tried {tries} times", seconds(*since)));
        if view.resolution.is_none()
            && view.phase == Phase::Acting
            && !view.environment.is_cluster()
        {
            lines.push(format!(
                "or give it up: cofferdam resolve {} --as failed --because TEXT",
                story.call
            ));
        }
    }
    if let (Some(Resolution { because, by, at, .. }), None) = (&view.resolution, view.outcome) {
        lines.push(format!(
            "{} user {} gave it up; they say: {}",
            seconds(*at),
            line(by),
            quoted(because)
        ));
    } else if let Some(resolution) = &view.resolution {
        let Resolution { found, because, by, at } = resolution;
        lines.push(format!(
            "{} user {} looked: it {found}; they say: {}",
            seconds(*at),
            line(by),
            quoted(because)
        ));
    }
    lines
}

fn operation(record: &OperationRecord, name: &str, entries: &[StoryEntry]) -> Vec<String> {
    let at = entries.iter().find_map(|entry| match entry.event {
        Event::Done { operation, undo, .. } if operation == record.index && undo == record.undo => {
            Some(entry.time)
        }
        _ => None,
    });
    let undo = if record.undo { "undone: " } else { "" };
    let Some(after) = &record.after else {
        return vec![format!("{undo}{name}: begun, its end is not recorded")];
    };
    let when = at.map(|at| format!("{} ", seconds(at))).unwrap_or_default();
    let mut lines = vec![format!("{when}{undo}{name}")];
    lines.extend(
        change_lines(&record.before, after).into_iter().map(|change| format!("  {change}")),
    );
    lines
}

fn cleaned(entries: &[StoryEntry], job: Option<&JobView>) -> Vec<String> {
    let closed = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Closed { namespace } => Some((entry.time, namespace)),
        _ => None,
    });
    let made =
        payload(entries, "namespace").and_then(|made| made.get("name")).and_then(Value::as_str);
    let leases = entries.iter().filter(|entry| matches!(entry.event, Event::Leased { .. })).count();
    vec![match (closed, job) {
        // A runner that took over the job no longer found the namespace.
        (Some((when, namespace)), Some(view))
            if namespace.is_empty() && made.is_some() && view.environment.is_cluster() =>
        {
            format!(
                "{} the namespace {} was observed gone",
                seconds(when),
                line(made.unwrap_or_default())
            )
        }
        (Some((when, namespace)), _) if namespace.is_empty() && leases > 1 => {
            format!("{} nothing of it was there any more", seconds(when))
        }
        (Some((_, namespace)), _) if namespace.is_empty() => "no namespace was made".to_owned(),
        // The row of the job is gone, and with it the kind of its infrastructure.
        (Some((when, _)), None) => format!("{} its run was removed", seconds(when)),
        // In a directory, a run has a private copy.
        (Some((when, _)), Some(view)) if !view.environment.is_cluster() => {
            format!("{} its private copy was removed", seconds(when))
        }
        (Some((when, namespace)), _) => {
            format!("{} the namespace {} was observed gone", seconds(when), line(namespace))
        }
        (None, Some(_)) => "not yet: the job is not closed".to_owned(),
        (None, None) => "no namespace was made".to_owned(),
    }]
}

fn proven(story: &Story<'_>) -> Vec<String> {
    if story.entries.is_empty() {
        return vec!["nothing is recorded".to_owned()];
    }
    let mut lines: Vec<String> = story
        .entries
        .iter()
        .map(|entry| {
            format!("leaf {:<6} {} {}", entry.index, seconds(entry.time), event(&entry.event))
        })
        .collect();
    lines.push(format!("check it: cofferdam ledger prove {}", story.call));
    lines
}

#[cfg(test)]
mod tests;
