//! The reader of field paths: one pass, no backtracking. Never accepts what it cannot spell back.

use super::{PATH, PathError, SEGMENTS, Segment};

/// True if a key needs no quotes: a letter or `_`, then letters, digits, `_` and `-`.
pub(super) fn is_plain(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '-'))
}

/// Characters a member's value may have without quotes: names, ports, mount paths and addresses.
fn is_member_value(value: &str) -> bool {
    !value.is_empty()
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':'))
}

/// Cuts a text into segments.
pub(super) fn segments(text: &str) -> Result<Vec<Segment>, PathError> {
    if text.is_empty() || text.len() > PATH {
        return Err(PathError::Size(text.chars().take(80).collect()));
    }
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let bad = || PathError::Form { path: text.to_owned(), at: text.len() - rest.len() };
        let (segment, after) = match rest.strip_prefix('[') {
            Some(inner) => bracket(inner).ok_or_else(bad)?,
            None if found.is_empty() => name(rest).ok_or_else(bad)?,
            None => rest.strip_prefix('.').and_then(name).ok_or_else(bad)?,
        };
        found.push(segment);
        rest = after;
    }
    if found.len() > SEGMENTS {
        Err(PathError::Size(text.chars().take(80).collect()))
    } else {
        Ok(found)
    }
}

fn name(rest: &str) -> Option<(Segment, &str)> {
    let (word, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
    match word {
        "*" => Some((Segment::AnyKey, after)),
        plain if is_plain(plain) => Some((Segment::Key(plain.to_owned()), after)),
        _ => None,
    }
}

fn bracket(inner: &str) -> Option<(Segment, &str)> {
    if let Some(after) = inner.strip_prefix("*]") {
        return Some((Segment::AnyMember, after));
    }
    if inner.starts_with('"') {
        // The JSON reader finds the closing quote; what it does not consume follows.
        let mut strings = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let key = strings.next()?.ok()?;
        let after = inner.get(strings.byte_offset()..)?.strip_prefix(']')?;
        return Some((Segment::Key(key), after));
    }
    let (member, after) = inner.split_once(']')?;
    let (key, value) = member.split_once('=')?;
    (is_plain(key) && is_member_value(value))
        .then(|| (Segment::Member { key: key.to_owned(), value: value.to_owned() }, after))
}
