//! One identity's requests to the API server: each with a deadline, few retries, and an answer that says whether anything can have happened. Never
//! follows discovery, never opens exec, attach or port-forward, and asks nothing that its gate does not name.

use super::credential::Credential;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A request takes no longer, answer included.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of one answer: the server's own limit of an object is 1.5 MiB, of a list page many.
const ANSWER: usize = 16 * 1024 * 1024;

/// How often a request that certainly did nothing is asked again.
const ATTEMPTS: u32 = 4;

/// The first pause before asking again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause a server may ask for.
const LONGEST: Duration = Duration::from_secs(5);

/// Characters of the server's words that are passed on.
const WORDS: usize = 600;

/// What the server says, with status 500, to an object that is not of its kind's form (`structured-merge-diff`, through server-side apply).
const UNTYPED: &str = "failed to create typed patch object";

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiFault {
    /// The server said no: nothing happened.
    #[error("the API server refused it ({status} {reason}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The `Status` object's reason: `NotFound`, `Forbidden`, `Conflict`, `Invalid`, …
        reason: String,
        /// Its message, bounded.
        message: String,
    },
    /// Nobody received it: nothing happened.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, and no clear answer came: it may have happened.
    #[error("the API server gave no clear answer: {0}")]
    Unclear(String),
    /// This side does not ask for that: nothing was sent.
    #[error("the request {0} is outside what this job may ask for")]
    Gated(String),
}

impl ApiFault {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }

    /// Whether it says that the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether it says that the object is another, or in another state.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Whether the identity may not do this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Whether it may have happened all the same.
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::Unclear(_))
    }
}

/// What one identity may ask for: method and path, exactly. Paths that end in `/` allow everything beneath.
#[derive(Debug, Clone, Default)]
pub struct Gate(BTreeSet<(String, String)>);

impl Gate {
    /// Allows one more.
    #[must_use]
    pub fn allow(mut self, method: &Method, path: impl Into<String>) -> Self {
        self.0.insert((method.to_string(), path.into()));
        self
    }

    pub(super) fn permits(&self, method: &Method, path: &str) -> bool {
        self.0.iter().any(|(verb, allowed)| {
            verb == method.as_str() && (allowed == path || (allowed.ends_with('/') && path.starts_with(allowed.as_str())))
        })
    }
}

/// One identity's connection.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    gate: Option<Gate>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What the server answered.
struct Answer {
    status: StatusCode,
    /// How long it asks to be left alone.
    retry_after: Option<Duration>,
    bytes: Vec<u8>,
}

/// How a write is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It happens.
    Real,
    /// The server answers what would happen; nothing does.
    DryRun,
}

/// Who owns the fields that a server-side apply sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manager<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it takes fields over from others: only for objects that are this software's own.
    pub force: bool,
}

impl Cluster {
    /// Connects lazily: nothing is sent yet. Needs a running `tokio`.
    pub fn connect(credential: &Credential) -> Result<Self, ApiFault> {
        Self::of(credential.config())
    }

    /// The same server as somebody else, who may ask for what the gate names alone.
    pub fn connect_as(credential: &Credential, token: String, gate: Option<Gate>) -> Result<Self, ApiFault> {
        let mut cluster = Self::of(credential.with_token(token))?;
        cluster.gate = gate;
        Ok(cluster)
    }

    fn of(config: kube::Config) -> Result<Self, ApiFault> {
        let client = Client::try_from(config).map_err(|fault| ApiFault::Unreachable(fault.to_string()))?;
        Ok(Self { client, gate: None })
    }

    /// One object; none when it is not there.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiFault> {
        match self.ask(&Method::GET, path, "", None).await {
            Ok(object) => Ok(Some(object)),
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// A collection's objects, at most `limit`, and whether there are more. The selector is a label selector, empty for all.
    pub async fn list(&self, path: &str, selector: &str, limit: u32) -> Result<(Vec<Value>, bool), ApiFault> {
        let query = format!("limit={limit}&labelSelector={}", escape(selector));
        let mut list = self.ask(&Method::GET, path, &query, None).await?;
        let more = list.pointer("/metadata/continue").and_then(Value::as_str).is_some_and(|token| !token.is_empty());
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok((items, more)),
            _ => Err(ApiFault::Unclear("a list without items".to_owned())),
        }
    }

