//! The answer of a policy: nothing widens it, and it covers exactly the operations of the plan.

use crate::{Checked, hold};
use cofferdam_core::model::facts::OperationFacts;
use cofferdam_core::model::json::strict_into;
use cofferdam_core::model::limit;
use cofferdam_core::policy::output::{Effect, Output};
use cofferdam_core::stage::judge::read;
use serde_json::json;

/// Operations of the plan that the answer is about.
const OPERATIONS: u32 = 2;

/// Reads the bytes as the answer over a plan of two operations.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    let Ok(answer) = read(text, &operations()) else { return Ok(()) };
    hold(answer.effect != Effect::Deny, || format!("a denial is no denial: {text}"))?;
    hold((1..=limit::PERMIT_SECONDS).contains(&answer.seconds), || {
        format!("a permit for {} seconds: {text}", answer.seconds)
    })?;
    hold((answer.effect == Effect::RequireApproval) == answer.approval.is_some(), || {
        format!("people without a rule: {text}")
    })?;
    let covers = strict_into::<Output>(bytes).map(|output| output.covers).unwrap_or_default();
    let exact = (0..OPERATIONS).all(|index| covers.contains(&index))
        && covers.iter().all(|index| *index < OPERATIONS);
    hold(exact, || format!("not every operation is covered, or more: {text}"))
}

fn operations() -> Vec<OperationFacts> {
    let operation = |index: u32| {
        serde_json::from_value(json!({
            "index": index, "action": "patch", "group": "apps", "version": "v1",
            "kind": "Deployment", "resource": "deployments", "namespace": "shop", "name": "web",
            "fields": [], "changes": [], "destructive": false, "executes_code": false,
            "discloses": false, "removes_field": false, "reversible": true
        }))
    };
    (0..OPERATIONS).filter_map(|index| operation(index).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_has_its_operations() {
        assert_eq!(operations().len(), 2);
    }
}
