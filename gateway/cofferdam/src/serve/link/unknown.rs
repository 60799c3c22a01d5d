//! The connections whose peer is not known yet: bounded in number, over all and for each address. A
//! stranger never takes the place of another address. Reads nothing from a connection.

use super::identity::refusal;
use cofferdam_core::protocol::link::{LinkCode, LinkRefusal};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::AbortHandle;

/// The most of these connections at once.
const MOST: usize = 128;

/// The most of them from one address: more than the runners of a host with every seat.
const MOST_OF_ONE: usize = 24;

/// The bits of an IPv6 address that a provider gives to one customer at least: a host has them all.
const NETWORK: u128 = !0 << 64;

/// Connections whose peer is not known yet.
#[derive(Default)]
pub(super) struct Unknown(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    address: IpAddr,
    /// The address, or its network: what is counted as one.
    one: IpAddr,
    /// The task that greets the peer, once it runs.
    opening: Option<AbortHandle>,
}

/// The place of one connection. Dropping it frees the place.
pub(super) struct Place(Arc<Unknown>, u64);

impl Unknown {
    /// Takes a place for a connection from this address.
    ///
    /// # Errors
    /// The address has as many as one may have.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, LinkRefusal> {
        let mut table = self.table();
        let one = counted(address);
        if table.connections.values().filter(|known| known.one == one).count() >= MOST_OF_ONE {
            let why = format!(
                "{MOST_OF_ONE} connections of it have not said who they are; end what opens them"
            );
            return Err(refusal(LinkCode::LinkFull, why));
        }
        table.next += 1;
        let number = table.next;
        table.connections.insert(number, Connection { address, one, opening: None });
        drop(table);
        Ok(Place(Arc::clone(self), number))
    }

    /// Notes the task of a connection. If there are too many, the oldest connection of the address
    /// with the most ends: returned with its refusal.
    pub fn opening(&self, number: u64, task: AbortHandle) -> Option<(IpAddr, LinkRefusal)> {
        let mut table = self.table();
        if let Some(known) = table.connections.get_mut(&number) {
            known.opening = Some(task);
        }
        if table.connections.len() <= MOST {
            return None;
        }
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for known in table.connections.values() {
            *counts.entry(known.one).or_default() += 1;
        }
        let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let oldest = table.connections.iter().find(|(_, known)| known.one == most);
        let oldest = oldest.map(|(number, _)| *number)?;
        let ended = table.connections.remove(&oldest)?;
        drop(table);
        if let Some(task) = ended.opening {
            task.abort();
        }
        let why = format!(
            "{MOST} connections have not said who they are, and this one waited the longest of its \
             address; end what opens them"
        );
        Some((ended.address, refusal(LinkCode::LinkFull, why)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The number of the connection.
    pub fn number(&self) -> u64 {
        self.1
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.table().connections.remove(&self.1);
    }
}

/// What is counted as one: an IPv4 address, or the network of an IPv6 address.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_few_places_and_a_network_of_ipv6_counts_as_one() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (first, same, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ] {
            let unknown = Arc::new(Unknown::default());
            let take = |text: &str| unknown.take(address(text)).map_err(|refused| refused.code);
            let mut taken: Vec<Place> = (0..MOST_OF_ONE).map(|_| take(first).unwrap()).collect();
            assert_eq!(take(same).err(), Some(LinkCode::LinkFull), "{first} {same}");
            assert!(take(other).is_ok(), "{other}");
            taken.pop();
            assert!(take(same).is_ok(), "{same}");
        }
    }
}
