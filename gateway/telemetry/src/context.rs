//! W3C trace context (Trace Context Level 1): ids and the `traceparent` text. The text of a client
//! is untrusted: it is parsed strictly, used to join a trace, and never to decide.

use cofferdam_core::model::caller::TraceParent;
use cofferdam_core::model::id::{hex, unhex};
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// The place of a span in a trace. Both ids are never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The 16 bytes of the trace id.
    pub trace: [u8; 16],
    /// The 8 bytes of the span id.
    pub span: [u8; 8],
    /// True if the sender recorded the span. Spans of Cofferdam are always recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// Parses `00-<32 hex>-<16 hex>-<2 hex>`. Returns `None` for any other text, also for upper
    /// case and zero ids. Of a later version the first four parts are read, as the specification
    /// asks.
    pub fn parse(text: &TraceParent) -> Option<Self> {
        let mut parts = text.0.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let later = version != "00";
        if version == "ff" || unhex(version)?.len() != 1 || (!later && parts.next().is_some()) {
            return None;
        }
        let trace: [u8; 16] = unhex(trace)?.try_into().ok()?;
        let span: [u8; 8] = unhex(span)?.try_into().ok()?;
        let [flags]: [u8; 1] = unhex(flags)?.try_into().ok()?;
        (trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// Formats the `traceparent` text.
    pub fn to_parent(self) -> TraceParent {
        let flags = if self.sampled { "01" } else { "00" };
        TraceParent(format!("00-{}-{}-{flags}", hex(&self.trace), hex(&self.span)))
    }

    /// Starts a trace, from 256 random bits.
    pub fn start(random: &dyn Fn() -> u128) -> Self {
        Self { trace: filled(random().to_be_bytes()), span: filled(low(random())), sampled: true }
    }

    /// Creates a span below this one.
    pub fn child(self, random: &dyn Fn() -> u128) -> Self {
        Self { span: filled(low(random())), sampled: true, ..self }
    }
}

/// Returns the place of a span of [`crate::Setup`]'s subscriber, to pass on to another role.
pub fn current(span: &Span) -> Option<TraceParent> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        registry.span(id)?.extensions().get::<TraceContext>().copied()
    });
    found.flatten().map(TraceContext::to_parent)
}

fn low(bits: u128) -> [u8; 8] {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(1).to_be_bytes()
}

/// Zero ids are invalid. The one case in 2^64 becomes all ones.
fn filled<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    if bytes == [0; N] {
        bytes.fill(1);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, valid: bool) {
        let parsed = TraceContext::parse(&TraceParent(text.to_owned()));
        assert_eq!(parsed.is_some(), valid, "{text}");
        if let Some(context) = parsed.filter(|_| text.starts_with("00")) {
            assert_eq!(context.to_parent().0, text);
        }
    }

    #[test]
    fn reads_what_the_specification_allows() {
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true);
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", true);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false);
        check("", false);
    }

    #[test]
    fn ids_are_never_zero() {
        let start = TraceContext::start(&|| 0);
        assert!(TraceContext::parse(&start.to_parent()).is_some());
        assert_eq!(start.child(&|| 2).trace, start.trace);
    }
}
