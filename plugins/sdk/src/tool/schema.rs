//! The result schema that every tool that changes things shares, because the host shapes the
//! result. Say nothing here that the host does not do.

/// JSON Schema of the result of a change: what became of the call, and what each operation changed.
/// Pass it to [`Definition::output`](super::Definition::output).
pub const CHANGE_OUTPUT: &str = include_str!("change.schema.json");
