//! The collected metrics as Prometheus text (format 0.0.4): every declared metric with its help, in
//! the order of the list, and its series sorted. Keeps nothing.

use crate::metrics::{METRICS, Metric, MetricKind, MetricUnit};
use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use std::fmt::Write as _;

/// Renders all metrics.
pub fn text(collected: &ResourceMetrics) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let (name, help) = (name(metric), metric.help);
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        let mut series: Vec<String> = collected
            .scope_metrics()
            .flat_map(|scope| scope.metrics())
            .filter(|data| data.name() == metric.name)
            .flat_map(|data| samples(&name, metric, data.data()))
            .collect();
        series.sort();
        text.extend(series);
    }
    text
}

/// The Prometheus name of a metric.
pub fn name(metric: &Metric) -> String {
    let unit = match metric.unit {
        MetricUnit::One => "",
        MetricUnit::Seconds => "_seconds",
        MetricUnit::Bytes => "_bytes",
    };
    let total = if metric.kind == MetricKind::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", underscored(metric.name))
}

/// The lines of each series of one metric.
fn samples(name: &str, metric: &Metric, data: &AggregatedMetrics) -> Vec<String> {
    // Every instrument of the registry has `f64` values.
    let AggregatedMetrics::F64(data) = data else { return Vec::new() };
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|point| {
                format!("{name}{} {}\n", labels(metric, point.attributes(), None), point.value())
            })
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|point| {
                format!("{name}{} {}\n", labels(metric, point.attributes(), None), point.value())
            })
            .collect(),
        MetricData::Histogram(histogram) => histogram
            .data_points()
            .map(|point| {
                let (mut lines, mut below) = (String::new(), 0);
                let bounds = point.bounds().map(|bound| bound.to_string());
                let bounds = bounds.chain(["+Inf".to_owned()]);
                for (bound, count) in bounds.zip(point.bucket_counts()) {
                    below += count;
                    let labels = labels(metric, point.attributes(), Some(&bound));
                    let _infallible = writeln!(lines, "{name}_bucket{labels} {below}");
                }
                let labels = labels(metric, point.attributes(), None);
                let (sum, count) = (point.sum(), point.count());
                let _infallible =
                    write!(lines, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}\n");
                lines
            })
            .collect(),
        MetricData::ExponentialHistogram(_) => Vec::new(),
    }
}

/// The labels of a series, in the order of their declaration, and the bound of a bucket.
fn labels<'a>(
    metric: &Metric,
    attributes: impl Iterator<Item = &'a KeyValue>,
    bound: Option<&str>,
) -> String {
    let attributes: Vec<&KeyValue> = attributes.collect();
    let value = |label: &str| {
        let found = attributes.iter().find(|attribute| attribute.key.as_str() == label);
        found.map(|attribute| attribute.value.as_str().into_owned()).unwrap_or_default()
    };
    let own = metric.labels.iter().map(|label| (underscored(label), value(label)));
    let bound = bound.map(|bound| ("le".to_owned(), bound.to_owned()));
    let all: Vec<String> =
        own.chain(bound).map(|(label, value)| format!("{label}=\"{}\"", escaped(&value))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{DECISIONS, DISK_FREE, HTTP_ACTIVE_REQUESTS, POLICY_EVALUATION};
    use crate::registry::Registry;
    use crate::signal::MetricRecord;

    #[test]
    fn text_is_what_prometheus_reads() {
        let registry = Registry::default();
        let add = |metric: Metric, labels: &[(&str, &str)], value: f64| {
            let labels = labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            let record = MetricRecord { name: metric.name.to_owned(), labels, value, values: 1 };
            assert!(registry.add(&record));
        };
        for _ in 0..2 {
            add(DECISIONS, &[("effect", "deny"), ("rule", "a\"b\n")], 1.0);
        }
        add(POLICY_EVALUATION, &[("phase", "plan")], 0.0003);
        add(HTTP_ACTIVE_REQUESTS, &[], 4.0);
        add(HTTP_ACTIVE_REQUESTS, &[], 3.0);
        add(DISK_FREE, &[], 5e9);
        let text = text(&registry.collect());
        for line in [
            "# TYPE cofferdam_decisions_total counter",
            "cofferdam_decisions_total{effect=\"deny\",rule=\"a\\\"b\\n\"} 2",
            "# TYPE cofferdam_policy_evaluation_seconds histogram",
            "cofferdam_policy_evaluation_seconds_bucket{phase=\"plan\",le=\"0.0001\"} 0",
            "cofferdam_policy_evaluation_seconds_bucket{phase=\"plan\",le=\"0.0005\"} 1",
            "cofferdam_policy_evaluation_seconds_bucket{phase=\"plan\",le=\"+Inf\"} 1",
            "cofferdam_policy_evaluation_seconds_sum{phase=\"plan\"} 0.0003",
            "cofferdam_policy_evaluation_seconds_count{phase=\"plan\"} 1",
            "http_server_active_requests 3",
            "cofferdam_disk_free_bytes 5000000000",
            "# TYPE cofferdam_role_starts_total counter",
        ] {
            assert!(text.lines().any(|own| own == line), "no line `{line}` in\n{text}");
        }
    }

    #[test]
    fn every_declared_metric_has_its_own_name() {
        let mut names: Vec<String> = METRICS.iter().map(name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
