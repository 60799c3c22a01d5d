//! Another client that writes between the runner's last read and its effect. A change of approved
//! state is refused; after another change the runner reads again.

use super::proxy::{Act, FaultProxy};
use super::table::{End, Script, end, follow, happened};
use super::{TestNamespace, scale};
use crate::cluster::{Cluster, until};
use crate::kubernetes::acting::namespace::target;
use crate::kubernetes::client::installed;
use cofferdam_backend_kubernetes::api::{self, Mode};
use cofferdam_backend_kubernetes::credential::Credential;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Runs an operation on the Deployment `web` while `happens` runs right before the runner's
/// request. Compares the end and the number of successful requests.
fn meanwhile(
    namespace: &str,
    operation: Value,
    happens: impl FnOnce(&'static Cluster, &str) + Send + 'static,
    ends: End,
) -> TestNamespace {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, namespace, &proxy.kubeconfig);
    ns.deployment("web");
    let method = if operation["action"] == "delete" { "DELETE" } else { "PATCH" };
    let mut job = ns.begin(1, json!([operation]), true);
    let at = ns.path("deployments", "web");
    let writes = Act::First(Box::new(move || happens(plane, &at)));
    let script = follow(
        &proxy,
        Script::from([((method.to_owned(), "web".to_owned()), VecDeque::from([writes]))]),
    );
    let said = ns.perform(&mut job, 0);
    println!("{namespace}: {said:?}");
    assert!(ends.holds(&said), "{said:?}");
    assert!(script.lock().unwrap().values().all(VecDeque::is_empty), "nobody wrote");
    end(&ns, &job);
    assert_eq!(
        happened(plane, job.namespace.name(), "web"),
        usize::from(matches!(ends, End::Done))
    );
    ns
}

/// A merge patch by another client, of the object or of a subresource.
fn writes(
    sub: &'static str,
    change: Value,
) -> impl FnOnce(&'static Cluster, &str) + Send + 'static {
    move |plane, at| {
        assert_eq!(plane.request("PATCH", &format!("{at}{sub}"), Some(&change)).status, 200)
    }
}

fn status() -> impl FnOnce(&'static Cluster, &str) + Send + 'static {
    writes("/status", json!({"status": {"collisionCount": 1}}))
}

fn applied(namespace: &str) -> Value {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"minReadySeconds": 7}});
    json!({"action": "apply", "place": {"namespace": namespace}, "object": object,
        "reversible": true})
}

fn deleted(namespace: &str) -> Value {
    json!({"action": "delete", "target": target(namespace, "apps", "Deployment", "web"),
        "reversible": true})
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_status_that_is_written_meanwhile_takes_nothing_away() {
    let ns = meanwhile("acting-status-apply", applied("acting-status-apply"), status(), End::Done);
    assert_eq!(ns.object("deployments", "web")["spec"]["minReadySeconds"], 7);
    let ns = meanwhile(
        "acting-status-patch",
        scale("acting-status-patch", "web", 5),
        status(),
        End::Done,
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 5);
    let ns =
        meanwhile("acting-status-delete", deleted("acting-status-delete"), status(), End::Done);
    assert_eq!(ns.status("deployments", "web"), 404);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_field_that_is_written_meanwhile_is_a_conflict_where_it_was_approved() {
    let spec = || writes("", json!({"spec": {"paused": true}}));
    // A field that no plan names here, and that the pinned values do not show.
    let label = || writes("", json!({"metadata": {"labels": {"drift": "yes"}}}));
    let own = || writes("", json!({"spec": {"replicas": 4}}));
    let ns = meanwhile("acting-spec-apply", applied("acting-spec-apply"), spec(), End::Done);
    let live = ns.object("deployments", "web");
    assert_eq!(
        (&live["spec"]["minReadySeconds"], &live["spec"]["paused"]),
        (&json!(7), &json!(true)),
        "both are there"
    );
    meanwhile("acting-own-patch", scale("acting-own-patch", "web", 5), own(), End::Conflict);
    let ns =
        meanwhile("acting-spec-patch", scale("acting-spec-patch", "web", 5), spec(), End::Done);
    let live = ns.object("deployments", "web");
    assert_eq!(
        (&live["spec"]["replicas"], &live["spec"]["paused"]),
        (&json!(5), &json!(true)),
        "both are there"
    );
    meanwhile("acting-label-patch", scale("acting-label-patch", "web", 5), label(), End::Done);
    let ns =
        meanwhile("acting-label-delete", deleted("acting-label-delete"), label(), End::Conflict);
    assert_eq!(ns.object("deployments", "web")["metadata"]["deletionTimestamp"], Value::Null);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn an_object_that_is_replaced_meanwhile_is_a_conflict() {
    /// The same object with another UID.
    fn replace(plane: &'static Cluster, at: &str) {
        let mut object = plane.request("GET", at, None).body;
        assert_eq!(plane.request("DELETE", at, None).status, 200);
        until("the object's end", || (plane.request("GET", at, None).status == 404).then_some(()));
        object["metadata"] = json!({"name": "web"});
        let collection = at.trim_end_matches("/web");
        assert_eq!(plane.request("POST", collection, Some(&object)).status, 201);
    }
    meanwhile("acting-other-apply", applied("acting-other-apply"), replace, End::Conflict);
    meanwhile("acting-other-patch", scale("acting-other-patch", "web", 5), replace, End::Conflict);
    let ns =
        meanwhile("acting-other-delete", deleted("acting-other-delete"), replace, End::Conflict);
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 3);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_status_that_is_written_all_the_time_fails_no_job() {
    let ns = TestNamespace::of("acting-busy");
    ns.deployment("web");
    let operations = json!([scale("acting-busy", "web", 5),
        {"action": "apply", "place": {"namespace": "acting-busy"}, "object":
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"},
            "data": {"a": "1"}}}]);
    let mut job = ns.begin(1, operations, true);
    // A controller that writes some twenty times a second.
    let at = format!("{}/status", ns.path("deployments", "web"));
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let controller = ns.runtime.spawn({
        let (admin, stop, written) = (ns.plane.admin(), Arc::clone(&stop), Arc::clone(&written));
        async move {
            let admin = api::Cluster::connect(&Credential::read(&admin).await.unwrap()).unwrap();
            while !stop.load(Ordering::SeqCst) {
                let count = written.fetch_add(1, Ordering::SeqCst);
                let status =
                    json!([{"op": "add", "path": "/status/collisionCount", "value": count}]);
                admin.patch(&at, &status, "controller", Mode::Real).await.unwrap();
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    });
    until("the controller", || (written.load(Ordering::SeqCst) > 5).then_some(()));
    let said = ns.perform(&mut job, 0);
    stop.store(true, Ordering::SeqCst);
    ns.runtime.block_on(controller).unwrap();
    println!("after {} writes of its status: {said:?}", written.load(Ordering::SeqCst));
    assert!(End::Done.holds(&said), "{said:?}");
    let writes = ns.writes_of(job.namespace.name());
    let patches = writes
        .iter()
        .filter(|event| event["objectRef"]["name"] == "web" && event["verb"] == "patch");
    println!(
        "the job's tries: {:?}",
        patches.map(|event| event["responseStatus"]["code"].clone()).collect::<Vec<_>>()
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 5);
    end(&ns, &job);
}
