//! The option `deploy/options/impersonation.yaml`: a job without a token. On its own control plane,
//! because the option applies to the whole cluster.

use super::acting::namespace::{TestNamespace, config_map, met_a_status, scale};
use super::client::*;
use super::fences::wait;
use crate::cluster::{Cluster, Event, until};
use crate::installation::repository;
use cofferdam_backend_kubernetes::api::{Mode, Only};
use cofferdam_backend_kubernetes::self_check::Identity;
use cofferdam_core::protocol::role_settings::JobIdentity;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;

const BY_IMPERSONATION: Identity = Identity::Provisioner(JobIdentity::Impersonation);
const TO_NO_OTHER: &str = "and to no other subject";
const CANNOT: &str = "cannot impersonate";

/// The cluster does not have the option yet.
fn plane() -> &'static Cluster {
    static PLANE: OnceLock<Cluster> = OnceLock::new();
    installed_own(&PLANE)
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn jobs_by_impersonation_are_held_as_jobs_by_token() {
    let plane = plane();
    let own = plane.kubeconfig("cofferdam-system", "provisioner");
    let says = |identity: Identity| checked(&own, identity);

    // Configured and not installed, then installed and not configured: no role starts.
    let said = says(BY_IMPERSONATION).unwrap_err();
    assert!(
        said.contains("may not bind clusterroles")
            && said.contains("apply `deploy/options/impersonation.yaml`"),
        "{said}"
    );
    plane.apply(&[&repository().join("deploy/options/impersonation.yaml")]);
    until("the option", || says(BY_IMPERSONATION).ok());
    let said = says(PROVISIONER).unwrap_err();
    assert!(
        said.contains("may bind clusterroles")
            && said.contains("kubectl delete -f deploy/options/impersonation.yaml"),
        "{said}"
    );
    for other in [Identity::Viewer, Identity::Reaper] {
        assert_eq!(checked(&plane.kubeconfig("cofferdam-system", other.account()), other), Ok(()));
    }

    a_whole_job(plane, &own);
    no_other_identity_is_taken_on(plane, &own);
}

fn a_whole_job(plane: &'static Cluster, own: &Path) {
    let ns = TestNamespace::by(JobIdentity::Impersonation, plane, "impersonated", own);
    ns.deployment("web");
    ns.deployment("api");
    let operations = json!([
        scale("impersonated", "web", 5),
        {"action": "apply", "place": "ephemeral", "object": config_map("c", &json!({"a": "1"}))},
    ]);
    let mut job = ns.begin(1, operations.clone(), true);
    let run = job.namespace.name().to_owned();
    assert_eq!(ns.perform(&mut job, 0).unwrap()["spec.replicas"], 5);
    ns.perform(&mut job, 1).unwrap();
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 5);
    // The gate in front of its connection is the plan's.
    let gated = ns.runtime.block_on(job.namespace.job()).unwrap();
    let api = ns.path("deployments", "api");
    let said = ns.runtime.block_on(gated.get(&api)).unwrap_err().to_string();
    assert!(said.contains("outside what this job may ask for"), "{said}");
    ns.undo(&mut job, 0).unwrap();
    ns.remove(&run).unwrap();
    ns.nothing_of(&run);

    // No token was requested, and the audit log has both names.
    let account = format!("system:serviceaccount:{run}:job");
    let provisioner = "system:serviceaccount:cofferdam-system:provisioner";
    let events = plane.audit();
    let about = |event: &&Event| {
        event["objectRef"]["namespace"] == run.as_str()
            || event["objectRef"]["namespace"] == "impersonated"
    };
    assert!(!events.iter().filter(about).any(|event| event["objectRef"]["subresource"] == "token"));
    let changes: Vec<&Event> = events
        .iter()
        .filter(|event| {
            event["verb"] == "patch"
                && event["objectRef"]["resource"] == "deployments"
                && event["objectRef"]["name"] == "web"
        })
        .filter(|event| {
            event["impersonatedUser"]["username"] == account.as_str() && !met_a_status(event)
        })
        .collect();
    assert_eq!(changes.len(), 2, "{changes:#?}");
    for event in changes {
        assert_eq!(event["user"]["username"], provisioner, "{event:#}");
        assert_eq!(event["stage"], "ResponseComplete");
    }

    // Without the gate the cluster refuses an operation beyond the plan, as it does with a token.
    let job = ns.begin(2, operations, false);
    let ungated = ns.runtime.block_on(job.namespace.job()).unwrap();
    let replicas = json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]);
    let web = ns.path("deployments", "web");
    let asks = ns.runtime.block_on(async {
        [
            ("patch another", ungated.patch(&api, &replicas, "x", Mode::Real).await.map(drop)),
            ("delete it", ungated.delete(&web, Only::Any, Mode::Real).await),
            ("list", ungated.list(&ns.collection("deployments"), "", 1).await.map(drop)),
            ("Secrets", ungated.list(&ns.collection("secrets"), "", 1).await.map(drop)),
            (
                "a token",
                ungated
                    .create(&ns.own(&job, "serviceaccounts/job/token"), &token(true), Mode::Real)
                    .await
                    .map(drop),
            ),
        ]
    });
    for (what, said) in asks {
        assert!(said.as_ref().is_err_and(|fault| fault.status() == Some(403)), "{what}: {said:?}");
    }
    // The end of the run ends it at once: no cache keeps the rights.
    let run = job.namespace.name().to_owned();
    ns.remove(&run).unwrap();
    let said = ns.runtime.block_on(ungated.get(&web)).unwrap_err();
    assert!(said.is_forbidden(), "{said}");
}

