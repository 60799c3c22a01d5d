//! The reply to a call that was not refused: a list of facts. Text and structure are both made from
//! it, because hosts hand a model only one of the two: Claude Code and Codex the structure, others
//! the text. Never says in one what it does not say in the other.

use super::value;
use crate::model::answer::{Proof, Success};
use crate::model::escape::line;
use crate::model::facts::TASK;
use crate::model::left_out::{LeftOut, Place};
use crate::model::limit;
use crate::model::trust::Environment;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Where a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// All of it was done.
    Done,
    /// The same call did all of it so long ago: `12 seconds ago`.
    AlreadyDone(String),
    /// An earlier call with the same idempotency key did all of it.
    Replayed,
    /// It ended at once, and left no job.
    Ended,
    /// It only looked, and this is what it saw.
    Looked,
    /// It was shown and decided, and not done.
    Preview,
    /// A person has to sign.
    Waiting,
    /// It is on its way.
    Running,
    /// It is recorded, and its state cannot be read.
    Accepted,
    /// Its agent took it back in time.
    Withdrawn,
}

impl State {
    /// The first word of the text.
    fn verb(&self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::AlreadyDone(_) | Self::Replayed => "ALREADY DONE",
            Self::Ended => "ENDED",
            Self::Looked => "LOOKED",
            Self::Preview => "PREVIEW",
            Self::Waiting => "WAITING",
            Self::Running => "RUNNING",
            Self::Accepted => "ACCEPTED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }

    /// True if nothing more comes of the call by itself.
    fn complete(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running | Self::Accepted)
    }
}

/// One operation, as it would be or was done.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its index in the plan.
    pub index: u32,
    /// `patch Deployment web in namespace team-a`; none where the plan was erased.
    pub what: Option<String>,
    /// `destructive`, `decides what code runs`.
    pub marks: Vec<&'static str>,
    /// Where the object is: `team-a/web.yaml:7`; empty where that says nothing.
    pub place: String,
    /// The fields before the change.
    pub before: BTreeMap<String, Value>,
    /// Fields after; none where the runner was lost before it could say.
    pub after: Option<BTreeMap<String, Value>>,
    /// Remarks that have to be known, a line each.
    pub remarks: Vec<String>,
}

