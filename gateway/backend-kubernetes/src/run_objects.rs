//! The objects of a run: its namespace, quota, limits, network policies, identities. The
//! provisioner applies each with server-side apply and owns every field. Pure; the same run gives
//! the same objects.

pub mod egress;

use super::labels::{HOME, IDENTITY, JOB, Marks, PROVISIONER, TARGETS, TASK, WORKLOAD};
use super::path::{collection, namespace as namespace_path};
use super::rights::binding_path;
use super::task;
use super::typed::{Amounts, account, amounts, role_ref, to_json};
use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
    Secret, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

/// The Kubernetes version whose `restricted` is enforced: pinned, so that a server's upgrade
/// changes nothing silently; the oldest that is supported.
pub const POD_SECURITY: &str = "v1.33";

/// The name of the quota.
pub const QUOTA: &str = "limits";

/// The ClusterRole of what may be done in a run's namespace (`deploy/20-provisioner.yaml`).
const IN_RUN: &str = "cofferdam-in-run";

/// The ClusterRole to act as a run's `job` (`deploy/options/impersonation.yaml`).
const AS_JOB: &str = "cofferdam-as-job";

/// The limits of one container. Admission holds the provisioner to them
/// (`deploy/10-fence-provisioner.yaml`).
fn most_of_one() -> Amounts {
    amounts(&[("cpu", "4"), ("memory", "4Gi"), ("ephemeral-storage", "2Gi")])
}

/// The limits of a run. Admission holds the provisioner to them too. Object counts limit what a
/// hostile plan can create. Kinds whose finalizers belong to others (load balancers, volumes) have
/// the limit zero.
fn hard() -> Amounts {
    amounts(&[
        ("pods", "20"),
        ("requests.cpu", "8"),
        ("limits.cpu", "8"),
        ("requests.memory", "8Gi"),
        ("limits.memory", "8Gi"),
        ("requests.ephemeral-storage", "4Gi"),
        ("limits.ephemeral-storage", "4Gi"),
        ("services", "10"),
        ("services.loadbalancers", "0"),
        ("services.nodeports", "0"),
        ("persistentvolumeclaims", "0"),
        // An input for each of the 64 operations that a plan can have, as many objects of its own,
        // and the cluster's own certificate.
        ("count/configmaps", "129"),
        ("count/secrets", "1"),
        // The accounts of the job and of tasks, and the default one of every namespace.
        ("count/serviceaccounts", "3"),
        ("count/deployments.apps", "20"),
        ("count/statefulsets.apps", "20"),
        ("count/replicasets.apps", "40"),
        ("count/jobs.batch", "20"),
        ("count/cronjobs.batch", "20"),
        ("count/roles.rbac.authorization.k8s.io", "1"),
        // The job's, and the provisioner's own two.
        ("count/rolebindings.rbac.authorization.k8s.io", "3"),
    ])
}

/// An object of a run and its path.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Its path in the API.
    pub path: String,
    /// The object to apply.
    pub object: Value,
}

/// The run namespace itself. It names the target namespaces with derived rights and the objects to
/// remove first, so that a role that finds it can remove all of it.
pub fn namespace(marks: &Marks, targets: &[&str], workload: &[String]) -> Guard {
    let name = marks.name.to_string();
    let mut metadata = marks.metadata("", &name);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(TARGETS.to_owned(), targets.join(","));
    annotations.insert(WORKLOAD.to_owned(), workload.join(","));
    let labels = metadata.labels.get_or_insert_default();
    for mode in ["enforce", "audit", "warn"] {
        let key = format!("pod-security.kubernetes.io/{mode}");
        labels.insert(format!("{key}-version"), POD_SECURITY.to_owned());
        labels.insert(key, "restricted".to_owned());
    }
    Guard {
        path: namespace_path(&name),
        object: to_json(&Namespace { metadata, ..Namespace::default() }),
    }
}

/// The rights that the provisioner takes on in the run namespace before it gives a part of them to
/// the job: under RBAC an identity can give only rights that it has. Only for plans that create an
/// object there.
pub fn in_run(marks: &Marks) -> Guard {
    taken_on(marks, PROVISIONER, IN_RUN)
}

/// The rights that the provisioner takes on in the run namespace to act as its job, if jobs act by
/// impersonation.
pub fn as_job(marks: &Marks) -> Guard {
    taken_on(marks, "as-job", AS_JOB)
}

fn taken_on(marks: &Marks, name: &str, role: &str) -> Guard {
    let run = marks.name.to_string();
    let object = to_json(&RoleBinding {
        metadata: marks.metadata(&run, name),
        role_ref: role_ref("ClusterRole", role),
        subjects: Some(vec![account(HOME, PROVISIONER)]),
    });
    Guard { path: binding_path(&run, name), object }
}

/// The quota with these marks.
pub(super) fn quota(metadata: ObjectMeta) -> ResourceQuota {
    ResourceQuota {
        metadata,
        spec: Some(ResourceQuotaSpec { hard: Some(hard()), ..ResourceQuotaSpec::default() }),
        ..ResourceQuota::default()
    }
}

/// Where the quota is.
pub fn quota_path(run: &str) -> String {
    format!("{}/{QUOTA}", collection("", "v1", run, "resourcequotas"))
}

/// The path of requests for the job's tokens.
pub fn token_path(run: &str) -> String {
    format!("{}/{JOB}/token", collection("", "v1", run, "serviceaccounts"))
}

/// Returns whether a quota is enforced. Admission counts against its status, and admits everything
/// before the status is filled in.
pub fn is_enforced(quota: &Value) -> bool {
    let hard = quota.pointer("/spec/hard");
    hard.is_some() && quota.pointer("/status/hard") == hard
}

/// The objects in the namespace that do not depend on the plan, in the order of creation. Tokens
/// are bound to the last one.
pub fn guards(marks: &Marks) -> Vec<Guard> {
    let run = marks.name.to_string();
    let guard = |group: &str, resource: &str, name: &str, object: Value| Guard {
        path: format!("{}/{name}", collection(group, "v1", &run, resource)),
        object,
    };
    let metadata = |name: &str| marks.metadata(&run, name);
    let each = amounts(&[
        ("cpu", task::CPU),
        ("memory", task::MEMORY),
        ("ephemeral-storage", task::STORAGE),
    ]);
    let limits = LimitRangeItem {
        type_: "Container".to_owned(),
        default: Some(each.clone()),
        default_request: Some(each),
        max: Some(most_of_one()),
        ..LimitRangeItem::default()
    };
    let mute = |name: &str| {
        let account = ServiceAccount {
            metadata: metadata(name),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        guard("", "serviceaccounts", name, to_json(&account))
    };
    let limits = LimitRange {
        metadata: metadata("defaults"),
        spec: Some(LimitRangeSpec { limits: vec![limits] }),
    };
    // A destination of the plan gets a policy of its own when its operation is carried out
    // (`egress.rs`).
    let deny_all = NetworkPolicy {
        metadata: metadata("deny-all"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    };
    let identity = Secret {
        metadata: metadata(IDENTITY),
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        ..Secret::default()
    };
    vec![
        guard("", "resourcequotas", QUOTA, to_json(&quota(metadata(QUOTA)))),
        guard("", "limitranges", "defaults", to_json(&limits)),
        guard("networking.k8s.io", "networkpolicies", "deny-all", to_json(&deny_all)),
        mute(JOB),
        mute(TASK),
        guard("", "secrets", IDENTITY, to_json(&identity)),
    ]
}

#[cfg(test)]
pub(crate) mod tests;
