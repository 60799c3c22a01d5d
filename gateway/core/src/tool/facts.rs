//! The facts of a tool that follow from its ceiling, for policy and agents: computed by the host,
//! never claimed by the tool.

use crate::model::ceiling::Ceiling;
use crate::model::facts::{Resource, ToolFacts};
use crate::model::operation::Action;
use crate::model::trust::TrustedTool;

/// The facts of an accepted tool, from the ceiling as it was accepted.
pub fn facts(tool: &TrustedTool) -> ToolFacts {
    let grants = &tool.ceiling.grants;
    ToolFacts {
        version: tool.version.clone(),
        digest: tool.digest,
        grants: grants.clone(),
        actions: once(grants.iter().map(|grant| grant.action)),
        kinds: once(grants.iter().map(|grant| grant.kind.clone())),
        namespaces: once(grants.iter().flat_map(|grant| grant.namespaces.iter().cloned())),
        read_only: read_only(&tool.ceiling),
        destructive: destructive(&tool.ceiling),
    }
}

/// The tool as AuthZEN's resource.
pub fn resource(tool: &TrustedTool) -> Resource {
    Resource { kind: "tool".to_owned(), id: tool.name.clone(), properties: facts(tool) }
}

/// True if plans under this ceiling only read.
pub fn read_only(ceiling: &Ceiling) -> bool {
    ceiling.grants.iter().all(|grant| grant.action.reads())
}

/// True if a plan under this ceiling could remove what undoing it would not bring back: an object
/// with its identity and all it owned. A changed or removed field is in the record with its value
/// before, and `removes_field` says of each operation whether it does that.
pub fn destructive(ceiling: &Ceiling) -> bool {
    ceiling.grants.iter().any(|grant| grant.action == Action::Delete)
}

/// True if the same call again has no further effect, as far as a ceiling can tell: a patch may
/// carry a time that the runner fills in.
pub fn idempotent(ceiling: &Ceiling) -> bool {
    ceiling.grants.iter().all(|grant| grant.action.reads() || grant.action == Action::Delete)
}

/// Each once, in order.
fn once<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
