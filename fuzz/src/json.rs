//! Strict JSON at the border: what is read has one canonical text, which reads back as itself.

use crate::{Broken, Checked, hold};
use cofferdam_core::model::json::{DEPTH, canonical, strict};
use serde_json::Value;

/// Reads the bytes strictly.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let Ok(value) = strict(bytes) else { return Ok(()) };
    hold(depth(&value) <= DEPTH, || format!("deeper than {DEPTH}: {value}"))?;
    hold(serde_json::from_slice::<Value>(bytes).is_ok(), || {
        format!("serde_json refuses what is read as {value}")
    })?;
    let text = canonical(&value)
        .map_err(|fault| Broken(format!("no canonical text of {value}: {fault}")))?;
    let again = strict(text.as_bytes())
        .map_err(|fault| Broken(format!("its canonical text is refused: {fault}: {text}")))?;
    let second = canonical(&again)
        .map_err(|fault| Broken(format!("no canonical text of {again}: {fault}")))?;
    hold(text == second, || format!("two canonical texts: {text} and {second}"))
}

/// Levels of lists and objects above the deepest value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(depth).max().map_or(0, |most| most + 1),
        Value::Object(members) => members.values().map(depth).max().map_or(0, |most| most + 1),
        _ => 0,
    }
}
