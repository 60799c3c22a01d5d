//! Errors between a runner and a real API server: lost responses, lost requests, removed rights,
//! and admission of others. Each ends in one true outcome.

mod held;
mod meanwhile;
mod proxy;
mod table;
mod webhook;

use super::namespace::{TestNamespace, scale};
use crate::cluster::{Cluster, until};
use crate::kubernetes::client::{installed, rbac};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend_kubernetes::labels::RunName;
use cofferdam_core::model::id::Fence;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The action of a relay on the bytes of a connection that it cannot read.
enum Fault {
    /// Passes the bytes on.
    None,
    /// Loses the next response after this becomes true, and cuts the connection.
    Answer(Box<dyn FnMut() -> bool + Send>),
    /// Loses the request after the next response, and cuts the connection.
    Ask { answered: bool },
}

/// The provisioner's kubeconfig with another address of the API server, in a folder that lives as
/// long as the value, and the real address.
fn rerouted(plane: &Cluster, by: SocketAddr) -> (tempfile::TempDir, PathBuf, String) {
    let mut config: Value = serde_json::from_str(
        &std::fs::read_to_string(plane.kubeconfig("cofferdam-system", "provisioner")).unwrap(),
    )
    .unwrap();
    let server = config["clusters"][0]["cluster"]["server"]
        .as_str()
        .unwrap()
        .trim_start_matches("https://")
        .to_owned();
    config["clusters"][0]["cluster"]["server"] = json!(format!("https://{by}"));
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    (folder, kubeconfig, server)
}

/// Relays connections between a runner and the API server.
struct Relay {
    kubeconfig: PathBuf,
    fault: Arc<Mutex<Fault>>,
    _folder: tempfile::TempDir,
}

impl Relay {
    fn before(plane: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (folder, kubeconfig, server) = rerouted(plane, listener.local_addr().unwrap());
        let fault = Arc::new(Mutex::new(Fault::None));
        let shared = Arc::clone(&fault);
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&server) else { return };
                let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (asks, answers) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || {
                    pump(
                        near,
                        far,
                        |_| !matches!(*asks.lock().unwrap(), Fault::Ask { answered: true }),
                        &asks,
                    )
                });
                std::thread::spawn(move || pump(far_too, near_too, passes, &answers));
            }
        });
        Self { kubeconfig, fault, _folder: folder }
    }

    fn arm(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn fired(&self) -> bool {
        matches!(*self.fault.lock().unwrap(), Fault::None)
    }
}

/// True if the response is passed on.
fn passes(fault: &Mutex<Fault>) -> bool {
    match &mut *fault.lock().unwrap() {
        Fault::None => true,
        Fault::Answer(lost) => !lost(),
        Fault::Ask { answered } => {
            *answered = true;
            true
        }
    }
}

