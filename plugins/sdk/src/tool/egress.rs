//! Network destinations of the run namespace. Pods there reach only the destinations that a step
//! names. The host refuses blocks that are too wide or always forbidden.

use super::{Addresses, Egress, Operation, Protocol, Step};

impl Egress {
    /// A block of addresses on one port: `203.0.113.0/24`.
    pub fn addresses(block: impl Into<String>, protocol: Protocol, port: u16) -> Self {
        Self::Addresses(Addresses { block: block.into(), protocol, port })
    }
}

impl From<Egress> for Step {
    fn from(to: Egress) -> Self {
        Self::new(Operation::Egress(to))
    }
}
