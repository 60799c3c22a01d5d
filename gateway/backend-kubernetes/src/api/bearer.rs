//! The token of a connection for a ServiceAccount. Requests the first one at once, another before it
//! expires, and when the server rejects it. Keeps it in memory alone, and never prints it.

use super::{ApiError, Cluster, Mode, until_clear};
use crate::review::{TOKEN_SECONDS, token_request};
use k8s_openapi::api::authentication::v1::BoundObjectReference;
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token is renewed after half its time, so that no request begins with one that is about to end.
const RENEW: Duration = Duration::from_secs(TOKEN_SECONDS as u64 / 2);

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

/// Boxed, because a request for a token is itself a request of a connection.
type Given<'a> = Pin<Box<dyn Future<Output = Result<String, ApiError>> + Send + 'a>>;

impl Bearer {
    /// For the ServiceAccount with this subresource `token`. Its tokens end with the object that
    /// they are bound to.
    pub fn new(issuer: Cluster, path: String, bound: BoundObjectReference) -> Self {
        let request = token_request(Some(bound), &[]);
        Self(Arc::new(Account { issuer, path, request, held: Mutex::new(None) }))
    }

    /// A token that is valid for a while, and not the given one, which the server rejected. On an
    /// error nothing was sent with the identity.
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

/// The error of a request that was not sent, since no token was issued. An absent or different
/// object is here the ServiceAccount or the object that its tokens are bound to, never the target
/// of the request.
fn unasked(error: ApiError) -> ApiError {
    match error {
        ApiError::Unclear(why) => ApiError::Unreachable(why),
        gone if gone.is_not_found() || gone.is_conflict() => {
            ApiError::Unreachable(format!("the job has no identity any more: {gone}"))
        }
        other => other,
    }
}
