//! Autoscalers in a tree: objects that set the replicas of another object at run time, after the
//! count in its file.

use super::view::{at, get, text, text_of};
use crate::read::Node;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::preview::{Remark, RemarkKind};

/// Returns whether a kind sets replicas: the autoscaler of Kubernetes, and KEDA's.
pub fn is_one(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        ("autoscaling", "HorizontalPodAutoscaler") | ("keda.sh", "ScaledObject")
    )
}

/// Returns whether an autoscaler has this object as its target. KEDA leaves kind and version out
/// for a Deployment.
pub fn scales(node: &Node, target: &Target) -> bool {
    let Some(scaled) = at(node, &["spec", "scaleTargetRef"]) else { return false };
    let kind = text_of(scaled, "kind").unwrap_or_else(|| "Deployment".to_owned());
    let group = text_of(scaled, "apiVersion").map_or_else(
        || "apps".to_owned(),
        |api| api.split_once('/').map_or(String::new(), |(group, _)| group.to_owned()),
    );
    kind == target.kind
        && group == target.group
        && get(scaled, "name").and_then(text).as_deref() == Some(target.name.as_str())
}

/// The remark on a change of replicas.
pub fn remark(path: &FieldPath, (kind, name): (&str, &str), place: String) -> Remark {
    Remark::new(RemarkKind::Overridden, path.to_string()).by(format!("{kind} {name}"), place)
}
