//! One call as a line of a list: the same words on the page and in the stream of changes. Words of
//! agents and tools are quoted; the template escapes them, and the script draws them as text.

use cofferdam_core::model::call_row::CallRow;
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::escape::{legible, legible_quoted, short};
use cofferdam_core::text::seconds;
use maud::{Markup, html};
use serde::Serialize;

/// The most characters of a summary in a list; the page of the call has all of it.
const SUMMARY: usize = 160;

/// The most objects that a line names.
const OBJECTS: usize = 4;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The id of the call.
    call: String,
    /// The time at which it arrived, for people.
    at: String,
    /// The same for programs.
    time: String,
    /// The state in words.
    state: String,
    /// The sort of state, for the look: `good`, `bad`, `open` or `plain`.
    kind: &'static str,
    /// The agent and its person.
    who: String,
    /// The tool, and its own summary.
    what: String,
    /// The objects; empty if there is none.
    objects: String,
    /// The rule that decided; empty if none is known.
    rule: String,
}

impl Line {
    /// The line of a call.
    pub fn of(row: &CallRow) -> Self {
        let person = row.person.as_deref();
        let person = person.map(|person| format!(" for {}", legible_quoted(person)));
        let tool = row.tool.as_deref().map_or_else(|| "no tool of this name".to_owned(), legible);
        let summary = row.summary.as_deref();
        let summary = summary.map(|text| format!(": {}", short(legible_quoted(text), SUMMARY)));
        let resolved = row.resolved.map(|found| format!(", resolved as {found}"));
        Self {
            call: row.call.to_string(),
            at: seconds(row.at),
            time: row.at.to_string(),
            state: format!("{}{}", words(row.state), resolved.unwrap_or_default()),
            kind: kind(row.state),
            who: format!("{}{}", legible_quoted(&row.agent), person.unwrap_or_default()),
            what: format!("{tool}{}", summary.unwrap_or_default()),
            objects: objects(row),
            rule: row.rule.as_deref().map(legible).unwrap_or_default(),
        }
    }

    /// The line on the page.
    pub fn html(&self) -> Markup {
        html! {
            li data-call=(self.call) {
                a href=(format!("/console/calls/{}", self.call)) {
                    time datetime=(self.time) { (self.at) }
                }
                span class=(format!("state {}", self.kind)) { (self.state) }
                span class="who" { (self.who) }
                span class="what" { (self.what) }
                span class="objects" { (self.objects) }
                span class="rule" { (self.rule) }
            }
        }
    }
}

/// The state in words.
pub fn words(state: CallState) -> String {
    state.word().replace('_', " ")
}

fn kind(state: CallState) -> &'static str {
    match state {
        CallState::Answered | CallState::Looked | CallState::Previewed | CallState::Succeeded => {
            "good"
        }
        _ if state.is_open() => "open",
        CallState::Cancelled | CallState::Expired => "plain",
        _ => "bad",
    }
}

fn objects(row: &CallRow) -> String {
    let mut named: Vec<&str> =
        row.objects.iter().take(OBJECTS).map(|object| object.as_str()).collect();
    let rest = row.objects.len().saturating_sub(named.len());
    let more = format!("{rest} more");
    if rest > 0 {
        named.push(&more);
    }
    named.join(", ")
}
