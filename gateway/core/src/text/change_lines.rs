//! The lines of a change: each added, removed and changed path. Values are JSON on one line, so
//! that no value can imitate another line.

use crate::model::escape;
use crate::model::json;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A value on one line, invisible characters escaped. Never shortened: people sign it.
pub fn scalar(value: &Value) -> String {
    escape::line(&json::canonical(value).unwrap_or_else(|_| value.to_string()))
}

/// One line per path that differs: `~` changed, `+` added, `-` removed.
pub fn change_lines(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Vec<String> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let there = |map: &BTreeMap<String, Value>, path: &String| {
        map.get(path).filter(|value| !value.is_null()).map(scalar)
    };
    paths
        .into_iter()
        .filter_map(|path| {
            let name = escape::line(path);
            match (there(before, path), there(after, path)) {
                (Some(old), Some(new)) if old != new => Some(format!("~ {name}: {old} → {new}")),
                (Some(old), None) => Some(format!("- {name}: {old}")),
                (None, Some(new)) => Some(format!("+ {name}: {new}")),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_alone_are_told_on_one_line_each() {
        let map = |pairs: &[(&str, Value)]| {
            pairs.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect()
        };
        let before = map(&[
            ("a", json!(1)),
            ("b", json!("x\n+ c: 1")),
            ("same", json!(true)),
            ("none", Value::Null),
        ]);
        let after = map(&[
            ("a", json!(2)),
            ("d", json!({"k": []})),
            ("same", json!(true)),
            ("none", Value::Null),
        ]);
        assert_eq!(
            change_lines(&before, &after),
            ["~ a: 1 → 2", r#"- b: "x\n+ c: 1""#, r#"+ d: {"k":[]}"#]
        );
    }
}
