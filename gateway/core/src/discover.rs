//! Discover: the tool is known, pinned, and visible to this caller; else it does not exist for it. A tool hidden from a caller is never
//! instantiated for it. Never asks policy itself: it reads what the list decision said.

mod load;

pub use load::{LoadFault, LoadedTool, check_definition};

use crate::caller::Caller;
use crate::ceiling;
use crate::json;
use crate::trust::Trust;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A call as it arrived: strictly read, authenticated, not yet understood.
#[derive(Debug)]
#[must_use]
pub struct RawCall {
    /// Who, when, in which trace.
    pub caller: Caller,
    /// The tool's name as given.
    pub tool: String,
    /// Its arguments: a JSON object, strictly read.
    pub arguments: Value,
    /// The client's idempotency key.
    pub key: Option<String>,
    /// Hold the answer at most this many milliseconds.
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

    /// The tool.
    pub fn tool(&self) -> &LoadedTool {
        &self.tool
    }
}

/// Every loaded tool, by name.
#[derive(Debug, Default)]
pub struct Catalog(BTreeMap<String, Arc<LoadedTool>>);

impl Catalog {
    /// A catalog of those of these tools that the environment can carry out; the others are as if they were not there. Two of one name are refused.
    pub fn new(tools: Vec<LoadedTool>, trust: &Trust) -> Result<Self, LoadFault> {
        let mut catalog = BTreeMap::new();
        for tool in tools.into_iter().filter(|tool| ceiling::able(&tool.trusted().ceiling, trust)) {
            if let Some(twice) = catalog.insert(tool.name().to_owned(), Arc::new(tool)) {
                return Err(LoadFault::Twice(twice.name().to_owned()));
            }
        }
        Ok(Self(catalog))
    }

    /// The tool of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<LoadedTool>> {
        self.0.get(name)
    }

    /// All tools, sorted by name.
    pub fn tools(&self) -> impl Iterator<Item = &Arc<LoadedTool>> {
        self.0.values()
    }
}

/// The tools that the list decision lets one caller see.
#[derive(Debug, PartialEq, Eq)]
pub struct Visible(BTreeSet<String>);

/// An invalid list decision; nothing is visible then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy's list answer is not an array of tool names: {0}")]
pub struct VisibleFault(String);

impl Visible {
    /// Reads the list decision's result: an array of names, nothing else.
    pub fn read(output: &str) -> Result<Self, VisibleFault> {
        if output.len() > crate::limit::POLICY_OUTPUT {
            return Err(VisibleFault("too long".to_owned()));
        }
        json::strict_into::<Vec<String>>(output.as_bytes())
            .map(|names| Self(names.into_iter().collect()))
            .map_err(|fault| VisibleFault(fault.to_string()))
    }

    /// Whether a tool is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// Finds the tool; none when there is no such tool for this caller, whichever the reason.
pub fn discover(call: RawCall, catalog: &Catalog, visible: &Visible) -> Option<FoundCall> {
    let tool = catalog.get(&call.tool).filter(|tool| visible.contains(tool.name()))?;
    Some(FoundCall { caller: call.caller, tool: Arc::clone(tool), arguments: call.arguments })
}
