//! Tests of derived rights: as they are written, and what the gate lets through.

use super::*;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use expect_test::{Expect, expect};
use jiff::Timestamp;
use serde_json::json;

fn marks() -> Marks {
    let name = RunName::new(&CallId::from_random(0), Fence(2));
    Marks {
        name,
        expires: "2026-11-23T14:00:00Z".parse::<Timestamp>().unwrap(),
        plan: PlanDigest::of(b"plan"),
    }
}

fn steps(operations: Value) -> Vec<Step> {
    let all = operations.as_array().unwrap().iter().map(|operation| {
        let mut step = operation.clone();
        step.as_object_mut().unwrap().entry("after").or_insert(json!([]));
        step.as_object_mut().unwrap().entry("reversible").or_insert(json!(false));
        serde_json::from_value(step).unwrap()
    });
    all.collect()
}

fn web() -> Value {
    json!({
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "web",
    })
}

fn scale() -> Value {
    json!({"action": "patch", "target": web(), "changes": [{"path": "spec.replicas", "value": 5}]})
}

fn task() -> Value {
    let reference = format!("registry.example/probe@sha256:{}", "a".repeat(64));
    json!({
        "action": "task",
        "name": "probe",
        "program": {"image": {"reference": reference, "arguments": []}},
        "input": "",
        "seconds": 5,
    })
}

fn ephemeral() -> Value {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"a": "b"},
    });
    json!({"action": "apply", "place": "ephemeral", "object": object, "reversible": true})
}

/// A line per rule, and who gets it.
fn render(derived: &Derived) -> String {
    let text = |value: &Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(",")
    };
    let rules = derived.role["rules"].as_array().unwrap().iter().map(|rule| {
        format!(
            "  {} {}/{} {}\n",
            text(&rule["verbs"]),
            text(&rule["apiGroups"]),
            text(&rule["resources"]),
            text(&rule["resourceNames"])
        )
    });
    let subject = &derived.binding["subjects"][0];
    assert_eq!(derived.binding["subjects"].as_array().unwrap().len(), 1);
    assert_eq!(derived.binding["roleRef"]["name"], derived.role["metadata"]["name"]);
    format!(
        "{}/{} for {}:{}\n{}",
        derived.namespace,
        derived.name(),
        subject["namespace"],
        subject["name"],
        rules.collect::<String>()
    )
}

#[track_caller]
fn check(operations: Value, expect: &Expect) {
    let steps = steps(operations);
    let facts = facts_of(&steps).unwrap();
    let targets = at_targets(&marks(), &facts).unwrap();
    let own = in_run(&marks(), &steps, &facts).unwrap();
    expect.assert_eq(&own.iter().chain(&targets).map(render).collect::<String>());
}

