//! Changes of metrics between two batches, as sums: the increase of a counter, the last value of a
//! gauge, the number and the sum of the values in each bucket of a histogram. So a busy role loses
//! no count, however slow the reader of its signals is. The memory is bounded by the series of a
//! metric, and the work of the observed code is one look-up. Never sends anything.

use crate::metrics::{BUCKETS, Metric, MetricKind};
use crate::registry::SERIES;
use crate::signal::{BATCH_VALUES, MetricRecord};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;

/// The buckets of a histogram: one for each upper bound, and one without.
const ALL_BUCKETS: usize = BUCKETS.len() + 1;

/// The changes that wait, of every series of this process.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    hasher: RandomState,
    // By the hash of name and labels, so that a look-up allocates nothing. Equal hashes are compared.
    series: RwLock<HashMap<u64, Vec<Arc<Series>>>>,
    changed: AtomicBool,
    arrived: Notify,
}

#[derive(Debug)]
struct Series {
    metric: Metric,
    labels: Vec<(String, String)>,
    sum: Mutex<Sum>,
}

/// The changes of one series since the last batch.
#[derive(Debug)]
enum Sum {
    Nothing,
    Increase(f64),
    Level(f64),
    Buckets(Box<[Bucket; ALL_BUCKETS]>),
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    count: u64,
    total: f64,
}

impl Pending {
    /// Adds one change. Returns false for a series beyond [`SERIES`].
    pub(crate) fn change(&self, metric: Metric, labels: &[(&str, &str)], value: f64) -> bool {
        let Some(series) = self.find(metric, labels).or_else(|| self.insert(metric, labels)) else {
            return false;
        };
        series.sum.lock().unwrap_or_else(PoisonError::into_inner).add(metric.kind, value);
        // The sum is written before the mark is read, and `take` clears the mark before it reads.
        if !self.changed.load(Ordering::Acquire) && !self.changed.swap(true, Ordering::AcqRel) {
            self.arrived.notify_one();
        }
        true
    }

    /// Waits for a change.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all changes. A record has at most [`BATCH_VALUES`] values.
    pub(crate) fn take(&self) -> Vec<MetricRecord> {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        for series in series.values().flatten() {
            let mut sum = series.sum.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = std::mem::replace(&mut *sum, Sum::Nothing);
            drop(sum);
            taken.records(series, &mut records);
        }
        records
    }

    fn hash(&self, metric: Metric, labels: &[(&str, &str)]) -> u64 {
        self.hasher.hash_one((metric.name, labels))
    }

    fn find(&self, metric: Metric, labels: &[(&str, &str)]) -> Option<Arc<Series>> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let same = series.get(&self.hash(metric, labels))?;
        same.iter().find(|series| series.is(metric, labels)).map(Arc::clone)
    }

    fn insert(&self, metric: Metric, labels: &[(&str, &str)]) -> Option<Arc<Series>> {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let count = series.values().flatten().filter(|other| other.metric == metric).count();
        let same = series.entry(self.hash(metric, labels)).or_default();
        if let Some(found) = same.iter().find(|series| series.is(metric, labels)) {
            return Some(Arc::clone(found));
        }
        if count >= SERIES {
            return None;
        }
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(owned).collect();
        let new = Arc::new(Series { metric, labels, sum: Mutex::new(Sum::Nothing) });
        same.push(Arc::clone(&new));
        Some(new)
    }
}

impl Series {
    fn is(&self, metric: Metric, labels: &[(&str, &str)]) -> bool {
        self.metric.name == metric.name
            && self.labels.len() == labels.len()
            && self.labels.iter().zip(labels).all(|(own, other)| (&*own.0, &*own.1) == *other)
    }

    fn record(&self, value: f64, values: u64) -> MetricRecord {
        let labels = self.labels.iter().cloned().collect();
        MetricRecord { name: self.metric.name.to_owned(), labels, value, values }
    }
}

impl Sum {
    fn add(&mut self, kind: MetricKind, value: f64) {
        match (kind, &mut *self) {
            (MetricKind::Counter, Self::Increase(increase)) => *increase += value,
            (MetricKind::Counter, _) => *self = Self::Increase(value),
            (MetricKind::Gauge, _) => *self = Self::Level(value),
            (MetricKind::Histogram, Self::Buckets(buckets)) => observe(buckets, value),
            (MetricKind::Histogram, _) => {
                let mut buckets = Box::new([Bucket::default(); ALL_BUCKETS]);
                observe(&mut buckets, value);
                *self = Self::Buckets(buckets);
            }
        }
    }

