//! Changes of fields as a JSON Patch (RFC 6902) for one object in one state. It begins with `test`
//! entries for the object's UID, for the merge key of each list member on the way, and for every
//! replaced value. So the API server itself rejects it for another object, and a second time. Pure;
//! sends nothing.

#[cfg(test)]
mod tests;

use cofferdam_core::model::path::{FieldPath, PathError, Segment};
use serde_json::{Value, json};

/// Where an object says its version.
const VERSION: &str = "/metadata/resourceVersion";

/// The patch that makes these changes, in order, to this object as it was read. It has no
/// `replace`, `add` or `remove` entry if nothing would change: see [`is_idle`].
pub fn render(object: &Value, changes: &[(FieldPath, Option<Value>)]) -> Result<Value, PathError> {
    let mut tests = Vec::new();
    if let Some(uid) = object.pointer("/metadata/uid") {
        test(&mut tests, "/metadata/uid".to_owned(), uid);
    }
    for (path, _) in changes {
        pin(&mut tests, object, path);
    }
    let mut now = object.clone();
    let mut edits = Vec::new();
    for (path, value) in changes {
        let mut next = now.clone();
        path.set(&mut next, value.clone())?;
        edits.extend(edit(&now, &next, path));
        now = next;
    }
    Ok(tests.into_iter().chain(edits).collect())
}

/// The patch for an effect: over this version of the object alone, so that also a change of an
/// unnamed field is noticed.
pub fn render_over(
    object: &Value,
    changes: &[(FieldPath, Option<Value>)],
) -> Result<Value, PathError> {
    let mut tests = Vec::new();
    if let Some(version) = object.pointer(VERSION) {
        test(&mut tests, VERSION.to_owned(), version);
    }
    let Value::Array(entries) = render(object, changes)? else { return Ok(Value::Array(tests)) };
    for entry in entries {
        if tests.first() != Some(&entry) {
            tests.push(entry);
        }
    }
    Ok(Value::Array(tests))
}

/// Returns whether a patch has tests alone.
pub fn is_idle(patch: &Value) -> bool {
    patch
        .as_array()
        .is_none_or(|entries| entries.iter().all(|entry| entry.get("op") == Some(&json!("test"))))
}

fn test(tests: &mut Vec<Value>, pointer: String, value: &Value) {
    let entry = json!({"op": "test", "path": pointer, "value": value});
    if !tests.contains(&entry) {
        tests.push(entry);
    }
}

/// Pins what the object has at a path, and by which members it was found.
fn pin(tests: &mut Vec<Value>, object: &Value, path: &FieldPath) {
    let mut pointer = String::new();
    let mut at = object;
    for segment in path.segments() {
        let Some((token, child)) = child(at, segment) else {
            // RFC 6902 cannot test that a value is absent, so its container is tested whole. Every
            // write changes the metadata and the object itself; there the version is tested.
            match (pointer.as_str(), object.pointer(VERSION)) {
                ("" | "/metadata", Some(version)) => test(tests, VERSION.to_owned(), version),
                _ => test(tests, pointer, at),
            }
            return;
        };
        pointer = format!("{pointer}/{}", escape(&token));
        if let Segment::Member { key, .. } = segment
            && let Some(merge) = child.get(key)
        {
            test(tests, format!("{pointer}/{}", escape(key)), merge);
        }
        at = child;
    }
    test(tests, pointer, at);
}

/// The one entry that turns one object into the next. They differ at this path, or at a value above
/// it that had to be created.
fn edit(now: &Value, next: &Value, path: &FieldPath) -> Option<Value> {
    let mut pointer = String::new();
    let (mut now, mut next) = (now, next);
    let mut rest = path.segments().iter().peekable();
    while let Some(segment) = rest.next() {
        match (child(now, segment), child(next, segment)) {
            (Some((token, old)), Some((_, new))) => {
                pointer = format!("{pointer}/{}", escape(&token));
                if rest.peek().is_none() || old.is_null() {
                    return (old != new)
                        .then(|| json!({"op": "replace", "path": pointer, "value": new}));
                }
                (now, next) = (old, new);
            }
            (Some((token, _)), None) => {
                return Some(
                    json!({"op": "remove", "path": format!("{pointer}/{}", escape(&token))}),
                );
            }
            (None, Some((token, new))) => {
                // New members of a list are appended.
                let token = if matches!(segment, Segment::Member { .. }) {
                    "-".to_owned()
                } else {
                    escape(&token)
                };
                return Some(
                    json!({"op": "add", "path": format!("{pointer}/{token}"), "value": new}),
                );
            }
            (None, None) => return None,
        }
    }
    None
}

/// The value that a segment leads to, and its reference token.
fn child<'a>(at: &'a Value, segment: &Segment) -> Option<(String, &'a Value)> {
    match segment {
        Segment::Key(key) => at.get(key).map(|child| (key.clone(), child)),
        Segment::Member { key, value } => {
            let is_it = |member: &Value| match member.get(key) {
                Some(Value::String(text)) => text == value,
                Some(Value::Number(number)) => number.to_string() == *value,
                _ => false,
            };
            let (index, member) =
                at.as_array()?.iter().enumerate().find(|(_, member)| is_it(member))?;
            Some((index.to_string(), member))
        }
        Segment::AnyMember | Segment::AnyKey => None,
    }
}

/// A reference token (RFC 6901).
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
