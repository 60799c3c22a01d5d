//! Requests of one identity to the API server, each with a deadline and few retries. A result says
//! whether the request may have had an effect. Never uses discovery, never opens exec, attach or
//! port-forward, and sends no request that its gate does not name.
//!
//! | file | what |
//! |---|---|
//! | `api/answer.rs` | what an answer means, and what none means |
//! | `api/bearer.rs` | a token that is asked for again |
//! | `api/gate.rs` | what may be asked for at all |

mod answer;
mod bearer;
mod gate;
mod send;

pub use answer::ApiError;
pub use bearer::Bearer;
pub use gate::Gate;
pub use send::until_clear;

use self::send::{Asked, GIVEN_UP, LOOK, read};

use super::credential::Credential;
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the API server may work on a write if nothing else is configured: its own
/// `--request-timeout` by default.
const WRITE: Duration = Duration::from_secs(60);

/// The connection of one identity to the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    gate: Option<Gate>,
    /// The source of tokens, if they are not the credential's own.
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
    /// The write has its effect.
    Real,
    /// The server returns the result, and nothing changes.
    DryRun,
}

/// The field manager of a server-side apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manager<'a> {
    /// The name of the field manager.
    pub name: &'a str,
    /// True if the apply takes fields over from other managers. Only for objects of Cofferdam.
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
    /// The object of this UID, if the UID is known.
    pub fn uid(uid: Option<&'a str>) -> Self {
        uid.map_or(Self::Any, Self::Uid)
    }
}

/// The bound of a list: objects per page, and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Objects of a page.
    pub page: u32,
    /// The number of pages to read.
    pub pages: u32,
}

impl Cluster {
    /// Connects lazily: nothing is sent yet. Needs a running `tokio`.
    pub fn connect(credential: &Credential) -> Result<Self, ApiError> {
        Self::of(credential.config())
    }

    /// Connects to the same server as another identity, which may send only the requests of the
    /// gate.
    pub fn connect_as(
        credential: &Credential,
        token: String,
        gate: Option<Gate>,
    ) -> Result<Self, ApiError> {
        Ok(Self { gate, ..Self::of(credential.with_token(token))? })
    }

    /// Connects with tokens that are renewed before they expire, and when the server rejects one.
    pub fn connect_for(
        credential: &Credential,
        bearer: Bearer,
        gate: Option<Gate>,
    ) -> Result<Self, ApiError> {
        Ok(Self { gate, bearer: Some(bearer), ..Self::of(credential.without_identity())? })
    }

    /// Connects with impersonation of another user in each request. The API server checks the right
    /// to it, and adds the groups.
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
            Client::try_from(config).map_err(|error| ApiError::Unreachable(error.to_string()))?;
        Ok(Self { client, gate: None, bearer: None, write: WRITE })
    }

    /// The same connection with another time limit for each write, in whole seconds. Each write
    /// tells the API server the limit. The server ends a longer one, also earlier if its own
    /// `--request-timeout` is shorter.
    #[must_use]
    pub fn with_write_time(self, write: Duration) -> Self {
        // To the server, none at all would mean its own.
        Self { write: write.max(Duration::from_secs(1)), ..self }
    }

    /// How long the API server works on a write at most.
    pub fn write_time(&self) -> Duration {
        self.write
    }

    /// Requests the first token, so that the identity is known to work.
    pub async fn identify(&self) -> Result<(), ApiError> {
        self.token().await.map(drop)
    }

    /// One object; none when it is not there.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.ask(&Method::GET, path, "", None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
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

    /// Lists a collection page by page. Returns the kept part of each object, and whether there are
    /// more pages than the limit. If the server no longer has the state of the first page, the list
    /// begins again with the pages that remain.
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
                Err(error) if error.is_expired() && next.is_some() => {
                    found.clear();
                    next = None;
                }
                Err(error) => return Err(error),
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
            // The server reads the options of a delete from the body alone if there is one:
            // `dryRun` in the query alone would be a real delete. The query has it for the audit
            // log, which has no bodies.
            if mode == Mode::DryRun {
                map.insert("dryRun".to_owned(), json!(["All"]));
            }
        }
        match self
            .write(Method::DELETE, path, String::new(), ("application/json", &options), mode)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a write. `query` ends with `&` or is empty. The request carries the write time of this
    /// connection as its `timeout`; the server stops the write after it. After the response, or
    /// after the deadline here, the write has no further effect.
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
