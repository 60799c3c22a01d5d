//! `/console/health`: roles, ledger, backlog, disk, notifications, and each warning with its remedy.

use super::Visit;
use super::frame::{legible_lines, sentence, twin};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::Answer;
use cofferdam_core::journey::ports::{Front, Readiness};
use cofferdam_core::model::escape::{legible, line};
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk, Overview};
use cofferdam_core::text::{ago, seconds};
use hyper::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::json;

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) async fn health_page(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        visit.require_sees_all()?;
        let overview = match self.ask_recorder(&visit.person, ConsoleAsk::Overview).await? {
            ConsoleAnswer::Overview(overview) => overview,
            _ => return Err(Deny::Broken),
        };
        let ready = self.front.ready().await;
        if visit.wants_json() {
            let Readiness { missing, warnings, restart, stuck } = ready;
            return twin(&json!({"overview": overview, "ready": missing.is_empty(),
                "missing": missing, "warnings": warnings, "restart_needed": restart,
                "stuck": stuck}));
        }
        let content = document(&overview, &ready, self.front.now());
        Ok(self.console_page(visit, (StatusCode::OK, "Health"), &content))
    }
}

fn document(overview: &Overview, ready: &Readiness, now: Timestamp) -> Markup {
    html! {
        p class=(if ready.missing.is_empty() { "state good" } else { "state bad" }) {
            (if ready.missing.is_empty() { "Calls are carried out." } else { "Calls are not carried out." })
        }
        (sentences("Missing", &ready.missing))
        (sentences("Warnings", &warnings(overview, ready)))
        (sentences("A restart is needed", &ready.restart))
        (stuck(overview, now))
        (roles(overview))
        (ledger(overview))
        (backlog(overview))
        (receivers(overview))
        (retention(overview, now))
    }
}

/// The warnings of recorder, supervisor and gateway, each once.
fn warnings(overview: &Overview, ready: &Readiness) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let unfenced = overview.supervisor.unfenced.iter();
    let told = ready.warnings.iter().chain(&overview.warns).chain(&overview.supervisor.warnings);
    for one in told.chain(unfenced).chain(&overview.repaired) {
        let one = line(one);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

fn sentences(title: &str, told: &[String]) -> Markup {
    html! {
        @if !told.is_empty() {
            h2 { (title) }
            ul { @for one in told { li { (sentence(&legible(one))) } } }
        }
    }
}

fn stuck(overview: &Overview, now: Timestamp) -> Markup {
    html! {
        @if !overview.stuck.is_empty() {
            h2 { "Jobs that cannot be finished" }
            ul {
                @for job in &overview.stuck {
                    li {
                        a href=(format!("/console/calls/{}", job.call)) { code { (job.call) } }
                        ", since " (ago(job.stuck.since, now)) ": "
                        (sentence(&legible(&job.stuck.obstacle.to_string())))
                    }
                }
            }
        }
    }
}

fn roles(overview: &Overview) -> Markup {
    html! {
        h2 { "Roles" }
        dl {
            @for (role, count) in &overview.roles {
                dt { (legible(role)) }
                dd { (if *count == 0 { "not connected".to_owned() } else { format!("connected, {count}") }) }
            }
            @if let Some(loaded) = &overview.supervisor.loaded {
                dt { "Set in use" }
                dd {
                    "since " (seconds(loaded.since)) ": " (loaded.tools) " tools, "
                    (loaded.executors) " executors, " (loaded.commands) " commands, "
                    (loaded.approvers) " keys of approvers"
                }
            }
            @if let Some(reload) = &overview.supervisor.reload {
                dt { "Last reload" }
                dd {
                    (seconds(reload.at)) ": "
                    @match &reload.refused {
                        Some(why) => (sentence(&legible(why))),
                        None => "done",
                    }
                }
            }
        }
    }
}

fn ledger(overview: &Overview) -> Markup {
    let behind = overview.entries.saturating_sub(overview.indexed);
    html! {
        h2 { "Ledger and disk" }
        dl {
            dt { "Entries" } dd { (overview.entries) }
            dt { "Lists of calls" }
            dd { (if behind == 0 { "have every entry".to_owned() } else { format!("have all but the newest {behind}") }) }
            @if let Some(disk) = &overview.disk {
                dt { "Free disk" }
                dd { (mib(disk.free_bytes)) "; new work stops at " (mib(disk.reserve_bytes)) }
            }
        }
        details {
            summary { "The newest checkpoint" }
            pre tabindex="0" { (legible_lines(&overview.checkpoint)) }
        }
    }
}

fn backlog(overview: &Overview) -> Markup {
    html! {
        h2 { "Jobs by phase" }
        dl {
            @for (phase, count) in &overview.phases {
                dt { (phase.word().replace('_', " ")) } dd { (count) }
            }
            @if overview.phases.is_empty() { dt { "Jobs" } dd { "none" } }
        }
    }
}

fn receivers(overview: &Overview) -> Markup {
    html! {
        h2 { "Notifications" }
        @if overview.receivers.is_empty() { p { "No receiver is configured." } }
        @for receiver in &overview.receivers {
            h3 { (legible(&receiver.name)) }
            p {
                (receiver.delivered) " delivered, " (receiver.waiting) " wait, "
                (receiver.failed) " tries failed, " (receiver.dropped) " given up."
            }
            @if let Some(error) = &receiver.error { p class="note" { (sentence(&legible(error))) } }
        }
    }
}

fn retention(overview: &Overview, now: Timestamp) -> Markup {
    html! {
        @if !overview.retention.is_empty() {
            h2 { "Retention" }
            dl {
                @for one in &overview.retention {
                    dt { (one.what) }
                    dd {
                        @match one.seconds {
                            Some(seconds) => { (seconds / 86_400) " days" },
                            None => "for ever",
                        }
                        "; " (one.removed) " removed"
                        @if let Some(newest) = one.newest { ", the last " (ago(newest, now)) }
                    }
                }
            }
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
