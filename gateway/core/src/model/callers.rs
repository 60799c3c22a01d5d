//! The register of callers: which static tokens were given and which have ended, and who was served
//! when. Coarse, and never a token itself.

use crate::model::id::TokenDigest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A static token of the agents file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenToken {
    /// The name of the agent.
    pub agent: String,
    /// The digest of its token.
    pub token: TokenDigest,
}

/// A caller that was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedCaller {
    /// The name of the principal.
    pub name: String,
    /// Its roles at the last use.
    pub roles: Vec<String>,
    /// The person it acted for at the last use.
    pub person: Option<String>,
    /// The last use, at most [`crate::model::limit::USE_SECONDS`] too early.
    pub used: Timestamp,
}
