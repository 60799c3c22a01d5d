//! The entries of a ledger that a check of approvals needs: questions, signatures, decisions, first
//! effects, and what explains a missing payload. Keeps no other entry.

use crate::ledger::leaf::Leaf;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::retention::Retained;
use std::collections::BTreeSet;

/// The entries about approvals, oldest first.
#[derive(Debug, Default)]
pub struct ApprovalEntries {
    pub(super) leaves: Vec<Leaf>,
    asked: BTreeSet<CallId>,
    acted: BTreeSet<CallId>,
    erased: BTreeSet<CallId>,
    removed_before: u64,
}

impl ApprovalEntries {
    /// Takes the next entry of the ledger.
    pub fn take(&mut self, leaf: Leaf) {
        let call = leaf.call.as_ref();
        let about_asked = call.is_some_and(|call| self.asked.contains(call));
        match (&leaf.event, call) {
            (Event::Asked, Some(call)) => {
                self.asked.insert(call.clone());
                self.leaves.push(leaf);
            }
            (Event::Signed { .. }, Some(_)) => self.leaves.push(leaf),
            (Event::Intended, Some(_)) if about_asked => self.leaves.push(leaf),
            (Event::Started { .. }, Some(call))
                if about_asked && self.acted.insert(call.clone()) =>
            {
                self.leaves.push(leaf);
            }
            (Event::Administered { what, .. }, Some(call)) if what == "erase" => {
                self.erased.insert(call.clone());
            }
            (Event::Removed { what: Retained::Payloads, end: Some(end), .. }, _) => {
                self.removed_before = self.removed_before.max(*end);
            }
            _ => {}
        }
    }

    /// True if the ledger itself says that payloads of this entry may be gone.
    pub(super) fn explains_absence(&self, leaf: &Leaf) -> bool {
        leaf.index < self.removed_before
            || leaf.call.as_ref().is_some_and(|call| self.erased.contains(call))
    }
}
