//! Differences, their owners, and values that stay as a plan wrote them.

use super::*;
use serde_json::json;

fn paths(texts: &[&str]) -> Vec<FieldPath> {
    texts.iter().map(|text| FieldPath::parse(text).unwrap()).collect()
}

fn deployment(replicas: u32, containers: &Value) -> Value {
    json!({
        "metadata": {"name": "web", "annotations": {"a": "1"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
    })
}

const POD: [&str; 3] = ["spec", "template", "spec"];

#[test]
fn leaves_are_told_apart_by_name_and_unnamed_lists_are_one() {
    let before = deployment(
        1,
        &json!([{"name": "web", "image": "a", "args": ["x"]}, {"name": "log", "image": "b"}]),
    );
    let after = deployment(
        2,
        &json!([{"name": "log", "image": "b"}, {"name": "web", "image": "c", "args": ["x", "y"]}]),
    );
    let found: Vec<_> = differences(&before, &after).iter().map(Difference::place).collect();
    assert_eq!(
        found,
        [
            "spec.replicas",
            "spec.template.spec.containers[name=web].args",
            "spec.template.spec.containers[name=web].image"
        ]
    );
    assert_eq!(differences(&json!({"a": null}), &json!({})), []);
    let found = differences(
        &json!({"metadata": {}}),
        &json!({"metadata": {"labels": {"example.com/a": "b"}}}),
    );
    assert_eq!(
        found.iter().map(Difference::place).collect::<Vec<_>>(),
        ["metadata.labels[\"example.com/a\"]"]
    );
    // Two members of one name, or a map where a list was: one leaf, never a guess.
    let twice = json!({"a": [{"name": "x"}, {"name": "x"}]});
    assert_eq!(differences(&twice, &json!({"a": [{"name": "x"}]})).len(), 1);
    assert_eq!(differences(&json!({"a": []}), &json!({"a": {"b": 1}})).len(), 1);
}

fn check_beyond(before: &Value, answer: &Value, changed: &[&str], expect: Option<&str>) {
    let found = beyond(before, answer, &paths(changed)).unwrap();
    assert_eq!(found.map(|difference| difference.place()).as_deref(), expect);
}

#[test]
fn a_patch_that_changes_more_than_it_names_is_found() {
    let before = deployment(1, &json!([{"name": "web", "image": "a"}]));
    check_beyond(
        &before,
        &deployment(2, &json!([{"name": "web", "image": "a"}])),
        &["spec.replicas"],
        None,
    );
    let injected =
        deployment(2, &json!([{"name": "web", "image": "a"}, {"name": "proxy", "image": "p"}]));
    check_beyond(
        &before,
        &injected,
        &["spec.replicas"],
        Some("spec.template.spec.containers[name=proxy].image"),
    );
    let swapped = deployment(2, &json!([{"name": "web", "image": "b"}]));
    check_beyond(
        &before,
        &swapped,
        &["spec.replicas"],
        Some("spec.template.spec.containers[name=web].image"),
    );
    check_beyond(
        &before,
        &swapped,
        &["spec.replicas", "spec.template.spec.containers[name=web].image"],
        None,
    );
    // Maps that are made or left empty on the way to a field are the patch's own.
    let annotated = json!({
        "metadata": {"name": "web", "annotations": {"a": "1"}, "labels": {"x": "y"}},
        "spec": before["spec"],
    });
    check_beyond(&before, &annotated, &["metadata.labels.x"], None);
    let bare = json!({"metadata": {"name": "web"}, "spec": before["spec"]});
    check_beyond(&before, &bare, &["metadata.annotations.a"], None);
    check_beyond(&before, &bare, &["spec.replicas"], Some("metadata.annotations.a"));
    let env = deployment(
        1,
        &json!([{"name": "web", "image": "a", "env": [{"name": "X", "value": "1"}]}]),
    );
    check_beyond(&env, &before, &["spec.template.spec.containers[name=web].env[name=X]"], None);
    check_beyond(&before, &env, &["spec.template.spec.containers[name=web].env[name=X]"], None);
}

fn check_unnamed(
    before: Option<&Value>,
    answer: &Value,
    named: &[&str],
    expect: Option<(&str, bool)>,
) {
    let found = unnamed(before, answer, &paths(named), &POD);
    let found = found.map(|difference| (difference.place(), difference.removes()));
    assert_eq!(found.as_ref().map(|(place, removes)| (place.as_str(), *removes)), expect);
}

#[test]
fn an_apply_that_removes_changes_or_adds_code_unnamed_is_found() {
    let image = "spec.template.spec.containers[name=web].image";
    let before = deployment(1, &json!([{"name": "web", "image": "a"}]));
    let defaulted = deployment(
        1,
        &json!([{"name": "web", "image": "b", "terminationMessagePath": "/dev/termination-log"}]),
    );
    check_unnamed(Some(&before), &defaulted, &[image], None);
    check_unnamed(
        Some(&before),
        &deployment(2, &json!([{"name": "web", "image": "b"}])),
        &[image],
        Some(("spec.replicas", false)),
    );
    let mut lost = deployment(1, &json!([{"name": "web", "image": "b"}]));
    lost["metadata"]["annotations"] = Value::Null;
    check_unnamed(Some(&before), &lost, &[image], Some(("metadata.annotations.a", true)));
    check_unnamed(Some(&before), &lost, &[image, "metadata.annotations.a"], None);
    let injected =
        deployment(1, &json!([{"name": "web", "image": "a"}, {"name": "proxy", "image": "p"}]));
    check_unnamed(
        Some(&before),
        &injected,
        &[image],
        Some(("spec.template.spec.containers[name=proxy].image", false)),
    );
    let told = deployment(
        1,
        &json!([{"name": "web", "image": "a", "env": [{"name": "X", "value": "1"}]}]),
    );
    check_unnamed(
        Some(&before),
        &told,
        &[image],
        Some(("spec.template.spec.containers[name=web].env[name=X].name", false)),
    );
    // A new object is all defaults, but code in it is the plan's.
    let name = "spec.template.spec.containers[name=web].name";
    check_unnamed(None, &before, &[image, name], None);
    check_unnamed(
        None,
        &injected,
        &[image, name],
        Some(("spec.template.spec.containers[name=proxy].image", false)),
    );
}

#[test]
fn a_list_that_is_one_leaf_may_grow_beneath_named_members_and_not_shrink() {
    let service = |ports: Value| json!({"spec": {"ports": ports}});
    let named = paths(&["spec.ports[name=http].port", "spec.ports[name=http].name"]);
    let one = service(json!([{"port": 80}]));
    let grown = service(json!([{"port": 80}, {"name": "http", "port": 81}]));
    assert_eq!(unnamed(Some(&one), &grown, &named, &[]), None);
    let found = unnamed(Some(&grown), &service(json!([{"name": "http", "port": 81}])), &named, &[])
        .unwrap();
    assert_eq!((found.place().as_str(), found.removes()), ("spec.ports", true));
}

#[test]
fn placeholders_stay_as_written_where_the_server_took_what_was_sent() {
    let host = json!({"$host": "started_at"});
    let sent = json!("1970-01-01T00:00:00Z");
    assert_eq!(as_written(&host, &sent, &sent), host);
    assert_eq!(as_written(&host, &sent, &json!("other")), json!("other"));
    let (written, sent) = (json!({"a": host, "b": [1, host]}), json!({"a": sent, "b": [1, sent]}));
    assert_eq!(as_written(&written, &sent, &sent), written);
    let answer = json!({"a": sent["a"], "b": [2, sent["a"]], "c": "default"});
    assert_eq!(
        as_written(&written, &sent, &answer),
        json!({"a": host, "b": [2, host], "c": "default"})
    );
    assert_eq!(as_written(&json!(1), &json!(1), &json!("1")), json!("1"));
}
