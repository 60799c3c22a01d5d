//! Plans that are carried out on a real API server, as the provisioner and as the identity of each
//! job: the effects, the refusals and the remaining objects. Never a fake server: a relay that cuts
//! connections loses responses.

mod egress;
mod faults;
pub mod namespace;
mod node;
mod reaping;

use super::client::{namespace_path, rbac};
use crate::cluster::until;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend_kubernetes::api::{ApiError, Mode, Only};
use cofferdam_core::model::id::Fence;
use cofferdam_core::model::job::OperationRecord;
use cofferdam_core::protocol::role_guest::Observed;
use cofferdam_core::text::difference;
use namespace::{TestNamespace, config_map, scale, target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// The largest number of writes of one job, by the audit log.
const WRITES: usize = 22;

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_job_acts_as_itself_and_leaves_nothing() {
    let ns = TestNamespace::of("acting-plain");
    ns.deployment("web");
    let began = Instant::now();
    let mut job = ns.begin(1, json!([scale("acting-plain", "web", 5)]), true);
    let made = began.elapsed();
    let run = job.namespace.name().to_owned();
    assert_eq!(
        ns.perform(&mut job, 0).unwrap(),
        BTreeMap::from([("spec.replicas".to_owned(), json!(5))])
    );
    let effected = began.elapsed();
    let live = ns.object("deployments", "web");
    assert_eq!(live["spec"]["replicas"], 5);
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|entry| entry["manager"] == "cofferdam-scaler"), "{managers:?}");
    // There is no node, and the controller of the Deployment reports it.
    let observed = ns.runtime.block_on(job.namespace.observe(&job.preview.operations[0])).unwrap();
    assert!(matches!(observed, Observed::Progressing { .. }), "{observed:?}");
    // The operation cannot run again: the approved state is gone.
    let once = ns.perform(&mut job, 0).unwrap_err().to_string();
    assert_eq!(
        once,
        "`spec.replicas` of Deployment web in namespace acting-plain was 3 and is 5 (by \
         `cofferdam-scaler`)"
    );
    assert_eq!(
        ns.undo(&mut job, 0).unwrap(),
        BTreeMap::from([("spec.replicas".to_owned(), json!(3))])
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 3);

    let ended = Instant::now();
    ns.remove(&run).unwrap();
    println!(
        "previewed and made after {made:?}, first effect after {effected:?}; observed gone {:?} \
         after its end",
        ended.elapsed()
    );
    ns.nothing_of(&run);
    let account = format!("system:serviceaccount:{run}:job");
    let writes = ns.writes_of(&run);
    assert!(
        writes.iter().any(
            |event| event["verb"] == "delete" && event["objectRef"]["resource"] == "namespaces"
        )
    );
    let cost = writes.iter().filter(|event| !namespace::met_a_status(event)).count();
    assert!(cost <= WRITES, "{cost} writes");
    println!("{cost} writes for one job with one target, its undo included");
    // In the target namespace only the job wrote the object, and only the provisioner wrote the
    // rights.
    for event in writes.iter().filter(|event| event["objectRef"]["namespace"] == "acting-plain") {
        let by_job = event["user"]["username"] == account.as_str();
        assert_eq!(by_job, event["objectRef"]["resource"] == "deployments", "{event}");
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn without_the_gate_the_cluster_refuses_what_is_wider() {
    let ns = TestNamespace::of("acting-wider");
    ns.deployment("web");
    ns.deployment("api");
    let mut job = ns.begin(1, json!([scale("acting-wider", "web", 5)]), false);
    let ungated = ns.runtime.block_on(job.namespace.job()).unwrap();
    let deployment = |name: &str| ns.path("deployments", name);
    let replicas = json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]);
    let asks: [(&str, Result<Value, ApiError>); 6] = ns.runtime.block_on(async {
        [
            ("patch another", ungated.patch(&deployment("api"), &replicas, "x", Mode::Real).await),
            (
                "delete it",
                ungated
                    .delete(&deployment("web"), Only::Any, Mode::Real)
                    .await
                    .map(|()| Value::Null),
            ),
            (
                "list them",
                ungated.list(&ns.collection("deployments"), "", 1).await.map(|_| Value::Null),
            ),
            (
                "list Secrets",
                ungated
                    .list("/api/v1/namespaces/acting-wider/secrets", "", 1)
                    .await
                    .map(|_| Value::Null),
            ),
            (
                "read its own Secret",
                ungated.get(&ns.own(&job, "secrets/cofferdam-identity")).await.map(|_| Value::Null),
            ),
            (
                "scale by the subresource",
                ungated.get(&format!("{}/scale", deployment("web"))).await.map(|_| Value::Null),
            ),
        ]
    });
    for (what, said) in asks {
        assert!(matches!(&said, Err(ApiError::Refused { status: 403, .. })), "{what}: {said:?}");
    }
    // The result of an operation beyond the plan, through all checks.
    let wider = ns.look(json!([scale("acting-wider", "api", 0)]));
    let host = ns.host();
    let (told, _nobody) = tokio::sync::mpsc::channel(1);
    let said = ns.runtime.block_on(job.namespace.perform(
        &wider.0[0].operation,
        &wider.1.operations[0],
        &host,
        &told,
    ));
    assert!(
        matches!(&said, Err(EffectError::Refused(why)) if why.contains("no right")),
        "{said:?}"
    );
    assert_eq!(ns.object("deployments", "api")["spec"]["replicas"], 3);
    ns.perform(&mut job, 0).unwrap();

    // With the gate the request is not sent.
    let gated = ns.begin(2, json!([scale("acting-wider", "web", 7)]), true);
    let cluster = ns.runtime.block_on(gated.namespace.job()).unwrap();
    let said = ns.runtime.block_on(cluster.get(&deployment("api")));
    assert!(matches!(said, Err(ApiError::Gated(_))), "{said:?}");
    for job in [&job, &gated] {
        ns.remove(job.namespace.name()).unwrap();
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn another_world_stops_the_job() {
    let ns = TestNamespace::of("acting-drift");
    ns.deployment("web");
    ns.deployment("other");
    let mut job = ns.begin(
        1,
        json!([scale("acting-drift", "web", 5), scale("acting-drift", "other", 5)]),
        true,
    );
    let mut strict = ns.begin_unchanged(2, json!([scale("acting-drift", "web", 5)]));
    // A label is not part of the plan. Its change stops the job if policy obliges to that, and is
    // only named otherwise.
    ns.merge("deployments", "web", &json!({"metadata": {"labels": {"drift": "yes"}}}));
    let stops = "`metadata.labels.drift` of Deployment web in namespace acting-drift was absent \
                 and is \"yes\" (by `";
    let check = ns.runtime.block_on(
        strict.namespace.check(&strict.steps[0].operation, &strict.preview.operations[0]),
    );
    assert!(
        matches!(&check, Err(EffectError::Changed(why)) if why.starts_with(stops)),
        "{check:?}"
    );
    let said = ns.perform(&mut strict, 0);
    assert!(matches!(&said, Err(EffectError::Changed(why)) if why.starts_with(stops)), "{said:?}");
    let check = ns
        .runtime
        .block_on(job.namespace.check(&job.steps[0].operation, &job.preview.operations[0]));
    assert!(check.is_ok(), "{check:?}");
    ns.perform(&mut job, 0).unwrap();
    let named = difference::sentence(job.namespace.meanwhile()).unwrap();
    assert!(
        named.starts_with(stops) && !named.contains("; "),
        "once, though it was looked at twice: {named}"
    );
    let live = ns.object("deployments", "web");
    assert_eq!(
        (&live["spec"]["replicas"], &live["metadata"]["labels"]["drift"]),
        (&json!(5), &json!("yes"))
    );
    // Another object with the same name and content.
    ns.delete("deployments", "other");
    ns.deployment("other");
    let said = ns.perform(&mut job, 1).unwrap_err().to_string();
    assert_eq!(said, "Deployment other in namespace acting-drift is another object now");
    assert_eq!(ns.object("deployments", "other")["spec"]["replicas"], 3);
    for job in [&job, &strict] {
        ns.remove(job.namespace.name()).unwrap();
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn deletes_and_applies_come_with_their_undo() {
    let ns = TestNamespace::of("acting-undo");
    for name in ["gone", "kept"] {
        ns.create("configmaps", &config_map(name, &json!({"a": "1"})));
    }
    let at = json!({"namespace": "acting-undo"});
    let operations = json!([
        {"action": "delete", "target": target("acting-undo", "", "ConfigMap", "gone"),
            "reversible": true},
        {"action": "apply", "place": at, "object": config_map("new", &json!({"b": "2"})),
            "reversible": true},
        {"action": "apply", "place": at, "object": config_map("kept", &json!({"b": "2"})),
            "reversible": true},
    ]);
    let mut job = ns.begin(1, operations, true);
    let before = ns.object("configmaps", "gone");
    assert_eq!(ns.perform(&mut job, 0).unwrap(), BTreeMap::new());
    assert_eq!(ns.status("configmaps", "gone"), 404);
    ns.perform(&mut job, 1).unwrap();
    assert_eq!(ns.object("configmaps", "new")["data"], json!({"b": "2"}));
    ns.perform(&mut job, 2).unwrap();
    assert_eq!(ns.object("configmaps", "kept")["data"], json!({"a": "1", "b": "2"}));
    let observed = ns.runtime.block_on(job.namespace.observe(&job.preview.operations[2])).unwrap();
    assert_eq!(observed, Observed::Ready);

    (0..3).for_each(|index| drop(ns.undo(&mut job, index).unwrap()));
    let again = ns.object("configmaps", "gone");
    assert_eq!(again["data"], before["data"]);
    assert_ne!(again["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(ns.status("configmaps", "new"), 404);
    assert_eq!(ns.object("configmaps", "kept")["data"], json!({"a": "1"}));
    ns.remove(job.namespace.name()).unwrap();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_a_plan_brings_up_goes_with_the_run() {
    let ns = TestNamespace::of("acting-own");
    let image = format!("registry.example/probe@sha256:{}", "a".repeat(64));
    let mut job = ns.begin(
        1,
        json!([
            {"action": "apply", "place": "ephemeral",
                "object": config_map("c", &json!({"a": "1"}))},
            {"action": "task", "name": "probe", "program": {"image": {"reference": image,
                "arguments": ["--now"]}}, "input": "{}", "seconds": 60},
        ]),
        true,
    );
    let run = job.namespace.name().to_owned();
    ns.perform(&mut job, 0).unwrap();
    assert_eq!(
        ns.runtime.block_on(job.namespace.observe(&job.preview.operations[0])).unwrap(),
        Observed::Ready
    );
    let pod = format!("/api/v1/namespaces/{run}/pods/cofferdam-task-1");
    let said = std::thread::scope(|scope| {
        let performing = scope.spawn(|| ns.perform(&mut job, 1));
        // There is no node: the test writes the status that a kubelet would write.
        until("the task's Pod", || {
            (ns.plane.request("GET", &pod, None).status == 200).then_some(())
        });
        let ended = json!({"name": "task", "image": image, "imageID": "", "ready": false,
            "restartCount": 0, "state":
            {"terminated": {"exitCode": 3, "reason": "Error", "message": "no such host"}}});
        let status = json!({"status": {"phase": "Failed", "containerStatuses": [ended]}});
        let answer = ns.plane.request("PATCH", &format!("{pod}/status"), Some(&status));
        assert_eq!(answer.status, 200, "{}", answer.body);
        performing.join().unwrap()
    });
    let why = said.unwrap_err().to_string();
    assert_eq!(
        why,
        "the task `probe` failed (exit-code): it ended with an error: exit code 3; it says \"no \
         such host\""
    );
    ns.remove(&run).unwrap();
    ns.nothing_of(&run);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn rights_go_where_another_client_deleted_the_runs_namespace() {
    let ns = TestNamespace::of("acting-taken");
    ns.deployment("web");
    for fence in [1, 2] {
        let job = ns.begin(fence, json!([scale("acting-taken", "web", 5)]), true);
        let run = job.namespace.name().to_owned();
        assert_eq!(ns.plane.request("DELETE", &namespace_path(&run), None).status, 200);
        until("the namespace's end", || {
            (ns.plane.request("GET", &namespace_path(&run), None).status == 404).then_some(())
        });
        let binding = rbac("acting-taken", &format!("rolebindings/{run}"));
        assert_eq!(ns.plane.request("GET", &binding, None).status, 200);
        if fence == 1 {
            // By the runner that ends the job, which has the plan.
            ns.remove(&run).unwrap();
        } else {
            // By a runner that takes over. It gets the earlier lease epochs, because no namespace
            // names them.
            assert_eq!(ns.sweep(3, &[Fence(1), Fence(2)]), Ok(None));
        }
        ns.nothing_of(&run);
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_killed_runners_run_is_swept_and_its_fate_found_out() {
    let ns = TestNamespace::of("acting-killed");
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-killed", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    let began = OperationRecord { index: 0, undo: false, before: BTreeMap::new(), after: None };
    // The token was valid until the rights were removed.
    let token = ns.runtime.block_on(job.namespace.job()).unwrap();
    ns.perform(&mut job, 0).unwrap();
    let preview = job.preview.clone();
    // The same lease does not create it again.
    let again = ns.try_begin(1, json!([scale("acting-killed", "web", 9)]), true);
    assert!(again.unwrap_err().to_string().contains("another attempt"));
    drop(job);

    let sweep = |fence| ns.sweep(fence, &[]).unwrap();
    // Not by a runner of the same lease, or of an earlier one.
    assert_eq!(sweep(1), None);
    assert_eq!(sweep(2), Some(run.clone()));
    ns.nothing_of(&run);
    assert_eq!(sweep(3), None);
    let said = ns.runtime.block_on(token.get(&ns.path("deployments", "web")));
    assert!(said.as_ref().is_err_and(ApiError::is_forbidden), "{said:?}");

    let fate =
        ns.runtime.block_on(ns.kubernetes.fate(&preview, std::slice::from_ref(&began))).unwrap();
    assert!(fate.is_complete(), "{fate:?}");
    ns.merge("deployments", "web", &json!({"spec": {"replicas": 3}}));
    // An object that is not visible is reported only after no write can arrive.
    let asked = Instant::now();
    let fate =
        ns.runtime.block_on(ns.kubernetes.fate(&preview, std::slice::from_ref(&began))).unwrap();
    assert_eq!(fate.words(&preview), "nothing is in effect");
    assert!(asked.elapsed() > namespace::WRITE, "{:?}", asked.elapsed());
    ns.merge("deployments", "web", &json!({"spec": {"replicas": 4}}));
    let fate = ns.runtime.block_on(ns.kubernetes.fate(&preview, &[began])).unwrap();
    assert!(fate.words(&preview).contains("neither as before nor as approved"), "{fate:?}");
}
