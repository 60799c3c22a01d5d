//! Every text that people and models read about a call, made in one place and the same wherever it
//! is shown. Words of others (purpose, summary, arguments, values) are quoted and escaped; every
//! other word is ours. Deterministic: the digest of what an approver saw can be derived again.

mod again;
mod approver;
pub mod audit;
mod call;
mod calls;
mod ceiling;
mod change_lines;
pub mod difference;
mod members;
mod notification;
mod outcome;
mod planned;
mod preview;
mod prompts;
mod remarks;
mod results;
mod spans;
mod story;
mod told;
mod unlinked;

use crate::model::escape;
use unlinked::unlinked;

pub use again::{already_done, ended, rejected, replayed};
pub use approver::{
    QuestionPage, ShownError, further, in_full, later, needed, question, seconds, shown_digest,
    signatures, would_do,
};
pub use call::{
    accepted, describe_note, describe_notes, describe_phase, describe_progress, job_reply, pending,
    refusal_of, refused, sentence, size_of_result, state_reply, succeeded, withdrawal, withdrawn,
};
pub use calls::calls;
pub use ceiling::{ceiling, rbac};
pub use change_lines::scalar;
pub use members::members;
pub use notification::{Letter, harmless, letter};
pub use outcome::changed;
pub use preview::{Decided, ShownPlan, read_results, shown_only};
pub use prompts::{CHANGE, FOLLOW, change, follow, prompts};
pub use remarks::words as remark_words;
pub use results::presented;
pub use spans::{ago, until};
pub use story::{Story, StoryPart, StoryText, decided_over, event, story, story_text};

use crate::model::facts::OperationFacts;
use crate::model::operation::{Action, Named, Within};
use crate::model::rights;
use serde_json::Value;
use std::collections::BTreeMap;

/// Escapes and shortens a text for one line.
pub fn short(text: &str, most: usize) -> String {
    escape::short(escape::line(text), most)
}

/// One operation in a line: `0. patch Deployment web in namespace team-a (executes code)`.
pub(crate) fn operation(fact: &OperationFacts) -> String {
    let marks = marks(fact);
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("{}. {}{marks}", fact.index, named(fact))
}

/// The marks of an operation that policy and people have to know besides its object.
pub(crate) fn marks(fact: &OperationFacts) -> Vec<&'static str> {
    [
        (fact.destructive, "destructive"),
        (fact.executes_code, "decides what code runs"),
        (fact.discloses, "shows contents"),
        (fact.removes_field, "removes a field"),
        (fact.reversible, "can be undone"),
    ]
    .into_iter()
    .filter_map(|(is, mark)| is.then_some(mark))
    .collect()
}

/// `patch Deployment web in namespace team-a`, `egress to siblings from the ephemeral namespace`.
pub fn named(fact: &OperationFacts) -> String {
    if fact.action == Action::Egress {
        return format!("{} to {} from the ephemeral namespace", fact.action, fact.name);
    }
    format!("{} {} in {}", fact.action, Named(&fact.kind, &fact.name), Within(&fact.namespace))
}

/// Field by field, before → after.
pub(crate) fn changes(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .map(|path| {
            format!(
                "{}: {} → {}",
                escape::line(path),
                value(before.get(path)),
                value(after.get(path))
            )
        })
        .collect()
}

/// The rights that follow from operations, a line each; one line that says so for no rights.
pub fn rights(facts: &[OperationFacts]) -> Vec<String> {
    let lines: Vec<String> =
        rights::render(&rights::of_plan(facts)).iter().map(|right| escape::line(right)).collect();
    if lines.is_empty() {
        vec!["none outside its own ephemeral namespace".to_owned()]
    } else {
        lines
    }
}

/// A value as JSON on one line; what a person cannot see is escaped.
fn value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "(absent)".to_owned(),
        Some(value) => escape::line(&value.to_string()),
    }
}
