//! The text that an agent reads of a call that changes nothing: the results of a read, or plan,
//! difference, rights and decision of a preview.

use super::call::{sentence, signers};
use super::told::{Fact, Operation, State, Told};
use super::{marks, named, rights};
use crate::model::answer::{Changed, Proof, Success};
use crate::model::escape::line;
use crate::model::facts::OperationFacts;
use crate::model::left_out::LeftOut;
use crate::model::preview::Preview;
use crate::model::reason::ApprovalRule;
use crate::model::trust::Environment;
use serde_json::{Value, json};

/// The reply with the results of a read; a tool that only answers has its answer in the summary.
pub fn read_results(
    results: Vec<Value>,
    (left_out, given): (&LeftOut, Vec<String>),
    summary: Option<&str>,
    proof: Proof,
    environment: &Environment,
) -> Success {
    let told = Told::new(State::Looked, proof, environment);
    let told = match summary {
        Some(summary) => {
            told.words("summary", "", line(summary)).with(Fact::Also("results", json!(results)))
        }
        None => told.with(Fact::Results(results)),
    };
    let told = if given.is_empty() { told } else { told.with(Fact::Lines("given", None, given)) };
    if left_out.is_empty() {
        told.success()
    } else {
        told.with(Fact::LeftOut(left_out.clone())).success()
    }
}

/// The decision over a call that is only shown.
pub struct Decided<'a> {
    /// `allow`, `require_approval` or `deny`.
    pub decision: &'static str,
    /// The rules that decided.
    pub rule: String,
    /// The decision in words: `allowed by role-deployer`.
    pub words: String,
    /// Why, where it is not allowed at once.
    pub reason: Option<(&'a str, &'a str)>,
    /// The approval rule, where people have to sign.
    pub approval: Option<&'a ApprovalRule>,
}

/// A sealed plan as a text shows it.
#[derive(Debug, Clone, Copy)]
pub struct ShownPlan<'a> {
    /// The tool's claim about it.
    pub summary: &'a str,
    /// True if it changes anything.
    pub changes: bool,
    /// Its operations, in order.
    pub facts: &'a [OperationFacts],
}

/// A preview as an agent reads it: plan, difference, rights, and what policy says so far. `preview`
/// has what a change would do.
pub fn shown_only(
    plan: ShownPlan<'_>,
    preview: Option<&Preview>,
    decided: Decided<'_>,
    proof: Proof,
    environment: &Environment,
) -> Success {
    let operations = plan.facts.iter().map(|fact| {
        let shown = preview.and_then(|preview| preview.operation(fact.index));
        Operation {
            index: fact.index,
            what: Some(named(fact)),
            marks: marks(fact),
            place: shown.map(|shown| line(&shown.place)).unwrap_or_default(),
            before: shown.map(|shown| shown.before.clone()).unwrap_or_default(),
            after: Some(shown.map(|shown| shown.after.clone()).unwrap_or_default()),
            remarks: shown
                .map(|shown| shown.remarks.iter().map(super::remark_words).collect())
                .unwrap_or_default(),
        }
    });
    // A read runs as the viewer: no job and no Role is made for it.
    let title = if plan.changes { "Rights" } else { "Rights (the viewer's; no job gets any)" };
    let summary = crate::model::escape::quoted(plan.summary);
    let (why, allowed) =
        decided.reason.map(|(why, allowed)| (sentence(why), sentence(allowed))).unwrap_or_default();
    let told = Told::new(State::Preview, proof, environment)
        .words("changed", "", Changed::Nothing.text())
        .words("summary", "Summary (the tool's words)", summary)
        .with(Fact::Would(operations.collect()))
        .with(Fact::Lines("rights", Some(title), rights(plan.facts)))
        .with(Fact::Decided {
            decision: decided.decision,
            rule: line(&decided.rule),
            words: line(&decided.words),
        })
        .words("why", "Why", why)
        .words("allowed", "Allowed", allowed);
    match decided.approval {
        Some(rule) => told.with(Fact::Needed { who: signers(Some(rule)), until: None }),
        None => told,
    }
    .success()
}
