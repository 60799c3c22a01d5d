//! The pinned table of kinds: which kinds plans may name, and what the host knows about each.
//! Everything else is refused before policy, whatever a ceiling says. Never asks a cluster's
//! discovery, which anyone who can add an API server could bend.

use crate::model::operation::Target;

/// One kind that plans may name. All of them are namespaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// The API version.
    pub version: &'static str,
    /// The kind, such as `Deployment`.
    pub kind: &'static str,
    /// Its resource in the API.
    pub resource: &'static str,
    /// The path of its pod spec, for kinds that decide which code runs; empty for the others.
    pub pod_spec: &'static [&'static str],
}

const TEMPLATE: &[&str] = &["spec", "template", "spec"];

const fn plain(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    resource: &'static str,
) -> Kind {
    Kind { group, version, kind, resource, pod_spec: &[] }
}

const fn runs(
    group: &'static str,
    kind: &'static str,
    resource: &'static str,
    pod_spec: &'static [&'static str],
) -> Kind {
    Kind { group, version: "v1", kind, resource, pod_spec }
}

/// Every kind (Kubernetes 1.34 API reference, workload, service, configuration and policy resources
/// that are namespaced).
pub const KINDS: [Kind; 19] = [
    plain("", "v1", "ConfigMap", "configmaps"),
    plain("", "v1", "Event", "events"),
    plain("", "v1", "LimitRange", "limitranges"),
    plain("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    runs("", "Pod", "pods", &["spec"]),
    runs("", "ReplicationController", "replicationcontrollers", TEMPLATE),
    plain("", "v1", "ResourceQuota", "resourcequotas"),
    plain("", "v1", "Service", "services"),
    runs("apps", "DaemonSet", "daemonsets", TEMPLATE),
    runs("apps", "Deployment", "deployments", TEMPLATE),
    runs("apps", "ReplicaSet", "replicasets", TEMPLATE),
    runs("apps", "StatefulSet", "statefulsets", TEMPLATE),
    plain("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    plain("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    runs("batch", "CronJob", "cronjobs", &["spec", "jobTemplate", "spec", "template", "spec"]),
    runs("batch", "Job", "jobs", TEMPLATE),
    plain("networking.k8s.io", "v1", "Ingress", "ingresses"),
    plain("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    plain("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
];

/// Groups whose objects decide what others may do: no plan touches them.
const REFUSED_GROUPS: [&str; 5] = [
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
];

/// Kinds that belong to the whole cluster, for a better answer than `unknown`.
const CLUSTER_SCOPED: [&str; 11] = [
    "Namespace",
    "Node",
    "PersistentVolume",
    "StorageClass",
    "IngressClass",
    "PriorityClass",
    "RuntimeClass",
    "CSIDriver",
    "CSINode",
    "VolumeAttachment",
    "FlowSchema",
];

/// Beginnings of namespaces that are the cluster's or Cofferdam's own.
const PROTECTED_PREFIXES: [&str; 2] = ["kube-", "cofferdam-"];

/// An object that no plan may name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// The kind is not in the table.
    #[error(
        "the kind `{kind}` of `{api}` is not one Cofferdam knows; plans name built-in namespaced \
         workload and configuration kinds"
    )]
    Unknown {
        /// The kind that was given.
        kind: String,
        /// The group and version that were given.
        api: String,
    },
    /// The kind belongs to the whole cluster.
    #[error("the kind `{0}` belongs to the whole cluster; plans name namespaced objects only")]
    ClusterScoped(String),
    /// The API group decides the rights of others.
    #[error("the API group `{0}` decides what others may do; no plan touches it")]
    Group(String),
    /// The kind is Secret, which no plan may read or write.
    #[error("Secrets are never read or written by a plan; let workloads reference them by name")]
    Secret,
    /// The kind is ServiceAccount, which no plan may touch.
    #[error("ServiceAccounts are identities; no plan touches them")]
    ServiceAccount,
    /// The kind names many objects at once.
    #[error("the kind `{0}` stands for many objects at once; name each in an operation of its own")]
    List(String),
    /// The kind is a subresource of another object.
    #[error("`{0}` is a subresource; name the object and its fields instead")]
    Subresource(String),
    /// The namespace is the cluster's or Cofferdam's own.
    #[error("the namespace `{0}` is protected; no plan reaches into `kube-*` or `cofferdam-*`")]
    Protected(String),
    /// The text is not a valid name.
    #[error("`{given}` is not {what}; small letters, digits and `-` are allowed")]
    Name {
        /// The text as it was given.
        given: String,
        /// The sort of name that is needed.
        what: &'static str,
    },
}

