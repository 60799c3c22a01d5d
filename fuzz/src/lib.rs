//! Oracles for the ten places where hostile bytes are read. Each takes any bytes, and fails if the
//! reader breaks a promise: it panics, takes two spellings of one meaning, or reads what it would
//! write in another way. Starts no process, and reads no file.
//!
//! ```
//! assert_eq!(cofferdam_fuzz::path::check(b"spec.replicas"), Ok(()));
//! ```

pub mod directory;
pub mod frame;
pub mod head;
pub mod json;
pub mod ledger;
pub mod path;
pub mod policy;
pub mod request_state;
pub mod signature;
pub mod token;

/// A promise that a reader broke, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

/// The answer of an oracle.
pub type Checked = Result<(), Broken>;

/// An oracle.
pub type Oracle = fn(&[u8]) -> Checked;

/// Every oracle, with the name of its fuzz target and of its corpus.
pub const ORACLES: [(&str, Oracle); 10] = [
    ("json", json::check),
    ("path", path::check),
    ("directory", directory::check),
    ("policy", policy::check),
    ("frame", frame::check),
    ("signature", signature::check),
    ("ledger", ledger::check),
    ("token", token::check),
    ("head", head::check),
    ("request_state", request_state::check),
];

/// Fails with these words unless the promise is kept.
fn hold(kept: bool, words: impl FnOnce() -> String) -> Checked {
    if kept { Ok(()) } else { Err(Broken(words())) }
}
