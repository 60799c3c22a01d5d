//! The meaning of a response of the API server, and of a missing one: could the request have had an
//! effect? Pure; sends nothing.

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use std::time::Duration;

/// Characters of the server's words that are passed on.
const WORDS: usize = 600;

/// The server's text, with status 500, for an object that does not fit its kind
/// (`structured-merge-diff`, through server-side apply).
const UNTYPED: &str = "failed to create typed patch object";

/// The server's text, with status 500, when a webhook that must be asked about a write does not
/// respond (`apiserver/pkg/admission/plugin/webhook`). Admission comes before the store, so nothing
/// was written.
const UNASKED: &str = "failed calling webhook \"";

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The server refused; nothing happened.
    #[error("the API server refused it ({status} {reason}): {message}")]
    Refused {
        /// The HTTP status of the response.
        status: u16,
        /// The `Status` object's reason: `NotFound`, `Forbidden`, `Conflict`, `Invalid`, …
        reason: String,
        /// The message of the server, bounded in length.
        message: String,
    },
    /// The server did not receive it: nothing happened.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, and no clear answer came: it may have happened.
    #[error("the API server gave no clear answer: {0}")]
    Unclear(String),
    /// The gate does not have the request; nothing was sent.
    #[error("the request {0} is outside what this job may ask for")]
    Gated(String),
}

impl ApiError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }

    /// Returns whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Returns whether the object is another one, or in another state.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Returns whether the server forbids the request to this identity.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Returns whether RBAC gives the identity no right to this. Recognised by the words of RBAC,
    /// which admission never uses.
    pub fn is_about_rights(&self) -> bool {
        let is_rbac = |message: &str| {
            message.contains(" is forbidden: User ") && message.contains(" cannot ")
        };
        matches!(self, Self::Refused { status: 403, message, .. } if is_rbac(message))
    }

    /// Returns whether the server rejected the token. It did not look at the request.
    pub fn is_unauthorized(&self) -> bool {
        self.status() == Some(401)
    }

    /// Returns whether the server no longer keeps the requested state of the store.
    pub fn is_expired(&self) -> bool {
        self.status() == Some(410)
    }

    /// Returns whether the server got no response from an admission webhook about a write.
    /// Recognised by the server's own words; the configuration of the webhook has a part of them.
    pub fn is_unasked_webhook(&self) -> bool {
        self.webhook().is_some()
    }

    /// The webhook that the server could not ask.
    pub fn webhook(&self) -> Option<&str> {
        let Self::Unclear(words) = self else { return None };
        words.split_once(UNASKED)?.1.split('"').next().filter(|name| !name.is_empty())
    }

    /// Returns whether the request may have had an effect nevertheless.
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::Unclear(_))
    }
}

/// The response of the server: status, wait and body.
pub(super) struct Answer {
    pub status: StatusCode,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    pub bytes: Vec<u8>,
}

/// How long an answer asks to be left alone: in whole seconds, which is the form that API servers
/// use (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The error of a transport: could the server have received the request?
pub(super) fn sent(error: &kube::Error) -> ApiError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut words = Vec::new();
    let mut refused = matches!(error, kube::Error::Auth(_));
    while let Some(inner) = source {
        words.push(inner.to_string());
        // The operating system gives this error for a connection attempt alone: nothing was sent.
        refused |= inner.downcast_ref::<std::io::Error>().is_some_and(|io| {
            matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionRefused
                    | std::io::ErrorKind::HostUnreachable
                    | std::io::ErrorKind::NetworkUnreachable
            )
        });
        source = inner.source();
    }
    words.dedup();
    let words = bounded(&words.join(": "));
    if refused { ApiError::Unreachable(words) } else { ApiError::Unclear(words) }
}

/// The error for a status other than success. Below 500 the server decided; from 500 on the request
/// may have had an effect.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> ApiError {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| read.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = if word("message").is_empty() {
        String::from_utf8_lossy(body).into_owned()
    } else {
        word("message").to_owned()
    };
    // The server has no status of its own for an applied object with unknown fields: it says 500
    // (seen on 1.36).
    if message.contains(UNTYPED) {
        return ApiError::Refused {
            status: 422,
            reason: "Invalid".to_owned(),
            message: bounded(&message),
        };
    }
    if status.is_server_error() {
        return ApiError::Unclear(bounded(&format!("{status}: {message}")));
    }
    ApiError::Refused {
        status: status.as_u16(),
        reason: bounded(word("reason")),
        message: bounded(&message),
    }
}

fn bounded(words: &str) -> String {
    words.chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(status: u16, message: &str, expect: &ApiError) {
        let body = json!({"kind": "Status", "reason": "Said", "message": message}).to_string();
        assert_eq!(&refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes()), expect);
    }

    #[test]
    fn an_answer_says_whether_anything_can_have_happened() {
        let refused = |status, reason: &str, message: &str| ApiError::Refused {
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        check(403, "no", &refused(403, "Said", "no"));
        check(409, "another", &refused(409, "Said", "another"));
        check(429, "later", &refused(429, "Said", "later"));
        check(500, "broken", &ApiError::Unclear("500 Internal Server Error: broken".to_owned()));
        let unasked = "Internal error occurred: failed calling webhook \"images.example.com\": failed to call webhook: Post \"https://x\": refused";
        let error = refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"message": unasked}).to_string().as_bytes(),
        );
        assert_eq!((error.webhook(), error.is_unclear()), (Some("images.example.com"), true));
        assert_eq!(ApiError::Unclear("500: broken".to_owned()).webhook(), None);
        check(504, "late", &ApiError::Unclear("504 Gateway Timeout: late".to_owned()));
        let untyped = format!("{UNTYPED} (/d; /v1, Kind=ConfigMap): .data.a: expected string");
        check(500, &untyped, &refused(422, "Invalid", &untyped));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_read_in_seconds() {
        for (said, expect) in
            [("3", Some(3)), ("0", Some(0)), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
        {
            let headers = HeaderMap::from_iter([(
                header::RETRY_AFTER,
                header::HeaderValue::from_static(said),
            )]);
            assert_eq!(retry_after(&headers), expect.map(Duration::from_secs), "{said}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
