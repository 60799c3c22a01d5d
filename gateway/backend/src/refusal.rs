//! The reason why an object cannot be read or changed, as text for the agent, with the remedy.
//! Shared by every backend; never an error report for an operator.

use cofferdam_core::protocol::gateway_viewer::ReadResponse;

/// A look or a change that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Stable code, as in [`ReadResponse::Refused`].
    pub code: &'static str,
    /// The reason, as one sentence.
    pub reason: String,
    /// The remedy for the agent.
    pub remedy: String,
}

impl Refusal {
    /// With a code, a reason and a remedy.
    pub fn new(code: &'static str, reason: impl Into<String>, remedy: &str) -> Self {
        Self { code, reason: reason.into(), remedy: remedy.to_owned() }
    }
}

impl From<Refusal> for ReadResponse {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: refusal.code.to_owned(),
            reason: refusal.reason,
            remedy: refusal.remedy,
        }
    }
}
