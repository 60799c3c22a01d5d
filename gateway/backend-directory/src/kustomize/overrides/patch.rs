//! Does a patch set a field again? A strategic merge patch is compared by the path of the field,
//! operations of RFC 6902 by its pointer.

use super::select::{Match, documents, is_operations, matches_selector, names};
use super::{Edit, Subject};
use crate::kustomize::graph::{Files, Graph};
use crate::kustomize::layer::{Layer, Located, Patch};
use crate::kustomize::view::{get, items, text_of};
use crate::read::{Node, Shape};
use cofferdam_core::model::path::{FieldPath, Segment};
use cofferdam_core::model::preview::{Remark, RemarkKind};
use serde_json::Value;

/// Lists that the API server merges by a key; a patch of any other list replaces it.
const MERGED: [&str; 10] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "env",
    "ports",
    "volumes",
    "volumeMounts",
    "volumeDevices",
    "imagePullSecrets",
    "hostAliases",
];

/// The effect of a patch on a field that it reaches.
#[derive(Debug, Clone, PartialEq)]
enum Touch {
    /// The patch sets the field. `null` if the value is not known, or the patch removes the field.
    Sets(Value),
    /// The patch may set the field.
    Maybe,
}

/// The effect of a layer's patch on the edited field.
pub fn remark(
    graph: &Graph,
    files: &Files,
    layer: &Layer,
    subject: &Subject<'_>,
    edit: &Edit<'_>,
    patch: &Located<Patch>,
) -> Option<Remark> {
    let Patch { key, target, body } = &patch.value;
    let by = |kind| Remark::new(kind, edit.path.to_string()).by(*key, layer.place(patch.line));
    let selected = target.as_ref().map(|target| matches_selector(target, subject));
    if selected == Some(Match::No) {
        return None;
    }
    let Some(documents) = documents(graph, files, layer, body) else {
        return Some(by(RemarkKind::Unseen));
    };
    let touch =
        documents.iter().rev().find_map(|document| match (is_operations(document), selected) {
            (true, Some(_)) => operations(document, edit),
            (false, Some(_)) => merge(document, edit.path.segments()),
            (false, None) if names(document, subject) => merge(document, edit.path.segments()),
            (_, None) => None,
        })?;
    match (touch, selected) {
        (Touch::Sets(value), None | Some(Match::Yes)) => {
            Some(by(RemarkKind::Overridden).with(value))
        }
        (Touch::Maybe, _) | (Touch::Sets(_), _) => Some(by(RemarkKind::Unseen)),
    }
}

/// A strategic merge patch at a path.
fn merge(node: &Node, path: &[Segment]) -> Option<Touch> {
    if get(node, "$patch").is_some() {
        return Some(Touch::Sets(Value::Null));
    }
    let Some((segment, rest)) = path.split_first() else { return Some(Touch::Sets(node.value())) };
    match (segment, &node.shape) {
        (Segment::Key(key), Shape::Map { .. }) => {
            let below = get(node, key)?;
            match (rest.first(), &below.shape) {
                (Some(Segment::Member { .. } | Segment::AnyMember), Shape::List { .. })
                    if !MERGED.contains(&key.as_str()) =>
                {
                    Some(Touch::Sets(Value::Null))
                }
                _ => merge(below, rest),
            }
        }
        (Segment::Member { key, value }, Shape::List { items, .. }) => {
            if items.iter().any(|item| text_of(item, "$patch").as_deref() == Some("replace")) {
                return Some(Touch::Sets(Value::Null));
            }
            items
                .iter()
                .filter(|item| text_of(item, key).as_deref() == Some(value))
                .find_map(|item| merge(item, rest))
        }
        (Segment::AnyMember | Segment::AnyKey, _) => Some(Touch::Maybe),
        // The patch has another value where the object has a map or a list.
        (_, Shape::Scalar { .. } | Shape::List { .. } | Shape::Map { .. }) => {
            Some(Touch::Sets(Value::Null))
        }
    }
}

/// Operations of RFC 6902 at a path: the last one that reaches it.
fn operations(node: &Node, edit: &Edit<'_>) -> Option<Touch> {
    let pointers = pointers(edit.path, edit.after);
    items(Some(node)).iter().rev().find_map(|operation| {
        let kind = text_of(operation, "op").unwrap_or_default();
        let value = if kind == "remove" {
            Value::Null
        } else {
            get(operation, "value").map(Node::value).unwrap_or_default()
        };
        let place = text_of(operation, "path").unwrap_or_default();
        let moved = text_of(operation, "from")
            .filter(|_| kind == "move")
            .map_or(Match::No, |from| touch(&from, &pointers));
        match (kind.as_str(), touch(&place, &pointers).max(moved)) {
            ("test", _) | (_, Match::No) => None,
            (_, Match::Yes) => {
                Some(Touch::Sets(within(value, place.split('/').skip(1).count(), &pointers)))
            }
            (_, Match::Maybe) => Some(Touch::Maybe),
        }
    })
}

/// The value for the field itself in a value that a patch sets above it.
fn within(value: Value, depth: usize, parts: &[Option<String>]) -> Value {
    let Some(rest) = parts.get(depth..) else { return Value::Null };
    let found = rest.iter().try_fold(&value, |value, part| match (value, part) {
        (Value::Object(map), Some(key)) => map.get(key),
        (Value::Array(items), Some(at)) => items.get(at.parse::<usize>().ok()?),
        _ => None,
    });
    found.cloned().unwrap_or_default()
}

