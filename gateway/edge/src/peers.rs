//! Requests without a valid token, by the address that they come from: a few are usual, many are a
//! client in a loop or an attack. A request with a valid token takes nothing from its address.
//! Keeps a bounded number of addresses.

use crate::bounded::{Bounded, Worth};
use crate::deny::Deny;
use crate::limit::seconds;
use crate::rate::{Bucket, Rate};
use crate::seats::network;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Most addresses that are remembered. With more, the first is forgotten: its bucket is full again.
const ADDRESSES: usize = 4_096;

/// The requests of each address.
#[derive(Debug)]
pub struct Peers {
    rate: Rate,
    of: Mutex<Bounded<IpAddr, Bucket>>,
}

impl Peers {
    /// Allows each address this rate of requests without a valid token.
    pub fn new(rate: Rate) -> Self {
        Self { rate, of: Mutex::new(Bounded::new(ADDRESSES)) }
    }

    /// Counts one request without a valid token of this client.
    pub fn request(&self, client: IpAddr, now: Instant) -> Result<(), Deny> {
        let most = self.rate.per_second;
        self.take(client, now).map_err(|seconds| Deny::PeerLimited { most, seconds })
    }

    /// Counts one request of this client for a page that costs work.
    pub fn probe(&self, client: IpAddr, now: Instant) -> Result<(), Deny> {
        let most = self.rate.per_second;
        self.take(client, now).map_err(|seconds| Deny::Probes { most, seconds })
    }

    /// Takes one request. The error is the pause before the next one, in whole seconds.
    fn take(&self, client: IpAddr, now: Instant) -> Result<(), u64> {
        let client = network(client);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let worth = |bucket: &Bucket| {
            if bucket.is_full(now) { Worth::Nothing } else { Worth::Little }
        };
        of.get(client, now, worth, Bucket::default).take(self.rate, now).map_err(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_bucket() {
        let peers = Peers::new(Rate { per_second: 1, burst: 2 });
        let now = Instant::now();
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        let over = Err(Deny::PeerLimited { most: 1, seconds: 1 });
        for client in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(peers.request(of(client), now), Ok(()));
        }
        assert_eq!(peers.request(of("192.0.2.1"), now), over, "one address in two spellings");
        assert_eq!(peers.request(of("2001:db8::1"), now), Ok(()));
        assert_eq!(peers.request(of("2001:db8::2"), now), Ok(()));
        assert_eq!(peers.request(of("2001:db8::3"), now), over, "one network is one peer");
        assert_eq!(peers.request(of("2001:db8:0:1::1"), now), Ok(()));
    }
}
