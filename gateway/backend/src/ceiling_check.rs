//! The bound of a viewer's reads: the ceiling in its own trust file, whatever the gateway requests.
//! Shared by every backend; reads nothing itself.

use crate::refusal::Refusal;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Draft, Step};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::stage::plan::plan;

/// Checks that the role's own trust file accepts the tool, and the ceiling of the tool accepts
/// every operation. A refusal has the code `beyond-ceiling`.
pub fn check_ceiling(
    trust: &Trust,
    tool: &str,
    digest: ComponentDigest,
    operations: &[Step],
) -> Result<(), Refusal> {
    let beyond = |reason: String| {
        Refusal::new(
            "beyond-ceiling",
            reason,
            "an operator accepts the tool for the viewer with `cofferdam accept`",
        )
    };
    let accepted = trust.tool(tool).filter(|accepted| accepted.digest == digest);
    let accepted = accepted.ok_or_else(|| {
        beyond(format!("the viewer's trust file does not accept this component of `{tool}`"))
    })?;
    // The viewer has no use for the executor; any executor of the ceiling completes the draft.
    let changes = operations.iter().any(|step| !step.operation.action().reads());
    let executor = trust
        .executors
        .iter()
        .map(|executor| &executor.name)
        .find(|name| accepted.ceiling.executors.contains(name));
    let executor = executor.filter(|_| changes).cloned();
    let draft = Draft { summary: "look".to_owned(), executor, operations: operations.to_vec() };
    plan(draft, accepted, trust).map(drop).map_err(|error| beyond(error.to_string()))
}
