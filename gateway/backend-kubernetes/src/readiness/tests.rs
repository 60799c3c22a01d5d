//! Tests of readiness: statuses as controllers write them.

use super::*;
use cofferdam_core::model::id::ObjectDigest;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::preview::Rest;
use serde_json::json;
use std::collections::BTreeMap;

fn approved(after: Value) -> PreviewedOperation {
    let text = |text: &str| text.to_owned();
    PreviewedOperation {
        index: 0,
        target: Target {
            group: text("apps"),
            version: text("v1"),
            kind: text("Deployment"),
            namespace: text("shop"),
            name: text("web"),
        },
        expect: Expect::Present { uid: text("u1"), digest: ObjectDigest::of(b"") },
        before: BTreeMap::new(),
        after: serde_json::from_value(after).unwrap(),
        place: String::new(),
        remarks: vec![],
        rest: Rest::default(),
    }
}

#[track_caller]
fn check(kind: &str, spec: Value, status: Value, expect: Observed) {
    let live = json!({
        "kind": kind,
        "metadata": {"uid": "u1", "generation": 2},
        "spec": spec,
        "status": status,
    });
    assert_eq!(readiness(Some(&live), &approved(json!({"spec.replicas": 3}))), expect);
}

#[test]
fn deployments() {
    let status = |updated: i64, all: i64, available: i64| {
        json!({
            "observedGeneration": 2,
            "updatedReplicas": updated,
            "replicas": all,
            "availableReplicas": available,
        })
    };
    let spec = json!({"replicas": 3});
    check(
        "Deployment",
        spec.clone(),
        json!({"observedGeneration": 1}),
        Observed::progressing("its controller has not seen the change yet"),
    );
    check("Deployment", spec.clone(), status(1, 3, 3), Observed::progressing("1 of 3 are updated"));
    check(
        "Deployment",
        spec.clone(),
        status(3, 4, 3),
        Observed::progressing("1 of the old ones are still there"),
    );
    check(
        "Deployment",
        spec.clone(),
        status(3, 3, 2),
        Observed::progressing("2 of 3 are available"),
    );
    check("Deployment", spec.clone(), status(3, 3, 3), Observed::Ready);
    check("Deployment", json!({"replicas": 0}), json!({"observedGeneration": 2}), Observed::Ready);
    check(
        "Deployment",
        json!({"replicas": 3, "paused": true}),
        status(3, 3, 3),
        Observed::failed("it is paused: nothing is rolled out"),
    );
    let mut late = status(1, 3, 2);
    late["conditions"] = json!([
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": "timed out",
        },
    ]);
    check("Deployment", spec, late, Observed::failed("ProgressDeadlineExceeded: timed out"));
}

#[test]
fn other_workloads() {
    let half = json!({
        "observedGeneration": 2,
        "replicas": 3,
        "updatedReplicas": 1,
        "availableReplicas": 3,
        "updateRevision": "b",
        "currentRevision": "a",
    });
    check(
        "StatefulSet",
        json!({"replicas": 3}),
        half.clone(),
        Observed::progressing("1 of 3 are updated"),
    );
    check(
        "StatefulSet",
        json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}}),
        half,
        Observed::Ready,
    );
    let set = json!({
        "observedGeneration": 2,
        "desiredNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 1,
    });
    check("DaemonSet", json!({}), set, Observed::progressing("1 of 2 are available"));
    check("Job", json!({}), json!({"active": 1}), Observed::progressing("0 are done, 1 run"));
    check(
        "Job",
        json!({}),
        json!({"conditions": [{"type": "Complete", "status": "True"}]}),
        Observed::Ready,
    );
    let failed = json!({
        "conditions": [
            {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "late"},
        ],
    });
    check("Job", json!({}), failed, Observed::failed("DeadlineExceeded: late"));
    check(
        "Pod",
        json!({}),
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
        Observed::Ready,
    );
    check("Pod", json!({}), json!({"phase": "Pending"}), Observed::progressing("Pending"));
    check(
        "Pod",
        json!({}),
        json!({"phase": "Failed", "reason": "Evicted"}),
        Observed::failed("it failed: Evicted "),
    );
    check("ConfigMap", json!({}), json!({}), Observed::Ready);
}

#[test]
fn an_object_that_is_another_or_gone() {
    let live = json!({"kind": "ConfigMap", "metadata": {"uid": "u2"}});
    let changed = approved(json!({"data.a": "b"}));
    assert_eq!(
        readiness(Some(&live), &changed),
        Observed::failed("it was replaced by another of its name")
    );
    assert_eq!(readiness(None, &changed), Observed::failed("it is not there any more"));
    let deleted = approved(json!({}));
    assert_eq!(readiness(None, &deleted), Observed::Ready);
    assert_eq!(readiness(Some(&live), &deleted), Observed::Ready);
    let going = json!({
        "kind": "ConfigMap",
        "metadata": {"uid": "u1", "deletionTimestamp": "2026-11-23T14:00:00Z"},
    });
    assert_eq!(readiness(Some(&going), &deleted), Observed::progressing("it is being deleted"));
    assert_eq!(readiness(Some(&going), &changed), Observed::failed("it is being deleted"));
}
