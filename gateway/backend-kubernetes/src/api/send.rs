//! Sends one request: its deadline, retries while it certainly did nothing, renewal of a rejected
//! token. Never retries a write that may have happened.

use super::answer::{Answer, refusal, retry_after, sent};
use super::{ApiError, Cluster};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;
use std::time::Duration;

/// A look, or a dry run, takes no longer, answer included.
pub(super) const LOOK: Duration = Duration::from_secs(20);

/// How long the answer may take that the server gave a write up: until then it is not certain that
/// it will not happen.
pub(super) const GIVEN_UP: Duration = Duration::from_secs(5);

/// Bytes of one answer: the server's own limit of an object is 1.5 MiB, of a list page many.
const ANSWER: usize = 16 * 1024 * 1024;

/// Attempts of a request that certainly had no effect.
const ATTEMPTS: u32 = 4;

/// Attempts of an idempotent request without a clear response.
const TRIES: u32 = 3;

/// The first pause before asking again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause a server may ask for.
const LONGEST: Duration = Duration::from_secs(5);

/// One request with its deadline.
pub(super) struct Asked<'a> {
    pub method: Method,
    pub path: &'a str,
    pub query: String,
    pub body: Option<(&'a str, &'a Value)>,
    /// Sending and answer together take no longer.
    pub deadline: Duration,
}

impl Cluster {
    /// Sends one request as given, with the deadline of a read. Retries it while it certainly had
    /// no effect.
    pub async fn ask(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, ApiError> {
        read(
            &self
                .send(&Asked {
                    method: method.clone(),
                    path,
                    query: query.to_owned(),
                    body,
                    deadline: LOOK,
                })
                .await?,
        )
    }

    /// The token of the source, if the connection has one.
    pub(super) async fn token(&self) -> Result<Option<String>, ApiError> {
        match &self.bearer {
            Some(bearer) => bearer.token(None).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends one request. Retries it while it certainly had no effect.
    pub(super) async fn send(&self, asked: &Asked<'_>) -> Result<Vec<u8>, ApiError> {
        if self.gate.as_ref().is_some_and(|gate| !gate.permits(&asked.method, asked.path)) {
            return Err(ApiError::Gated(format!("{} {}", asked.method, asked.path)));
        }
        let reads = asked.method == Method::GET;
        let mut token = self.token().await?;
        let mut renewed = false;
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let mut wait = pause;
            let (status, error) = match self.exchange(asked, token.as_deref()).await {
                Ok(Answer { status, bytes, .. }) if status.is_success() => return Ok(bytes),
                Ok(Answer { status, bytes, retry_after }) => {
                    wait = retry_after.unwrap_or_default().clamp(pause, LONGEST);
                    (Some(status), refusal(status, &bytes))
                }
                Err(error) => (None, error),
            };
            // The server rejected the token and did not look at the request. The source issues
            // another one.
            if let (true, false, Some(bearer)) = (error.is_unauthorized(), renewed, &self.bearer) {
                renewed = true;
                token = Some(bearer.token(token.as_deref()).await.map_err(|_| error)?);
                continue;
            }
            let again = match (status, &error) {
                // 429 comes before any effect (API priority and fairness).
                (Some(status), _) => {
                    status == StatusCode::TOO_MANY_REQUESTS || (reads && status.is_server_error())
                }
                (None, ApiError::Unreachable(_)) => true,
                (None, error) => reads && error.is_unclear(),
            };
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
            attempt += 1;
        }
    }

    async fn exchange(&self, asked: &Asked<'_>, token: Option<&str>) -> Result<Answer, ApiError> {
        let Asked { method, path, query, body, deadline } = asked;
        let uri = if query.is_empty() { (*path).to_owned() } else { format!("{path}?{query}") };
        let mut request =
            Request::builder().method(method).uri(uri).header("accept", "application/json, */*");
        let bytes = match body {
            Some((kind, value)) => {
                request = request.header("content-type", *kind);
                value.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let unmade = |error: http::Error| ApiError::Gated(format!("cannot be made: {error}"));
        let mut request = request.body(Body::from(bytes)).map_err(unmade)?;
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|error| unmade(error.into()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let span = tracing::info_span!(
            "kubernetes",
            otel.kind = "client",
            http.request.method = %method,
            url.path = path,
            http.response.status_code = tracing::field::Empty,
        );
        let work = async {
            let response = self.client.send(request).await.map_err(|error| sent(&error))?;
            let status = response.status();
            tracing::Span::current().record("http.response.status_code", status.as_u16());
            let retry_after = retry_after(response.headers());
            let bytes = Limited::new(response.into_body(), ANSWER).collect().await;
            let bytes = bytes
                .map_err(|error| ApiError::Unclear(format!("the answer broke off: {error}")))?
                .to_bytes();
            Ok(Answer { status, retry_after, bytes: bytes.to_vec() })
        };
        let work = tracing::Instrument::instrument(work, span);
        match tokio::time::timeout(*deadline, work).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Unclear(format!("no answer within {} s", deadline.as_secs()))),
        }
    }
}

/// Repeats an idempotent request while no clear response comes.
pub async fn until_clear<T, F: Future<Output = Result<T, ApiError>>>(
    ask: impl Fn() -> F,
) -> Result<T, ApiError> {
    let mut tries = 1;
    loop {
        match ask().await {
            Err(error) if error.is_unclear() && tries < TRIES => tries += 1,
            answer => return answer,
        }
    }
}

/// An answer that has to be JSON.
pub(super) fn read(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::Unclear(format!("the answer is no JSON: {error}")))
}