#[test]
fn rights_are_just_the_plans() {
    check(
        json!([scale()]),
        &expect![[r#"
        shop/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2 for "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2":"job"
          get,patch apps/deployments web
    "#]],
    );
    let mut delete = json!({"action": "delete", "target": web(), "reversible": true});
    check(
        json!([delete.clone()]),
        &expect![[r#"
        shop/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2 for "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2":"job"
          create,delete,get,patch apps/deployments web
    "#]],
    );
    delete["target"]["namespace"] = json!("other");
    check(
        json!([scale(), delete, task(), ephemeral()]),
        &expect![[r#"
        cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/job for "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2":"job"
          create,patch /configmaps cofferdam-task-2
          create,get,patch /pods cofferdam-task-2
          create,delete,patch /configmaps c
        other/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2 for "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2":"job"
          create,delete,get,patch apps/deployments web
        shop/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2 for "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2":"job"
          get,patch apps/deployments web
    "#]],
    );
}

#[test]
fn the_objects_are_as_admission_wants_them() {
    let steps = steps(json!([scale()]));
    let derived = at_targets(&marks(), &facts_of(&steps).unwrap()).unwrap().remove(0);
    expect![[r#"
        {
          "apiVersion": "rbac.authorization.k8s.io/v1",
          "kind": "Role",
          "metadata": {
            "annotations": {
              "cofferdam.dev/expires-at": "2026-11-23T14:00:00Z",
              "cofferdam.dev/plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525"
            },
            "labels": {
              "app.kubernetes.io/managed-by": "cofferdam",
              "cofferdam.dev/call": "aaaaaaaaaaaaaaaaaaaaaaaaaa",
              "cofferdam.dev/fence": "2",
              "cofferdam.dev/managed": "true"
            },
            "name": "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2",
            "namespace": "shop"
          },
          "rules": [
            {
              "apiGroups": [
                "apps"
              ],
              "resourceNames": [
                "web"
              ],
              "resources": [
                "deployments"
              ],
              "verbs": [
                "get",
                "patch"
              ]
            }
          ]
        }
        {
          "apiVersion": "rbac.authorization.k8s.io/v1",
          "kind": "RoleBinding",
          "metadata": {
            "annotations": {
              "cofferdam.dev/expires-at": "2026-11-23T14:00:00Z",
              "cofferdam.dev/plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525"
            },
            "labels": {
              "app.kubernetes.io/managed-by": "cofferdam",
              "cofferdam.dev/call": "aaaaaaaaaaaaaaaaaaaaaaaaaa",
              "cofferdam.dev/fence": "2",
              "cofferdam.dev/managed": "true"
            },
            "name": "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2",
            "namespace": "shop"
          },
          "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2"
          },
          "subjects": [
            {
              "kind": "ServiceAccount",
              "name": "job",
              "namespace": "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2"
            }
          ]
        }
    "#]]
    .assert_eq(&format!("{:#}\n{:#}\n", derived.role, derived.binding));
}

#[test]
fn what_cannot_be_bound_to_names_is_refused() {
    let steps =
        steps(json!([{"action": "list", "group": "apps", "version": "v1", "kind": "Deployment",
        "namespace": "shop",
        "fields": ["spec.replicas"], "limit": 5}]));
    let facts = facts_of(&steps).unwrap();
    assert!(
        at_targets(&marks(), &facts)
            .unwrap_err()
            .to_string()
            .contains("cannot be bound to named objects")
    );
    let mut odd = facts_of(&self::steps(json!([scale()]))).unwrap();
    odd[0].name = "*".to_owned();
    assert!(at_targets(&marks(), &odd).is_err());
    odd[0].name = String::new();
    assert!(at_targets(&marks(), &odd).is_err());
}

#[test]
fn the_gate_lets_through_the_plans_objects_alone() {
    let steps = steps(json!([scale(), task(), ephemeral()]));
    let gate = gate(&marks().name, &steps, &facts_of(&steps).unwrap());
    let run = marks().name.to_string();
    let at = "/apis/apps/v1/namespaces/shop/deployments/web";
    let own = |rest: &str| format!("/api/v1/namespaces/{run}/{rest}");
    for (method, path) in [
        (Method::GET, at.to_owned()),
        (Method::PATCH, at.to_owned()),
        (Method::PATCH, own("configmaps/c")),
        (Method::DELETE, own("configmaps/c")),
        (Method::PATCH, own("configmaps/cofferdam-task-1")),
        (Method::PATCH, own("pods/cofferdam-task-1")),
        (Method::GET, own("pods/cofferdam-task-1")),
    ] {
        assert!(gate.permits(&method, &path), "{method} {path}");
    }
    for (method, path) in [
        (Method::DELETE, at.to_owned()),
        (Method::PUT, at.to_owned()),
        (Method::PATCH, format!("{at}/scale")),
        (Method::PATCH, format!("{at}2")),
        (Method::PATCH, "/apis/apps/v1/namespaces/shop/deployments".to_owned()),
        (Method::GET, "/apis/apps/v1/namespaces/other/deployments/web".to_owned()),
        (Method::GET, own("pods/cofferdam-task-0")),
        (Method::GET, own("pods/cofferdam-task-1/log")),
        (Method::DELETE, own("pods/cofferdam-task-1")),
        (Method::GET, own("configmaps/c")),
        (Method::PATCH, own("secrets/cofferdam-identity")),
        (Method::POST, own("serviceaccounts/job/token")),
    ] {
        assert!(!gate.permits(&method, &path), "{method} {path}");
    }
}
