//! Tests of JSON Patches, against RFC 6902 and against setting the fields.

use super::*;
use proptest::prelude::*;

/// RFC 6902 as it stands: `test`, `add`, `replace`, `remove`; none when an entry fails.
fn apply(mut object: Value, patch: &Value) -> Option<Value> {
    for entry in patch.as_array()? {
        let pointer = entry["path"].as_str()?;
        let (parent, token) = pointer.rsplit_once('/')?;
        let token = token.replace("~1", "/").replace("~0", "~");
        let exists = object.pointer(pointer).is_some();
        match entry["op"].as_str()? {
            "test" => {
                if object.pointer(pointer) != Some(&entry["value"]) {
                    return None;
                }
            }
            "remove" if !exists => return None,
            "replace" if !exists => return None,
            op => match (op, object.pointer_mut(parent)?) {
                ("remove", Value::Object(map)) => drop(map.remove(&token)),
                ("remove", Value::Array(list)) => drop(list.remove(token.parse().ok()?)),
                ("replace" | "add", Value::Object(map)) => {
                    drop(map.insert(token, entry["value"].clone()))
                }
                ("replace", Value::Array(list)) => {
                    list[token.parse::<usize>().ok()?] = entry["value"].clone()
                }
                ("add", Value::Array(list)) if token == "-" => list.push(entry["value"].clone()),
                _ => return None,
            },
        }
    }
    Some(object)
}

fn deployment() -> Value {
    json!({
        "metadata": {"uid": "u1", "resourceVersion": "7", "labels": {"app/x": "web"}},
        "spec": {
            "replicas": 3,
            "empty": null,
            "containers": [
                {"name": "log", "image": "l"},
                {"name": "web", "image": "a", "env": [{"name": "A", "value": "1"}]},
            ],
        },
    })
}

fn path(text: &str) -> FieldPath {
    FieldPath::parse(text).unwrap()
}

#[track_caller]
fn check(changes: &[(&str, Option<Value>)], expect: &[Value]) {
    let changes: Vec<_> = changes.iter().map(|(at, value)| (path(at), value.clone())).collect();
    let patch = render(&deployment(), &changes).unwrap();
    assert_eq!(patch.as_array().unwrap()[1..], *expect, "{patch:#}");
    let mut meant = deployment();
    changes.iter().for_each(|(at, value)| at.set(&mut meant, value.clone()).unwrap());
    assert_eq!(apply(deployment(), &patch), Some(meant));
}

#[test]
fn an_effect_is_for_one_version_alone() {
    let version = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"});
    for (at, value) in [
        ("spec.replicas", json!(5)),
        ("spec.replicas", json!(3)),
        ("metadata.annotations.a", json!("b")),
        ("more", json!(1)),
    ] {
        let changes = [(path(at), Some(value))];
        let patch = render_over(&deployment(), &changes).unwrap();
        assert_eq!(
            patch.as_array().unwrap().iter().filter(|entry| **entry == version).count(),
            1,
            "{patch:#}"
        );
        assert_eq!(
            apply(deployment(), &patch),
            apply(deployment(), &render(&deployment(), &changes).unwrap())
        );
        let mut other = deployment();
        other["metadata"]["resourceVersion"] = json!("8");
        assert_eq!(apply(other, &patch), None);
        assert_eq!(is_idle(&patch), at == "spec.replicas" && changes[0].1 == Some(json!(3)));
    }
}

#[test]
fn a_value_is_replaced_where_it_is_what_it_was() {
    let test = json!({"op": "test", "path": "/spec/replicas", "value": 3});
    check(
        &[("spec.replicas", Some(json!(5)))],
        &[test.clone(), json!({"op": "replace", "path": "/spec/replicas", "value": 5})],
    );
    check(
        &[("spec.replicas", None)],
        &[test.clone(), json!({"op": "remove", "path": "/spec/replicas"})],
    );
    check(&[("spec.replicas", Some(json!(3)))], &[test]);
}

#[test]
fn list_members_are_pinned_by_their_merge_key() {
    check(
        &[("spec.containers[name=web].image", Some(json!("b")))],
        &[
            json!({"op": "test", "path": "/spec/containers/1/name", "value": "web"}),
            json!({"op": "test", "path": "/spec/containers/1/image", "value": "a"}),
            json!({"op": "replace", "path": "/spec/containers/1/image", "value": "b"}),
        ],
    );
}

