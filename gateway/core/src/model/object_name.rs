//! The name of an object as people write it: `deployment/shop/web`. For lists and filters of calls
//! alone. No plan, ceiling or policy uses this form.

use super::id::BadName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most characters: a kind, a namespace and a name of the longest form.
const LONGEST: usize = 63 + 1 + 63 + 1 + 253;

/// An object by kind, namespace and name; the kind in lower case, without its API group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

impl ObjectName {
    /// The object of an operation; `None` for a list, which names no object.
    pub fn of(kind: &str, namespace: &str, name: &str) -> Option<Self> {
        Self::parse(&format!("{kind}/{namespace}/{name}")).ok()
    }

    /// Parses `KIND/NAMESPACE/NAME`.
    ///
    /// # Errors
    /// A text with more or fewer parts, an empty part, or characters that no object's name has.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let bad = || BadName {
            given: text.chars().take(64).collect(),
            kind: "the name of an object",
            form: "KIND/NAMESPACE/NAME, such as `deployment/shop/web`",
        };
        let plain = |part: &str| {
            let valid = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':')
            };
            !part.is_empty() && part.bytes().all(valid)
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [kind, namespace, name]
                if text.len() <= LONGEST
                    && [kind, namespace, name].iter().all(|part| plain(part)) =>
            {
                Ok(Self(format!("{}/{namespace}/{name}", kind.to_ascii_lowercase())))
            }
            _ => Err(bad()),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ObjectName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_read_in_any_case() {
        for text in ["deployment/shop/web", "Deployment/shop/web", "DEPLOYMENT/shop/web"] {
            assert_eq!(ObjectName::parse(text).unwrap().as_str(), "deployment/shop/web");
        }
        assert_eq!(ObjectName::of("Deployment", "shop", ""), None);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "web", "shop/web", "deployment//web", "a/b/c/d", "a/b/c d", "a/b/ü"] {
            assert!(ObjectName::parse(text).is_err(), "{text}");
        }
        assert!(ObjectName::parse(&format!("a/b/{}", "c".repeat(LONGEST))).is_err());
    }
}
