//! One history: parties, virtual time and faults in an order that the seed decides, then a quiet
//! end. Never depends on anything but its seed and number.

mod asking;
mod committing;
mod effects;
mod faults;
mod gateways;
mod promises;
mod working;

use super::Counts;
use super::call::Call;
use super::cluster::Cluster;
use super::planted::Planted;
use super::random::Numbers;
use super::recorder::{Process, trusted};
use super::runner::Runner;
use super::store::Store;
use crate::store::change::Change;
use cofferdam_core::model::id::{Fence, hex};
use gateways::Gateway;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Steps with faults.
const STEPS: usize = 30;

/// The parties that do something in one step, with faults and in the quiet end.
const ACTS: (usize, usize) = (2, 4);

/// Steps without faults, after which every job has to be closed.
const QUIET: usize = 900;

/// The virtual time at which each history begins, in milliseconds.
const BEGIN: i64 = 1_800_000_000_000;

/// The sender of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Call(usize),
    Runner(usize),
    Gateway(usize),
    /// The recorder itself.
    Sweep,
    /// A doubled message: no party waits for its answer.
    Double,
}

/// A recorder that was paused while another one took over, with the changes that wait in it.
struct Paused {
    process: Process,
    waiting: Vec<(Sender, Change)>,
}

/// A history in progress.
pub(super) struct History<'a> {
    store: &'a mut Store,
    /// The sequencer; `None` between two of them.
    active: Option<Process>,
    paused: Option<Paused>,
    planted: Planted,
    numbers: Numbers,
    now: i64,
    /// The difference of the recorder's clock, in milliseconds.
    skew: i64,
    faults: bool,
    calls: Vec<Call>,
    runners: Vec<Runner>,
    gateways: Vec<Gateway>,
    cluster: Cluster,
    waiting: Vec<(Sender, Change)>,
    /// Doubled messages that have not arrived yet.
    late: Vec<Change>,
    /// The newest lease epoch that a runner got.
    newest: Fence,
    log: Sha256,
    counts: Counts,
}

impl<'a> History<'a> {
    /// Plays a history. Returns its digest: the same seed gives the same one.
    pub async fn play(
        store: &'a mut Store,
        (seed, number): (u64, u64),
        planted: Planted,
    ) -> (String, Counts) {
        store.clean().await;
        let mut numbers = Numbers::of(seed, number);
        let first = Timestamp::from_millisecond(BEGIN).unwrap();
        let calls = (0..1 + numbers.below(3) as u64)
            .map(|number| Call::new(number, &mut numbers, first))
            .collect();
        let runners = (0..1 + numbers.below(2)).map(|_| Runner::new()).collect();
        let gateways = (0..1 + numbers.below(2)).map(|_| Gateway::new()).collect();
        let mut history = Self {
            store,
            active: None,
            paused: None,
            planted,
            numbers,
            now: BEGIN,
            skew: 0,
            faults: true,
            calls,
            runners,
            gateways,
            cluster: Cluster::default(),
            waiting: Vec::new(),
            late: Vec::new(),
            newest: Fence(0),
            log: Sha256::new(),
            counts: Counts::default(),
        };
        for _ in 0..STEPS {
            history.step().await;
        }
        history.faults = false;
        let mut quiet = 0;
        while !history.is_over().await {
            history.step().await;
            quiet += 1;
            assert!(quiet < QUIET, "a job does not close: {}", history.open_jobs().await);
        }
        history.check_end().await;
        let Self { log, counts, .. } = history;
        (hex(&log.finalize()), counts)
    }

    /// The clock of the recorder.
    fn clock(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now + self.skew).unwrap()
    }

    /// Adds words to the digest of the history.
    fn note(&mut self, words: &impl std::fmt::Debug) {
        self.log.update(format!("{words:?};"));
    }

    /// True once in `times`, while faults happen.
    fn fails(&mut self, times: usize) -> bool {
        let fails = self.faults && self.numbers.once_in(times);
        self.counts.faults += u64::from(fails);
        fails
    }

    /// One step: time passes, some parties do something, and perhaps the recorder commits.
    async fn step(&mut self) {
        self.counts.steps += 1;
        self.pass().await;
        if self.active.is_none() {
            if !self.faults || self.numbers.once_in(3) {
                self.start().await;
            }
        } else {
            self.disturb_recorder().await;
        }
        for _ in 0..if self.faults { ACTS.0 } else { ACTS.1 } {
            self.act().await;
        }
        if self.numbers.once_in(3) {
            self.others().await;
        }
        if self.paused.is_some() && self.numbers.once_in(5) {
            self.wake_paused().await;
        }
        if self.active.is_some() && (!self.faults || self.numbers.once_in(2)) {
            self.sweep();
            if !self.waiting.is_empty() {
                self.commit().await;
            }
        }
    }

    /// One party does something.
    async fn act(&mut self) {
        match self.numbers.below(7) {
            0..=1 => {
                let at = self.numbers.below(self.calls.len());
                self.ask(at).await;
            }
            2 => {
                let at = self.numbers.below(self.gateways.len());
                self.govern(at);
            }
            _ => {
                let at = self.numbers.below(self.runners.len());
                self.work(at).await;
            }
        }
    }

    /// A standby takes over, or the process starts again.
    async fn start(&mut self) {
        let now = self.clock();
        let policy = trusted(self.gateways[0].policy);
        let set = (policy.0, policy.1.policy);
        self.active = Some(Process::start(self.store, set, now).await);
        self.note(&"start");
    }

    /// Time passes; runners with a connection send heartbeats meanwhile.
    async fn pass(&mut self) {
        let most = if self.numbers.once_in(8) { 40_000 } else { 3_000 };
        self.now += i64::try_from(self.numbers.below(most)).unwrap();
        if self.fails(50) {
            // The recorder's clock jumps, or another recorder has another clock.
            self.skew = i64::try_from(self.numbers.below(120_000)).unwrap() - 60_000;
        }
        let now = self.clock();
        let Some(process) = &mut self.active else { return };
        for runner in &mut self.runners {
            let runs = runner.connected && runner.paused_until <= self.now;
            let Some(job) = runner.job.as_ref().filter(|_| runs) else { continue };
            let (call, fence) = (&job.job.call, job.fence);
            match self.store.row(call).await.filter(|row| row.leased && row.fence() == fence) {
                Some(row) => {
                    runner.cancelled |= row.cancelled;
                    process.leased(call.clone(), fence, now);
                }
                None => runner.lost = true,
            }
        }
    }
}
