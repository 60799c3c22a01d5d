//! The caller of a request, with time and trace: established by the edge, carried by every stage
//! and every ending so that refusals can be recorded.

use crate::model::id::CallId;
use crate::model::subject::{Subject, SubjectProperties};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An authenticated agent; jobs, approvals and idempotency keys belong to its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The agent's name, unique.
    pub name: String,
    /// True if the caller was authenticated. Without configured agents a caller is anonymous: it
    /// may read and preview, and every change needs a person.
    pub anonymous: bool,
    /// Its roles, as policy reads them.
    pub roles: Vec<String>,
    /// The person it acts for.
    pub person: Option<String>,
    /// The other members of the delegation chain, outermost first.
    pub act: Vec<String>,
}

impl Principal {
    /// The subject of the policy input.
    pub fn subject(&self) -> Subject {
        Subject {
            kind: if self.anonymous { "anonymous" } else { "agent" }.to_owned(),
            id: self.name.clone(),
            properties: SubjectProperties {
                roles: self.roles.clone(),
                person: self.person.clone(),
                act: self.act.clone(),
            },
        }
    }
}

/// The state now of a caller whose call waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The agent is unchanged since the call.
    Same,
    /// The agent has other roles, or works for another person.
    Changed,
    /// The agent was removed.
    Removed,
}

/// W3C trace context as text: `00-<trace id>-<span id>-<flags>`; parsed and made by the telemetry
/// crate, untrusted, never used to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceParent(pub String);

/// The caller of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The id of the call.
    pub call: CallId,
    /// The authenticated identity.
    pub principal: Principal,
    /// The time at which the call arrived.
    pub time: Timestamp,
    /// The span that later stages are children of.
    pub trace: Option<TraceParent>,
}
