//! The output schema of all tools that change something. The host makes the result, so that this
//! schema must match the host.

/// JSON Schema of the result of a change: the outcome of the call, and the effect of each
/// operation. Pass it to [`Definition::output`](super::Definition::output).
pub const CHANGE_OUTPUT: &str = include_str!("change.schema.json");
