//! Authenticates callers by access tokens of configured issuers. The checks are in
//! `cofferdam-identity`; here are the keys and the answers of issuers, and how long they are kept.
//! Opens no connection: the courier fetches. Keeps no token, and passes one on for its introspection
//! alone.

mod held_issuer;
mod introspections;

use super::log_rate::LogRate;
use cofferdam_core::journey::ports::Unauthenticated;
use cofferdam_core::model::access::{Authenticated, Credential, TokenRefusal};
use cofferdam_core::model::caller::{Principal, Standing};
use cofferdam_core::protocol::role_settings::OauthSettings;
use cofferdam_identity::{
    Checked, Issuer, Jwt, Refused, Replays, Sender, SettingsError, TOKEN_BYTES, is_jwt,
};
pub use held_issuer::{Away, HeldIssuer};
use introspections::{Introspections, OF_CLIENT, Unanswered};
use jiff::Timestamp;
use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time limit of one answer of the courier.
const ANSWER: Duration = Duration::from_secs(10);

/// The most callers whose last standing is kept.
const CALLERS: usize = 10_000;

/// The path of the MCP endpoint at this server.
const ENDPOINT: &str = "/mcp";

/// What issuers tell, through the role that reaches them. The error is for the log.
pub trait IssuerSource: Clone + Send + Sync + 'static {
    /// The JWK set of an issuer, and the seconds for which it may be kept.
    fn keys(&self, issuer: &str) -> impl Future<Output = Result<(Vec<u8>, u64), String>> + Send;

    /// The issuer's answer about an opaque token (RFC 7662).
    fn introspect(
        &self,
        issuer: &str,
        token: &str,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send;
}

/// The configured issuers.
pub struct Oauth<S> {
    resource: String,
    skew_seconds: i64,
    issuers: Vec<Arc<HeldIssuer>>,
    source: S,
    replays: Replays,
    introspections: Introspections,
    seen: Mutex<HashMap<String, Principal>>,
    refused: LogRate,
    away: LogRate,
}

/// A token that was not accepted.
enum Failed {
    Refused(Refused),
    Away(String),
    /// Too many tokens of the client wait for their issuer.
    Waiting,
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Away> for Failed {
    fn from(Away(cause): Away) -> Self {
        Self::Away(cause)
    }
}

impl From<Unanswered> for Failed {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Away(away) => away.into(),
            Unanswered::Waiting => Self::Waiting,
        }
    }
}

impl<S: IssuerSource> Oauth<S> {
    /// Prepares the check of tokens in a process that started at this time. Fetches nothing yet.
    ///
    /// # Errors
    /// The settings permit an algorithm that no token may have.
    pub fn new(
        settings: &OauthSettings,
        source: S,
        started: Timestamp,
    ) -> Result<Self, SettingsError> {
        let held = |issuer| Arc::new(HeldIssuer::new(issuer));
        Ok(Self {
            resource: settings.resource.clone(),
            skew_seconds: settings.skew_seconds,
            issuers: Issuer::all(settings)?.into_iter().map(held).collect(),
            source,
            replays: Replays::since(started),
            introspections: Introspections::default(),
            seen: Mutex::default(),
            refused: LogRate::default(),
            away: LogRate::default(),
        })
    }

