//! Tests of edits: the text afterwards, and that generated edits never change anything else.

mod properties;

use super::*;
use crate::read::read;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

fn patch(
    text: &str,
    document: usize,
    changes: &[(FieldPath, Option<Value>)],
) -> Result<String, EditError> {
    super::patch(Format::Yaml, text, &Position { document, items: vec![] }, changes)
}

fn delete(text: &str, document: usize) -> Result<Option<String>, EditError> {
    super::delete(Format::Yaml, text, &Position { document, items: vec![] })
}

fn path(text: &str) -> FieldPath {
    FieldPath::parse(text).unwrap()
}

/// Shows the lines that differ.
fn diff(before: &str, after: &str) -> String {
    use similar::ChangeTag;
    let changes = similar::TextDiff::from_lines(before, after);
    changes
        .iter_all_changes()
        .filter_map(|change| match change.tag() {
            ChangeTag::Equal => None,
            ChangeTag::Delete => Some(format!("-{}", change.value().trim_end_matches('\n')) + "\n"),
            ChangeTag::Insert => Some(format!("+{}", change.value().trim_end_matches('\n')) + "\n"),
        })
        .collect()
}

fn check(text: &str, changes: &[(&str, Option<Value>)], expect: &Expect) {
    let changes: Vec<_> = changes.iter().map(|(at, value)| (path(at), value.clone())).collect();
    let shown = match super::patch(Format::Yaml, text, &Position::default(), &changes) {
        Ok(after) => diff(text, &after),
        Err(error) => format!("{error}\n"),
    };
    expect.assert_eq(&shown);
}

const WEB: &str = r#"# The shop's front.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web   # the name
  namespace: team-a
  labels: {app: web, tier: "front"}
spec:
  replicas: 3 # see the runbook
  paused:
  template:
    spec:
      containers:
        # the one that serves
        - name: web
          image: 'registry.example/web:1.0'   # pinned
          env:
          - {name: A, value: "1"}
          - name: B
            value: two
        - name: log
          image: registry.example/log:2
---
# another
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: team-a}
data:
  app.conf: |
    color = red

    size = 2
  COLOR: red
"#;