    /// Plain text, such as a log, with this query.
    pub async fn text(&self, path: &str, query: &str) -> Result<String, ApiFault> {
        let Answer { status, bytes, .. } = self.exchange(&Method::GET, path, query, None).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() { Ok(text) } else { Err(refusal(status, &bytes)) }
    }

    /// Server-side apply of one object. Answers the object as it is then.
    pub async fn apply(&self, path: &str, object: &Value, manager: Manager<'_>, mode: Mode) -> Result<Value, ApiFault> {
        let query = format!("fieldManager={}&force={}&fieldValidation=Strict{}", escape(manager.name), manager.force, dry(mode));
        // JSON is YAML; server-side apply has no other media type (KEP-555).
        self.ask(&Method::PATCH, path, &query, Some(("application/apply-patch+yaml", object))).await
    }

    /// JSON Patch (RFC 6902) of one object. Answers the object as it is then.
    pub async fn patch(&self, path: &str, patch: &Value, manager: &str, mode: Mode) -> Result<Value, ApiFault> {
        let query = format!("fieldManager={}&fieldValidation=Strict{}", escape(manager), dry(mode));
        self.ask(&Method::PATCH, path, &query, Some(("application/json-patch+json", patch))).await
    }

    /// Creates one object, or asks a subresource such as `token`.
    pub async fn create(&self, path: &str, object: &Value, mode: Mode) -> Result<Value, ApiFault> {
        let query = format!("fieldValidation=Strict{}", dry(mode));
        self.ask(&Method::POST, path, &query, Some(("application/json", object))).await
    }

    /// Deletes one object in the background, of this UID only. One that is not there any more is deleted.
    pub async fn delete(&self, path: &str, uid: Option<&str>, mode: Mode) -> Result<(), ApiFault> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(map) = options.as_object_mut() {
            if let Some(uid) = uid {
                map.insert("preconditions".to_owned(), json!({"uid": uid}));
            }
            // Of a delete the server reads its options from the body alone once there is one: in the query this would be a real delete.
            if mode == Mode::DryRun {
                map.insert("dryRun".to_owned(), json!(["All"]));
            }
        }
        // In the query for the audit log, which has no bodies.
        let query = dry(mode).trim_start_matches('&');
        match self.ask(&Method::DELETE, path, query, Some(("application/json", &options))).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_not_found() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// One request, asked again where it certainly did nothing.
    pub async fn ask(&self, method: &Method, path: &str, query: &str, body: Option<(&str, &Value)>) -> Result<Value, ApiFault> {
        let reads = method == Method::GET;
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let mut wait = pause;
            let answer = match self.exchange(method, path, query, body).await {
                Ok(Answer { status, bytes, .. }) if status.is_success() => {
                    return serde_json::from_slice(&bytes).map_err(|fault| ApiFault::Unclear(format!("the answer is no JSON: {fault}")));
                }
                Ok(Answer { status, bytes, retry_after }) => {
                    wait = retry_after.unwrap_or_default().clamp(pause, LONGEST);
                    (Some(status), refusal(status, &bytes))
                }
                Err(fault) => (None, fault),
            };
            let again = match &answer {
                // 429 is said before anything is done (API priority and fairness).
                (Some(status), _) => *status == StatusCode::TOO_MANY_REQUESTS || (reads && status.is_server_error()),
                (None, ApiFault::Unreachable(_)) => true,
                (None, fault) => reads && fault.is_unclear(),
            };
            if !again || attempt == ATTEMPTS {
                return Err(answer.1);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
            attempt += 1;
        }
    }

