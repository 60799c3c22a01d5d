//! The trials of the self-check, as data. Each request is one that RBAC lets through and that
//! exactly one policy refuses, so that a policy that is gone is missed by name; the rights behind
//! them are `deploy/30-self-check.yaml`.
// LONG: one table of trials; a part of it alone would not say that each fence has one.

use super::Identity;
use crate::guard;
use crate::names::IDENTITY;
use cofferdam_core::protocol::role_settings::JobIdentity;
use http::Method;
use serde_json::{Value, json};
use std::fmt;

/// The namespace that trials are made against: in name and labels a run's, in
/// `deploy/00-namespaces.yaml`.
pub const RUN: &str = "cofferdam-run-selfcheckselfcheckselfchec-1";

/// The next run's, which is never made.
const NEXT: &str = "cofferdam-run-selfcheckselfcheckselfchec-2";

const FENCE_PROVISIONER: &str = "10-fence-provisioner.yaml";
const FENCE_VIEWER: &str = "11-fence-viewer.yaml";
const FENCE_REAPER: &str = "12-fence-reaper.yaml";
const FENCE_JOBS: &str = "13-fence-jobs.yaml";
const FENCE_RUNS: &str = "14-fence-runs.yaml";
const FENCE_WORKLOADS: &str = "15-fence-workloads.yaml";
const FENCE_GUARDED: &str = "16-fence-guarded.yaml";

/// What the API server says where a policy's parameter is missing, and the policy denies that.
const MISSING: &str = "no params found";

/// A right, in RBAC's words. An empty namespace stands for every one, an empty name for every name.
pub struct Right {
    pub verb: &'static str,
    pub group: &'static str,
    pub resource: &'static str,
    pub subresource: &'static str,
    pub namespace: &'static str,
    pub name: &'static str,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, subresource, namespace, name } = self;
        write!(f, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        if !subresource.is_empty() {
            write!(f, "/{subresource}")?;
        }
        if !name.is_empty() {
            write!(f, " `{name}`")?;
        }
        if namespace.is_empty() {
            write!(f, " in every namespace")
        } else {
            write!(f, " in {namespace}")
        }
    }
}

