//! The members of a value, as plans name them: entries of a map, and items of a list by `name`.
//! Previews, differences and the rest of an object all use this one rule.

use cofferdam_core::model::path::Segment;
use serde_json::Value;
use std::collections::BTreeSet;

/// A path, spelled as field paths are.
pub fn spelled(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |mut text, segment| {
        let next = segment.to_string();
        if !text.is_empty() && !next.starts_with('[') {
            text.push('.');
        }
        text + &next
    })
}

/// The values directly below a value: the entries of a map, or the members of a list if each has a
/// `name` of its own. `None` for a leaf; empty for `null`.
pub fn members(value: &Value) -> Option<Vec<(Segment, &Value)>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Object(map) => {
            Some(map.iter().map(|(key, value)| (Segment::Key(key.clone()), value)).collect())
        }
        Value::Array(items) => {
            let named = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
            let names: Option<Vec<String>> = items.iter().map(named).collect();
            let names = names?;
            let once: BTreeSet<_> = names.iter().collect();
            let members = names.iter().zip(items).map(|(name, item)| {
                (Segment::Member { key: "name".to_owned(), value: name.clone() }, item)
            });
            (once.len() == names.len()).then(|| members.collect())
        }
        _ => None,
    }
}
