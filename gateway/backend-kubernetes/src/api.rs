//! One identity's requests to the API server: each with a deadline, few retries, and an answer that
//! says whether anything can have happened. Never follows discovery, never opens exec, attach or
//! port-forward, and asks nothing that its gate does not name.
//!
//! | file | what |
//! |---|---|
//! | `api/answer.rs` | what an answer means, and what none means |
//! | `api/bearer.rs` | a token that is asked for again |
//! | `api/gate.rs` | what may be asked for at all |

mod answer;
mod bearer;
mod gate;

pub use answer::ApiError;
pub use bearer::Bearer;
pub use gate::Gate;

use super::credential::Credential;
use answer::{Answer, refusal, retry_after, sent};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::time::Duration;

/// A look, or a dry run, takes no longer, answer included.
const LOOK: Duration = Duration::from_secs(20);

/// How long the API server may work on a write if nothing else is configured: its own
/// `--request-timeout` by default.
const WRITE: Duration = Duration::from_secs(60);

/// How long the answer may take that the server gave a write up: until then it is not certain that
/// it will not happen.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// Bytes of one answer: the server's own limit of an object is 1.5 MiB, of a list page many.
const ANSWER: usize = 16 * 1024 * 1024;

/// How often a request that certainly did nothing is asked again.
const ATTEMPTS: u32 = 4;

/// How often a request that a second time changes nothing is asked for, while no clear answer
/// comes.
const TRIES: u32 = 3;

/// The first pause before asking again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause a server may ask for.
const LONGEST: Duration = Duration::from_secs(5);

/// One identity's connection.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    gate: Option<Gate>,
    /// Whose tokens it asks with, where they are not its credential's own.
    bearer: Option<Bearer>,
    write: Duration,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("gate", &self.gate).finish_non_exhaustive()
    }
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

/// Which object of a name a delete is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only<'a> {
    /// Whatever has the name.
    Any,
    /// The one of this UID.
    Uid(&'a str),
    /// The one of this UID, in this version.
    State(&'a str, &'a str),
}

impl<'a> Only<'a> {
    /// The one of this UID, where it is known.
    pub fn uid(uid: Option<&'a str>) -> Self {
        uid.map_or(Self::Any, Self::Uid)
    }
}

/// How far a list is followed: so many objects at a time, so many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Objects of a page.
    pub page: u32,
    /// Pages.
    pub pages: u32,
}

/// One request.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    query: String,
    body: Option<(&'a str, &'a Value)>,
    /// Sending and answer together take no longer.
    deadline: Duration,
}

impl Cluster {
    /// Connects lazily: nothing is sent yet. Needs a running `tokio`.
    pub fn connect(credential: &Credential) -> Result<Self, ApiError> {
        Self::of(credential.config())
    }

    /// The same server as another identity, which may ask only for what the gate names.
    pub fn connect_as(
        credential: &Credential,
        token: String,
        gate: Option<Gate>,
    ) -> Result<Self, ApiError> {
        Ok(Self { gate, ..Self::of(credential.with_token(token))? })
    }

    /// The same with tokens that are asked for again before they end, and when the server no longer
    /// accepts one.
    pub fn connect_for(
        credential: &Credential,
        bearer: Bearer,
        gate: Option<Gate>,
    ) -> Result<Self, ApiError> {
        Ok(Self { gate, bearer: Some(bearer), ..Self::of(credential.without_identity())? })
    }

    /// The same connection, which says at each request that it acts as another user; the API server
    /// asks whether it may. Groups are the server's to know.
    pub fn impersonating(
        credential: &Credential,
        user: &str,
        gate: Option<Gate>,
    ) -> Result<Self, ApiError> {
        let mut cluster = Self::of(credential.as_user(user))?;
        cluster.gate = gate;
        Ok(cluster)
    }

    fn of(config: kube::Config) -> Result<Self, ApiError> {
        let client =
            Client::try_from(config).map_err(|fault| ApiError::Unreachable(fault.to_string()))?;
        Ok(Self { client, gate: None, bearer: None, write: WRITE })
    }

    /// The same, which gives the API server this long for each write: it is told so with each, and
    /// ends what takes longer; sooner, where its own `--request-timeout` is shorter. Whole
    /// seconds.
    #[must_use]
    pub fn within(self, write: Duration) -> Self {
        // To the server, none at all would mean its own.
        Self { write: write.max(Duration::from_secs(1)), ..self }
    }