/// What a trial must end in.
pub enum Answer {
    /// It is done, or would be.
    Done,
    /// This policy refuses it, in these words.
    RefusedBy { fence: &'static str, file: &'static str, says: &'static str },
}

/// One request.
pub struct Trial {
    /// In words: `a namespace of any name`.
    pub what: &'static str,
    pub method: Method,
    pub path: String,
    pub query: &'static str,
    pub body: Option<(&'static str, Value)>,
    pub answer: Answer,
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// What no identity of Cofferdam has: reads, which admission never sees, and ways to more rights.
/// RBAC alone stands before these.
pub fn never() -> Vec<Right> {
    let right = |verb, group, resource, subresource| Right {
        verb,
        group,
        resource,
        subresource,
        namespace: "",
        name: "",
    };
    const ADMISSION: &str = "admissionregistration.k8s.io";
    vec![
        right("*", "*", "*", ""),
        right("get", "", "secrets", ""),
        right("list", "", "secrets", ""),
        right("list", "", "configmaps", ""),
        right("list", "", "pods", ""),
        right("get", "", "pods", "log"),
        right("create", "", "pods", "exec"),
        right("create", "", "serviceaccounts", "token"),
        // An identity that may patch an object everywhere is shown it by a patch that cannot be
        // decoded, and could give that right away past every ceiling.
        right("patch", "", "configmaps", ""),
        right("patch", "", "secrets", ""),
        right("patch", "", "pods", ""),
        right("patch", "", "services", ""),
        right("patch", "apps", "deployments", ""),
        right("patch", "batch", "jobs", ""),
        right("impersonate", "", "users", ""),
        right("impersonate", "", "groups", ""),
        right("impersonate", "", "serviceaccounts", ""),
        // The option gives it in a run's namespace, one by one.
        Right { name: "job", ..right("impersonate", "", "serviceaccounts", "") },
        right("escalate", RBAC, "clusterroles", ""),
        right("escalate", RBAC, "roles", ""),
        right("bind", RBAC, "clusterroles", ""),
        right("bind", RBAC, "roles", ""),
        right("create", RBAC, "clusterrolebindings", ""),
        right("patch", ADMISSION, "validatingadmissionpolicies", ""),
        right("delete", ADMISSION, "validatingadmissionpolicies", ""),
        right("delete", ADMISSION, "validatingadmissionpolicybindings", ""),
    ]
}

/// What the provisioner has where its jobs act by impersonation
/// (`deploy/options/impersonation.yaml`), and has not elsewhere.
pub fn to_impersonate() -> [Right; 2] {
    let right = |verb, group, resource, namespace, name| Right {
        verb,
        group,
        resource,
        subresource: "",
        namespace,
        name,
    };
    [
        right("bind", RBAC, "clusterroles", "", "cofferdam-as-job"),
        right("impersonate", "", "serviceaccounts", RUN, "job"),
    ]
}

/// The trials that an identity makes itself.
pub fn of(identity: Identity) -> Vec<Trial> {
    match identity {
        Identity::Provisioner(jobs) => {
            let mut trials = provisioner();
            if jobs == JobIdentity::Impersonation {
                trials.push(dry(
                    "taking on every `job` at home",
                    rbac("cofferdam-system", "rolebindings", "as-job"),
                    taken_on("as-job", "cofferdam-as-job", "provisioner"),
                    refused("cofferdam-provisioner-scope", FENCE_PROVISIONER, "nowhere else"),
                ));
            }
            trials
        }
        Identity::Viewer => viewer(),
        Identity::Reaper => reaper(),
    }
}

fn provisioner() -> Vec<Trial> {
    let namespaces = |says| refused("cofferdam-provisioner-namespaces", FENCE_PROVISIONER, says);
    let scope = |says| refused("cofferdam-provisioner-scope", FENCE_PROVISIONER, says);
    let workloads = |says| refused("cofferdam-workloads", FENCE_WORKLOADS, says);
    let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "v1.33"});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": NEXT},
        // Rights that the provisioner has itself, or RBAC would refuse first.
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cofferdam-viewer"},
        "subjects": [{"kind": "ServiceAccount", "name": "job", "namespace": NEXT}],
    });
    let own = |account: &str| taken_on("provisioner", "cofferdam-in-run", account);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "job"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}],
    });
    let unbound = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
    let bound = json!({"apiVersion": "v1", "kind": "Secret", "name": IDENTITY});
    let elsewhere = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec":
        {"expirationSeconds": 600, "boundObjectRef": bound, "audiences": ["https://cofferdam.dev/self-check"]}});
    let token = |what, body, answer| Trial {
        what,
        method: Method::POST,
        path: format!("{}/serviceaccounts/job/token", at(RUN)),
        query: "dryRun=All",
        body: Some(("application/json", body)),
        answer,
    };
    let mut quota = guard::quota();
    if let Some(pods) = quota.pointer_mut("/spec/hard/pods") {
        *pods = json!("1000");
    }
    let tag = pod("registry.example/tool:latest", json!([]));
    let digest = format!("registry.example/tool@sha256:{}", "0".repeat(64));
    let old = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "v1.0"});
    let mut confined = pod(&digest, json!([]));
    if let Some(context) =
        confined.pointer_mut("/spec/containers/0/securityContext").and_then(Value::as_object_mut)
    {
        context.remove("allowPrivilegeEscalation");
    }
    let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "self-check"}, "spec":
        {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": confined.get("spec").map(always)}}});
    let unguarded = |what, without: &str, fence| {
        let at = format!(
            "{}/pods/cofferdam-task-0",
            at(&format!("cofferdam-run-selfcheckselfcheckselfchec-{without}"))
        );
        dry(what, at, pod(&digest, json!([])), refused(fence, FENCE_GUARDED, MISSING))
    };
    let volume = json!([{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]);
    vec![
        dry("a run's namespace", at(NEXT), namespace(NEXT, &restricted), Answer::Done),
        dry(
            "a namespace of any name",
            at("cofferdam-anything"),
            namespace("cofferdam-anything", &restricted),
            namespaces("is named cofferdam-run-"),
        ),
        dry(
            "taking `kube-system` over",
            at("kube-system"),
            namespace("kube-system", &restricted),
            namespaces("is named cofferdam-run-"),
        ),
        dry(
            "a run's namespace without Pod Security",
            at(NEXT),
            namespace(NEXT, &json!({})),
            namespaces("enforces Pod Security restricted"),
        ),
        dry(
            "a run's namespace with Pod Security of long ago",
            at(NEXT),
            namespace(NEXT, &old),
            namespaces("at a pinned version"),
        ),
        dry(
            "a RoleBinding in `kube-system`",
            rbac("kube-system", "rolebindings", NEXT),
            binding,
            scope("nowhere else"),
        ),
        dry(
            "a RoleBinding of its own at home",
            rbac("cofferdam-system", "rolebindings", "provisioner"),
            own("provisioner"),
            scope("nowhere else"),
        ),
        dry(
            "giving `job` all that a run may hold",
            rbac(RUN, "rolebindings", "provisioner"),
            own("job"),
            scope("and to no other subject"),
        ),
        dry(
            "a Role that names no objects",
            rbac(RUN, "roles", "job"),
            role,
            scope("each rule of a derived Role names its objects"),
        ),
        token(
            "a token that is bound to nothing",
            unbound,
            scope("bound to the Secret `cofferdam-identity`"),
        ),
        token(
            "a token for another audience",
            elsewhere,
            refused("cofferdam-tokens", FENCE_RUNS, "for no other audience"),
        ),
        dry(
            "a quota as wide as one likes",
            format!("{}/resourcequotas/limits", at(RUN)),
            quota,
            scope("no wider than this policy says"),
        ),
        dry(
            "a pod whose image is named by a tag",
            format!("{}/pods/cofferdam-task-0", at(RUN)),
            tag,
            workloads("by digest"),
        ),
        dry(
            "a pod with a token in a volume",
            format!("{}/pods/cofferdam-task-0", at(RUN)),
            pod(&digest, volume),
            workloads("never a token"),
        ),
        dry(
            "a template whose pods may gain privileges",
            format!("/apis/apps/v1/namespaces/{RUN}/deployments/self-check"),
            template,
            workloads("allowPrivilegeEscalation: false"),
        ),
        unguarded("a pod in a run without a quota", "3", "cofferdam-guard-quota"),
        unguarded("a pod in a run without limits", "4", "cofferdam-guard-limits"),
        unguarded("a pod in a run without a network policy", "5", "cofferdam-guard-network"),
        dry(
            "an object with a finalizer in a run's namespace",
            config_map_at(RUN),
            config_map(&json!({"finalizers": ["cofferdam.dev/forever"]})),
            refused("cofferdam-finalizers", FENCE_RUNS, "finalizer of its own"),
        ),
    ]
}

fn viewer() -> Vec<Trial> {
    let fence = |says| refused("cofferdam-viewer", FENCE_VIEWER, says);
    let mut real = dry(
        "a write that is no dry run",
        config_map_at(RUN),
        config_map(&json!({})),
        fence("dry runs alone"),
    );
    // Not tried dry, for that is the point; the quota of the self-check's namespace has no room for
    // it.
    real.query = APPLY;
    vec![
        get("the cluster's identity", at("kube-system"), ""),
        real,
        dry(
            "a dry run in a namespace that did not opt in",
            config_map_at(RUN),
            config_map(&json!({})),
            fence("namespaces that opted in"),
        ),
    ]
}

fn reaper() -> Vec<Trial> {
    let fence = |says| refused("cofferdam-reaper", FENCE_REAPER, says);
    let delete = |what, path| Trial {
        what,
        method: Method::DELETE,
        path,
        query: "dryRun=All",
        body: None,
        answer: fence("deletes only what is named cofferdam-run-"),
    };
    vec![
        get(
            "listing namespaces",
            "/api/v1/namespaces".to_owned(),
            "limit=1&labelSelector=cofferdam.dev%2Fmanaged%3Dtrue",
        ),
        get(
            "listing derived rights",
            "/apis/rbac.authorization.k8s.io/v1/rolebindings".to_owned(),
            "limit=1",
        ),
        delete("deleting a namespace that is no run's", at("cofferdam-system")),
        // On every cluster: the API server makes it.
        delete(
            "deleting a Role that is no run's",
            rbac("kube-system", "roles", "extension-apiserver-authentication-reader"),
        ),
        dry(
            "a write that deletes nothing",
            config_map_at("cofferdam-system"),
            config_map(&json!({})),
            fence("deletes, and does nothing else"),
        ),
    ]
}

/// What the self-check's `job` tries.
pub fn of_job() -> Vec<Trial> {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-all"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    });
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
    vec![
        dry(
            "loosening a run's network policy",
            format!("/apis/networking.k8s.io/v1/namespaces/{RUN}/networkpolicies/deny-all"),
            policy,
            refused("cofferdam-guards", FENCE_RUNS, "are frozen"),
        ),
        Trial {
            what: "a token of a run's `task`",
            method: Method::POST,
            path: format!("{}/serviceaccounts/task/token", at(RUN)),
            query: "dryRun=All",
            body: Some(("application/json", token)),
            answer: refused("cofferdam-tokens", FENCE_RUNS, "to the provisioner alone"),
        },
        dry(
            "a job's write in a namespace that did not opt in",
            config_map_at("cofferdam-system"),
            config_map(&json!({})),
            refused("cofferdam-jobs", FENCE_JOBS, "nowhere else"),
        ),
    ]
}

/// Forced, so that other managers' fields do not come before a policy; strict, so that what is sent
/// is what is tried.
const APPLY: &str = "fieldManager=cofferdam-runner&force=true&fieldValidation=Strict";
const APPLY_DRY: &str =
    "fieldManager=cofferdam-runner&force=true&fieldValidation=Strict&dryRun=All";

fn dry(what: &'static str, path: String, object: Value, answer: Answer) -> Trial {
    Trial {
        what,
        method: Method::PATCH,
        path,
        query: APPLY_DRY,
        body: Some(("application/apply-patch+yaml", object)),
        answer,
    }
}

/// A RoleBinding that gives a user a ClusterRole.
fn taken_on(name: &str, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "cofferdam-system"}],
    })
}

