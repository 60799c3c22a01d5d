//! The floor: the operations that need a signature whatever policy says. Never lowers a demand of
//! policy.

use crate::model::facts::OperationFacts;
use crate::model::reason::{Audience, Reason};
use crate::model::trust::Floor;

/// The reason for which the floor needs a person; `None` where it needs none.
pub(super) fn reached(
    facts: &[OperationFacts],
    floor: &Floor,
    subject_kind: &str,
) -> Option<Reason> {
    let mut changes = facts.iter().filter(|fact| !fact.action.reads()).peekable();
    changes.peek()?;
    let reason = |message: String| Reason {
        id: "floor".to_owned(),
        message,
        remedy: "a person with an enrolled key has to approve it".to_owned(),
        audience: Audience::User,
    };
    // Anything but a known agent counts as anonymous.
    if subject_kind != "agent" {
        return Some(reason("the caller has no token, so every change needs approval".to_owned()));
    }
    changes.find_map(|fact| {
        let place = floor.namespaces.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => fact.namespace.starts_with(prefix),
            None => *pattern == fact.namespace,
        });
        if floor.actions.contains(&fact.action) {
            Some(reason(format!("the trust file wants a person for every {}", fact.action)))
        } else {
            place.then(|| {
                reason(format!(
                    "the trust file wants a person for every change in {}",
                    fact.namespace
                ))
            })
        }
    })
}
