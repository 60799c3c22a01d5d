//! States that clients carry (`requestState`): none opens but the sealed one. The
//! reader is private to the edge, which has the check.

use crate::{Broken, Checked};

/// Gives the bytes to the reader.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    cofferdam_edge::oracle::request_state(bytes).map_err(Broken)
}

/// The state that opens, for the corpus.
pub fn good() -> String {
    cofferdam_edge::oracle::good_request_state().unwrap_or_default()
}
