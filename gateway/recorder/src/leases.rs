//! The leases of runners in memory: until when each lasts, and which seat holds it. The store
//! decides what a lease allows; this decides when one is lost.

use cofferdam_core::model::id::{CallId, Fence};
use std::collections::HashMap;

/// Milliseconds for which a lease is kept after the end of its link, if it lasts that long: a link
/// that broke is there again within a few seconds, or its host is away.
pub const KEPT_MS: i64 = 10_000;

/// The number of no seat.
pub(crate) const NO_SEAT: u64 = 0;

/// The connection of a runner to this recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A socket of this host. It ends with the process of the runner, so its lease is lost then.
    Local,
    /// A link from another host. It can end while the runner goes on, so its lease is kept for
    /// [`KEPT_MS`].
    Link,
}

/// A lease.
#[derive(Debug, Clone, Copy)]
struct Held {
    fence: Fence,
    /// The end without a heartbeat, in milliseconds.
    until: i64,
    /// The seat of the runner; [`NO_SEAT`] while it has none.
    seat: u64,
}

/// The leases that are in effect.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: HashMap<CallId, Held>,
    seats: u64,
}

impl Leases {
    /// The number of a new seat.
    pub fn seat(&mut self) -> u64 {
        self.seats += 1;
        self.seats
    }

    /// Notes a new or renewed lease, with its end.
    pub fn leased(&mut self, call: CallId, fence: Fence, until: i64) {
        match self.held.get_mut(&call) {
            // A late heartbeat must not replace a newer lease.
            Some(held) if held.fence > fence => {}
            Some(held) if held.fence == fence => held.until = until,
            _ => drop(self.held.insert(call, Held { fence, until, seat: NO_SEAT })),
        }
    }

    /// Gives the lease to a seat. False if a later seat has it: seats are numbered in the order of
    /// their connections, so the answer would go to a connection that its runner left.
    pub fn take(&mut self, call: &CallId, fence: Fence, seat: u64) -> bool {
        match self.held.get_mut(call).filter(|held| held.fence == fence) {
            Some(held) if held.seat > seat => return false,
            Some(held) => held.seat = seat,
            None => {}
        }
        true
    }

    /// Handles the end of a seat's connection. Returns whether the lease is lost at once.
    pub fn left(
        &mut self,
        call: &CallId,
        fence: Fence,
        (seat, via): (u64, Via),
        now_ms: i64,
    ) -> bool {
        match self.held.get_mut(call).filter(|held| held.fence == fence) {
            // The runner took it over to another connection.
            Some(held) if held.seat != seat => false,
            Some(held) if via == Via::Link => {
                held.seat = NO_SEAT;
                held.until = held.until.min(now_ms.saturating_add(KEPT_MS));
                false
            }
            Some(_) | None => true,
        }
    }

    /// Removes an ended lease.
    pub fn released(&mut self, call: &CallId, fence: Fence) {
        if self.held.get(call).is_some_and(|held| held.fence == fence) {
            self.held.remove(call);
        }
    }

    /// Returns whether this lease is known.
    pub fn has(&self, call: &CallId, fence: Fence) -> bool {
        self.held.get(call).is_some_and(|held| held.fence == fence)
    }

    /// The leases that ended at this time, oldest first.
    pub fn overdue(&self, now_ms: i64) -> Vec<(CallId, Fence)> {
        let ended = self.held.iter().filter(|(_, held)| held.until <= now_ms);
        let mut overdue: Vec<_> = ended.map(|(call, held)| (call.clone(), held.fence)).collect();
        overdue.sort_by_key(|(_, fence)| *fence);
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> CallId {
        CallId::from_random(7)
    }

    #[test]
    fn a_lease_is_kept_for_a_link_and_lost_with_a_local_socket() {
        for (connection, lost_at_once) in [(Via::Local, true), (Via::Link, false)] {
            let mut leases = Leases::default();
            let seat = leases.seat();
            leases.leased(call(), Fence(3), 30_000);
            leases.take(&call(), Fence(3), seat);
            assert_eq!(leases.left(&call(), Fence(3), (seat, connection), 1_000), lost_at_once);
            assert_eq!(leases.overdue(1_000 + KEPT_MS - 1), []);
            let overdue = leases.overdue(1_000 + KEPT_MS);
            assert_eq!(overdue.is_empty(), lost_at_once, "the caller loses it: {overdue:?}");
        }
    }

    #[test]
    fn a_lease_that_was_taken_over_does_not_end_with_its_old_connection() {
        let mut leases = Leases::default();
        let (old, new) = (leases.seat(), leases.seat());
        leases.leased(call(), Fence(3), 30_000);
        leases.take(&call(), Fence(3), old);
        assert!(leases.take(&call(), Fence(3), new));
        assert!(!leases.take(&call(), Fence(3), old), "a late request of the old connection");
        for connection in [Via::Local, Via::Link] {
            assert!(!leases.left(&call(), Fence(3), (old, connection), 1_000));
            assert_eq!(leases.overdue(1_000 + KEPT_MS), []);
        }
        leases.take(&call(), Fence(2), old);
        assert!(leases.left(&call(), Fence(3), (new, Via::Local), 1_000));
        assert!(leases.left(&call(), Fence(2), (old, Via::Link), 1_000), "it is not known");
    }

    #[test]
    fn an_old_heartbeat_neither_replaces_nor_ends_a_newer_lease() {
        let mut leases = Leases::default();
        leases.leased(call(), Fence(4), 10);
        leases.leased(call(), Fence(3), 99);
        leases.released(&call(), Fence(3));
        assert!(leases.has(&call(), Fence(4)) && !leases.has(&call(), Fence(3)));
        assert_eq!(leases.overdue(10), [(call(), Fence(4))]);
        leases.leased(call(), Fence(4), 20);
        assert_eq!(leases.overdue(10), []);
        leases.released(&call(), Fence(4));
        assert_eq!(leases.overdue(99), []);
    }
}
