//! The layer that turns `tracing` spans into [`SpanRecord`]s with W3C ids. Three fields steer it
//! and are never exported: `traceparent` (the parent in another process), `otel.kind` and
//! `otel.name`. The layer keeps only the other fields that are on the list. Never blocks.
//!
//! Without a collector nothing reads a span: then only spans that can have a parent in another process
//! get ids, for the ledger and for the next role, and every other span is not even made.

use crate::context::TraceContext;
use crate::outlet::Outlet;
use crate::setup::Sources;
use crate::signal::{Field, SpanKind, SpanRecord, short};
use cofferdam_core::model::caller::TraceParent;
use cofferdam_core::model::id::hex;
use cofferdam_core::protocol::telemetry_names;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::UNIX_EPOCH;
use tracing::field::Visit;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Collects finished spans.
pub(crate) struct SpanLayer {
    outlet: Outlet,
    sources: Sources,
    collected: bool,
}

/// Returns whether this is a span to make. Debug spans are not exported. `collected`: a collector
/// reads the spans.
pub(crate) fn is_made(span: &Metadata<'_>, collected: bool) -> bool {
    let joins_traces = || span.fields().field(telemetry_names::TRACEPARENT).is_some();
    span.is_span() && *span.level() <= Level::INFO && (collected || joins_traces())
}

/// A span that has not ended.
struct Open {
    parent: Option<[u8; 8]>,
    remote: bool,
    start_ns: u64,
    seen: Seen,
}

/// The recorded fields of a span.
#[derive(Default)]
struct Seen {
    /// Keeps no field but the parent.
    ids_alone: bool,
    parent: Option<TraceContext>,
    kind: SpanKind,
    name: Option<String>,
    attributes: BTreeMap<String, Field>,
}

impl SpanLayer {
    pub(crate) fn new(outlet: Outlet, sources: Sources, collected: bool) -> Self {
        Self { outlet, sources, collected }
    }

    fn now(&self) -> u64 {
        let since = (self.sources.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut seen = Seen { ids_alone: !self.collected, ..Seen::default() };
        attributes.record(&mut seen);
        let local =
            span.parent().and_then(|above| above.extensions().get::<TraceContext>().copied());
        let remote = seen.parent.is_some();
        let parent = seen.parent.or(local);
        let random = &*self.sources.random;
        let place = parent.map_or_else(|| TraceContext::start(random), |above| above.child(random));
        let mut extensions = span.extensions_mut();
        extensions.insert(place);
        if !self.collected {
            return;
        }
        extensions.insert(Open {
            parent: parent.map(|above| above.span),
            remote,
            start_ns: self.now(),
            seen,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.seen);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let (Some(open), Some(place)) =
            (extensions.remove::<Open>(), extensions.get_mut::<TraceContext>().copied())
        else {
            return;
        };
        let mut record = SpanRecord {
            place: place.to_parent().0,
            parent: open.parent.map(|above| hex(&above)),
            remote: open.remote,
            name: open.seen.name.unwrap_or_else(|| span.name().to_owned()),
            kind: open.seen.kind,
            start_ns: open.start_ns,
            end_ns: self.now(),
            attributes: open.seen.attributes,
        };
        record.clean();
        self.outlet.put(record);
    }
}

impl Seen {
    fn text(&mut self, field: &str, value: &str) {
        match field {
            telemetry_names::TRACEPARENT => {
                self.parent = TraceContext::parse(&TraceParent(value.to_owned()))
            }
            _ if self.ids_alone => {}
            telemetry_names::SPAN_KIND => self.kind = SpanKind::parse(value),
            telemetry_names::SPAN_NAME => self.name = Some(short(value)),
            _ => self.keep(field, || Field::Text(short(value))),
        }
    }

    fn keep(&mut self, field: &str, value: impl FnOnce() -> Field) {
        if !self.ids_alone && telemetry_names::is_exported(field) {
            self.attributes.insert(field.to_owned(), value());
        }
    }
}

impl Visit for Seen {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        // Formatting costs time, and a value that is not kept need not be read.
        if telemetry_names::is_exported(field.name())
            || matches!(
                field.name(),
                telemetry_names::TRACEPARENT
                    | telemetry_names::SPAN_KIND
                    | telemetry_names::SPAN_NAME
            )
        {
            self.text(field.name(), &format!("{value:?}"));
        }
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.keep(field.name(), || Field::Number(value));
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.keep(field.name(), || Field::Number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.keep(field.name(), || Field::Flag(value));
    }
}
