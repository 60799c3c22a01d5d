//! The exporter of the gateway: takes the telemetry of every role, checks it again, keeps the metrics
//! and sends spans and metrics to an OTLP collector. Each role is a service of its own. A collector
//! that is away costs telemetry and never a call.

use crate::metrics::{EXPORT_FAILURES, Metric, TELEMETRY_DROPPED};
use crate::otlp_http::OtlpClient;
use crate::prometheus;
use crate::registry::Registry;
use crate::signal::{BATCH_VALUES, Batch, Field, MetricRecord, Role, Signal, SpanKind, SpanRecord};
use cofferdam_core::model::id::unhex;
use cofferdam_core::protocol::telemetry_names::ERROR_TYPE;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// The most spans that wait for the collector, of all roles together.
const WAITING: usize = 8_192;

/// The most spans of one request to the collector.
const BATCH: usize = 512;

/// The time limit of one request to the collector.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two exports of metrics: as often as Prometheus usually reads them.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(15);

/// Errors of making an exporter.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The configured address is not `http://host:port`.
    #[error(
        "the collector's address `{given}` cannot be used; give `http://host:port`, where an OTLP \
         receiver listens for HTTP"
    )]
    Endpoint {
        /// The configured address.
        given: String,
    },
    /// The library did not accept the settings of the exporter.
    #[error("the OTLP exporter could not be made")]
    Build(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Spans that wait for the collector, and the metrics of all roles.
#[derive(Debug)]
pub struct Exporter {
    // The collector's address, `http://host:port`.
    collector: Option<String>,
    metrics: Option<MetricExporter>,
    environment: String,
    registry: Registry,
    waiting: Mutex<BTreeMap<Role, Vec<SpanData>>>,
    arrived: Notify,
}

impl Exporter {
    /// Creates an exporter. `collector` is `http://host:port`. Without one, spans end here, and
    /// metrics are Prometheus text only.
    ///
    /// # Errors
    /// The address has another form, or the library refuses the settings.
    pub fn new(collector: Option<&str>, environment: &str) -> Result<Self, ExportError> {
        let collector = collector.map(|given| given.trim_end_matches('/'));
        if let Some(given) = collector {
            let host = given.strip_prefix("http://").unwrap_or_default();
            if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
                return Err(ExportError::Endpoint { given: given.to_owned() });
            }
        }
        Ok(Self {
            collector: collector.map(str::to_owned),
            metrics: collector.map(metric_exporter).transpose()?,
            environment: environment.to_owned(),
            registry: Registry::new(resource(environment, Role::Gateway)),
            waiting: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    /// Returns whether a collector is configured.
    pub fn has_collector(&self) -> bool {
        self.collector.is_some()
    }

    /// Takes a batch from the socket of this role, or from the gateway itself. Drops and counts
    /// signals that are not valid.
    pub fn take(&self, role: Role, batch: Batch) {
        let mut dropped = batch.dropped;
        let mut values: u64 = 0;
        for signal in batch.signals {
            values = values.saturating_add(signal.values());
            let taken = match signal {
                Signal::Metric(record) => values <= BATCH_VALUES && self.registry.add(&record),
                Signal::Span(record) => self.wait(role, record),
            };
            dropped += u64::from(!taken);
        }
        // Counts below 2^53 are exact.
        self.count(TELEMETRY_DROPPED, role, u32::try_from(dropped).unwrap_or(u32::MAX));
        self.arrived.notify_one();
    }

    /// Takes changes of metrics of the gateway itself.
    pub fn take_metrics(&self, records: Vec<MetricRecord>) {
        for record in records {
            let _declared = self.registry.add(&record);
        }
    }

    /// Adds to a counter of the gateway, or observes a value in a histogram.
    pub fn add(&self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        let _declared = self.registry.add(&MetricRecord::new(metric, labels, value));
    }

    /// Sets a gauge, or raises a counter whose total is kept elsewhere to that total.
    pub fn set(&self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        let _declared = self.registry.set(&MetricRecord::new(metric, labels, value));
    }

    /// All metrics as Prometheus text.
    pub fn prometheus(&self) -> String {
        prometheus::text(&self.registry.collect())
    }

    /// Sends spans as they arrive, for as long as it is polled.
    ///
    /// # Errors
    /// The exporter of a role could not be made.
    pub async fn run(&self) -> Result<(), ExportError> {
        let mut services = BTreeMap::new();
        loop {
            self.arrived.notified().await;
            self.send_spans(&mut services).await?;
        }
    }

    /// Sends the spans that wait now and the present metrics, at an orderly end.
    ///
    /// # Errors
    /// The exporter of a role could not be made.
    pub async fn finish(&self) -> Result<(), ExportError> {
        let mut services = BTreeMap::new();
        // At once, so that a collector that hangs delays the end by one time limit and not by two.
        let (spans, ()) = tokio::join!(self.send_spans(&mut services), self.send_metrics());
        spans
    }

    /// Sends the present metrics, if a collector is configured. A failure is counted.
    pub async fn send_metrics(&self) {
        let Some(exporter) = &self.metrics else { return };
        if exporter.export(&self.registry.collect()).await.is_err() {
            self.count(EXPORT_FAILURES, Role::Gateway, 1);
        }
    }

    async fn send_spans(
        &self,
        services: &mut BTreeMap<Role, SpanExporter>,
    ) -> Result<(), ExportError> {
        while let Some((role, spans)) = self.next() {
            let Some(collector) = &self.collector else { continue };
            let service = match services.entry(role) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(self.span_exporter(collector, role)?)
                }
            };
            if service.export(spans).await.is_err() {
                self.count(EXPORT_FAILURES, role, 1);
            }
        }
        Ok(())
    }

    fn span_exporter(&self, collector: &str, role: Role) -> Result<SpanExporter, ExportError> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OtlpClient)
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(format!("{collector}/v1/traces"))
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        exporter.set_resource(&resource(&self.environment, role));
        Ok(exporter)
    }

    fn wait(&self, role: Role, mut record: SpanRecord) -> bool {
        // Without a collector, nothing reads a span.
        if self.collector.is_none() {
            return true;
        }
        record.clean();
        let Some(span) = converted(record) else { return false };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = waiting.values().map(Vec::len).sum::<usize>() < WAITING;
        if room {
            waiting.entry(role).or_default().push(span);
        }
        room
    }

    fn next(&self) -> Option<(Role, Vec<SpanData>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (role, spans) = waiting.iter_mut().find(|(_, spans)| !spans.is_empty())?;
        let some = spans.drain(..spans.len().min(BATCH)).collect();
        Some((*role, some))
    }

    fn count(&self, metric: Metric, role: Role, by: u32) {
        // A zero is counted too: an alert does not see a series that begins with its first error.
        self.add(metric, &[("role", role.word())], f64::from(by));
    }
}

