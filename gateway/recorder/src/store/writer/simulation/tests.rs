//! The tests of the simulation: no usual history breaks a promise, each wrong rule is found, and a
//! seed gives its history again. Never waits for a clock.

use super::planted::Planted;
use super::{Counts, play, play_noting};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// The seed of every run of the tests.
const SEED: u64 = 20_261_130;

/// The histories of every run of the tests.
const HISTORIES: u64 = 1_000;

/// The histories of a full run.
const FULL: u64 = 20_000;

/// The histories in which a wrong rule has to be found.
const SEARCHED: u64 = 3_000;

/// The threads for each processor: a thread waits while SQLite works for it.
const FOR_EACH: usize = 2;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// Plays histories on several threads.
fn play_all(seed: u64, first: u64, end: u64) -> Counts {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (processors * FOR_EACH) as u64;
    let shares = (0..threads).map(|share| {
        let at = |share| first + (end - first) * share / threads;
        let (from, to) = (at(share), at(share + 1));
        std::thread::spawn(move || play(seed, from..to, Planted::Nothing).1)
    });
    let shares: Vec<_> = shares.collect();
    let mut all = Counts::default();
    for share in shares {
        all += share.join().expect("a history broke a promise");
    }
    all
}

#[test]
fn no_history_breaks_a_promise() {
    let seed = number("COFFERDAM_SIMULATION_SEED", SEED);
    let first = number("COFFERDAM_SIMULATION_FIRST", 0);
    let usual = if number("COFFERDAM_FULL", 0) == 1 { FULL } else { HISTORIES };
    let histories = number("COFFERDAM_SIMULATION_HISTORIES", usual);
    let begun = Instant::now();
    let counts = play_all(seed, first, first + histories);
    let a_minute = histories as f64 * 60.0 / begun.elapsed().as_secs_f64();
    println!("{histories} histories, {a_minute:.0} a minute: {counts:?}");
    if histories >= HISTORIES {
        let Counts { faults, effects, indeterminate, take_overs, reloads, doubled, .. } = counts;
        let seen = [faults, effects, indeterminate, take_overs, reloads, doubled];
        assert!(seen.iter().all(|seen| *seen > 0), "{counts:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let (first, _) = play(SEED, 10..30, Planted::Nothing);
    // Alone, and after others: a history depends on its seed and number only.
    let (again, _) = play(SEED, 20..30, Planted::Nothing);
    assert_eq!(first[10..], again);
    let (other, _) = play(SEED + 1, 20..30, Planted::Nothing);
    assert_ne!(other, again);
}

/// The first of these histories that breaks a promise, with the words of that promise.
fn broken(histories: std::ops::Range<u64>, planted: Planted) -> Option<(u64, String)> {
    let playing = Cell::new(0);
    let play = || play_noting(SEED, histories, planted, &playing);
    let panic = catch_unwind(AssertUnwindSafe(play)).err()?;
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Some((playing.get(), words.unwrap()))
}

#[test]
fn each_wrong_rule_is_found_and_its_seed_gives_the_same_history() {
    for (planted, promise) in Planted::ALL {
        let found = broken(0..SEARCHED, planted);
        let (history, words) = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
        assert!(words.contains(promise), "{planted:?}: {words}");
        let alone = history..history + 1;
        assert_eq!(broken(alone.clone(), planted), Some((history, words.clone())), "{planted:?}");
        assert_eq!(broken(alone, Planted::Nothing), None, "{planted:?}");
        println!("{planted:?}: history {history}: {words}");
    }
}
