//! The viewer with its own credential over a real API server: previews are dry runs that give the
//! later effect, and reads return named fields. It never goes beyond the ceiling and changes
//! nothing.

#[path = "../../../gateway/backend-directory/src/fixture.rs"]
mod fixture;

use super::client::{installed, opt_in};
use crate::cluster::{Cluster, Event, is_dry, until};
use cofferdam_backend_kubernetes::api::{self, Manager, Mode};
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::look::Looker;
use cofferdam_backend_kubernetes::look_error::LookError;
use cofferdam_backend_kubernetes::preview::preview;
use cofferdam_backend_kubernetes::webhook;
use cofferdam_core::model::ceiling::Grant;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Action, Step};
use cofferdam_core::model::preview::{Expect, PreviewedOperation, Remark, RemarkKind};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::stage::drift;
use serde_json::{Value, json};
use std::path::Path;

/// One target namespace, and its viewer.
struct View {
    plane: &'static Cluster,
    namespace: String,
    runtime: tokio::runtime::Runtime,
    looker: Looker,
    admin: api::Cluster,
}

impl View {
    fn of(namespace: &str) -> Self {
        let plane = installed();
        opt_in(plane, namespace);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connect = |kubeconfig: &Path| {
            runtime.block_on(async {
                api::Cluster::connect(&Credential::read(kubeconfig).await.unwrap()).unwrap()
            })
        };
        let looker = Looker::new(connect(&plane.kubeconfig("cofferdam-system", "viewer")));
        let admin = connect(&plane.admin());
        let view = Self { plane, namespace: namespace.to_owned(), runtime, looker, admin };
        // A binding takes effect some time after it is written.
        until("the viewer's rights", || {
            match view
                .look(json!({"action": "list", "group": "", "version": "v1", "kind": "ConfigMap",
            "namespace": namespace, "fields": ["metadata.name"], "limit": 1}))
            {
                ReadResponse::Results { .. } => Some(()),
                ReadResponse::Refused { code, .. } if code == "forbidden" => None,
                other => panic!("{other:?}"),
            }
        });
        view
    }

    fn look(&self, operation: Value) -> ReadResponse {
        let operations = vec![step(operation)];
        let (tool, digest) = ("t".to_owned(), ComponentDigest::of(b"t"));
        let look = match operations[0].operation.action().reads() {
            true => ReadRequest::Read { tool, digest, operations },
            false => ReadRequest::Preview { tool, digest, operations },
        };
        self.runtime.block_on(self.looker.look(&look, &trust())).unwrap()
    }

