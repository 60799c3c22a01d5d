//! The claim token: a random value by which a runner names its claim again after a lost connection.
//! The recorder stores it with the lease. Never a permit: it names a claim, and allows nothing that
//! the lease does not allow.

use super::id::BadName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The digits of a claim token: 128 bits, so that no other runner guesses one.
const DIGITS: usize = 32;

/// A random value of one runner for its claim. Its text is never in a log line.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimToken(String);

impl ClaimToken {
    /// The token of these random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// Any text but 32 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(digit) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadName {
            // The text may be the token of another claim: it is not repeated.
            given: "…".to_owned(),
            kind: "a claim token",
            form: "32 hexadecimal digits in lower case",
        })
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClaimToken {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<ClaimToken> for String {
    fn from(token: ClaimToken) -> Self {
        token.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_token_reads_back_and_is_never_shown() {
        let token = ClaimToken::from_random(0xab);
        assert_eq!(token.as_str(), format!("{}ab", "0".repeat(30)));
        assert_eq!(ClaimToken::parse(token.as_str()), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "ClaimToken(..)");
        for text in ["", "ab", &"A".repeat(32), &"g".repeat(32), &"0".repeat(33)] {
            let refused = ClaimToken::parse(text).unwrap_err();
            assert!(text.is_empty() || !refused.to_string().contains(text), "{refused}");
        }
    }
}
