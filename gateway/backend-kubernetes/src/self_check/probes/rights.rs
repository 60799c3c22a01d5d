//! The rights that the self-check asks RBAC about: the forbidden ones, and those of an option.

use super::RUN;
use std::fmt;

/// A right, in RBAC's words. An empty namespace means every namespace, an empty name every name.
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

const RBAC: &str = "rbac.authorization.k8s.io";

/// The rights that no identity of Cofferdam may have: reads, which admission never sees, and ways
/// to more rights. Only RBAC protects these.
pub fn forbidden_rights() -> Vec<Right> {
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

/// The rights that the provisioner has if its jobs act by impersonation
/// (`deploy/options/impersonation.yaml`), and must not have otherwise.
pub fn impersonation_rights() -> [Right; 2] {
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
