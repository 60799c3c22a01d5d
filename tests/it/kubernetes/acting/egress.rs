//! Network access of a run: closed until its operation is done, and opened by the provisioner
//! alone, as the API server stores it.

use super::namespace::{Job, TestNamespace};
use cofferdam_backend_kubernetes::api::{ApiError, Manager, Mode};
use cofferdam_core::protocol::role_guest::Observed;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The network policies of the run with their destinations.
fn policies(ns: &TestNamespace, job: &Job) -> BTreeMap<String, Value> {
    let at =
        format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies", job.namespace.name());
    let answer = ns.plane.request("GET", &at, None);
    let each = |policy: &Value| {
        (policy["metadata"]["name"].as_str().unwrap().to_owned(), policy["spec"]["egress"].clone())
    };
    answer.body["items"].as_array().unwrap().iter().map(each).collect()
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_way_out_is_open_from_its_operation_on() {
    let ns = TestNamespace::of("acting-egress");
    let block = json!({"block": "203.0.113.0/24", "protocol": "tcp", "port": 443});
    let operations = json!([
        {"action": "egress", "to": "siblings"},
        {"action": "egress", "to": {"addresses": block}},
        {"action": "egress", "to": "name-service"},
    ]);
    let mut job = ns.begin(1, operations, false);
    let shown = |policies: BTreeMap<String, Value>| policies.into_iter().collect::<Vec<_>>();
    let closed = ("deny-all".to_owned(), Value::Null);
    assert_eq!(shown(policies(&ns, &job)), std::slice::from_ref(&closed));

    let path = r#"egress.addresses["203.0.113.0/24 tcp 443"]"#;
    assert_eq!(ns.perform(&mut job, 1).unwrap(), BTreeMap::from([(path.to_owned(), block)]));
    let outside = json!({"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
        "ports": [{"protocol": "TCP", "port": 443}]});
    assert_eq!(
        shown(policies(&ns, &job)),
        [("allow-egress".to_owned(), json!([outside])), closed.clone()]
    );
    assert_eq!(
        ns.runtime.block_on(job.namespace.observe(&job.preview.operations[1])).unwrap(),
        Observed::Ready
    );

    ns.perform(&mut job, 0).unwrap();
    ns.perform(&mut job, 2).unwrap();
    let names = json!({
        "to": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    });
    let each_other = json!([{"to": [{"podSelector": {}}]}]);
    let open = [
        ("allow-egress".to_owned(), json!([names, outside])),
        ("allow-siblings".to_owned(), each_other),
        closed,
    ];
    assert_eq!(shown(policies(&ns, &job)), open);

    // The job itself opens no access, even without its gate.
    let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "allow-egress"}, "spec": {"podSelector": {}}});
    let at = format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/allow-egress",
        job.namespace.name()
    );
    let said = ns.runtime.block_on(async {
        let itself = job.namespace.job().await.unwrap();
        itself.apply(&at, &object, Manager { name: "x", force: true }, Mode::Real).await
    });
    assert!(matches!(said, Err(ApiError::Refused { status: 403, .. })), "{said:?}");
    ns.remove(job.namespace.name()).unwrap();
    ns.nothing_of(job.namespace.name());
}
