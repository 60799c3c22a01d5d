//! A guest's words to the core's types. Everything a guest returns is foreign input: each size and
//! form that the WIT names is checked here, and refused beyond it, never cut. What a plan may
//! contain is not judged here.

mod definition;
mod draft;
mod text;

pub(crate) use definition::definition;
pub(crate) use draft::{draft, refusal};
pub(crate) use text::note;

use crate::error::{Code, SandboxError};
use std::fmt::Display;

/// A fault in what a guest said; `place` is where, such as ``grant 2: `kind` ``.
fn bad(place: impl Display, what: impl Display) -> SandboxError {
    SandboxError::new(Code::Malformed, format!("{place}: {what}"))
}

/// More than the WIT allows.
fn over(place: impl Display, what: impl Display) -> SandboxError {
    SandboxError::new(Code::Output, format!("{place}: {what}"))
}

#[cfg(test)]
mod tests;
