//! The payloads that the store lacks. An entry may lack them only if a later entry says so: an
//! erasure of its call by an operator, or a removal by retention. Anything else is a loss.

use crate::ledger::leaf::Leaf;
use crate::store::LeafRow;
use cofferdam_core::model::json;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::retention::Retained;
use std::collections::BTreeSet;

/// The parts of an entry's text that can name a removal or an erasure. An entry is canonical JSON:
/// within a text of it, each quotation mark has a backslash before it.
const REMOVED: &str = r#""kind":"removed""#;
const ERASED: &str = r#""what":"erase""#;
/// The part of an entry without payloads.
const NONE: &str = r#""commitments":{}"#;

/// What the entries say about payloads that are not there.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The entries whose payloads are not there, as ranges: first, and one after the last.
    bare: Vec<(i64, i64)>,
    /// Retention removed payloads before this entry.
    end: u64,
    /// The calls that an operator erased.
    erased: BTreeSet<String>,
}

impl Lost {
    /// Notes one entry. Entries come in order.
    pub fn note(&mut self, (index, _, entry, bare): &LeafRow) {
        if *bare && !entry.contains(NONE) {
            match self.bare.last_mut() {
                Some((_, end)) if *end == *index => *end += 1,
                _ => self.bare.push((*index, *index + 1)),
            }
        }
        if !entry.contains(REMOVED) && !entry.contains(ERASED) {
            return;
        }
        let Ok(leaf) = json::strict_into::<Leaf>(entry.as_bytes()) else { return };
        match (leaf.event, leaf.call) {
            (Event::Removed { what: Retained::Payloads, end: Some(end), .. }, _) => {
                self.end = self.end.max(end);
            }
            (Event::Administered { what, .. }, Some(call)) if what == "erase" => {
                self.erased.insert(call.to_string());
            }
            _ => {}
        }
    }

    /// The ranges of entries that retention does not explain.
    pub fn unexplained(&self) -> Vec<(i64, i64)> {
        let end = i64::try_from(self.end).unwrap_or(i64::MAX);
        let after = self.bare.iter().map(|(first, last)| ((*first).max(end), *last));
        after.filter(|(first, last)| first < last).collect()
    }

    /// Returns whether this entry lacks payloads that no operator erased.
    pub fn is_lost(&self, (_, _, entry, bare): &LeafRow) -> bool {
        let call = || json::strict_into::<Leaf>(entry.as_bytes()).ok().and_then(|leaf| leaf.call);
        *bare
            && !entry.contains(NONE)
            && !call().is_some_and(|call| self.erased.contains(call.as_str()))
    }
}
