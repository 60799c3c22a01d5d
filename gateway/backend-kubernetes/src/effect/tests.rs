//! Tests of what needs no server: how states are compared. The rest is tried on a real one, in the
//! crate of whole journeys.

use super::*;
use serde_json::json;

fn target() -> Target {
    let text = |text: &str| text.to_owned();
    Target {
        group: text("apps"),
        version: text("v1"),
        kind: text("Deployment"),
        namespace: text("shop"),
        name: text("web"),
    }
}

#[test]
fn what_came_out_is_held_against_what_was_approved() {
    let expected: BTreeMap<String, Value> =
        serde_json::from_value(json!({"spec.replicas": 5, "spec.paused": null})).unwrap();
    assert_eq!(compare(&target(), &json!({"spec": {"replicas": 5}}), &expected).unwrap(), expected);
    let differs = compare(&target(), &json!({"spec": {"replicas": 2, "paused": true}}), &expected)
        .unwrap_err();
    assert_eq!(
        differs.to_string(),
        "it happened, and not as approved: Deployment web in namespace shop: `spec.paused` is \
         true instead of null, `spec.replicas` is 2 instead of 5"
    );
    assert!(matches!(differs, EffectError::Differs(_)));
}

#[test]
fn another_object_or_another_state_is_not_what_was_approved() {
    let object = json!({"metadata": {"uid": "u1"}, "spec": {"replicas": 3}});
    let expect = object::expect(&object).unwrap();
    assert!(is_as_approved(&object, &expect));
    assert!(!is_as_approved(&object, &Expect::Absent));
    for other in [
        json!({"metadata": {"uid": "u2"}, "spec": {"replicas": 3}}),
        json!({"metadata": {"uid": "u1"}, "spec": {"replicas": 4}}),
        json!({
            "metadata": {"uid": "u1", "deletionTimestamp": "2026-11-23T14:00:00Z"},
            "spec": {"replicas": 3},
        }),
    ] {
        assert!(!is_as_approved(&other, &expect), "{other}");
    }
}