/// Passes bytes on until one side ends, or an error cuts both.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    passes: impl Fn(&Mutex<Fault>) -> bool,
    fault: &Mutex<Fault>,
) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !passes(fault) {
            *fault.lock().unwrap() = Fault::None;
            break;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ended = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The number of successful patches of the object by a job, by the audit log.
fn patched(ns: &TestNamespace, run: &str) -> usize {
    let account = format!("system:serviceaccount:{run}:job");
    let is_patch = |event: &Value| {
        event["user"]["username"] == account.as_str()
            && event["verb"] == "patch"
            && event["stage"] == "ResponseComplete"
            && event["responseStatus"]["code"] == 200
    };
    // The response was lost: the object may show the change before the server has finished the
    // request.
    until("the patch in the audit log", || {
        let count = ns.plane.audit().iter().filter(|event| is_patch(event)).count();
        (count > 0).then_some(count)
    })
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn an_answer_that_is_lost_is_read_back() {
    let plane = installed();
    let relay = Relay::before(plane);
    let ns = TestNamespace::on(plane, "acting-answer", &relay.kubeconfig);
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-answer", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    let path = ns.path("deployments", "web");
    relay.arm(Fault::Answer(Box::new(move || {
        plane.request("GET", &path, None).body["spec"]["replicas"] == 5
    })));
    assert_eq!(
        ns.perform(&mut job, 0).unwrap(),
        BTreeMap::from([("spec.replicas".to_owned(), json!(5))])
    );
    assert!(relay.fired(), "no answer was lost");
    assert_eq!(patched(&ns, &run), 1);
    ns.remove(&run).unwrap();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_request_that_is_lost_is_asked_again_over_the_same_state() {
    let plane = installed();
    let relay = Relay::before(plane);
    let ns = TestNamespace::on(plane, "acting-ask", &relay.kubeconfig);
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-ask", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    relay.arm(Fault::Ask { answered: false });
    assert_eq!(
        ns.perform(&mut job, 0).unwrap(),
        BTreeMap::from([("spec.replicas".to_owned(), json!(5))])
    );
    assert!(relay.fired(), "no request was lost");
    assert_eq!(patched(&ns, &run), 1);
    ns.remove(&run).unwrap();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn another_writer_after_a_lost_answer_makes_it_unknown() {
    let plane = installed();
    let relay = Relay::before(plane);
    let ns = TestNamespace::on(plane, "acting-unknown", &relay.kubeconfig);
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-unknown", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    let path = ns.path("deployments", "web");
    relay.arm(Fault::Answer(Box::new(move || {
        let happened = plane.request("GET", &path, None).body["spec"]["replicas"] == 5;
        if happened {
            assert_eq!(
                plane.request("PATCH", &path, Some(&json!({"spec": {"replicas": 4}}))).status,
                200
            );
        }
        happened
    })));
    let said = ns.perform(&mut job, 0);
    assert!(
        matches!(&said, Err(EffectError::Unknown(why)) if why.contains(
            "changed outside Cofferdam")),
        "{said:?}"
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 4);
    ns.remove(&run).unwrap();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_right_that_is_taken_away_stops_the_job() {
    let ns = TestNamespace::of("acting-revoked");
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-revoked", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    let binding = rbac("acting-revoked", &format!("rolebindings/{run}"));
    assert_eq!(ns.plane.request("DELETE", &binding, None).status, 200);
    let cluster = ns.runtime.block_on(job.namespace.job()).unwrap();
    // The authorizer applies the change a moment later.
    until("the end of the right", || {
        ns.runtime.block_on(cluster.get(&ns.path("deployments", "web"))).err()
    });
    let said = ns.perform(&mut job, 0);
    assert!(
        matches!(&said, Err(EffectError::Refused(why)) if why.contains("no right")),
        "{said:?}"
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 3);
    ns.remove(&run).unwrap();
    ns.nothing_of(&run);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_no_administrator_opted_in_is_not_touched() {
    let ns = TestNamespace::of("acting-beyond");
    ns.deployment("web");
    // The preview was made while the namespace had opted in; then its administrator removed the
    // label.
    let operations = json!([scale("acting-beyond", "web", 5)]);
    let (steps, _, facts) = ns.look(operations);
    assert_eq!(
        ns.plane
            .request("DELETE", &rbac("acting-beyond", "rolebindings/cofferdam-ceiling"), None)
            .status,
        200
    );
    until("the end of the ceiling", || {
        ns.runtime.block_on(ns.kubernetes.cluster().get(&ns.path("deployments", "web"))).err()
    });
    let said = ns.make(2, &steps, &facts).unwrap_err().to_string();
    assert!(said.starts_with("the plan's rights in `acting-beyond` cannot be given"), "{said}");
    // The run may create a Deployment; a NetworkPolicy would open its guards.
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "open"}, "spec": {"podSelector": {}}});
    let (steps, _, facts) =
        ns.look(json!([{"action": "apply", "place": "ephemeral", "object": policy}]));
    let said = ns.make(3, &steps, &facts).unwrap_err().to_string();
    assert!(
        said.starts_with("a run's namespace cannot hold what the plan brings up there"),
        "{said}"
    );
    // The objects of both are removed.
    assert!(ns.sweep(4, &[]).unwrap().is_some());
    for fence in [2, 3] {
        ns.nothing_of(&RunName::new(&ns.call, Fence(fence)).to_string());
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_change_by_foreign_admission_is_told_apart_from_the_approved_one() {
    let ns = TestNamespace::of("acting-mutated");
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-mutated", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    let api = "/apis/admissionregistration.k8s.io/v1";
    let kind = |kind: &str, spec: Value| {
        json!(
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "acting-mutated"}, "spec": spec})
    };
    let policy = kind(
        "MutatingAdmissionPolicy",
        json!({
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": "acting-mutated"}},
                "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                    "operations": ["UPDATE"], "resources": ["deployments"]}],
            },
            "mutations": [{"patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{spec: Object.spec{replicas: 2}}"}}],
        }),
    );
    let binding = kind("MutatingAdmissionPolicyBinding", json!({"policyName": "acting-mutated"}));
    for (resource, object) in
        [("mutatingadmissionpolicies", policy), ("mutatingadmissionpolicybindings", binding)]
    {
        let answer = ns.plane.request("POST", &format!("{api}/{resource}"), Some(&object));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let tried = format!("{}?dryRun=All", ns.path("deployments", "web"));
    until("the policy to be enforced", || {
        let answer = ns.plane.request("PATCH", &tried, Some(&json!({"spec": {"replicas": 9}})));
        (answer.body["spec"]["replicas"] == 2).then_some(())
    });
    let said = ns.perform(&mut job, 0);
    assert!(
        matches!(&said, Err(EffectError::Differs(why)) if why.contains(
            "`spec.replicas` is 2 instead of 5")),
        "{said:?}"
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 2);
    for resource in ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"] {
        ns.plane.request("DELETE", &format!("{api}/{resource}/acting-mutated"), None);
    }
    ns.remove(&run).unwrap();
    assert!(!ns.writes_of(&run).is_empty());
}
