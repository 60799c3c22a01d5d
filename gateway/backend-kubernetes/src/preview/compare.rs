//! Two states of one object, compared: the differences, and whether a plan named them. Pure; null
//! and absent are the same, as for the API server.

use cofferdam_backend::members::{members, spelled};
use cofferdam_core::model::path::{FieldPath, PathError, Segment};
use serde_json::Value;
use std::collections::BTreeSet;

/// One leaf in which two states differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The path of the leaf.
    pub path: Vec<Segment>,
    /// The value before; `null` if it was absent.
    pub before: Value,
    /// The value after; `null` if it is absent.
    pub after: Value,
}

impl Difference {
    /// The path, spelled as field paths are.
    pub fn place(&self) -> String {
        spelled(&self.path)
    }

    /// Returns whether one of these paths is the path of the difference, or above it.
    pub fn is_named(&self, paths: &[FieldPath]) -> bool {
        paths.iter().any(|path| self.path.starts_with(path.segments()))
    }

    /// Returns whether a value was there and is absent now. A list that is one leaf loses a value
    /// if it has fewer members than before.
    pub fn removes(&self) -> bool {
        match (&self.before, &self.after) {
            (Value::Array(before), Value::Array(after)) => after.len() < before.len(),
            (before, after) => !before.is_null() && after.is_null(),
        }
    }
}

/// The leaves in which two states differ. List members are matched by `name` if each has its own;
/// any other list is one leaf. The fields of a plan are found by the same rule (`core::plan`).
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(&mut Vec::new(), before, after, &mut found);
    found
}

fn walk(at: &mut Vec<Segment>, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let mixed =
        (before.is_array() && after.is_object()) || (before.is_object() && after.is_array());
    match (members(before), members(after)) {
        (Some(old), Some(new)) if !mixed && (!old.is_empty() || !new.is_empty()) => {
            let keys: BTreeSet<_> = old.iter().chain(&new).map(|(segment, _)| segment).collect();
            let of = |side: &[(Segment, &Value)], key| {
                side.iter()
                    .find(|(segment, _)| segment == key)
                    .map_or(Value::Null, |(_, value)| (*value).clone())
            };
            for key in keys {
                at.push(key.clone());
                walk(at, &of(&old, key), &of(&new, key), found);
                at.pop();
            }
        }
        _ => found.push(Difference {
            path: at.clone(),
            before: before.clone(),
            after: after.clone(),
        }),
    }
}

/// The first field outside the changed paths in which the answer to a patch differs from the object
/// before. Both without the fields that the server keeps for itself.
pub fn beyond(
    before: &Value,
    answer: &Value,
    paths: &[FieldPath],
) -> Result<Option<Difference>, PathError> {
    let (mut meant, mut got) = (before.clone(), answer.clone());
    for path in paths {
        path.set(&mut meant, path.get(answer)?)?;
    }
    // The API server removes a value that became empty on the way to a field.
    for path in paths {
        prune(&mut meant, path.segments());
        prune(&mut got, path.segments());
    }
    Ok(differences(&meant, &got).into_iter().next())
}

/// Removes what is empty along a path, from its end upwards.
fn prune(value: &mut Value, segments: &[Segment]) {
    let Some((first, rest)) = segments.split_first() else { return };
    match (first, value) {
        (Segment::Key(key), Value::Object(map)) => {
            if let Some(next) = map.get_mut(key) {
                prune(next, rest);
                if is_empty(next) {
                    map.remove(key);
                }
            }
        }
        (Segment::Member { key, value: wanted }, Value::Array(items)) => {
            let is = |item: &Value| match item.get(key) {
                Some(Value::String(text)) => text == wanted,
                Some(Value::Number(number)) => number.to_string() == *wanted,
                _ => false,
            };
            if let Some(next) = items.iter_mut().find(|item| is(item)) {
                prune(next, rest);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The first unnamed difference that an apply must not make: a removed or changed field, or code
/// that another client adds below the pod spec. Defaults of the server are allowed.
pub fn unnamed(
    before: Option<&Value>,
    answer: &Value,
    named: &[FieldPath],
    pod_spec: &[&str],
) -> Option<Difference> {
    differences(before.unwrap_or(&Value::Null), answer).into_iter().find(|difference| {
        let above = named.iter().any(|path| path.segments().starts_with(&difference.path));
        let counts = match (&difference.before, above) {
            (Value::Null, _) => adds_code(&difference.path, pod_spec),
            // A list that is one leaf here, of which the plan names members: only fewer of them is
            // a loss that the plan did not name.
            (_, true) => difference.removes(),
            (_, false) => true,
        };
        counts && !difference.is_named(named)
    })
}

/// Returns whether an added field decides which code runs: a container, or the instructions of a
/// container.
fn adds_code(path: &[Segment], pod_spec: &[&str]) -> bool {
    const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
    const TOLD: [&str; 7] = ["name", "image", "command", "args", "env", "envFrom", "lifecycle"];
    let inside = !pod_spec.is_empty()
        && path.len() > pod_spec.len()
        && path
            .iter()
            .zip(pod_spec)
            .all(|(segment, key)| matches!(segment, Segment::Key(name) if name == key));
    match path.get(pod_spec.len()..) {
        Some([Segment::Key(list), Segment::Member { .. }, Segment::Key(told), ..]) if inside => {
            LISTS.contains(&list.as_str()) && TOLD.contains(&told.as_str())
        }
        // The whole list at once, or a member without anything in it.
        Some([Segment::Key(list)] | [Segment::Key(list), Segment::Member { .. }]) if inside => {
            LISTS.contains(&list.as_str())
        }
        _ => false,
    }
}

/// A value as the plan wrote it, if the server returns it as sent: `{"$host": …}` replaces the
/// value that was filled in, so that the same plan over the same state has the same preview. Other
/// values are the answer's.
pub fn as_written(written: &Value, sent: &Value, answer: &Value) -> Value {
    if written != sent && answer == sent {
        return written.clone();
    }
    match (written, sent, answer) {
        (Value::Object(written), Value::Object(sent), Value::Object(answer)) => {
            let member = |key: &String, value: &Value| match (written.get(key), sent.get(key)) {
                (Some(written), Some(sent)) => as_written(written, sent, value),
                _ => value.clone(),
            };
            Value::Object(
                answer.iter().map(|(key, value)| (key.clone(), member(key, value))).collect(),
            )
        }
        (Value::Array(written), Value::Array(sent), Value::Array(answer))
            if written.len() == answer.len() && sent.len() == answer.len() =>
        {
            written
                .iter()
                .zip(sent)
                .zip(answer)
                .map(|((written, sent), answer)| as_written(written, sent, answer))
                .collect()
        }
        _ => answer.clone(),
    }
}

#[cfg(test)]
mod tests;
