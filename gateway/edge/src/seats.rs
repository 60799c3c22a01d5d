//! The seats: the limit of connections, and the choice of the connection that gives way. Until a
//! connection has sent a request with a valid token, it counts against the share of its peer, and
//! gives way to new connections, so an idle connection shuts out no other. Past the limit, a few
//! more seats are for probes alone. Decides nothing about requests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The share of one peer is all connections divided by this. It bounds the connections of a peer
/// that never authenticates.
const SHARE: usize = 4;

/// Seats past the limit, for probes: several monitors, each with a few tries at once.
pub const RESERVE: usize = 32;

/// The seat of one connection.
#[derive(Debug)]
pub struct Seat {
    /// The client's address.
    pub client: IpAddr,
    /// True if no other connection could give way: only probes are answered.
    pub crowded: bool,
    proven: AtomicBool,
    busy: AtomicUsize,
    /// The time of the last use, on a clock that counts connections and responses.
    used: AtomicU64,
    asked: AtomicBool,
    leave: Notify,
    seats: Arc<Seats>,
}

/// All taken seats, by number. The oldest is the first.
#[derive(Debug)]
pub struct Seats {
    limit: usize,
    clock: AtomicU64,
    taken: Mutex<BTreeMap<u64, Arc<Seat>>>,
}

/// A seat that is taken until this is dropped.
#[derive(Debug)]
pub struct SeatGuard {
    number: u64,
    seat: Arc<Seat>,
}

/// A request in progress, until this is dropped. Its connection does not give way.
#[derive(Debug)]
pub struct Busy(Arc<Seat>);

impl Seats {
    /// Creates `limit` seats.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, clock: AtomicU64::new(0), taken: Mutex::default() })
    }

    /// Takes a seat for a new connection, and asks another connection to leave if all are taken.
    /// Returns `None` if the reserve is taken too: then the oldest connection of the reserve leaves
    /// for the next one.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Option<SeatGuard> {
        let client = client.to_canonical();
        let mut taken = self.lock();
        let full = taken.len() >= self.limit;
        if taken.len() >= self.limit.saturating_add(RESERVE) {
            if let Some(seat) = taken.values().find(|seat| seat.crowded && seat.may_be_cut()) {
                seat.ask();
            }
            return None;
        }
        let leaver =
            self.of_share(&taken, client).or_else(|| full.then(|| leaver(&taken)).flatten());
        if let Some(seat) = &leaver {
            seat.ask();
        }
        let number = self.clock.fetch_add(1, SeqCst);
        let seat = Arc::new(Seat {
            client,
            // A connection that was asked to leave goes in a moment. Until then the new connection
            // is answered too.
            crowded: full && leaver.is_none(),
            proven: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            used: AtomicU64::new(number),
            asked: AtomicBool::new(false),
            leave: Notify::new(),
            seats: Arc::clone(self),
        });
        taken.insert(number, Arc::clone(&seat));
        Some(SeatGuard { number, seat })
    }

    /// The oldest connection of a peer whose unproven connections fill its share.
    fn of_share(&self, taken: &BTreeMap<u64, Arc<Seat>>, client: IpAddr) -> Option<Arc<Seat>> {
        let own = || {
            taken
                .values()
                .filter(|seat| seat.gives_way() && network(seat.client) == network(client))
        };
        let share = (self.limit / SHARE).max(1);
        own().nth(share.saturating_sub(1)).and_then(|_| own().next()).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that gives way first: the oldest unproven one, else the one that has been idle
/// longest.
fn leaver(taken: &BTreeMap<u64, Arc<Seat>>) -> Option<Arc<Seat>> {
    let unproven = taken.values().find(|seat| seat.gives_way());
    let idle = || {
        taken
            .values()
            .filter(|seat| !seat.crowded && !seat.asked.load(SeqCst) && seat.busy.load(SeqCst) == 0)
    };
    unproven.or_else(|| idle().min_by_key(|seat| seat.used.load(SeqCst))).cloned()
}

/// The network of an address: 64 bits of an IPv6 address belong to one machine.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        IpAddr::V4(_) => client,
    }
}

