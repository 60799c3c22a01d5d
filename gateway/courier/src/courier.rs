//! Answers the requests of the gateway: within a time, and so many at once. Logs when an issuer
//! begins to fail and when it answers again, and never a token or a secret.

use crate::http::Http;
use crate::issuer::{Issuer, exchange_form};
use anyhow::{Result, bail};
use cofferdam_core::model::web_address::Place;
use cofferdam_core::protocol::courier::{Fetch, FetchError, Fetched};
use cofferdam_core::protocol::role_settings::IssuerConnection;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Most requests for keys at once: few issuers, and the gateway keeps their keys.
const KEYS: usize = 4;

/// Most requests about tokens at once. More wait, within the time limit: an issuer must not get a
/// flood from here.
const TOKENS: usize = 16;

/// Most requests for sign-ins of people at once. Any program can begin one: more are refused, and
/// take no turn of agents.
const SIGN_INS: usize = 4;

/// The time limits of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// TCP and TLS, each, for each address of a server.
    pub connect: Duration,
    /// The whole request: the wait for its turn, metadata, the response.
    pub whole: Duration,
}

impl Times {
    /// The usual limits: an agent waits for the answer.
    pub const USUAL: Self =
        Self { connect: Duration::from_secs(3), whole: Duration::from_secs(10) };

    /// The limits of a notification: a slow server of mail needs longer, and no agent waits.
    pub const NOTIFICATION: Self =
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(20) };
}

/// The issuers and the way to them.
pub struct Courier {
    http: Http,
    issuers: BTreeMap<String, Issuer>,
    whole: Duration,
    keys: Semaphore,
    tokens: Semaphore,
    sign_ins: Semaphore,
    /// The code of the last failure of each issuer, until it answers again.
    failing: Mutex<BTreeMap<String, &'static str>>,
}

impl Courier {
    /// Reads the secrets of the clients.
    ///
    /// # Errors
    /// A secret cannot be read, or an issuer is named twice.
    pub fn new(
        connections: Vec<IssuerConnection>,
        tls: Arc<ClientConfig>,
        times: Times,
    ) -> Result<Self> {
        let mut issuers = BTreeMap::new();
        for connection in connections {
            let issuer = Issuer::new(connection)?;
            if let Some(twice) = issuers.insert(issuer.name().to_owned(), issuer) {
                bail!("the issuer `{}` is configured twice", twice.name());
            }
        }
        Ok(Self {
            http: Http::new(tls, times.connect),
            issuers,
            whole: times.whole,
            keys: Semaphore::new(KEYS),
            tokens: Semaphore::new(TOKENS),
            sign_ins: Semaphore::new(SIGN_INS),
            failing: Mutex::default(),
        })
    }

    /// The servers that the courier may reach.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.issuers.values().flat_map(Issuer::places)
    }

    /// Answers one request.
    pub async fn fetch(&self, ask: Fetch) -> Fetched {
        let Some(issuer) = self.issuers.get(ask.issuer()) else {
            let shown = cofferdam_core::model::escape::line(ask.issuer());
            let detail = format!("there is no issuer `{shown}`");
            return Fetched::Failed { error: FetchError::NotConfigured { detail } };
        };
        let fetched = timeout(self.whole, self.turn(issuer, &ask)).await.unwrap_or_else(|_| {
            let detail = format!("no response within {} s", self.whole.as_secs());
            Err(FetchError::Unreachable { detail })
        });
        self.say(issuer.name(), fetched.as_ref().err());
        fetched.unwrap_or_else(|error| Fetched::Failed { error })
    }

    async fn turn(&self, issuer: &Issuer, ask: &Fetch) -> Result<Fetched, FetchError> {
        // No semaphore is ever closed, so there is always a turn.
        let _turn = match ask {
            Fetch::Keys { .. } => self.keys.acquire().await.ok(),
            Fetch::Introspect { .. } => self.tokens.acquire().await.ok(),
            Fetch::SignInPage { .. } | Fetch::Exchange { .. } => {
                Some(self.sign_ins.try_acquire().map_err(|_| FetchError::Unreachable {
                    detail: format!("{SIGN_INS} sign-ins of people are in progress already"),
                })?)
            }
        };
        match ask {
            Fetch::Keys { .. } => issuer.keys(&self.http).await,
            Fetch::Introspect { token, .. } => issuer.introspect(&self.http, token).await,
            Fetch::SignInPage { .. } => issuer.sign_in_page(&self.http).await,
            Fetch::Exchange { code, verifier, redirect, .. } => {
                let form = exchange_form(code, verifier, redirect);
                issuer.exchange(&self.http, form).await
            }
        }
    }

    /// Logs the first failure of an issuer, another cause, and the first answer after it.
    fn say(&self, issuer: &str, error: Option<&FetchError>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => {
                if failing.remove(issuer).is_some() {
                    tracing::info!(name = issuer, "the issuer answers again");
                }
            }
            Some(error) => {
                if failing.insert(issuer.to_owned(), error.code()) != Some(error.code()) {
                    tracing::warn!(name = issuer, code = error.code(), "the issuer {error}");
                }
            }
        }
    }
}