/// One thing that an agent is told.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A sentence: its name in the structure, its label in the text (none where empty), its words.
    Words(&'static str, &'static str, String),
    /// The people that have to sign, and until when.
    Needed { who: String, until: Option<String> },
    /// The operations that were done, in plan order.
    Done(Vec<Operation>),
    /// The operations that would be done.
    Would(Vec<Operation>),
    /// The decision of policy: its effect, the rules, and their words.
    Decided { decision: &'static str, rule: String, words: String },
    /// Files of the tree that were edited.
    Edited(Vec<String>),
    /// Lines under a name, with a title where there is one.
    Lines(&'static str, Option<&'static str>, Vec<String>),
    /// The results of a read.
    Results(Vec<Value>),
    /// The parts that a read left out because they cannot be relied on.
    LeftOut(LeftOut),
    /// For programs alone: an older name of something that another fact says.
    Also(&'static str, Value),
}

/// Said of an effect that its runner could not record, and that the next runner found.
const UNRECORDED: &str =
    "found done, as it was approved; its runner was lost before it could say so";

/// Where a task's result is in the state after it.
const RESULT: &str = "result";

/// The limits of a change to a tree: the agent must not tell its user that a program runs otherwise
/// by now.
const NOT_YET: &str = "not committed, not rolled out";

/// Said of a call that was found done.
const NOTHING_NOW: &str = "nothing was done now";

/// Said of a call whose idempotency key belongs to an earlier call.
const BY_KEY: &str = "by the earlier call with this idempotency key";

/// All that an agent is told.
#[derive(Debug)]
pub(crate) struct Told {
    state: State,
    proof: Proof,
    environment: String,
    facts: Vec<Fact>,
}

impl Told {
    /// Begins with what every answer says.
    pub fn new(state: State, proof: Proof, environment: &Environment) -> Self {
        Self { state, proof, environment: line(&environment.name), facts: Vec::new() }
    }

    /// Adds one fact to the reply.
    #[must_use]
    pub fn with(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Adds one sentence; an empty one is left out.
    #[must_use]
    pub fn words(self, name: &'static str, label: &'static str, words: impl Into<String>) -> Self {
        let words = words.into();
        if words.is_empty() { self } else { self.with(Fact::Words(name, label, words)) }
    }

    /// As the journey answers.
    pub fn success(self) -> Success {
        Success {
            text: self.text(),
            structured: self.structured(),
            complete: self.state.complete(),
            proof: self.proof,
        }
    }

    fn text(&self) -> String {
        let (verb, call, environment) = (self.state.verb(), &self.proof.call, &self.environment);
        let before = match &self.state {
            State::AlreadyDone(ago) => Some(ago.as_str()),
            State::Replayed => Some(BY_KEY),
            _ => None,
        };
        let mut lines = match before {
            Some(before) => {
                let head = format!("{verb} as {call}, {before}; {NOTHING_NOW}");
                vec![Line::needed(head), Line::needed(format!("Environment: {environment}"))]
            }
            None => vec![Line::needed(format!("{verb} {call} in {environment}"))],
        };
        lines.extend(self.facts.iter().flat_map(Fact::lines));
        lines.extend(self.proof.plan.map(|plan| Line::needed(format!("Plan: {plan}"))));
        lines.extend(self.proof.ledger.map(|index| Line::needed(format!("Ledger: {index}"))));
        whole(&lines)
    }

    fn structured(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        put("state", json!(self.state.verb().to_lowercase()));
        put("call", json!(self.proof.call));
        put("environment", json!(self.environment));
        if let State::AlreadyDone(ago) = &self.state {
            put("ago", json!(ago));
            put("note", json!(NOTHING_NOW));
        }
        if self.state == State::Replayed {
            put("note", json!(format!("{BY_KEY}; {NOTHING_NOW}")));
        }
        for fact in &self.facts {
            fact.members().into_iter().for_each(|(name, value)| put(name, value));
        }
        put("plan", json!(self.proof.plan));
        put("ledger", json!(self.proof.ledger));
        Value::Object(object)
    }
}

impl Fact {
    fn lines(&self) -> Vec<Line> {
        match self {
            Self::Words(_, "", words) => vec![Line::needed(words.clone())],
            Self::Words(_, label, words) => vec![Line::needed(format!("{label}: {words}"))],
            Self::Needed { who, until: None } => vec![Line::needed(format!("Needed: {who}."))],
            Self::Needed { who, until: Some(until) } => {
                vec![Line::needed(format!("Needed: {who}, until {until}."))]
            }
            Self::Done(operations) => operations.iter().flat_map(Operation::done).collect(),
            Self::Would(operations) => {
                let title = Line::needed("Operations:".to_owned());
                std::iter::once(title).chain(operations.iter().flat_map(Operation::would)).collect()
            }
            Self::Decided { words, .. } => vec![Line::needed(format!("Decision: {words}"))],
            Self::Edited(files) => vec![Line::needed(format!("Changed: {}", edited(files)))],
            Self::Lines(_, title, lines) => {
                let indent = if title.is_some() { "  " } else { "" };
                let title = title.map(|title| Line::needed(format!("{title}:")));
                title
                    .into_iter()
                    .chain(lines.iter().map(|text| Line::needed(format!("{indent}{text}"))))
                    .collect()
            }
            Self::Results(results) => vec![Line::needed(json!({ "results": results }).to_string())],
            Self::LeftOut(left_out) => left_out_lines(left_out),
            Self::Also(..) => Vec::new(),
        }
    }

    fn members(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Words(name, _, words) => vec![(name, json!(words))],
            Self::Needed { who, until } => vec![("needed", json!(who)), ("until", json!(until))],
            Self::Done(operations) => {
                vec![("operations", operations.iter().map(Operation::value).collect())]
            }
            Self::Would(operations) => {
                vec![(
                    "preview",
                    json!({"operations": operations.iter().map(Operation::value).collect::<Vec<_>>()}),
                )]
            }
            Self::Decided { decision, rule, words } => {
                vec![
                    ("decision", json!(decision)),
                    ("rule", json!(rule)),
                    ("decided", json!(words)),
                ]
            }
            Self::Edited(files) => {
                vec![("changed", json!(edited(files))), ("edited", json!(files))]
            }
            Self::Lines(name, _, lines) => vec![(name, json!(lines))],
            Self::Results(results) => vec![("results", json!(results))],
            Self::LeftOut(left_out) => {
                vec![
                    ("left_out", json!(left_out.places)),
                    ("left_out_count", json!(left_out.count)),
                ]
            }
            Self::Also(name, value) => vec![(name, value.clone())],
        }
    }
}

/// A title with the count, and a line for each place that is named.
fn left_out_lines(left_out: &LeftOut) -> Vec<Line> {
    let title = format!("Left out ({}):", left_out.count);
    let words = |place: &Place| match (place.file.as_str(), place.line) {
        ("", _) => place.reason.clone(),
        (file, 0) => format!("{file}: {}", place.reason),
        (file, at) => format!("{file}:{at}: {}", place.reason),
    };
    let places = left_out.places.iter().map(|place| format!("  {}", line(&words(place))));
    [title].into_iter().chain(places).map(Line::needed).collect()
}

/// `edited team-a/web.yaml; not committed, not rolled out`.
fn edited(files: &[String]) -> String {
    format!("edited {}; {NOT_YET}", files.join(", "))
}

impl Operation {
    fn value(&self) -> Value {
        let mut value = json!({"index": self.index, "before": self.before, "after": self.after});
        if let Some(object) = value.as_object_mut() {
            object.extend(self.what.as_ref().map(|what| ("what".to_owned(), json!(what))));
            if !self.marks.is_empty() {
                object.insert("marks".to_owned(), json!(self.marks));
            }
            if !self.place.is_empty() {
                object.insert("place".to_owned(), json!(self.place));
            }
            if !self.remarks.is_empty() {
                object.insert("remarks".to_owned(), json!(self.remarks));
            }
            if self.after.is_none() {
                object.insert("note".to_owned(), json!(UNRECORDED));
            }
        }
        value
    }

    fn named(&self) -> String {
        self.what.clone().unwrap_or_else(|| self.number())
    }

    fn number(&self) -> String {
        format!("operation {}", self.index)
    }

    fn noted<'a>(&'a self, indent: &'a str) -> impl Iterator<Item = Line> + 'a {
        self.remarks.iter().map(move |words| Line::needed(format!("{indent}note: {words}")))
    }

    fn done(&self) -> Vec<Line> {
        let result = self.after.as_ref().and_then(|after| after.get(RESULT));
        let instead = result.map(|_| self.number());
        let mut lines = vec![Line { weight: Weight::Name, text: self.named(), instead }];
        match &self.after {
            Some(after) => {
                // A task's input is the agent's own; repeated, a large input would take the place
                // of the result.
                let found =
                    after.iter().filter(|(path, _)| !path.starts_with(TASK) && *path != RESULT);
                let found = found.map(|(path, value)| (path.clone(), value.clone())).collect();
                lines.extend(
                    super::changes(&self.before, &found)
                        .into_iter()
                        .map(|text| Line::value(format!("  {text}"))),
                );
            }
            None => lines.push(Line::value(format!("  {UNRECORDED}"))),
        }
        lines.extend(self.noted("  "));
        lines.extend(
            result.map(|result| Line::needed(format!("  {RESULT}: {}", value(Some(result))))),
        );
        lines
    }

    fn would(&self) -> Vec<Line> {
        let marks = if self.marks.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.marks.join(", "))
        };
        let mut lines = vec![Line {
            weight: Weight::Name,
            text: format!("  {}. {}{marks}", self.index, self.named()),
            instead: None,
        }];
        if !self.place.is_empty() {
            lines.push(Line::value(format!("     at {}", self.place)));
        }
        let after = self.after.clone().unwrap_or_default();
        lines.extend(
            super::changes(&self.before, &after)
                .into_iter()
                .map(|text| Line::value(format!("     {text}"))),
        );
        lines.extend(self.noted("     "));
        lines
    }
}

