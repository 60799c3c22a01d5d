//! A run: its guards are frozen, no other client may use its identities, and its pods are pinned
//! and have no credential.

use super::super::client::*;
use super::{FROZEN, NO_RIGHT, pod_spec, wait};
use crate::cluster::until;
use cofferdam_backend_kubernetes::api::Mode;
use serde_json::{Value, json};

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_runs_guards_are_frozen_and_no_user_becomes_its_job() {
    let plane = installed();
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        run.make(&provisioner).await;
        let denies = run.in_group("networking.k8s.io", "networkpolicies/deny-all");
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "deny-all"}, "spec": {"podSelector": {}, "policyTypes": [
            "Ingress", "Egress"]}});
        provisioner.ask(apply(denies.as_str(), policy.clone())).await.unwrap();
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "more"}, "rules": []});
        let mut finalized = config_map("x");
        finalized["metadata"]["finalizers"] = json!(["example.com/forever"]);
        admin
            .try_all(vec![
                ("the network policy's end", delete(denies.as_str()), FROZEN),
                (
                    "loosening it",
                    apply(denies.as_str(), but(&policy, "/spec/policyTypes", json!(["Ingress"]))),
                    FROZEN,
                ),
                ("a Role", apply(rbac(&run.name, "roles/more"), role), FROZEN),
                ("a Secret", apply(run.at("secrets/cofferdam-identity"), identity()), FROZEN),
                ("a ServiceAccount", apply(run.at("serviceaccounts/job"), account("job")), FROZEN),
                (
                    "a token of `job`",
                    create(run.at("serviceaccounts/job/token"), token(true)),
                    "to the provisioner alone",
                ),
                (
                    "a token of `task`",
                    create(run.at("serviceaccounts/task/token"), token(true)),
                    "to the provisioner alone",
                ),
                (
                    "a finalizer",
                    apply(run.at("configmaps/x"), finalized),
                    "has a finalizer of its own",
                ),
            ])
            .await;
        // An administrator who is not the superuser of the API server.
        let deputy = json!({"apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding", "metadata": {"name": "fences-deputy"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "deputy",
                "namespace": "fences-deputy"}]});
        admin
            .ask(apply(
                namespace_path("fences-deputy"),
                json!({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": "fences-deputy"}}),
            ))
            .await
            .unwrap();
        admin
            .ask(apply(
                "/api/v1/namespaces/fences-deputy/serviceaccounts/deputy",
                account("deputy"),
            ))
            .await
            .unwrap();
        admin
            .ask(apply(
                "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/fences-deputy",
                deputy,
            ))
            .await
            .unwrap();
        let deputy = TestClient::account(plane, "fences-deputy", "deputy").await;
        wait(&deputy, || list("/api/v1/namespaces")).await;
        let labelled = |key: &str| {
            let metadata = json!({"name": "fences-deputy", "labels": {key: "true"}});
            apply(
                namespace_path("fences-deputy"),
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
            )
        };
        let (at, other) = (namespace_path(&run.name), Run::new());
        deputy
            .try_all(vec![
                (
                    "a run's name",
                    apply(namespace_path(&other.name), other.namespace()),
                    "are the provisioner's",
                ),
                ("a run's label", labelled("cofferdam.dev/managed"), "are frozen"),
                ("opting in", labelled("cofferdam.dev/target"), "done"),
                (
                    "opting a run in",
                    patch(at.as_str(), "/metadata/labels/cofferdam.dev~1target", json!("true")),
                    "are frozen",
                ),
                (
                    "relaxing a run",
                    patch(
                        at.as_str(),
                        "/metadata/labels/pod-security.kubernetes.io~1enforce",
                        json!("privileged"),
                    ),
                    "are frozen",
                ),
                (
                    "a longer run",
                    patch(
                        at.as_str(),
                        "/metadata/annotations/cofferdam.dev~1expires-at",
                        json!("2126-01-01T00:00:00Z"),
                    ),
                    "are frozen",
                ),
                (
                    "opting a run in by its status",
                    patch(
                        format!("{at}/status"),
                        "/metadata/labels/cofferdam.dev~1target",
                        json!("true"),
                    ),
                    "are frozen",
                ),
                (
                    "what a teardown has to look for",
                    patch(
                        at.as_str(),
                        "/metadata/annotations/cofferdam.dev~1targets",
                        json!("elsewhere"),
                    ),
                    "are frozen",
                ),
                (
                    "what does not matter",
                    patch(at.as_str(), "/metadata/labels/team", json!("a")),
                    "done",
                ),
                ("its end", delete(at.as_str()), "done"),
            ])
            .await;
        admin
            .ask(delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/fences-deputy"))
            .await
            .unwrap();
        // The guards are removed with their namespace: the policies do not stop the controllers.
        until("the run's end", || (plane.request("GET", &at, None).status == 404).then_some(()));
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_runs_in_a_run_is_pinned_and_holds_no_credential() {
    let plane = installed();
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        run.make(&provisioner).await;
        provisioner
            .ask(apply(rbac(&run.name, "rolebindings/provisioner"), run.taken_on()))
            .await
            .unwrap();
        wait(&provisioner, || dry(apply(run.at("configmaps/x"), config_map("x")))).await;
        for guard in run.guards() {
            provisioner.ask(apply(guard.path, guard.object)).await.unwrap();
        }
        let spec = pod_spec();
        let at = run.at("pods/cofferdam-task-0");
        let pod = |spec: Value| {
            json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "cofferdam-task-0"}, "spec": spec})
        };
        wait(&provisioner, || dry(apply(at.as_str(), pod(spec.clone())))).await;
        let with =
            |pointer: &str, value: Value| apply(at.as_str(), pod(but(&spec, pointer, value)));
        let more = |key: &str, value: Value| {
            let mut spec = spec.clone();
            spec[key] = value;
            apply(at.as_str(), pod(spec))
        };
        let service = |spec: Value| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "x"}, "spec": spec})
        };
        let volume = |kind: Value| with("/volumes", json!([kind]));
        let projected = json!({"name": "t", "projected": {"sources": [{"serviceAccountToken": {
            "path": "t"}}]}});
        let rows = |name: &'static str, rest: &'static str, wrap: &dyn Fn(Value) -> Value| {
            let (group, resource) = name.split_once('/').unwrap();
            let at = run.in_group(group, &format!("{resource}/web"));
            let spec = but(&spec, "/restartPolicy", json!(rest));
            vec![
                (
                    name,
                    dry(apply(at.as_str(), wrap(but(&spec, "/volumes", json!([projected]))))),
                    "never a token",
                ),
                (
                    name,
                    dry(apply(
                        at.as_str(),
                        wrap(but(
                            &spec,
                            "/volumes",
                            json!([{"name": "s", "secret": {"secretName": "cofferdam-identity"}}]),
                        )),
                    )),
                    "never a token",
                ),
                (
                    name,
                    dry(apply(at.as_str(), wrap(but(&spec, "/serviceAccountName", json!("job"))))),
                    "run as the ServiceAccount `task`",
                ),
                (
                    name,
                    dry(apply(
                        at.as_str(),
                        wrap(but(&spec, "/containers/0/image", json!("web:1"))),
                    )),
                    "by digest",
                ),
                (
                    name,
                    dry(apply(
                        at.as_str(),
                        wrap(but(
                            &spec,
                            "/containers/0/securityContext/allowPrivilegeEscalation",
                            json!(true),
                        )),
                    )),
                    "say allowPrivilegeEscalation: false",
                ),
                (name, dry(apply(at.as_str(), wrap(spec.clone()))), "done"),
            ]
        };
        let workload = |kind: &str, group: &str, spec: Value| {
            json!({"apiVersion": format!("{group}/v1"), "kind": kind,
            "metadata": {"name": "web"}, "spec": spec})
        };
        let template = |spec: Value| json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
        let selected = |spec: Value| {
            json!({"selector": {"matchLabels": {"a": "b"}},
            "template": template(spec)})
        };
        let mut all = vec![
            (
                "an image by tag",
                with("/containers/0/image", json!("registry.example/tool:latest")),
                "by digest",
            ),
            (
                "a writable root",
                with("/containers/0/securityContext/readOnlyRootFilesystem", json!(false)),
                "read-only root",
            ),
            // Then the limits of the run apply.
            ("no limits", dry(with("/containers/0/resources", json!({}))), "done"),
            (
                "a container that may gain privileges, unconfined",
                with(
                    "/containers/0/securityContext",
                    json!({
                        "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                        "allowPrivilegeEscalation": true,
                        "seccompProfile": {"type": "Unconfined"},
                    }),
                ),
                "violates PodSecurity",
            ),
            (
                "a mounted token",
                with("/automountServiceAccountToken", json!(true)),
                "automountServiceAccountToken: false",
            ),
            (
                "as `job`",
                with("/serviceAccountName", json!("job")),
                "run as the ServiceAccount `task`",
            ),
            ("a projected token", volume(projected.clone()), "never a token"),
            (
                "a Secret",
                volume(json!({"name": "s", "secret": {"secretName": "cofferdam-identity"}})),
                "never a token",
            ),
            (
                "the node's disk",
                volume(json!({"name": "h", "hostPath": {"path": "/"}})),
                "violates PodSecurity",
            ),
            (
                "an init container by tag",
                with(
                    "/initContainers",
                    json!([but(
                        &but(&spec["containers"][0], "/image", json!("x:1")),
                        "/name",
                        json!("first")
                    )]),
                ),
                "by digest",
            ),
            ("the host's network", with("/hostNetwork", json!(true)), "violates PodSecurity"),
            ("a node of its choice", more("nodeName", json!("cp-1")), "name no node"),
            ("a priority", more("priorityClassName", json!("system-node-critical")), "priority"),
            (
                "every taint tolerated",
                more("tolerations", json!([{"operator": "Exists"}])),
                "tolerate no node",
            ),
            (
                "a host alias",
                more("hostAliases", json!([{"ip": "10.0.0.1", "hostnames": ["x"]}])),
                "no host names",
            ),
            (
                "an external IP",
                apply(
                    run.at("services/x"),
                    service(json!({"ports": [{"port": 80}], "externalIPs": ["203.0.113.7"]})),
                ),
                "without external IPs",
            ),
            (
                "a plain Service",
                dry(apply(
                    run.at("services/x"),
                    service(json!({"ports": [{"port": 80}], "clusterIP": "None"})),
                )),
                "done",
            ),
            ("a task", apply(at.as_str(), pod(spec.clone())), "done"),
            ("looking at it", get(at.as_str()), "done"),
            ("entering it", create(format!("{at}/exec"), json!({})), NO_RIGHT),
        ];
        all.extend(rows("apps/deployments", "Always", &|spec| {
            workload("Deployment", "apps", selected(spec))
        }));
        all.extend(rows("apps/statefulsets", "Always", &|spec| {
            workload("StatefulSet", "apps", selected(spec))
        }));
        all.extend(rows("batch/jobs", "Never", &|spec| {
            workload("Job", "batch", json!({"template": template(spec)}))
        }));
        all.extend(rows("batch/cronjobs", "Never", &|spec| {
            workload(
                "CronJob",
                "batch",
                json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {
                "template": template(spec)}}}),
            )
        }));
        provisioner.try_all(all).await;
        let ephemeral = json!([{"op": "add", "path": "/spec/ephemeralContainers",
            "value": [but(&spec["containers"][0], "/name", json!("more"))]}]);
        let ephemeral = but(&ephemeral, "/0/value/0/resources", json!({}));
        admin
            .try_all(vec![
                (
                    "entering it",
                    create(format!("{at}/exec"), json!({})),
                    "containers of a run cannot be entered",
                ),
                (
                    "attaching to it",
                    create(format!("{at}/attach"), json!({})),
                    "containers of a run cannot be entered",
                ),
                (
                    "a container more",
                    Ask::Patch(format!("{at}/ephemeralcontainers"), ephemeral, Mode::Real),
                    "no ephemeral containers",
                ),
            ])
            .await;
        let second = run.at("pods/cofferdam-task-1");
        let named = |spec: Value| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "cofferdam-task-1"}, "spec": spec})
        };
        let try_with = |pointer: &str, value: Value| {
            dry(apply(second.as_str(), named(but(&spec, pointer, value))))
        };
        let context = |key: &str, value: Option<Value>| {
            let mut context = spec["containers"][0]["securityContext"].clone();
            match value {
                Some(value) => context[key] = value,
                None => drop(context.as_object_mut().unwrap().remove(key).unwrap()),
            }
            try_with("/containers/0/securityContext", context)
        };
        let first = but(&spec["containers"][0], "/name", json!("first"));
        let first = but(&first, "/securityContext/allowPrivilegeEscalation", json!(true));
        // Without Pod Security, which only the superuser of the API server can turn off, these
        // policies still refuse.
        let relaxed = patch(
            namespace_path(&run.name),
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
            json!("privileged"),
        );
        admin.ask(relaxed).await.unwrap();
        wait(&provisioner, || try_with("/hostNetwork", json!(true))).await;
        provisioner
            .try_all(vec![
                (
                    "gaining privileges",
                    context("allowPrivilegeEscalation", Some(json!(true))),
                    "allowPrivilegeEscalation: false",
                ),
                (
                    "nothing said of privileges",
                    context("allowPrivilegeEscalation", None),
                    "allowPrivilegeEscalation: false",
                ),
                (
                    "an init container that may gain them",
                    try_with("/initContainers", json!([first])),
                    "allowPrivilegeEscalation: false",
                ),
                (
                    "some capabilities dropped",
                    context("capabilities", Some(json!({"drop": ["NET_RAW"]}))),
                    "drop ALL capabilities",
                ),
                (
                    "nothing said of capabilities",
                    context("capabilities", None),
                    "drop ALL capabilities",
                ),
                (
                    "a capability added",
                    context("capabilities", Some(json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]}))),
                    "add none but NET_BIND_SERVICE",
                ),
                (
                    "an unconfined pod",
                    try_with("/securityContext/seccompProfile", json!({"type": "Unconfined"})),
                    "seccomp profile",
                ),
                (
                    "no profile",
                    try_with("/securityContext", json!({"runAsNonRoot": true, "runAsUser": 65532})),
                    "seccomp profile",
                ),
                (
                    "an unconfined container",
                    context("seccompProfile", Some(json!({"type": "Unconfined"}))),
                    "seccomp profile",
                ),
                (
                    "a profile of the node",
                    context(
                        "seccompProfile",
                        Some(json!({"type": "Localhost", "localhostProfile": "tight.json"})),
                    ),
                    "done",
                ),
                ("as it should be", try_with("/hostNetwork", json!(false)), "done"),
            ])
            .await;
        provisioner.ask(delete(namespace_path(&run.name))).await.unwrap();
    });
}