    fn records(self, series: &Series, records: &mut Vec<MetricRecord>) {
        match self {
            Self::Nothing => {}
            Self::Increase(value) | Self::Level(value) => records.push(series.record(value, 1)),
            Self::Buckets(buckets) => {
                for (index, Bucket { mut count, total }) in buckets.into_iter().enumerate() {
                    let value = mean(index, count, total);
                    while count > 0 {
                        let values = count.min(BATCH_VALUES);
                        records.push(series.record(value, values));
                        count -= values;
                    }
                }
            }
        }
    }
}

fn observe(buckets: &mut [Bucket; ALL_BUCKETS], value: f64) {
    let index = BUCKETS.partition_point(|bound| *bound < value);
    if let Some(bucket) = buckets.get_mut(index) {
        bucket.count += 1;
        bucket.total += value;
    }
}

/// The mean of the values of a bucket. It stands for each of them: number and sum stay as they are,
/// and it lies in the same bucket, also after rounding.
fn mean(index: usize, count: u64, total: f64) -> f64 {
    let below = index.checked_sub(1).and_then(|index| BUCKETS.get(index));
    let lowest = below.map_or(0.0, |bound| bound.next_up());
    let highest = BUCKETS.get(index).copied().unwrap_or(f64::MAX);
    // Counts below 2^32 are exact.
    let count = Duration::from_secs(count).as_secs_f64();
    (total / count).max(lowest).min(highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CLOSED_JOBS, DISK_FREE, STAGE_DURATION};
    use crate::prometheus::text;
    use crate::registry::Registry;

    fn shown(pending: &Pending, registry: &Registry) -> String {
        for record in pending.take() {
            assert!(registry.add(&record), "{record:?}");
        }
        text(&registry.collect())
    }

    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|own| own == line), "no `{line}` in\n{text}");
    }

    #[test]
    fn many_changes_at_once_are_all_counted() {
        let (pending, registry) = (Pending::default(), Registry::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        pending.change(CLOSED_JOBS, &[("outcome", "failed")], 1.0);
                        pending.change(STAGE_DURATION, &[("stage", "plan")], 0.25);
                    }
                });
            }
            // Another thread takes the changes meanwhile.
            for _ in 0..100 {
                shown(&pending, &registry);
            }
        });
        let text = shown(&pending, &registry);
        has(&text, "cofferdam_jobs_closed_total{outcome=\"failed\"} 80000");
        has(&text, "cofferdam_stage_seconds_count{stage=\"plan\"} 80000");
        has(&text, "cofferdam_stage_seconds_sum{stage=\"plan\"} 20000");
    }

    #[test]
    fn sums_show_what_single_values_show() {
        let (pending, summed, single) =
            (Pending::default(), Registry::default(), Registry::default());
        let mut values = vec![0.0, 1e-9, 7.0, 59.999, 100_000.0];
        for bound in BUCKETS {
            values.extend([bound, bound, bound, bound.next_down(), bound.next_up()]);
        }
        for value in values {
            pending.change(STAGE_DURATION, &[("stage", "plan")], value);
            assert!(single.add(&MetricRecord::new(STAGE_DURATION, &[("stage", "plan")], value)));
        }
        for (kind, value) in [(CLOSED_JOBS, 0.0), (CLOSED_JOBS, 3.0), (CLOSED_JOBS, 4.0)] {
            pending.change(kind, &[("outcome", "failed")], value);
            assert!(single.add(&MetricRecord::new(kind, &[("outcome", "failed")], value)));
        }
        for value in [5.0, 4096.0] {
            pending.change(DISK_FREE, &[], value);
            assert!(single.add(&MetricRecord::new(DISK_FREE, &[], value)));
        }
        let sums = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("_sum"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(sums(&shown(&pending, &summed)), sums(&text(&single.collect())));
        assert!(pending.take().is_empty(), "changes are taken once");
    }

    #[test]
    fn series_are_bounded() {
        let pending = Pending::default();
        for outcome in 0..SERIES {
            assert!(pending.change(CLOSED_JOBS, &[("outcome", &outcome.to_string())], 1.0));
        }
        assert!(!pending.change(CLOSED_JOBS, &[("outcome", "one more")], 1.0));
        assert!(pending.change(CLOSED_JOBS, &[("outcome", "7")], 1.0));
        assert!(pending.change(DISK_FREE, &[], 1.0), "each metric has its own bound");
    }
}
