//! Lines and columns of a text, in bytes. A new line gets the line end of its place.

use crate::read::MARK;

/// Where the line of a byte begins; behind a byte order mark in the first one.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    if start == 0 && text.starts_with(MARK) { MARK.len_utf8() } else { start }
}

/// Where the line of a byte ends, before its line end.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

/// Where the next line begins; the text's end behind the last one.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| at + end + 1)
}

/// The column of a byte, from 0.
pub(super) fn column(text: &str, at: usize) -> usize {
    at.saturating_sub(line_start(text, at))
}

/// The line end that a new line at this byte takes: its own line's, else the one of the line
/// before.
pub(super) fn line_break(text: &str, at: usize) -> &'static str {
    let own = text.get(at..).and_then(|rest| rest.find('\n')).map(|end| at + end);
    let before = || text.get(..at).and_then(|before| before.rfind('\n'));
    let Some(end) = own.or_else(before) else { return "\n" };
    if end > 0 && text.as_bytes().get(end - 1) == Some(&b'\r') { "\r\n" } else { "\n" }
}

/// A string of this many spaces.
pub(super) fn spaces(count: usize) -> String {
    " ".repeat(count)
}
