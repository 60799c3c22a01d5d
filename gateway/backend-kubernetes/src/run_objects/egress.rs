//! The ways out of a run, as network policies beside the one that denies all. Policies add up: each
//! allows its own destinations, and changes nothing else. Pure; a destination was checked when the
//! plan was sealed.

use super::{Guard, Marks, collection};
use crate::typed::to_json;
use cofferdam_core::model::cidr::Block;
use cofferdam_core::model::operation::{Addresses, Egress, Protocol};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The policy under which the run's pods reach each other.
pub const SIBLINGS: &str = "allow-siblings";

/// The policy under which they reach what lies outside.
pub const OUTSIDE: &str = "allow-egress";

/// Where a cluster's name service listens.
const NAMES: u16 = 53;

/// The policies for the destinations so far, the one of `to` included. `server` is the API server's
/// address, if known: a block wider than one address never includes it.
pub fn policy(
    marks: &Marks,
    opened: &BTreeSet<Egress>,
    to: &Egress,
    server: Option<IpAddr>,
) -> Guard {
    if *to == Egress::Siblings {
        let each_other = vec![NetworkPolicyPeer {
            pod_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }];
        let ingress = NetworkPolicyIngressRule { from: Some(each_other.clone()), ports: None };
        let egress = NetworkPolicyEgressRule { to: Some(each_other), ports: None };
        return guard(marks, SIBLINGS, Some(vec![ingress]), vec![egress]);
    }
    let rules = opened.iter().filter_map(|to| rule(to, server)).collect();
    guard(marks, OUTSIDE, None, rules)
}

fn guard(
    marks: &Marks,
    name: &str,
    ingress: Option<Vec<NetworkPolicyIngressRule>>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> Guard {
    let run = marks.name.to_string();
    let directions = if ingress.is_some() { &["Ingress", "Egress"][..] } else { &["Egress"] };
    let object = to_json(&NetworkPolicy {
        metadata: marks.metadata(&run, name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(directions.iter().map(|word| (*word).to_owned()).collect()),
            ingress,
            egress: Some(egress),
        }),
    });
    Guard {
        path: format!("{}/{name}", collection("networking.k8s.io", "v1", &run, "networkpolicies")),
        object,
    }
}

fn port(protocol: Protocol, number: u16) -> NetworkPolicyPort {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        ..NetworkPolicyPort::default()
    }
}

fn labelled(key: &str, value: &str) -> LabelSelector {
    let label = (key.to_owned(), value.to_owned());
    LabelSelector { match_labels: Some([label].into()), ..LabelSelector::default() }
}

/// One destination outside the run; none for the run itself.
fn rule(to: &Egress, server: Option<IpAddr>) -> Option<NetworkPolicyEgressRule> {
    let (peer, ports) = match to {
        Egress::Siblings => return None,
        Egress::NameService => (
            NetworkPolicyPeer {
                namespace_selector: Some(labelled("kubernetes.io/metadata.name", "kube-system")),
                pod_selector: Some(labelled("k8s-app", "kube-dns")),
                ..NetworkPolicyPeer::default()
            },
            vec![port(Protocol::Udp, NAMES), port(Protocol::Tcp, NAMES)],
        ),
        Egress::Addresses(Addresses { block, protocol, port: number }) => {
            let except = server.and_then(|server| within(block, server)).map(|one| vec![one]);
            let block = IPBlock { cidr: block.clone(), except };
            (
                NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() },
                vec![port(*protocol, *number)],
            )
        }
    };
    Some(NetworkPolicyEgressRule { to: Some(vec![peer]), ports: Some(ports) })
}

/// The one address as a block, if it lies in a wider block. A plan that names just that address
/// means it.
fn within(block: &str, server: IpAddr) -> Option<String> {
    let one = format!("{server}/{}", if server.is_ipv4() { 32 } else { 128 });
    (block != one && Block::parse(block)?.meets(&Block::parse(&one)?)).then_some(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_objects::tests::marks;
    use serde_json::{Value, json};

    fn addresses(block: &str) -> Egress {
        Egress::Addresses(Addresses { block: block.to_owned(), protocol: Protocol::Tcp, port: 443 })
    }

    fn check(opened: &[Egress], to: &Egress, server: Option<&str>, name: &str, spec: Value) {
        let opened = opened.iter().cloned().collect();
        let Guard { path, object } =
            policy(&marks(), &opened, to, server.map(|server| server.parse().unwrap()));
        assert!(path.ends_with(&format!("/networkpolicies/{name}")), "{path}");
        assert_eq!(object["spec"], spec);
    }

    #[test]
    fn each_way_out_is_opened_and_nothing_else() {
        let egress =
            |rules: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules});
        let block = |block: Value| {
            json!({
                "to": [{"ipBlock": block}],
                "ports": [{"protocol": "TCP", "port": 443}],
            })
        };
        let names = json!({
            "to": [{
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"},
                },
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        });
        let one = addresses("203.0.113.0/24");
        check(
            std::slice::from_ref(&one),
            &one,
            None,
            OUTSIDE,
            egress(json!([block(json!({"cidr": "203.0.113.0/24"}))])),
        );
        check(
            &[Egress::NameService, one.clone(), Egress::Siblings],
            &Egress::NameService,
            None,
            OUTSIDE,
            egress(json!([names, block(json!({"cidr": "203.0.113.0/24"}))])),
        );
        let within = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [
            {"from": [{"podSelector": {}}]},
        ],
            "egress": [{"to": [{"podSelector": {}}]}]});
        check(&[one, Egress::Siblings], &Egress::Siblings, None, SIBLINGS, within);
    }

    #[test]
    fn the_api_server_is_left_out_of_what_is_wider() {
        let spec = |block: Value| {
            json!({
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"ipBlock": block}], "ports": [{"protocol": "TCP",
                "port": 443}]}],
            })
        };
        for (block, server, expect) in [
            ("10.0.0.0/8", "10.0.0.1", json!({"cidr": "10.0.0.0/8", "except": ["10.0.0.1/32"]})),
            ("10.0.0.1/32", "10.0.0.1", json!({"cidr": "10.0.0.1/32"})),
            ("203.0.113.0/24", "10.0.0.1", json!({"cidr": "203.0.113.0/24"})),
            (
                "2001:db8::/32",
                "2001:db8::1",
                json!({"cidr": "2001:db8::/32", "except": ["2001:db8::1/128"]}),
            ),
            ("2001:db8::/32", "10.0.0.1", json!({"cidr": "2001:db8::/32"})),
        ] {
            check(&[addresses(block)], &addresses(block), Some(server), OUTSIDE, spec(expect));
        }
    }
}
