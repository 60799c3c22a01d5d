//! Block scalars (`|`, `>`): a new text takes over indentation, indicator and line ends, so that a
//! diff shows only the lines that differ.

use super::lines::{line_break, next_line, spaces};
use super::{Source, Splice, scalar};
use crate::read::Node;
use saphyr_parser::ScalarStyle;
use serde_json::Value;

/// Returns whether a string can be a literal block: several lines, at most one line break at the
/// end, and no character that needs an escape or an indicator.
pub(super) fn is_literal(string: &str) -> bool {
    string.contains('\n') && !string.starts_with([' ', '\t', '\n']) && is_content(string)
}

/// Returns whether a string can be a block with at most one line break at its end.
fn is_content(string: &str) -> bool {
    !string.ends_with("\n\n")
        && string != "\n"
        && !string.is_empty()
        && string
            .chars()
            .all(|character| matches!(character, '\n' | '\t') || scalar::is_printable(character))
}

/// A block scalar as it is written.
struct Block<'a> {
    /// Behind the indicators: white space, a comment.
    comment: &'a str,
    /// `|` or `>`.
    indicator: char,
    /// The digit that says how far its text is indented.
    digit: Option<usize>,
    /// Its lines with their line ends; the last one without.
    lines: Vec<&'a str>,
}

impl<'a> Block<'a> {
    fn of(text: &'a str, node: &Node) -> Option<Self> {
        let written = text.get(node.span.clone())?;
        let (header, body) = written.split_once('\n').unwrap_or((written, ""));
        let mut rest = header.chars();
        let indicator = rest.next().filter(|first| matches!(first, '|' | '>'))?;
        let comment = rest.as_str().trim_start_matches(|character: char| {
            matches!(character, '+' | '-') || character.is_ascii_digit()
        });
        let digit = header
            .get(..header.len() - comment.len())?
            .chars()
            .find_map(|character| character.to_digit(10));
        let comment = comment.strip_suffix('\r').unwrap_or(comment);
        Some(Self {
            comment,
            indicator,
            digit: digit.map(|digit| digit as usize),
            lines: body.split_inclusive('\n').collect(),
        })
    }

    /// How far its text is indented; none where it has no text.
    fn indent(&self, parent: usize) -> Option<usize> {
        let first = self.lines.iter().find(|line| !line.trim().is_empty())?;
        let written = first.len() - first.trim_start_matches(' ').len();
        Some(self.digit.map_or(written, |digit| parent + digit)).filter(|indent| *indent > 0)
    }
}

/// Replaces a block scalar's text, or the whole by a scalar of one line. `parent` is the column of
/// the key or dash that it belongs to.
pub(super) fn replace(
    source: Source<'_>,
    node: &Node,
    style: ScalarStyle,
    value: &Value,
    parent: usize,
) -> Option<Splice> {
    if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
        return None;
    }
    let block = Block::of(source.text, node)?;
    let inline = match value {
        Value::String(string) => {
            match block.indent(parent).and_then(|indent| text(source, node, &block, string, indent))
            {
                Some(text) => return Splice::new(node.span.clone(), text),
                None => scalar::double_quoted(string),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => return None,
    };
    Splice::new(node.span.clone(), format!("{inline}{}", block.comment.trim_end()))
}

/// The block with another text; none where the text cannot be a block of this style.
fn text(
    source: Source<'_>,
    node: &Node,
    block: &Block<'_>,
    string: &str,
    indent: usize,
) -> Option<String> {
    let content = string.strip_suffix('\n').unwrap_or(string);
    let fits = match block.indicator {
        // A folded line break is a space: a text of one line has none.
        '>' => {
            !content.contains('\n')
                && !content.starts_with([' ', '\t'])
                && !content.ends_with([' ', '\t'])
        }
        _ => {
            string.contains('\n')
                && (block.digit.is_some() || !string.starts_with([' ', '\t', '\n']))
        }
    };
    if !fits || !is_content(string) {
        return None;
    }
    let digit = block.digit.map(|digit| digit.to_string()).unwrap_or_default();
    let chomp = if string.ends_with('\n') { "" } else { "-" };
    let line = line_break(source.text, node.span.start);
    let end = |text: &str| if text.ends_with("\r\n") { "\r\n" } else { "\n" };
    let new: Vec<&str> = content.split('\n').collect();
    let old = |at: usize| block.lines.get(at).copied();
    let is_old = |written: &str, meant: &str| {
        let written = written.trim_end_matches(['\n', '\r']);
        let within = written.get(indent..).unwrap_or_default();
        within == meant
            && written.len() - within.len() <= indent
            && written.bytes().take(indent).all(|byte| byte == b' ')
    };
    let same_start = new
        .iter()
        .enumerate()
        .take_while(|(at, meant)| old(*at).is_some_and(|written| is_old(written, meant)))
        .count();
    let most = block.lines.len().min(new.len()) - same_start;
    let same_end = (0..most)
        .take_while(|back| {
            let (written, meant) =
                (block.lines.iter().rev().nth(*back), new.iter().rev().nth(*back));
            written.zip(meant).is_some_and(|(written, meant)| is_old(written, meant))
        })
        .count();
    let mut written = format!("{}{digit}{chomp}{}{line}", block.indicator, block.comment);
    for (at, meant) in new.iter().enumerate() {
        let last = at + 1 == new.len();
        let kept = if at < same_start {
            old(at)
        } else if at + same_end >= new.len() {
            old(block.lines.len() + at - new.len())
        } else {
            None
        };
        match kept {
            Some(kept) if last => written.push_str(kept.trim_end_matches(['\n', '\r'])),
            Some(kept) if kept.ends_with('\n') => written.push_str(kept),
            _ => {
                let own = old(at).filter(|line| line.ends_with('\n')).map_or(line, end);
                if !meant.is_empty() {
                    written.push_str(&spaces(indent));
                    written.push_str(meant);
                }
                if !last {
                    written.push_str(own);
                }
            }
        }
    }
    // Without a line end behind it, the last line of the file would lose the one of its text.
    if string.ends_with('\n')
        && next_line(source.text, node.span.end) == source.text.len()
        && !source.text.ends_with('\n')
    {
        written.push_str(line);
    }
    Some(written)
}
