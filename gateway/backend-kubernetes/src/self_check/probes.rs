//! The probes of the self-check, as data. RBAC allows each request and exactly one policy rejects
//! it, so that a missing policy is reported by name. The rights for them are in
//! `deploy/30-self-check.yaml`.

mod objects;
mod rights;

pub use rights::{Right, forbidden_rights, impersonation_rights};

use self::objects::{
    APPLY, always, at, config_map, config_map_at, dry, get, namespace, pod, rbac, refused, taken_on,
};
use super::Identity;
use crate::review::{identity_secret, token_request};
use crate::run_objects::{self, QUOTA};
use crate::typed::to_json;
use cofferdam_core::protocol::role_settings::JobIdentity;
use http::Method;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

/// The namespace that probes are made against: in name and labels a run's, in
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

/// The API server's text if the parameter of a policy is missing, and the policy rejects that.
const MISSING: &str = "no params found";

/// The expected result of a probe.
pub enum Answer {
    /// It is done, or would be.
    Done,
    /// This policy refuses it, in these words.
    RefusedBy { fence: &'static str, file: &'static str, says: &'static str },
}

/// One request of the self-check.
pub struct Probe {
    /// A description: `a namespace of any name`.
    pub what: &'static str,
    pub method: Method,
    pub path: String,
    pub query: &'static str,
    pub body: Option<(&'static str, Value)>,
    pub answer: Answer,
}

/// The probes that an identity makes itself.
pub fn identity_probes(identity: Identity) -> Vec<Probe> {
    match identity {
        Identity::Provisioner(jobs) => {
            let mut probes = provisioner();
            if jobs == JobIdentity::Impersonation {
                probes.push(dry(
                    "the right to act as every `job` in `cofferdam-system`",
                    rbac("cofferdam-system", "rolebindings", "as-job"),
                    taken_on("as-job", "cofferdam-as-job", "provisioner"),
                    refused("cofferdam-provisioner-scope", FENCE_PROVISIONER, "nowhere else"),
                ));
            }
            probes
        }
        Identity::Viewer => viewer(),
        Identity::Reaper => reaper(),
    }
}

fn provisioner() -> Vec<Probe> {
    let namespaces = |says| refused("cofferdam-provisioner-namespaces", FENCE_PROVISIONER, says);
    let scope = |says| refused("cofferdam-provisioner-scope", FENCE_PROVISIONER, says);
    let workloads = |says| refused("cofferdam-workloads", FENCE_WORKLOADS, says);
    let restricted = json!({
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "v1.33",
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": NEXT},
        // Rights that the provisioner has itself, or RBAC would refuse first.
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cofferdam-viewer",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "job", "namespace": NEXT}],
    });
    let own = |account: &str| taken_on("provisioner", "cofferdam-in-run", account);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "job"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}],
    });
    let unbound = token_request(None, &[]);
    let elsewhere =
        token_request(Some(identity_secret(None)), &["https://cofferdam.dev/self-check"]);
    let token = |what, body, answer| Probe {
        what,
        method: Method::POST,
        path: format!("{}/serviceaccounts/job/token", at(RUN)),
        query: "dryRun=All",
        body: Some(("application/json", body)),
        answer,
    };
    let named = ObjectMeta { name: Some(QUOTA.to_owned()), ..ObjectMeta::default() };
    let mut quota = run_objects::quota(named);
    if let Some(hard) = quota.spec.as_mut().and_then(|spec| spec.hard.as_mut()) {
        hard.insert("pods".to_owned(), Quantity("1000".to_owned()));
    }
    let quota = to_json(&quota);
    let tag = pod("registry.example/tool:latest", json!([]));
    let digest = format!("registry.example/tool@sha256:{}", "0".repeat(64));
    let old = json!({
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "v1.0",
    });
    let mut confined = pod(&digest, json!([]));
    if let Some(context) =
        confined.pointer_mut("/spec/containers/0/securityContext").and_then(Value::as_object_mut)
    {
        context.remove("allowPrivilegeEscalation");
    }
    let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
        "name": "self-check",
    }, "spec":
        {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": confined.get("spec").map(always)}}});
    let unguarded = |what, without: &str, fence| {
        let at = format!(
            "{}/pods/cofferdam-task-0",
            at(&format!("cofferdam-run-selfcheckselfcheckselfchec-{without}"))
        );
        dry(what, at, pod(&digest, json!([])), refused(fence, FENCE_GUARDED, MISSING))
    };
    let volume = json!([
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ]);
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
            "a run namespace without Pod Security",
            at(NEXT),
            namespace(NEXT, &json!({})),
            namespaces("enforces Pod Security restricted"),
        ),
        dry(
            "a run namespace with an old version of Pod Security",
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
            "a RoleBinding of its own in `cofferdam-system`",
            rbac("cofferdam-system", "rolebindings", "provisioner"),
            own("provisioner"),
            scope("nowhere else"),
        ),
        dry(
            "giving `job` every right of a run",
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
            "a quota above the limit",
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
            "an object with a finalizer in a run namespace",
            config_map_at(RUN),
            config_map(&json!({"finalizers": ["cofferdam.dev/forever"]})),
            refused("cofferdam-finalizers", FENCE_RUNS, "finalizer of its own"),
        ),
    ]
}

fn viewer() -> Vec<Probe> {
    let fence = |says| refused("cofferdam-viewer", FENCE_VIEWER, says);
    let mut real = dry(
        "a write that is not a dry run",
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

fn reaper() -> Vec<Probe> {
    let fence = |says| refused("cofferdam-reaper", FENCE_REAPER, says);
    let delete = |what, path| Probe {
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
        delete("deleting a namespace that is not a run's", at("cofferdam-system")),
        // This object exists on every cluster: the API server creates it.
        delete(
            "deleting a Role that is not a run's",
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

/// The probes that the self-check sends as its `job`.
pub fn job_probes() -> Vec<Probe> {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-all"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    });
    let token = token_request(None, &[]);
    vec![
        dry(
            "loosening a run's network policy",
            format!("/apis/networking.k8s.io/v1/namespaces/{RUN}/networkpolicies/deny-all"),
            policy,
            refused("cofferdam-guards", FENCE_RUNS, "are frozen"),
        ),
        Probe {
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
