//! Blocks of addresses, as plans name them and network policies bound them. Compares; never says
//! which may be reached.

use std::net::IpAddr;

/// Bits of an IPv4 address.
const V4: u8 = 32;

/// Bits of an IPv6 address.
const V6: u8 = 128;

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    bits: u128,
    prefix: u8,
    /// Bits of an address of its family.
    width: u8,
}

impl Block {
    /// Reads CIDR notation (RFC 4632, RFC 4291): in its one spelling, without bits beyond the
    /// prefix. None for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        let (bits, width) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), V4),
            IpAddr::V6(address) => (address.to_bits(), V6),
        };
        let block = Self { bits, prefix, width };
        let beyond = u32::from(width.checked_sub(prefix)?);
        // A shift by the whole width leaves nothing.
        let network = bits.checked_shr(beyond).unwrap_or(0).checked_shl(beyond).unwrap_or(0);
        (network == bits && format!("{address}/{prefix}") == text).then_some(block)
    }

    /// Whether it is of IPv4.
    pub fn is_v4(&self) -> bool {
        self.width == V4
    }

    /// Bits that its addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the two have an address in common.
    pub fn meets(&self, other: &Self) -> bool {
        let beyond = u32::from(self.width - self.prefix.min(other.prefix).min(self.width));
        self.width == other.width && (self.bits ^ other.bits).checked_shr(beyond).unwrap_or(0) == 0
    }
}
