//! A million durable calls on one installation: its memory and its descriptors stay flat. Measures
//! no time.

use super::processes::Processes;
use super::scenarios::Bench;

/// The calls of the whole load.
const CALLS: u64 = 1_000_000;

/// The parts of the load: the processes are read after each.
const PARTS: u64 = 10;

/// The part after which everything that a process keeps for later is there: caches are full, and
/// each thread has run.
const WARM: u64 = 2;

/// The growth of the memory that is allowed from the warm part to the end: allocators keep pages
/// back, and the recorder keeps one hash for each 256 entries.
const GROWTH: f64 = 1.1;

/// The further descriptors that are allowed: a connection that is just opened or closed.
const FURTHER: u64 = 8;

/// Sends the load, and compares the end with the warm part.
///
/// # Panics
/// Memory or descriptors grew.
pub fn flat(bench: &mut Bench<'_>) {
    let mut warm = Processes::default();
    let mut last = Processes::default();
    for part in 1..=PARTS {
        bench.denied_until(32, CALLS / PARTS * part);
        last = Processes::read(bench.installation.supervisor());
        println!(
            "{:>9} calls: {}; {} descriptors",
            CALLS / PARTS * part,
            last.memory(),
            last.descriptors
        );
        if part == WARM {
            warm = last.clone();
        }
    }
    let growth = last.bytes() as f64 / warm.bytes() as f64;
    bench.report.table.row(
        "memory after a million calls, over that after 200,000",
        format!("{growth:.2} × ({} : {} MiB)", last.bytes() >> 20, warm.bytes() >> 20),
        "≤ 1.1 ×",
    );
    bench.report.table.row(
        "descriptors after a million calls, and after 200,000",
        format!("{} and {}", last.descriptors, warm.descriptors),
        "the same",
    );
    assert!(growth <= GROWTH, "the memory grew {growth:.2} times");
    assert!(
        last.descriptors <= warm.descriptors + FURTHER,
        "descriptors grew from {} to {}",
        warm.descriptors,
        last.descriptors
    );
}
