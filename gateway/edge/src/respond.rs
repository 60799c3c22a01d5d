//! Building HTTP responses: the headers that every one carries. Knows nothing of what is in them.

use crate::deny::Deny;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// What goes out.
pub type Answer = Response<Full<Bytes>>;

/// A response with a body of this type.
pub fn with(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    // Answers belong to one caller; nobody between may keep them, and no browser may take them for a page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A JSON response.
pub fn json(status: StatusCode, value: &Value) -> Answer {
    with(status, "application/json", value.to_string())
}

/// A text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(status, "text/plain; charset=utf-8", body)
}

/// 202 without a body: a notification was taken.
pub fn accepted() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::ACCEPTED;
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
        Deny::Busy => add(answer, RETRY_AFTER, "1"),
        // What is left of such a body must not be read as the next request.
        Deny::Slow | Deny::TooLarge | Deny::BrokenOff => add(answer, CONNECTION, "close"),
        _ => answer,
    }
}
