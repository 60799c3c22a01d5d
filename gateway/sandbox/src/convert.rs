//! Conversion of a guest's values to types of the core. Every value of a guest is untrusted input:
//! each size and form that the WIT names is checked, and a larger value is refused, never cut. The
//! content of a plan is judged in the core.

mod definition;
mod draft;
mod text;

pub(crate) use definition::definition;
pub(crate) use draft::{draft, refusal};
pub(crate) use text::note;

use crate::error::{Code, SandboxError};
use std::fmt::Display;

/// An error in a value of a guest. `place` names the value, such as ``grant 2: `kind` ``.
fn bad(place: impl Display, what: impl Display) -> SandboxError {
    SandboxError::new(Code::Malformed, format!("{place}: {what}"))
}

/// A value exceeds the limit of the WIT.
fn over(place: impl Display, what: impl Display) -> SandboxError {
    SandboxError::new(Code::Output, format!("{place}: {what}"))
}

#[cfg(test)]
mod tests;
