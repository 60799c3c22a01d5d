//! The gateway's way out: takes what every role collected, checks it again, keeps the metrics and
//! sends the spans to an OTLP collector, each role as its own service. A collector that is away
//! costs spans, never a call.

use crate::metrics::Registry;
use crate::otlp_http::OtlpClient;
use crate::signal::{Batch, Field, MetricRecord, Role, Signal, SpanKind, SpanRecord};
use cofferdam_core::model::id::unhex;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// Spans that may wait for the collector, of all roles.
const WAITING: usize = 8_192;

/// Spans of one request to the collector.
const BATCH: usize = 512;

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Not an address of a collector.
    #[error(
        "the collector's address `{given}` cannot be used; give `http://host:port`, where an OTLP \
         receiver listens for HTTP"
    )]
    Endpoint {
        /// What was given.
        given: String,
    },
    /// The exporter could not be made.
    #[error("the exporter for spans could not be made")]
    Build(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// All of what the gateway exports.
#[derive(Debug)]
pub struct Exporter {
    endpoint: Option<String>,
    environment: String,
    registry: Registry,
    waiting: Mutex<BTreeMap<Role, Vec<SpanData>>>,
    news: Notify,
}

impl Exporter {
    /// With a collector's address, `http://host:port`, or none: then spans end here, metrics do not.
    pub fn new(endpoint: Option<&str>, environment: &str) -> Result<Self, ExportError> {
        let endpoint = endpoint.map(|given| given.trim_end_matches('/'));
        if let Some(given) = endpoint {
            let host = given.strip_prefix("http://").unwrap_or_default();
            if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
                return Err(ExportError::Endpoint { given: given.to_owned() });
            }
        }
        Ok(Self {
            endpoint: endpoint.map(|host| format!("{host}/v1/traces")),
            environment: environment.to_owned(),
            registry: Registry::default(),
            waiting: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Takes a batch from the socket of this role, or the gateway's own. What is not valid is
    /// dropped and counted.
    pub fn take(&self, role: Role, batch: Batch) {
        let mut dropped = batch.dropped;
        for signal in batch.signals {
            let taken = match signal {
                Signal::Metric(record) => self.registry.take(&record),
                Signal::Span(record) => self.wait(role, record),
            };
            dropped += u64::from(!taken);
        }
        // Counts below 2^53 are exact.
        self.count(
            "cofferdam_telemetry_dropped_total",
            role,
            u32::try_from(dropped).unwrap_or(u32::MAX),
        );
        self.news.notify_one();
    }

    /// The gateway's own change of a metric, without a detour over a socket.
    pub fn add(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _declared = self.registry.take(&record(name, labels, value));
    }

    /// A value that is known as a whole: a gauge, or a counter that is kept elsewhere.
    pub fn set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _declared = self.registry.set(&record(name, labels, value));
    }

    /// Prometheus text.
    pub fn metrics(&self) -> String {
        self.registry.text()
    }

    /// Sends what waits, as long as it is polled; returns only on an exporter that cannot be made.
    pub async fn run(&self) -> Result<(), ExportError> {
        let mut services = BTreeMap::new();
        loop {
            self.news.notified().await;
            self.flush(&mut services).await?;
        }
    }

    /// Sends what waits now: for an orderly end.
    pub async fn finish(&self) -> Result<(), ExportError> {
        self.flush(&mut BTreeMap::new()).await
    }

    async fn flush(&self, services: &mut BTreeMap<Role, SpanExporter>) -> Result<(), ExportError> {
        while let Some((role, spans)) = self.next() {
            let Some(endpoint) = &self.endpoint else { continue };
            let service = match services.entry(role) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(self.service(endpoint, role)?)
                }
            };
            if service.export(spans).await.is_err() {
                self.count("cofferdam_telemetry_export_failures_total", role, 1);
            }
        }
        Ok(())
    }

    fn service(&self, endpoint: &str, role: Role) -> Result<SpanExporter, ExportError> {
        let mut service = SpanExporter::builder()
            .with_http()
            .with_http_client(OtlpClient)
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(endpoint)
            .with_timeout(Duration::from_secs(5))
            .build()?;
        // An empty builder: no detector may read this process's environment.
        let resource = Resource::builder_empty()
            .with_service_name(format!("cofferdam-{}", role.word()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("deployment.environment.name", self.environment.clone()))
            .build();
        service.set_resource(&resource);
        Ok(service)
    }

    fn wait(&self, role: Role, mut record: SpanRecord) -> bool {
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

    fn count(&self, name: &str, role: Role, by: u32) {
        // A count of none is told too: a series that appears with its first fault is seen by no
        // alert.
        let labels = BTreeMap::from([("role".to_owned(), role.word().to_owned())]);
        self.registry.take(&MetricRecord { name: name.to_owned(), labels, value: f64::from(by) });
    }
}

/// A record as the SDK has it; none where an id is not one.
fn converted(record: SpanRecord) -> Option<SpanData> {
    let place = record.context()?;
    let parent = match &record.parent {
        Some(text) => unhex(text)?.try_into().ok()?,
        None => [0; 8],
    };
    let error = match record.attributes.get(crate::name::ERROR_TYPE) {
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

fn record(name: &str, labels: &[(&str, &str)], value: f64) -> MetricRecord {
    let labels =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    MetricRecord { name: name.to_owned(), labels, value }
}