    /// How long the API server works on a write at most.
    pub fn write_time(&self) -> Duration {
        self.write
    }

    /// Takes its identity on: there is a token to ask with.
    pub async fn identify(&self) -> Result<(), ApiError> {
        self.token().await.map(drop)
    }

    /// One object; none when it is not there.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.ask(&Method::GET, path, "", None).await {
            Ok(object) => Ok(Some(object)),
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// A collection's objects, at most `limit`, and whether there are more. The selector is a label
    /// selector, empty for all.
    pub async fn list(
        &self,
        path: &str,
        selector: &str,
        limit: u32,
    ) -> Result<(Vec<Value>, bool), ApiError> {
        let (items, next) = self.page(path, selector, limit, None).await?;
        Ok((items, next.is_some()))
    }

    /// What is to be kept of a collection's objects, page by page, and whether there are more than
    /// that many pages. Where the server does not keep the state any more in which the list
    /// began, it begins again, on what is left of the pages.
    pub async fn list_all(
        &self,
        path: &str,
        selector: &str,
        extent: Extent,
        keep: impl Fn(Value) -> Value + Send,
    ) -> Result<(Vec<Value>, bool), ApiError> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..extent.pages {
            match self.page(path, selector, extent.page, next.as_deref()).await {
                Ok((items, more)) => {
                    found.extend(items.into_iter().map(&keep));
                    next = more;
                    if next.is_none() {
                        return Ok((found, false));
                    }
                }
                Err(fault) if fault.is_expired() && next.is_some() => {
                    found.clear();
                    next = None;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok((found, true))
    }

    /// One page of a list, and where the next begins.
    async fn page(
        &self,
        path: &str,
        selector: &str,
        limit: u32,
        from: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>), ApiError> {
        let from = from.map(|token| format!("&continue={}", escape(token))).unwrap_or_default();
        let query = format!("limit={limit}&labelSelector={}{from}", escape(selector));
        let mut list = self.ask(&Method::GET, path, &query, None).await?;
        let next = list
            .pointer("/metadata/continue")
            .and_then(Value::as_str)
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok((items, next)),
            _ => Err(ApiError::Unclear("a list without items".to_owned())),
        }
    }

    /// Plain text, such as a log, with this query.
    pub async fn text(&self, path: &str, query: &str) -> Result<String, ApiError> {
        let asked = Asked {
            method: Method::GET,
            path,
            query: query.to_owned(),
            body: None,
            deadline: LOOK,
        };
        Ok(String::from_utf8_lossy(&self.send(&asked).await?).into_owned())
    }

    /// Server-side apply of one object. Answers the object as it is then.
    pub async fn apply(
        &self,
        path: &str,
        object: &Value,
        manager: Manager<'_>,
        mode: Mode,
    ) -> Result<Value, ApiError> {
        let query = format!(
            "fieldManager={}&force={}&fieldValidation=Strict&",
            escape(manager.name),
            manager.force
        );
        // JSON is YAML; server-side apply has no other media type (KEP-555).
        self.write(Method::PATCH, path, query, ("application/apply-patch+yaml", object), mode).await
    }

    /// JSON Patch (RFC 6902) of one object. Answers the object as it is then.
    pub async fn patch(
        &self,
        path: &str,
        patch: &Value,
        manager: &str,
        mode: Mode,
    ) -> Result<Value, ApiError> {
        let query = format!("fieldManager={}&fieldValidation=Strict&", escape(manager));
        self.write(Method::PATCH, path, query, ("application/json-patch+json", patch), mode).await
    }

    /// Creates one object, or asks a subresource such as `token`.
    pub async fn create(&self, path: &str, object: &Value, mode: Mode) -> Result<Value, ApiError> {
        self.write(
            Method::POST,
            path,
            "fieldValidation=Strict&".to_owned(),
            ("application/json", object),
            mode,
        )
        .await
    }

    /// Deletes one object in the background. One that is not there any more is deleted.
    pub async fn delete(&self, path: &str, only: Only<'_>, mode: Mode) -> Result<(), ApiError> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(map) = options.as_object_mut() {
            let preconditions = match only {
                Only::Any => None,
                Only::Uid(uid) => Some(json!({"uid": uid})),
                Only::State(uid, version) => Some(json!({"uid": uid, "resourceVersion": version})),
            };
            map.extend(
                preconditions.map(|preconditions| ("preconditions".to_owned(), preconditions)),
            );
            // Of a delete the server reads its options from the body alone once there is one: in
            // the query this would be a real delete. There it stands for the audit log,
            // which has no bodies.
            if mode == Mode::DryRun {
                map.insert("dryRun".to_owned(), json!(["All"]));
            }
        }
        match self
            .write(Method::DELETE, path, String::new(), ("application/json", &options), mode)
            .await
        {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_not_found() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// A write. The query ends where more can follow. What happens is given the time that this
    /// connection gives, and the server is told so: it ends by itself what takes longer, and
    /// after its answer, or in its place after this side's own deadline, nothing of it can come any
    /// more.
    async fn write(
        &self,
        method: Method,
        path: &str,
        query: String,
        body: (&str, &Value),
        mode: Mode,
    ) -> Result<Value, ApiError> {
        let (last, deadline) = match mode {
            Mode::DryRun => ("dryRun=All".to_owned(), LOOK),
            Mode::Real => (format!("timeout={}s", self.write.as_secs()), self.write + GIVEN_UP),
        };
        read(
            &self
                .send(&Asked { method, path, query: query + &last, body: Some(body), deadline })
                .await?,
        )
    }

    /// One request as it stands, with a look's deadline; asked again where it certainly did
    /// nothing.
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

    /// The token to ask with, where it is not the credential's own.
    async fn token(&self) -> Result<Option<String>, ApiError> {
        match &self.bearer {
            Some(bearer) => bearer.token(None).await.map(Some),
            None => Ok(None),
        }
    }

    /// One request's answer, asked again where it certainly did nothing.
    async fn send(&self, asked: &Asked<'_>) -> Result<Vec<u8>, ApiError> {
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
            let (status, fault) = match self.exchange(asked, token.as_deref()).await {
                Ok(Answer { status, bytes, .. }) if status.is_success() => return Ok(bytes),
                Ok(Answer { status, bytes, retry_after }) => {
                    wait = retry_after.unwrap_or_default().clamp(pause, LONGEST);
                    (Some(status), refusal(status, &bytes))
                }
                Err(fault) => (None, fault),
            };
            // The server took its token for none and never looked at what was asked. While the
            // identity stands there is another.
            if let (true, false, Some(bearer)) = (fault.is_unauthorized(), renewed, &self.bearer) {
                renewed = true;
                token = Some(bearer.token(token.as_deref()).await.map_err(|_| fault)?);
                continue;
            }
            let again = match (status, &fault) {
                // 429 is said before anything is done (API priority and fairness).
                (Some(status), _) => {
                    status == StatusCode::TOO_MANY_REQUESTS || (reads && status.is_server_error())
                }
                (None, ApiError::Unreachable(_)) => true,
                (None, fault) => reads && fault.is_unclear(),
            };
            if !again || attempt == ATTEMPTS {
                return Err(fault);
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
        let unmade = |fault: http::Error| ApiError::Gated(format!("cannot be made: {fault}"));
        let mut request = request.body(Body::from(bytes)).map_err(unmade)?;
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|fault| unmade(fault.into()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let span = tracing::info_span!("kubernetes", otel.kind = "client", http.request.method = %method, url.path = path, http.response.status_code = tracing::field::Empty);
        let work = async {
            let response = self.client.send(request).await.map_err(|fault| sent(&fault))?;
            let status = response.status();
            tracing::Span::current().record("http.response.status_code", status.as_u16());
            let retry_after = retry_after(response.headers());
            let bytes = Limited::new(response.into_body(), ANSWER).collect().await;
            let bytes = bytes
                .map_err(|fault| ApiError::Unclear(format!("the answer broke off: {fault}")))?
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

/// Asks for what a second time changes nothing, again while no clear answer comes.
pub async fn until_clear<T, F: Future<Output = Result<T, ApiError>>>(
    ask: impl Fn() -> F,
) -> Result<T, ApiError> {
    let mut tries = 1;
    loop {
        match ask().await {
            Err(fault) if fault.is_unclear() && tries < TRIES => tries += 1,
            answer => return answer,
        }
    }
}

/// An answer that has to be JSON.
fn read(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|fault| ApiError::Unclear(format!("the answer is no JSON: {fault}")))
}

/// A query value, percent-encoded (RFC 3986): everything but unreserved characters.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escape("a=b,c d/\u{e4}"), "a%3Db%2Cc%20d%2F%C3%A4");
    }
}
