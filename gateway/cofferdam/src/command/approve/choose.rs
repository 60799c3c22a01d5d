//! The list of waiting calls, for a command without an id; on a terminal the person chooses one.
//! Signs nothing.

use super::ask;
use super::source::Source;
use crate::command::report::Report;
use crate::command::show::{ago, short, table};
use anyhow::{Result, bail};
use cofferdam_core::model::escape::legible;
use cofferdam_core::protocol::approver::WaitingQuestion;
use cofferdam_core::text::needed;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::IsTerminal as _;

/// The most characters of a summary in the list.
const SUMMARY: usize = 60;

/// The result of a choice.
#[derive(Debug)]
pub enum Choice {
    /// The id of a call, or the beginning of one.
    Call(String),
    /// No call: the report is the list.
    List(Report),
}

/// Returns the named call, or asks for a choice. For programs and without a terminal, the list is
/// the report.
pub fn call(source: &Source<'_>, named: Option<String>, json: bool, verb: &str) -> Result<Choice> {
    if let Some(id) = named {
        return Ok(Choice::Call(id));
    }
    let (jobs, more) = source.waiting()?;
    let now = Timestamp::now();
    let entries: Vec<_> =
        jobs.iter().zip(1..).map(|(job, number)| entry(number, job, now)).collect();
    let value = json!({"waiting": entries, "more": more});
    if jobs.is_empty() {
        return Ok(Choice::List(Report::new("Nothing waits for a person.", value)));
    }
    let rows: Vec<Vec<String>> =
        jobs.iter().zip(1..).map(|(job, number)| row(number, job, now)).collect();
    let mut list = table(&["#", "ID", "ASKED", "BY", "NEEDED", "SUMMARY"], &rows);
    if more {
        list.push_str("\n\nMore wait than are listed; each can be named by its whole id.");
    }
    if json || !std::io::stdin().is_terminal() {
        return Ok(Choice::List(Report::new(
            format!("{list}\n\nName one: cofferdam {verb} ID{}", source.option()),
            value,
        )));
    }
    eprintln!("{list}\n");
    let said = ask(&format!("Which one? Type its number, 1 to {}, or its id: ", jobs.len()))?;
    let numbered = said
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1))
        .and_then(|at| jobs.get(at));
    match numbered {
        Some(question) => Ok(Choice::Call(question.call.to_string())),
        None if said.len() >= 4
            && jobs.iter().any(|question| question.call.as_str().starts_with(&said)) =>
        {
            Ok(Choice::Call(said))
        }
        None => bail!("none was chosen; nothing was signed"),
    }
}

/// The missing signatures of a call, in words.
fn wanted(question: &WaitingQuestion) -> String {
    question.approval.as_ref().map_or_else(|| "none".to_owned(), needed)
}

fn asker(question: &WaitingQuestion) -> String {
    let person = question.person.as_ref().map(|person| format!(" for {}", legible(person)));
    format!("{}{}", legible(&question.agent), person.unwrap_or_default())
}

fn row(number: usize, question: &WaitingQuestion, now: Timestamp) -> Vec<String> {
    vec![
        number.to_string(),
        question.call.to_string(),
        ago(question.asked, now),
        asker(question),
        wanted(question),
        short(&question.summary, SUMMARY),
    ]
}

fn entry(number: usize, question: &WaitingQuestion, now: Timestamp) -> Value {
    json!({
        "number": number,
        "call": question.call,
        "tool": question.tool,
        "summary": question.summary,
        "agent": question.agent,
        "person": question.person,
        "asked": question.asked,
        "age_seconds": now.duration_since(question.asked).as_secs(),
        "expires": question.expires,
        "needed": wanted(question),
        "approval": question.approval,
    })
}
