//! Request heads of HTTP: one verdict, however the bytes arrive. The
//! reader is private to the edge, which has the check.

use crate::{Broken, Checked};

/// Gives the bytes to the reader.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    cofferdam_edge::oracle::head(bytes).map_err(Broken)
}
