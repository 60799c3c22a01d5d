//! Tests of the guards: as they are written, word for word.

use super::*;
use crate::labels::RunName;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use expect_test::expect;
use jiff::Timestamp;
use serde_json::json;

pub(crate) fn marks() -> Marks {
    let name = RunName::new(&CallId::from_random(0), Fence(2));
    Marks {
        name,
        expires: "2026-11-23T14:00:00Z".parse::<Timestamp>().unwrap(),
        plan: PlanDigest::of(b"plan"),
    }
}

#[test]
fn the_namespace_says_whose_it_is_and_when_it_ends() {
    let guard = namespace(&marks(), &["api", "shop"], &["v1/pods/cofferdam-task-0".to_owned()]);
    expect![[r#"
        /api/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2
        {
          "apiVersion": "v1",
          "kind": "Namespace",
          "metadata": {
            "annotations": {
              "cofferdam.dev/expires-at": "2026-11-23T14:00:00Z",
              "cofferdam.dev/plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
              "cofferdam.dev/targets": "api,shop",
              "cofferdam.dev/workload": "v1/pods/cofferdam-task-0"
            },
            "labels": {
              "app.kubernetes.io/managed-by": "cofferdam",
              "cofferdam.dev/call": "aaaaaaaaaaaaaaaaaaaaaaaaaa",
              "cofferdam.dev/fence": "2",
              "cofferdam.dev/managed": "true",
              "pod-security.kubernetes.io/audit": "restricted",
              "pod-security.kubernetes.io/audit-version": "v1.33",
              "pod-security.kubernetes.io/enforce": "restricted",
              "pod-security.kubernetes.io/enforce-version": "v1.33",
              "pod-security.kubernetes.io/warn": "restricted",
              "pod-security.kubernetes.io/warn-version": "v1.33"
            },
            "name": "cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2"
          }
        }
    "#]]
    .assert_eq(&format!("{}\n{:#}\n", guard.path, guard.object));
}

#[test]
fn the_guards_are_these() {
    let shown = guards(&marks()).into_iter().map(|Guard { path, mut object }| {
        // The same on each: see the namespace.
        object.as_object_mut().unwrap().remove("metadata");
        format!("{path}\n{object}\n")
    });
    expect![[r#"
        /api/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/resourcequotas/limits
        {"apiVersion":"v1","kind":"ResourceQuota","spec":{"hard":{"count/configmaps":"129","count/cronjobs.batch":"20","count/deployments.apps":"20","count/jobs.batch":"20","count/replicasets.apps":"40","count/rolebindings.rbac.authorization.k8s.io":"3","count/roles.rbac.authorization.k8s.io":"1","count/secrets":"1","count/serviceaccounts":"3","count/statefulsets.apps":"20","limits.cpu":"8","limits.ephemeral-storage":"4Gi","limits.memory":"8Gi","persistentvolumeclaims":"0","pods":"20","requests.cpu":"8","requests.ephemeral-storage":"4Gi","requests.memory":"8Gi","services":"10","services.loadbalancers":"0","services.nodeports":"0"}}}
        /api/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/limitranges/defaults
        {"apiVersion":"v1","kind":"LimitRange","spec":{"limits":[{"default":{"cpu":"500m","ephemeral-storage":"64Mi","memory":"512Mi"},"defaultRequest":{"cpu":"500m","ephemeral-storage":"64Mi","memory":"512Mi"},"max":{"cpu":"4","ephemeral-storage":"2Gi","memory":"4Gi"},"type":"Container"}]}}
        /apis/networking.k8s.io/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/networkpolicies/deny-all
        {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","spec":{"podSelector":{},"policyTypes":["Ingress","Egress"]}}
        /api/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/serviceaccounts/job
        {"apiVersion":"v1","automountServiceAccountToken":false,"kind":"ServiceAccount"}
        /api/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/serviceaccounts/task
        {"apiVersion":"v1","automountServiceAccountToken":false,"kind":"ServiceAccount"}
        /api/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/secrets/cofferdam-identity
        {"apiVersion":"v1","immutable":true,"kind":"Secret","type":"Opaque"}
    "#]].assert_eq(&shown.collect::<String>());
}

const POLICY: &str = include_str!("../../../../deploy/10-fence-provisioner.yaml");

/// A map that a policy of `deploy/` has as a variable; it is written as JSON.
fn variable(name: &str) -> Value {
    let policy = POLICY;
    let (_, rest) = policy.split_once(&format!("  - name: {name}\n    expression: >-\n")).unwrap();
    let lines = rest.lines().take_while(|line| line.starts_with("      "));
    serde_json::from_str(&lines.collect::<String>()).unwrap()
}

#[test]
fn admission_holds_the_provisioner_to_what_is_written_here() {
    assert_eq!(variable("most"), to_json(&hard()));
    assert_eq!(variable("mostOfOne"), to_json(&most_of_one()));
    assert!(POLICY.contains(&format!(
        "'pod-security.kubernetes.io/enforce-version'].orValue('') == '{POD_SECURITY}'"
    )));
    assert!(
        POLICY.contains(&format!("key.endsWith('-version') ? '{POD_SECURITY}' : 'restricted'"))
    );
}

#[test]
fn what_the_provisioner_takes_on_is_for_itself_alone() {
    let shown = [in_run(&marks()), as_job(&marks())].map(|Guard { path, mut object }| {
        object.as_object_mut().unwrap().remove("metadata");
        format!("{path}\n{object}\n")
    });
    expect![[r#"
        /apis/rbac.authorization.k8s.io/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/rolebindings/provisioner
        {"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cofferdam-in-run"},"subjects":[{"kind":"ServiceAccount","name":"provisioner","namespace":"cofferdam-system"}]}
        /apis/rbac.authorization.k8s.io/v1/namespaces/cofferdam-run-aaaaaaaaaaaaaaaaaaaaaaaaaa-2/rolebindings/as-job
        {"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cofferdam-as-job"},"subjects":[{"kind":"ServiceAccount","name":"provisioner","namespace":"cofferdam-system"}]}
    "#]]
    .assert_eq(&shown.concat());
}

#[test]
fn a_quota_without_its_status_is_not_enforced() {
    let hard = json!({"pods": "2"});
    assert!(!is_enforced(&json!({"spec": {"hard": hard}})));
    assert!(!is_enforced(&json!({"spec": {"hard": hard}, "status": {"hard": {"pods": "1"}}})));
    assert!(is_enforced(
        &json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": {"pods": "0"}}})
    ));
    assert!(!is_enforced(&json!({})));
}
