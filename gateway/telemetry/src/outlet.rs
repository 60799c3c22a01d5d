//! The queue of a role's signals. It is bounded: a full queue drops and counts. Never blocks the
//! observed code, and never grows.

use crate::metrics::Metric;
use crate::signal::{Batch, MetricRecord, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout_at};

/// Most signals that wait: two seconds of a busy role, below 4 MiB.
const WAITING: usize = 4_096;

/// Most signals of one frame.
const BATCH: usize = 256;

/// Longest wait of a signal for others in its frame: a person who watches a trace sees it at once,
/// and a busy role sends full frames.
const LINGER: Duration = Duration::from_millis(500);

/// The end that takes signals from code. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet {
    sender: Sender<Signal>,
    dropped: Arc<AtomicU64>,
}

/// The end that the role sends signals from.
#[derive(Debug)]
pub struct Intake {
    receiver: Receiver<Signal>,
    /// Signals that wait for others in their frame.
    collected: Vec<Signal>,
    /// The time at which these signals are sent.
    until: Option<Instant>,
    dropped: Arc<AtomicU64>,
}

impl Outlet {
    /// Creates both ends.
    pub fn open() -> (Self, Intake) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        (
            Self { sender, dropped: dropped.clone() },
            Intake { receiver, collected: Vec::new(), until: None, dropped },
        )
    }

    /// Puts one signal into the queue, or counts it as dropped.
    pub fn put(&self, signal: Signal) {
        if self.sender.try_send(signal).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds `by` to a counter.
    pub fn count(&self, metric: Metric, labels: &[(&str, &str)], by: u32) {
        self.change(metric, labels, f64::from(by));
    }

    /// Observes a duration in a histogram.
    pub fn observe(&self, metric: Metric, labels: &[(&str, &str)], took: Duration) {
        self.change(metric, labels, took.as_secs_f64());
    }

    /// Sets a gauge to `value`.
    pub fn level(&self, metric: Metric, labels: &[(&str, &str)], value: u32) {
        self.change(metric, labels, f64::from(value));
    }

    fn change(&self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        self.put(Signal::Metric(MetricRecord::new(metric, labels, value)));
    }
}

impl Intake {
    /// Returns the next batch when it is full, or half a second after its first signal. Returns
    /// `None` when every [`Outlet`] is gone and the queue is empty. Dropping the future while it
    /// waits loses nothing.
    pub async fn batch(&mut self) -> Option<Batch> {
        while self.collected.len() < BATCH {
            let next = match self.until {
                None => self.receiver.recv().await,
                Some(until) => match timeout_at(until, self.receiver.recv()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            let Some(signal) = next else { break };
            self.until.get_or_insert_with(|| Instant::now() + LINGER);
            self.collected.push(signal);
        }
        self.take()
    }

    /// Returns a batch of the signals that are there, without a wait; `None` if there are none.
    pub fn batch_now(&mut self) -> Option<Batch> {
        while self.collected.len() < BATCH
            && let Ok(signal) = self.receiver.try_recv()
        {
            self.collected.push(signal);
        }
        self.take()
    }

    fn take(&mut self) -> Option<Batch> {
        self.until = None;
        let signals = std::mem::take(&mut self.collected);
        (!signals.is_empty())
            .then(|| Batch { signals, dropped: self.dropped.swap(0, Ordering::Relaxed) })
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

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_no_signal() {
        let (outlet, mut intake) = Outlet::open();
        outlet.count(crate::metrics::UNAUTHENTICATED, &[], 1);
        tokio::select! {
            biased;
            _ = intake.batch() => panic!("it waits for other signals"),
            () = tokio::task::yield_now() => {}
        }
        outlet.count(crate::metrics::UNAUTHENTICATED, &[], 1);
        assert_eq!(intake.batch_now().map(|batch| batch.signals.len()), Some(2));
        assert_eq!(intake.batch_now(), None);
    }
}