/// The order in which parts are left out when the text would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A value that the agent named or can look at.
    Value,
    /// The name of an operation besides its number.
    Name,
    /// Parts that are nowhere else: results of tasks, and the names to find them again.
    Needed,
}

/// A line, and what stands in its place when it is left out.
struct Line {
    weight: Weight,
    text: String,
    instead: Option<String>,
}

impl Line {
    fn needed(text: String) -> Self {
        Self { weight: Weight::Needed, text, instead: None }
    }

    fn value(text: String) -> Self {
        Self { weight: Weight::Value, text, instead: None }
    }
}

/// A text within the limit: what does not fit is left out whole, the least needed first, and never
/// cut in the middle.
fn whole(lines: &[Line]) -> String {
    const LEFT_OUT: &str = "What is not shown here is too long; `cofferdam show` has it.";
    let heaviest = |weight| {
        let kept = lines.iter().filter_map(|line| {
            if line.weight >= weight { Some(line.text.as_str()) } else { line.instead.as_deref() }
        });
        kept.chain((weight > Weight::Value).then_some(LEFT_OUT)).collect::<Vec<_>>().join("\n")
    };
    let texts = [Weight::Value, Weight::Name, Weight::Needed].into_iter().map(heaviest);
    texts.into_iter().find(|text| text.len() <= limit::TEXT).unwrap_or_else(|| {
        // A runner that keeps to its limits does not come here.
        lines
            .iter()
            .map(|line| line.text.as_str())
            .take(1)
            .chain([LEFT_OUT])
            .collect::<Vec<_>>()
            .join("\n")
    })
}

#[cfg(test)]
mod tests;
