//! The provisioner: it creates runs of one form, and gives a job only the rights that an
//! administrator gave it to pass on.

use super::super::client::*;
use super::{BEYOND, NO_RIGHT, NOWHERE, RULES, SELF_CHECK, deployment, wait};
use cofferdam_backend_kubernetes::api::Mode;
use serde_json::{Value, json};

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn the_provisioner_makes_runs_of_one_form_and_reads_next_to_nothing() {
    let plane = installed();
    block(async {
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        let (good, at) = (run.namespace(), namespace_path(&run.name));
        let label = |key: &str, value: &str| {
            let mut copy = good.clone();
            copy["metadata"]["labels"][key] = json!(value);
            apply(at.as_str(), copy)
        };
        let note = |key: &str, value: &str| {
            let mut copy = good.clone();
            copy["metadata"]["annotations"][key] = json!(value);
            apply(at.as_str(), copy)
        };
        let named =
            |name: &str| apply(namespace_path(name), but(&good, "/metadata/name", json!(name)));
        let finalized = {
            let mut copy = good.clone();
            copy["metadata"]["finalizers"] = json!(["cofferdam.dev/forever"]);
            apply(at.as_str(), copy)
        };
        provisioner
            .try_all(vec![
                ("any name", named("production"), "is named cofferdam-run-CALL-FENCE"),
                (
                    "a name that begins well",
                    named("cofferdam-run-x"),
                    "is named cofferdam-run-CALL-FENCE",
                ),
                ("kube-system", named("kube-system"), "is named cofferdam-run-CALL-FENCE"),
                ("its home", named("cofferdam-system"), "is named cofferdam-run-CALL-FENCE"),
                (
                    "no label",
                    label("cofferdam.dev/managed", "false"),
                    "bears the label cofferdam.dev/managed",
                ),
                ("another fence", label("cofferdam.dev/fence", "2"), "are those of its name"),
                (
                    "weak Pod Security",
                    label("pod-security.kubernetes.io/enforce", "baseline"),
                    "enforces Pod Security restricted",
                ),
                (
                    "unpinned",
                    label("pod-security.kubernetes.io/enforce-version", "latest"),
                    "at a pinned version",
                ),
                (
                    "Pod Security of long ago",
                    label("pod-security.kubernetes.io/enforce-version", "v1.0"),
                    "at a pinned version",
                ),
                (
                    "the last one before capabilities are dropped",
                    label("pod-security.kubernetes.io/enforce-version", "v1.21"),
                    "at a pinned version",
                ),
                (
                    "one that does not exist yet",
                    label("pod-security.kubernetes.io/enforce-version", "v1.99"),
                    "at a pinned version",
                ),
                (
                    "another version to audit",
                    label("pod-security.kubernetes.io/audit-version", "v1.0"),
                    "audits and warns with no other",
                ),
                (
                    "another level to warn of",
                    label("pod-security.kubernetes.io/warn", "privileged"),
                    "audits and warns with no other",
                ),
                ("opting in", label("cofferdam.dev/target", "true"), "never opts one in"),
                (
                    "a label that others heed",
                    label("admission.gatekeeper.sh/ignore", "yes"),
                    "no label but Cofferdam's own",
                ),
                (
                    "an annotation that others heed",
                    note("scheduler.alpha.kubernetes.io/node-selector", "a=b"),
                    "no annotation but Cofferdam's",
                ),
                (
                    "a century",
                    note("cofferdam.dev/expires-at", "2126-01-01T00:00:00Z"),
                    "at most 24 hours",
                ),
                ("no moment", note("cofferdam.dev/expires-at", "tomorrow"), "RFC 3339"),
                ("a finalizer", finalized, "has no finalizers"),
                ("a run's, tried", dry(apply(at.as_str(), good.clone())), "done"),
                ("a run's", apply(at.as_str(), good.clone()), "done"),
                ("again", apply(at.as_str(), good.clone()), "done"),
                (
                    "relaxing it",
                    label("pod-security.kubernetes.io/enforce", "privileged"),
                    "enforces Pod Security restricted",
                ),
                (
                    "an older version of it",
                    label("pod-security.kubernetes.io/enforce-version", "v1.0"),
                    "at a pinned version",
                ),
                (
                    "its status",
                    patch(format!("{at}/status"), "/metadata/labels/x", json!("y")),
                    NO_RIGHT,
                ),
                ("deleting another", dry(delete(namespace_path("default"))), "may not be deleted"),
                (
                    "deleting its home",
                    dry(delete(namespace_path("cofferdam-system"))),
                    "is named cofferdam-run-CALL-FENCE",
                ),
                (
                    "deleting the self-check's",
                    dry(delete(namespace_path(SELF_CHECK))),
                    "bears the label cofferdam.dev/managed",
                ),
                ("Secrets", list("/api/v1/secrets"), NO_RIGHT),
                (
                    "a Secret of the name it writes",
                    get("/api/v1/namespaces/default/secrets/cofferdam-identity"),
                    NO_RIGHT,
                ),
                ("Pods", list("/api/v1/pods"), NO_RIGHT),
                ("ConfigMaps", list("/api/v1/namespaces/kube-system/configmaps"), NO_RIGHT),
                ("Deployments", list("/apis/apps/v1/deployments"), NO_RIGHT),
                (
                    "reading a Secret by trying",
                    dry(apply("/api/v1/namespaces/default/secrets/cofferdam-identity", identity())),
                    NOWHERE,
                ),
                ("its end", delete(at.as_str()), "done"),
            ])
            .await;
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn in_a_run_the_provisioner_writes_its_guards_and_asks_for_its_jobs_token() {
    let plane = installed();
    block(async {
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        provisioner.ask(apply(namespace_path(&run.name), run.namespace())).await.unwrap();
        let asks = |account: &str, request: Value| {
            create(run.at(&format!("serviceaccounts/{account}/token")), request)
        };
        let bound = token(true);
        let for_audiences = |audiences: Value| {
            let mut request = token(true);
            request["spec"]["audiences"] = audiences;
            request
        };
        let mut legacy = identity();
        legacy["type"] = json!("kubernetes.io/service-account-token");
        legacy["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "job"});
        let mut changing = identity();
        changing["immutable"] = json!(false);
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "job"}, "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["input"],
                "verbs": ["create", "patch"]}]});
        let secrets = json!([{"apiGroups": [""], "resources": ["secrets"],
            "resourceNames": ["cofferdam-identity"], "verbs": ["patch"]}]);
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "job"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "job"},
            "subjects": [{"kind": "ServiceAccount", "name": "job", "namespace": run.name}]});
        let mine = |pointer: &str, value: Value| but(&run.taken_on(), pointer, value);
        let take = |pointer: &str, value: Value| {
            apply(rbac(&run.name, "rolebindings/provisioner"), mine(pointer, value))
        };
        let more = json!([run.taken_on()["subjects"][0], binding["subjects"][0]]);
        provisioner
            .try_all(vec![
                (
                    "a mounted token",
                    apply(
                        run.at("serviceaccounts/job"),
                        but(&account("job"), "/automountServiceAccountToken", json!(true)),
                    ),
                    "without a mounted token",
                ),
                (
                    "a third identity",
                    apply(run.at("serviceaccounts/other"), account("other")),
                    NO_RIGHT,
                ),
                ("job", apply(run.at("serviceaccounts/job"), account("job")), "done"),
                ("task", apply(run.at("serviceaccounts/task"), account("task")), "done"),
                (
                    "a token Secret",
                    apply(run.at("secrets/cofferdam-identity"), legacy),
                    "no Secret but the immutable `cofferdam-identity`",
                ),
                (
                    "a Secret that changes",
                    apply(run.at("secrets/cofferdam-identity"), changing),
                    "no Secret but the immutable `cofferdam-identity`",
                ),
                (
                    "another Secret",
                    apply(
                        run.at("secrets/other"),
                        but(&identity(), "/metadata/name", json!("other")),
                    ),
                    NO_RIGHT,
                ),
                ("identity", apply(run.at("secrets/cofferdam-identity"), identity()), "done"),
                ("reading it", get(run.at("secrets/cofferdam-identity")), NO_RIGHT),
                (
                    "an unbound token",
                    asks("job", token(false)),
                    "bound to the Secret `cofferdam-identity`",
                ),
                (
                    "a long token",
                    asks("job", but(&bound, "/spec/expirationSeconds", json!(7_200))),
                    "for an hour at most",
                ),
                (
                    "a token for somebody else",
                    asks("job", for_audiences(json!(["https://vault.example.com"]))),
                    "for no other audience",
                ),
                (
                    "a token for somebody else too",
                    asks(
                        "job",
                        for_audiences(json!([
                            "https://kubernetes.default.svc",
                            "https://vault.example.com"
                        ])),
                    ),
                    "this one is for https://kubernetes.default.svc, https://vault.example.com",
                ),
                (
                    "a token for somebody else, tried",
                    dry(asks("job", for_audiences(json!(["https://vault.example.com"])))),
                    "for no other audience",
                ),
                (
                    "a token for the API server, by name",
                    asks("job", for_audiences(json!(["https://kubernetes.default.svc"]))),
                    "done",
                ),
                ("a token of `task`", asks("task", bound.clone()), NO_RIGHT),
                (
                    "a token of its own",
                    create(
                        "/api/v1/namespaces/cofferdam-system/serviceaccounts/provisioner/token",
                        token(false),
                    ),
                    NO_RIGHT,
                ),
                (
                    "the self-check's token, unbound",
                    create(
                        format!("/api/v1/namespaces/{SELF_CHECK}/serviceaccounts/job/token"),
                        token(false),
                    ),
                    "bound to the Secret",
                ),
                ("a token of `job`", asks("job", bound.clone()), "done"),
                (
                    "a Role of another name",
                    apply(
                        rbac(&run.name, "roles/evil"),
                        but(&but(&role, "/metadata/name", json!("evil")), "/rules", json!([])),
                    ),
                    "is named `job`",
                ),
                (
                    "a Role over Secrets",
                    apply(rbac(&run.name, "roles/job"), but(&role, "/rules", secrets)),
                    RULES,
                ),
                (
                    "a Role of what it does not hold",
                    apply(rbac(&run.name, "roles/job"), role.clone()),
                    BEYOND,
                ),
                (
                    "looking without a right to",
                    Ask::Patch(run.at("configmaps/input"), json!([]), Mode::DryRun),
                    NO_RIGHT,
                ),
                ("a Pod's log", get(run.at("pods/cofferdam-task-0/log")), NO_RIGHT),
                (
                    "taking it on under another name",
                    apply(
                        rbac(&run.name, "rolebindings/job"),
                        mine("/metadata/name", json!("job")),
                    ),
                    "to no other subject",
                ),
                ("another ClusterRole", take("/roleRef/name", json!("cofferdam-ceiling")), BEYOND),
                ("every right", take("/roleRef/name", json!("cluster-admin")), BEYOND),
                (
                    "for `job`",
                    take(
                        "/subjects/0",
                        json!({"kind": "ServiceAccount", "name": "job",
                        "namespace": run.name}),
                    ),
                    "and to no other subject",
                ),
                (
                    "for a group",
                    take(
                        "/subjects/0",
                        json!({"kind": "Group",
                        "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"}),
                    ),
                    "and to no other subject",
                ),
                ("for one more", take("/subjects", more), "and to no other subject"),
                (
                    "acting as its job, without the option",
                    apply(rbac(&run.name, "rolebindings/as-job"), run.as_job()),
                    "not found",
                ),
                (
                    "taking it on at home",
                    apply(rbac("cofferdam-system", "rolebindings/provisioner"), run.taken_on()),
                    NOWHERE,
                ),
                (
                    "taking it on in `default`",
                    apply(rbac("default", "rolebindings/provisioner"), run.taken_on()),
                    NOWHERE,
                ),
                (
                    "taking it on",
                    apply(rbac(&run.name, "rolebindings/provisioner"), run.taken_on()),
                    "done",
                ),
            ])
            .await;
        // The authorizer knows a new binding some time after it is written.
        wait(&provisioner, || apply(rbac(&run.name, "roles/job"), role.clone())).await;
        // An API server with a user name of its own.
        let named = "https://fences.example.com";
        provisioner
            .try_all(vec![(
                "a token for the name",
                asks("job", for_audiences(json!([named]))),
                "for no other audience",
            )])
            .await;
        apply_edited(
            plane,
            "deploy/options/audience.yaml",
            &[("https://api.cluster.example.com", named)],
        );
        wait(&provisioner, || asks("job", for_audiences(json!([named])))).await;
        provisioner
            .try_all(vec![
                (
                    "a token for another name",
                    asks("job", for_audiences(json!(["https://vault.example.com"]))),
                    "for no other audience",
                ),
                (
                    "a binding for others",
                    apply(
                        rbac(&run.name, "rolebindings/job"),
                        but(&binding, "/subjects/0/namespace", json!("default")),
                    ),
                    "to no other subject",
                ),
                ("a binding", apply(rbac(&run.name, "rolebindings/job"), binding.clone()), "done"),
                (
                    "looking",
                    Ask::Patch(run.at("configmaps/input"), json!([]), Mode::DryRun),
                    "not found",
                ),
                (
                    "the self-check's namespace",
                    apply(format!("/api/v1/namespaces/{SELF_CHECK}/configmaps/x"), config_map("x")),
                    "is for dry runs",
                ),
            ])
            .await;
        provisioner.ask(delete(namespace_path(&run.name))).await.unwrap();
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_the_provisioner_cannot_write_it_cannot_be_shown_or_give_away() {
    let plane = installed();
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        // The namespace opted in and has no ceiling.
        let open = "fences-without-ceiling";
        let labels = json!({"cofferdam.dev/target": "true"});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": open, "labels": labels}});
        admin.ask(apply(namespace_path(open), namespace)).await.unwrap();
        let at = format!("{}/configmaps/theirs", namespace_path(open));
        let mut theirs = config_map("theirs");
        theirs["data"] = json!({"password": "hunter2"});
        admin.ask(apply(at.as_str(), theirs)).await.unwrap();
        // If the object cannot be decoded after a patch, the API server quotes it in the response
        // before it asks admission.
        let quoting = || {
            Ask::Patch(
                at.clone(),
                json!([{"op": "add", "path": "/nonsense", "value": 1}]),
                Mode::DryRun,
            )
        };
        let shown = admin.ask(quoting()).await.unwrap_err();
        assert!(shown.starts_with("422 "), "{shown}");
        let refused = provisioner.ask(quoting()).await.unwrap_err();
        assert!(
            refused.starts_with("403 ")
                && refused.contains("cannot patch resource")
                && !refused.contains("hunter2"),
            "{refused}"
        );
        let run = Run::new();
        let role = |group: &str, resource: &str, name: &str| {
            let rules = json!([{"apiGroups": [group], "resources": [resource],
                "resourceNames": [name], "verbs": ["patch"]}]);
            apply(rbac(open, &format!("roles/{}", run.name)), run.role(rules))
        };
        let workload = |resource: &str| {
            namespace_path(open).replace("/api/v1", "/apis/apps/v1") + "/" + resource
        };
        provisioner
            .try_all(vec![
                ("a right over their ConfigMap", role("", "configmaps", "theirs"), BEYOND),
                ("a right over their Deployment", role("apps", "deployments", "web"), BEYOND),
                ("a right over their Pod", role("", "pods", "cofferdam-task-0"), BEYOND),
                (
                    "their Pod",
                    get(format!("{}/pods/cofferdam-task-0", namespace_path(open))),
                    NO_RIGHT,
                ),
                ("a ConfigMap", dry(apply(at.as_str(), config_map("theirs"))), NO_RIGHT),
                ("a Deployment", dry(delete(workload("deployments/web"))), NO_RIGHT),
            ])
            .await;
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn at_a_target_the_provisioner_derives_rights_and_the_job_has_just_those() {
    let (plane, shop) = (installed(), "fences-shop");
    opt_in(plane, shop);
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let closed =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fences-closed"}});
        admin.ask(apply(namespace_path("fences-closed"), closed)).await.unwrap();
        let at = |name: &str| format!("/apis/apps/v1/namespaces/{shop}/deployments/{name}");
        for name in ["web", "api"] {
            admin
                .ask(apply(
                    at(name),
                    deployment(name, json!({"containers": [{"name": "web", "image": "web:1"}]})),
                ))
                .await
                .unwrap();
        }
        let run = Run::new();
        run.make(&provisioner).await;
        let job = run.job(plane, &provisioner).await;
        let rules = |resource: &str, names: Value, verbs: Value| {
            json!([{"apiGroups": ["apps"], "resources": [resource],
            "resourceNames": names, "verbs": verbs}])
        };
        let web = rules("deployments", json!(["web"]), json!(["get", "patch"]));
        let role_at = |namespace: &str| rbac(namespace, &format!("roles/{}", run.name));
        let binding_at = rbac(shop, &format!("rolebindings/{}", run.name));
        let role = |rules: Value| apply(role_at(shop), run.role(rules));
        let other = |pointer: &str, value: Value| {
            apply(binding_at.as_str(), but(&run.binding(), pointer, value))
        };
        let replicas = |name: &str| patch(at(name), "/spec/replicas", json!(2));
        let cluster_role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "cofferdam-ceiling"});
        let in_run = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "cofferdam-in-run"});
        let bound_ceiling = other("/roleRef", cluster_role.clone());
        provisioner
            .try_all(vec![
                ("using its ceiling", replicas("web"), "the provisioner's writes are dry runs"),
                ("deleting with it", delete(at("web")), "the provisioner's writes are dry runs"),
                ("trying a change", dry(replicas("web")), "done"),
                (
                    "a Role beyond the ceiling",
                    role(json!([{"apiGroups": [""], "resources": ["pods/exec"],
                        "resourceNames": ["x"], "verbs": ["create"]}])),
                    BEYOND,
                ),
                (
                    "a Role over what is named as a guard",
                    role(json!([{"apiGroups": ["networking.k8s.io"],
                        "resources": ["networkpolicies"], "resourceNames": ["deny-all"],
                        "verbs": ["patch"]}])),
                    "named as a run's guards",
                ),
                (
                    "taking on there what is for runs",
                    apply(rbac(shop, "rolebindings/provisioner"), run.taken_on()),
                    "is named as its run",
                ),
                (
                    "taking it on as derived rights",
                    other("/roleRef", in_run),
                    "to no other subject",
                ),
                (
                    "a Role without names",
                    role(rules("deployments", json!([]), json!(["get"]))),
                    RULES,
                ),
                (
                    "a Role that lists",
                    role(rules("deployments", json!(["web"]), json!(["list"]))),
                    RULES,
                ),
                (
                    "a Role of another name",
                    apply(
                        rbac(shop, "roles/evil"),
                        but(&run.role(web.clone()), "/metadata/name", json!("evil")),
                    ),
                    "is named as its run",
                ),
                (
                    "a Role that nobody could find",
                    apply(
                        role_at(shop),
                        but(&run.role(web.clone()), "/metadata/labels", json!({})),
                    ),
                    "derived rights bear the labels",
                ),
                (
                    "a Role for ever",
                    apply(
                        role_at(shop),
                        but(&run.role(web.clone()), "/metadata/annotations", json!({})),
                    ),
                    "derived rights bear cofferdam.dev/expires-at",
                ),
                (
                    "a Role where nobody opted in",
                    apply(role_at("fences-closed"), run.role(json!([]))),
                    NOWHERE,
                ),
                (
                    "a Role in kube-system",
                    apply(role_at("kube-system"), run.role(json!([]))),
                    NOWHERE,
                ),
                (
                    "a Role at home",
                    apply(role_at("cofferdam-system"), run.role(json!([]))),
                    NOWHERE,
                ),
                ("the derived Role", role(web.clone()), "done"),
                (
                    "a binding to somebody else",
                    other("/subjects/0/namespace", json!("default")),
                    "to no other subject",
                ),
                (
                    "a binding to `task`",
                    other("/subjects/0/name", json!("task")),
                    "to no other subject",
                ),
                ("a binding of the whole ceiling", bound_ceiling, "to no other subject"),
                ("the derived binding", apply(binding_at.as_str(), run.binding()), "done"),
                (
                    "the administrator's binding",
                    delete(rbac(shop, "rolebindings/cofferdam-ceiling")),
                    "is named as its run",
                ),
                (
                    "a Secret there, tried",
                    dry(apply(
                        format!("{}/secrets/cofferdam-identity", namespace_path(shop)),
                        identity(),
                    )),
                    "no Secret but",
                ),
            ])
            .await;
        // The authorizer sees a new binding some time after it was written.
        wait(&job, || get(at("web"))).await;
        job.try_all(vec![
            ("what it is for", replicas("web"), "done"),
            ("another object", replicas("api"), NO_RIGHT),
            ("another verb", delete(at("web")), NO_RIGHT),
            ("all of them", list(format!("/apis/apps/v1/namespaces/{shop}/deployments")), NO_RIGHT),
            ("Secrets", list(format!("{}/secrets", namespace_path(shop))), NO_RIGHT),
        ])
        .await;
        // With any other binding a job still writes only in namespaces with the label.
        let wide = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "careless"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "job", "namespace": run.name}]});
        for namespace in ["fences-closed", shop] {
            admin.ask(apply(rbac(namespace, "rolebindings/careless"), wide.clone())).await.unwrap();
        }
        wait(&job, || list("/api/v1/namespaces/fences-closed/configmaps")).await;
        wait(&job, || list(format!("{}/configmaps", namespace_path(shop)))).await;
        job.try_all(vec![
            (
                "where nobody opted in",
                apply("/api/v1/namespaces/fences-closed/configmaps/x", config_map("x")),
                "nowhere else",
            ),
            (
                "a Secret at a target",
                apply(format!("{}/secrets/cofferdam-identity", namespace_path(shop)), identity()),
                "no Secrets, identities, rights",
            ),
            (
                "a right at a target",
                dry(delete(rbac(shop, "rolebindings/careless"))),
                "no Secrets, identities, rights",
            ),
            (
                "a token at a target",
                create(
                    format!("{}/serviceaccounts/default/token", namespace_path(shop)),
                    token(false),
                ),
                "no Secrets, identities, rights",
            ),
        ])
        .await;
        provisioner
            .try_all(vec![
                ("taking the binding away", delete(binding_at.as_str()), "done"),
                ("taking the Role away", delete(role_at(shop)), "done"),
                ("taking the run away", delete(namespace_path(&run.name)), "done"),
            ])
            .await;
    });
}
