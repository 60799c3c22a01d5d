//! The ceiling of a tool: the most that its plans may contain. Its author declares it, an operator
//! accepts or narrows it. Never widened at run time.

use crate::model::operation::Action;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line: one action on one kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The permitted action.
    pub action: Action,
    /// API group, empty for the core group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// Namespaces: exact names, prefixes with `*`, or `*`.
    pub namespaces: Vec<String>,
    /// Field paths; empty for `delete`.
    pub fields: Vec<String>,
}

/// The most that the plans of a tool may contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// The permitted operations, one for each line.
    pub grants: Vec<Grant>,
    /// Executors its plans may name.
    pub executors: Vec<String>,
}

/// Arguments with the draft they give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The title: what the example shows.
    pub title: String,
    /// The arguments of the example.
    pub arguments: Value,
    /// The draft, compared by meaning.
    pub draft: Value,
}

/// The definition that a tool gives of itself: read once at load, pinned by the component's digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The name that agents call.
    pub name: String,
    /// The version (Semantic Versioning).
    pub version: String,
    /// A few words for people.
    pub title: String,
    /// The description that models read.
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

/// The entry among the namespaces of a line for the job's own ephemeral namespace.
pub const EPHEMERAL: &str = "";
