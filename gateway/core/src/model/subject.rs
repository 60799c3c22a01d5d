//! The subject of a call, as policy and signed statements name it (AuthZEN Authorization API 1.0).

use serde::{Deserialize, Serialize};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `agent`, or `anonymous` where no agent is configured.
    #[serde(rename = "type")]
    pub kind: String,
    /// The agent's name.
    pub id: String,
    /// What the gateway knows about it.
    pub properties: SubjectProperties,
}

/// What the gateway knows about a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubjectProperties {
    /// Its roles.
    pub roles: Vec<String>,
    /// The person it acts for; `null` when unknown.
    #[serde(rename = "for")]
    pub person: Option<String>,
    /// Everybody else in the delegation chain (RFC 8693 `act`), outermost first.
    pub act: Vec<String>,
}
