//! The operations of a plan as an approver reads them: what each does, where, after which others,
//! and what changes. Long contents that a preview has by their digest alone are taken from the
//! plan.

use super::super::{operation, remark_words};
use super::lines::{Extent, changes};
use crate::model::escape::legible;
use crate::model::facts;
use crate::model::facts::OperationFacts;
use crate::model::id::ObjectDigest;
use crate::model::operation::Step;
use crate::model::preview::{Preview, PreviewedOperation};
use serde_json::Value;
use std::collections::BTreeMap;

/// `1 operation`, `3 operations`.
pub(super) fn count(operations: usize) -> String {
    if operations == 1 { "1 operation".to_owned() } else { format!("{operations} operations") }
}

/// The line above the operations.
pub(super) fn heading(steps: &[Step]) -> String {
    let order = if steps.len() < 2 {
        ""
    } else if steps.iter().all(|step| step.after.is_empty()) {
        "; the executor chooses their order"
    } else {
        "; the executor keeps to each `after`"
    };
    format!("What it would do, {}{order}:", count(steps.len()))
}

/// One operation in a line.
pub(super) fn name(fact: &OperationFacts) -> String {
    legible(&operation(fact))
}

/// All operations, in the plan's order.
pub(super) fn steps(
    steps: &[Step],
    facts: &[OperationFacts],
    preview: &Preview,
    extent: Extent,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (fact, step) in facts.iter().zip(steps) {
        lines.push(name(fact));
        let mut beneath: Vec<String> = after(step).into_iter().collect();
        if let Some(shown) = preview.operation(fact.index) {
            beneath.extend(previewed(step, shown, extent));
        }
        lines.extend(beneath.into_iter().map(|text| format!("   {text}")));
    }
    lines
}

/// The operations that have to be done before this one.
fn after(step: &Step) -> Option<String> {
    let before: Vec<String> = step.after.iter().map(u32::to_string).collect();
    (!before.is_empty()).then(|| format!("after {}", before.join(", ")))
}

/// Where it is, what changes, and what has to be known besides.
fn previewed(step: &Step, shown: &PreviewedOperation, extent: Extent) -> Vec<String> {
    let place = (!shown.place.is_empty()).then(|| format!("at {}", legible(&shown.place)));
    let (after, notes) = unfolded(step, &shown.after);
    let remarks = shown.remarks.iter().map(|remark| format!("note: {}", remark_words(remark)));
    place.into_iter().chain(changes(&shown.before, &after, &notes, extent)).chain(remarks).collect()
}

/// Replaces values that a preview has by size and digest with the plan's own, with a note on each.
/// A value whose digest is not in the plan stays as it is.
fn unfolded(
    step: &Step,
    after: &BTreeMap<String, Value>,
) -> (BTreeMap<String, Value>, BTreeMap<String, String>) {
    let (mut values, mut notes) = (after.clone(), BTreeMap::new());
    let written = facts::brought(&step.operation).map(|(_, changes)| changes).unwrap_or_default();
    for change in written {
        let (Some(shown), Some(value)) = (values.get_mut(&change.path), change.value) else {
            continue;
        };
        let Some(digest) = shown.get("digest").and_then(Value::as_str).map(str::to_owned) else {
            continue;
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if ObjectDigest::of(text.as_bytes()).to_string() == digest {
            notes.insert(change.path, format!("{} bytes, {digest}", text.len()));
            *shown = value;
        }
    }
    (values, notes)
}
