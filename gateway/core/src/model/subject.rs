//! The subject of a call, as policy and signed statements name it (AuthZEN Authorization API 1.0).

use serde::{Deserialize, Serialize};

/// The subject of a policy input: the agent that calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `agent`, or `anonymous` where no agent is configured.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the agent.
    pub id: String,
    /// The facts of the agent.
    pub properties: SubjectProperties,
}

/// The facts of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubjectProperties {
    /// Its roles, as policy reads them.
    pub roles: Vec<String>,
    /// The person it acts for; `null` when unknown.
    #[serde(rename = "for")]
    pub person: Option<String>,
    /// The other members of the delegation chain (RFC 8693 `act`), outermost first.
    pub act: Vec<String>,
}
