//! An agent's own calls, as a list: what a client that gave up waiting finds its call by. Never
//! holds another's call.

use crate::model::answer::Listed;
use crate::model::call::OwnCall;
use crate::model::escape::line;
use crate::model::run::{Outcome, Phase};
use crate::model::time::whole_seconds;
use crate::model::trust::Environment;
use serde_json::{Value, json};

/// The list, newest first. `more`: there are older ones that are not shown.
pub fn calls(calls: &[OwnCall], more: bool, open: bool, environment: &Environment) -> Listed {
    let environment = line(&environment.name);
    let which = if open { "open calls" } else { "calls" };
    let rows: Vec<Row> = calls.iter().map(Row::of).collect();
    let head = format!("CALLS in {environment}");
    let summary = match (rows.len(), more) {
        (0, _) => format!("You have no {which} here."),
        (count, false) => format!("Your {which}, newest first: {count}."),
        (count, true) => format!("Your {which}, newest first: {count}; there are older ones."),
    };
    let lines = [head, summary.clone()].into_iter().chain(rows.iter().map(Row::text));
    Listed {
        text: lines.collect::<Vec<_>>().join("\n"),
        structured: json!({
            "state": "calls", "environment": environment, "summary": summary, "more": more,
            "calls": rows.iter().map(Row::value).collect::<Vec<_>>(),
        }),
    }
}

struct Row {
    call: String,
    tool: String,
    what: String,
    state: &'static str,
    asked: String,
    outcome: Option<Outcome>,
    next: String,
}

impl Row {
    fn of(own: &OwnCall) -> Self {
        let call = own.call.to_string();
        let (state, next) = match (own.outcome, own.phase) {
            (Some(outcome), _) => {
                (ended(outcome), "`job_get` with this id tells what became of it".to_owned())
            }
            (None, Phase::AwaitingApproval) => {
                ("waiting", format!("an approver runs `cofferdam approve {call}`"))
            }
            (None, _) => ("running", "`job_get` with this id follows it".to_owned()),
        };
        Self {
            tool: line(&own.tool),
            what: line(&own.what.join("; ")),
            state,
            asked: whole_seconds(own.asked),
            outcome: own.outcome,
            next,
            call,
        }
    }

    fn text(&self) -> String {
        let Self { call, tool, what, state, asked, next, .. } = self;
        format!("{call} {state}, asked {asked}. {tool}: {what}. Next: {next}.")
    }

    fn value(&self) -> Value {
        json!({
            "call": self.call, "tool": self.tool, "what": self.what, "state": self.state,
            "asked": self.asked,
            "outcome": self.outcome, "next": self.next,
        })
    }
}

fn ended(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Succeeded { "done" } else { outcome.word() }
}
