//! Field paths: how tools, ceilings, previews and rights name one field of an object. Parsed once,
//! spelled one way only, so that two paths are the same exactly when their texts are. Never touches
//! a document's text; the runner edits files, this edits values.

mod parse;
#[cfg(test)]
mod tests;
mod value;

use crate::model::near;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Bytes of a path's text, at most. The longest annotation key has 317 characters, and the deepest
/// path in use is far shorter than the rest.
pub const PATH: usize = 512;

/// Segments of a path.
pub const SEGMENTS: usize = 24;

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A key of a map: `replicas`, `["example.com/owner"]`.
    Key(String),
    /// The one member of a list whose merge key has this value: `[name=web]`.
    Member {
        /// The merge key: `name`.
        key: String,
        /// Its value: `web`.
        value: String,
    },
    /// Every member of a list: `[*]`. In ceilings, and in the fields that a read shows.
    AnyMember,
    /// Any key of a map: `*`. In ceilings alone.
    AnyKey,
}

/// A parsed path of a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(Vec<Segment>);

/// A text that is not a path, or a path that does not fit an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text is empty, too long, or too deep.
    #[error(
        "the path `{0}` is empty or too long; a path has 1 to {SEGMENTS} segments and at most \
         {PATH} bytes"
    )]
    Size(String),
    /// The text does not have the form of a path.
    #[error(
        "the path `{path}` is not readable at byte {at}; write keys as `spec.replicas`, \
         `data[\"a.b\"]` and list members as `[name=web]`"
    )]
    Form {
        /// The text as it was given.
        path: String,
        /// The byte at which the error is.
        at: usize,
    },
    /// Another spelling of a path: one meaning has one digest.
    #[error("the path `{given}` is spelled another way; write `{canonical}`")]
    Spelling {
        /// The text as it was given.
        given: String,
        /// The one spelling of the path.
        canonical: String,
    },
    /// A step that has no spelling.
    #[error(
        "the path `{0}` has no spelling; a list member that a path names has letters, digits and \
         `-_./:` in its name"
    )]
    Unspelled(String),
    /// A wildcard where one field is needed.
    #[error(
        "the path `{0}` names more than one field; `*` and `[*]` are for ceilings, and `[*]` for \
         the fields a look shows"
    )]
    Wildcard(String),
    /// The object has a value of another sort there.
    #[error("the path `{path}` does not fit the object: `{segment}` is not {wanted}")]
    Misfit {
        /// The path as it was given.
        path: String,
        /// The segment that does not fit.
        segment: String,
        /// The sort of value that the segment needs.
        wanted: &'static str,
    },
    /// Two list members with the same merge key.
    #[error("the path `{path}` is ambiguous: more than one member is `{segment}`")]
    Ambiguous {
        /// The path as it was given.
        path: String,
        /// The segment that does not fit.
        segment: String,
    },
    /// The list has no member of this name.
    #[error("the path `{}` finds no member `{}`; the list has {}", .0.path, .0.segment, those(&.0.there))]
    NoMember(Box<NoMember>),
    /// The change would rename the member that the path names.
    #[error("the path `{0}` would change the merge key it finds the member by")]
    MergeKey(String),
}

/// A missing list member, with the members that the list has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMember {
    /// The path as it was given.
    path: String,
    /// The segment that does not fit.
    segment: String,
    /// The name of the list: `containers`.
    list: String,
    /// The merge key's value that was asked for.
    wanted: String,
    /// The members of the list.
    there: Vec<String>,
}

fn those(names: &[String]) -> String {
    match near::listed(names.iter().map(String::as_str)) {
        list if list.is_empty() => "none".to_owned(),
        list => list,
    }
}

impl PathError {
    /// The same said of an object by its name: `` web has no container `app`; it has `web` and
    /// `metrics` ``.
    pub fn about(&self, object: &str) -> String {
        let Self::NoMember(absent) = self else { return self.to_string() };
        let NoMember { list, wanted, there, .. } = &**absent;
        let one = list.strip_suffix('s').unwrap_or(list);
        format!("{object} has no {one} `{wanted}`; it has {}", those(there))
    }
}

impl FieldPath {
    /// Reads a path. Only the one canonical spelling is read.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let path = Self(parse::segments(text)?);
        let canonical = path.to_string();
        if canonical == text {
            Ok(path)
        } else {
            Err(PathError::Spelling { given: text.to_owned(), canonical })
        }
    }

    /// The path of these steps. Refuses steps that have no spelling, such as a member whose value
    /// is no name: spelled out, it would be read as other steps.
    pub fn of(segments: Vec<Segment>) -> Result<Self, PathError> {
        let path = Self(segments);
        let text = path.to_string();
        match Self::parse(&text) {
            Ok(read) if read == path => Ok(path),
            Err(size @ PathError::Size(_)) => Err(size),
            Ok(_) | Err(_) => Err(PathError::Unspelled(crate::model::escape::line(&text))),
        }
    }

    /// Its steps, at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// True if it names one field: no wildcard in it.
    pub fn is_exact(&self) -> bool {
        !self.0.iter().any(|segment| matches!(segment, Segment::AnyKey | Segment::AnyMember))
    }

    /// True if the path has a `*`, which only ceilings may have.
    pub fn has_any_key(&self) -> bool {
        self.0.contains(&Segment::AnyKey)
    }

    /// True if this ceiling path permits `path`: as many segments, each the same or covered by its
    /// wildcard. A path never covers what lies beneath it, so a ceiling says exactly how deep a
    /// plan may reach.
    pub fn covers(&self, path: &Self) -> bool {
        self.0.len() == path.0.len()
            && self.0.iter().zip(&path.0).all(|(pattern, segment)| match pattern {
                Segment::AnyKey => matches!(segment, Segment::Key(_) | Segment::AnyKey),
                Segment::AnyMember => {
                    matches!(segment, Segment::Member { .. } | Segment::AnyMember)
                }
                same => same == segment,
            })
    }

    /// True if one of the two lies at or beneath the other, so that changing both would be in
    /// doubt.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    /// True if it begins with these keys.
    pub fn starts_with(&self, keys: &[&str]) -> bool {
        self.0.len() >= keys.len()
            && self
                .0
                .iter()
                .zip(keys)
                .all(|(segment, key)| matches!(segment, Segment::Key(name) if name == key))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) if parse::is_plain(key) => f.write_str(key),
            Self::Key(key) => write!(f, "[{}]", Value::from(key.as_str())),
            Self::Member { key, value } => write!(f, "[{key}={value}]"),
            Self::AnyMember => f.write_str("[*]"),
            Self::AnyKey => f.write_str("*"),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, segment)| {
            let text = segment.to_string();
            if index > 0 && !text.starts_with('[') {
                f.write_str(".")?;
            }
            f.write_str(&text)
        })
    }
}

impl TryFrom<String> for FieldPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}
