//! Every metric of Cofferdam, declared once. The registry, OTLP and Prometheus use this list alone: a
//! metric that is not on it does not compile in this process, and is dropped when another role sends
//! it.
//!
//! Names follow OpenTelemetry. Prometheus gets them by its own rules: dots become underscores, the
//! unit follows, and counters end in `_total`.

use cofferdam_core::protocol::telemetry_names::{
    ERROR_TYPE, GEN_AI_TOOL_NAME, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    MCP_METHOD_NAME,
};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter,
    /// The last value.
    Gauge,
    /// A distribution over [`BUCKETS`].
    Histogram,
}

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// A number without a unit.
    One,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// One declared metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The OpenTelemetry name.
    pub name: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The unit.
    pub unit: MetricUnit,
    /// Names of the labels. Each change gives a value for every label. No value is an agent's own
    /// text, except the bounded and cleaned name of a client.
    pub labels: &'static [&'static str],
    /// One sentence for people.
    pub help: &'static str,
}

/// Upper bounds of buckets in seconds: a fresh sandbox takes microseconds, a person takes minutes.
pub const BUCKETS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0];

impl MetricUnit {
    /// The code of the unit in OpenTelemetry (UCUM).
    pub fn code(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Seconds => "s",
            Self::Bytes => "By",
        }
    }
}

impl Metric {
    /// The declared metric of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.name == name)
    }
}

/// Declares a constant for each metric, and the list of all.
macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident: $kind:ident, $unit:ident, $name:literal,
    [$($label:expr),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                unit: MetricUnit::$unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// Every declared metric: names of the conventions first, then names of Cofferdam.
        pub static METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    MCP_OPERATION_DURATION: Histogram, Seconds, "mcp.server.operation.duration",
        [MCP_METHOD_NAME, GEN_AI_TOOL_NAME, ERROR_TYPE],
        "Time of a tool call, from the request to the reply.";
    HTTP_REQUEST_DURATION: Histogram, Seconds, "http.server.request.duration",
        [HTTP_REQUEST_METHOD, HTTP_ROUTE, HTTP_RESPONSE_STATUS_CODE],
        "Time of an HTTP request.";
    HTTP_ACTIVE_REQUESTS: Gauge, One, "http.server.active_requests", [],
        "HTTP requests in progress.";
    HTTP_REFUSALS: Counter, One, "cofferdam.edge.refusals", [HTTP_ROUTE, "code"],
        "HTTP requests that the edge refused itself, by route and JSON-RPC error code.";
    OVER_LIMIT: Counter, One, "cofferdam.edge.over_limit", ["limit"],
        "Requests with 429, by the limit of the agent that they were over.";
    MIXED_REVISIONS: Counter, One, "cofferdam.edge.mixed_revisions", ["client"],
        "Requests refused because header and body name two MCP revisions, by client.";
    UNAUTHENTICATED: Counter, One, "cofferdam.unauthenticated", [],
        "Requests without a valid token. They are not in the ledger.";
    MALFORMED: Counter, One, "cofferdam.malformed", ["reason"],
        "Requests that could not be read, by JSON-RPC error code. They are not in the ledger.";
    DECISIONS: Counter, One, "cofferdam.decisions", ["effect", "rule"],
        "Decisions, by effect and the first rule that gave it.";
    POLICY_EVALUATION: Histogram, Seconds, "cofferdam.policy.evaluation", ["phase"],
        "Time of one policy evaluation in a fresh sandbox.";
    POLICY_ERRORS: Counter, One, "cofferdam.policy.errors", ["code"],
        "Policy evaluations without a decision. Each of these calls was denied.";
    TOOL_ERRORS: Counter, One, "cofferdam.tool.errors", ["tool", "code"],
        "Tool runs without a plan: traps, limits, drafts beyond the ceiling.";
    STAGE_DURATION: Histogram, Seconds, "cofferdam.stage", ["stage"],
        "Time of one stage of a call.";
    OPEN_JOBS: Gauge, One, "cofferdam.jobs.open", ["phase"],
        "Jobs that are not closed, by phase.";
    CLOSED_JOBS: Counter, One, "cofferdam.jobs.closed", ["outcome"],
        "Closed jobs, by outcome.";
    STUCK_JOBS: Gauge, One, "cofferdam.jobs.stuck", [],
        "Jobs that cannot be finished at present. `cofferdam status` names each cause.";
    WAITING_QUESTIONS: Gauge, One, "cofferdam.questions.waiting", [],
        "Calls that wait for a signature.";
    APPROVALS: Counter, One, "cofferdam.approvals", ["answer"],
        "Signatures of approvers, by answer.";
    NOTIFICATIONS: Counter, One, "cofferdam.notifications", ["receiver", "end"],
        "Tries to deliver a notification, by receiver and end: `delivered`, `failed`, `dropped` if it was given up, or `over` if it was no news any more.";
    NOTIFICATIONS_WAITING: Gauge, One, "cofferdam.notifications.waiting", ["receiver"],
        "Notifications that wait for their delivery.";
    REFUSED_WORK: Counter, One, "cofferdam.refused_work", ["cause"],
        "Calls that the recorder refused: the disk is below its reserve, or the store fails.";
    LEDGER_ENTRIES: Gauge, One, "cofferdam.ledger.entries", [],
        "Entries in the ledger.";
    DISK_FREE: Gauge, Bytes, "cofferdam.disk.free", [],
        "Free bytes on the disk of the home.";
    DISK_RESERVE: Gauge, Bytes, "cofferdam.disk.reserve", [],
        "The recorder refuses new work below this number of free bytes.";
    READY: Gauge, One, "cofferdam.ready", [],
        "1 while calls can be carried out, as `/readyz` reports, else 0.";
    RESTART_NEEDED: Gauge, One, "cofferdam.restart_needed", [],
        "1 while a changed configuration waits for the next start, else 0.";
    ROLE_STARTS: Counter, One, "cofferdam.role.starts", ["role"],
        "Starts of each role.";
    TELEMETRY_DROPPED: Counter, One, "cofferdam.telemetry.dropped", ["role"],
        "Spans and metrics that were dropped, because a queue was full or they were not valid.";
    EXPORT_FAILURES: Counter, One, "cofferdam.telemetry.export_failures", ["role"],
        "Batches of spans and metrics that the collector did not take.";
}
