//! The reply to a call that was not refused: a list of facts. Text and structure are both made from
//! it, because hosts hand a model only one of the two: Claude Code and Codex the structure, others
//! the text. Never says in one what it does not say in the other.

mod line;
mod operation;

pub(crate) use operation::Operation;

use crate::model::answer::{Proof, Success};
use crate::model::escape;
use crate::model::left_out::{LeftOut, Place};
use crate::model::trust::Environment;
use line::{Line, whole};
use serde_json::{Map, Value, json};

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
    /// The call only read, and has its results.
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

/// One fact of a reply.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A sentence: its name in the structure, its label in the text (may be empty), its words.
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
    /// An older name of a fact, for programs alone.
    Also(&'static str, Value),
}

/// The limits of a change to a tree: the agent must not tell its user that a program runs otherwise
/// by now.
const NOT_YET: &str = "not committed, not rolled out";

/// Said of a call that was found done.
const NOTHING_NOW: &str = "nothing was done now";

/// Said of a call whose idempotency key belongs to an earlier call.
const BY_KEY: &str = "by the earlier call with this idempotency key";

/// A reply to an agent, as facts.
#[derive(Debug)]
pub(crate) struct Told {
    state: State,
    proof: Proof,
    environment: String,
    facts: Vec<Fact>,
}

impl Told {
    /// A reply with state, proof and environment, and no facts yet.
    pub fn new(state: State, proof: Proof, environment: &Environment) -> Self {
        Self { state, proof, environment: escape::line(&environment.name), facts: Vec::new() }
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

    /// The reply as the journey returns it.
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
    let places = left_out.places.iter().map(|place| format!("  {}", escape::line(&words(place))));
    [title].into_iter().chain(places).map(Line::needed).collect()
}

/// `edited team-a/web.yaml; not committed, not rolled out`.
fn edited(files: &[String]) -> String {
    format!("edited {}; {NOT_YET}", files.join(", "))
}

#[cfg(test)]
mod tests;
