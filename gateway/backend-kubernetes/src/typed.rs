//! Typed Kubernetes objects as the JSON that requests carry. A wrong field name in an object that
//! Cofferdam makes is a compile error. Sends nothing. Patches and objects of plans stay JSON.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts of resources by name.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// The JSON of an object. The types of Kubernetes always have one; the API server refuses `null`,
/// which stands for an object without.
pub(crate) fn to_json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}

/// Amounts of resources, as Kubernetes spells them.
pub(crate) fn amounts(all: &[(&str, &str)]) -> Amounts {
    all.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
}

/// The same amounts as request and as limit.
pub(crate) fn exactly(amounts: &Amounts) -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(amounts.clone()),
        limits: Some(amounts.clone()),
        ..ResourceRequirements::default()
    }
}

/// A reference to a Role or ClusterRole.
pub(crate) fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// A ServiceAccount that gets rights.
pub(crate) fn account(namespace: &str, name: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
        ..Subject::default()
    }
}
