//! `/console/agents`: the agents that were served, with their last use and their budgets.

use super::Visit;
use super::frame::twin;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::Answer;
use crate::shares::CallerLimits;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::escape::{legible, legible_quoted};
use cofferdam_core::protocol::console::{AgentRow, ConsoleAnswer, ConsoleAsk};
use cofferdam_core::text::{ago, seconds};
use hyper::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::{Value, json};

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) async fn agents_page(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        visit.require_sees_all()?;
        let ConsoleAnswer::Agents { agents, more } =
            self.ask_recorder(&visit.person, ConsoleAsk::Agents).await?
        else {
            return Err(Deny::Broken);
        };
        if visit.wants_json() {
            let agents: Vec<Value> = agents
                .iter()
                .map(|agent| value(agent, self.shares.limits(&caller(agent))))
                .collect();
            return twin(&json!({"agents": agents, "more": more}));
        }
        let now = self.front.now();
        let content = html! {
            p {
                "Agents that were served, the last used first. Agents that were never served: "
                code { "cofferdam agents list" } "."
            }
            @if agents.is_empty() { p { "No agent was served yet." } }
            ol class="cards" { @for agent in &agents { (card(agent, self.shares.limits(&caller(agent)), now)) } }
            @if more { p { "There are more agents than this page lists." } }
        };
        Ok(self.console_page(visit, (StatusCode::OK, "Agents"), &content))
    }
}

/// The agent among the callers whose requests are limited.
fn caller(agent: &AgentRow) -> Principal {
    Principal {
        name: agent.name.clone(),
        anonymous: false,
        roles: agent.roles.clone(),
        person: agent.person.clone(),
        act: Vec::new(),
    }
}

/// The agent in JSON, with its limits.
fn value(agent: &AgentRow, limits: CallerLimits) -> Value {
    let mut value = json!(agent);
    if let Some(members) = value.as_object_mut() {
        let limits = json!({"requests_per_second": limits.rate.per_second,
            "burst": limits.rate.burst, "calls": limits.calls, "waits": limits.waits});
        members.insert("limits".to_owned(), limits);
    }
    value
}

fn card(agent: &AgentRow, limits: CallerLimits, now: Timestamp) -> Markup {
    let roles =
        if agent.roles.is_empty() { "none".to_owned() } else { legible(&agent.roles.join(", ")) };
    let person = agent.person.as_deref().map_or_else(|| "none".to_owned(), legible_quoted);
    html! {
        li {
            h2 { (legible_quoted(&agent.name)) }
            dl {
                dt { "Last use" }
                dd { time datetime=(agent.used) { (seconds(agent.used)) } ", " (ago(agent.used, now)) }
                dt { "Works for" } dd { (person) }
                dt { "Roles" } dd { (roles) }
                dt { "At once" } dd { "at most " (limits.calls) " calls, " (limits.waits) " held requests" }
                dt { "Requests" }
                dd { (limits.rate.per_second) " a second, " (limits.rate.burst) " after a pause" }
                dt { "Jobs today" } dd { (agent.jobs_today) " of " (agent.budgets.jobs_per_day) }
                dt { "Waiting for people" } dd { (agent.waiting) " of " (agent.budgets.waiting_approvals) }
                dt { "Ledger today" }
                dd { (mib(agent.bytes_today)) " of " (mib(agent.budgets.ledger_bytes_per_day)) }
            }
            p { a href=(calls(&agent.name)) { "Its calls" } }
        }
    }
}

/// The list of the agent's calls.
fn calls(name: &str) -> String {
    super::query::Query::of_agent(name).link("/console/calls", None)
}

/// Bytes in MiB, rounded up.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
