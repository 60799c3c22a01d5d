//! The guards of a run that the provisioner may write: as narrow as `deploy/` permits, for every
//! holder of its token.

use super::super::client::*;
use super::{NO_RIGHT, pod_spec, wait};
use cofferdam_backend_kubernetes::run_objects::Guard;
use serde_json::{Value, json};

const QUOTA: &str = "the quota of a run bounds all that it has to bound";
const LIMITS: &str = "the limits of a run bound each container";
const ALL: &str = "select every pod, and let no client in";
const PORTS: &str = "names its ports one by one";
const BLOCKS: &str = "are blocks no wider than /8";
const OWN: &str = "is between a run's own pods alone";
const NAMES: &str = "names none but its name servers";

/// A copy of the object with one more value.
fn with(object: &Value, pointer: &str, key: &str, value: Value) -> Value {
    let mut copy = object.clone();
    copy.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    copy
}

/// A copy of the object without one value.
fn without(object: &Value, pointer: &str, key: &str) -> Value {
    let mut copy = object.clone();
    copy.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    copy
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn the_provisioner_bounds_a_run_no_wider_than_the_fences_say() {
    let plane = installed();
    block(async {
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        provisioner.ask(apply(namespace_path(&run.name), run.namespace())).await.unwrap();
        let own = run.guards();
        let of =
            |kind: &str| own.iter().find(|guard| guard.object["kind"] == kind).unwrap().clone();
        let (quota, limits, denies) = (of("ResourceQuota"), of("LimitRange"), of("NetworkPolicy"));
        let put = |guard: &Guard, object: Value| apply(guard.path.as_str(), object);
        let named = |guard: &Guard, name: &str| {
            let (folder, _) = guard.path.rsplit_once('/').unwrap();
            apply(format!("{folder}/{name}"), but(&guard.object, "/metadata/name", json!(name)))
        };
        let hard = |key: &str, value: &str| {
            put(&quota, with(&quota.object, "/spec/hard", key, json!(value)))
        };
        let max = |key: &str, value: &str| {
            put(&limits, with(&limits.object, "/spec/limits/0/max", key, json!(value)))
        };
        let denying = |pointer: &str, key: &str, value: Value| {
            put(&denies, with(&denies.object, pointer, key, value))
        };
        let mut rows = vec![
            (
                "a quota without pods",
                put(&quota, without(&quota.object, "/spec/hard", "pods")),
                QUOTA,
            ),
            (
                "a quota without Secrets",
                put(&quota, without(&quota.object, "/spec/hard", "count/secrets")),
                QUOTA,
            ),
            ("an empty quota", put(&quota, but(&quota.object, "/spec/hard", json!({}))), QUOTA),
            ("one pod more", hard("pods", "21"), QUOTA),
            ("the same in other words", hard("pods", "20000m"), "done"),
            ("more memory in other words", hard("limits.memory", "8193Mi"), QUOTA),
            ("a disk", hard("persistentvolumeclaims", "1"), QUOTA),
            (
                "a quota for some pods",
                put(&quota, with(&quota.object, "/spec", "scopes", json!(["NotTerminating"]))),
                "unsupported scope",
            ),
            ("one pod", hard("pods", "1"), "done"),
            ("something else bounded too", hard("count/leases.coordination.k8s.io", "0"), "done"),
            ("another quota", named(&quota, "other"), NO_RIGHT),
            ("its end", delete(quota.path.as_str()), NO_RIGHT),
            ("a wider container", max("memory", "5Gi"), LIMITS),
            (
                "limits without memory",
                put(&limits, without(&limits.object, "/spec/limits/0/max", "memory")),
                LIMITS,
            ),
            (
                "limits of pods",
                put(
                    &limits,
                    but(
                        &limits.object,
                        "/spec/limits",
                        json!([{"type": "Pod", "max": {"cpu": "1"}}]),
                    ),
                ),
                LIMITS,
            ),
            ("a narrower container", max("cpu", "2"), "done"),
            ("other limits", named(&limits, "other"), NO_RIGHT),
            ("not every pod", denying("/spec/podSelector", "matchLabels", json!({"a": "b"})), ALL),
            (
                "one way twice",
                put(
                    &denies,
                    but(&denies.object, "/spec/policyTypes", json!(["Ingress", "Ingress"])),
                ),
                "denies all",
            ),
            ("a way out of it", denying("/spec", "egress", json!([{}])), "denies all"),
            ("a way in", denying("/spec", "ingress", json!([{}])), ALL),
            ("another policy", named(&denies, "other"), NO_RIGHT),
        ];
        rows.extend(own.iter().map(|guard| {
            ("as it should be", apply(guard.path.as_str(), guard.object.clone()), "done")
        }));
        provisioner.try_all(rows).await;
        provisioner.ask(delete(namespace_path(&run.name))).await.unwrap();
    });
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_runs_way_out_is_to_named_ports_of_bounded_places() {
    let plane = installed();
    block(async {
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let run = Run::new();
        provisioner.ask(apply(namespace_path(&run.name), run.namespace())).await.unwrap();
        let at = run.in_group("networking.k8s.io", "networkpolicies/allow-egress");
        let policy = |spec: Value| {
            let metadata = json!({"name": "allow-egress"});
            apply(
                at.as_str(),
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "metadata": metadata, "spec": spec}),
            )
        };
        let spec =
            |egress: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress});
        let block = |cidr: &str| json!({"ipBlock": {"cidr": cidr}});
        let https = json!([{"protocol": "TCP", "port": 443}]);
        let to = |peer: Value| policy(spec(json!([{"to": [peer], "ports": https}])));
        let through =
            |ports: Value| policy(spec(json!([{"to": [block("203.0.113.0/24")], "ports": ports}])));
        let names = json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        });
        let asking = |peer: Value, port: u16| {
            policy(spec(json!([{"to": [peer], "ports": [{"protocol": "UDP", "port": port},
                    {"protocol": "TCP", "port": port}]}])))
        };
        let siblings = |ingress: Value, egress: Value| {
            let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": ingress, "egress": egress});
            let at = at.replace("allow-egress", "allow-siblings");
            let metadata = json!({"name": "allow-siblings"});
            apply(
                at,
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "metadata": metadata, "spec": spec}),
            )
        };
        let (from, to_own) =
            (json!([{"from": [{"podSelector": {}}]}]), json!([{"to": [{"podSelector": {}}]}]));
        let both = spec(json!([
            {"to": [names], "ports": [{"protocol": "UDP", "port": 53},
                {"protocol": "TCP", "port": 53}]},
            {"to": [block("203.0.113.7/32"), block("2001:db8::/32")], "ports": https},
        ]));
        provisioner
            .try_all(vec![
                ("everywhere", to(block("0.0.0.0/0")), BLOCKS),
                (
                    "everywhere in two halves",
                    policy(spec(json!([{"to": [block("0.0.0.0/1"), block("128.0.0.0/1")],
                        "ports": https}]))),
                    BLOCKS,
                ),
                ("everywhere, version 6", to(block("::/0")), BLOCKS),
                ("a wide block, version 6", to(block("2001::/16")), BLOCKS),
                ("credentials of a cloud", to(block("169.254.169.254/32")), BLOCKS),
                ("a block that has those", to(block("169.0.0.0/8")), BLOCKS),
                ("a part of those", to(block("169.254.128.0/17")), BLOCKS),
                ("link-local, version 6", to(block("fe80::/64")), BLOCKS),
                ("credentials of a cloud, version 6", to(block("fd00:ec2::254/128")), BLOCKS),
                ("neither global nor unique local", to(block("64:ff9b::/96")), BLOCKS),
                ("what a machine keeps for itself", to(block("127.0.0.1/32")), BLOCKS),
                ("a cloud's own address", to(block("168.63.129.16/32")), BLOCKS),
                ("version 4 in version 6", to(block("::ffff:169.254.169.254/128")), "IPv4-mapped"),
                ("no place", policy(spec(json!([{"ports": https}]))), PORTS),
                ("an empty rule", policy(spec(json!([{}]))), PORTS),
                ("no ports", policy(spec(json!([{"to": [block("203.0.113.0/24")]}]))), PORTS),
                ("a port of no number", through(json!([{"protocol": "TCP"}])), PORTS),
                ("a port by name", through(json!([{"protocol": "TCP", "port": "https"}])), PORTS),
                (
                    "many ports",
                    through(json!([{"protocol": "TCP", "port": 1, "endPort": 65535}])),
                    PORTS,
                ),
                ("another protocol", through(json!([{"protocol": "SCTP", "port": 443}])), PORTS),
                ("every pod of the cluster", to(json!({"namespaceSelector": {}})), NAMES),
                ("every pod of its own", to(json!({"podSelector": {}})), NAMES),
                ("all of kube-system", asking(without(&names, "", "podSelector"), 53), NAMES),
                (
                    "name servers of others",
                    asking(but(&names, "/namespaceSelector/matchLabels", json!({"a": "b"})), 53),
                    NAMES,
                ),
                ("name servers at another port", asking(names.clone(), 443), NAMES),
                (
                    "a way in",
                    policy(json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"],
                        "egress": []})),
                    "is about Egress alone",
                ),
                (
                    "a way in without its type",
                    policy(json!({"podSelector": {}, "policyTypes": [
                    "Egress"], "ingress": [{}]})),
                    ALL,
                ),
                (
                    "no type",
                    policy(json!({"podSelector": {}, "egress": []})),
                    "is about Egress alone",
                ),
                ("everybody in, as siblings", siblings(json!([{}]), to_own.clone()), OWN),
                ("everywhere, as siblings", siblings(from.clone(), json!([{}])), OWN),
                (
                    "another namespace, as siblings",
                    siblings(
                        json!([{"from": [{
                    "namespaceSelector": {}}]}]),
                        to_own.clone(),
                    ),
                    OWN,
                ),
                ("the run's own pods", siblings(from, to_own), "done"),
                ("names and two places", policy(both), "done"),
                ("nowhere", policy(spec(json!([]))), "done"),
            ])
            .await;
        provisioner.ask(delete(namespace_path(&run.name))).await.unwrap();
    });
}

