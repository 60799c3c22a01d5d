//! Remarks on a previewed operation besides its values: an autoscaler that sets the same field, a
//! finalizer that holds a deleted object. Only the viewer looks for autoscalers: an approval stays
//! valid if an autoscaler comes later. Never refuses anything.

use super::api::{Cluster, Extent};
use super::{labels, path};
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::preview::{Preview, Remark, RemarkKind, bounded};
use serde_json::{Value, json};

/// The field that autoscalers set, through the subresource `scale`.
const REPLICAS: &str = "spec.replicas";

/// Autoscalers of a namespace that are looked at.
const AUTOSCALERS: Extent = Extent { page: 500, pages: 2 };

/// Adds the autoscalers that set the same replicas as the plan. Adds nothing if the viewer may not
/// list them.
pub(super) async fn of_autoscalers(cluster: &Cluster, preview: &mut Preview) {
    for operation in
        preview.operations.iter_mut().filter(|operation| operation.after.contains_key(REPLICAS))
    {
        let collection = path::collection(
            "autoscaling",
            "v2",
            &operation.target.namespace,
            "horizontalpodautoscalers",
        );
        match cluster.list_all(&collection, "", AUTOSCALERS, |object| object).await {
            Ok((found, _)) => {
                let remarks = found
                    .iter()
                    .filter(|autoscaler| scales(autoscaler, &operation.target))
                    .map(remark);
                operation.remarks = bounded(operation.remarks.drain(..).chain(remarks).collect());
            }
            Err(error) => tracing::debug!(error = %error, "autoscalers cannot be looked for"),
        }
    }
}

/// Returns whether an autoscaler has this object as its target.
fn scales(autoscaler: &Value, target: &Target) -> bool {
    let word = |key: &str| {
        autoscaler
            .pointer(&format!("/spec/scaleTargetRef/{key}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let group = word("apiVersion").split_once('/').map_or("", |(group, _)| group);
    (group, word("kind"), word("name"))
        == (target.group.as_str(), target.kind.as_str(), target.name.as_str())
}

fn remark(autoscaler: &Value) -> Remark {
    let number = |at: &str, otherwise: u64| {
        autoscaler.pointer(at).and_then(Value::as_u64).unwrap_or(otherwise)
    };
    // Absent, the least is one.
    let range = format!("{} to {}", number("/spec/minReplicas", 1), number("/spec/maxReplicas", 1));
    let name = labels::name(autoscaler).unwrap_or_default();
    Remark::new(RemarkKind::Scaled, REPLICAS)
        .by(format!("HorizontalPodAutoscaler {name}"), "")
        .with(json!(range))
}

/// The finalizers that an object would be held by.
pub(super) fn finalizers(object: &Value) -> Vec<Remark> {
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let remark =
        |name: &Value| Remark::new(RemarkKind::Finalized, "metadata.finalizers").with(name.clone());
    all.into_iter().flatten().map(remark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_is_of_the_object_that_it_names() {
        let target = |group: &str, kind: &str, name: &str| Target {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        };
        let autoscaler = json!({"metadata": {"name": "web-hpa"}, "spec": {"maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
        assert!(scales(&autoscaler, &target("apps", "Deployment", "web")));
        for other in [
            target("apps", "Deployment", "api"),
            target("apps", "StatefulSet", "web"),
            target("", "Deployment", "web"),
        ] {
            assert!(!scales(&autoscaler, &other), "{other}");
        }
        let expect = Remark::new(RemarkKind::Scaled, REPLICAS)
            .by("HorizontalPodAutoscaler web-hpa", "")
            .with(json!("1 to 10"));
        assert_eq!(remark(&autoscaler), expect);
        assert_eq!(
            finalizers(&json!({"metadata": {"finalizers": ["a/b"]}}))[0].value,
            json!("a/b")
        );
    }
}
