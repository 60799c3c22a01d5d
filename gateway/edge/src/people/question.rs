//! The page of a question: who wants what, each change before and after, the text that is signed,
//! and the two buttons. Words of agents and tools are quoted, and the template escapes them.

use super::layout::PageData;
use crate::edge::Edge;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::model::person::same_person;
use cofferdam_core::text::{QuestionPage, sentence, signatures};
use hyper::StatusCode;
use maud::{Markup, html};

/// The question as JSON.
pub fn json(page: &QuestionPage, stands_for: Option<&str>) -> Answer {
    let mut text = serde_json::to_value(page).unwrap_or_default();
    if let (Some(absent), Some(fields)) = (stands_for, text.as_object_mut()) {
        fields.insert("stands_for".to_owned(), absent.into());
    }
    respond::json(StatusCode::OK, &text)
}

impl<F: Front> Edge<F> {
    /// The page of a question that waits.
    pub(super) fn question_page(
        &self,
        (approver, stands_for): (&str, Option<&str>),
        page: &QuestionPage,
    ) -> Answer {
        let content = html! {
            dl {
                dt { "Call" } dd { code { (page.call) } }
                dt { "Asked by" } dd { (page.asked_by) }
                dt { "Tool" } dd { (page.tool) }
                dt { "Time" }
                dd {
                    span id="left" role="timer" data-left=(page.seconds_left) { (page.left()) }
                    ", until " (page.end())
                }
                dt { "Signatures" }
                dd {
                    span id="signatures" aria-live="polite" data-known=(page.signed.len()) {
                        (signatures(&page.signed, page.missing))
                    }
                    " (" (page.needed) ")"
                }
                @if let Some(absent) = stands_for {
                    dt { "Your signature" }
                    dd { "counts in the place of " (legible(absent)) ", by their delegation" }
                }
                @if let Some(later) = &page.later { dt { "Later" } dd { (later) } }
                dt { "Since it was asked" } dd { (page.since) }
            }
            h2 { "What it would do" }
            (lines(&page.operations))
            p { (page.undo) }
            @if page.folded > 0 {
                p {
                    strong { (page.folded) " lines are cut or left out" }
                    " at each " code { "[… show --full]" } ". They are in full here:"
                }
            }
            details {
                summary { "Everything in full, and " (page.argument_lines) " lines of arguments" }
                (lines(&page.full))
            }
            h2 { "Why a person is asked" }
            ul { @for rule in &page.rules { li { (rule) } } }
            h2 { "In the words of others, unchecked" }
            p { "The agent's purpose:" }
            blockquote { (page.purpose) }
            p { "The tool's summary:" }
            blockquote { (page.summary) }
            details {
                summary { "Rights it would get, and lose again: " (page.rights.len()) }
                (lines(&page.rights))
            }
            details {
                summary { "The text that you sign: " (page.text.lines().count()) " lines" }
                pre tabindex="0" { (page.text) }
                p { "Its digest: " code { (page.shown) } }
            }
            @if page.signed.iter().any(|signed| is_own(signed, approver)) {
                p { "You signed this." }
            } @else {
                (answer(approver, stands_for))
            }
        };
        let data = PageData { page: "approve", ..PageData::default() };
        self.page_of(StatusCode::OK, &page.title, &data, &content)
    }

    /// The page of a call that waits for nothing more from this person.
    pub(super) fn over_page(&self, call: &CallId, why: &str, state: Option<&str>) -> Answer {
        self.over_page_with(StatusCode::OK, call, why, state)
    }

    /// The same with another status.
    pub(super) fn over_page_with(
        &self,
        status: StatusCode,
        call: &CallId,
        why: &str,
        state: Option<&str>,
    ) -> Answer {
        let content = html! {
            p { (sentence(why)) }
            @if let Some(state) = state { p { "State: " strong { (state) } } }
        };
        let title = format!("Call {call}");
        self.page_of(status, &title, &PageData::default(), &content)
    }
}

/// The two buttons.
/// True for one's own signature, also in the place of another person: `carl for bob`.
fn is_own(signed: &str, approver: &str) -> bool {
    signed.split(" for ").next().is_some_and(|name| same_person(name, approver))
}

fn answer(approver: &str, stands_for: Option<&str>) -> Markup {
    html! {
        section id="answer" aria-label="Your answer" data-place=[stands_for] {
            p { "You are signed in as " strong { (approver) } ". Your device asks for you." }
            button id="approve" type="button" { "Approve" }
            details {
                summary { "Deny" }
                label for="reason" { "Your reason, which the agent reads" }
                textarea id="reason" maxlength=(PURPOSE) {}
                button id="deny" type="button" class="stop" { "Deny" }
            }
        }
    }
}

/// Lines of our own text. A line that goes or comes gets its colour; its sign says the same.
pub(super) fn lines(lines: &[String]) -> Markup {
    html! {
        pre tabindex="0" {
            @for line in lines {
                @match kind(line) {
                    Some(kind) => span class=(kind) { (line) },
                    None => (line),
                }
                "\n"
            }
        }
    }
}

fn kind(line: &str) -> Option<&'static str> {
    match line.trim_start() {
        changed if changed.starts_with("- ") => Some("gone"),
        changed if changed.starts_with("+ ") => Some("come"),
        _ if !line.starts_with(' ') => Some("head"),
        _ => None,
    }
}