/// Converts a record to the form of the SDK. Returns `None` for an invalid id.
fn converted(record: SpanRecord) -> Option<SpanData> {
    let place = record.context()?;
    let parent = match &record.parent {
        Some(text) => unhex(text)?.try_into().ok()?,
        None => [0; 8],
    };
    let error = match record.attributes.get(ERROR_TYPE) {
        Some(Field::Text(code)) => Some(code.clone()),
        _ => None,
    };
    let attributes = record.attributes.into_iter().map(|(key, value)| {
        let value: Value = match value {
            Field::Flag(flag) => flag.into(),
            Field::Number(number) => number.into(),
            Field::Text(text) => text.into(),
        };
        KeyValue::new(key, value)
    });
    Some(SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(place.trace),
            SpanId::from_bytes(place.span),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from_bytes(parent),
        parent_span_is_remote: record.remote,
        span_kind: match record.kind {
            SpanKind::Internal => opentelemetry::trace::SpanKind::Internal,
            SpanKind::Server => opentelemetry::trace::SpanKind::Server,
            SpanKind::Client => opentelemetry::trace::SpanKind::Client,
            SpanKind::Producer => opentelemetry::trace::SpanKind::Producer,
            SpanKind::Consumer => opentelemetry::trace::SpanKind::Consumer,
        },
        name: record.name.into(),
        start_time: at(record.start_ns),
        end_time: at(record.end_ns.max(record.start_ns)),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("cofferdam").build(),
    })
}

fn at(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

fn metric_exporter(collector: &str) -> Result<MetricExporter, ExportError> {
    Ok(MetricExporter::builder()
        .with_http()
        .with_http_client(OtlpClient)
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(format!("{collector}/v1/metrics"))
        .with_timeout(EXPORT_TIMEOUT)
        .with_temporality(Temporality::Cumulative)
        .build()?)
}

/// The description of a role in exports. The builder is empty: no detector may read the environment
/// of this process.
fn resource(environment: &str, role: Role) -> Resource {
    Resource::builder_empty()
        .with_service_name(format!("cofferdam-{}", role.word()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("deployment.environment.name", environment.to_owned()))
        .build()
}
