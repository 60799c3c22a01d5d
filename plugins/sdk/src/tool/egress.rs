//! Ways out of the job's own namespace: what runs there reaches nothing but what a step names.
//! Which blocks are too wide, or closed to everybody, is the host's to say.

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
