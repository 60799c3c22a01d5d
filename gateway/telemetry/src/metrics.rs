//! Every metric there is, and their Prometheus text (text format 0.0.4). A name, label or kind that
//! is not in [`METRICS`] is not counted; a metric never grows past [`SERIES`] series, so that no
//! caller can fill the memory with names.

use crate::signal::MetricRecord;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// The last value.
    Gauge,
    /// Seconds, in [`BUCKETS`].
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// Its labels, all of them given with each change; none is ever an agent's own words.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}

/// Every metric: the conventions' first (dots as underscores), then our own.
pub const METRICS: [Metric; 24] = [
    metric(
        "mcp_server_operation_duration_seconds",
        MetricKind::Histogram,
        &["mcp_method_name", "gen_ai_tool_name", "error_type"],
        "Time of an MCP request, from the first byte to the answer.",
    ),
    metric(
        "http_server_request_duration_seconds",
        MetricKind::Histogram,
        &["http_request_method", "http_route", "http_response_status_code"],
        "Time of an HTTP request.",
    ),
    metric("http_server_active_requests", MetricKind::Gauge, &[], "HTTP requests being answered."),
    metric(
        "cofferdam_decisions_total",
        MetricKind::Counter,
        &["effect", "rule"],
        "Decisions, by effect and the first rule that gave it.",
    ),
    metric(
        "cofferdam_policy_evaluation_seconds",
        MetricKind::Histogram,
        &["phase"],
        "Time of one policy evaluation in a fresh sandbox.",
    ),
    metric(
        "cofferdam_policy_faults_total",
        MetricKind::Counter,
        &["code"],
        "Evaluations that gave no decision, and so denied.",
    ),
    metric(
        "cofferdam_tool_faults_total",
        MetricKind::Counter,
        &["tool", "code"],
        "Tools that gave no plan: traps, limits, drafts beyond their ceiling.",
    ),
    metric("cofferdam_jobs_total", MetricKind::Counter, &["outcome"], "Jobs closed, by outcome."),
    metric("cofferdam_jobs", MetricKind::Gauge, &["phase"], "Jobs that are not closed, by phase."),
    metric(
        "cofferdam_stage_seconds",
        MetricKind::Histogram,
        &["stage"],
        "Time of one stage of a call or of one step of a job.",
    ),
    metric(
        "cofferdam_waiting_questions",
        MetricKind::Gauge,
        &[],
        "Calls that wait for a person's signature.",
    ),
    metric(
        "cofferdam_refused_work_total",
        MetricKind::Counter,
        &["cause"],
        "Calls that the recorder did not take: the disk is below its reserve, or the store fails.",
    ),
    metric(
        "cofferdam_disk_free_bytes",
        MetricKind::Gauge,
        &[],
        "Bytes that are free on the home's disk.",
    ),
    metric(
        "cofferdam_disk_reserve_bytes",
        MetricKind::Gauge,
        &[],
        "Below so many free bytes no new work is taken.",
    ),
    metric(
        "cofferdam_stuck_jobs",
        MetricKind::Gauge,
        &[],
        "Jobs that cannot be finished at present; `cofferdam status` names each cause.",
    ),
    metric(
        "cofferdam_ready",
        MetricKind::Gauge,
        &[],
        "1 while calls can be carried out, as `/readyz` says, else 0.",
    ),
    metric(
        "cofferdam_restart_needed",
        MetricKind::Gauge,
        &[],
        "1 while something accepted waits for the next start, else 0.",
    ),
    metric(
        "cofferdam_approvals_total",
        MetricKind::Counter,
        &["answer"],
        "Signed answers of people.",
    ),
    metric(
        "cofferdam_unauthenticated_total",
        MetricKind::Counter,
        &[],
        "Requests whose token belongs to no agent; they are not in the ledger.",
    ),
    metric(
        "cofferdam_malformed_total",
        MetricKind::Counter,
        &["reason"],
        "Requests that could not be read; they are not in the ledger.",
    ),
    metric("cofferdam_ledger_entries", MetricKind::Gauge, &[], "Entries of the ledger."),
    metric(
        "cofferdam_role_starts_total",
        MetricKind::Counter,
        &["role"],
        "Times a role was started.",
    ),
    metric(
        "cofferdam_telemetry_dropped_total",
        MetricKind::Counter,
        &["role"],
        "Spans and metrics dropped because the way was full or they were not valid.",
    ),
    metric(
        "cofferdam_telemetry_export_failures_total",
        MetricKind::Counter,
        &["role"],
        "Batches of spans that the collector did not take.",
    ),
];

/// Upper bounds in seconds: a fresh sandbox takes microseconds, a person minutes.
pub const BUCKETS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0];

/// Series of one metric.
pub const SERIES: usize = 500;

/// Characters of a label's value.
const LABEL: usize = 64;

/// All series of all roles.
#[derive(Debug, Default)]
pub struct Registry {
    series: Mutex<BTreeMap<&'static str, BTreeMap<Vec<String>, Series>>>,
}

#[derive(Debug, Clone, Default)]
struct Series {
    value: f64,
    count: u64,
    buckets: [u64; BUCKETS.len()],
}

