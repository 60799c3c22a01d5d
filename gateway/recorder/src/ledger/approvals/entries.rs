//! The entries of a ledger that a check of approvals needs: questions, signatures, decisions, first
//! effects, and what explains a missing payload. Keeps no other entry.

use crate::ledger::leaf::Leaf;
use cofferdam_core::model::id::{CallId, PlanDigest};
use cofferdam_core::model::record::Event;
use cofferdam_core::model::retention::Retained;
use std::collections::{BTreeMap, BTreeSet};

/// The entries about approvals, oldest first.
#[derive(Debug, Default)]
pub struct ApprovalEntries {
    pub(super) leaves: Vec<Leaf>,
    asked: BTreeMap<CallId, Option<PlanDigest>>,
    /// Calls that were decided or acted so far.
    gone_on: BTreeSet<CallId>,
    /// Questions of calls that had gone on.
    late: BTreeSet<u64>,
    acted: BTreeSet<CallId>,
    /// Calls whose payloads were erased, with the entry of the erasure.
    erased: BTreeMap<CallId, u64>,
    removed_before: u64,
}

impl ApprovalEntries {
    /// Takes the next entry of the ledger.
    pub fn take(&mut self, leaf: Leaf) {
        let call = leaf.call.as_ref();
        let plan = call.and_then(|call| self.asked.get(call));
        let about_asked = plan.is_some();
        let other_plan = plan.is_some_and(|plan| *plan != leaf.plan);
        match (&leaf.event, call) {
            (Event::Asked, Some(call)) => {
                if self.gone_on.contains(call) {
                    self.late.insert(leaf.index);
                }
                self.asked.entry(call.clone()).or_insert(leaf.plan);
                self.leaves.push(leaf);
            }
            (Event::Signed { .. }, Some(_)) => self.leaves.push(leaf),
            (Event::Intended, Some(call)) => {
                self.gone_on.insert(call.clone());
                if about_asked {
                    self.leaves.push(leaf);
                }
            }
            (Event::Started { .. }, Some(call)) => {
                self.gone_on.insert(call.clone());
                if about_asked && (self.acted.insert(call.clone()) || other_plan) {
                    self.leaves.push(leaf);
                }
            }
            (Event::Administered { what, .. }, Some(call)) if what == "erase" => {
                self.erased.insert(call.clone(), leaf.index);
            }
            (Event::Removed { what: Retained::Payloads, end: Some(end), .. }, _) => {
                // A removal removes nothing of entries after its own.
                self.removed_before = self.removed_before.max((*end).min(leaf.index));
            }
            _ => {}
        }
    }

    /// True if the ledger itself says that payloads of this entry may be gone.
    pub(super) fn explains_absence(&self, leaf: &Leaf) -> bool {
        leaf.index < self.removed_before
            || leaf
                .call
                .as_ref()
                .and_then(|call| self.erased.get(call))
                .is_some_and(|erased| leaf.index < *erased)
    }

    /// True if the call of this question had been decided, or had acted, before it.
    pub(super) fn is_late(&self, asked: &Leaf) -> bool {
        self.late.contains(&asked.index)
    }
}
