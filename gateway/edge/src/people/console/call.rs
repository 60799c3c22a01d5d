//! `/console/calls/ID`: the story of one call, as `cofferdam show` tells it, with the reasons of its
//! decision, its proof, and for an operator the form that cancels it.

use super::Visit;
use super::frame::twin;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::people::question::lines;
use crate::respond::Answer;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::JobView;
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::model::reason::{Audience, Reason};
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::console::{CallStory, ConsoleAnswer, ConsoleAsk};
use cofferdam_core::text::{Story, decided_over, story_text};
use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::json;

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) async fn story_page(
        &self,
        visit: &Visit<'_>,
        call: &CallId,
    ) -> Result<Answer, Deny> {
        let told =
            match self.ask_recorder(&visit.person, ConsoleAsk::Story { call: call.clone() }).await?
            {
                ConsoleAnswer::Story(told) => told,
                _ => return Err(Deny::Broken),
            };
        let story = Story {
            call: &told.call,
            job: told.job.as_ref(),
            view: told.view.as_ref(),
            entries: &told.entries,
            removed: &told.removed,
        };
        let (text, facts) = (story_text(&story), decided_over(&story));
        if visit.wants_json() {
            return twin(&json!({"story": text, "facts": facts, "call": told}));
        }
        let waits = told.view.as_ref().is_some_and(|view| view.phase == Phase::AwaitingApproval);
        let signs = waits && self.signable(visit).await?.contains(call);
        let operates = visit.signed_in.roles.iter().any(|role| role.may_cancel());
        let open = |view: &JobView| view.outcome.is_none() && view.cancellation.is_none();
        let cancels = operates && told.view.as_ref().is_some_and(open);
        let content = html! {
            p { code { (told.call) } }
            @if signs {
                p { a class="go" href=(format!("/approve/{}", told.call)) { "The question of this call" } }
            }
            @for part in &text.parts {
                section aria-label=(part.heading) {
                    h2 { (capital(part.heading)) }
                    (lines(&part.lines))
                }
                @if matches!(part.heading, "allowed" | "policy") { (why(&told, &facts)) }
            }
            (proof(&told))
            @if cancels { (cancel()) }
        };
        let title = format!("Call: {}", text.state);
        Ok(self.console_page(visit, (StatusCode::OK, &title), &content))
    }
}

fn counted(rules: usize) -> String {
    if rules == 1 { "1 rule".to_owned() } else { format!("{rules} rules") }
}

fn capital(heading: &str) -> String {
    let mut letters = heading.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// The reasons of the decision: of the job, or of the entry of a call without one.
fn reasons(told: &CallStory) -> Vec<Reason> {
    if let Some(job) = &told.job {
        return job.reasons.clone();
    }
    let kept = told.entries.iter().rev().find_map(|entry| entry.payloads.get("reasons"));
    kept.and_then(|kept| serde_json::from_value(kept.clone()).ok()).unwrap_or_default()
}

/// The reasons of the decision: each rule with its remedy and its readers, and the facts of the
/// operations.
fn why(told: &CallStory, facts: &[String]) -> Markup {
    let reasons = reasons(told);
    html! {
        @if !reasons.is_empty() {
            details {
                summary { "Why was this decided? " (counted(reasons.len())) }
                @for reason in &reasons {
                    h3 { "Rule " code { (legible(&reason.id)) } }
                    dl {
                        dt { "Why" } dd { (legible(&reason.message)) }
                        @if !reason.remedy.is_empty() { dt { "Remedy" } dd { (legible(&reason.remedy)) } }
                        dt { "Readers" }
                        dd {
                            @match reason.audience {
                                Audience::User => "the agent and operators",
                                Audience::Operator => "operators alone",
                            }
                        }
                    }
                }
                @if !facts.is_empty() {
                    h3 { "Facts of the operations" }
                    (lines(facts))
                }
                p { "The rules are those of the policy that decided. "
                    a href="/console/policy" { "The policy in use" } }
            }
        }
    }
}

/// The check of the proofs, by the script.
fn proof(told: &CallStory) -> Markup {
    let indexes: Vec<String> = told.entries.iter().map(|entry| entry.index.to_string()).collect();
    html! {
        section id="proof" aria-label="Proof" data-call=(told.call) data-entries=(indexes.join(" ")) {
            h2 { "Proof" }
            p {
                "Your browser can check that the ledger has the entries of this call. It does not \
                 check the texts above. This is a convenience: the server sends the script, the \
                 proofs and the key. Only "
                code { "cofferdam ledger verify" } " with a key of your own is a proof."
            }
            button id="check" type="button" { "Check the proof" }
            p id="checked" aria-live="polite" {}
            noscript { p { "Without JavaScript: " code { "cofferdam ledger prove " (told.call) } } }
        }
    }
}

/// The form of a cancellation.
fn cancel() -> Markup {
    html! {
        section id="cancel" aria-label="Cancel" {
            h2 { "Cancel" }
            label for="because" { "Your reason, which the agent reads" }
            textarea id="because" maxlength=(PURPOSE) {}
            button id="cancel-call" type="button" class="stop" { "Cancel this call" }
            p { "The ledger keeps your name and the reason. The runner of a running job is \
                 asked to stop. Effects of the job remain, or are undone, as its plan says." }
        }
    }
}