/// Finds a kind. The error names the cause for which no plan may name it.
pub fn find(group: &str, version: &str, kind: &str) -> Result<&'static Kind, KindError> {
    let core = group.is_empty();
    if kind.contains('/') || group.contains('/') {
        return Err(KindError::Subresource(kind.to_owned()));
    }
    if core && kind == "Secret" {
        return Err(KindError::Secret);
    }
    if core && kind == "ServiceAccount" {
        return Err(KindError::ServiceAccount);
    }
    if matches!(kind, "Scale" | "Eviction" | "Binding" | "TokenRequest") {
        return Err(KindError::Subresource(kind.to_owned()));
    }
    if REFUSED_GROUPS.contains(&group) {
        return Err(KindError::Group(group.to_owned()));
    }
    if kind == "List" || kind.ends_with("List") {
        return Err(KindError::List(kind.to_owned()));
    }
    if CLUSTER_SCOPED.contains(&kind) {
        return Err(KindError::ClusterScoped(kind.to_owned()));
    }
    KINDS
        .iter()
        .find(|known| known.group == group && known.version == version && known.kind == kind)
        .ok_or_else(|| KindError::Unknown {
            kind: kind.to_owned(),
            api: api_version(group, version),
        })
}

/// `apps/v1`, or `v1` for the core group: as a manifest spells it.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// True if a kind is known to belong to the whole cluster.
pub fn is_cluster_scoped(kind: &str) -> bool {
    CLUSTER_SCOPED.contains(&kind)
}

/// True if a namespace is the cluster's or Cofferdam's own.
pub fn is_protected(namespace: &str) -> bool {
    PROTECTED_PREFIXES.iter().any(|prefix| namespace.starts_with(prefix))
}

/// A namespace that a plan may name: a DNS label that is not protected.
pub fn check_namespace(namespace: &str) -> Result<(), KindError> {
    if !is_label(namespace) {
        return Err(KindError::Name { given: short(namespace), what: "a namespace" });
    }
    if is_protected(namespace) { Err(KindError::Protected(namespace.to_owned())) } else { Ok(()) }
}

/// A target that a plan may name: its kind is known, its namespace not protected, its names are
/// names.
pub fn check(target: &Target) -> Result<&'static Kind, KindError> {
    let kind = find(&target.group, &target.version, &target.kind)?;
    check_namespace(&target.namespace)?;
    check_name(&target.name)?;
    Ok(kind)
}

/// An object's name: a DNS subdomain (RFC 1123), which all kinds of the table have.
pub fn check_name(name: &str) -> Result<(), KindError> {
    let valid = name.len() <= 253 && name.split('.').all(is_label);
    if valid {
        Ok(())
    } else {
        Err(KindError::Name { given: short(name), what: "an object's name" })
    }
}

/// True if the text is a label by RFC 1123.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(plain);
    text.len() <= 63
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_kind(group: &str, kind: &str, expect: &str) {
        let got = find(group, "v1", kind)
            .map_or_else(|error| error.to_string(), |kind| kind.resource.to_owned());
        assert!(got.contains(expect), "{got}");
    }

    #[test]
    fn only_known_namespaced_kinds_can_be_named() {
        check_kind("apps", "Deployment", "deployments");
        check_kind("", "Secret", "Secrets are never");
        check_kind("", "ServiceAccount", "identities");
        check_kind("", "Namespace", "whole cluster");
        check_kind("", "List", "many objects");
        check_kind("apps", "DeploymentList", "many objects");
        check_kind("autoscaling", "Scale", "subresource");
        check_kind("", "pods/exec", "subresource");
        check_kind("rbac.authorization.k8s.io", "Role", "decides what others");
        check_kind("rbac.authorization.k8s.io", "ClusterRole", "decides what others");
        check_kind(
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration",
            "decides what others",
        );
        check_kind("example.com", "Database", "not one Cofferdam knows");
        check_kind("", "Deployment", "not one Cofferdam knows");
        check_kind("Apps", "Deployment", "not one Cofferdam knows");
    }

    #[test]
    fn protected_namespaces_and_odd_names_are_refused() {
        for bad in
            ["kube-system", "kube-", "cofferdam-run-x", "", "a/b", "A", "-a", "a.b", "a\u{200b}"]
        {
            assert!(check_namespace(bad).is_err(), "{bad}");
        }
        assert_eq!(check_namespace("kubernetes-team"), Ok(()));
        for bad in ["", "..", "a/b", "a..b", "A", "../x"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(check_name("api.v2"), Ok(()));
    }
}