    /// The preview of one operation.
    fn preview(&self, operation: Value) -> PreviewedOperation {
        match self.look(operation) {
            ReadResponse::Preview { preview } => preview.operations.into_iter().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The code and the reason of a refusal.
    fn refused(&self, operation: Value) -> (String, String) {
        match self.look(operation) {
            ReadResponse::Refused { code, reason, .. } => (code, reason),
            other => panic!("{other:?}"),
        }
    }

    fn collection(&self, resource: &str) -> String {
        let api = match resource {
            "deployments" | "daemonsets" => "/apis/apps/v1",
            _ => "/api/v1",
        };
        format!("{api}/namespaces/{}/{resource}", self.namespace)
    }

    fn create(&self, resource: &str, object: &Value) {
        self.runtime
            .block_on(self.admin.create(&self.collection(resource), object, Mode::Real))
            .unwrap();
    }

    fn get(&self, resource: &str, name: &str) -> Option<Value> {
        self.runtime
            .block_on(self.admin.get(&format!("{}/{name}", self.collection(resource))))
            .unwrap()
    }

    /// Applies an object as a field manager, which owns the written fields from then on.
    fn apply_as(&self, manager: &str, resource: &str, object: &Value) {
        let path = format!(
            "{}/{}",
            self.collection(resource),
            object["metadata"]["name"].as_str().unwrap()
        );
        let manager = Manager { name: manager, force: true };
        self.runtime.block_on(self.admin.apply(&path, object, manager, Mode::Real)).unwrap();
    }

    fn change(&self, resource: &str, name: &str, subresource: &str, patch: &Value) {
        let answer = self.plane.request(
            "PATCH",
            &format!("{}/{name}{subresource}", self.collection(resource)),
            Some(patch),
        );
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn target(&self, group: &str, kind: &str, name: &str) -> Value {
        json!({"group": group, "version": "v1", "kind": kind, "namespace": self.namespace,
            "name": name})
    }

    fn patch(&self, kind: &str, name: &str, changes: Value) -> Value {
        let group = if kind == "ConfigMap" { "" } else { "apps" };
        json!({"action": "patch", "target": self.target(group, kind, name), "changes": changes})
    }

    fn apply(&self, object: Value) -> Value {
        json!({"action": "apply", "place": {"namespace": self.namespace}, "object": object})
    }

    /// Checks that every write of the viewer in this namespace was a dry run, and that there was at
    /// least one.
    fn only_dry_runs(&self) {
        let events = self.plane.audit();
        let writes = events.iter().filter(|event| {
            event["user"]["username"] == "system:serviceaccount:cofferdam-system:viewer"
                && event["objectRef"]["namespace"] == self.namespace.as_str()
                && !matches!(event["verb"].as_str(), Some("get" | "list" | "watch"))
        });
        let (dry, real): (Vec<&Event>, Vec<&Event>) = writes.partition(|event| is_dry(event));
        assert!(real.is_empty(), "the viewer asked for a real write: {real:#?}");
        assert!(!dry.is_empty(), "the viewer tried nothing");
    }
}

fn step(mut operation: Value) -> Step {
    operation["after"] = json!([]);
    operation["reversible"] = json!(false);
    serde_json::from_value(operation).unwrap()
}

fn trust() -> Trust {
    let grant = |action, group: &str, kind: &str, fields: &[&str]| Grant {
        action,
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespaces: vec!["view-*".into()],
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let image = "spec.template.spec.containers[*].image";
    let grants = vec![
        grant(
            Action::Read,
            "apps",
            "Deployment",
            &["spec.replicas", image, "status.readyReplicas"],
        ),
        grant(Action::List, "", "ConfigMap", &["metadata.name", "data.a"]),
        grant(Action::Logs, "", "Pod", &[]),
        grant(
            Action::Patch,
            "apps",
            "Deployment",
            &["spec.replicas", image, "metadata.annotations.*"],
        ),
        grant(Action::Patch, "apps", "DaemonSet", &[image]),
        grant(Action::Patch, "", "ConfigMap", &["data.*"]),
        grant(Action::Apply, "", "ConfigMap", &["data.*"]),
        grant(Action::Delete, "apps", "Deployment", &[]),
        grant(Action::Delete, "", "ConfigMap", &[]),
    ];
    fixture::trust(grants)
}

fn workload(kind: &str, name: &str) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
            },
        },
    });
    if kind == "Deployment" {
        object["spec"]["replicas"] = json!(3);
    }
    object
}

