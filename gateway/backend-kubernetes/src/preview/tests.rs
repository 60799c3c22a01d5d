//! The requests of a preview and its texts, without a cluster.

use super::*;
use serde_json::json;

#[test]
fn an_applied_object_is_sent_in_its_namespace_with_the_hosts_values() {
    let object = json!({
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"at": {"$host": "started_at"}},
    });
    let sent = filled(&object, "shop", &Host::sample());
    assert_eq!(
        sent,
        json!({
            "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "shop"},
            "data": {"at": "1970-01-01T00:00:00Z"},
        })
    );
}

#[test]
fn a_refusal_names_the_field_outside_the_request() {
    let target = |kind: &str| Target {
        group: String::new(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    let reason = |unnamed: &Difference, removes: bool| {
        let what = target("ConfigMap");
        if removes { removed(unnamed, &what) } else { changed(unnamed, &what) }
    };
    let difference =
        compare::differences(&json!({"data": {"a\u{202e}": "1"}}), &json!({"data": {}}));
    let found = difference.first().unwrap();
    assert_eq!(
        reason(found, true).reason,
        "applying it would remove `data[\"a\\u{202e}\"]` from ConfigMap web in namespace shop, \
         which the plan does not name"
    );
    assert_eq!(
        (reason(found, true).code, reason(found, false).code),
        ("removes-field", "conflict")
    );
}

#[test]
fn what_goes_is_described_without_its_contents() {
    let object = json!({"metadata": {"labels": {"app": "web"}}, "data": {"secret-like": "value"}});
    let shown = delete_summary(&object);
    assert_eq!(json!(shown), json!({"metadata.labels": {"app": "web"}, "data": ["secret-like"]}));
}
