//! One call as a line of a list. Made by the recorder from its ledger entries; the words of agents
//! and tools in it are theirs, and quoted wherever they are shown.

use super::call_state::CallState;
use super::id::{BadName, CallId};
use super::job::Found;
use super::object_name::ObjectName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most objects of a call in a list: a plan has at most as many operations.
pub const ROW_OBJECTS: usize = super::limit::OPERATIONS;

/// A call in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRow {
    /// The id of the call.
    pub call: CallId,
    /// The time of its first ledger entry.
    pub at: Timestamp,
    /// The time of its newest ledger entry.
    pub changed: Timestamp,
    /// The name of the agent.
    pub agent: String,
    /// The person for whom the agent worked; `None` also where it was erased.
    pub person: Option<String>,
    /// The name of the tool; `None` where no tool was found.
    pub tool: Option<String>,
    /// The tool's own summary of its plan; `None` without a plan, and where it was erased.
    pub summary: Option<String>,
    /// The name of the environment.
    pub environment: String,
    /// The objects that the plan reads or changes, sorted; empty where they were erased. Objects in
    /// the run namespace of the call are left out.
    pub objects: Vec<ObjectName>,
    /// The state of the call.
    pub state: CallState,
    /// An operator's record of the real outcome.
    pub resolved: Option<Found>,
    /// The rule that decided, or the code of the ending; `None` where it was erased.
    pub rule: Option<String>,
    /// The people whose signatures were taken, approvals and rejections, in the order of the
    /// ledger.
    pub signers: Vec<String>,
    /// The index of its first ledger entry.
    pub first: u64,
    /// The index of its newest ledger entry.
    pub ledger: u64,
    /// True if its payloads were erased by an operator or by retention.
    pub erased: bool,
}

/// A place in a list of calls, newest first. Opaque: only the recorder reads it. New calls do not
/// move it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallCursor {
    at_ms: i64,
    first: u64,
}

impl CallCursor {
    /// The place immediately after the call of this time, in milliseconds, and first entry.
    pub const fn after(at_ms: i64, first: u64) -> Self {
        Self { at_ms, first }
    }

    /// Time in milliseconds, and first entry.
    pub const fn place(&self) -> (i64, u64) {
        (self.at_ms, self.first)
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// A text that no list gave.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let bad = || BadName {
            given: text.chars().take(64).collect(),
            kind: "a place in the list",
            form: "the text that the page before gave",
        };
        let (at, first) = text.split_once('-').ok_or_else(bad)?;
        let cursor = Self {
            at_ms: i64::from_str_radix(at, 16).map_err(|_| bad())?,
            first: u64::from_str_radix(first, 16).map_err(|_| bad())?,
        };
        // One text for each place.
        if cursor.text() == text { Ok(cursor) } else { Err(bad()) }
    }

    fn text(&self) -> String {
        format!("{:x}-{:x}", self.at_ms.max(0), self.first)
    }
}

impl TryFrom<String> for CallCursor {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<CallCursor> for String {
    fn from(cursor: CallCursor) -> Self {
        cursor.text()
    }
}

impl std::fmt::Display for CallCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// One page of a list of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallPage {
    /// The calls, newest first. May be empty although older ones match: see `before`.
    pub rows: Vec<CallRow>,
    /// The place of the next page; `None` at the end of the list.
    pub before: Option<CallCursor>,
    /// The number of ledger entries that the list knows. Changes are asked for from here.
    pub through: u64,
    /// The number of entries of the ledger. More than `through`: the list is still being made.
    pub entries: u64,
}

/// The changes of a list of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallChanges {
    /// New and changed calls of the filter, the oldest change first.
    pub rows: Vec<CallRow>,
    /// Changed calls that match the filter but for its states: they are no longer in the list, or
    /// never were.
    pub left: Vec<CallId>,
    /// The number of ledger entries up to which changes are told: the next request has it.
    pub through: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_text() {
        let cursor = CallCursor::after(1_764_515_225_123, 77);
        assert_eq!(CallCursor::parse(&cursor.to_string()).unwrap(), cursor);
        for text in
            ["", "-", "1", "1-", "-1", "g-1", "1-g", "01-1", "1-01", "A-1", "+1-1", "1-+1", "-1-1"]
        {
            assert!(CallCursor::parse(text).is_err(), "{text}");
        }
    }
}
