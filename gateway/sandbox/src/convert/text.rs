//! Texts and names of guests: sizes, forms, and characters that a reader would not see. Never
//! changes a text.

use super::{bad, over};
use crate::error::SandboxError;
use crate::limit;
use cofferdam_core::model::escape::unseen;
use cofferdam_core::model::json::strict;
use serde_json::Value;

/// Longest name in a plan, in characters: Kubernetes allows a DNS subdomain (RFC 1123) this length.
const NAME: usize = 253;

/// Longest field path, in characters: no manifest has a deeper field.
const PATH: usize = 512;

/// A text for people: one to `most` characters, none of them invisible.
pub(super) fn shown(place: &str, text: String, most: usize) -> Result<String, SandboxError> {
    if text.trim().is_empty() {
        return Err(bad(place, "it is empty"));
    }
    let count = text.chars().count();
    if count > most {
        return Err(over(
            place,
            format_args!("it has {count} characters, at most {most} are taken"),
        ));
    }
    match unseen(&text) {
        Some(character) => Err(bad(
            place,
            format_args!("the character U+{:04X} cannot be seen; remove it", u32::from(character)),
        )),
        None => Ok(text),
    }
}

/// A name or a part of one: printable and short. The core judges its meaning.
pub(super) fn name(place: &str, text: String) -> Result<String, SandboxError> {
    shown(place, text, NAME)
}

/// A name that may be empty: the core API group.
pub(super) fn group(place: &str, text: String) -> Result<String, SandboxError> {
    if text.is_empty() { Ok(text) } else { name(place, text) }
}

/// Converts a list of field paths.
pub(super) fn paths(place: &str, list: Vec<String>) -> Result<Vec<String>, SandboxError> {
    list.into_iter().map(|text| path(place, text)).collect()
}

/// Converts one field path.
pub(super) fn path(place: &str, text: String) -> Result<String, SandboxError> {
    shown(place, text, PATH)
}

/// Reads JSON text strictly.
pub(super) fn json(place: &str, text: &str, most: usize) -> Result<Value, SandboxError> {
    if text.len() > most {
        return Err(over(
            place,
            format_args!("it has {} bytes, at most {most} are taken", text.len()),
        ));
    }
    strict(text.as_bytes())
        .map_err(|error| bad(place, format_args!("it is not strict JSON: {error}")))
}

/// A text of an executor: limited, and shown in quotes.
pub(crate) fn note(place: &str, text: String) -> Result<String, SandboxError> {
    if text.is_empty() { Ok(text) } else { shown(place, text, limit::NOTE) }
}
