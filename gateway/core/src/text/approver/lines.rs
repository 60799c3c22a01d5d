//! The lines of a changed field: one line where both values are short and plain, else removed lines
//! and added lines. Each line of a value is quoted, so that it cannot pose as a line of ours. The
//! same values give the same lines everywhere: an approver's digest is over them.

use super::row::Row;
use crate::model::escape::{legible, legible_json, legible_quoted};
use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::{BTreeMap, BTreeSet};

/// Pairs of lines that are compared, at most: beyond it every line between the common beginning and
/// end goes, and comes.
const PAIRS: usize = 1 << 20;

/// Characters of a value beside another on one line, at most.
const SHORT: usize = 60;

/// Characters of a JSON value on one line, and of a value alone on its line, at most.
const WIDE: usize = 100;

/// How much of a change is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Characters of one line of a value.
    line: usize,
    /// Lines of one field.
    field: usize,
    /// Lines of one operation.
    operation: usize,
}

impl Extent {
    /// The extent of the text that is signed: a screen or two for an operation, so that a person
    /// reads all of it.
    pub(super) const SIGNED: Self = Self { line: 160, field: 40, operation: 200 };
    /// The extent without any shortening.
    pub(super) const FULL: Self =
        Self { line: usize::MAX, field: usize::MAX, operation: usize::MAX };
}

/// Field by field, what it was and what it becomes. `hidden` are fields whose values are longer
/// than a preview holds, with a note on each.
pub(super) fn changes(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    hidden: &BTreeMap<String, String>,
    extent: Extent,
) -> Vec<String> {
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut told: Vec<String> = Vec::new();
    let (mut fields, mut lines) = (0, 0);
    for path in paths {
        let mut change = change(path, before.get(path), after.get(path), extent);
        if let (Some(note), Some(head)) = (hidden.get(path), change.first_mut()) {
            head.push_str(&format!(" ({note})"));
        }
        if told.len() + change.len() > extent.operation {
            (fields, lines) = (fields + 1, lines + change.len());
        } else {
            told.extend(change);
        }
    }
    if fields > 0 {
        told.push(format!("[{fields} more fields change, {lines} lines: show --full]"));
    }
    told
}

/// A value alone, by its lines.
pub(super) fn value(value: &Value, extent: Extent) -> Vec<String> {
    let rows = Form::of(Some(value)).rows;
    let lines = rows.iter().map(|row| row.cut(extent.line)).collect();
    bounded(lines, extent.field)
}

/// A value as lines.
struct Form {
    rows: Vec<Row>,
    /// For a text: it has a line break, and it has none at its end.
    text: Option<(bool, bool)>,
}

impl Form {
    fn of(value: Option<&Value>) -> Self {
        let rows = match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) if text.contains('\n') => {
                let whole = text.strip_suffix('\n').unwrap_or(text);
                return Self {
                    rows: whole.split('\n').map(Row::quoted).collect(),
                    text: Some((true, !text.ends_with('\n'))),
                };
            }
            Some(Value::String(text)) => {
                return Self { rows: vec![Row::quoted(text)], text: Some((false, true)) };
            }
            Some(other) => {
                let line = legible_json(other);
                if line.chars().count() <= WIDE { vec![Row::json(line)] } else { pretty(other) }
            }
        };
        Self { rows, text: None }
    }

    /// On one line beside another, where it is short and no letter of it can change places.
    fn beside(&self, other: &Self) -> Option<String> {
        let most = if other.rows.is_empty() { WIDE } else { SHORT };
        match self.rows.as_slice() {
            _ if self.text.is_some_and(|(broken, _)| broken) => None,
            [] => Some("(absent)".to_owned()),
            [row] => Some(row.whole()).filter(|text| text.is_ascii() && text.len() <= most),
            _ => None,
        }
    }
}

/// JSON over several lines.
fn pretty(value: &Value) -> Vec<Row> {
    fn write(rows: &mut Vec<Row>, depth: usize, key: &str, value: &Value, comma: &str) {
        let indent = "  ".repeat(depth);
        let mut inside = |open: char, close: char, members: Vec<(String, &Value)>| {
            rows.push(Row::json(format!("{indent}{key}{open}")));
            let last = members.len().saturating_sub(1);
            for (at, (key, member)) in members.into_iter().enumerate() {
                write(rows, depth + 1, &key, member, if at == last { "" } else { "," });
            }
            rows.push(Row::json(format!("{indent}{close}{comma}")));
        };
        match value {
            Value::Array(members) if !members.is_empty() => {
                inside('[', ']', members.iter().map(|member| (String::new(), member)).collect());
            }
            Value::Object(members) if !members.is_empty() => {
                inside(
                    '{',
                    '}',
                    members
                        .iter()
                        .map(|(key, member)| (format!("{}: ", legible_quoted(key)), member))
                        .collect(),
                );
            }
            other => rows.push(Row::json(format!("{indent}{key}{}{comma}", legible_json(other)))),
        }
    }
    let mut rows = Vec::new();
    write(&mut rows, 0, "", value, "");
    rows
}

