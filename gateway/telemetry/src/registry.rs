//! The one registry of metrics: instruments of the OpenTelemetry SDK for each declared metric. Takes
//! changes of this process and of other roles, and refuses a change with an unknown name, a wrong
//! label or an invalid value. A metric never grows past [`SERIES`] series, so that no caller can
//! fill the memory with names. Sends nothing: `prometheus.rs` and `export.rs` read it.

use crate::metrics::{BUCKETS, METRICS, Metric, MetricKind};
use crate::signal::{BATCH_VALUES, MetricRecord};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// The most series of one metric.
pub const SERIES: usize = 500;

/// The longest value of a label, in characters.
const LABEL_LENGTH: usize = 64;

/// Totals of the series of one metric, by the values of its labels.
type Totals = BTreeMap<Vec<String>, f64>;

/// Every series of every role.
pub struct Registry {
    reader: SharedReader,
    // Instruments report to the provider for as long as it exists.
    _provider: SdkMeterProvider,
    instruments: BTreeMap<&'static str, Instrument>,
    totals: Mutex<BTreeMap<&'static str, Totals>>,
}

enum Instrument {
    Counter(Counter<f64>),
    Gauge(Gauge<f64>),
    Histogram(Histogram<f64>),
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(Resource::builder_empty().build())
    }
}

impl Registry {
    /// Creates an empty registry. `resource` describes this process in exports.
    pub fn new(resource: Resource) -> Self {
        let reader = SharedReader(Arc::new(ManualReader::builder().build()));
        let provider =
            SdkMeterProvider::builder().with_reader(reader.clone()).with_resource(resource).build();
        let meter = provider.meter("cofferdam");
        let instrument = |metric: &Metric| match metric.kind {
            MetricKind::Counter => Instrument::Counter(
                meter
                    .f64_counter(metric.name)
                    .with_description(metric.help)
                    .with_unit(metric.unit.code())
                    .build(),
            ),
            MetricKind::Gauge => Instrument::Gauge(
                meter
                    .f64_gauge(metric.name)
                    .with_description(metric.help)
                    .with_unit(metric.unit.code())
                    .build(),
            ),
            MetricKind::Histogram => Instrument::Histogram(
                meter
                    .f64_histogram(metric.name)
                    .with_description(metric.help)
                    .with_unit(metric.unit.code())
                    .with_boundaries(BUCKETS.to_vec())
                    .build(),
            ),
        };
        let instruments = METRICS.iter().map(|metric| (metric.name, instrument(metric))).collect();
        Self { reader, _provider: provider, instruments, totals: Mutex::default() }
    }

    /// Adds to a counter, sets a gauge, or observes a value in a histogram. Returns false for an
    /// undeclared metric, a missing or unknown label, a value that is negative or not finite, a series
    /// beyond [`SERIES`], and a number of values that is 0, above [`BATCH_VALUES`], or above 1 for
    /// anything but a histogram.
    pub fn add(&self, record: &MetricRecord) -> bool {
        self.change(record, |_| record.value)
    }

    /// Sets a gauge, or raises a counter whose total is kept elsewhere to that total. Returns false
    /// as [`Registry::add`] does.
    pub fn set(&self, record: &MetricRecord) -> bool {
        self.change(record, |total| (record.value - total).max(0.0))
    }

    /// Reads the present value of every series.
    pub fn collect(&self) -> ResourceMetrics {
        let mut metrics = ResourceMetrics::default();
        // Fails only after a shutdown of the provider, which this registry never asks for.
        let _collected = self.reader.collect(&mut metrics);
        metrics
    }

    fn change(&self, record: &MetricRecord, increase: impl FnOnce(f64) -> f64) -> bool {
        let Some(metric) = Metric::find(&record.name) else { return false };
        let Some(instrument) = self.instruments.get(metric.name) else { return false };
        if !record.value.is_finite() || record.value < 0.0 {
            return false;
        }
        let most = if metric.kind == MetricKind::Histogram { BATCH_VALUES } else { 1 };
        if record.values == 0 || record.values > most {
            return false;
        }
        let Some(values) = label_values(metric, record) else { return false };
        let attributes: Vec<KeyValue> = metric
            .labels
            .iter()
            .zip(&values)
            .map(|(label, value)| KeyValue::new(*label, value.clone()))
            .collect();
        // The map is whole even after a panic of another holder.
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let series = totals.entry(metric.name).or_default();
        if series.len() >= SERIES && !series.contains_key(&values) {
            return false;
        }
        let total = series.entry(values).or_default();
        match instrument {
            Instrument::Counter(counter) => {
                let increase = increase(*total);
                *total += increase;
                counter.add(increase, &attributes);
            }
            Instrument::Gauge(gauge) => gauge.record(record.value, &attributes),
            Instrument::Histogram(histogram) => {
                for _ in 0..record.values {
                    histogram.record(record.value, &attributes);
                }
            }
        }
        true
    }
}

/// The values of all labels of a metric, in their order, or `None` if the record names others.
fn label_values(metric: &Metric, record: &MetricRecord) -> Option<Vec<String>> {
    let value = |label: &&str| {
        record.labels.get(*label).map(|value| value.chars().take(LABEL_LENGTH).collect())
    };
    let values: Option<Vec<String>> = metric.labels.iter().map(value).collect();
    values.filter(|values| values.len() == record.labels.len())
}

/// A reader that the registry keeps while the provider has it too.
#[derive(Debug, Clone)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CLOSED_JOBS, STAGE_DURATION};
    use crate::prometheus::text;

    fn record(name: &str, labels: &[(&str, &str)], value: f64) -> MetricRecord {
        let labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        MetricRecord { name: name.to_owned(), labels, value, values: 1 }
    }

    #[test]
    fn only_declared_metrics_with_their_labels_are_counted() {
        let registry = Registry::default();
        let closed = |labels: &[(&str, &str)], value: f64| {
            registry.add(&record(CLOSED_JOBS.name, labels, value))
        };
        assert!(!registry.add(&record("made_up_total", &[], 1.0)));
        assert!(!closed(&[], 1.0));
        assert!(!closed(&[("outcome", "succeeded"), ("token", "x")], 1.0));
        assert!(!closed(&[("outcome", "succeeded")], -1.0));
        assert!(!closed(&[("outcome", "succeeded")], f64::NAN));
        let times = |name: &str, label: (&str, &str), values: u64| {
            registry.add(&MetricRecord { values, ..record(name, &[label], 1.0) })
        };
        assert!(!times(CLOSED_JOBS.name, ("outcome", "succeeded"), 2));
        for (values, taken) in [(0, false), (2, true), (BATCH_VALUES + 1, false)] {
            assert_eq!(times(STAGE_DURATION.name, ("stage", "plan"), values), taken, "{values}");
        }
        for outcome in 0..SERIES {
            assert!(closed(&[("outcome", &outcome.to_string())], 1.0));
        }
        assert!(!closed(&[("outcome", "one more")], 1.0));
        assert!(closed(&[("outcome", "7")], 1.0));
    }

    #[test]
    fn a_total_from_elsewhere_is_the_value_of_its_counter() {
        let registry = Registry::default();
        for (total, expected) in [(0.0, "0"), (17.0, "17"), (17.0, "17"), (18.0, "18")] {
            assert!(registry.set(&record(CLOSED_JOBS.name, &[("outcome", "failed")], total)));
            let line = format!("cofferdam_jobs_closed_total{{outcome=\"failed\"}} {expected}\n");
            let text = text(&registry.collect());
            assert!(text.contains(&line), "{text}");
        }
    }
}
