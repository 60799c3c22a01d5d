//! The waiters (readers of a job, runners, the gateway for approved calls) and the leases. Only in
//! memory: a restarted recorder has no waiters.

use crate::approver_reads::ApproverReads;
use crate::backlog::Backlog;
use crate::fresh_preview::FreshPreviews;
use crate::gateways::Gateways;
use crate::leases::{KEPT_MS, Leases, Via};
use crate::over_limits::OverLimits;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::stop::Stop;
use cofferdam_core::protocol::operator_recorder::Notice;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// Takes a lock, also a poisoned one: every use is a single insert, remove or read, so the data is
/// consistent.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fewest kept readers of jobs: below this number, those that left are not looked for.
const TIDY: usize = 64;

/// The waiting readers of jobs.
#[derive(Default)]
struct Readers {
    senders: HashMap<CallId, watch::Sender<()>>,
    /// The number of senders at which those without a reader are removed: twice the number that
    /// was left, so that one reader costs the same however many wait.
    tidy_at: usize,
}

/// The state that handlers and writer share.
pub(crate) struct Shared {
    readers: Mutex<Readers>,
    /// Wakes one waiting runner for each job that may be claimable.
    pub queue: Notify,
    /// True if an approved call may be waiting.
    pub approved: watch::Sender<()>,
    /// Wakes the courier: a notification was stored or settled.
    pub outbox: watch::Sender<()>,
    /// The error of the newest test of each receiver, if it failed, until it is read.
    pub tested: Mutex<BTreeMap<String, Option<String>>>,
    /// The end of the pause that a receiver asked for, in milliseconds.
    pub quiet: Mutex<BTreeMap<String, i64>>,
    /// The time since when new work is refused, as the courier was told.
    pub unwritable: Mutex<Option<Timestamp>>,
    /// True while a failed self-check of the cluster is told.
    pub unfenced: Mutex<bool>,
    /// The stops of operators.
    pub stops: watch::Sender<Vec<Stop>>,
    /// The size and the checkpoint of the ledger.
    pub head: watch::Sender<(u64, String)>,
    /// The leases.
    pub leases: Mutex<Leases>,
    /// The offered calls, each with its gateway and the time of the next offer, in milliseconds.
    pub offers: Mutex<HashMap<CallId, (u64, i64)>>,
    /// The number of sockets of each role.
    pub roles: Mutex<BTreeMap<String, u32>>,
    /// The time when the last runner's socket closed, in milliseconds.
    pub runner_left: Mutex<Option<i64>>,
    /// The newest notice of the supervisor.
    pub notice: Mutex<Notice>,
    /// True if a notice of the supervisor came.
    pub noticed: watch::Sender<()>,
    /// The recorded reads of approvers.
    pub reads: Mutex<ApproverReads>,
    /// The number of the last request for a reload.
    pub reload: Mutex<u64>,
    /// The calls whose end came again, with the time in milliseconds: their first request may be
    /// late.
    pub repeated: Mutex<HashMap<CallId, i64>>,
    /// The sets that gateways serve.
    pub gateways: Mutex<Gateways>,
    /// The last failure of the writer; `None` while the store accepts changes.
    pub failing: Mutex<Option<String>>,
    /// The reason why this recorder has to end, once another one took over.
    pub over: watch::Sender<Option<String>>,
    /// The cause if committed entries are not published.
    pub unpublished: Mutex<Option<String>>,
    /// The cause if the write-ahead log cannot be folded.
    pub pinned: Mutex<Option<String>>,
    /// True if payloads were removed that the write-ahead log may still have.
    pub forgetting: AtomicBool,
    /// The time of the last look at the disk, and the reason why it takes no new work.
    pub room: Mutex<Option<(Instant, Option<String>)>>,
    /// The principals and plans that a person denied at some time; `None` if they are not known, and
    /// then the store is read.
    pub rejected: Mutex<Option<HashSet<(String, String)>>>,
    /// True if the log has the warning about a nearly full disk.
    pub short: Mutex<bool>,
    /// The repairs at the start and while the ledger is verified, a sentence each.
    pub repaired: Mutex<Vec<String>>,
    /// The damage of the ledger that was found after the start.
    pub damaged: Mutex<Option<String>>,
    /// The queued jobs, and the rate at which runners claim them.
    pub backlog: Mutex<Backlog>,
    /// The agents that were over a limit of their own.
    pub over_limits: Mutex<OverLimits>,
    /// The time of the next look for rows that are older than their retention, in milliseconds.
    pub retain_at: Mutex<i64>,
    /// True after the recorder began to drain.
    pub draining: watch::Sender<bool>,
    /// The fresh previews that approvers request.
    pub looks: FreshPreviews,
    gone: mpsc::UnboundedSender<(CallId, Fence)>,
    /// True after the recorder began to hand over: the end of a connection ends no lease.
    pub leaving: AtomicBool,
    /// The length of a lease without a heartbeat, in milliseconds.
    lease_ms: i64,
}