#[test]
fn what_is_absent_is_pinned_by_what_would_hold_it() {
    check(
        &[("metadata.labels[\"a~b/c\"]", Some(json!("x")))],
        &[
            json!({"op": "test", "path": "/metadata/labels", "value": {"app/x": "web"}}),
            json!({"op": "add", "path": "/metadata/labels/a~0b~1c", "value": "x"}),
        ],
    );
    check(
        &[
            ("metadata.annotations.a", Some(json!("x"))),
            ("metadata.annotations.b", Some(json!("y"))),
        ],
        &[
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}),
            json!({"op": "add", "path": "/metadata/annotations", "value": {"a": "x"}}),
            json!({"op": "add", "path": "/metadata/annotations/b", "value": "y"}),
        ],
    );
    let env = json!([{"name": "A", "value": "1"}]);
    check(
        &[("spec.containers[name=web].env[name=B]", Some(json!({"name": "B", "value": "2"})))],
        &[
            json!({"op": "test", "path": "/spec/containers/1/name", "value": "web"}),
            json!({"op": "test", "path": "/spec/containers/1/env", "value": env}),
            json!({
                "op": "add",
                "path": "/spec/containers/1/env/-",
                "value": {"name": "B", "value": "2"},
            }),
        ],
    );
}

#[test]
fn indexes_follow_the_entries_before() {
    let changes = [
        (path("spec.containers[name=log]"), None),
        (path("spec.containers[name=web].image"), Some(json!("b"))),
    ];
    let patch = render(&deployment(), &changes).unwrap();
    let after = apply(deployment(), &patch).unwrap();
    assert_eq!(
        after["spec"]["containers"],
        json!([{"name": "web", "image": "b", "env": [{"name": "A", "value": "1"}]}])
    );
    assert!(!is_idle(&patch));
}

#[test]
fn what_does_not_fit_is_refused_and_what_changes_nothing_is_idle() {
    assert!(render(&deployment(), &[(path("spec.replicas.x"), Some(json!(1)))]).is_err());
    assert!(
        render(&deployment(), &[(path("spec.containers[name=x].image"), Some(json!(1)))]).is_err()
    );
    assert!(is_idle(&render(&deployment(), &[(path("spec.paused"), None)]).unwrap()));
}

fn any_path() -> impl Strategy<Value = FieldPath> {
    let texts = [
        "spec.replicas",
        "spec.paused",
        "spec.empty",
        "spec.empty.x",
        "spec.new.deep",
        "spec.new.other",
        "metadata.annotations.a",
        "metadata.labels[\"app/x\"]",
        "metadata.labels[\"a~1\"]",
        "spec.containers[name=web]",
        "spec.containers[name=log]",
        "spec.containers[name=new]",
        "spec.containers[name=web].image",
        "spec.containers[name=web].env[name=A].value",
        "spec.containers[name=web].env[name=B]",
        "spec.containers[name=log].ports",
    ];
    prop::sample::select(texts.to_vec()).prop_map(path)
}

/// A value that fits: a member carries its merge key.
fn any_value(path: &FieldPath) -> BoxedStrategy<Option<Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        Just(json!({"a": 1})),
        Just(json!([])),
        Just(json!(null)),
        Just(json!("a"))
    ];
    let value: BoxedStrategy<Value> = match path.segments().last() {
        Some(Segment::Member { key, value: name }) => {
            let (key, name) = (key.clone(), name.clone());
            value.prop_map(move |value| json!({key.as_str(): name, "image": value})).boxed()
        }
        _ => value.boxed(),
    };
    prop::option::of(value).boxed()
}

fn any_change() -> impl Strategy<Value = (FieldPath, Option<Value>)> {
    any_path().prop_flat_map(|path| any_value(&path).prop_map(move |value| (path.clone(), value)))
}

proptest! {
    #[test]
    fn a_patch_does_what_setting_the_fields_does(changes in prop::collection::vec(any_change(),
    1..6)) {
        let mut meant = deployment();
        let fits = changes.iter().all(|(at, value)| at.set(&mut meant, value.clone()).is_ok());
        match render(&deployment(), &changes) {
            Ok(patch) => {
                prop_assert!(fits);
                prop_assert_eq!(apply(deployment(), &patch), Some(meant), "{:#}", patch);
            }
            Err(_) => prop_assert!(!fits),
        }
    }

    #[test]
    fn no_other_state_takes_it(change in any_change(), drift in any_change()) {
        let patch = render(&deployment(), std::slice::from_ref(&change));
        let mut other = deployment();
        prop_assume!(drift.0.set(&mut other, drift.1).is_ok());
        let (at, _) = &change;
        if let Ok(patch) = patch && at.get(&other) != at.get(&deployment()) {
            // A write of anything beneath `metadata` itself gives another version.
            other["metadata"]["resourceVersion"] = json!("8");
            prop_assert_eq!(apply(other, &patch), None, "{:#}", patch);
        }
    }
}