    /// Returns the caller of an access token.
    ///
    /// # Errors
    /// The token is not valid here, its sender does not prove what it is bound to, or its issuer
    /// cannot be reached.
    pub async fn authenticate(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, Unauthenticated> {
        match self.caller(credential, now).await {
            Ok(caller) => {
                self.remember(&caller.principal);
                Ok(caller)
            }
            Err(Failed::Refused(Refused { shown, cause, .. })) => {
                if let Some(kept_back) = self.refused.pass(Instant::now()) {
                    tracing::warn!(
                        what = "access token",
                        why = cause,
                        kept_back,
                        "an access token was refused"
                    );
                }
                Err(Unauthenticated::Refused(shown))
            }
            Err(Failed::Away(cause)) => {
                if let Some(kept_back) = self.away.pass(Instant::now()) {
                    tracing::error!(
                        what = "access token",
                        why = cause,
                        kept_back,
                        "an access token cannot be checked; the request got 503"
                    );
                }
                Err(Unauthenticated::Unavailable)
            }
            Err(Failed::Waiting) => Err(Unauthenticated::Waiting(OF_CLIENT)),
        }
    }

    async fn caller(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, Failed> {
        let token = credential.token.unwrap_or_default();
        let (held, checked) = if is_jwt(token) {
            self.jwt(token, now).await?
        } else {
            self.opaque(token, credential.client, now).await?
        };
        let identity = held.issuer.identity(&checked)?;
        let url = self.url(credential.path);
        let sender = Sender { credential, url: &url, skew_seconds: self.skew_seconds, now };
        // The sender proved it when it opened the stream.
        if !credential.opened {
            sender.proves(&identity.binding, &self.replays)?;
        }
        Ok(Authenticated { principal: identity.principal, access: identity.access })
    }

    async fn jwt(&self, token: &str, now: Timestamp) -> Result<(&HeldIssuer, Checked), Failed> {
        let jwt = Jwt::read(token)?;
        let named = |held: &&Arc<HeldIssuer>| Some(held.issuer.issuer()) == jwt.issuer();
        let held = self.issuers.iter().find(named).ok_or_else(|| Refused {
            shown: TokenRefusal::Unknown,
            cause: "the `iss` of a token is no issuer of the configuration".into(),
            unknown_key: false,
        })?;
        let second = now.as_second();
        let keys = held.keys(&self.source, second).await?;
        let refused = match held.issuer.check(&jwt, &keys, now) {
            Ok(checked) => return Ok((held, checked)),
            Err(refused) => refused,
        };
        if !refused.unknown_key {
            return Err(refused.into());
        }
        let Some(keys) = held.newer_keys(&self.source, &keys, second).await? else {
            return Err(refused.into());
        };
        Ok((held, held.issuer.check(&jwt, &keys, now)?))
    }

    async fn opaque(
        &self,
        token: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(&HeldIssuer, Checked), Failed> {
        let unknown = |cause: &str| Refused {
            shown: TokenRefusal::Unknown,
            cause: cause.into(),
            unknown_key: false,
        };
        let held =
            self.issuers.iter().find(|held| held.issuer.introspects()).ok_or_else(|| {
                unknown("a token is opaque, and no issuer has an `introspection`")
            })?;
        if token.len() > TOKEN_BYTES {
            return Err(unknown("an opaque token is too large").into());
        }
        let answer = self.introspections.ask(held, &self.source, (token, client), now).await?;
        Ok((held, answer?))
    }

    /// The URL of a path, as clients reach it.
    fn url(&self, path: &str) -> String {
        if path.strip_suffix('/').unwrap_or(path) == ENDPOINT {
            return self.resource.clone();
        }
        let base = self.resource.strip_suffix(ENDPOINT).unwrap_or(&self.resource);
        format!("{}{path}", base.trim_end_matches('/'))
    }

    /// The present standing of a caller that was served before. Its token may have ended since, as
    /// tokens do within minutes; the permission of a call that waits for a person is decided again
    /// with its roles. A caller whose roles the configuration no longer gives, or who came with
    /// others since, does not stand as it did.
    pub fn standing(&self, principal: &Principal) -> Standing {
        let issuer = principal.name.split(':').next();
        let Some(held) = self.issuers.iter().find(|held| Some(held.issuer.name()) == issuer) else {
            return Standing::Removed;
        };
        let seen = lock(&self.seen);
        let differs = seen
            .get(&principal.name)
            .is_some_and(|now| now.roles != principal.roles || now.person != principal.person);
        let given = principal.roles.iter().all(|role| held.issuer.gives(role));
        if differs || !given { Standing::Changed } else { Standing::Same }
    }

    fn remember(&self, principal: &Principal) {
        let mut seen = lock(&self.seen);
        if seen.get(&principal.name) == Some(principal) {
            return;
        }
        if seen.len() >= CALLERS {
            seen.clear();
        }
        seen.insert(principal.name.clone(), principal.clone());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
