//! All that the ledger keeps of one call, as a reader gets it. Plain data; proves nothing by
//! itself.

use crate::model::record::Event;
use crate::model::retention::Retained;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One ledger entry of a call, with the payloads that are still there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoryEntry {
    /// The index of the entry.
    pub index: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// The event of the entry.
    pub event: Event,
    /// The payloads, by name.
    pub payloads: BTreeMap<String, Value>,
}

/// A part of a call that retention removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// The removed part: payloads or the closed job.
    pub what: Retained,
    /// The time of the removal; several removals of one day have the time of the newest.
    pub at: Timestamp,
}
