//! Latencies and their percentiles. Keeps each value, so that no percentile is an estimate.

use std::time::Duration;

/// The latencies of a load, in nanoseconds.
#[derive(Default)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        self.0.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all of another load.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The latency in milliseconds that this part (0 to 1) of the calls does not exceed: the
    /// nearest rank. 0 without a call.
    pub fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).map_or(0.0, |nanos| *nanos as f64 / 1e6)
    }
}

/// Tables that hold for the arithmetic. The program checks them before each run, and `tests/it` does
/// in every gate.
pub fn check() {
    let mut latencies = Latencies::default();
    assert!(latencies.percentile(0.5) == 0.0 && latencies.count() == 0);
    (1..=1_000).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
    for (part, ms) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
        assert!((latencies.percentile(part) - ms).abs() < 1e-9, "{part}");
    }
    let mut one = Latencies::default();
    one.add(Duration::from_millis(7));
    for part in [0.0, 0.5, 0.999] {
        assert!((one.percentile(part) - 7.0).abs() < 1e-9, "{part}");
    }
}

#[test]
fn percentiles_are_the_nearest_rank() {
    check();
}
