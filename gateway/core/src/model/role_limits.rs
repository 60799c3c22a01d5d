//! The limits of roles, which the policy's data may have as `agent_limits`: a member for each role.
//! A limit of a role takes the place of the configuration's, and may be higher or lower. A caller
//! with several roles has the highest of their values. Never part of a decision.

use super::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The member of the policy's data.
const MEMBER: &str = "agent_limits";

/// The most requests a second, and at once: more come from no machine.
pub const MOST_REQUESTS: u64 = 1_000_000;

/// The most calls in progress and the most held requests: those of all agents together.
pub const MOST_PLACES: u64 = 512;

/// The most calls that wait for a person: people look at no more.
pub const MOST_QUESTIONS: u64 = 100_000;

/// The most jobs in a day: more never run in it.
pub const MOST_JOBS: u64 = 100_000_000;

/// The most MiB of the ledger's growth in a day.
pub const MOST_MIB: u64 = 1_000_000;

/// The limits by role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleLimits(BTreeMap<String, OwnLimits>);

/// The limits of a role. A limit that is `None` is the configuration's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnLimits {
    /// Requests a second, 1 to [`MOST_REQUESTS`].
    pub requests_per_second: Option<u64>,
    /// The most requests at once after a pause, 1 to [`MOST_REQUESTS`].
    pub burst: Option<u64>,
    /// The most calls in progress, 1 to [`MOST_PLACES`].
    pub calls: Option<u64>,
    /// The most held requests, 1 to [`MOST_PLACES`].
    pub waits: Option<u64>,
    /// The most calls that wait for a person, 1 to [`MOST_QUESTIONS`].
    pub waiting_approvals: Option<u64>,
    /// The most new jobs in a day, 1 to [`MOST_JOBS`].
    pub jobs_per_day: Option<u64>,
    /// What calls write into the ledger in a day, in MiB, 1 to [`MOST_MIB`].
    pub ledger_mib_per_day: Option<u64>,
}

/// An error in the limits of roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleLimitsError {
    /// The policy's data is not strict JSON.
    #[error("the policy's data is not strict JSON: {0}")]
    Json(String),
    /// The member has another form.
    #[error(
        "`{MEMBER}` in the policy's data: {0}; write `{{\"ROLE\": {{\"calls\": 64}}}}`, with the \
         keys of `[limits]` in cofferdam.toml for one agent"
    )]
    Form(String),
    /// A value is out of its bounds.
    #[error(
        "`{MEMBER}.{role}.{limit}` in the policy's data is {value}; write a whole number from 1 to \
         {most}"
    )]
    Bound {
        /// The role.
        role: String,
        /// The limit.
        limit: &'static str,
        /// Its value.
        value: u64,
        /// The highest value.
        most: u64,
    },
}

impl RoleLimits {
    /// Reads the limits in the policy's data, which is JSON text. Data without the member has none.
    ///
    /// # Errors
    /// A member of another form, an unknown limit, or a value out of its bounds. Zero is one: it
    /// never means unlimited.
    pub fn read(data: &str) -> Result<Self, RoleLimitsError> {
        let data = json::strict(data.as_bytes())
            .map_err(|error| RoleLimitsError::Json(error.to_string()))?;
        let Some(member) = data.get(MEMBER) else { return Ok(Self::default()) };
        let limits: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_value(member.clone())
                .map_err(|error| RoleLimitsError::Form(error.to_string()))?;
        let limits = limits.into_iter().map(|(role, limits)| {
            // `null` is not a missing limit.
            let null = limits.iter().find(|(_, value)| value.is_null());
            if let Some((limit, _)) = null {
                return Err(RoleLimitsError::Form(format!("`{role}.{limit}` is null")));
            }
            let limits = serde_json::from_value(Value::from_iter(limits))
                .map_err(|error| RoleLimitsError::Form(format!("`{role}`: {error}")))?;
            bounded(&role, &limits)?;
            Ok((role, limits))
        });
        Ok(Self(limits.collect::<Result<_, _>>()?))
    }

    /// The limits of a caller with these roles.
    pub fn of(&self, roles: &[String]) -> OwnLimits {
        roles.iter().filter_map(|role| self.0.get(role)).fold(OwnLimits::default(), |all, own| {
            OwnLimits {
                requests_per_second: all.requests_per_second.max(own.requests_per_second),
                burst: all.burst.max(own.burst),
                calls: all.calls.max(own.calls),
                waits: all.waits.max(own.waits),
                waiting_approvals: all.waiting_approvals.max(own.waiting_approvals),
                jobs_per_day: all.jobs_per_day.max(own.jobs_per_day),
                ledger_mib_per_day: all.ledger_mib_per_day.max(own.ledger_mib_per_day),
            }
        })
    }

    /// True if no role has limits of its own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn bounded(role: &str, own: &OwnLimits) -> Result<(), RoleLimitsError> {
    let table = [
        ("requests_per_second", own.requests_per_second, MOST_REQUESTS),
        ("burst", own.burst, MOST_REQUESTS),
        ("calls", own.calls, MOST_PLACES),
        ("waits", own.waits, MOST_PLACES),
        ("waiting_approvals", own.waiting_approvals, MOST_QUESTIONS),
        ("jobs_per_day", own.jobs_per_day, MOST_JOBS),
        ("ledger_mib_per_day", own.ledger_mib_per_day, MOST_MIB),
    ];
    for (limit, value, most) in table {
        if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
            return Err(RoleLimitsError::Bound { role: role.to_owned(), limit, value, most });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_the_highest_limit_of_its_roles() {
        let limits = RoleLimits::read(
            r#"{"kinds": [], "agent_limits": {
                "viewer": {"calls": 4, "waits": 2},
                "operator": {"calls": 2, "jobs_per_day": 7}
            }}"#,
        )
        .unwrap();
        let of = |roles: &[&str]| {
            let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
            let own = limits.of(&roles);
            (own.calls, own.waits, own.jobs_per_day, own.burst)
        };
        assert_eq!(of(&["viewer"]), (Some(4), Some(2), None, None));
        assert_eq!(of(&["operator", "viewer", "other"]), (Some(4), Some(2), Some(7), None));
        assert_eq!(of(&["other"]), (None, None, None, None));
        assert!(RoleLimits::read("{}").unwrap().is_empty());
    }

    #[test]
    fn other_forms_and_values_are_refused() {
        for (member, expected) in [
            (
                r#"{"viewer": {"calls": 0}}"#,
                "`agent_limits.viewer.calls` in the policy's data is 0",
            ),
            (r#"{"viewer": {"calls": 513}}"#, "whole number from 1 to 512"),
            (r#"{"viewer": {"ledger_mib_per_day": 1000001}}"#, "from 1 to 1000000"),
            (r#"{"viewer": {"call": 1}}"#, "unknown field `call`"),
            (r#"{"viewer": {"calls": -1}}"#, "invalid value"),
            (r#"{"viewer": {"calls": 1.5}}"#, "invalid type"),
            (r#"{"viewer": {"calls": "1"}}"#, "invalid type"),
            (r#"{"viewer": {"calls": null}}"#, "`viewer.calls` is null"),
            (r#"{"viewer": 1}"#, "invalid type"),
            ("[]", "invalid type"),
            ("null", "invalid type"),
        ] {
            let data = format!("{{\"agent_limits\": {member}}}");
            let error = RoleLimits::read(&data).unwrap_err().to_string();
            assert!(error.contains(expected), "{member}: {error}");
        }
        assert!(RoleLimits::read(r#"{"agent_limits": {"a": {}, "a": {}}}"#).is_err());
    }
}