/// The guards that a run must have before a pod, and the policy that requires each.
const NEEDED: [(&str, &str); 3] = [
    ("ResourceQuota", "cofferdam-guard-quota"),
    ("LimitRange", "cofferdam-guard-limits"),
    ("NetworkPolicy", "cofferdam-guard-network"),
];

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_run_whose_guard_is_missing_admits_no_pod() {
    let plane = installed();
    block(async {
        let admin = TestClient::of(&plane.admin()).await;
        let provisioner = TestClient::account(plane, "cofferdam-system", "provisioner").await;
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "cofferdam-task-0"}, "spec": pod_spec()});
        for (missing, fence) in NEEDED {
            let run = Run::new();
            provisioner.ask(apply(namespace_path(&run.name), run.namespace())).await.unwrap();
            provisioner
                .ask(apply(rbac(&run.name, "rolebindings/provisioner"), run.taken_on()))
                .await
                .unwrap();
            wait(&provisioner, || dry(apply(run.at("configmaps/x"), config_map("x")))).await;
            let (last, others): (Vec<Guard>, Vec<Guard>) =
                run.guards().into_iter().partition(|guard| guard.object["kind"] == missing);
            for guard in others {
                provisioner.ask(apply(guard.path, guard.object)).await.unwrap();
            }
            let at = run.at("pods/cofferdam-task-0");
            // After the two others are known, the missing one alone is named, to every client.
            for client in [&provisioner, &admin] {
                let end = tokio::time::Instant::now() + crate::installation::TIME_LIMIT;
                loop {
                    let said = client.ask(apply(at.as_str(), pod.clone())).await.unwrap_err();
                    if said.contains(&format!("'{fence}'")) && said.contains("no params found") {
                        break;
                    }
                    assert!(tokio::time::Instant::now() < end, "without {missing}: {said}");
                }
            }
            for guard in last {
                provisioner.ask(apply(guard.path, guard.object)).await.unwrap();
            }
            wait(&provisioner, || apply(at.as_str(), pod.clone())).await;
            provisioner.ask(delete(namespace_path(&run.name))).await.unwrap();
        }
    });
}
