//! The reasons of a decision, a denial, and the rule for approvals: plain data that policy answers
//! and people read. Decides nothing.

use super::stop::STOPPED;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The readers of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The agent and the operators.
    User,
    /// Operators and the ledger alone.
    Operator,
}

/// One reason, from one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Stable id of the rule: `replicas-limit`.
    pub id: String,
    /// Why, in one sentence.
    pub message: String,
    /// The remedy: the nearest request that would be allowed.
    pub remedy: String,
    /// The readers of the reason.
    pub audience: Audience,
}

/// The people that have to sign, and for how long they may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// How many different people, at least 1.
    pub quorum: u32,
    /// Names that the trust file knows, or `*` for any enrolled approver.
    pub approvers: Vec<String>,
    /// How long the question is open, in seconds.
    pub expires_seconds: u64,
    /// The further people who may sign after a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalation>,
    /// The groups of people that policy named, for people to read. Gives no right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ApproverGroup>,
}

/// Further people who may sign a question some time after it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// Seconds from the question on, from 1 to less than its end.
    pub after_seconds: u64,
    /// Names that the trust file knows, or `*` for any enrolled approver.
    pub approvers: Vec<String>,
}

/// A group of people in the policy's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproverGroup {
    /// The name of the group.
    pub name: String,
    /// Its people.
    pub members: Vec<String>,
}

impl ApprovalRule {
    /// A rule without further people and groups.
    pub fn of(quorum: u32, approvers: Vec<String>, expires_seconds: u64) -> Self {
        Self { quorum, approvers, expires_seconds, escalate: None, groups: Vec::new() }
    }

    /// True if this person may sign so many seconds after the question.
    pub fn names(&self, name: &str, seconds: u64) -> bool {
        let listed = |names: &[String]| names.iter().any(|named| named == "*" || named == name);
        let later = self.escalate.as_ref().filter(|later| seconds >= later.after_seconds);
        listed(&self.approvers) || later.is_some_and(|later| listed(&later.approvers))
    }

    /// Everyone whom the rule names, the further people included.
    pub fn everyone(&self) -> impl Iterator<Item = &String> {
        let later = self.escalate.iter().flat_map(|later| &later.approvers);
        self.approvers.iter().chain(later)
    }

    /// The time from which the further people of a question of this time may sign.
    pub fn escalates(&self, asked: Timestamp) -> Option<Timestamp> {
        let after = i64::try_from(self.escalate.as_ref()?.after_seconds).ok()?;
        asked.checked_add(SignedDuration::from_secs(after)).ok()
    }

    /// The time that a statement of this person names now: none for a person who may sign from the
    /// beginning. Without a name, everyone is one of the further people.
    pub fn escalated(
        &self,
        name: Option<&str>,
        asked: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let later = !name.is_some_and(|name| self.names(name, 0));
        self.escalates(asked).filter(|since| later && *since <= now)
    }

    /// When a question that came at this time runs out; `None` beyond the last time there is.
    pub fn ends(&self, asked: Timestamp) -> Option<Timestamp> {
        asked
            .checked_add(SignedDuration::from_secs(
                i64::try_from(self.expires_seconds).unwrap_or(0),
            ))
            .ok()
    }
}

/// A plan that may not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Stable id of the rule that denied.
    pub rule: String,
    /// Why, for the agent.
    pub why: String,
    /// The nearest request that would be allowed, for the agent.
    pub allowed: String,
    /// The next step, where it is more than another request.
    pub next: Option<&'static str>,
    /// Every reason, operators' included: for the ledger.
    pub reasons: Vec<Reason>,
    /// True if a person rejected it, and not policy.
    pub rejected: bool,
}

impl Denial {
    /// The host's own denial.
    pub fn of(rule: &str, why: String) -> Self {
        let allowed = "Ask an operator: `cofferdam show` with this id says more.".to_owned();
        let reason = Reason {
            id: rule.to_owned(),
            message: why.clone(),
            remedy: allowed.clone(),
            audience: Audience::User,
        };
        Self {
            rule: rule.to_owned(),
            why,
            allowed,
            next: None,
            reasons: vec![reason],
            rejected: false,
        }
    }

    /// The denial of a call that an operator stopped.
    pub fn stopped(why: String) -> Self {
        let allowed = "Nothing of this kind until an operator lifts the stop; tell your user.";
        let reason = Reason {
            id: STOPPED.to_owned(),
            message: why.clone(),
            remedy: allowed.to_owned(),
            audience: Audience::User,
        };
        Self {
            rule: STOPPED.to_owned(),
            why,
            allowed: allowed.to_owned(),
            next: None,
            reasons: vec![reason],
            rejected: false,
        }
    }

    /// The host's own denial whose detail is for operators: an agent learns only that policy cannot
    /// decide.
    pub fn of_policy(rule: &str, detail: &str) -> Self {
        let mut denial =
            Self::of(rule, "policy could not decide, and what is not decided is denied".to_owned());
        denial.reasons.push(Reason {
            id: rule.to_owned(),
            message: detail.to_owned(),
            remedy: "check the policy with `cofferdam policy eval`".to_owned(),
            audience: Audience::Operator,
        });
        denial
    }
}
