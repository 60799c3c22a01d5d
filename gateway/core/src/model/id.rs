//! Ids and digests: one newtype for each, so that two of them cannot be swapped by mistake.
//! Never generates randomness itself.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A name that does not have the form its kind requires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {kind}: {form}")]
pub struct BadName {
    /// The name as it was given.
    pub given: String,
    /// The kind of name that is needed.
    pub kind: &'static str,
    /// The form that kind requires.
    pub form: &'static str,
}

/// One id per call: it names the call's decision, approval, job, task and proof. 26 lower-case
/// base-32 characters, 128 random bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(String);

/// RFC 4648 base 32 in lower case: valid in DNS labels, and no character is taken for another when
/// read aloud in full.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl CallId {
    /// Length of the text form.
    pub const LENGTH: usize = 26;

    /// Makes an id of 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        let mut rest = bits;
        let text = (0..Self::LENGTH)
            .map(|_| {
                let digit = usize::try_from(rest & 31).unwrap_or_default();
                rest >>= 5;
                char::from(ALPHABET.get(digit).copied().unwrap_or(b'a'))
            })
            .collect();
        Self(text)
    }

    /// Parses the text form.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let valid = text.len() == Self::LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName {
                given: text.chars().take(64).collect(),
                kind: "a call id",
                form: "26 characters of a-z and 2-7",
            })
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CallId {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lease epoch of a job, a fencing token: it grows at every claim, and every write of a runner
/// names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! digests {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// SHA-256 of these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }

            /// The 32 bytes of the digest.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Parses `sha256:` and 64 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                parse_digest(text).map(Self)
            }

            /// The first twelve hexadecimal digits, for people.
            pub fn short(&self) -> String {
                hex(&self.0).chars().take(12).collect()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> Self {
                digest.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "sha256:{}", hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

digests! {
    /// Digest of a sealed plan's canonical bytes: the same request gives the same digest, for every
    /// caller and at any time.
    PlanDigest
    /// Digest of a preview's canonical bytes: approval and permit are bound to it besides the plan.
    PreviewDigest
    /// Digest of a component as its author built it.
    ComponentDigest
    /// Digest of a policy: its module, its data and its entry points.
    PolicyDigest
    /// Digest of canonical arguments.
    ArgumentsDigest
    /// Digest of an approval statement's canonical bytes.
    StatementDigest
    /// Digest of the text that an approver was shown.
    ShownDigest
    /// Digest of one object without status and managed fields, so that a heartbeat is no
    /// difference.
    ObjectDigest
    /// Digest of a trust file.
    TrustDigest
    /// Digest of a bearer token; the token itself is never stored.
    TokenDigest
}

/// The bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The bytes of lower-case hexadecimal digits. Returns `None` for any other text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER.decode(text.as_bytes()).ok()
}

fn parse_digest(text: &str) -> Result<[u8; 32], BadName> {
    let bad = || BadName {
        given: text.chars().take(80).collect(),
        kind: "a digest",
        form: "`sha256:` and 64 lower-case hexadecimal digits",
    };
    let digits = text.strip_prefix("sha256:").ok_or_else(bad)?;
    unhex(digits).and_then(|bytes| bytes.try_into().ok()).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_digests_read_back() {
        let id = CallId::from_random(u128::MAX);
        assert_eq!(CallId::parse(id.as_str()), Ok(id));
        assert!(CallId::parse("short").is_err());
        let digest = PlanDigest::of(b"plan");
        assert_eq!(PlanDigest::parse(&digest.to_string()), Ok(digest));
        assert!(PlanDigest::parse("sha256:AB").is_err());
        assert_eq!(unhex(&hex(&[0, 127, 255])), Some(vec![0, 127, 255]));
        for text in ["0", "AB", "0g", "+1", " 0", "é"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }
}
