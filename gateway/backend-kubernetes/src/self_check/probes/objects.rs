//! Requests and objects of the probes. Pod Security and the API server accept each, apart from the
//! part that a policy has to reject.

use super::{Answer, Probe};
use http::Method;
use serde_json::{Value, json};

/// Forced, so that a conflict of field managers cannot hide a policy. Strict, so that the server
/// checks exactly the sent object.
pub const APPLY: &str = "fieldManager=cofferdam-runner&force=true&fieldValidation=Strict";
pub const APPLY_DRY: &str =
    "fieldManager=cofferdam-runner&force=true&fieldValidation=Strict&dryRun=All";

pub fn dry(what: &'static str, path: String, object: Value, answer: Answer) -> Probe {
    Probe {
        what,
        method: Method::PATCH,
        path,
        query: APPLY_DRY,
        body: Some(("application/apply-patch+yaml", object)),
        answer,
    }
}

/// A RoleBinding that gives a user a ClusterRole.
pub fn taken_on(name: &str, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "cofferdam-system"}],
    })
}

pub fn get(what: &'static str, path: String, query: &'static str) -> Probe {
    Probe { what, method: Method::GET, path, query, body: None, answer: Answer::Done }
}

pub fn refused(fence: &'static str, file: &'static str, says: &'static str) -> Answer {
    Answer::RefusedBy { fence, file, says }
}

pub fn at(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}")
}

pub fn rbac(namespace: &str, resource: &str, name: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{resource}/{name}")
}

pub fn config_map_at(namespace: &str) -> String {
    format!("{}/configmaps/self-check", at(namespace))
}

pub fn config_map(more: &Value) -> Value {
    let mut metadata = json!({"name": "self-check"});
    merge(&mut metadata, more);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
}

/// A namespace as the runner creates it, apart from its Pod Security labels. It expired long ago,
/// so the reaper removes it.
pub fn namespace(name: &str, security: &Value) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/managed-by": "cofferdam",
        "cofferdam.dev/managed": "true",
        "cofferdam.dev/call": "selfcheckselfcheckselfchec",
        "cofferdam.dev/fence": "2",
    });
    merge(&mut labels, security);
    let annotations = json!({"cofferdam.dev/expires-at": "2026-01-01T00:00:00Z"});
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
    })
}

/// A pod that Pod Security `restricted` admits.
pub fn pod(image: &str, volumes: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cofferdam-task-0"},
        "spec": {
            "serviceAccountName": "task",
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "task",
                "image": image,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {"limits": {"cpu": "1m", "memory": "1Mi"}},
            }],
            "volumes": volumes,
        },
    })
}

/// A pod's spec for a Deployment.
pub fn always(spec: &Value) -> Value {
    let mut spec = spec.clone();
    merge(&mut spec, &json!({"restartPolicy": "Always"}));
    spec
}

pub fn merge(object: &mut Value, more: &Value) {
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
