//! The filter of a list of calls: the same for the console, its exports and `cofferdam audit`. Says
//! which calls are listed, and gives no right to read them.

use super::call_state::CallState;
use super::object_name::ObjectName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most characters of a name in a filter: the longest name of a principal has fewer.
pub const FILTER_NAME: usize = 256;

/// The calls of a list. A call has to match each part that is given; without any, all calls match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallFilter {
    /// The name of the agent, in full.
    pub agent: Option<String>,
    /// The person for whom the agent worked, in full.
    pub person: Option<String>,
    /// The name of the tool, in full.
    pub tool: Option<String>,
    /// An object that the call reads or changes.
    pub object: Option<ObjectName>,
    /// The states; a call has one of them. Empty: any.
    pub states: Vec<CallState>,
    /// Calls that arrived at this time or later.
    pub since: Option<Timestamp>,
    /// Calls that arrived before this time.
    pub until: Option<Timestamp>,
}
