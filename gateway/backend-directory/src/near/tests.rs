//! Near misses over a real tree.

use crate::fixture;
use crate::look::Looker;
use cofferdam_core::model::ceiling::Grant;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Action, Change, Operation, Step, Target};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_process::rooted_fs::Root;
use expect_test::{Expect, expect};
use serde_json::json;
use std::fs;

const TREE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: storefront}
spec: {replicas: 3, template: {spec: {containers: [{name: web, image: w}, {name: metrics, image: \
                    m}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: storefront}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: journal, namespace: storefront}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: storefront}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: base}
---
apiVersion: v1
kind: Namespace
metadata: {name: empty}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ledger, namespace: payments}
";

fn trust(namespaces: &[&str]) -> Trust {
    let grant = |action, fields: &[&str]| Grant {
        action,
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let grants = vec![
        grant(Action::List, &["metadata.name"]),
        grant(Action::Read, &["spec.replicas"]),
        grant(Action::Patch, &["spec.template.spec.containers[*].image"]),
        grant(Action::Delete, &[]),
    ];
    fixture::trust(grants)
}

fn target(namespace: &str, name: &str) -> Target {
    Target {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn list(namespace: &str) -> Operation {
    Operation::List {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespace: namespace.into(),
        fields: vec!["metadata.name".into()],
        limit: 10,
    }
}

fn told(operation: Operation, namespaces: &[&str]) -> String {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("all.yaml"), TREE).unwrap();
    let looker = Looker::new(Root::open(place.path()).unwrap(), std::time::Instant::now);
    let (tool, digest) = ("t".to_owned(), ComponentDigest::of(b"t"));
    let looks = operation.action().reads();
    let operations = vec![Step { operation, after: vec![], reversible: false }];
    let look = if looks {
        ReadRequest::Read { tool, digest, operations }
    } else {
        ReadRequest::Preview { tool, digest, operations }
    };
    match looker.look(&look, &trust(namespaces)).unwrap() {
        ReadResponse::Refused { code, reason, remedy } => {
            format!("{code}: {reason}\nallowed: {remedy}\n")
        }
        ReadResponse::Results { results, .. } => format!("{}\n", json!(results)),
        ReadResponse::Preview { .. } => "a preview\n".to_owned(),
    }
}

fn check(operation: Operation, expect: &Expect) {
    expect.assert_eq(&told(operation, &["*"]));
}

#[test]
fn an_unknown_namespace_is_not_an_empty_one() {
    check(
        list("store-front"),
        &expect![
            "not-found: there is no namespace `store-front` here (one object of the tree names no \
             namespace); did you mean `storefront`?\nallowed: one of these namespaces: `empty`, \
             `payments` and `storefront`\n"
        ],
    );
    check(
        list("nowhere"),
        &expect![
            "not-found: there is no namespace `nowhere` here (one object of the tree names no \
             namespace)\nallowed: one of these namespaces: `empty`, `payments` and `storefront`\n"
        ],
    );
    check(list("empty"), &expect!["[{\"items\":[],\"truncated\":false}]\n"]);
    check(
        Operation::Delete { target: target("paymets", "ledger") },
        &expect![
            "not-found: there is no namespace `paymets` here (one object of the tree names no \
             namespace); did you mean `payments`?\nallowed: one of these namespaces: `empty`, \
             `payments` and `storefront`\n"
        ],
    );
}

#[test]
fn a_name_or_kind_that_was_missed_is_suggested() {
    let read = |name: &str| Operation::Read {
        target: target("storefront", name),
        fields: vec!["spec.replicas".into()],
    };
    check(
        read("journal"),
        &expect![
            "not-found: there is no Deployment journal in namespace storefront; there is a \
             StatefulSet journal\nallowed: a Deployment of this namespace: `api` and `web`\n"
        ],
    );
    check(
        read("wev"),
        &expect![
            "not-found: there is no Deployment wev in namespace storefront; did you mean \
             `web`?\nallowed: a Deployment of this namespace: `api` and `web`\n"
        ],
    );
    check(
        read("checkout"),
        &expect![
            "not-found: there is no Deployment checkout in namespace storefront\nallowed: a \
             Deployment of this namespace: `api` and `web`\n"
        ],
    );
    check(
        read("token"),
        &expect![
            "not-found: there is no Deployment token in namespace storefront\nallowed: a \
             Deployment of this namespace: `api` and `web`\n"
        ],
    );
}

#[test]
fn a_container_that_was_missed_is_told_with_those_there_are() {
    let path = "spec.template.spec.containers[name=app].image";
    let changes = vec![Change { path: path.into(), value: Some(json!("x:1")) }];
    check(
        Operation::Patch { target: target("storefront", "web"), changes },
        &expect![
            "conflict: Deployment web has no container `app`; it has `web` and \
             `metrics`\nallowed: name fields and list members as they are\n"
        ],
    );
}

#[test]
fn nothing_is_told_of_namespaces_that_the_tool_does_not_reach() {
    let told = told(list("store-x"), &["store*"]);
    assert!(
        told.contains("`storefront`") && !told.contains("payments") && !told.contains("empty"),
        "{told}"
    );
}