impl Seat {
    /// Records a request with a valid token.
    pub fn prove(&self) {
        self.proven.store(true, SeqCst);
    }

    /// Returns whether the connection may be closed at once, even during a request.
    fn may_be_cut(&self) -> bool {
        !self.proven.load(SeqCst) && !self.asked.load(SeqCst)
    }

    /// Returns whether its end makes room for more than a probe.
    fn gives_way(&self) -> bool {
        self.may_be_cut() && !self.crowded
    }

    fn ask(&self) {
        self.asked.store(true, SeqCst);
        self.leave.notify_one();
    }

    /// Waits until this connection is asked to leave. Returns true if it may be closed at once.
    pub async fn asked_to_leave(&self) -> bool {
        self.leave.notified().await;
        !self.proven.load(SeqCst)
    }

    /// Records the start of a request.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, SeqCst);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.used.store(self.0.seats.clock.fetch_add(1, SeqCst), SeqCst);
        self.0.busy.fetch_sub(1, SeqCst);
    }
}

impl Deref for SeatGuard {
    type Target = Arc<Seat>;

    fn deref(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for SeatGuard {
    fn drop(&mut self) {
        self.seat.seats.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(guard: &SeatGuard) -> bool {
        guard.asked.load(SeqCst)
    }

    #[test]
    fn the_oldest_that_only_sits_there_gives_way() {
        let seats = Seats::new(8);
        let peers: Vec<IpAddr> = (1..=9).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let held: Vec<SeatGuard> =
            peers.iter().take(8).map(|peer| seats.take(*peer).unwrap()).collect();
        held[0].prove();
        let newest = seats.take(peers[8]).unwrap();
        assert!(!newest.crowded && !asked(&held[0]) && asked(&held[1]) && !asked(&held[2]));
    }

    #[test]
    fn a_peer_has_a_share_of_what_is_unproven() {
        let seats = Seats::new(8);
        let of = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        let first = seats.take(of(1)).unwrap();
        let second = seats.take(of(2)).unwrap();
        let third = seats.take(of(3)).unwrap();
        assert!(asked(&first) && !asked(&second), "one network is one peer");
        second.prove();
        let fourth = seats.take(of(4)).unwrap();
        assert!(!asked(&third) && !asked(&fourth), "what is proven counts no more");
        let other = seats.take(IpAddr::from([192, 0, 2, 1])).unwrap();
        assert!(!asked(&third) && !other.crowded);
    }

    #[test]
    fn of_the_proven_the_longest_idle_gives_way_and_none_that_works() {
        let seats = Seats::new(2);
        let peer = IpAddr::from([127, 0, 0, 1]);
        let first = seats.take(peer).unwrap();
        first.prove();
        let second = seats.take(peer).unwrap();
        second.prove();
        let (working, done) = (second.busy(), first.busy());
        assert!(seats.take(peer).unwrap().crowded, "both work: a newcomer is for probes alone");
        drop(done);
        assert!(!seats.take(peer).unwrap().crowded);
        assert!(asked(&first) && !asked(&second));
        drop(working);
    }

    #[test]
    fn the_reserve_is_bounded_and_places_come_back() {
        let seats = Seats::new(1);
        let peer = IpAddr::from([127, 0, 0, 1]);
        let first = seats.take(peer).unwrap();
        first.prove();
        let _working = first.busy();
        let reserve: Vec<SeatGuard> = (0..RESERVE).map(|_| seats.take(peer).unwrap()).collect();
        assert!(reserve.iter().all(|seat| seat.crowded), "none of them is for more than probes");
        assert!(seats.take(peer).is_none());
        assert!(asked(&reserve[0]) && !asked(&reserve[1]), "the next probe has room");
        drop(reserve);
        assert!(seats.take(peer).is_some());
    }
}
