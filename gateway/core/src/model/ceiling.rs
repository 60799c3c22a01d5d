//! What a tool's plans may ever contain, as its author declares and an operator accepts (and may
//! narrow). Never widened at run time.

use crate::model::operation::Action;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line: one action on one kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What may be done.
    pub action: Action,
    /// API group, empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespaces: exact names, prefixes with `*`, or `*`.
    pub namespaces: Vec<String>,
    /// Field paths; empty for `delete`.
    pub fields: Vec<String>,
}

/// What a tool's plans may ever contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// The lines.
    pub grants: Vec<Grant>,
    /// Executors its plans may name.
    pub executors: Vec<String>,
}

/// Arguments with the draft they give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// The arguments.
    pub arguments: Value,
    /// The draft, compared by meaning.
    pub draft: Value,
}

/// What a tool says it is: read once at load, pinned by the component's digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What agents call it by.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// A few words for people.
    pub title: String,
    /// What models read.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
    /// JSON Schema of the result.
    pub output_schema: Value,
    /// The widest plans it may return.
    pub ceiling: Ceiling,
    /// Arguments with the plans they give.
    pub examples: Vec<Example>,
}

/// Stands among a line's namespaces for the job's own ephemeral namespace.
pub const EPHEMERAL: &str = "";