    async fn exchange(&self, method: &Method, path: &str, query: &str, body: Option<(&str, &Value)>) -> Result<Answer, ApiFault> {
        if let Some(gate) = &self.gate
            && !gate.permits(method, path)
        {
            return Err(ApiFault::Gated(format!("{method} {path}")));
        }
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(method).uri(uri).header("accept", "application/json, */*");
        let bytes = match body {
            Some((kind, value)) => {
                request = request.header("content-type", kind);
                value.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let request = request.body(Body::from(bytes)).map_err(|fault| ApiFault::Gated(format!("cannot be made: {fault}")))?;
        let span = tracing::info_span!("kubernetes", otel.kind = "client", http.request.method = %method, url.path = path, http.response.status_code = tracing::field::Empty);
        let work = async {
            let response = self.client.send(request).await.map_err(|fault| sent(&fault))?;
            let status = response.status();
            tracing::Span::current().record("http.response.status_code", status.as_u16());
            let retry_after = retry_after(response.headers());
            let bytes = Limited::new(response.into_body(), ANSWER).collect().await;
            let bytes = bytes.map_err(|fault| ApiFault::Unclear(format!("the answer broke off: {fault}")))?.to_bytes();
            Ok(Answer { status, retry_after, bytes: bytes.to_vec() })
        };
        let work = tracing::Instrument::instrument(work, span);
        match tokio::time::timeout(DEADLINE, work).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiFault::Unclear(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }
}

/// How long an answer asks to be left alone: in whole seconds, which is the form that API servers use (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Whether a transport's fault means that nobody received the request.
fn sent(fault: &kube::Error) -> ApiFault {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(fault);
    let mut words = Vec::new();
    let mut refused = matches!(fault, kube::Error::Auth(_));
    while let Some(inner) = source {
        words.push(inner.to_string());
        // Connecting is all that the operating system refuses in this way: nothing was sent on a connection that never was.
        refused |= inner.downcast_ref::<std::io::Error>().is_some_and(|io| {
            matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable
            )
        });
        source = inner.source();
    }
    words.dedup();
    let words = bounded(&words.join(": "));
    if refused { ApiFault::Unreachable(words) } else { ApiFault::Unclear(words) }
}

/// What a status other than success means: below 500 the server decided; from 500 on it may have been done all the same.
fn refusal(status: StatusCode, body: &[u8]) -> ApiFault {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| read.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = if word("message").is_empty() { String::from_utf8_lossy(body).into_owned() } else { word("message").to_owned() };
    // The server has no status of its own for an applied object that does not have its kind's fields: it says 500 (seen on 1.36).
    if message.contains(UNTYPED) {
        return ApiFault::Refused { status: 422, reason: "Invalid".to_owned(), message: bounded(&message) };
    }
    if status.is_server_error() {
        return ApiFault::Unclear(bounded(&format!("{status}: {message}")));
    }
    ApiFault::Refused { status: status.as_u16(), reason: bounded(word("reason")), message: bounded(&message) }
}

fn bounded(words: &str) -> String {
    words.chars().take(WORDS).collect()
}

fn dry(mode: Mode) -> &'static str {
    match mode {
        Mode::Real => "",
        Mode::DryRun => "&dryRun=All",
    }
}

/// A query value, percent-encoded (RFC 3986): everything but unreserved characters.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, message: &str, expect: &ApiFault) {
        let body = json!({"kind": "Status", "reason": "Said", "message": message}).to_string();
        assert_eq!(&refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes()), expect);
    }

    #[test]
    fn an_answer_says_whether_anything_can_have_happened() {
        let refused =
            |status, reason: &str, message: &str| ApiFault::Refused { status, reason: reason.to_owned(), message: message.to_owned() };
        check(403, "no", &refused(403, "Said", "no"));
        check(409, "another", &refused(409, "Said", "another"));
        check(429, "later", &refused(429, "Said", "later"));
        check(500, "broken", &ApiFault::Unclear("500 Internal Server Error: broken".to_owned()));
        check(504, "late", &ApiFault::Unclear("504 Gateway Timeout: late".to_owned()));
        let untyped = format!("{UNTYPED} (/d; /v1, Kind=ConfigMap): .data.a: expected string");
        check(500, &untyped, &refused(422, "Invalid", &untyped));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_read_in_seconds() {
        for (said, expect) in [("3", Some(3)), ("0", Some(0)), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, header::HeaderValue::from_static(said))]);
            assert_eq!(retry_after(&headers), expect.map(Duration::from_secs), "{said}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_gate_is_exact() {
        let gate = Gate::default().allow(&Method::GET, "/api/v1/namespaces/a/pods/x").allow(&Method::PATCH, "/apis/");
        for (method, path, expect) in [
            (Method::GET, "/api/v1/namespaces/a/pods/x", true),
            (Method::GET, "/api/v1/namespaces/a/pods/xy", false),
            (Method::GET, "/api/v1/namespaces/a/pods/x/log", false),
            (Method::DELETE, "/api/v1/namespaces/a/pods/x", false),
            (Method::PATCH, "/apis/apps/v1", true),
        ] {
            assert_eq!(gate.permits(&method, path), expect, "{method} {path}");
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escape("a=b,c d/\u{e4}"), "a%3Db%2Cc%20d%2F%C3%A4");
    }
}
