//! Block scalars (`|`): a new text takes the old one's indentation, so that a diff shows the lines that differ. Never touches a folded one (`>`),
//! whose line breaks mean something else.

use crate::directory::read::Node;
use saphyr_parser::ScalarStyle;
use serde_json::Value;

/// Whether a string can be a literal block: several lines, one line break at its end or none, and nothing that needs an escape or an indicator.
pub(super) fn is_literal(string: &str) -> bool {
    string.contains('\n')
        && !string.starts_with([' ', '\t', '\n'])
        && !string.ends_with("\n\n")
        && string.chars().all(|character| {
            character == '\n' || character == '\t' || !(character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}'))
        })
}

/// Replaces a block scalar's text; none where the old or the new is no literal block, except that anything else goes into double quotes.
pub(super) fn replace(text: &str, node: &Node, style: ScalarStyle, value: &Value) -> Option<String> {
    if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
        return None;
    }
    let start = header(text, node.span.start)?;
    let header_end = start + text.get(start..)?.find('\n')? + 1;
    let header = text.get(start..header_end)?;
    let indicator = header.find(|character: char| !matches!(character, '|' | '>' | '+' | '-') && !character.is_ascii_digit())?;
    let body = Body::of(text, header_end)?;
    let new = match value {
        Value::String(string) if style == ScalarStyle::Literal && is_literal(string) => {
            let chomp = if string.ends_with('\n') { "|" } else { "|-" };
            let lines = string.strip_suffix('\n').unwrap_or(string).split('\n');
            let indented: Vec<_> =
                lines.map(|line| if line.is_empty() { String::new() } else { format!("{}{line}", " ".repeat(body.indent)) }).collect();
            format!("{chomp}{}{}\n", header.get(indicator..)?, indented.join("\n"))
        }
        Value::String(string) => format!("{}{}", super::scalar::double_quoted(string), header.get(indicator..)?),
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("{value}{}", header.get(indicator..)?),
        Value::Array(_) | Value::Object(_) => return None,
    };
    Some(format!("{}{new}{}", text.get(..start)?, text.get(body.end..)?))
}

/// Where a block's `|` or `>` stands: the parser's span begins with its first line. A comment may follow the indicator.
fn header(text: &str, content: usize) -> Option<usize> {
    let before = text.get(..content)?.trim_end();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.get(line_start..)?;
    let comments = line.rmatch_indices(" #").map(|(at, _)| at);
    std::iter::once(line.len()).chain(comments).find_map(|end| {
        let word = line.get(..end)?.trim_end();
        let at =
            word.trim_end_matches(|character: char| matches!(character, '+' | '-') || character.is_ascii_digit()).len().checked_sub(1)?;
        matches!(word.as_bytes().get(at), Some(b'|' | b'>')).then_some(line_start + at)
    })
}

/// Where a block's lines end and how far they are indented.
struct Body {
    indent: usize,
    end: usize,
}

impl Body {
    fn of(text: &str, from: usize) -> Option<Self> {
        let mut indent = None;
        let (mut at, mut end) = (from, from);
        for line in text.get(from..)?.split_inclusive('\n') {
            at += line.len();
            let spaces = line.len() - line.trim_start_matches(' ').len();
            if line.trim().is_empty() {
                continue;
            }
            if spaces < *indent.get_or_insert(spaces) || spaces == 0 {
                break;
            }
            end = at;
        }
        indent.filter(|indent| *indent > 0).map(|indent| Self { indent, end })
    }
}
