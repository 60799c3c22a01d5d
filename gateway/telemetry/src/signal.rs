//! What travels between roles: finished spans and changes of metrics, as JSON. Read by the gateway
//! like any foreign input: it tells the sender by the socket, never by what the frame says, and
//! checks names and sizes again.

use crate::context::TraceContext;
use crate::metrics::Metric;
use cofferdam_core::protocol::telemetry_names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who sends; each is exported as its own service, `cofferdam-<role>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The supervisor.
    Serve,
    /// Faces agents.
    Gateway,
    /// Remembers.
    Recorder,
    /// Looks.
    Viewer,
    /// Acts.
    Runner,
    /// Removes what others left.
    Reaper,
    /// Computes.
    Guest,
}

impl Role {
    /// The one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Gateway => "gateway",
            Self::Recorder => "recorder",
            Self::Viewer => "viewer",
            Self::Runner => "runner",
            Self::Reaper => "reaper",
            Self::Guest => "guest",
        }
    }
}

/// What one frame holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Spans and metrics, in the order they came.
    pub signals: Vec<Signal>,
    /// How many were dropped since the last batch, because the way was full.
    pub dropped: u64,
}

/// A finished span or a metric's change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A finished span.
    Span(SpanRecord),
    /// A metric's change.
    Metric(MetricRecord),
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Short text.
    Text(String),
}

/// Which side of which exchange a span is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Neither.
    #[default]
    Internal,
    /// Answers.
    Server,
    /// Asks.
    Client,
    /// Puts into a queue.
    Producer,
    /// Takes from a queue.
    Consumer,
}

impl SpanKind {
    /// From the word that `otel.kind` uses.
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
    /// Its place: a `traceparent`.
    pub place: String,
    /// The span above it, 16 hexadecimal digits; `null` at the root.
    pub parent: Option<String>,
    /// Whether that one is another process's.
    pub remote: bool,
    /// `tools/call deployment_scale`, `decide`, ….
    pub name: String,
    /// Which side it is.
    pub kind: SpanKind,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Nanoseconds since 1970.
    pub end_ns: u64,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Field>,
}

/// A change of one metric; see [`crate::metrics::METRICS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRecord {
    /// Which.
    pub name: String,
    /// Label → value.
    pub labels: BTreeMap<String, String>,
    /// For a counter how many more; for a histogram the observed seconds; for a gauge the new
    /// value.
    pub value: f64,
}

impl MetricRecord {
    /// A change of a declared metric.
    pub fn new(metric: Metric, labels: &[(&str, &str)], value: f64) -> Self {
        let labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { name: metric.name.to_owned(), labels, value }
    }
}

impl SpanRecord {
    /// Its ids, where they are valid.
    pub fn context(&self) -> Option<TraceContext> {
        TraceContext::parse(&cofferdam_core::model::caller::TraceParent(self.place.clone()))
    }

    /// Leaves only what may be exported, no longer than it may be.
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

/// The first [`telemetry_names::VALUE_LENGTH`] characters, without control characters: telemetry may be cut, unlike
/// anything that is decided over.
pub(crate) fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(telemetry_names::VALUE_LENGTH).collect()
}
