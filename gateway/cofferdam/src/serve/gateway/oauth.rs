//! Authenticates callers by access tokens of configured issuers. The checks are in
//! `cofferdam-identity`; here are the keys and the answers of issuers, and how long they are kept.
//! Opens no connection: the courier fetches. Keeps no token, and passes one on for its introspection
//! alone.

use super::log_rate::LogRate;
use cofferdam_core::journey::ports::Unauthenticated;
use cofferdam_core::model::access::{Authenticated, Credential, TokenRefusal};
use cofferdam_core::model::caller::{Principal, Standing};
use cofferdam_core::protocol::role_settings::OauthSettings;
use cofferdam_identity::{
    AnswerCache, Checked, Issuer, Jwt, KeyCache, KeySet, Refused, Replays, Sender, SettingsError,
    Step, TOKEN_BYTES, is_jwt,
};
use jiff::Timestamp;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as Turn, Semaphore};

/// The most introspections at once. Any sender can cause one.
const INTROSPECTIONS: usize = 16;

/// The time limit of one answer of the courier.
const ANSWER: Duration = Duration::from_secs(10);

/// The most callers whose last standing is kept.
const CALLERS: usize = 10_000;

/// The path of the MCP endpoint at this server.
const ENDPOINT: &str = "/mcp";

/// What issuers tell, through the role that reaches them. The error is for the log.
pub trait IssuerSource: Send + Sync + 'static {
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
    issuers: Vec<Held>,
    source: S,
    replays: Mutex<Replays>,
    answers: Mutex<AnswerCache>,
    introspecting: Semaphore,
    seen: Mutex<HashMap<String, Principal>>,
    refused: LogRate,
    away: LogRate,
}

/// An issuer with its keys.
struct Held {
    issuer: Issuer,
    keys: Mutex<KeyCache>,
    fetching: Turn<()>,
}

/// A token that was not accepted.
enum Failed {
    Refused(Refused),
    Away(String),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<S: IssuerSource> Oauth<S> {
    /// Prepares the check of tokens. Fetches nothing yet.
    ///
    /// # Errors
    /// The settings permit an algorithm that no token may have.
    pub fn new(settings: &OauthSettings, source: S) -> Result<Self, SettingsError> {
        let held = |issuer| Held { issuer, keys: Mutex::default(), fetching: Turn::default() };
        Ok(Self {
            resource: settings.resource.clone(),
            skew_seconds: settings.skew_seconds,
            issuers: Issuer::all(settings)?.into_iter().map(held).collect(),
            source,
            replays: Mutex::default(),
            answers: Mutex::default(),
            introspecting: Semaphore::new(INTROSPECTIONS),
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
            self.opaque(token, now).await?
        };
        let identity = held.issuer.identity(&checked)?;
        let url = self.url(credential.path);
        let sender = Sender { credential, url: &url, skew_seconds: self.skew_seconds, now };
        sender.proves(&identity.binding, &mut lock(&self.replays))?;
        Ok(Authenticated { principal: identity.principal, access: identity.access })
    }

    async fn jwt(&self, token: &str, now: Timestamp) -> Result<(&Held, Checked), Failed> {
        let jwt = Jwt::read(token)?;
        let named = |held: &&Held| Some(held.issuer.issuer()) == jwt.issuer();
        let held = self.issuers.iter().find(named).ok_or_else(|| Refused {
            shown: TokenRefusal::Unknown,
            cause: "the `iss` of a token is no issuer of the configuration".into(),
            unknown_key: false,
        })?;
        let keys = self.keys(held, now).await?;
        let refused = match held.issuer.check(&jwt, &keys, now) {
            Ok(checked) => return Ok((held, checked)),
            Err(refused) => refused,
        };
        if !refused.unknown_key {
            return Err(refused.into());
        }
        let Some(keys) = self.newer_keys(held, &keys, now).await? else {
            return Err(refused.into());
        };
        Ok((held, held.issuer.check(&jwt, &keys, now)?))
    }

    /// The keys of an issuer. Of many requests that need them, one fetches them.
    async fn keys(&self, held: &Held, now: Timestamp) -> Result<Arc<KeySet>, Failed> {
        let now = now.as_second();
        let step = lock(&held.keys).step(now);
        let known = match step {
            Step::Use(keys) => return Ok(keys),
            Step::Wait => return Err(held.away("its keys could not be fetched a moment ago")),
            Step::Fetch(known) => known,
        };
        // Another request fetches already: keys that are a little old are better than a wait.
        let turn = match (held.fetching.try_lock(), known) {
            (Ok(turn), _) => turn,
            (Err(_), Some(known)) => return Ok(known),
            (Err(_), None) => held.fetching.lock().await,
        };
        let step = lock(&held.keys).step(now);
        let known = match step {
            Step::Use(keys) => return Ok(keys),
            Step::Wait => return Err(held.away("its keys could not be fetched a moment ago")),
            Step::Fetch(known) => known,
        };
        let fetched = self.fetch(held, now).await;
        drop(turn);
        fetched.or_else(|failed| known.ok_or(failed))
    }

    /// Fetches the keys for a token whose key is not there. `None` if they were fetched within the
    /// last minute: an unknown key must not cause a request for each of its tokens.
    async fn newer_keys(
        &self,
        held: &Held,
        known: &Arc<KeySet>,
        now: Timestamp,
    ) -> Result<Option<Arc<KeySet>>, Failed> {
        let now = now.as_second();
        let _turn = held.fetching.lock().await;
        if let Step::Use(keys) = lock(&held.keys).step(now)
            && !Arc::ptr_eq(&keys, known)
        {
            return Ok(Some(keys));
        }
        if !lock(&held.keys).may_look_again(now) {
            return Ok(None);
        }
        // Before the wait: a sender that hangs up meanwhile has used its turn too.
        lock(&held.keys).failed(now);
        self.fetch(held, now).await.map(Some)
    }

    async fn fetch(&self, held: &Held, now: i64) -> Result<Arc<KeySet>, Failed> {
        let answer = tokio::time::timeout(ANSWER, self.source.keys(held.issuer.issuer())).await;
        let read = match answer {
            Ok(Ok((document, seconds))) => KeySet::parse(&document)
                .map(|keys| (Arc::new(keys), seconds))
                .map_err(|error| error.to_string()),
            Ok(Err(cause)) => Err(cause),
            Err(_late) => Err("its keys did not come in time".to_owned()),
        };
        let mut cache = lock(&held.keys);
        match read {
            Ok((keys, seconds)) => {
                cache.fetched(Arc::clone(&keys), seconds, now);
                Ok(keys)
            }
            Err(cause) => {
                cache.failed(now);
                Err(held.away(&cause))
            }
        }
    }

    async fn opaque(&self, token: &str, now: Timestamp) -> Result<(&Held, Checked), Failed> {
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
        let kept = lock(&self.answers).get(token, now);
        if let Some(answer) = kept {
            return Ok((held, answer?));
        }
        let asked = async {
            let _permit = self.introspecting.acquire().await;
            self.source.introspect(held.issuer.issuer(), token).await
        };
        let answer = match tokio::time::timeout(ANSWER, asked).await {
            Ok(answer) => answer.map_err(|cause| held.away(&cause))?,
            Err(_late) => return Err(held.away("its introspection did not answer in time")),
        };
        let checked = held.issuer.check_introspection(&answer, now);
        lock(&self.answers).keep(token, &checked, now);
        Ok((held, checked?))
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

impl Held {
    fn away(&self, cause: &str) -> Failed {
        Failed::Away(format!("the issuer `{}`: {cause}", self.issuer.name()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
