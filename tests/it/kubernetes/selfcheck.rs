//! The self-check at the start: it names every missing policy and refuses any other credential. It
//! waits for policies that were just applied, and for no others.

use super::client::{EVERY, PROVISIONER, block, checked, install, installed, installed_own};
use super::installation::ClusterInstallation;
use crate::cluster::{Cluster, until};
use crate::notify::Receiver;
use crate::supervise::processes::{descendants, kill};
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::self_check::{CheckError, Identity, check_aloud};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Time in which a new runner does its self-check, also on a machine with other work.
const RUNNER_CHECK: Duration = Duration::from_secs(3);

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_role_starts_with_its_own_credential_alone() {
    let plane = installed();
    let own = |identity: Identity| plane.kubeconfig("cofferdam-system", identity.account());
    for identity in EVERY {
        assert_eq!(checked(&own(identity), identity), Ok(()), "{identity:?}");
        let said = checked(&plane.admin(), identity).unwrap_err();
        assert!(said.contains("not `system:serviceaccount:cofferdam-system:"), "{said}");
    }
    assert!(
        checked(&own(PROVISIONER), Identity::Viewer).unwrap_err().contains(":provisioner`, not")
    );
}

/// Each admission policy, and the roles that need it.
const FENCES: [(&str, Identity); 12] = [
    ("cofferdam-provisioner-namespaces", PROVISIONER),
    ("cofferdam-provisioner-scope", PROVISIONER),
    ("cofferdam-viewer", Identity::Viewer),
    ("cofferdam-reaper", Identity::Reaper),
    ("cofferdam-jobs", PROVISIONER),
    ("cofferdam-guards", PROVISIONER),
    ("cofferdam-tokens", PROVISIONER),
    ("cofferdam-finalizers", PROVISIONER),
    ("cofferdam-workloads", PROVISIONER),
    ("cofferdam-guard-quota", PROVISIONER),
    ("cofferdam-guard-limits", PROVISIONER),
    ("cofferdam-guard-network", PROVISIONER),
];

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_fence_that_is_gone_is_missed_by_name() {
    let plane = Cluster::own();
    install(&plane);
    let credentials: Vec<(Identity, PathBuf)> = EVERY
        .iter()
        .map(|identity| (*identity, plane.kubeconfig("cofferdam-system", identity.account())))
        .collect();
    let checked = |identity: Identity| {
        checked(&credentials.iter().find(|(of, _)| *of == identity).unwrap().1, identity)
    };
    let misses = |identity: Identity, words: &str| {
        until(words, || match checked(identity) {
            Ok(()) => None,
            Err(said) => {
                println!("{said}");
                said.contains(words).then_some(())
            }
        });
    };
    // It waits without help for policies that were applied and are not in effect yet.
    let stands = |identity: Identity| assert_eq!(checked(identity), Ok(()), "{identity:?}");
    let bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    for (fence, identity) in FENCES {
        let at = format!("{bindings}/{fence}");
        let found = plane.request("GET", &at, None).body;
        assert_eq!(plane.request("DELETE", &at, None).status, 200, "{fence}");
        misses(identity, &format!("the admission policy `{fence}` is missing or not in effect"));
        let again = json!({"apiVersion": found["apiVersion"], "kind": found["kind"],
            "metadata": {"name": fence}, "spec": found["spec"]});
        assert_eq!(plane.request("POST", bindings, Some(&again)).status, 201, "{fence}");
        stands(identity);
    }

    // A policy that only audits.
    let at = format!("{bindings}/cofferdam-viewer");
    let actions = |actions: Value| json!({"spec": {"validationActions": actions}});
    plane.request("PATCH", &at, Some(&actions(json!(["Audit"]))));
    misses(Identity::Viewer, "the admission policy `cofferdam-viewer` is missing or not in effect");
    plane.request("PATCH", &at, Some(&actions(json!(["Deny", "Audit"]))));
    stands(Identity::Viewer);

    // A policy with the name of `deploy/` that matches nothing.
    let found = plane.request("GET", &at, None).body;
    let nowhere = json!({"spec": {"matchResources": {
        "namespaceSelector": {"matchLabels": {"nobody": "has"}}}}});
    assert_eq!(plane.request("PATCH", &at, Some(&nowhere)).status, 200);
    misses(
        Identity::Viewer,
        "the admission policy `cofferdam-viewer` is applied and not in effect",
    );
    let kubeconfig = plane.kubeconfig("cofferdam-system", Identity::Viewer.account());
    let heard = Mutex::new(Vec::new());
    let tell = |words: &str| heard.lock().unwrap().push(words.to_owned());
    let said = block(async {
        check_aloud(&Credential::read(&kubeconfig).await.unwrap(), Identity::Viewer, tell).await
    });
    assert!(
        matches!(
            said,
            Err(CheckError::Idle { fence: "cofferdam-viewer", file: "11-fence-viewer.yaml", .. })
        ),
        "{said:?}"
    );
    let heard = heard.into_inner().unwrap();
    assert!(
        heard.len() == 1
            && heard[0].starts_with(
                "waiting up to 20 s for policies that are applied and not yet in effect"
            ),
        "{heard:?}"
    );
    assert_eq!(plane.request("DELETE", &at, None).status, 200);
    let again = json!({"apiVersion": found["apiVersion"], "kind": found["kind"],
        "metadata": {"name": "cofferdam-viewer"}, "spec": found["spec"]});
    assert_eq!(plane.request("POST", bindings, Some(&again)).status, 201);
    stands(Identity::Viewer);

    // Admission of others that adds a finalizer to each namespace: no job could run, and the check
    // names it.
    let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "finalizer-for-all"},
        "spec": {
            "failurePolicy": "Ignore", "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["namespaces"]}]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
                "Object{metadata: Object.metadata{finalizers: ['controller.example.com/namespace-auth']}}"}}],
        },
    });
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "finalizer-for-all"}, "spec": {"policyName": "finalizer-for-all"}});
    let bindings_of_it = policies.replace("policies", "policybindings");
    for (at, object) in [(policies, &policy), (bindings_of_it.as_str(), &binding)] {
        let made = plane.request("POST", at, Some(object));
        assert_eq!(made.status, 201, "{}", made.body);
    }
    misses(PROVISIONER, "puts a finalizer on new namespaces");
    let said = checked(PROVISIONER).unwrap_err();
    assert!(said.contains("this one would have controller.example.com/namespace-auth"), "{said}");
    assert_eq!(
        plane.request("DELETE", &format!("{bindings_of_it}/finalizer-for-all"), None).status,
        200
    );
    until("the finalizer's end", || checked(PROVISIONER).ok());

    // Rights that no policy limits.
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let careless = json!({"apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding", "metadata": {"name": "careless"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "viewer",
            "namespace": "cofferdam-system"}]});
    assert_eq!(plane.request("POST", path, Some(&careless)).status, 201);
    misses(Identity::Viewer, "the credential may list configmaps in every namespace");
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn the_fences_are_looked_at_once_for_many_jobs_and_again_after_a_runner_failed() {
    let mut cluster = ClusterInstallation::bare("selfcheck-once");
    let token = cluster.installation.agent("release", "operator");
    // A runner handles one job, and then another takes its place.
    cluster.installation.serve(&[]);
    assert_eq!(cluster.checks(), 1);
    for replicas in [5, 4, 5] {
        let answer =
            cluster.installation.call(&token, "deployment_scale", &cluster.scale("web", replicas));
        assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, cluster.installation.log());
        cluster.installation.closed(&ClusterInstallation::call_of(&answer));
    }
    assert_eq!(cluster.checks(), 1);
    cluster.installation.stop();

    // The first runner is lost in the middle of a job: the next one checks by itself, and the later
    // ones rely on that.
    cluster.installation.serve(&["--drill", "acting-recorded"]);
    assert_eq!(cluster.checks(), 2);
    for replicas in [4, 3] {
        let answer =
            cluster.installation.call(&token, "deployment_scale", &cluster.scale("web", replicas));
        cluster.installation.closed(&ClusterInstallation::call_of(&answer));
    }
    assert_eq!(cluster.checks(), 3);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn people_are_told_of_a_fence_that_is_gone_while_it_serves() {
    static PLANE: OnceLock<Cluster> = OnceLock::new();
    let mut cluster = ClusterInstallation::bare_on(installed_own(&PLANE), "selfcheck-told");
    let receiver = Receiver::start();
    receiver.join(&cluster.installation);
    cluster.installation.serve(&[]);
    let fence = "cofferdam-provisioner-scope";
    let bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    let gone = cluster.plane.request("DELETE", &format!("{bindings}/{fence}"), None);
    assert_eq!(gone.status, 200, "{}", gone.body);
    let told = until("the news", || {
        // The self-check is repeated after a lost runner. A policy is in effect for some time after
        // its end.
        let processes = descendants(cluster.installation.supervisor());
        let is_runner = |words: &str| words.starts_with("cofferdam: runner");
        let runners: Vec<u32> = processes
            .iter()
            .filter(|process| is_runner(&process.words))
            .map(|process| process.id)
            .collect();
        if receiver.seen("fence_missing").is_empty() {
            kill("KILL", &runners);
            // The next runner needs a moment for its check.
            std::thread::sleep(RUNNER_CHECK);
        }
        receiver.seen("fence_missing").pop()
    });
    let detail = told.1["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("the admission policy `{fence}` is missing")), "{detail}");
    assert_eq!(told.1["call"], Value::Null);
}
