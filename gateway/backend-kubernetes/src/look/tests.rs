//! The shown part of an object, without a cluster.

use super::*;

fn check(object: &Value, fields: &[&str], expect: Result<&Value, &str>) {
    let fields =
        parsed(&fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>()).unwrap();
    let got = shown(object, &fields)
        .map(Value::Object)
        .map_err(|refusal| format!("{}: {}", refusal.code, refusal.reason));
    assert_eq!(got.as_ref().map_err(String::as_str), expect);
}

#[test]
fn named_fields_are_shown_and_nothing_else() {
    let object = json!({
        "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": {
            "containers": [
                {"name": "web", "image": "a", "env": [{"name": "X", "value": "1"}]},
                {"name": "log"},
            ],
        },
        "status": {"phase": "Running"},
    });
    check(&object, &["status.phase"], Ok(&json!({"status.phase": "Running"})));
    check(
        &object,
        &["spec.containers[*].image"],
        Ok(&json!({"spec.containers[*].image": ["a", null]})),
    );
    check(&object, &["spec.nodeName"], Ok(&json!({"spec.nodeName": null})));
    let twice = json!({"a": [{"name": "x"}, {"name": "x"}]});
    check(
        &twice,
        &["a[name=x].b"],
        Err("conflict: the path `a[name=x].b` is ambiguous: more than one member is `[name=x]`"),
    );
}

#[test]
fn a_result_is_bounded_and_never_cut() {
    assert!(bounded(json!({"fields": {"data.a": "x"}})).is_ok());
    assert_eq!(
        bounded(json!({"fields": {"data.a": "x".repeat(limit::RESULT)}})).unwrap_err().code,
        "unsupported"
    );
}

#[test]
fn only_a_token_goes_on() {
    let page = |token: &str| json!({"metadata": {"continue": token}, "items": []});
    assert_eq!(
        token(&page("eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ")).unwrap(),
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"
    );
    assert_eq!(token(&json!({"items": []})).unwrap(), "");
    assert!(token(&page("a&limit=9")).is_err());
}
