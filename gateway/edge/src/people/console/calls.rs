//! `/console/calls`: the list of calls, newest first, with a filter that works without a script. The
//! script adds new and changed calls. Cuts pages by a place in the list, never by a number of lines.

use super::Visit;
use super::frame::{sentence, twin};
use super::query::Query;
use super::row::{Line, words};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::Answer;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::call_row::CallPage;
use cofferdam_core::model::call_state::CALL_STATES;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};
use hyper::StatusCode;
use maud::{Markup, html};

/// The calls of one page: a few screens.
const ROWS: u32 = 50;

/// The fields of the filter that are texts: name, label and example.
const FIELDS: [(&str, &str, &str); 6] = [
    ("agent", "Agent", "release-bot"),
    ("person", "Person", "ada@example.com"),
    ("tool", "Tool", "deployment_scale"),
    ("object", "Object", "deployment/shop/web"),
    ("since", "Since", "7d or 2026-11-30"),
    ("until", "Until", "1h or 2026-11-30T12:00Z"),
];

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) async fn calls_page(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        let query = Query::read(visit.parts.uri.query().unwrap_or_default(), self.front.now())?;
        if query.beyond.is_some() {
            return Err(Deny::Params(
                "`beyond` is for the stream of changes alone; remove it from the address"
                    .to_owned(),
            ));
        }
        let page = self.page_of_calls(visit, &query, ROWS).await?;
        if visit.wants_json() {
            return twin(&page);
        }
        let all = visit.person.role.sees_all();
        let older = page
            .before
            .as_ref()
            .map(|place| query.link(visit.page.name(), Some(("before", &place.to_string()))));
        // Only the newest page gets new calls.
        let live = query.before.is_none();
        let through = page.through.to_string();
        let content = html! {
            @if !all { p { "These are the calls that you signed." } }
            details open[query.is_filtered()] {
                summary { "Filter" }
                (form(&query))
            }
            (lag(&page))
            @if live {
                p id="news" hidden { button id="show-news" type="button" {} }
            }
            ol class="rows" id="rows"
                data-changes=[live.then(|| query.link("/console/changes", Some(("beyond", &through))))] {
                @for row in &page.rows { (Line::of(row).html()) }
            }
            @if page.rows.is_empty() {
                p id="none" { (none(&query, older.is_some())) }
            }
            nav aria-label="Pages" {
                @if query.before.is_some() { a href=(query.link(visit.page.name(), None)) { "Newest calls" } " " }
                @if let Some(older) = &older { a href=(older) rel="next" { "Older calls" } }
            }
            p {
                "The whole list as a file: "
                a href=(query.link("/console/calls.csv", None)) download { "CSV" } " "
                a href=(query.link("/console/calls.jsonl", None)) download { "JSON lines" }
                ", the same as " code { "cofferdam audit" } "."
            }
        };
        Ok(self.console_page(visit, (StatusCode::OK, "Calls"), &content))
    }

    /// One page of the list.
    pub(super) async fn page_of_calls(
        &self,
        visit: &Visit<'_>,
        query: &Query,
        limit: u32,
    ) -> Result<CallPage, Deny> {
        let (filter, before) = (query.filter.clone(), query.before.clone());
        match self.ask_recorder(&visit.person, ConsoleAsk::Calls { filter, before, limit }).await? {
            ConsoleAnswer::Calls(page) => Ok(page),
            _ => Err(Deny::Broken),
        }
    }
}

fn form(query: &Query) -> Markup {
    html! {
        form method="get" action="/console/calls" role="search" aria-label="Filter" class="filter" {
            @for (name, label, example) in FIELDS {
                div {
                    label for=(format!("filter-{name}")) { (label) }
                    input id=(format!("filter-{name}")) name=(name) value=(query.given(name))
                        placeholder=(example) maxlength="256" autocomplete="off" spellcheck="false";
                }
            }
            div {
                label for="filter-state" { "State" }
                select id="filter-state" name="state" {
                    option value="" { "any" }
                    @for state in CALL_STATES {
                        option value=(state.word()) selected[query.given("state") == state.word()] {
                            (words(state))
                        }
                    }
                }
            }
            div class="buttons" {
                button type="submit" { "Filter" }
                @if query.is_filtered() { a href="/console/calls" { "All calls" } }
            }
        }
    }
}

/// The note that the list does not have the newest ledger entries yet.
fn lag(page: &CallPage) -> Markup {
    let behind = page.entries.saturating_sub(page.through);
    html! {
        @if behind > 0 {
            p class="note" {
                (sentence(&format!("the list does not have the newest {behind} ledger entries yet")))
                " Load the page again in a moment."
            }
        }
    }
}

fn none(query: &Query, older: bool) -> &'static str {
    match (older, query.is_filtered()) {
        (true, _) => "None of the newest calls matches. Older calls may match.",
        (false, true) => "No call matches this filter.",
        (false, false) => "There is no call yet.",
    }
}
