//! The signals of a role on their way to the gateway. Spans wait in a bounded queue: a full queue
//! drops and counts. Changes of metrics wait as sums, so none is lost. Never blocks the observed
//! code, and never grows without a bound.

use crate::metrics::Metric;
use crate::pending::Pending;
use crate::signal::{BATCH_VALUES, Batch, MetricRecord, Signal, SpanRecord};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout_at};

/// Most spans that wait: two seconds of a busy role, below 4 MiB.
const WAITING: usize = 4_096;

/// Most signals of one frame.
const BATCH: usize = 256;

/// Longest wait of a signal for others in its frame: a person who watches a trace sees it at once,
/// and a busy role sends full frames.
const LINGER: Duration = Duration::from_millis(500);

/// The end that takes signals from code. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet {
    spans: Sender<SpanRecord>,
    pending: Arc<Pending>,
    dropped: Arc<AtomicU64>,
}

/// The end that the role sends signals from.
#[derive(Debug)]
pub struct Intake {
    spans: Receiver<SpanRecord>,
    pending: Arc<Pending>,
    /// Signals that wait for others in their batch.
    collected: VecDeque<Signal>,
    /// The time at which these signals are sent.
    until: Option<Instant>,
    dropped: Arc<AtomicU64>,
}

impl Outlet {
    /// Creates both ends.
    pub fn open() -> (Self, Intake) {
        let (sender, spans) = mpsc::channel(WAITING);
        let (pending, dropped) = (Arc::<Pending>::default(), Arc::new(AtomicU64::new(0)));
        let intake = Intake {
            spans,
            pending: Arc::clone(&pending),
            collected: VecDeque::new(),
            until: None,
            dropped: Arc::clone(&dropped),
        };
        (Self { spans: sender, pending, dropped }, intake)
    }

    /// Puts one span into the queue, or counts it as dropped.
    pub fn put(&self, span: SpanRecord) {
        self.count_dropped(self.spans.try_send(span).is_ok());
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

    /// Takes the changes of metrics that wait, for a reader in the same process.
    pub fn take_metrics(&self) -> Vec<MetricRecord> {
        self.pending.take()
    }

    fn change(&self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        self.count_dropped(self.pending.change(metric, labels, value));
    }

    fn count_dropped(&self, taken: bool) {
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Intake {
    /// Returns the next batch when it is full, or half a second after its first signal. Returns
    /// `None` when every [`Outlet`] is gone and nothing waits. Dropping the future while it waits
    /// loses nothing.
    pub async fn batch(&mut self) -> Option<Batch> {
        loop {
            if self.collected.len() < BATCH {
                let next = match self.until {
                    Some(until) => timeout_at(until, self.spans.recv()).await.ok().flatten(),
                    None => tokio::select! {
                        span = self.spans.recv() => span,
                        () = self.pending.arrived() => {
                            self.until = Some(Instant::now() + LINGER);
                            continue;
                        }
                    },
                };
                if let Some(span) = next {
                    self.until.get_or_insert_with(|| Instant::now() + LINGER);
                    self.collected.push_back(Signal::Span(span));
                    continue;
                }
            }
            match self.take() {
                None if !self.spans.is_closed() => {}
                batch => return batch,
            }
        }
    }

    /// Returns a batch of the signals that are there, without a wait; `None` if there are none.
    pub fn batch_now(&mut self) -> Option<Batch> {
        while self.collected.len() < BATCH
            && let Ok(span) = self.spans.try_recv()
        {
            self.collected.push_back(Signal::Span(span));
        }
        self.take()
    }

    fn take(&mut self) -> Option<Batch> {
        self.collected.extend(self.pending.take().into_iter().map(Signal::Metric));
        let mut values = 0;
        let mut signals = Vec::new();
        while signals.len() < BATCH
            && let Some(next) = self.collected.front()
        {
            values += next.values();
            if values > BATCH_VALUES && !signals.is_empty() {
                break;
            }
            signals.extend(self.collected.pop_front());
        }
        // Signals beyond this batch have waited long enough.
        self.until = (!self.collected.is_empty()).then(Instant::now);
        (!signals.is_empty())
            .then(|| Batch { signals, dropped: self.dropped.swap(0, Ordering::Relaxed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{STAGE_DURATION, UNAUTHENTICATED};
    use crate::signal::SpanKind;

    fn span() -> SpanRecord {
        SpanRecord {
            place: String::new(),
            parent: None,
            remote: false,
            name: String::new(),
            kind: SpanKind::Internal,
            start_ns: 0,
            end_ns: 0,
            attributes: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_full_way_drops_spans_counts_them_and_never_blocks() {
        let (outlet, mut intake) = Outlet::open();
        for _ in 0..WAITING + 7 {
            outlet.put(span());
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
    async fn no_change_of_a_metric_is_dropped_and_batches_stay_bounded() {
        let (outlet, mut intake) = Outlet::open();
        let many = u32::try_from(BATCH_VALUES + 7).unwrap();
        for _ in 0..many {
            outlet.count(UNAUTHENTICATED, &[], 1);
            outlet.observe(STAGE_DURATION, &[("stage", "plan")], Duration::from_millis(2));
        }
        drop(outlet);
        let (mut counted, mut observed) = (0.0, 0);
        while let Some(batch) = intake.batch().await {
            assert_eq!(batch.dropped, 0);
            let values: u64 = batch.signals.iter().map(Signal::values).sum();
            assert!(values <= BATCH_VALUES, "{values}");
            for signal in batch.signals {
                match signal {
                    Signal::Metric(record) if record.name == UNAUTHENTICATED.name => {
                        counted += record.value;
                    }
                    Signal::Metric(record) => observed += record.values,
                    Signal::Span(_) => panic!("{signal:?}"),
                }
            }
        }
        assert_eq!((counted, observed), (f64::from(many), u64::from(many)));
    }

    #[tokio::test]
    async fn a_change_alone_is_sent_and_taken_changes_make_no_empty_batch() {
        let (outlet, mut intake) = Outlet::open();
        outlet.count(UNAUTHENTICATED, &[], 1);
        assert_eq!(outlet.take_metrics().len(), 1);
        let waiting = tokio::spawn(async move { intake.batch().await });
        tokio::time::sleep(LINGER * 3).await;
        outlet.count(UNAUTHENTICATED, &[], 2);
        let batch = waiting.await.unwrap().unwrap();
        assert_eq!(batch.signals, [Signal::Metric(MetricRecord::new(UNAUTHENTICATED, &[], 2.0))]);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let (outlet, mut intake) = Outlet::open();
        outlet.put(span());
        outlet.count(UNAUTHENTICATED, &[], 1);
        tokio::select! {
            biased;
            _ = intake.batch() => panic!("it waits for other signals"),
            () = tokio::task::yield_now() => {}
        }
        outlet.put(span());
        outlet.count(UNAUTHENTICATED, &[], 1);
        assert_eq!(intake.batch_now().map(|batch| batch.signals.len()), Some(3));
        assert_eq!(intake.batch_now(), None);
    }
}
