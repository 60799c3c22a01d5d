//! The rest of an object, besides the fields that a plan names: kept beside a preview, so that a
//! change elsewhere can be named with field and values. Policy never reads it, and it is never
//! shown by itself.

use crate::model::escape::line;
use crate::model::id::ObjectDigest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Fields that are kept of one object, at most. A larger object is compared as a whole: a change of
/// it is reported without a field.
pub const REST: usize = 512;

/// Characters of a value that is kept as it is: what a person reads in one line.
const WHOLE: usize = 80;

/// Characters that are kept of a longer value, before its size and digest.
const HEAD: usize = 32;

/// Hexadecimal digits of that digest: enough to distinguish two values of one field.
const DIGITS: usize = 12;

/// The last writer of a field, or the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The field manager in a cluster, by the name that it gave.
    Manager(String),
    /// File and line in a tree: `shop/web.yaml:12`.
    Line(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(name) => write!(f, "by `{}`", line(name)),
            Self::Line(place) => write!(f, "at `{}`", line(place)),
        }
    }
}

/// The rest of one object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Field path → value; a long value by its beginning, size and digest. `None` for an object
    /// with more than [`REST`] fields, and for one that was not read.
    pub fields: Option<BTreeMap<String, Value>>,
    /// Field path → origin, for the plan's own fields too. No part of what is approved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<String, Origin>,
}

impl Rest {
    /// True if nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.fields.is_none() && self.origins.is_empty()
    }
}

/// A value as it is kept: two values that differ are kept differently.
pub fn kept(value: &Value) -> Value {
    let text = value.to_string();
    if text.chars().count() <= WHOLE {
        return value.clone();
    }
    let bytes = value.as_str().map_or(text.len(), str::len);
    let head: String = value.as_str().unwrap_or(&text).chars().take(HEAD).collect();
    let digest = crate::model::id::hex(ObjectDigest::of(text.as_bytes()).as_bytes());
    Value::String(format!(
        "{head}… ({bytes} bytes, sha256 {})",
        digest.get(..DIGITS).unwrap_or(&digest)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_values_keep_their_difference() {
        assert_eq!(kept(&json!("short")), json!("short"));
        let long = |end: &str| json!("x".repeat(200) + end);
        let (a, b) = (kept(&long("a")), kept(&long("b")));
        assert_ne!(a, b);
        assert!(
            a.as_str().unwrap().starts_with(&("x".repeat(HEAD) + "… (201 bytes, sha256 ")),
            "{a}"
        );
        assert_ne!(kept(&json!(["x".repeat(200)])), kept(&json!(["y".repeat(200)])));
    }
}
