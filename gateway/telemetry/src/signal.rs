//! The signals that roles send to the gateway: finished spans and changes of metrics, as JSON. The
//! gateway treats them as untrusted input: the socket names the sender, never the frame, and the
//! gateway checks names and sizes again.

use crate::context::TraceContext;
use crate::metrics::Metric;
use cofferdam_core::protocol::telemetry_names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most values of a batch that a histogram takes, so that one batch cannot hold up the gateway: they
/// are half a second of a busy role.
pub const BATCH_VALUES: u64 = 65_536;

/// The sender of a signal. Each role is exported as its own service, `cofferdam-<role>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The supervisor, which starts the other roles.
    Serve,
    /// The role that serves agents.
    Gateway,
    /// The role that keeps jobs and ledger.
    Recorder,
    /// The role that reads the infrastructure.
    Viewer,
    /// The role that changes the infrastructure.
    Runner,
    /// The role that removes the remains of lost runs.
    Reaper,
    /// The role that connects to the issuers of access tokens.
    Courier,
    /// The role that runs untrusted components.
    Guest,
    /// The role that connects a role to those on other hosts.
    Link,
}

impl Role {
    /// The name of the role in logs and services.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Gateway => "gateway",
            Self::Recorder => "recorder",
            Self::Viewer => "viewer",
            Self::Runner => "runner",
            Self::Reaper => "reaper",
            Self::Courier => "courier",
            Self::Guest => "guest",
            Self::Link => "link",
        }
    }
}

/// The content of one frame.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Spans and changes of metrics, in their order.
    pub signals: Vec<Signal>,
    /// The number of signals that were dropped since the last batch, because the queue was full.
    pub dropped: u64,
}

/// A finished span or a change of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A finished span, with its times.
    Span(SpanRecord),
    /// A change of a metric.
    Metric(MetricRecord),
}

impl Signal {
    /// The number of values that a reader has to take: 1, unless it stands for more.
    pub(crate) fn values(&self) -> u64 {
        match self {
            Self::Span(_) => 1,
            Self::Metric(record) => record.values,
        }
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// A truth value.
    Flag(bool),
    /// A whole number with a sign.
    Number(i64),
    /// A short text of at most [`telemetry_names::VALUE_LENGTH`] characters.
    Text(String),
}

/// The kind of a span, as in OpenTelemetry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Work inside of a process.
    #[default]
    Internal,
    /// The answer to a request.
    Server,
    /// A request to another process.
    Client,
    /// Work that is put into a queue.
    Producer,
    /// Work that is taken from a queue.
    Consumer,
}

impl SpanKind {
    /// Parses the word of the field `otel.kind`. Any other word is internal.
    pub fn parse(word: &str) -> Self {
        match word {
            "server" => Self::Server,
            "client" => Self::Client,
            "producer" => Self::Producer,
            "consumer" => Self::Consumer,
            _ => Self::Internal,
        }
    }
}

/// One finished span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanRecord {
    /// The ids of the span, as `traceparent` text.
    pub place: String,
    /// The id of the parent span, 16 hexadecimal digits; `null` at the root.
    pub parent: Option<String>,
    /// True if the parent span belongs to another process.
    pub remote: bool,
    /// The name of the span: `tools/call deployment_scale`, `decide`, ….
    pub name: String,
    /// The kind of the span.
    pub kind: SpanKind,
    /// Start of the span, in nanoseconds since 1970.
    pub start_ns: u64,
    /// End of the span, in nanoseconds since 1970.
    pub end_ns: u64,
    /// The exported attributes, by name.
    pub attributes: BTreeMap<String, Field>,
}

/// A change of one metric of [`crate::metrics::METRICS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRecord {
    /// The OpenTelemetry name of the metric.
    pub name: String,
    /// The values of its labels, by name.
    pub labels: BTreeMap<String, String>,
    /// The increase of a counter, the new value of a gauge, or the observed value of a histogram.
    pub value: f64,
    /// The number of times that a histogram observed the value; 1 for counters and gauges.
    #[serde(default = "one")]
    pub values: u64,
}

fn one() -> u64 {
    1
}

impl MetricRecord {
    /// Creates a change of a declared metric.
    pub fn new(metric: Metric, labels: &[(&str, &str)], value: f64) -> Self {
        let labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { name: metric.name.to_owned(), labels, value, values: 1 }
    }
}

impl SpanRecord {
    /// Returns the ids of the span, if they are valid.
    pub fn context(&self) -> Option<TraceContext> {
        TraceContext::parse(&cofferdam_core::model::caller::TraceParent(self.place.clone()))
    }

    /// Removes every attribute that may not be exported, and cuts long values.
    pub fn clean(&mut self) {
        self.attributes.retain(|key, _| telemetry_names::is_exported(key));
        for value in self.attributes.values_mut() {
            if let Field::Text(text) = value {
                *text = short(text);
            }
        }
        self.name = short(&self.name);
    }
}

/// The first [`telemetry_names::VALUE_LENGTH`] characters, without control characters. Telemetry
/// may be cut, unlike the input of a decision.
pub(crate) fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(telemetry_names::VALUE_LENGTH).collect()
}
