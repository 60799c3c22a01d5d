//! Looks at real trees: what is shown, what is refused, and what is named instead of guessed.

use super::*;
use crate::fixture;
use cofferdam_core::model::ceiling::Grant;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Action, Change, Target};
use cofferdam_core::model::preview::Expect as Expected;
use expect_test::{Expect, expect};
use std::fs;

const TREE: [(&str, &str); 9] = [
    (
        "shop/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: team-a, labels: \
         {app: web}}\nspec:\n  replicas: 3\n  minReadySeconds: 010\n  template:\n    spec:\n      \
         containers:\n      - name: web\n        image: web:1\n",
    ),
    (
        "shop/api.yml",
        "# two\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: api\n  namespace: \
         team-a\nspec:\n  replicas: 1\n",
    ),
    (
        "twice/one.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice, namespace: team-a}\ndata: {a: \
         b}\n",
    ),
    (
        "twice/two.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice, namespace: team-a}\ndata: {a: \
         c}\n",
    ),
    (
        "chart/values.yaml",
        "kind: ConfigMap\nmetadata:\n  name: made\n  namespace: team-a\ndata:\n  a: {{ .Values.a \
         }}\n",
    ),
    (
        "anchor.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: anchored, namespace: team-a}\ndata: \
         {a: &x b, c: *x}\n",
    ),
    ("nowhere.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nowhere}\ndata: {a: b}\n"),
    (
        ".hidden/no.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hidden, namespace: team-a}\n",
    ),
    ("kustomization.yaml", "resources:\n- shop/api.yml\n"),
];