fn get(what: &'static str, path: String, query: &'static str) -> Trial {
    Trial { what, method: Method::GET, path, query, body: None, answer: Answer::Done }
}

fn refused(fence: &'static str, file: &'static str, says: &'static str) -> Answer {
    Answer::RefusedBy { fence, file, says }
}

fn at(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}")
}

fn rbac(namespace: &str, resource: &str, name: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{resource}/{name}")
}

fn config_map_at(namespace: &str) -> String {
    format!("{}/configmaps/self-check", at(namespace))
}

fn config_map(more: &Value) -> Value {
    let mut metadata = json!({"name": "self-check"});
    merge(&mut metadata, more);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
}

/// A namespace as the runner makes it, but for its Pod Security labels. It expired long ago, so it
/// is not kept.
fn namespace(name: &str, security: &Value) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/managed-by": "cofferdam",
        "cofferdam.dev/managed": "true",
        "cofferdam.dev/call": "selfcheckselfcheckselfchec",
        "cofferdam.dev/fence": "2",
    });
    merge(&mut labels, security);
    let annotations = json!({"cofferdam.dev/expires-at": "2026-01-01T00:00:00Z"});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels, "annotations": annotations}})
}

/// A pod that Pod Security `restricted` admits.
fn pod(image: &str, volumes: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cofferdam-task-0"},
        "spec": {
            "serviceAccountName": "task",
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "task",
                "image": image,
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
                "resources": {"limits": {"cpu": "1m", "memory": "1Mi"}},
            }],
            "volumes": volumes,
        },
    })
}

/// A pod's spec for a Deployment.
fn always(spec: &Value) -> Value {
    let mut spec = spec.clone();
    merge(&mut spec, &json!({"restartPolicy": "Always"}));
    spec
}

fn merge(object: &mut Value, more: &Value) {
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
