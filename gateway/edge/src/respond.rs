//! HTTP responses and the headers that every response has. Knows nothing of their content.

use crate::deny::Deny;
use crate::limit::Limit;
use crate::seats::Busy;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::Value;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A response of the edge.
pub type Answer = Response<AnswerBody>;

/// The error of a body whose rest does not come: the client sees that it is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rest of the body does not come")]
pub struct BrokenOff;

/// A body that is complete, or that comes event by event.
pub struct AnswerBody {
    content: Content,
    /// The connection is busy until this body was sent.
    busy: Option<Busy>,
}

enum Content {
    /// A body that is complete from the start.
    Whole(Full<Bytes>),
    /// A stream that ends when its sender is dropped.
    Events(mpsc::Receiver<Bytes>),
    /// A file in parts, which may break off.
    Parts(mpsc::Receiver<Result<Bytes, BrokenOff>>),
}

impl AnswerBody {
    fn whole(body: Bytes) -> Self {
        Self { content: Content::Whole(Full::new(body)), busy: None }
    }

    /// Keeps the connection busy until the body was sent.
    pub fn hold(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().content {
            Content::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Content::Parts(parts) => {
                parts.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data)))
            }
            Content::Events(events) => {
                events.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(body) => body.is_end_stream(),
            Content::Events(_) | Content::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(body) => body.size_hint(),
            Content::Events(_) | Content::Parts(_) => SizeHint::default(),
        }
    }
}

/// Creates a response with a body of this media type.
pub fn with(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    answer(status, media, AnswerBody::whole(body.into()))
}

fn answer(status: StatusCode, media: &'static str, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    // A response belongs to one caller: no proxy may keep it, and no browser may treat it as a
    // page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Creates a JSON response.
pub fn json(status: StatusCode, value: &Value) -> Answer {
    with(status, "application/json", value.to_string())
}

/// Creates a JSON response of a text that is JSON.
pub fn json_text(status: StatusCode, text: String) -> Answer {
    with(status, "application/json", text)
}

/// Writes an object with one more member, whose value is JSON text already. The object must not have
/// a member of this name.
pub fn with_member(object: &Value, name: &str, json: &str) -> String {
    let text = object.to_string();
    let rest = text.strip_prefix('{').unwrap_or_default();
    let comma = if rest == "}" { "" } else { "," };
    format!("{{{}:{json}{comma}{rest}", Value::from(name))
}

/// Creates an event stream (WHATWG HTML, server-sent events). Each item is one or more whole
/// events.
pub fn events(events: mpsc::Receiver<Bytes>) -> Answer {
    let answer = answer(
        StatusCode::OK,
        "text/event-stream",
        AnswerBody { content: Content::Events(events), busy: None },
    );
    // Some proxies know this header; without it they hold events back until the stream ends.
    add(answer, HeaderName::from_static("x-accel-buffering"), "no")
}

/// Creates a response whose body comes in parts, and may break off.
pub fn parts(media: &'static str, parts: mpsc::Receiver<Result<Bytes, BrokenOff>>) -> Answer {
    answer(StatusCode::OK, media, AnswerBody { content: Content::Parts(parts), busy: None })
}

/// Creates a text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(status, "text/plain; charset=utf-8", body)
}

/// Creates a 202 without a body: a notification was accepted.
pub fn accepted() -> Answer {
    bodiless(StatusCode::ACCEPTED)
}

/// Creates a 204, a response without content.
pub fn empty() -> Answer {
    bodiless(StatusCode::NO_CONTENT)
}

fn bodiless(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::whole(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Adds a header with a value from run time.
pub fn add(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Adds a header line beside those of the same name: a response may set more than one cookie.
pub fn add_another(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().append(name, value);
    }
    answer
}

/// Adds the headers that a refusal of this kind has on every path.
pub fn refusing(answer: Answer, deny: &Deny) -> Answer {
    match deny {
        Deny::Verb(verb) => add(answer, ALLOW, verb),
        Deny::Busy | Deny::Unchecked { .. } => add(answer, RETRY_AFTER, "1"),
        // The rest of the body was not read.
        Deny::Limited { limit: Limit::Bodies, seconds, .. } => {
            add(add(answer, RETRY_AFTER, &seconds.to_string()), CONNECTION, "close")
        }
        Deny::Limited { seconds, .. }
        | Deny::Budget { seconds, .. }
        | Deny::PeerLimited { seconds, .. }
        | Deny::Probes { seconds, .. }
        | Deny::Queue { seconds, .. } => add(answer, RETRY_AFTER, &seconds.to_string()),
        Deny::Crowded => add(add(answer, RETRY_AFTER, "1"), CONNECTION, "close"),
        // The oldest challenge has run out by then.
        Deny::SignInOften(_) => add(answer, RETRY_AFTER, "120"),
        // A restart takes some seconds.
        Deny::Stopping | Deny::IssuerAway => add(answer, RETRY_AFTER, "5"),
        // The rest of such a body must not be read as the next request.
        Deny::Slow | Deny::TooLarge | Deny::BrokenOff => add(answer, CONNECTION, "close"),
        _ => answer,
    }
}