fn config(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_preview_of_a_patch_changes_nothing_and_says_what_would() {
    let view = View::of("view-patch");
    view.create("deployments", &workload("Deployment", "web"));
    // The controller is done: from here on only this test writes.
    until("the deployment's status", || {
        let object = view.get("deployments", "web").unwrap();
        (object["status"]["observedGeneration"] == 1 && object["status"]["conditions"].is_array())
            .then_some(())
    });
    let changes = json!([
        {"path": "spec.replicas", "value": 5},
        {"path": "spec.template.spec.containers[name=web].image",
            "value": "registry.example/web:2"},
        {"path": "metadata.annotations[\"example.com/at\"]", "value": {"$host": "started_at"}},
    ]);
    let patch = || view.patch("Deployment", "web", changes.clone());
    let stored = |key: &str| view.get("deployments", "web").unwrap()["metadata"][key].clone();
    let generation = stored("generation");
    let shown = view.preview(patch());
    assert_eq!(
        json!({"before": shown.before, "after": shown.after}),
        json!({
            "before": {
                "metadata.annotations[\"example.com/at\"]": null,
                "spec.replicas": 3,
                "spec.template.spec.containers[name=web].image": "registry.example/web:1",
            },
            "after": {
                "metadata.annotations[\"example.com/at\"]": {"$host": "started_at"},
                "spec.replicas": 5,
                "spec.template.spec.containers[name=web].image": "registry.example/web:2",
            },
        })
    );
    assert!(matches!(&shown.expect, Expect::Present { uid, .. } if stored("uid") == uid.as_str()));
    assert_eq!(stored("generation"), generation);
    assert_eq!(stored("annotations")["example.com/at"], Value::Null);

    // A heartbeat is not drift; a change is, and is named.
    view.change(
        "deployments",
        "web",
        "/status",
        &json!({"status": {"observedGeneration": 1, "collisionCount": 7}}),
    );
    assert_eq!(view.preview(patch()), shown);
    view.change("deployments", "web", "", &json!({"spec": {"replicas": 4}}));
    let now = view.preview(patch());
    assert_ne!(now.expect, shown.expect);
    let previews = [&shown, &now]
        .map(|one| cofferdam_core::model::preview::Preview { operations: vec![one.clone()] });
    let (approved, digest) = previews[0].seal().unwrap();
    assert_eq!(
        drift::agree(&approved, digest, &previews[1]).unwrap_err(),
        "`spec.replicas` of Deployment web in namespace view-patch was 3 and is 4 (by `unknown`)"
    );

    // The runner makes the preview again as the provisioner, to whom admission permits only dry
    // runs there.
    let provisioner = view.plane.kubeconfig("cofferdam-system", "provisioner");
    let again = view.runtime.block_on(async {
        let cluster =
            api::Cluster::connect(&Credential::read(&provisioner).await.unwrap()).unwrap();
        preview(&cluster, "t", &[step(patch())]).await.unwrap()
    });
    assert_eq!(again.operations, [now]);

    // A missing object, an unknown field, and a value that the server refuses.
    let (code, reason) = view.refused(view.patch(
        "Deployment",
        "api",
        json!([{"path": "spec.replicas", "value": 1}]),
    ));
    assert_eq!(
        (code.as_str(), reason.as_str()),
        ("not-found", "there is no Deployment api in namespace view-patch")
    );
    let other = json!([{"path": "spec.template.spec.containers[name=log].image", "value": "x"}]);
    assert_eq!(view.refused(view.patch("Deployment", "web", other)).0, "conflict");
    let (code, reason) = view.refused(view.patch(
        "Deployment",
        "web",
        json!([{"path": "spec.replicas", "value": -1}]),
    ));
    assert!(code == "invalid" && reason.contains("spec.replicas"), "{code}: {reason}");

    // The server then quotes the whole object; the agent gets none of it.
    let (code, reason) = view.refused(view.patch(
        "Deployment",
        "web",
        json!([{"path": "spec.replicas", "value": "many"}]),
    ));
    assert!(code == "invalid" && !reason.contains("registry.example"), "{code}: {reason}");

    // The API server counts the templates of a DaemonSet itself, in an annotation. That is not a
    // change by a client.
    view.create("daemonsets", &workload("DaemonSet", "agent"));
    let image = "spec.template.spec.containers[name=web].image";
    let shown = view.preview(view.patch(
        "DaemonSet",
        "agent",
        json!([{"path": image, "value": "registry.example/web:2"}]),
    ));
    assert_eq!(shown.after[image], "registry.example/web:2");
    view.only_dry_runs();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_preview_of_a_delete_shows_what_goes_and_leaves_it() {
    let view = View::of("view-delete");
    view.create("deployments", &workload("Deployment", "web"));
    let shown = view
        .preview(json!({"action": "delete", "target": view.target("apps", "Deployment", "web")}));
    assert_eq!(shown.before["spec.replicas"], 3);
    assert_eq!(
        shown.before["spec.template.spec.containers[*].image"],
        json!(["registry.example/web:1"])
    );
    assert!(shown.after.is_empty());
    let (code, _) = view
        .refused(json!({"action": "delete", "target": view.target("apps", "Deployment", "api")}));
    assert_eq!(code, "not-found");
    // The audit log has no bodies, and a delete names its dry run there. The object itself is the
    // proof.
    assert_eq!(
        view.get("deployments", "web").unwrap()["metadata"]["deletionTimestamp"],
        Value::Null
    );
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn an_apply_takes_nothing_over_and_removes_nothing_unnamed() {
    let view = View::of("view-apply");
    let shown =
        view.preview(view.apply(config("fresh", json!({"a": "1", "call": {"$host": "call_id"}}))));
    assert_eq!(shown.expect, Expect::Absent);
    assert_eq!(json!(shown.before), json!({"data.a": null, "data.call": null}));
    assert_eq!(json!(shown.after), json!({"data.a": "1", "data.call": {"$host": "call_id"}}));
    assert_eq!(view.get("configmaps", "fresh"), None);

    // A field of another owner.
    view.apply_as("pipeline", "configmaps", &config("shared", json!({"a": "theirs", "b": "1"})));
    let (code, reason) = view.refused(view.apply(config("shared", json!({"a": "ours"}))));
    assert!(
        code == "conflict" && reason.contains("pipeline") && reason.contains(".data.a"),
        "{code}: {reason}"
    );
    let shown = view.preview(view.apply(config("shared", json!({"c": "ours"}))));
    assert_eq!(
        (shown.before["data.c"].clone(), shown.after["data.c"].clone()),
        (Value::Null, json!("ours"))
    );

    // A field of the tool that is left out: an apply would remove it.
    view.apply_as("cofferdam-t", "configmaps", &config("own", json!({"a": "1", "b": "1"})));
    let (code, reason) = view.refused(view.apply(config("own", json!({"a": "2"}))));
    assert_eq!(code, "removes-field");
    assert_eq!(
        reason,
        "applying it would remove `data.b` from ConfigMap own in namespace view-apply, which the \
         plan does not name"
    );
    assert_eq!(view.get("configmaps", "own").unwrap()["data"], json!({"a": "1", "b": "1"}));

    // A field that the server does not know.
    let mut odd = config("odd", json!({"a": "1"}));
    odd["data"]["a"] = json!(1);
    assert_eq!(view.refused(view.apply(odd)).0, "invalid");
    view.only_dry_runs();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_admission_adds_to_a_patch_is_named_and_refused() {
    let view = View::of("view-webhook");
    view.create("deployments", &workload("Deployment", "web"));
    let patch = || view.patch("Deployment", "web", json!([{"path": "spec.replicas", "value": 5}]));
    assert_eq!(view.preview(patch()).after["spec.replicas"], 5);
    // A mutating policy has the effect of a mutating webhook, without a server.
    let admission = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "view-webhook"},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": "view-webhook"}},
                "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                    "operations": ["UPDATE"], "resources": ["deployments"]}],
            },
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
                "Object{metadata: Object.metadata{labels: {'injected': 'yes'}}}"}}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "view-webhook"},
        "spec": {"policyName": "view-webhook"},
    });
    for (resource, object) in
        [("mutatingadmissionpolicies", &policy), ("mutatingadmissionpolicybindings", &binding)]
    {
        let answer = view.plane.request("POST", &format!("{admission}/{resource}"), Some(object));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let (code, reason, remedy) = until("the mutating policy", || match view.look(patch()) {
        ReadResponse::Refused { code, reason, remedy } => Some((code, reason, remedy)),
        _ => None,
    });
    assert_eq!(code, "conflict");
    assert_eq!(
        reason,
        "the cluster's own admission would also change `metadata.labels.injected` of Deployment \
         web in namespace view-webhook from absent to \"yes\", which the plan does not name"
    );
    assert!(
        remedy.contains("first a change that names that field and gives it that value"),
        "{remedy}"
    );
    view.only_dry_runs();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_preview_names_the_autoscaler_of_its_field_and_the_finalizer_of_what_shall_go() {
    let view = View::of("view-remarks");
    view.create("deployments", &workload("Deployment", "web"));
    let scale = |replicas: u32| {
        view.preview(view.patch(
            "Deployment",
            "web",
            json!([{"path": "spec.replicas", "value": replicas}]),
        ))
    };
    assert_eq!(scale(5).remarks, vec![]);
    let at = "/apis/autoscaling/v2/namespaces/view-remarks/horizontalpodautoscalers";
    for (name, kind, of) in [
        ("web-hpa", "Deployment", "web"),
        ("other", "Deployment", "api"),
        ("stateful", "StatefulSet", "web"),
    ] {
        let spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": of},
            "minReplicas": 2, "maxReplicas": 10});
        let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name}, "spec": spec});
        assert_eq!(view.plane.request("POST", at, Some(&object)).status, 201);
    }
    let own = Remark::new(RemarkKind::Scaled, "spec.replicas")
        .by("HorizontalPodAutoscaler web-hpa", "")
        .with(json!("2 to 10"));
    assert_eq!(scale(12).remarks, [own]);
    let image = json!([{"path": "spec.template.spec.containers[name=web].image",
        "value": "registry.example/web:2"}]);
    assert_eq!(
        view.preview(view.patch("Deployment", "web", image)).remarks,
        vec![],
        "no autoscaler sets that"
    );

    let mut kept = config("kept", json!({"a": "1"}));
    kept["metadata"]["finalizers"] = json!(["example.com/keep"]);
    view.create("configmaps", &kept);
    let shown =
        view.preview(json!({"action": "delete", "target": view.target("", "ConfigMap", "kept")}));
    assert_eq!(
        shown.remarks,
        [Remark::new(RemarkKind::Finalized, "metadata.finalizers").with(json!("example.com/keep"))]
    );
    view.only_dry_runs();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_webhook_that_cannot_be_asked_is_named_with_its_configuration_in_the_servers_words() {
    let view = View::of("view-unasked");
    view.create("deployments", &workload("Deployment", "web"));
    let patch = || view.patch("Deployment", "web", json!([{"path": "spec.replicas", "value": 5}]));
    assert_eq!(view.preview(patch()).after["spec.replicas"], 5);
    let collection = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let webhook = json!({
        "name": "images.example.com", "admissionReviewVersions": ["v1"],
        "sideEffects": "NoneOnDryRun", "failurePolicy": "Fail",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "view-unasked"}},
        "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"],
            "resources": ["deployments"]}],
    });
    let mut other = webhook.clone();
    other["name"] = json!("other.example.com");
    other["namespaceSelector"] =
        json!({"matchLabels": {"kubernetes.io/metadata.name": "view-unasked-other"}});
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "view-unasked-policies"}, "webhooks": [other, webhook]});
    assert_eq!(view.plane.request("POST", collection, Some(&object)).status, 201);
    let (code, reason, remedy) = until("the webhook", || match view.look(patch()) {
        ReadResponse::Refused { code, reason, remedy } => Some((code, reason, remedy)),
        _ => None,
    });
    assert_eq!(code, "admission-webhook");
    assert!(
        reason.contains(
            "its admission webhook `images.example.com` gives no answer: the API server says \"500"
        ),
        "{reason}"
    );
    assert!(reason.contains("failed calling webhook 'images.example.com'"), "{reason}");
    assert!(
        reason.ends_with("; it stands in ValidatingWebhookConfiguration `view-unasked-policies`"),
        "{reason}"
    );
    assert!(
        remedy
            .contains("`kubectl get validatingwebhookconfiguration view-unasked-policies -o yaml`"),
        "{remedy}"
    );
    // An account that may not list configurations gets a hint for the operator, as the provisioner
    // does.
    let provisioner = view.plane.kubeconfig("cofferdam-system", "provisioner");
    let blind = view.runtime.block_on(async {
        api::Cluster::connect(&Credential::read(&provisioner).await.unwrap()).unwrap()
    });
    let found = view.runtime.block_on(webhook::configurations(&blind, "images.example.com"));
    let (stands, look) = webhook::told(&found);
    assert_eq!((found, stands), (Vec::new(), String::new()));
    assert!(
        look.starts_with(
            "`kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o "
        ),
        "{look}"
    );
    // Reads still work meanwhile.
    let read = json!({"action": "read", "target": view.target("apps", "Deployment", "web"),
        "fields": ["spec.replicas"]});
    assert!(matches!(view.look(read), ReadResponse::Results { .. }));
    assert_eq!(
        view.plane.request("DELETE", &format!("{collection}/view-unasked-policies"), None).status,
        200
    );
    view.only_dry_runs();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn looks_show_named_fields_in_bounds() {
    let view = View::of("view-look");
    view.create("deployments", &workload("Deployment", "web"));
    let read = |name: &str| {
        json!({"action": "read", "target": view.target("apps", "Deployment", name),
            "fields": ["spec.replicas", "spec.template.spec.containers[*].image"]})
    };
    let ReadResponse::Results { results, .. } = view.look(read("web")) else {
        panic!("no results")
    };
    let fields = json!({"spec.replicas": 3, "spec.template.spec.containers[*].image": [
        "registry.example/web:1"]});
    assert_eq!(results, [json!({"fields": fields})]);
    assert_eq!(view.refused(read("api")).0, "not-found");

    // More objects than a page of a list.
    for at in 0..105 {
        view.create("configmaps", &config(&format!("c{at:03}"), json!({"a": at.to_string()})));
    }
    let list = |limit: u32| {
        let operation = json!({"action": "list", "group": "", "version": "v1", "kind": "ConfigMap",
            "namespace": view.namespace,
            "fields": ["data.a"], "limit": limit});
        let ReadResponse::Results { results, .. } = view.look(operation) else {
            panic!("no results")
        };
        (results[0]["items"].as_array().unwrap().clone(), results[0]["truncated"].clone())
    };
    let (items, truncated) = list(103);
    assert_eq!((items.len(), &truncated), (103, &json!(true)));
    assert_eq!(items[102], json!({"metadata.name": "c102", "data.a": "102"}));
    let (items, truncated) = list(500);
    // The API server creates a ConfigMap in every namespace, some time after the namespace.
    let own = items
        .iter()
        .filter(|item| item["metadata.name"].as_str().unwrap().starts_with('c'))
        .count();
    assert_eq!((own, &truncated), (105, &json!(false)));

    // There is no node, so that the log is empty.
    until("the namespace's account", || {
        view.runtime
            .block_on(view.admin.get(&format!("{}/default", view.collection("serviceaccounts"))))
            .unwrap()
    });
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lonely"},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]}});
    view.create("pods", &pod);
    let logs = |name: &str| {
        json!({"action": "logs", "target": view.target("", "Pod", name),
        "lines": 10, "container": null})
    };
    let ReadResponse::Results { results, .. } = view.look(logs("lonely")) else {
        panic!("no results")
    };
    assert_eq!(results, [json!({"lines": [], "truncated": false})]);
    assert_eq!(view.refused(logs("nobody")).0, "not-found");
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn the_viewer_looks_no_further_than_ceiling_and_rights() {
    let view = View::of("view-rights");
    // The viewer's own trust file: it sends no request to the cluster.
    let (code, _) = view.refused(json!({"action": "read", "target": view.target("apps",
        "Deployment", "web"), "fields": ["spec.paused"]}));
    assert_eq!(code, "beyond-ceiling");
    let secret =
        json!({"action": "read", "target": view.target("", "Secret", "s"), "fields": ["data.a"]});
    let (code, reason) = view.refused(secret);
    assert!(code == "beyond-ceiling" && reason.contains("Secrets are never"), "{code}: {reason}");

    // A namespace that did not opt in, within the ceiling: the agent gets the remedy, and nothing
    // about identities.
    let made = view.plane.request(
        "POST",
        "/api/v1/namespaces",
        Some(&json!({"metadata": {"name": "view-closed"}})),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let target = json!({"group": "apps", "version": "v1", "kind": "Deployment",
        "namespace": "view-closed", "name": "web"});
    let patch = json!({"action": "patch", "target": target,
        "changes": [{"path": "spec.replicas", "value": 5}]});
    let ReadResponse::Refused { code, reason, remedy } = view.look(patch) else {
        panic!("not refused")
    };
    assert_eq!(
        (code.as_str(), reason.as_str()),
        ("forbidden", "Cofferdam has no rights to read Deployment web in namespace view-closed")
    );
    assert!(remedy.contains("deploy/README.md"), "{remedy}");

    // A missing server is an operator's task.
    let dead = view.plane.kubeconfig("cofferdam-system", "viewer");
    let text = std::fs::read_to_string(&dead).unwrap();
    let server = text.split('"').find(|word| word.starts_with("https://")).unwrap();
    std::fs::write(&dead, text.replace(server, "https://127.0.0.1:1")).unwrap();
    let fault = view.runtime.block_on(async {
        let cluster = api::Cluster::connect(&Credential::read(&dead).await.unwrap()).unwrap();
        let patch = view.patch("Deployment", "web", json!([{"path": "spec.replicas", "value": 5}]));
        preview(&cluster, "t", &[step(patch)]).await.unwrap_err()
    });
    assert!(matches!(fault, LookError::Unavailable(_)), "{fault:?}");
}
