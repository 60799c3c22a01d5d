//! An issuer with its keys. Of many requests that need them, one fetches them, on a task of its own:
//! a sender that hangs up ends no fetch that others need.

use super::{ANSWER, IssuerSource, lock};
use cofferdam_identity::{IdTokens, Issuer, KeyCache, KeySet, Step};
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// An issuer that cannot be asked. The text is for the log.
pub struct Away(pub String);

/// An issuer whose keys are fetched.
pub trait KeyIssuer: Send + Sync + 'static {
    /// The name for the log.
    fn name(&self) -> &str;
    /// The claim `iss` of its tokens.
    fn issuer(&self) -> &str;
}

impl KeyIssuer for Issuer {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn issuer(&self) -> &str {
        Self::issuer(self)
    }
}

impl KeyIssuer for IdTokens {
    fn name(&self) -> &str {
        Self::issuer(self)
    }

    fn issuer(&self) -> &str {
        Self::issuer(self)
    }
}

/// An issuer with its keys.
pub struct HeldIssuer<I = Issuer> {
    /// The issuer.
    pub issuer: I,
    keys: Mutex<KeyCache>,
    fetching: Arc<Turn<()>>,
}

impl<I: KeyIssuer> HeldIssuer<I> {
    /// An issuer whose keys are not known yet.
    pub fn new(issuer: I) -> Self {
        Self { issuer, keys: Mutex::default(), fetching: Arc::default() }
    }

    /// The error that this issuer cannot be asked.
    pub fn away(&self, cause: &str) -> Away {
        Away(format!("the issuer `{}`: {cause}", self.issuer.name()))
    }

    /// The keys at this second.
    ///
    /// # Errors
    /// There are none, and they cannot be fetched now.
    pub async fn keys(
        self: &Arc<Self>,
        source: &impl IssuerSource,
        now: i64,
    ) -> Result<Arc<KeySet>, Away> {
        let recent = || self.away("its keys could not be fetched a moment ago");
        let step = lock(&self.keys).step(now);
        let known = match step {
            Step::Use(keys) => return Ok(keys),
            Step::Wait => return Err(recent()),
            Step::Fetch(known) => known,
        };
        // Another request fetches already: keys that are a little old are better than a wait.
        let turn = match (Arc::clone(&self.fetching).try_lock_owned(), known) {
            (Ok(turn), _) => turn,
            (Err(_), Some(known)) => return Ok(known),
            (Err(_), None) => Arc::clone(&self.fetching).lock_owned().await,
        };
        let step = lock(&self.keys).step(now);
        let known = match step {
            Step::Use(keys) => return Ok(keys),
            Step::Wait => return Err(recent()),
            Step::Fetch(known) => known,
        };
        self.fetch(turn, source, now).await.or_else(|away| known.ok_or(away))
    }

    /// Fetches the keys for a token whose key is not among the known ones. `None` if this was done
    /// within the last minute: an unknown key must not cause a request for each of its tokens.
    ///
    /// # Errors
    /// They cannot be fetched.
    pub async fn newer_keys(
        self: &Arc<Self>,
        source: &impl IssuerSource,
        known: &Arc<KeySet>,
        now: i64,
    ) -> Result<Option<Arc<KeySet>>, Away> {
        let turn = Arc::clone(&self.fetching).lock_owned().await;
        if let Step::Use(keys) = lock(&self.keys).step(now)
            && !Arc::ptr_eq(&keys, known)
        {
            return Ok(Some(keys));
        }
        if !lock(&self.keys).look_again(now) {
            return Ok(None);
        }
        self.fetch(turn, source, now).await.map(Some)
    }

    async fn fetch(
        self: &Arc<Self>,
        turn: OwnedMutexGuard<()>,
        source: &impl IssuerSource,
        now: i64,
    ) -> Result<Arc<KeySet>, Away> {
        let (held, source) = (Arc::clone(self), source.clone());
        let fetched = tokio::spawn(async move {
            let _turn = turn;
            held.fetch_here(&source, now).await
        });
        fetched.await.unwrap_or_else(|_ended| Err(self.away("its keys could not be fetched")))
    }

    async fn fetch_here(&self, source: &impl IssuerSource, now: i64) -> Result<Arc<KeySet>, Away> {
        let read = match tokio::time::timeout(ANSWER, source.keys(self.issuer.issuer())).await {
            Ok(Ok((document, seconds))) => KeySet::parse(&document)
                .map(|keys| (Arc::new(keys), seconds))
                .map_err(|error| error.to_string()),
            Ok(Err(cause)) => Err(cause),
            Err(_late) => Err("its keys did not come in time".to_owned()),
        };
        let mut cache = lock(&self.keys);
        match read {
            Ok((keys, seconds)) => {
                cache.fetched(Arc::clone(&keys), seconds, now);
                Ok(keys)
            }
            Err(cause) => {
                cache.failed(now);
                Err(self.away(&cause))
            }
        }
    }
}
