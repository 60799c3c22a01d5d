//! Blocks of addresses, as plans name them and network policies bound them. Compares; never says
//! which may be reached.

use ipnet::IpNet;
use std::net::IpAddr;

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block(IpNet);

impl Block {
    /// Reads CIDR notation (RFC 4632, RFC 4291): in its one spelling, without bits beyond the
    /// prefix. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let block: IpNet = text.parse().ok()?;
        (block == block.trunc() && block.to_string() == text).then_some(Self(block))
    }

    /// Reads CIDR notation, or one address.
    pub fn parse_address(text: &str) -> Option<Self> {
        let address = |text: &str| text.parse::<IpAddr>().ok().map(|one| Self(one.into()));
        Self::parse(text).or_else(|| address(text))
    }

    /// True if the address is in the block.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// True for a block of IPv4 addresses.
    pub fn is_v4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// True for a block of IPv4 addresses in their form within IPv6.
    pub fn is_mapped(&self) -> bool {
        match self.0 {
            IpNet::V4(_) => false,
            IpNet::V6(block) => block.network().to_ipv4_mapped().is_some(),
        }
    }

    /// The number of bits that all addresses of the block share.
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// True if the two blocks have an address in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_one_spelling() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "203.0.113.7/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
            "::ffff:0.0.0.0/96",
        ] {
            assert!(Block::parse(text).is_some(), "{text}");
        }
        for text in [
            "10.0.0.1/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0",
            "10.0.0.0/33",
            "010.0.0.0/8",
            " 10.0.0.0/8",
            "10.0.0.0/8 ",
            "10.0.0/8",
            "10.0.0.0/255.0.0.0",
            "2001:DB8::/32",
            "2001:db8:0::/32",
            "2001:db8::1/32",
            "::/129",
            "::%1/128",
            "",
        ] {
            assert_eq!(Block::parse(text), None, "{text}");
        }
    }

    #[test]
    fn blocks_of_mapped_addresses_are_known() {
        let mapped = |text: &str| Block::parse_address(text).unwrap().is_mapped();
        for text in ["::ffff:10.0.0.5", "::ffff:a00:5", "::ffff:0.0.0.0/96", "::ffff:10.0.0.0/104"]
        {
            assert!(mapped(text), "{text}");
        }
        for text in ["10.0.0.5", "10.0.0.0/8", "::1", "::/0", "::10.0.0.5", "64:ff9b::/96"] {
            assert!(!mapped(text), "{text}");
        }
    }

    #[test]
    fn blocks_of_one_family_meet_where_one_contains_the_other() {
        let meets = |one: &str, other: &str| {
            let (one, other) = (Block::parse(one).unwrap(), Block::parse(other).unwrap());
            assert_eq!(one.meets(&other), other.meets(&one));
            one.meets(&other)
        };
        assert!(meets("10.0.0.0/8", "10.1.0.0/16") && meets("0.0.0.0/0", "203.0.113.7/32"));
        assert!(meets("2001:db8::/32", "2001:db8:1::/48") && meets("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!meets("10.0.0.0/8", "11.0.0.0/8") && !meets("0.0.0.0/0", "::/0"));
    }
}
