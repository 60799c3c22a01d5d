//! The way out of a role: bounded, and full means dropped and counted. Never blocks the code that
//! is observed, and never grows.

use crate::metrics::Metric;
use crate::signal::{Batch, MetricRecord, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout_at};

/// Signals that may wait: two seconds of a busy role, below 4 MiB.
const WAITING: usize = 4_096;

/// Signals of one frame.
const BATCH: usize = 256;

/// How long a signal waits for company: a person watching a trace sees it at once, and a busy role
/// sends full frames.
const LINGER: Duration = Duration::from_millis(500);

/// Where code puts its signals. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet {
    sender: Sender<Signal>,
    dropped: Arc<AtomicU64>,
}

/// Where a role takes them from to send them on.
#[derive(Debug)]
pub struct Intake {
    receiver: Receiver<Signal>,
    dropped: Arc<AtomicU64>,
}

impl Outlet {
    /// Both ends.
    pub fn open() -> (Self, Intake) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        (Self { sender, dropped: dropped.clone() }, Intake { receiver, dropped })
    }

    /// Puts one signal, or counts it as dropped.
    pub fn put(&self, signal: Signal) {
        if self.sender.try_send(signal).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds `by` to a counter.
    pub fn count(&self, metric: Metric, labels: &[(&str, &str)], by: u32) {
        self.change(metric, labels, f64::from(by));
    }

    /// Observes a duration.
    pub fn observe(&self, metric: Metric, labels: &[(&str, &str)], took: Duration) {
        self.change(metric, labels, took.as_secs_f64());
    }

    /// Sets a gauge.
    pub fn level(&self, metric: Metric, labels: &[(&str, &str)], value: u32) {
        self.change(metric, labels, f64::from(value));
    }

    fn change(&self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        self.put(Signal::Metric(MetricRecord::new(metric, labels, value)));
    }
}

impl Intake {
    /// The next batch: as soon as it is full, or a while after its first signal. None when every
    /// [`Outlet`] is gone and all was taken.
    pub async fn batch(&mut self) -> Option<Batch> {
        let first = self.receiver.recv().await?;
        let mut signals = vec![first];
        let until = Instant::now() + LINGER;
        while signals.len() < BATCH {
            match timeout_at(until, self.receiver.recv()).await {
                Ok(Some(signal)) => signals.push(signal),
                Ok(None) | Err(_) => break,
            }
        }
        Some(Batch { signals, dropped: self.dropped.swap(0, Ordering::Relaxed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_way_drops_counts_and_never_blocks() {
        let (outlet, mut intake) = Outlet::open();
        for _ in 0..WAITING + 7 {
            outlet.count(crate::metrics::UNAUTHENTICATED, &[], 1);
        }
        drop(outlet);
        let first = intake.batch().await.unwrap();
        assert_eq!((first.signals.len(), first.dropped), (BATCH, 7));
        let mut all = first.signals.len();
        while let Some(batch) = intake.batch().await {
            all += batch.signals.len();
            assert_eq!(batch.dropped, 0);
        }
        assert_eq!(all, WAITING);
    }
}
