//! Texts from ledger entries alone, also for a call without a job. Words of others are quoted.

use crate::model::document::Document;
use crate::model::escape::{line, quoted};
use crate::model::reason::Reason;
use crate::model::record::{CONSOLE, Event, OPERATOR};
use crate::model::run::Phase;
use crate::model::story::StoryEntry;
use crate::model::subject::Subject;
use crate::text::seconds;
use crate::text::{scalar, short};
use serde_json::Value;

/// A payload of one of the entries, unless it was erased.
pub(super) fn payload<'a>(entries: &'a [StoryEntry], name: &str) -> Option<&'a Value> {
    entries.iter().find_map(|entry| entry.payloads.get(name)).filter(|value| !value.is_null())
}

/// The request of a call without a job.
pub(super) fn remembered(entries: &[StoryEntry]) -> Vec<String> {
    /// The most characters of a payload.
    const MOST: usize = 160;
    let when = entries.first().map(|entry| seconds(entry.time)).unwrap_or_default();
    let subject: Option<Subject> = payload(entries, "subject")
        .and_then(|subject| serde_json::from_value(subject.clone()).ok());
    let mut lines = vec![match subject {
        None => when,
        Some(Subject { id, properties, .. }) => {
            let roles = if properties.roles.is_empty() {
                String::new()
            } else {
                format!(" ({})", line(&properties.roles.join(", ")))
            };
            let person = properties
                .person
                .map(|person| format!(" for {}", quoted(&person)))
                .unwrap_or_default();
            format!("{when} by {}{roles}{person}", quoted(&id))
        }
    }];
    lines.extend(
        payload(entries, "purpose")
            .and_then(Value::as_str)
            .map(|purpose| format!("its purpose, it says: {}", quoted(purpose))),
    );
    let plan: Option<Document> =
        payload(entries, "plan").and_then(|plan| serde_json::from_value(plan.clone()).ok());
    match plan {
        Some(plan) => {
            lines.push(format!("{} {}", line(&plan.tool.name), scalar(&plan.arguments)));
            lines.push(format!("the tool calls it {}", quoted(&plan.summary)));
        }
        None => lines
            .extend(payload(entries, "arguments").map(|arguments| short(&scalar(arguments), MOST))),
    }
    lines
}

/// The decision for a call without a job.
pub(super) fn decided(entries: &[StoryEntry]) -> Vec<String> {
    let ended = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Ended { ending, code } => Some(format!("{} by {}", line(ending), line(code))),
        _ => None,
    });
    let reasons: Vec<Reason> = payload(entries, "reasons")
        .and_then(|reasons| serde_json::from_value(reasons.clone()).ok())
        .unwrap_or_default();
    // For a read call, the rule is enough: the caller has nothing to do.
    let read = entries.iter().any(|entry| {
        matches!(&entry.event, Event::Ended { ending, .. } if ["looked",
        "answered"].contains(&ending.as_str()))
    });
    if read && !reasons.is_empty() {
        return reasons
            .iter()
            .map(|reason| format!("by rule {}: {}", line(&reason.id), line(&reason.message)))
            .collect();
    }
    let rules = reasons.iter().map(|reason| {
        format!("rule {}: {} ({})", line(&reason.id), line(&reason.message), line(&reason.remedy))
    });
    ended.into_iter().chain(rules).collect()
}

pub(super) fn ending(event: &Event) -> Option<String> {
    match event {
        Event::Ended { ending, code } => Some(format!("{} ({})", line(ending), line(code))),
        _ => None,
    }
}

/// The signer of a statement, with the person in whose place they signed.
pub(super) fn signer(approver: &str, stands_for: Option<&str>) -> String {
    match stands_for {
        Some(absent) => format!("{} for {}", line(approver), line(absent)),
        None => line(approver),
    }
}

/// One ledger entry in a few words.
pub fn event(event: &Event) -> String {
    let undo = |undo: &bool| if *undo { " (undo)" } else { "" };
    match event {
        Event::Ended { ending, code } => format!("ended: {}, {}", line(ending), line(code)),
        Event::Asked => "a person is asked".to_owned(),
        Event::Intended => "intended: decided, before a runner may claim it".to_owned(),
        Event::Signed { approver, verdict, stands_for, .. } => {
            format!("{} by {}", line(verdict), signer(approver, stands_for.as_deref()))
        }
        Event::Leased { fence } => format!("leased with lease epoch {fence}"),
        Event::Moved { phase: Phase::AwaitingApproval, .. } => {
            "out of the queue: its policy was replaced, and it is decided once more".to_owned()
        }
        Event::Moved { phase, fence } => format!("{phase} with lease epoch {fence}"),
        Event::Started { operation, undo: is, fence } => {
            format!("operation {operation}{} started with lease epoch {fence}", undo(is))
        }
        Event::Done { operation, undo: is, fence } => {
            format!("operation {operation}{} done with lease epoch {fence}", undo(is))
        }
        Event::Finished { outcome } => format!("finished: {outcome}"),
        Event::Resolved { found, by } => format!("resolved as {found}, by user {}", line(by)),
        Event::Closed { .. } => "closed".to_owned(),
        Event::Removed { what, count, before, end } => {
            let place = end.map(|end| format!(", before entry {end}")).unwrap_or_default();
            format!("retention removed {count} {what} until {}{place}", seconds(*before))
        }
        Event::Administered { what, by } if what.starts_with(CONSOLE) => {
            format!("at the console: {} by {}", line(what.trim_start_matches(CONSOLE)), line(by))
        }
        Event::Administered { what, by } if what.starts_with(OPERATOR) => {
            format!(
                "an operator's command `{}`, by user {}",
                line(what.trim_start_matches(OPERATOR)),
                line(by)
            )
        }
        Event::Administered { what, by } => format!("{} by {}", line(what), line(by)),
    }
}