fn no_other_identity_is_taken_on(plane: &'static Cluster, own: &Path) {
    block(async {
        let provisioner = TestClient::of(own).await;
        let run = Run::new();
        run.make(&provisioner).await;
        let at = rbac(&run.name, "rolebindings/as-job");
        let but_for =
            |pointer: &str, value: Value| apply(at.as_str(), but(&run.as_job(), pointer, value));
        let everybody = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io",
            "name": "system:authenticated"});
        let job = json!({"kind": "ServiceAccount", "name": "job", "namespace": run.name});
        provisioner
            .try_all(vec![
                ("for everybody", but_for("/subjects/0", everybody), TO_NO_OTHER),
                ("for the job itself", but_for("/subjects/0", job), TO_NO_OTHER),
                (
                    "under another name",
                    apply(
                        rbac(&run.name, "rolebindings/provisioner"),
                        but(&run.as_job(), "/metadata/name", json!("provisioner")),
                    ),
                    TO_NO_OTHER,
                ),
                (
                    "another role under this name",
                    but_for("/roleRef/name", json!("cofferdam-in-run")),
                    TO_NO_OTHER,
                ),
                (
                    "at home",
                    apply(rbac("cofferdam-system", "rolebindings/as-job"), run.as_job()),
                    "nowhere else",
                ),
                (
                    "in kube-system",
                    apply(rbac("kube-system", "rolebindings/as-job"), run.as_job()),
                    "nowhere else",
                ),
                (
                    "at a target",
                    apply(rbac("impersonated", "rolebindings/as-job"), run.as_job()),
                    "is named as its run",
                ),
                (
                    "cluster-wide",
                    apply(
                        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/as-job",
                        but(&run.as_job(), "/kind", json!("ClusterRoleBinding")),
                    ),
                    "cannot",
                ),
                (
                    "as a part of a job's Role",
                    apply(
                        rbac(&run.name, "roles/job"),
                        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                            "metadata": {"name": "job"}, "rules":
                            [{"apiGroups": [""], "resources": ["serviceaccounts"],
                                "resourceNames": ["job"], "verbs": ["impersonate"]}]}),
                    ),
                    "attempting to grant",
                ),
            ])
            .await;
        let job =
            TestClient::impersonating(own, &format!("system:serviceaccount:{}:job", run.name))
                .await;
        let review = || {
            create(
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}),
            )
        };
        // Not before it is bound in that run.
        job.try_all(vec![("before it is bound", review(), CANNOT)]).await;
        provisioner.ask(apply(at.as_str(), run.as_job())).await.unwrap();
        wait(&job, review).await;
        let user = job.ask(review()).await.unwrap()["status"]["userInfo"].clone();
        assert_eq!(
            user["groups"],
            json!([
                "system:serviceaccounts",
                format!("system:serviceaccounts:{}", run.name),
                "system:authenticated"
            ])
        );
        // As the job, where the policies for jobs apply.
        job.try_all(vec![
            ("its guards", dry(delete(run.at("resourcequotas/limits"))), "cannot"),
            ("its own token", create(run.at("serviceaccounts/job/token"), token(true)), "cannot"),
            (
                "somebody's objects",
                get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"),
                "cannot",
            ),
        ])
        .await;
        for user in [
            "system:serviceaccount:kube-system:default".to_owned(),
            "system:serviceaccount:cofferdam-system:reaper".to_owned(),
            "system:serviceaccount:impersonated:default".to_owned(),
            "system:serviceaccount:impersonated:job".to_owned(),
            format!("system:serviceaccount:{}:task", run.name),
            format!("system:serviceaccount:{}:job", Run::new().name),
            "system:node:cp-1".to_owned(),
            "admin".to_owned(),
            "system:anonymous".to_owned(),
        ] {
            println!("as {user}");
            TestClient::impersonating(own, &user)
                .await
                .try_all(vec![("somebody else", review(), CANNOT)])
                .await;
        }
        // Nor as the job with more than its name.
        let name = format!("Impersonate-User: system:serviceaccount:{}:job", run.name);
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        for more in [
            "Impersonate-Group: system:masters",
            "Impersonate-Uid: 1",
            "Impersonate-Extra-Scopes: all",
        ] {
            let said = plane.exchange(
                own,
                &[&name, more],
                "POST",
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                Some(&body),
            );
            assert_eq!(said["status"], 403, "{more}: {said:#}");
        }
        provisioner.ask(delete(namespace_path(&run.name))).await.unwrap();
    });
}
