//! `/console`: the questions that wait for people, with the time left and the signatures so far. The
//! page approves nothing; each question links to the page where a person signs.

use super::Visit;
use super::frame::twin;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::Answer;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::ConsoleRole;
use cofferdam_core::model::escape::{legible, legible_quoted};
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk, WaitingCall};
use cofferdam_core::text::{ago, needed, until};
use hyper::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::json;
use std::collections::BTreeSet;

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) async fn waiting_page(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        let ConsoleAnswer::Waiting { waiting, more } =
            self.ask_recorder(&visit.person, ConsoleAsk::Waiting).await?
        else {
            return Err(Deny::Broken);
        };
        if visit.wants_json() {
            return twin(&json!({"waiting": waiting, "more": more}));
        }
        let (now, signable) = (self.front.now(), self.signable(visit).await?);
        let content = html! {
            @if waiting.is_empty() {
                p { "No call waits for " (if visit.person.role.sees_all() { "a person" } else { "you" }) "." }
            }
            ol class="cards" {
                @for one in &waiting { (card(one, signable.contains(&one.question.call), now)) }
            }
            @if more {
                p { "More calls wait than this page lists. The list of calls has all of them." }
            }
            p { "A call is approved by a signature alone: with a passkey on the page of its question, \
                 or with " code { "cofferdam approve" } "." }
        };
        Ok(self.console_page(visit, (StatusCode::OK, "Calls that wait for people"), &content))
    }

    /// The calls whose question this person may sign. Only the recorder knows them.
    pub(super) async fn signable(&self, visit: &Visit<'_>) -> Result<BTreeSet<CallId>, Deny> {
        let Some(approver) = visit.signed_in.acting_as(ConsoleRole::Approver) else {
            return Ok(BTreeSet::new());
        };
        match self.ask_recorder(&approver, ConsoleAsk::Waiting).await? {
            ConsoleAnswer::Waiting { waiting, .. } => {
                Ok(waiting.into_iter().map(|one| one.question.call).collect())
            }
            _ => Err(Deny::Broken),
        }
    }
}

fn card(waiting: &WaitingCall, signs: bool, now: Timestamp) -> Markup {
    let WaitingCall { question, signers } = waiting;
    let person = question.person.as_deref().map(legible_quoted);
    let signed = if signers.is_empty() {
        "none yet".to_owned()
    } else {
        signers.iter().map(|name| legible(name)).collect::<Vec<_>>().join(", ")
    };
    html! {
        li {
            h2 { (legible(&question.tool)) " " small { (question.call) } }
            blockquote { (legible_quoted(&question.summary)) }
            dl {
                dt { "Asked by" }
                dd {
                    (legible_quoted(&question.agent))
                    @if let Some(person) = person { " for " (person) }
                    ", " (ago(question.asked, now))
                }
                dt { "Ends" }
                dd { time datetime=(question.expires) { (until(question.expires, now)) } }
                dt { "Signatures" }
                dd {
                    (signed)
                    @if let Some(rule) = &question.approval { "; needed: " (needed(rule)) }
                }
            }
            p {
                @if signs {
                    a class="go" href=(format!("/approve/{}", question.call)) { "Read and sign" }
                    " "
                }
                a href=(format!("/console/calls/{}", question.call)) { "The story so far" }
            }
        }
    }
}