impl Registry {
    /// Takes a change; false when there is no such metric, a label is missing or unknown, the value
    /// is none, or there are too many series.
    pub fn take(&self, record: &MetricRecord) -> bool {
        self.change(record, |kind, series| match kind {
            MetricKind::Counter => series.value += record.value,
            MetricKind::Gauge => series.value = record.value,
            MetricKind::Histogram => {
                series.value += record.value;
                series.count += 1;
                for (bucket, bound) in series.buckets.iter_mut().zip(BUCKETS) {
                    *bucket += u64::from(record.value <= bound);
                }
            }
        })
    }

    /// Takes a value as a whole, of a gauge or of a counter that is kept elsewhere; false as
    /// [`Registry::take`].
    pub fn set(&self, record: &MetricRecord) -> bool {
        self.change(record, |_, series| series.value = record.value)
    }

    fn change(&self, record: &MetricRecord, change: impl FnOnce(MetricKind, &mut Series)) -> bool {
        let Some(metric) = METRICS.iter().find(|metric| metric.name == record.name) else {
            return false;
        };
        let values: Option<Vec<String>> = metric
            .labels
            .iter()
            .map(|label| record.labels.get(*label).map(|value| value.chars().take(LABEL).collect()))
            .collect();
        let Some(values) = values.filter(|values| values.len() == record.labels.len()) else {
            return false;
        };
        if !record.value.is_finite() || record.value < 0.0 {
            return false;
        }
        // A panic of another holder leaves whole numbers behind.
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let of = all.entry(metric.name).or_default();
        if of.len() >= SERIES && !of.contains_key(&values) {
            return false;
        }
        let series = of.entry(values).or_default();
        change(metric.kind, series);
        true
    }

    /// Prometheus text.
    pub fn text(&self) -> String {
        let all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for metric in METRICS {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            let Metric { name, help, .. } = metric;
            let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (values, series) in all.get(name).into_iter().flatten() {
                write_series(&mut text, metric, values, series);
            }
        }
        text
    }
}

fn write_series(text: &mut String, metric: Metric, values: &[String], series: &Series) {
    let name = metric.name;
    let labels: Vec<String> = metric
        .labels
        .iter()
        .zip(values)
        .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
        .collect();
    let with = |more: Option<String>| {
        let all: Vec<&str> = labels.iter().map(String::as_str).chain(more.as_deref()).collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
    };
    let _infallible = match metric.kind {
        MetricKind::Counter | MetricKind::Gauge => {
            writeln!(text, "{name}{} {}", with(None), series.value)
        }
        MetricKind::Histogram => {
            for (bucket, bound) in series.buckets.iter().zip(BUCKETS) {
                let _infallible = writeln!(
                    text,
                    "{name}_bucket{} {bucket}",
                    with(Some(format!("le=\"{bound}\"")))
                );
            }
            let (all, plain) = (with(Some("le=\"+Inf\"".to_owned())), with(None));
            let Series { value, count, .. } = series;
            writeln!(
                text,
                "{name}_bucket{all} {count}\n{name}_sum{plain} {value}\n{name}_count{plain} \
                 {count}"
            )
        }
    };
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, labels: &[(&str, &str)], value: f64) -> MetricRecord {
        let labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        MetricRecord { name: name.to_owned(), labels, value }
    }

    #[test]
    fn text_is_what_prometheus_reads() {
        let registry = Registry::default();
        for _ in 0..2 {
            assert!(registry.take(&change(
                "cofferdam_decisions_total",
                &[("effect", "deny"), ("rule", "a\"b\n")],
                1.0
            )));
        }
        assert!(registry.take(&change(
            "cofferdam_policy_evaluation_seconds",
            &[("phase", "plan")],
            0.0003
        )));
        assert!(registry.take(&change("http_server_active_requests", &[], 3.0)));
        let text = registry.text();
        assert!(
            text.contains("cofferdam_decisions_total{effect=\"deny\",rule=\"a\\\"b\\n\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "cofferdam_policy_evaluation_seconds_bucket{phase=\"plan\",le=\"0.0001\"} 0\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "cofferdam_policy_evaluation_seconds_bucket{phase=\"plan\",le=\"0.0005\"} 1\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "cofferdam_policy_evaluation_seconds_bucket{phase=\"plan\",le=\"+Inf\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.contains("http_server_active_requests 3\n"), "{text}");
    }

    #[test]
    fn only_what_is_declared_is_counted() {
        let registry = Registry::default();
        assert!(!registry.take(&change("made_up_total", &[], 1.0)));
        assert!(!registry.take(&change("cofferdam_jobs_total", &[], 1.0)));
        assert!(!registry.take(&change(
            "cofferdam_jobs_total",
            &[("outcome", "succeeded"), ("token", "x")],
            1.0
        )));
        assert!(!registry.take(&change("cofferdam_jobs_total", &[("outcome", "succeeded")], -1.0)));
        assert!(!registry.take(&change(
            "cofferdam_jobs_total",
            &[("outcome", "succeeded")],
            f64::NAN
        )));
        for outcome in 0..SERIES {
            assert!(registry.take(&change(
                "cofferdam_jobs_total",
                &[("outcome", &outcome.to_string())],
                1.0
            )));
        }
        assert!(!registry.take(&change("cofferdam_jobs_total", &[("outcome", "one more")], 1.0)));
        assert!(registry.take(&change("cofferdam_jobs_total", &[("outcome", "7")], 1.0)));
    }
}
