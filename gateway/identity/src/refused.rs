//! The refusal of a token: one word for its sender, and a sentence for operators. The sentence never
//! contains a token, a proof or a claim's value.

use cofferdam_core::model::access::TokenRefusal;
use std::fmt;

/// A refused token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The refusal, as the sender reads it.
    pub shown: TokenRefusal,
    /// The cause for the log, with the remedy if the operator has one.
    pub cause: String,
    /// True if the issuer may have a new key that fits. The caller may fetch the keys again.
    pub unknown_key: bool,
}

impl Refused {
    pub(crate) fn new(shown: TokenRefusal, cause: impl Into<String>) -> Self {
        Self { shown, cause: cause.into(), unknown_key: false }
    }

    pub(crate) fn unknown(cause: impl Into<String>) -> Self {
        Self::new(TokenRefusal::Unknown, cause)
    }

    pub(crate) fn unfit(cause: impl Into<String>) -> Self {
        Self::new(TokenRefusal::Unfit, cause)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Refused {}