/// A field's path as the parts of a JSON pointer; none where a member's place is not known.
fn pointers(path: &FieldPath, object: &Value) -> Vec<Option<String>> {
    let mut at = Some(object);
    let mut parts = Vec::new();
    for segment in path.segments() {
        let (part, next) = match segment {
            Segment::Key(key) => (Some(key.clone()), at.and_then(|value| value.get(key))),
            Segment::Member { key, value } => {
                let same = |member: &Value| {
                    member.get(key).is_some_and(|found| {
                        found.as_str().map_or_else(|| found.to_string(), str::to_owned) == *value
                    })
                };
                let found = at
                    .and_then(Value::as_array)
                    .and_then(|all| all.iter().enumerate().find(|(_, member)| same(member)));
                (found.map(|(at, _)| at.to_string()), found.map(|(_, member)| member))
            }
            Segment::AnyMember | Segment::AnyKey => (None, None),
        };
        parts.push(part);
        at = next;
    }
    parts
}

/// Compares a pointer with a field: at, above or below it.
fn touch(pointer: &str, parts: &[Option<String>]) -> Match {
    let given = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let mut found = Match::Yes;
    for (given, part) in given.zip(parts) {
        match part {
            // Appended behind the last member.
            Some(_) if given == "-" => return Match::No,
            Some(part) if *part == given => {}
            Some(_) => return Match::No,
            None => found = Match::Maybe,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::read;
    use serde_json::json;

    fn object() -> Value {
        json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [
            {"name": "proxy", "image": "p:1"}, {
                "name": "web",
                "image": "w:1",
                "args": ["a"],
                "env": [{"name": "A", "value": "1"}],
            },
        ], "tolerations": [{"key": "k"}]}}}})
    }

    #[test]
    fn a_strategic_patch_reaches_what_it_names_and_what_lies_in_it() {
        let check = |patch: &str, path: &str, expect: Option<Touch>| {
            let node = read(patch).unwrap().remove(0).root;
            assert_eq!(
                merge(&node, FieldPath::parse(path).unwrap().segments()),
                expect,
                "{patch} {path}"
            );
        };
        let image = "spec.template.spec.containers[name=web].image";
        check("spec: {replicas: 7}", "spec.replicas", Some(Touch::Sets(json!(7))));
        check("spec: {replicas: null}", "spec.replicas", Some(Touch::Sets(Value::Null)));
        check("spec: {paused: true}", "spec.replicas", None);
        check("spec: null", "spec.replicas", Some(Touch::Sets(Value::Null)));
        check("spec: {$patch: replace, a: 1}", "spec.replicas", Some(Touch::Sets(Value::Null)));
        check(
            "spec: {template: {spec: {containers: [{name: web, image: w:9}]}}}",
            image,
            Some(Touch::Sets(json!("w:9"))),
        );
        check("spec: {template: {spec: {containers: [{name: web, args: []}]}}}", image, None);
        check("spec: {template: {spec: {containers: [{name: other, image: w:9}]}}}", image, None);
        check(
            "spec: {template: {spec: {containers: [{name: web, $patch: delete}]}}}",
            image,
            Some(Touch::Sets(Value::Null)),
        );
        check(
            "spec: {template: {spec: {containers: [{$patch: replace}, {name: x}]}}}",
            image,
            Some(Touch::Sets(Value::Null)),
        );
        check(
            "spec: {template: {spec: {tolerations: [{key: other}]}}}",
            "spec.template.spec.tolerations[key=k].effect",
            Some(Touch::Sets(Value::Null)),
        );
    }

    #[test]
    fn operations_reach_a_field_by_its_place() {
        let check = |patch: &str, path: &str, expect: Option<Touch>| {
            let node = read(patch).unwrap().remove(0).root;
            let path = FieldPath::parse(path).unwrap();
            let edit = Edit { path: &path, before: &object(), after: &object() };
            assert!(is_operations(&node));
            assert_eq!(operations(&node, &edit), expect, "{patch} {path}");
        };
        let image = "spec.template.spec.containers[name=web].image";
        check(
            "[{op: replace, path: /spec/replicas, value: 7}]",
            "spec.replicas",
            Some(Touch::Sets(json!(7))),
        );
        check(
            "[{op: remove, path: /spec/replicas}]",
            "spec.replicas",
            Some(Touch::Sets(Value::Null)),
        );
        check(
            "[{op: replace, path: /spec, value: {}}]",
            "spec.replicas",
            Some(Touch::Sets(Value::Null)),
        );
        check(
            "[{op: replace, path: /spec, value: {replicas: 8, secret: x}}]",
            "spec.replicas",
            Some(Touch::Sets(json!(8))),
        );
        check("[{op: test, path: /spec/replicas, value: 3}]", "spec.replicas", None);
        check(
            "[{op: add, path: /spec/template/spec/containers/1/image, value: w:9}]",
            image,
            Some(Touch::Sets(json!("w:9"))),
        );
        check("[{op: add, path: /spec/template/spec/containers/0/image, value: w:9}]", image, None);
        check("[{op: add, path: /spec/template/spec/containers/-, value: {name: x}}]", image, None);
        check(
            "[{op: move, from: /spec/replicas, path: /spec/x}]",
            "spec.replicas",
            Some(Touch::Sets(Value::Null)),
        );
        check(
            "[{op: add, path: /metadata/annotations/example.com~1a, value: b}]",
            "metadata.annotations[\"example.com/a\"]",
            Some(Touch::Sets(json!("b"))),
        );
    }
}
