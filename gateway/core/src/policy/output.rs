//! The policy output. Any other output is a denial with a reason code of its own.

use crate::model::reason::ApprovalRule;
use crate::model::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema name of [`Output`].
pub const OUTPUT_SCHEMA: &str = "cofferdam.decision.v1";

/// The effect of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Every covered operation may run.
    Allow,
    /// No operation may run.
    Deny,
    /// No operation may run until people have signed.
    RequireApproval,
}

/// The whole output of the entry point `cofferdam/call/decision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Always [`OUTPUT_SCHEMA`].
    pub schema: String,
    /// The effect of the decision.
    pub effect: Effect,
    /// Indexes of the operations that an `allow` (or a `require_approval`) covers; an operation
    /// not covered denies the plan.
    pub covers: Vec<u32>,
    /// The reasons of the decision.
    pub reasons: Vec<Reason>,
    /// The duties that come with the decision; an unknown type denies.
    pub obligations: Vec<Obligation>,
    /// The approval rule; `null` unless the effect is `require_approval`.
    pub approval: Option<ApprovalRule>,
}

/// A duty that comes with a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Obligation {
    /// Stable id of the rule.
    pub id: String,
    /// The type of the obligation; see [`OBLIGATIONS`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameters of the obligation.
    pub properties: Value,
}

/// Obligation types this host carries out, each with one property:
///
/// - `ttl {seconds}`, from 1: the permit ends that soon.
/// - `unchanged {scope: "object"}`: any change elsewhere in an object stops the job too.
pub const OBLIGATIONS: [&str; 2] = ["ttl", "unchanged"];
