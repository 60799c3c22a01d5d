//! The frame of the console's pages: the links between them, who is signed in, and the page of a
//! refusal.

use super::super::layout::{Frame, PageData};
use super::Visit;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::path::ConsolePage;
use crate::render;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::SignedIn;
use cofferdam_core::model::escape::legible;
use hyper::StatusCode;
use maud::{Markup, html};
use serde::Serialize;

/// The pages that the links name. The last four are for auditors and operators.
const LINKS: [(ConsolePage, &str); 6] = [
    (ConsolePage::Waiting, "Waiting"),
    (ConsolePage::Calls, "Calls"),
    (ConsolePage::Agents, "Agents"),
    (ConsolePage::Tools, "Tools"),
    (ConsolePage::Policy, "Policy"),
    (ConsolePage::Health, "Health"),
];

/// The links for an approver.
const OWN_LINKS: usize = 2;

impl<F: Front> Edge<F> {
    /// A page of the console.
    pub(super) fn console_page(
        &self,
        visit: &Visit<'_>,
        (status, title): (StatusCode, &str),
        content: &Markup,
    ) -> Answer {
        let frame = Frame {
            script: ConsolePage::Script.name(),
            navigation: Some(navigation(visit)),
            has_form: visit.page == ConsolePage::Calls,
            wide: true,
            data: PageData { page: name(visit.page), ..PageData::default() },
        };
        self.framed(status, title, &frame, content)
    }

    /// The page of a refusal: cause and remedy.
    pub(super) fn refusal_page(&self, visit: &Visit<'_>, deny: &Deny) -> Answer {
        let content = html! { p { (sentence(&deny.to_string())) } };
        let answer = self.console_page(visit, (deny.row().plain, "Not shown"), &content);
        render::refused(answer, deny)
    }
}

/// The JSON twin of a page.
pub(super) fn twin(value: &impl Serialize) -> Result<Answer, Deny> {
    let text = serde_json::to_string(value).map_err(|_| Deny::Broken)?;
    Ok(respond::json_text(StatusCode::OK, text))
}

/// A sentence of its own: with a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// A text of several lines, invisible characters escaped.
pub(super) fn legible_lines(text: &str) -> String {
    // A tab is a usual indent of Rego.
    let lines = text.lines().map(|line| legible(&line.replace('\t', "    ")));
    lines.collect::<Vec<_>>().join("\n")
}

fn navigation(visit: &Visit<'_>) -> Markup {
    let shown = if visit.person.role.sees_all() { LINKS.len() } else { OWN_LINKS };
    // The page of a call is below the list of calls.
    let open = if visit.page == ConsolePage::Call { ConsolePage::Calls } else { visit.page };
    html! {
        nav aria-label="Console" {
            ul {
                @for (page, title) in LINKS.into_iter().take(shown) {
                    li {
                        a href=(page.name()) aria-current=[(page == open).then_some("page")] {
                            (title)
                        }
                    }
                }
            }
            p class="who" { (who(&visit.signed_in)) }
        }
    }
}

/// The person and their roles.
fn who(person: &SignedIn) -> String {
    let roles: Vec<&str> = person.roles.iter().map(|role| role.word()).collect();
    format!("{}: {}", legible(&person.name), roles.join(", "))
}

/// The name of a page for its script.
fn name(page: ConsolePage) -> &'static str {
    match page {
        ConsolePage::Calls => "calls",
        ConsolePage::Call => "call",
        _ => "console",
    }
}
