//! A delegation: for a time, another approver signs in the place of an absent one. Plain data:
//! `policy::delegation` verifies it. Never makes an approver of a person who is none.

use super::trust::Environment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The SSHSIG namespace of delegations; `ssh-keygen -Y sign -n` takes it.
pub const DELEGATION_NAMESPACE: &str = "delegation@cofferdam.dev";

/// The schema name of [`Delegation`].
pub const DELEGATION_SCHEMA: &str = "cofferdam.delegation.v1";

/// The longest time of a delegation, in seconds: 30 days. A longer absence needs a second one, or
/// another policy.
pub const DELEGATION_SECONDS_MOST: i64 = 30 * 24 * 3_600;

/// Most delegations in a trust file: each is verified when a question is read.
pub const DELEGATIONS: usize = 100;

/// The document that the absent approver signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// Always [`DELEGATION_SCHEMA`].
    pub schema: String,
    /// The absent approver, who signs this.
    pub from: String,
    /// The approver who signs in their place.
    pub to: String,
    /// The environment in which it holds.
    pub environment: Environment,
    /// The begin.
    pub issued: Timestamp,
    /// The end, at most [`DELEGATION_SECONDS_MOST`] after `issued`.
    pub until: Timestamp,
}

/// A delegation with its signature, as trust files and the ledger have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDelegation {
    /// The canonical JSON of a [`Delegation`], exactly as signed.
    pub delegation: String,
    /// The SSHSIG in its armoured form.
    pub signature: String,
}