fn change(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    extent: Extent,
) -> Vec<String> {
    let (old, new) = (Form::of(before), Form::of(after));
    if let (Some(old), Some(new)) = (old.beside(&new), new.beside(&old)) {
        return vec![format!("{}: {old} → {new}", legible(path))];
    }
    let (from, to) = (old.rows.len(), new.rows.len());
    let told = difference(&old.rows, &new.rows, extent.line);
    let count = |sign: char| told.iter().filter(|line| line.starts_with(sign)).count();
    let mut head = format!("{}: ", legible(path));
    head.push_str(&match (from, to) {
        (0, 1) => "new".to_owned(),
        (0, to) => format!("new, {to} lines"),
        (1, 0) => "removed".to_owned(),
        (from, 0) => format!("removed, {from} lines"),
        (1, 1) => "changed".to_owned(),
        (from, to) => format!("{} of {from} lines go, {} of {to} come", count('-'), count('+')),
    });
    if let (Some((_, was)), Some((_, is))) = (old.text, new.text)
        && was != is
    {
        head.push_str(if is {
            "; the line break at its end goes"
        } else {
            "; a line break at its end comes"
        });
    }
    let told = bounded(told, extent.field);
    std::iter::once(head).chain(told.into_iter().map(|line| format!("  {line}"))).collect()
}

/// The first and the last lines, with the number of those between them.
fn bounded(mut lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() <= most {
        return lines;
    }
    let last = most / 4;
    let tail = lines.split_off(lines.len() - last);
    let gap = lines.split_off(most - last).len();
    lines.push(format!("[{gap} more lines: show --full]"));
    lines.into_iter().chain(tail).collect()
}

/// The lines that go (`-`) and come (`+`), in the order of the text, each with its number.
fn difference(old: &[Row], new: &[Row], most: usize) -> Vec<String> {
    let first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (left, right) =
        (old.get(first..).unwrap_or_default(), new.get(first..).unwrap_or_default());
    let last =
        left.iter().rev().zip(right.iter().rev()).take_while(|(old, new)| old == new).count();
    let (from, to) = (left.len() - last, right.len() - last);
    let parts = if from.saturating_mul(to) > PAIRS {
        vec![DiffOp::Replace { old_index: 0, old_len: from, new_index: 0, new_len: to }]
    } else {
        let (left, right) =
            (left.get(..from).unwrap_or_default(), right.get(..to).unwrap_or_default());
        capture_diff_slices(Algorithm::Myers, left, right)
    };
    let whole = old.len() <= 1 && new.len() <= 1;
    let numbered = |sign: char, number: usize, text: String| {
        if whole { format!("{sign} {text}") } else { format!("{sign} {}: {text}", number + 1) }
    };
    let mut told = Vec::new();
    for part in parts.iter().filter(|part| !matches!(part, DiffOp::Equal { .. })) {
        let (gone, come) = (shifted(part.old_range(), first), shifted(part.new_range(), first));
        let (gone_at, come_at) = (gone.start, come.start);
        let (gone, come) = (old.get(gone).unwrap_or_default(), new.get(come).unwrap_or_default());
        let beside = |row: &Row, other: Option<&Row>| {
            other.map_or_else(|| row.cut(most), |other| row.pair(other, most).0)
        };
        told.extend(
            gone.iter()
                .enumerate()
                .map(|(at, row)| numbered('-', gone_at + at, beside(row, come.get(at)))),
        );
        told.extend(
            come.iter()
                .enumerate()
                .map(|(at, row)| numbered('+', come_at + at, beside(row, gone.get(at)))),
        );
    }
    told
}

