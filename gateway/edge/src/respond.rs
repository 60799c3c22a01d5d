//! Building HTTP responses: the headers that every one carries. Knows nothing of what is in them.

use crate::deny::Deny;
use crate::seats::Busy;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// What goes out.
pub type Answer = Response<AnswerBody>;

/// A body that is there, or that comes event by event.
pub struct AnswerBody {
    content: Content,
    /// The connection works until this was sent.
    busy: Option<Busy>,
}

enum Content {
    /// Known from the start.
    Whole(Full<Bytes>),
    /// Ends when its sender is dropped.
    Events(mpsc::Receiver<Bytes>),
}

impl AnswerBody {
    fn whole(body: Bytes) -> Self {
        Self { content: Content::Whole(Full::new(body)), busy: None }
    }

    /// Keeps this until the body was sent.
    pub fn hold(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().content {
            Content::Whole(body) => Pin::new(body).poll_frame(cx),
            Content::Events(events) => {
                events.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(body) => body.is_end_stream(),
            Content::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(body) => body.size_hint(),
            Content::Events(_) => SizeHint::default(),
        }
    }
}

/// A response with a body of this type.
pub fn with(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    answer(status, media, AnswerBody::whole(body.into()))
}

fn answer(status: StatusCode, media: &'static str, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    // Answers belong to one caller: no proxy may keep them, and no browser may take them for a
    // page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A JSON response.
pub fn json(status: StatusCode, value: &Value) -> Answer {
    with(status, "application/json", value.to_string())
}

/// An event stream (WHATWG HTML, server-sent events): each item is one or more whole events.
pub fn events(events: mpsc::Receiver<Bytes>) -> Answer {
    let answer = answer(
        StatusCode::OK,
        "text/event-stream",
        AnswerBody { content: Content::Events(events), busy: None },
    );
    // Known to proxies that would hold events back until the stream ends.
    add(answer, HeaderName::from_static("x-accel-buffering"), "no")
}

/// A text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(status, "text/plain; charset=utf-8", body)
}

/// 202 without a body: a notification was taken.
pub fn accepted() -> Answer {
    bodiless(StatusCode::ACCEPTED)
}

/// 204: there is nothing to say.
pub fn empty() -> Answer {
    bodiless(StatusCode::NO_CONTENT)
}

fn bodiless(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::whole(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Adds a header whose value is made at run time.
pub fn add(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Adds the headers that a refusal of this kind has on every path.
pub fn refusing(answer: Answer, deny: &Deny) -> Answer {
    match deny {
        Deny::Verb(verb) => add(answer, ALLOW, verb),
        Deny::Busy | Deny::Share { .. } => add(answer, RETRY_AFTER, "1"),
        Deny::Crowded => add(add(answer, RETRY_AFTER, "1"), CONNECTION, "close"),
        // A restart takes some seconds.
        Deny::Stopping => add(answer, RETRY_AFTER, "5"),
        // What is left of such a body must not be read as the next request.
        Deny::Slow | Deny::TooLarge | Deny::BrokenOff => add(answer, CONNECTION, "close"),
        _ => answer,
    }
}
