//! The log lines and counts of calls: a question, a refusal, work that could not be recorded, a
//! wrong token. Made only from records that the recorder accepted.

use super::log_rate::LogRate;
use cofferdam_core::journey::ports::Answered;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_telemetry::{Outlet, metrics};
use std::time::Instant;

/// The log lines of calls, with a rate limit for each kind.
#[derive(Debug, Default)]
pub struct CallLog {
    asked: LogRate,
    denied: LogRate,
    refused: LogRate,
    over_limit: LogRate,
    unknown: LogRate,
}

impl CallLog {
    /// Logs and counts the recorder's response to a proposal.
    pub fn recorded(
        &self,
        outlet: &Outlet,
        propose: &Propose,
        answer: &Result<Proposed, RoleError>,
    ) {
        match (propose, answer) {
            (Propose::Enqueue { job, .. }, Ok(Proposed::Recorded(_))) => self.enqueued(outlet, job),
            (
                Propose::End { entry, .. } | Propose::Withdraw { entry, .. },
                Ok(Proposed::Recorded(_)),
            ) => {
                self.ended(outlet, entry);
            }
            // One agent's own limit: no work of others is refused.
            (Propose::Enqueue { job, .. }, Err(RoleError::OverLimit { limit, why, .. })) => {
                self.over_limit(&job.principal.name, limit, why);
            }
            (Propose::End { entry, .. }, Err(RoleError::OverLimit { limit, why, .. })) => {
                self.over_limit(&entry.principal, limit, why);
            }
            (
                Propose::Enqueue { .. } | Propose::End { .. } | Propose::Permit { .. },
                Err(error),
            ) => {
                outlet.count(metrics::REFUSED_WORK, &[("cause", cause(error))], 1);
                if let Some(kept_back) = self.refused.pass(Instant::now()) {
                    tracing::warn!(what = "new work", why = %error, kept_back,
                    "new work is refused");
                }
            }
            _ => {}
        }
    }

    fn over_limit(&self, agent: &str, limit: &str, why: &str) {
        if let Some(kept_back) = self.over_limit.pass(Instant::now()) {
            let (agent, remedy) = (shown(agent), format!("limits.{limit}"));
            tracing::warn!(
                agent,
                what = limit,
                detail = why,
                remedy,
                kept_back,
                "an agent is over its limit, and its further calls get 429"
            );
        }
    }

    fn enqueued(&self, outlet: &Outlet, job: &StoredJob) {
        let rule = job.reasons.first().map_or("", |reason| reason.id.as_str());
        let effect = if job.permit.is_some() { "allow" } else { "require_approval" };
        outlet.count(metrics::DECISIONS, &[("effect", effect), ("rule", rule)], 1);
        if job.permit.is_none()
            && let Some(kept_back) = self.asked.pass(Instant::now())
        {
            let (call, agent, tool) = (&job.call, job.principal.name.as_str(), job.tool.as_str());
            let (agent, next) = (shown(agent), format!("cofferdam approve {call}"));
            tracing::info!(%call, agent, tool, rule, remedy = next, kept_back,
            "a person is asked to approve a call");
        }
    }

    fn ended(&self, outlet: &Outlet, entry: &Entry) {
        let Event::Ended { ending, code } = &entry.event else { return };
        let first = first_reason(entry);
        let (effect, rule) = match ending.as_str() {
            "denied" => ("deny", code.as_str()),
            "refused" => ("decline", code.as_str()),
            "failed" => ("fail", code.as_str()),
            "looked" | "answered" => ("allow", first.as_deref().unwrap_or(code)),
            // A preview has no decision to count.
            _ => return,
        };
        outlet.count(metrics::DECISIONS, &[("effect", effect), ("rule", rule)], 1);
        if effect == "deny"
            && let Some(kept_back) = self.denied.pass(Instant::now())
        {
            let call = entry.call.as_ref().map(ToString::to_string).unwrap_or_default();
            let tool = entry.tool.as_ref().map_or("", |(name, _)| name.as_str());
            tracing::info!(
                call,
                agent = shown(&entry.principal),
                tool,
                rule,
                kept_back,
                "a call was denied"
            );
        }
    }

    /// Logs a request without a valid token.
    pub fn unauthenticated(&self, answered: &Answered) {
        if let Some(kept_back) = self.unknown.pass(Instant::now()) {
            let (peer, path) = (answered.client.to_string(), answered.route);
            tracing::warn!(peer, path, kept_back, "a request without a valid token was refused");
        }
    }
}

/// The name of an agent on one line; `None` for an anonymous caller.
fn shown(name: &str) -> String {
    if name.is_empty() { "(none)".to_owned() } else { cofferdam_core::model::escape::line(name) }
}

/// The first rule of a decision, from its ledger entry.
fn first_reason(entry: &Entry) -> Option<String> {
    let reasons: serde_json::Value = serde_json::from_str(entry.payloads.get("reasons")?).ok()?;
    Some(reasons.get(0)?.get("id")?.as_str()?.to_owned())
}

fn cause(error: &RoleError) -> &'static str {
    match error {
        RoleError::Busy { .. } => "busy",
        RoleError::Unavailable(_) | RoleError::TooLarge(_) => "unavailable",
        _ => "refused",
    }
}