fn shifted(range: std::ops::Range<usize>, by: usize) -> std::ops::Range<usize> {
    range.start + by..range.end + by
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told_to(before: Value, after: Value, extent: Extent) -> Vec<String> {
        let map = |value: Value| BTreeMap::from([("data.conf".to_owned(), value)]);
        changes(&map(before), &map(after), &BTreeMap::new(), extent)
    }

    fn told(before: Value, after: Value) -> Vec<String> {
        told_to(before, after, Extent::SIGNED)
    }

    fn text(lines: std::ops::Range<usize>, word: &str) -> String {
        lines.map(|n| format!("{word}{n} = {n}\n")).collect()
    }

    #[test]
    fn a_text_of_several_lines_is_told_by_its_lines() {
        let old = text(0..40, "key");
        let new = old.replace("key7 = 7", "key7 = 8").replace("key30 = 30\n", "");
        assert_eq!(
            told(json!(old), json!(new)),
            [
                "data.conf: 2 of 40 lines go, 1 of 39 come",
                r#"  - 8: "key7 = 7""#,
                r#"  + 8: "key7 = 8""#,
                r#"  - 31: "key30 = 30""#
            ]
        );
        assert_eq!(
            told(json!("a\nb"), json!("a\nb\n")),
            ["data.conf: 0 of 2 lines go, 0 of 2 come; a line break at its end comes"]
        );
        assert_eq!(
            told(json!("a\nb\n"), json!("a\nc")),
            [
                "data.conf: 1 of 2 lines go, 1 of 2 come; the line break at its end goes",
                r#"  - 2: "b""#,
                r#"  + 2: "c""#
            ]
        );
        assert_eq!(
            told(Value::Null, json!("a\nb")),
            ["data.conf: new, 2 lines", r#"  + 1: "a""#, r#"  + 2: "b""#]
        );
        assert_eq!(
            told(json!("a\nb"), Value::Null),
            ["data.conf: removed, 2 lines", r#"  - 1: "a""#, r#"  - 2: "b""#]
        );
        assert_eq!(
            told(json!("a\r\nb"), json!("a\nb")),
            ["data.conf: 1 of 2 lines go, 1 of 2 come", r#"  - 1: "a\u{d}""#, r#"  + 1: "a""#]
        );
    }

    #[test]
    fn short_plain_values_stand_on_one_line_and_others_never_beside_each_other() {
        assert_eq!(told(json!("one"), json!("two")), [r#"data.conf: "one" → "two""#]);
        assert_eq!(told(json!(3), json!(5)), ["data.conf: 3 → 5"]);
        assert_eq!(told(Value::Null, json!({"k": []})), [r#"data.conf: (absent) → {"k":[]}"#]);
        assert_eq!(
            told(json!(1), json!("a\nb")),
            [
                "data.conf: 1 of 1 lines go, 2 of 2 come",
                "  - 1: 1",
                r#"  + 1: "a""#,
                r#"  + 2: "b""#
            ]
        );
        assert_eq!(
            told(json!("Zürich"), json!("Bern")),
            ["data.conf: changed", r#"  - "Zürich""#, r#"  + "Bern""#]
        );
        assert_eq!(
            told(json!("wеb 1"), json!("א 2")),
            [r#"data.conf: "w\u{435}b 1" → "\u{5d0} 2""#]
        );
    }

    #[test]
    fn of_a_long_value_the_difference_is_told_and_the_rest_is_counted() {
        let value = |word: &str| json!(format!("{}{word}{}", "x".repeat(500), "y".repeat(300)));
        let lines = told(value("old"), value("new"));
        assert_eq!(lines[0], "data.conf: changed");
        assert!(
            lines[1].starts_with("  - [480 characters, the same] \"xxx")
                && lines[1].contains("old"),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("  + [480 characters, the same] \"xxx")
                && lines[2].contains("new"),
            "{lines:?}"
        );
        assert!(lines.iter().all(|line| line.len() < 200), "{lines:?}");
        let lines = told(Value::Null, json!("z".repeat(5000)));
        assert!(lines[1].contains("[4840 more characters: show --full]"), "{lines:?}");
        let images: Vec<String> =
            (0..30).map(|n| format!("registry.example.com/team/image{n}:1")).collect();
        let mut other = images.clone();
        other[3] = "registry.example.com/team/evil:1".into();
        let lines = told(json!(images), json!(other));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[2], r#"  + 5:   "registry.example.com/team/evil:1","#);
    }

    #[test]
    fn many_lines_are_bounded_and_counted_and_there_in_full() {
        let (old, new) = (json!(text(0..200, "a")), json!(text(0..200, "b")));
        let lines = told(old.clone(), new.clone());
        assert_eq!(lines[0], "data.conf: 200 of 200 lines go, 200 of 200 come");
        assert_eq!(lines.len(), 1 + 41, "{lines:?}");
        assert_eq!(lines[31], "  [360 more lines: show --full]");
        assert_eq!(lines[41], r#"  + 200: "b199 = 199""#);
        assert_eq!(told_to(old, new, Extent::FULL).len(), 401);
        let fields = |word: &str| {
            (0..300).map(|n| (format!("data.k{n:03}"), json!(word))).collect::<BTreeMap<_, _>>()
        };
        let lines = changes(&fields("a"), &fields("b"), &BTreeMap::new(), Extent::SIGNED);
        assert_eq!(
            (lines.len(), lines[200].as_str()),
            (201, "[100 more fields change, 100 lines: show --full]")
        );
    }

    #[test]
    fn no_line_of_a_value_poses_as_one_of_ours() {
        let evil = told(json!("a\nb"), json!("a\nPlan: other\u{1b}[2K\r\nb"));
        assert_eq!(
            evil,
            ["data.conf: 0 of 2 lines go, 1 of 3 come", r#"  + 2: "Plan: other\u{1b}[2K\u{d}""#]
        );
    }

    #[test]
    fn a_text_beyond_comparison_goes_and_comes_whole() {
        assert_eq!(
            told_to(json!(text(0..2000, "a")), json!(text(0..2000, "b")), Extent::FULL).len(),
            4001
        );
    }
}
