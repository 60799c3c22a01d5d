//! Field paths: only the one canonical spelling is read, and it covers itself.

use crate::{Broken, Checked, hold};
use cofferdam_core::model::path::FieldPath;

/// Reads the bytes as a path.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    let Ok(path) = FieldPath::parse(text) else { return Ok(()) };
    hold(path.to_string() == text, || format!("`{text}` is spelled `{path}`"))?;
    let again = FieldPath::of(path.segments().to_vec())
        .map_err(|fault| Broken(format!("`{text}` cannot be built of its segments: {fault}")))?;
    hold(again == path, || format!("`{text}` is another path when built of its segments"))?;
    hold(path.covers(&path) && path.overlaps(&path), || format!("`{text}` does not cover itself"))
}
