//! Checks of ways out of the ephemeral namespace: which addresses what runs there may be let
//! through to. Never lets it through to everything, to what a machine keeps for itself, or to where
//! clouds hand out credentials.

use super::{EGRESS, Found, LET_OUT};
use crate::model::ceiling::EPHEMERAL;
use crate::model::cidr::Block;
use crate::model::operation::{Addresses, Change, Egress, Target};
use crate::model::path::{FieldPath, Segment};
use serde_json::{Value, json};

/// The shortest prefix of an IPv4 block: what one organisation has. Shorter ones are as good as
/// everything.
const SHORTEST_V4: u8 = 8;

/// The shortest prefix of an IPv6 block: what one provider has.
const SHORTEST_V6: u8 = 32;

/// IPv4 blocks that nothing in a run may reach any part of (RFC 6890), and the single addresses of
/// clouds that give out metadata or credentials.
const CLOSED_V4: [&str; 8] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
];

/// IPv6 blocks that a run may reach parts of: global unicast and unique local (RFC 4291, RFC 4193).
/// Loopback, link-local, multicast and the blocks that represent IPv4 addresses are outside.
const OPEN_V6: [&str; 2] = ["2000::/3", "fc00::/7"];

/// Single IPv6 addresses of clouds that give out metadata or credentials.
const CLOSED_V6: [&str; 2] = ["fd00:ec2::254/128", "fd20:ce::254/128"];

/// Checks the destination of an egress operation.
pub(super) fn check(to: &Egress) -> Result<Found, String> {
    if let Egress::Addresses(Addresses { block, port, .. }) = to {
        open(block)?;
        if *port == 0 {
            return Err("its port is 0; a port is 1 to 65535".to_owned());
        }
    }
    let path = FieldPath::parse(&path(to)).map_err(|error| error.to_string())?;
    Ok(Found { target: target(to), paths: vec![path] })
}

/// The target of an egress operation: a network policy of the run, named by its destination.
pub(super) fn target(to: &Egress) -> Target {
    Target {
        group: "networking.k8s.io".to_owned(),
        version: "v1".to_owned(),
        kind: "NetworkPolicy".to_owned(),
        namespace: EPHEMERAL.to_owned(),
        name: to.to_string(),
    }
}

/// The change that policy and people see of the destination.
pub(super) fn opens(to: &Egress) -> Change {
    let value = match to {
        Egress::Siblings | Egress::NameService => Value::Bool(true),
        Egress::Addresses(Addresses { block, protocol, port }) => {
            json!({"block": block, "protocol": protocol.word(), "port": port})
        }
    };
    Change { path: path(to), value: Some(value) }
}

/// The path by which ceilings and policies name the destination.
fn path(to: &Egress) -> String {
    match to {
        Egress::Siblings | Egress::NameService => format!("{EGRESS}{to}"),
        Egress::Addresses(_) => format!("{LET_OUT}{}", Segment::Key(to.to_string())),
    }
}

/// True if a run may be let through to a block.
fn open(text: &str) -> Result<(), String> {
    let shown = crate::model::escape::line(text);
    let block = Block::parse(text).ok_or_else(|| {
        format!(
            "`{shown}` is no block of addresses in CIDR notation without bits beyond its prefix, \
             such as `203.0.113.0/24`"
        )
    })?;
    let shortest = if block.is_v4() { SHORTEST_V4 } else { SHORTEST_V6 };
    if block.prefix() < shortest {
        return Err(format!("`{shown}` is wider than /{shortest}, which is as good as everything"));
    }
    let meets = |other: &&&str| Block::parse(other).is_some_and(|other| block.meets(&other));
    if !block.is_v4() && !OPEN_V6.iter().any(|open| meets(&open)) {
        return Err(format!("`{shown}` is neither global nor unique local"));
    }
    match CLOSED_V4.iter().chain(&CLOSED_V6).find(meets) {
        Some(closed) => Err(format!(
            "`{shown}` reaches {closed}, which no run is let through to; name a block beside it"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operation::Protocol;

    fn said(block: &str, port: u16) -> String {
        let to =
            Egress::Addresses(Addresses { block: block.to_owned(), protocol: Protocol::Tcp, port });
        check(&to).map_or_else(
            |reason| reason,
            |found| found.paths.iter().map(ToString::to_string).collect(),
        )
    }

    fn refused(block: &str, expect: &str) {
        let said = said(block, 443);
        assert!(said.contains(expect), "{block}: {said}");
    }

    #[test]
    fn a_destination_is_a_block_on_a_port() {
        assert_eq!(said("203.0.113.0/24", 443), r#"egress.addresses["203.0.113.0/24 tcp 443"]"#);
        assert_eq!(said("203.0.113.7/32", 1), r#"egress.addresses["203.0.113.7/32 tcp 1"]"#);
        assert_eq!(said("10.0.0.0/8", 443), r#"egress.addresses["10.0.0.0/8 tcp 443"]"#);
        assert_eq!(said("2001:db8::/32", 443), r#"egress.addresses["2001:db8::/32 tcp 443"]"#);
        assert!(said("203.0.113.0/24", 0).contains("1 to 65535"));
    }

    #[test]
    fn one_spelling_and_nothing_beyond_the_prefix() {
        for bad in [
            "",
            "203.0.113.0",
            "203.0.113.1/24",
            "203.0.113.0/024",
            "203.0.113.0/33",
            "2001:DB8::/32",
            "2001:db8:0::/48",
            "a/8",
            "::/129",
        ] {
            refused(bad, "no block of addresses");
        }
    }

    #[test]
    fn never_everything_and_never_what_a_machine_or_a_cloud_keeps() {
        for wide in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3", "2001::/16"] {
            refused(wide, "as good as everything");
        }
        for closed in [
            "169.254.169.254/32",
            "169.254.0.0/16",
            "169.0.0.0/8",
            "127.0.0.1/32",
            "224.0.0.1/32",
            "100.100.100.200/32",
            "168.0.0.0/8",
        ] {
            refused(closed, "which no run is let through to");
        }
        refused("fd00:ec2::/32", "fd00:ec2::254/128");
        // The cluster's own fence says the same to any holder of the provisioner's token.
        let fence = include_str!("../../../../../deploy/10-fence-provisioner.yaml");
        for block in CLOSED_V4.iter().chain(&CLOSED_V6).chain(&OPEN_V6) {
            assert!(fence.contains(&format!("'{block}'")), "{block}");
        }
        for odd in ["::1/128", "fe80::/64", "ff02::1/128", "::ffff:10.0.0.1/128", "64:ff9b::/96"] {
            refused(odd, "neither global nor unique local");
        }
    }
}
