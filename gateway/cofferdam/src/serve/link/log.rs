//! The log of refused links: the first of each reason and address in a while, and then the number of
//! those that were left out, so that a stranger fills no disk and hides no other refusal.

use cofferdam_core::protocol::link::{LinkCode, LinkRefusal};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The time in which one line for each reason and address is logged.
const QUIET: Duration = Duration::from_secs(10);

/// The most reasons and addresses that are told apart at once. Those beyond count as one.
const MOST: usize = 64;

/// The refusals of the last while.
#[derive(Default)]
pub(super) struct Log(Mutex<BTreeMap<Key, Said>>);

/// A reason and an address; `None` for all addresses beyond the bound.
type Key = (&'static str, Option<IpAddr>);

struct Said {
    at: Instant,
    /// The lines that were left out since then.
    left_out: u64,
}

impl Log {
    /// Logs a refusal of a connection from this address, unless the same was logged a while ago.
    pub fn say(&self, address: IpAddr, refused: &LinkRefusal) {
        let Some(left_out) = self.due(address, refused.code.word(), Instant::now()) else { return };
        let before = match left_out {
            0 => String::new(),
            more => format!(" (and {more} times since the last such line)"),
        };
        if refused.code == LinkCode::LinkStandby {
            tracing::info!(%address, "a link is refused: {refused}{before}");
        } else {
            tracing::warn!(what = "links", %address, "a link is refused: {refused}{before}");
        }
    }

    /// The number of lines that were left out before this one; `None` if this one is left out too.
    fn due(&self, address: IpAddr, word: &'static str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |said: &Said| now.duration_since(said.at) >= QUIET;
        let mut key = (word, Some(address));
        if said.len() >= MOST && !said.contains_key(&key) {
            said.retain(|_, said| !is_old(said));
        }
        if said.len() >= MOST && !said.contains_key(&key) {
            key = (word, None);
        }
        match said.get_mut(&key) {
            Some(said) if !is_old(said) => {
                said.left_out += 1;
                None
            }
            Some(said) => {
                said.at = now;
                Some(std::mem::take(&mut said.left_out))
            }
            None => {
                said.insert(key, Said { at: now, left_out: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_stranger_hides_no_refusal_of_another_address_and_fills_no_disk() {
        let (log, start) = (Log::default(), Instant::now());
        let address = |last: u8| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        assert_eq!(log.due(address(1), "link-certificate", start), Some(0));
        for _ in 0..9 {
            assert_eq!(log.due(address(1), "link-certificate", start), None);
        }
        assert_eq!(log.due(address(2), "link-certificate", start), Some(0));
        assert_eq!(log.due(address(1), "link-role", start), Some(0));
        assert_eq!(log.due(address(1), "link-certificate", start + QUIET), Some(9));
        // A port scan from many addresses: at most 64 lines, and one for all others.
        let log = Log::default();
        let lines = (0..=255).filter(|last| log.due(address(*last), "link-hello", start).is_some());
        assert_eq!(lines.count(), MOST + 1);
        assert!(log.0.lock().unwrap().len() <= MOST + 1);
    }
}