fn trust() -> Trust {
    let grant = |action, group: &str, kind: &str, fields: &[&str]| Grant {
        action,
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespaces: vec!["team-*".into()],
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let grants = vec![
        grant(
            Action::Read,
            "apps",
            "Deployment",
            &["spec.replicas", "spec.minReadySeconds", "spec.template.spec.containers[*].image"],
        ),
        grant(Action::List, "apps", "Deployment", &["spec.replicas", "metadata.name"]),
        grant(Action::Patch, "apps", "Deployment", &["spec.replicas", "metadata.annotations.*"]),
        grant(Action::Patch, "", "ConfigMap", &["data.*"]),
        grant(Action::Delete, "apps", "Deployment", &[]),
        grant(Action::Logs, "", "Pod", &[]),
    ];
    fixture::trust(grants)
}

fn target(kind: &str, name: &str) -> Target {
    let group = if kind == "Deployment" { "apps" } else { "" };
    Target {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespace: "team-a".into(),
        name: name.into(),
    }
}

fn read(name: &str, field: &str) -> Operation {
    Operation::Read { target: target("Deployment", name), fields: vec![field.into()] }
}

fn patch(kind: &str, name: &str, path: &str, value: Value) -> Operation {
    Operation::Patch {
        target: target(kind, name),
        changes: vec![Change { path: path.into(), value: Some(value) }],
    }
}

fn tree() -> (tempfile::TempDir, Looker) {
    let place = tempfile::tempdir().unwrap();
    for (path, text) in TREE {
        let at = place.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
    fs::write(place.path().join("outside"), "x").unwrap();
    std::os::unix::fs::symlink("shop/web.yaml", place.path().join("link.yaml")).unwrap();
    let root = Root::open(place.path()).unwrap();
    (place, Looker::new(root, std::time::Instant::now))
}

fn check(operation: Operation, expect: &Expect) {
    let (_place, looker) = tree();
    let (tool, digest) = ("t".to_owned(), ComponentDigest::of(b"t"));
    let looks = operation.action().reads();
    let operations = vec![Step { operation, after: vec![], reversible: false }];
    let look = if looks {
        ReadRequest::Read { tool, digest, operations }
    } else {
        ReadRequest::Preview { tool, digest, operations }
    };
    let shown = match looker.look(&look, &trust()).unwrap() {
        ReadResponse::Preview { preview } => {
            let one = &preview.operations[0];
            assert!(
                matches!(&one.expect, Expected::Present { uid, .. } if uid.starts_with("file-"))
            );
            format!("{} {} -> {}\n", one.place, json!(one.before), json!(one.after))
        }
        ReadResponse::Results { results, left_out, .. } => {
            let left_out: String = left_out
                .places
                .iter()
                .map(|place| format!("left out: {}\n", place.words()))
                .collect();
            format!("{}\n{left_out}", results[0])
        }
        ReadResponse::Refused { code, reason, .. } => format!("{code}: {reason}\n"),
    };
    expect.assert_eq(&shown);
}

#[test]
fn what_the_ceiling_permits_is_shown() {
    check(
        read("web", "spec.replicas"),
        &expect![[r#"
        {"fields":{"spec.replicas":3}}
    "#]],
    );
    check(
        read("web", "spec.template.spec.containers[*].image"),
        &expect![[r#"
        {"fields":{"spec.template.spec.containers[*].image":["web:1"]}}
    "#]],
    );
    check(
        Operation::List {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            namespace: "team-a".into(),
            fields: vec!["spec.replicas".into()],
            limit: 1,
        },
        &expect![[r#"
            {"items":[{"metadata.name":"api","spec.replicas":1}],"truncated":true}
        "#]],
    );
    check(
        patch("Deployment", "web", "spec.replicas", json!(5)),
        &expect![[r#"
        shop/web.yaml:1 {"spec.replicas":3} -> {"spec.replicas":5}
    "#]],
    );
    check(
        patch(
            "Deployment",
            "api",
            r#"metadata.annotations["example.com/at"]"#,
            json!({"$host": "started_at"}),
        ),
        &expect![[r#"
        shop/api.yml:3 {"metadata.annotations[\"example.com/at\"]":null} -> {"metadata.annotations[\"example.com/at\"]":{"$host":"started_at"}}
    "#]],
    );
    check(
        Operation::Delete { target: target("Deployment", "web") },
        &expect![[r#"
        shop/web.yaml:1 {"metadata.labels":{"app":"web"},"spec.replicas":3,"spec.template.spec.containers[*].image":["web:1"]} -> {}
    "#]],
    );
}

#[test]
fn what_it_does_not_permit_or_what_is_in_doubt_is_refused() {
    check(
        read("web", "spec.paused"),
        &expect![[r#"
        beyond-ceiling: operation 0 is beyond the tool's ceiling, which lacks the line: read apps/v1 Deployment field spec.paused
    "#]],
    );
    check(
        read("web", "spec.minReadySeconds"),
        &expect![[r#"
            ambiguous: `shop/web.yaml:6` has a value that readers disagree about; put it in quotes or write it in decimal
        "#]],
    );
    check(
        read("gone", "spec.replicas"),
        &expect![[r#"
        not-found: there is no Deployment gone in namespace team-a
    "#]],
    );
    check(
        patch("ConfigMap", "twice", "data.a", json!("x")),
        &expect![[r#"
            ambiguous: ConfigMap twice in namespace team-a cannot be told for sure: it is in `twice/one.yaml:1` and in `twice/two.yaml:1`
        "#]],
    );
    check(
        patch("ConfigMap", "made", "data.a", json!("x")),
        &expect![[r#"
            ambiguous: ConfigMap made in namespace team-a cannot be told for sure: `chart/values.yaml:6` is a template; only plain manifests can be changed
        "#]],
    );
    check(
        patch("ConfigMap", "anchored", "data.a", json!("x")),
        &expect![[r#"
            ambiguous: `anchor.yaml:4` has an anchor; write the value out where it is used
        "#]],
    );
    check(
        patch("ConfigMap", "nowhere", "data.a", json!("x")),
        &expect![[r#"
        ambiguous: ConfigMap nowhere in namespace team-a cannot be told for sure: `nowhere.yaml:1` has no `metadata.namespace`; write it there
    "#]],
    );
    check(
        patch("ConfigMap", "hidden", "data.a", json!("x")),
        &expect![[r#"
            not-found: there is no ConfigMap hidden in namespace team-a; it may be where nothing is certain: `nowhere.yaml:1` (ConfigMap nowhere) has no `metadata.namespace`; write it there; `chart/values.yaml:6` is a template; only plain manifests can be changed
        "#]],
    );
    check(
        patch("Secret", "s", "data.a", json!("x")),
        &expect![[r#"
        beyond-ceiling: operation 0: Secrets are never read or written by a plan; let workloads reference them by name
    "#]],
    );
    check(
        patch("Deployment", "web", "spec.replicas.deep", json!(1)),
        &expect![[r#"
        beyond-ceiling: operation 0 is beyond the tool's ceiling, which lacks the line: patch apps/v1 Deployment field spec.replicas.deep
    "#]],
    );
    check(
        Operation::Logs { target: target("Pod", "p"), container: None, lines: 5 },
        &expect![[r#"
        unsupported: this environment is a folder of manifests: `logs` needs a cluster
    "#]],
    );
}

#[test]
fn another_component_or_an_unknown_tool_sees_nothing() {
    let (_place, looker) = tree();
    let operations =
        vec![Step { operation: read("web", "spec.replicas"), after: vec![], reversible: false }];
    for (tool, digest) in [("t", ComponentDigest::of(b"other")), ("u", ComponentDigest::of(b"t"))] {
        let look = ReadRequest::Read { tool: tool.into(), digest, operations: operations.clone() };
        assert!(matches!(looker.look(&look, &trust()).unwrap(), ReadResponse::Refused { code,
            .. } if code == "beyond-ceiling"));
    }
}

#[test]
fn a_file_that_changed_is_read_again_and_the_rest_is_not() {
    let (place, looker) = tree();
    let first = looker.tree.index(&[]).unwrap();
    assert_eq!(first.survey().len(), 3, "{:?}", first.survey());
    let web = target("Deployment", "web");
    let replicas =
        |index: &Index| index.find(&web).unwrap().object.value()["spec"]["replicas"].clone();
    assert_eq!(replicas(&first), json!(3));
    fs::write(place.path().join("shop/web.yaml"), TREE[0].1.replace("replicas: 3", "replicas: 4"))
        .unwrap();
    assert_eq!(replicas(&looker.tree.index(&[]).unwrap()), json!(4));
}

#[test]
fn the_value_at_a_path_is_that_of_the_whole_object() {
    let text = "a: {b: 1, b: 2, \"\": x}\nlist:\n- {name: one, deep: {c: [1, {d: 2}]}}\n- {name: \
                two}\n- three\n- [{name: four}]\nnone:\ntext: t\nempty: []\n";
    let documents = crate::read::read(text).unwrap();
    let object = &documents[0].root;
    for path in [
        "a",
        "a.b",
        "a.b.c",
        "a.other",
        "list",
        "list.name",
        "list[*]",
        "list[*].name",
        "list[*].deep.c",
        "list[*].deep.c[*].d",
        "list[*][*].name",
        "list[name=one].deep.c[*].d",
        "list[name=other]",
        "none",
        "none.a",
        "none[*]",
        "text[*].a",
        "empty[*].a",
        "absent.a[*]",
    ] {
        let field = FieldPath::parse(path).unwrap();
        assert_eq!(value(object, &field), field.get(&object.value()), "{path}");
    }
}
