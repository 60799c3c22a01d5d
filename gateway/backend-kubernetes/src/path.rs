//! Paths of objects in the API, from the fixed table of kinds and never from discovery.

use cofferdam_core::model::kind;
use cofferdam_core::model::operation::Target;

/// The path of a collection in a namespace: `/apis/apps/v1/namespaces/shop/deployments`.
pub fn collection(group: &str, version: &str, namespace: &str, resource: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}/namespaces/{namespace}/{resource}")
    } else {
        format!("/apis/{group}/{version}/namespaces/{namespace}/{resource}")
    }
}

/// The path of a collection across all namespaces:
/// `/apis/rbac.authorization.k8s.io/v1/rolebindings`.
pub fn everywhere(group: &str, version: &str, resource: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}/{resource}")
    } else {
        format!("/apis/{group}/{version}/{resource}")
    }
}

/// The path of a namespace.
pub fn namespace(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

/// The path of a target.
pub fn object(target: &Target) -> Result<String, kind::KindError> {
    let known = kind::find(&target.group, &target.version, &target.kind)?;
    kind::check_name(&target.name)?;
    Ok(format!(
        "{}/{}",
        collection(&target.group, &target.version, &target.namespace, known.resource),
        target.name
    ))
}
