//! The viewer, which changes nothing, and the reaper, which removes objects with the label.

use super::super::client::*;
use super::{NO_RIGHT, SELF_CHECK, deployment, wait};
use crate::cluster::until;
use crate::installation::repository;
use serde_json::json;

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn the_viewer_tries_and_changes_nothing() {
    let (plane, shop) = (installed(), "fences-view");
    opt_in(plane, shop);
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let viewer = TestClient::account(plane, "cofferdam-system", "viewer").await;
        let at = format!("/apis/apps/v1/namespaces/{shop}/deployments/web");
        admin
            .ask(apply(
                at.as_str(),
                deployment("web", json!({"containers": [{"name": "web", "image": "web:1"}]})),
            ))
            .await
            .unwrap();
        wait(&viewer, || get(at.as_str())).await;
        let replicas = || patch(at.as_str(), "/spec/replicas", json!(5));
        viewer
            .try_all(vec![
                ("a change", replicas(), "the viewer writes dry runs alone"),
                ("a delete", delete(at.as_str()), "the viewer writes dry runs alone"),
                ("a change, tried", dry(replicas()), "done"),
                ("a delete, tried", dry(delete(at.as_str())), "done"),
                ("Secrets", list(format!("{}/secrets", namespace_path(shop))), NO_RIGHT),
                (
                    "another namespace",
                    list("/apis/apps/v1/namespaces/kube-system/deployments"),
                    NO_RIGHT,
                ),
                ("every namespace", list("/apis/apps/v1/deployments"), NO_RIGHT),
                ("whose there are", list("/api/v1/namespaces"), NO_RIGHT),
                ("one by name", get(namespace_path("kube-system")), "done"),
                (
                    "the webhooks",
                    list("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"),
                    "done",
                ),
                (
                    "one webhook, deleted",
                    delete(
                        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/x",
                    ),
                    NO_RIGHT,
                ),
                (
                    "a namespace",
                    apply(
                        namespace_path("x"),
                        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}),
                    ),
                    NO_RIGHT,
                ),
                (
                    "a token",
                    create(
                        "/api/v1/namespaces/cofferdam-system/serviceaccounts/provisioner/token",
                        token(false),
                    ),
                    NO_RIGHT,
                ),
            ])
            .await;
        // A careless administrator gives the viewer all rights there. Admission still permits only
        // dry runs, and no tokens and no Secrets even so: a dry run of a token request returns a
        // valid token.
        let wide = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "careless"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "viewer",
                "namespace": "cofferdam-system"}]});
        admin.ask(apply(rbac(shop, "rolebindings/careless"), wide)).await.unwrap();
        wait(&viewer, || list(rbac(shop, "roles"))).await;
        viewer
            .try_all(vec![
                ("a change", replicas(), "the viewer writes dry runs alone"),
                (
                    "a token, tried",
                    dry(create(
                        format!("{}/serviceaccounts/default/token", namespace_path(shop)),
                        token(false),
                    )),
                    "asks for no token",
                ),
                (
                    "a Secret, tried",
                    dry(apply(
                        format!("{}/secrets/cofferdam-identity", namespace_path(shop)),
                        identity(),
                    )),
                    "no write of Secrets, identities or rights",
                ),
                (
                    "a right, tried",
                    dry(delete(rbac(shop, "rolebindings/careless"))),
                    "no write of Secrets, identities or rights",
                ),
            ])
            .await;
        let after = admin.ask(get(at.as_str())).await.unwrap();
        assert_eq!(
            (&after["spec"]["replicas"], &after["metadata"]["generation"]),
            (&json!(1), &json!(1))
        );
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn the_reaper_takes_what_bears_name_and_label_and_nothing_else() {
    let (plane, shop) = (installed(), "fences-reap");
    opt_in(plane, shop);
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let reaper = TestClient::account(plane, "cofferdam-system", "reaper").await;
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        run.make(&provisioner).await;
        let (role, binding) = (
            rbac(shop, &format!("roles/{}", run.name)),
            rbac(shop, &format!("rolebindings/{}", run.name)),
        );
        provisioner.ask(apply(role.as_str(), run.role(json!([])))).await.unwrap();
        provisioner.ask(apply(binding.as_str(), run.binding())).await.unwrap();
        let foreign = Run::new();
        let unmarked = rbac(shop, &format!("roles/{}", foreign.name));
        admin
            .ask(apply(
                unmarked.as_str(),
                but(&foreign.role(json!([])), "/metadata/labels", json!({})),
            ))
            .await
            .unwrap();
        const ONLY: &str =
            "deletes only what is named cofferdam-run-CALL-FENCE and bears the label";
        reaper
            .try_all(vec![
                ("a namespace", delete(namespace_path(shop)), ONLY),
                ("its home", delete(namespace_path("cofferdam-system")), ONLY),
                ("the self-check's", delete(namespace_path(SELF_CHECK)), ONLY),
                (
                    "the administrator's binding",
                    delete(rbac(shop, "rolebindings/cofferdam-ceiling")),
                    ONLY,
                ),
                ("the name without the label", delete(unmarked.as_str()), ONLY),
                (
                    "a Role of Kubernetes' own",
                    delete(rbac("kube-system", "roles/extension-apiserver-authentication-reader")),
                    ONLY,
                ),
                (
                    "a write",
                    apply(
                        "/api/v1/namespaces/cofferdam-system/configmaps/self-check",
                        config_map("self-check"),
                    ),
                    "deletes, and does nothing else",
                ),
                ("a run's Pods", list(run.at("pods")), NO_RIGHT),
                ("Secrets", list("/api/v1/secrets"), NO_RIGHT),
                ("finding runs", list("/api/v1/namespaces"), "done"),
                ("finding rights", list("/apis/rbac.authorization.k8s.io/v1/rolebindings"), "done"),
                ("a derived binding", delete(binding.as_str()), "done"),
                ("a derived Role", delete(role.as_str()), "done"),
                ("a run", delete(namespace_path(&run.name)), "done"),
            ])
            .await;
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn with_the_option_provisioner_and_reaper_have_a_share_of_the_server_of_their_own() {
    let plane = installed();
    plane.apply(&[&repository().join("deploy/options/flow-control.yaml")]);
    let flow = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let uid = |kind: &str, name: &str| {
        plane.request("GET", &format!("{flow}/{kind}/{name}"), None).body["metadata"]["uid"].clone()
    };
    let level = uid("prioritylevelconfigurations", "cofferdam");
    let provisioner = plane.kubeconfig("cofferdam-system", "provisioner");
    let run = Run::new();
    block(async { run.make(&TestClient::of(&provisioner).await).await });
    let asked = plane.exchange(
        &provisioner,
        &[],
        "POST",
        &run.at("serviceaccounts/job/token"),
        Some(&token(true)),
    );
    let as_job =
        format!("Authorization: Bearer {}", asked["body"]["status"]["token"].as_str().unwrap());
    let [reaper, viewer] =
        ["reaper", "viewer"].map(|who| plane.kubeconfig("cofferdam-system", who));
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    for (who, header, schema, own) in [
        (&provisioner, None, "cofferdam-provisioner", true),
        (&reaper, None, "cofferdam-reaper", true),
        // By a right that all other ServiceAccounts have too.
        (&viewer, None, "service-accounts", false),
        (&provisioner, Some(as_job.as_str()), "service-accounts", false),
    ] {
        let expected = uid("flowschemas", schema);
        until(schema, || {
            let said = plane.exchange(
                who,
                header.as_slice(),
                "POST",
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                Some(&review),
            );
            assert_eq!(said["status"], 201, "{said:#}");
            let headers = &said["headers"];
            let its = (headers["x-kubernetes-pf-prioritylevel-uid"] == level) == own;
            (its && headers["x-kubernetes-pf-flowschema-uid"] == expected).then_some(())
        });
    }
    plane.request("DELETE", &namespace_path(&run.name), None);
}
