//! The token that a connection asks with on behalf of a ServiceAccount: asked for when there is
//! none, before it ends, and when the server takes it for none any more. Held in memory alone, and
//! never shown.

use super::{ApiError, Cluster, Mode, until_clear};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Seconds a token is good for: the least that API servers give.
const SECONDS: u64 = 600;

/// A token is renewed after half its time, so that no request begins with one that is about to end.
const RENEW: Duration = Duration::from_secs(SECONDS / 2);

/// Whose tokens, and who gives them.
#[derive(Clone)]
pub struct Bearer(Arc<Account>);

struct Account {
    /// The identity that asks for them.
    issuer: Cluster,
    /// Where: the ServiceAccount's `token`.
    path: String,
    request: Value,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: String,
    renew: Instant,
}

/// Boxed: the request for a token is a request like those that it is for.
type Given<'a> = Pin<Box<dyn Future<Output = Result<String, ApiError>> + Send + 'a>>;

impl Bearer {
    /// Of the ServiceAccount whose subresource `token` is there; its tokens end with the object
    /// that they are bound to, `{apiVersion, kind, name, uid}`.
    pub fn new(issuer: Cluster, path: String, bound: &Value) -> Self {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": SECONDS, "boundObjectRef": bound},
        });
        Self(Arc::new(Account { issuer, path, request, held: Mutex::new(None) }))
    }

    /// A token that is good for a while; another one than this, which the server did not take. A
    /// error means that nothing was asked in its name.
    pub fn token<'a>(&'a self, refused: Option<&'a str>) -> Given<'a> {
        Box::pin(async move {
            let mut held = self.0.held.lock().await;
            let good =
                |held: &&Held| Instant::now() < held.renew && refused != Some(held.token.as_str());
            if let Some(held) = held.as_ref().filter(good) {
                return Ok(held.token.clone());
            }
            let renew = Instant::now() + RENEW;
            let answer =
                until_clear(|| self.0.issuer.create(&self.0.path, &self.0.request, Mode::Real))
                    .await
                    .map_err(unasked)?;
            let token = answer.pointer("/status/token").and_then(Value::as_str);
            let token = token
                .ok_or_else(|| {
                    ApiError::Unreachable("a token request was answered without a token".to_owned())
                })?
                .to_owned();
            *held = Some(Held { token: token.clone(), renew });
            Ok(token)
        })
    }
}

/// Whether there is a token now may be unclear; that nothing was asked with it is not. And what is
/// not there, or is another, is the ServiceAccount or what its tokens are bound to: never the
/// object that the token was to be used on.
fn unasked(error: ApiError) -> ApiError {
    match error {
        ApiError::Unclear(why) => ApiError::Unreachable(why),
        gone if gone.is_not_found() || gone.is_conflict() => {
            ApiError::Unreachable(format!("the job has no identity any more: {gone}"))
        }
        other => other,
    }
}