#[test]
fn one_value_is_one_line() {
    check(
        WEB,
        &[("spec.replicas", Some(json!(5)))],
        &expect![[r#"
        -  replicas: 3 # see the runbook
        +  replicas: 5 # see the runbook
    "#]],
    );
    check(
        WEB,
        &[(
            "spec.template.spec.containers[name=web].image",
            Some(json!("registry.example/web:1.1")),
        )],
        &expect![[r#"
        -          image: 'registry.example/web:1.0'   # pinned
        +          image: 'registry.example/web:1.1'   # pinned
    "#]],
    );
    check(
        WEB,
        &[("spec.template.spec.containers[name=log].image", Some(json!("yes")))],
        &expect![[r#"
        -          image: registry.example/log:2
        +          image: "yes"
    "#]],
    );
    check(
        WEB,
        &[("metadata.labels.tier", Some(json!("back")))],
        &expect![[r#"
        -  labels: {app: web, tier: "front"}
        +  labels: {app: web, tier: "back"}
    "#]],
    );
    check(
        WEB,
        &[("spec.template.spec.containers[name=web].env[name=A].value", Some(json!("2")))],
        &expect![[r#"
        -          - {name: A, value: "1"}
        +          - {name: A, value: "2"}
    "#]],
    );
    check(
        WEB,
        &[("spec.paused", Some(json!(true)))],
        &expect![[r#"
        -  paused:
        +  paused: true
    "#]],
    );
    check(WEB, &[("spec.replicas", Some(json!(3)))], &expect![""]);
}

#[test]
fn what_is_missing_is_added_and_what_is_removed_takes_nothing_with_it() {
    check(
        WEB,
        &[(r#"metadata.annotations["example.com/at"]"#, Some(json!("2026-11-24T03:00:00Z")))],
        &expect![[r#"
        +  annotations:
        +    example.com/at: "2026-11-24T03:00:00Z"
    "#]],
    );
    check(
        WEB,
        &[("metadata.labels.zone", Some(json!("b")))],
        &expect![[r#"
        -  labels: {app: web, tier: "front"}
        +  labels: {app: web, tier: "front", zone: b}
    "#]],
    );
    check(
        WEB,
        &[("spec.template.metadata.annotations.x", Some(json!("1")))],
        &expect![[r#"
        +    metadata:
        +      annotations:
        +        x: "1"
    "#]],
    );
    check(
        WEB,
        &[("metadata.labels.tier", None)],
        &expect![[r#"
        -  labels: {app: web, tier: "front"}
        +  labels: {app: web}
    "#]],
    );
    check(
        WEB,
        &[("spec.replicas", None)],
        &expect![[r#"
        -  replicas: 3 # see the runbook
    "#]],
    );
    check(
        WEB,
        &[("spec.template.spec.containers[name=web].env[name=B]", None)],
        &expect![[r#"
        -          - name: B
        -            value: two
    "#]],
    );
    check(
        WEB,
        &[("spec.template.spec.containers[name=log]", None)],
        &expect![[r#"
        -        - name: log
        -          image: registry.example/log:2
    "#]],
    );
    check(
        WEB,
        &[(
            "spec.template.spec.containers[name=new]",
            Some(json!({"name": "new", "image": "x:1"})),
        )],
        &expect![[r#"
        +        - image: x:1
        +          name: new
    "#]],
    );
    check(
        "a:\n  b: 1\nc: 2\n",
        &[("a.b", None)],
        &expect![[r#"
        -a:
        -  b: 1
        +a: {}
    "#]],
    );
    check(
        "a: 1\nb:\n- x: 1\n",
        &[("b[x=1]", None)],
        &expect![[r#"
        -b:
        -- x: 1
        +b: []
    "#]],
    );
    check(
        "a: 1",
        &[("b", Some(json!({"c": [1, "no"], "d": {}})))],
        &expect![[r#"
        -a: 1
        +a: 1
        +b:
        +  c:
        +    - 1
        +    - "no"
        +  d: {}
    "#]],
    );
}

#[test]
fn blocks_keep_their_indentation() {
    let text = "data:\n  app.conf: |\n    color = red\n\n    size = 2\n  COLOR: red\n";
    let at = r#"data["app.conf"]"#;
    check(
        text,
        &[(at, Some(json!("color = blue\n\nsize = 2\n")))],
        &expect![[r#"
        -    color = red
        +    color = blue
    "#]],
    );
    check(
        text,
        &[(at, Some(json!("color = blue\nsize = 2")))],
        &expect![[r#"
        -  app.conf: |
        -    color = red
        -
        +  app.conf: |-
        +    color = blue
    "#]],
    );
    check(
        text,
        &[(at, Some(json!("\tx\ny\n")))],
        &expect![[r#"
        -  app.conf: |
        -    color = red
        -
        -    size = 2
        +  app.conf: "\tx\ny\n"
    "#]],
    );
    check(
        text,
        &[(at, Some(json!("one")))],
        &expect![[r#"
        -  app.conf: |
        -    color = red
        -
        -    size = 2
        +  app.conf: "one"
    "#]],
    );
    check(
        text,
        &[("data.COLOR", Some(json!("a\nb\n")))],
        &expect![[r#"
        -  COLOR: red
        +  COLOR: "a\nb\n"
    "#]],
    );
    check(
        text,
        &[(r#"data["b.conf"]"#, Some(json!("a\nb\n")))],
        &expect![[r#"
        +  b.conf: |
        +    a
        +    b
    "#]],
    );
}

#[test]
fn doubt_refuses() {
    check(
        "a: &x 1\nb: 2\n",
        &[("b", Some(json!(3)))],
        &expect![[r#"
            -b: 2
            +b: 3
        "#]],
    );
    check(
        "a: 0644\nb: 2\n",
        &[("a", Some(json!(3)))],
        &expect![[r#"
        line 1: readers disagree about `0644`; put it in quotes or write it in decimal
    "#]],
    );
    check(
        "a: 0644\nb: 2\n",
        &[("b", Some(json!(3)))],
        &expect![[r#"
        -b: 2
        +b: 3
    "#]],
    );
    check(
        "a: 1\n",
        &[("a.b", Some(json!(3)))],
        &expect![[r#"
        the path `a.b` does not fit the object: `b` is not in a map
    "#]],
    );
}

#[test]
fn braces_are_data_in_a_new_value() {
    check(
        "a: 1\n",
        &[("a", Some(json!("{{ .Values.a }}")))],
        &expect![[r#"
        -a: 1
        +a: "{{ .Values.a }}"
    "#]],
    );
}

#[test]
fn a_document_goes_and_the_others_stay() {
    assert_eq!(delete("a: 1\n", 0), Ok(None));
    assert_eq!(delete("a: 1\n---\nb: 2\n", 0), Ok(Some("---\nb: 2\n".to_owned())));
    assert_eq!(
        delete("a: 1\n---\nb: 2\n---\nc: |\n  x\n", 1),
        Ok(Some("a: 1\n---\nc: |\n  x\n".to_owned()))
    );
    assert_eq!(delete("---\na: 1\n---\nb: 2\n", 1), Ok(Some("---\na: 1\n".to_owned())));
    assert_eq!(delete("---\na: &x 1\n---\nb: 2\n", 1), Ok(Some("---\na: &x 1\n".to_owned())));
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "[ -~]{0,12}".prop_map(Value::from),
        "[a-z:#'\" \n\t-]{0,12}".prop_map(Value::from),
        prop_oneof![
            "yes",
            "012",
            "1e3",
            "null",
            "2026-01-01",
            "- a",
            "a: b",
            "a #b",
            "ä",
            "\u{85}x"
        ]
        .prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
        Just(json!({"x": "y", "z": [1, {"q": "no"}]})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is changed: the result is what was meant, or nothing; and lines that were not named
    /// stay in their order.
    #[test]
    fn an_edit_does_what_is_meant_or_nothing(
        at in prop_oneof![
            Just("spec.replicas"), Just("spec.paused"), Just("metadata.name"),
            Just("metadata.labels.tier"), Just("metadata.labels"), Just("metadata.annotations.x"),
            Just("spec.template.spec.containers[name=web].image"),
            Just("spec.template.spec.containers[name=web].env"),
            Just("spec.template.spec.containers[name=log].image"),
            Just("spec.template.metadata.labels.a"), Just("spec"), Just("top"),
            Just("spec.template.spec.containers[name=log]"),
            Just("spec.template.spec.containers[name=web].env[name=B]")
        ],
        value in prop::option::of(leaf()),
    ) {
        let text = WEB;
        let mut meant = read(text).unwrap()[0].root.value();
        if path(at).set(&mut meant, value.clone()).is_err() {
            return Ok(());
        }
        let simple = !matches!(value, Some(Value::Array(_) | Value::Object(_)));
        let after = patch(text, 0, &[(path(at), value)]);
        if let Ok(after) = after {
            let documents = read(&after).unwrap();
            prop_assert_eq!(documents[0].root.value(), meant);
            prop_assert_eq!(documents.len(), 2);
            let second = text.find("---").unwrap();
            prop_assert!(after.ends_with(&text[second..]));
            prop_assert!(after.starts_with("# The shop's front.\napiVersion: apps/v1\n"));
        } else {
            prop_assert!(!simple, "{:?}", after);
        }
    }
}
