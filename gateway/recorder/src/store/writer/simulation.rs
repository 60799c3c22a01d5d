//! Seeded histories of the recorder's own changes, with virtual time: calls, people, gateways,
//! runners and an infrastructure, with the ends of processes, lost and doubled messages, pauses,
//! take-overs, reloads, clock jumps and a store that takes no writes. A broken promise names the
//! history, and its seed gives it again. Never reads a clock or randomness of the machine.

mod call;
mod cluster;
mod history;
mod planted;
mod random;
mod recorder;
mod runner;
mod store;
mod tests;

use history::History;
use planted::Planted;
use std::cell::Cell;
use std::ops::{AddAssign, Range};
use store::Store;

/// The numbers of what happened.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    steps: u64,
    faults: u64,
    commits: u64,
    changes: u64,
    effects: u64,
    jobs: u64,
    indeterminate: u64,
    take_overs: u64,
    reloads: u64,
    doubled: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.faults += other.faults;
        self.commits += other.commits;
        self.changes += other.changes;
        self.effects += other.effects;
        self.jobs += other.jobs;
        self.indeterminate += other.indeterminate;
        self.take_overs += other.take_overs;
        self.reloads += other.reloads;
        self.doubled += other.doubled;
    }
}

/// Plays one history after another on one store. Returns the digests.
fn play(seed: u64, histories: Range<u64>, planted: Planted) -> (Vec<String>, Counts) {
    play_noting(seed, histories, planted, &Cell::new(0))
}

/// The same; `playing` has the number of the history that is played.
fn play_noting(
    seed: u64,
    histories: Range<u64>,
    planted: Planted,
    playing: &Cell<u64>,
) -> (Vec<String>, Counts) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut store = Store::new().await;
        let mut digests = Vec::new();
        let mut all = Counts::default();
        for history in histories {
            let named = Named { seed, history };
            playing.set(history);
            let (digest, counts) = History::play(&mut store, (seed, history), planted).await;
            drop(named);
            digests.push(digest);
            all += counts;
        }
        (digests, all)
    })
}

/// Names the history that broke a promise.
struct Named {
    seed: u64,
    history: u64,
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, history } = self;
            println!(
                "broken: COFFERDAM_SIMULATION_SEED={seed} COFFERDAM_SIMULATION_FIRST={history} \
                 COFFERDAM_SIMULATION_HISTORIES=1 plays it again"
            );
        }
    }
}
