//! The reaper with its own credential: it removes the remains of expired runs and nothing else. On
//! a control plane without runs of other tests.

use super::namespace::{self, TestNamespace, scale};
use crate::cluster::until;
use crate::kubernetes::client::{namespace_path, rbac, reaped_alone};
use cofferdam_backend_kubernetes::api;
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::labels::{Marks, RunName};
use cofferdam_backend_kubernetes::namespace::Wanted;
use cofferdam_backend_kubernetes::pressure::going;
use cofferdam_backend_kubernetes::reap::{Reaped, reap};
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// More objects than a page of a list, all of which come before the wanted one.
const CROWD: usize = 510;

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_outlived_its_run_goes_and_nothing_else() {
    let (plane, _turn) = reaped_alone();
    let ns =
        TestNamespace::on(plane, "reaped", &plane.kubeconfig("cofferdam-system", "provisioner"));
    ns.deployment("web");
    let reaper = plane.kubeconfig("cofferdam-system", "reaper");
    let reaper = ns.runtime.block_on(async {
        api::Cluster::connect(&Credential::read(&reaper).await.unwrap()).unwrap()
    });
    let round = |now: Timestamp| -> Reaped { ns.runtime.block_on(reap(&reaper, now)).unwrap() };
    let now = Timestamp::now();

    // A run that expired long ago, one that has not, and rights without a run.
    let (steps, _, facts) = ns.look(json!([scale("reaped", "web", 5)]));
    assert_eq!(facts, facts_of(&steps).unwrap());
    let run = |fence: u64, began: Timestamp| {
        let name = RunName::new(&ns.call, Fence(fence));
        let wanted = Wanted {
            name,
            plan: PlanDigest::of(b"plan"),
            tool: "scaler",
            steps: &steps,
            facts: &facts,
            now: began,
            unchanged: false,
        };
        ns.runtime.block_on(ns.kubernetes.make_for(&wanted, true)).unwrap()
    };
    let over = run(1, now - SignedDuration::from_hours(5));
    let live = run(2, now);
    let lost = Marks {
        name: RunName::new(&CallId::from_random(77), Fence(1)),
        expires: now + SignedDuration::from_hours(1),
        plan: PlanDigest::of(b""),
    };
    let lost_name = lost.name.to_string();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": lost.metadata("reaped", &lost_name), "rules": []});
    assert_eq!(plane.request("POST", &rbac("reaped", "roles"), Some(&role)).status, 201);
    // An object with the label and without such a name: an administrator's mistake.
    let odd = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "production", "labels": {"cofferdam.dev/managed": "true"},
        "annotations": {"cofferdam.dev/expires-at": "2026-01-01T00:00:00Z"}}});
    assert_eq!(plane.request("POST", "/api/v1/namespaces", Some(&odd)).status, 201);

    let first = round(now);
    assert_eq!(first.namespaces, [over.name()]);
    assert_eq!(first.foreign, ["production"]);
    // Its binding and Role, and the Role without a run.
    assert!(first.rights.contains(&format!("roles/{lost_name} in reaped")), "{first:?}");
    assert!(first.rights.contains(&format!("rolebindings/{} in reaped", over.name())), "{first:?}");
    assert_eq!(first.rights.len(), 3, "{first:?}");
    assert!(first.stuck.is_empty(), "{first:?}");
    until("the namespace's end", || {
        (plane.request("GET", &namespace_path(over.name()), None).status == 404).then_some(())
    });
    ns.nothing_of(over.name());

    // The run that has not expired is unchanged until its own time is over.
    assert_eq!(plane.request("GET", &namespace_path(live.name()), None).status, 200);
    assert_eq!(
        plane
            .request("GET", &rbac("reaped", &format!("rolebindings/{}", live.name())), None)
            .status,
        200
    );
    assert_eq!(round(now), Reaped { foreign: vec!["production".to_owned()], ..Reaped::default() });

    // A namespace that cannot end is reported with the cause of the cluster, and never forced.
    let broken = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.broken.example"},
        "spec": {"group": "broken.example", "version": "v1", "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": "nobody", "namespace": "default"}, "insecureSkipTLSVerify": true}});
    assert_eq!(
        plane.request("POST", "/apis/apiregistration.k8s.io/v1/apiservices", Some(&broken)).status,
        201
    );
    let later = now + SignedDuration::from_hours(3);
    assert_eq!(round(later).namespaces, [live.name()]);
    let stuck = until("the conditions of a stuck namespace", || {
        round(later).stuck.into_iter().find(|(name, why)| {
            name == live.name() && why.contains("NamespaceDeletionDiscoveryFailure")
        })
    });
    assert!(stuck.1.contains("broken.example"), "{stuck:?}");
    let going = ns.runtime.block_on(going(&reaper, Timestamp::now())).unwrap();
    assert_eq!(going.count, 1);
    assert_eq!(plane.request("GET", &namespace_path(live.name()), None).status, 200);
    assert!(!plane.audit().iter().any(|event| event["objectRef"]["subresource"] == "finalize"
        && !namespace::is_controllers(event)));

    // After the cluster is repaired, the namespace ends without help.
    plane.request("DELETE", "/apis/apiregistration.k8s.io/v1/apiservices/v1.broken.example", None);
    until("the stuck namespace's end", || {
        (plane.request("GET", &namespace_path(live.name()), None).status == 404).then_some(())
    });
    assert_eq!(plane.request("GET", &namespace_path("production"), None).status, 200);

    // A client that may write many Roles with the label cannot hide a Role from the reaper.
    let crowd = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "crowd"}});
    assert_eq!(plane.request("POST", "/api/v1/namespaces", Some(&crowd)).status, 201);
    let others = |number: usize| {
        let labels = json!({"cofferdam.dev/managed": "true"});
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": format!("other-{number}"), "labels": labels}, "rules": []})
    };
    ns.runtime.block_on(async {
        let admin =
            api::Cluster::connect(&Credential::read(&plane.admin()).await.unwrap()).unwrap();
        for number in 0..CROWD {
            admin.create(&rbac("crowd", "roles"), &others(number), api::Mode::Real).await.unwrap();
        }
    });
    assert_eq!(plane.request("POST", &rbac("reaped", "roles"), Some(&role)).status, 201);
    let last = round(now);
    assert_eq!(last.rights, [format!("roles/{lost_name} in reaped")]);
    assert_eq!(last.foreign.len(), CROWD + 1);
    assert_eq!((&last.overflow, &last.stuck), (&Vec::new(), &Vec::new()));
}
