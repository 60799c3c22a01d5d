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
    /// True for a trusted proxy, which connects for many clients.
    trusted: AtomicBool,
    proven: AtomicBool,
    busy: AtomicUsize,
    /// True if the present request was counted for its caller or for its address.
    counted: AtomicBool,
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
            trusted: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            counted: AtomicBool::new(false),
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

/// The connection that gives way first: the oldest unproven one, else one that is idle, of the peer
/// with the most connections the one that has been idle longest.
fn leaver(taken: &BTreeMap<u64, Arc<Seat>>) -> Option<Arc<Seat>> {
    let mut seats: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for seat in taken.values() {
        let count = seats.entry(network(seat.client)).or_default();
        *count = count.saturating_add(1);
    }
    let of_peer = |seat: &Arc<Seat>| seats.get(&network(seat.client)).copied().unwrap_or(0);
    let unproven = taken.values().find(|seat| seat.gives_way());
    let idle = || {
        taken
            .values()
            .filter(|seat| !seat.crowded && !seat.asked.load(SeqCst) && seat.busy.load(SeqCst) == 0)
    };
    let least = |seat: &&Arc<Seat>| (usize::MAX - of_peer(seat), seat.used.load(SeqCst));
    unproven.or_else(|| idle().min_by_key(least)).cloned()
}

/// The network of an address: 64 bits of an IPv6 address belong to one machine.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

impl Seat {
    /// Records a request with a valid token.
    pub fn prove(&self) {
        self.proven.store(true, SeqCst);
    }

    /// Records that the peer is a trusted proxy.
    pub fn trust(&self) {
        self.trusted.store(true, SeqCst);
        self.prove();
    }

    /// Returns whether the peer is a trusted proxy.
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(SeqCst)
    }

    /// Records a refused request, or one over a limit of its caller: the connection is as one without a token.
    pub fn doubt(&self) {
        self.proven.store(self.trusted.load(SeqCst), SeqCst);
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

    /// Records that the present request was counted for its caller or for its address.
    pub fn count(&self) {
        self.counted.store(true, SeqCst);
    }

    /// Returns whether the present request was counted.
    pub fn is_counted(&self) -> bool {
        self.counted.load(SeqCst)
    }

    /// Records the start of a request.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.counted.store(false, SeqCst);
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
    fn of_the_idle_those_of_the_greediest_peer_give_way() {
        let seats = Seats::new(4);
        let (greedy, modest) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = seats.take(modest).unwrap();
        let held: Vec<SeatGuard> = (0..3).map(|_| seats.take(greedy).unwrap()).collect();
        held.iter().chain([&first]).for_each(|seat| seat.prove());
        assert!(!seats.take(modest).unwrap().crowded);
        assert!(!asked(&first) && asked(&held[0]), "although it has been idle longer");
    }

    #[test]
    fn a_caller_over_its_limit_gives_way_and_a_proxy_does_not() {
        let seats = Seats::new(2);
        let peer = |last| IpAddr::from([192, 0, 2, last]);
        let (proxy, over) = (seats.take(peer(1)).unwrap(), seats.take(peer(2)).unwrap());
        proxy.trust();
        over.prove();
        let (_of_proxy, _of_over) = (proxy.busy(), over.busy());
        assert!(seats.take(peer(3)).unwrap().crowded);
        proxy.doubt();
        over.doubt();
        assert!(!seats.take(peer(3)).unwrap().crowded);
        assert!(asked(&over) && !asked(&proxy));
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
