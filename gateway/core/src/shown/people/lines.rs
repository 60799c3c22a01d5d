//! A change of a text of several lines, as lines: which go and which come. Each is quoted, so that none can pose as a
//! line of ours. The same texts give the same lines everywhere: an approver's digest is over them.

use crate::text::{line, quoted};
use serde_json::Value;
use std::collections::BTreeMap;

/// Pairs of lines that are compared, at most: beyond it every line between the common beginning and end is told.
const PAIRS: usize = 1 << 20;

/// Field by field, before → after; texts of several lines by their lines.
pub fn changes(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    paths.into_iter().flat_map(|path| change(path, before.get(path), after.get(path))).collect()
}

fn change(path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    };
    let (Some(old), Some(new)) = (text(before), text(after)) else { return vec![plain(path, before, after)] };
    let several = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
    if !several(&old) && !several(&new) {
        return vec![plain(path, before, after)];
    }
    let lines = |text: &Option<String>| -> Vec<String> {
        text.as_deref().map(|text| text.split('\n').map(str::to_owned).collect()).unwrap_or_default()
    };
    let (old, new) = (lines(&old), lines(&new));
    let told = difference(&old, &new);
    let (gone, come) = (told.iter().filter(|line| line.starts_with('-')).count(), told.iter().filter(|line| line.starts_with('+')).count());
    let (from, to) = (old.len(), new.len());
    let head = format!("{}: {gone} of {from} lines go, {come} of {to} come", line(path));
    std::iter::once(head).chain(told.into_iter().map(|line| format!("  {line}"))).collect()
}

fn plain(path: &str, before: Option<&Value>, after: Option<&Value>) -> String {
    format!("{}: {} → {}", line(path), super::super::value(before), super::super::value(after))
}

/// The lines that go (`-`) and come (`+`), in the order of the text.
fn difference(old: &[String], new: &[String]) -> Vec<String> {
    let first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (old.get(first..).unwrap_or_default(), new.get(first..).unwrap_or_default());
    let last = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let old = old.get(..old.len() - last).unwrap_or_default();
    let new = new.get(..new.len() - last).unwrap_or_default();
    let gone = |line: &String| format!("- {}", quoted(line));
    let come = |line: &String| format!("+ {}", quoted(line));
    if old.len().saturating_mul(new.len()) > PAIRS {
        return old.iter().map(gone).chain(new.iter().map(come)).collect();
    }
    let common = common(old, new);
    let length = |i: usize, j: usize| common.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
    let (mut told, mut i, mut j) = (Vec::new(), 0, 0);
    while i < old.len() || j < new.len() {
        match (old.get(i), new.get(j)) {
            (Some(before), Some(after)) if before == after => (i, j) = (i + 1, j + 1),
            (Some(before), after) if after.is_none() || length(i + 1, j) >= length(i, j + 1) => {
                told.push(gone(before));
                i += 1;
            }
            (_, Some(after)) => {
                told.push(come(after));
                j += 1;
            }
            (_, None) => break,
        }
    }
    told
}

/// Lengths of the longest common subsequences of what is left from each pair of places on.
fn common(old: &[String], new: &[String]) -> Vec<Vec<u32>> {
    let mut table = vec![vec![0; new.len() + 1]; old.len() + 1];
    for (i, before) in old.iter().enumerate().rev() {
        for (j, after) in new.iter().enumerate().rev() {
            let at = |i: usize, j: usize| table.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
            let best = if before == after { at(i + 1, j + 1) + 1 } else { at(i + 1, j).max(at(i, j + 1)) };
            if let Some(place) = table.get_mut(i).and_then(|row| row.get_mut(j)) {
                *place = best;
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(before: Value, after: Value) -> Vec<String> {
        let map = |value: Value| BTreeMap::from([("data.conf".to_owned(), value)]);
        changes(&map(before), &map(after))
    }

    #[test]
    fn a_text_of_several_lines_is_told_by_its_lines() {
        let old: String = (0..40).map(|n| format!("key{n} = {n}\n")).collect();
        let new = old.replace("key7 = 7", "key7 = 8").replace("key30 = 30\n", "");
        assert_eq!(
            told(json!(old), json!(new)),
            ["data.conf: 2 of 41 lines go, 1 of 40 come", r#"  - "key7 = 7""#, r#"  + "key7 = 8""#, r#"  - "key30 = 30""#]
        );
        assert_eq!(told(json!("a\nb"), json!("a\nb\n")), ["data.conf: 0 of 2 lines go, 1 of 3 come", r#"  + """#]);
        assert_eq!(told(Value::Null, json!("a\nb")), ["data.conf: 0 of 0 lines go, 2 of 2 come", r#"  + "a""#, r#"  + "b""#]);
        assert_eq!(told(json!("one"), json!("two")), [r#"data.conf: "one" → "two""#]);
        assert_eq!(told(json!(1), json!("a\nb")), [r#"data.conf: 1 → "a\nb""#]);
    }

    #[test]
    fn no_line_of_a_value_poses_as_one_of_ours() {
        let evil = told(json!("a\nb"), json!("a\nPlan: other\u{1b}[2K\r\nb"));
        assert_eq!(evil, ["data.conf: 0 of 2 lines go, 1 of 3 come", r#"  + "Plan: other\u{1b}[2K\u{d}""#]);
    }

    #[test]
    fn a_text_beyond_comparison_is_told_whole() {
        let text = |word: &str| (0..2000).map(|n| format!("{word}{n}\n")).collect::<String>();
        assert_eq!(told(json!(text("a")), json!(text("b"))).len(), 4001);
    }
}