impl Shared {
    /// Makes a state without waiters and leases. `lease_seconds`: the length of a lease without a
    /// heartbeat.
    pub fn new(
        head: (u64, String),
        repaired: Vec<String>,
        lease_seconds: u64,
        backlog: Backlog,
    ) -> (Self, mpsc::UnboundedReceiver<(CallId, Fence)>) {
        let (gone, losses) = mpsc::unbounded_channel();
        let shared = Self {
            readers: Mutex::default(),
            queue: Notify::new(),
            approved: watch::Sender::new(()),
            outbox: watch::Sender::new(()),
            tested: Mutex::default(),
            quiet: Mutex::default(),
            unwritable: Mutex::default(),
            unfenced: Mutex::default(),
            head: watch::Sender::new(head),
            leases: Mutex::default(),
            offers: Mutex::default(),
            roles: Mutex::default(),
            runner_left: Mutex::default(),
            notice: Mutex::default(),
            noticed: watch::Sender::new(()),
            reload: Mutex::default(),
            gateways: Mutex::default(),
            failing: Mutex::default(),
            over: watch::Sender::new(None),
            unpublished: Mutex::default(),
            pinned: Mutex::default(),
            forgetting: AtomicBool::default(),
            room: Mutex::default(),
            rejected: Mutex::default(),
            short: Mutex::default(),
            repaired: Mutex::new(repaired),
            damaged: Mutex::default(),
            backlog: Mutex::new(backlog),
            over_limits: Mutex::default(),
            repeated: Mutex::default(),
            stops: watch::Sender::new(Vec::new()),
            retain_at: Mutex::default(),
            draining: watch::Sender::new(false),
            looks: FreshPreviews::default(),
            reads: Mutex::default(),
            gone,
            leaving: AtomicBool::default(),
            lease_ms: i64::try_from(lease_seconds).unwrap_or(i64::MAX).saturating_mul(1_000),
        };
        (shared, losses)
    }

    /// Notes that the store accepts no change, with the cause. Logged once, until it accepts one
    /// again.
    pub fn fails(&self, why: String) {
        if locked(&self.failing).replace(why.clone()).is_none() {
            tracing::error!(what = "store", "changes cannot be recorded, so no call runs: {why}");
        }
    }

    /// A receiver of the changes of one job from now on.
    pub fn changes(&self, call: &CallId) -> watch::Receiver<()> {
        let mut readers = locked(&self.readers);
        if readers.senders.len() >= readers.tidy_at {
            readers.senders.retain(|_, sender| !sender.is_closed());
            readers.tidy_at = readers.senders.len().saturating_mul(2).max(TIDY);
        }
        readers.senders.entry(call.clone()).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Wakes the waiters of a commit: the readers of a job, one runner for each claimable job, and
    /// the gateway.
    pub fn tell(&self, touched: &BTreeSet<CallId>, claimable: usize, approved: bool) {
        {
            let readers = locked(&self.readers);
            touched.iter().filter_map(|call| readers.senders.get(call)).for_each(|sender| {
                sender.send_replace(());
            });
        }
        // A runner that finds no job waits again.
        for _ in 0..claimable {
            self.queue.notify_one();
        }
        if approved {
            self.approved.send_replace(());
        }
    }

    /// Notes a new or renewed lease.
    pub fn leased(&self, call: CallId, fence: Fence, now: Timestamp) {
        let until = now.as_millisecond().saturating_add(self.lease_ms);
        locked(&self.leases).leased(call, fence, until);
    }

    /// Keeps a lease of a recorder before this one, until its runner resumes it.
    pub fn kept(&self, call: CallId, fence: Fence, now: Timestamp) {
        let until = now.as_millisecond().saturating_add(self.lease_ms.min(KEPT_MS));
        locked(&self.leases).leased(call, fence, until);
    }

    /// Removes an ended lease.
    pub fn released(&self, call: &CallId, fence: Fence) {
        locked(&self.leases).released(call, fence);
    }

    /// Handles the end of a runner's connection: its lease is lost at once, or kept for a while.
    pub fn left(&self, (call, fence): (CallId, Fence), seat: (u64, Via), now: Timestamp) {
        if self.leaving.load(Ordering::Acquire) {
            return;
        }
        if locked(&self.leases).left(&call, fence, seat, now.as_millisecond()) {
            self.lost(call, fence);
        }
    }

    /// Ends the lease of a lost runner at once.
    pub fn lost(&self, call: CallId, fence: Fence) {
        // Without a receiver the recorder is ending, and the next start ends all leases.
        let _ending = self.gone.send((call, fence));
    }

    /// The expired leases, oldest first.
    pub fn overdue(&self, now: Timestamp) -> Vec<(CallId, Fence)> {
        locked(&self.leases).overdue(now.as_millisecond())
    }
}
