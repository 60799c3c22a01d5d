//! Who waits for what: readers of one job, runners at the queue, the gateway for approved calls;
//! and who holds which lease. In memory alone: a recorder that starts again has no waiters, and no
//! lease survives the socket it was given over.

use crate::fresh_preview::FreshPreviews;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::protocol::operator_recorder::Notice;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// Takes a lock whose holder cannot leave it half-changed: every use is a single insert, remove or
/// read.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What handlers and writer share.
pub(crate) struct Shared {
    readers: Mutex<HashMap<CallId, watch::Sender<()>>>,
    /// Something may be claimable.
    pub queue: watch::Sender<()>,
    /// An approved call may be there.
    pub approved: watch::Sender<()>,
    /// Size and checkpoint of the ledger.
    pub head: watch::Sender<(u64, String)>,
    /// Leases with the time they run out, in milliseconds.
    pub leases: Mutex<HashMap<CallId, (Fence, i64)>>,
    /// Approved calls that were offered, with the time they are offered again.
    pub offers: Mutex<HashMap<CallId, i64>>,
    /// Roles that hold a socket.
    pub roles: Mutex<BTreeMap<String, u32>>,
    /// When the last runner let go of its socket, in milliseconds.
    pub runner_left: Mutex<Option<i64>>,
    /// What the supervisor told last.
    pub notice: Mutex<Notice>,
    /// Why the writer's last try failed; none while the store takes what it is given.
    pub failing: Mutex<Option<String>>,
    /// Why committed entries are not published.
    pub unpublished: Mutex<Option<String>>,
    /// Why the write-ahead log cannot be folded back.
    pub pinned: Mutex<Option<String>>,
    /// Whether it was logged that the disk is nearly full.
    pub short: Mutex<bool>,
    /// What was repaired at the start.
    pub repaired: Vec<String>,
    /// True from when no runner is held any more that finds no job.
    pub draining: watch::Sender<bool>,
    /// Fresh looks that approvers ask for.
    pub looks: FreshPreviews,
    gone: mpsc::UnboundedSender<(CallId, Fence)>,
    /// How long a lease lasts without a heartbeat, in milliseconds.
    lease_ms: i64,
}

impl Shared {
    /// State without waiters and leases. `lease_seconds` is how long a lease lasts without a
    /// heartbeat.
    pub fn new(
        head: (u64, String),
        repaired: Vec<String>,
        lease_seconds: u64,
    ) -> (Self, mpsc::UnboundedReceiver<(CallId, Fence)>) {
        let (gone, losses) = mpsc::unbounded_channel();
        let shared = Self {
            readers: Mutex::default(),
            queue: watch::Sender::new(()),
            approved: watch::Sender::new(()),
            head: watch::Sender::new(head),
            leases: Mutex::default(),
            offers: Mutex::default(),
            roles: Mutex::default(),
            runner_left: Mutex::default(),
            notice: Mutex::default(),
            failing: Mutex::default(),
            unpublished: Mutex::default(),
            pinned: Mutex::default(),
            short: Mutex::default(),
            repaired,
            draining: watch::Sender::new(false),
            looks: FreshPreviews::default(),
            gone,
            lease_ms: i64::try_from(lease_seconds).unwrap_or(i64::MAX).saturating_mul(1_000),
        };
        (shared, losses)
    }

    /// The store takes nothing at present, for this reason. Logged once, until it takes entries
    /// again.
    pub fn fails(&self, why: String) {
        if locked(&self.failing).replace(why.clone()).is_none() {
            tracing::error!(
                what = "store",
                "nothing is recorded, so nothing is carried out: {why}"
            );
        }
    }

    /// Changes of one job from now on.
    pub fn changes(&self, call: &CallId) -> watch::Receiver<()> {
        let mut readers = locked(&self.readers);
        // Senders without a listener are dropped whenever a new listener comes.
        readers.retain(|_, sender| !sender.is_closed());
        readers.entry(call.clone()).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Wakes those whom a commit concerns.
    pub fn tell(&self, touched: &BTreeSet<CallId>, queue: bool, approved: bool) {
        {
            let readers = locked(&self.readers);
            touched.iter().filter_map(|call| readers.get(call)).for_each(|sender| {
                sender.send_replace(());
            });
        }
        if queue {
            self.queue.send_replace(());
        }
        if approved {
            self.approved.send_replace(());
        }
    }

    /// A lease begins, or lives on.
    pub fn leased(&self, call: CallId, fence: Fence, now: Timestamp) {
        let until = now.as_millisecond().saturating_add(self.lease_ms);
        let mut leases = locked(&self.leases);
        // A heartbeat that comes late must not stand in for a newer lease.
        if leases.get(&call).is_none_or(|(newest, _)| *newest <= fence) {
            leases.insert(call, (fence, until));
        }
    }

    /// A lease ended in good order, or was written off.
    pub fn released(&self, call: &CallId, fence: Fence) {
        let mut leases = locked(&self.leases);
        if leases.get(call).is_some_and(|(held, _)| *held == fence) {
            leases.remove(call);
        }
    }

    /// A runner is gone: its lease is lost at once.
    pub fn lost(&self, call: CallId, fence: Fence) {
        // Without a receiver the recorder is ending, and the next start writes all leases off.
        let _ending = self.gone.send((call, fence));
    }

    /// Leases that ran out.
    pub fn overdue(&self, now: Timestamp) -> Vec<(CallId, Fence)> {
        let leases = locked(&self.leases);
        leases
            .iter()
            .filter(|(_, (_, until))| *until <= now.as_millisecond())
            .map(|(call, (fence, _))| (call.clone(), *fence))
            .collect()
    }
}
