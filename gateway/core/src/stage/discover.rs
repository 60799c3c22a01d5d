//! Discover: the tool is known, pinned, and visible to this caller; else the tool does not exist
//! for the caller. A tool hidden from a caller is never instantiated for it. Never asks policy
//! itself: it reads the output of the list decision.

use crate::tool::catalog::Catalog;
use crate::tool::load::LoadedTool;

use crate::model::caller::Caller;
use crate::model::json;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A call as it arrived: strictly read, authenticated, not yet understood.
#[derive(Debug)]
#[must_use]
pub struct RawCall {
    /// The caller, with time and trace.
    pub caller: Caller,
    /// The tool's name as given.
    pub tool: String,
    /// Its arguments: a JSON object, strictly read.
    pub arguments: Value,
    /// The client's idempotency key.
    pub key: Option<String>,
    /// Hold the reply at most this many milliseconds.
    pub wait_ms: u64,
    /// The same while a person decides.
    pub person_ms: u64,
}

/// A call whose tool is known and visible to its caller.
#[derive(Debug)]
#[must_use]
pub struct FoundCall {
    caller: Caller,
    tool: Arc<LoadedTool>,
    arguments: Value,
}

impl FoundCall {
    pub(crate) fn into_parts(self) -> (Caller, Arc<LoadedTool>, Value) {
        (self.caller, self.tool, self.arguments)
    }

    /// The tool of the call.
    pub fn tool(&self) -> &LoadedTool {
        &self.tool
    }
}

/// The tools that the list decision lets one caller see.
#[derive(Debug, PartialEq, Eq)]
pub struct Visible(BTreeSet<String>);

/// An invalid list decision; nothing is visible then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy's list output is not an array of tool names: {0}")]
pub struct VisibleError(String);

impl Visible {
    /// Reads the list decision's result: an array of names, nothing else.
    pub fn read(output: &str) -> Result<Self, VisibleError> {
        if output.len() > crate::model::limit::POLICY_OUTPUT {
            return Err(VisibleError("too long".to_owned()));
        }
        json::strict_into::<Vec<String>>(output.as_bytes())
            .map(|names| Self(names.into_iter().collect()))
            .map_err(|error| VisibleError(error.to_string()))
    }

    /// True if a tool is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// Finds the tool; `None` when the caller sees no tool of this name.
pub fn discover(call: RawCall, catalog: &Catalog, visible: &Visible) -> Option<FoundCall> {
    let tool = catalog.get(&call.tool).filter(|tool| visible.contains(tool.name()))?;
    Some(FoundCall { caller: call.caller, tool: Arc::clone(tool), arguments: call.arguments })
}
