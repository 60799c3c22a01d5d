//! # Telemetry of Cofferdam: one trace for each call, metrics, and log lines for people
//!
//! Proof is the task of the ledger. Telemetry may be lost, and never holds up a call. Only the gateway
//! exports: every other role collects spans and metrics and sends them as JSON frames over a
//! write-only socket to the gateway, which checks and exports them. No secret leaves a process: each
//! role, and then the gateway, keeps only the attributes, labels and fields on the lists of
//! [`cofferdam_core::protocol::telemetry_names`] and [`metrics`].
//!
//! | file | content |
//! |---|---|
//! | `context.rs` | W3C trace context: ids, `traceparent` |
//! | `signal.rs` | a finished span or a change of a metric, as roles send it |
//! | `outlet.rs` | from the code of a role to its socket: a bounded queue of spans; it never blocks |
//! | `pending.rs` | changes of metrics on that way, as sums, so that none is lost |
//! | `layer.rs` | `tracing` spans become signals |
//! | `log_format.rs` | `tracing` events become log lines |
//! | `setup.rs` | the subscriber of a role: spans and log lines |
//! | `bootstrap.rs` | the subscriber of a process, and the socket between a role and the gateway |
//! | `metrics.rs` | the list of all metrics |
//! | `registry.rs` | the values of all metrics, in the OpenTelemetry SDK |
//! | `prometheus.rs` | all metrics as Prometheus text |
//! | `export.rs`, `otlp_http.rs` | spans and metrics to an OTLP collector, over HTTP |

pub mod bootstrap;
mod context;
mod export;
mod layer;
mod log_format;
pub mod metrics;
mod otlp_http;
mod outlet;
mod pending;
mod prometheus;
mod registry;
mod setup;
mod signal;

pub use context::{TraceContext, current};
pub use export::{ExportError, Exporter, METRICS_INTERVAL};
pub use log_format::LineFormat;
pub use otlp_http::{Collector, CollectorError, collector};
pub use outlet::{Intake, Outlet};
pub use setup::{Setup, SetupError, Sources, dispatch, install};
pub use signal::{Batch, Field, MetricRecord, Role, Signal, SpanKind, SpanRecord};
