//! # What Cofferdam emits: one trace per call, metrics, and log lines for people
//!
//! Proof is the ledger's business; what is here may be lost, and never holds up a call. A role
//! other than the gateway has no way out: it collects spans and metrics and hands them, as plain
//! JSON frames over a write-only socket, to the gateway, which checks and exports them.
//! No secret leaves: only attributes and labels on the lists in [`name`] are kept, in the role and
//! again in the gateway.
//!
//! | file | what |
//! |---|---|
//! | `name.rs` | names of the MCP and GenAI conventions and our own; what may be exported |
//! | `context.rs` | W3C trace context: ids, `traceparent` |
//! | `signal.rs` | a finished span or a metric's change, as it travels between roles |
//! | `outlet.rs` | the bounded, never blocking way from the code of a role to its socket |
//! | `layer.rs` | `tracing` spans become signals |
//! | `log_format.rs` | `tracing` events become log lines |
//! | `setup.rs` | both, put together for a role |
//! | `bootstrap.rs` | the same for a whole process, and the socket between two roles |
//! | `metrics.rs` | every metric there is, and Prometheus text |
//! | `export.rs`, `otlp_http.rs` | spans of all roles to an OTLP collector, over HTTP |

pub mod bootstrap;
mod context;
mod export;
mod layer;
mod log_format;
mod metrics;
pub mod name;
mod otlp_http;
mod outlet;
mod setup;
mod signal;

// Former name, until each crate has the new one.
#[doc(hidden)]
pub use bootstrap as voice;
pub use context::{TraceContext, current};
pub use export::{ExportError, Exporter};
pub use log_format::LineFormat;
pub use metrics::{METRICS, Metric, MetricKind, Registry};
pub use otlp_http::{Collector, CollectorError, collector};
pub use outlet::{Intake, Outlet};
pub use setup::{Setup, SetupError, Sources, dispatch, install};
pub use signal::{Batch, Field, MetricRecord, Role, Signal, SpanKind, SpanRecord};
