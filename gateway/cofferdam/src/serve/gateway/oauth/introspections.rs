//! The issuer's answers about opaque tokens. Requests with the same token wait for one answer, and
//! its introspection is a task of its own: a sender that hangs up ends none, and starts no second
//! one. Keeps no token beyond it.

use super::held_issuer::{Away, HeldIssuer};
use super::{ANSWER, IssuerSource, lock};
use cofferdam_core::model::id::TokenDigest;
use cofferdam_identity::{AnswerCache, Checked, Refused};
use jiff::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// The most introspections at once. Any sender can cause one.
const AT_ONCE: usize = 16;

/// The most introspections that wait or run: more than the issuer answers within the time limit.
const WAITING: usize = 1_024;

/// The most of them for the clients of one network: one client that invents tokens takes little of
/// all.
pub const OF_CLIENT: usize = 32;

/// The answer about a token.
type Answer = Result<Checked, Refused>;

/// An answer, or the cause why there is none.
type Told = Result<Answer, String>;

/// The answers that are kept, and those that are awaited.
pub struct Introspections {
    state: Arc<Mutex<State>>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    answers: AnswerCache,
    asked: HashMap<TokenDigest, Asked>,
}

/// An introspection that is awaited, and the network of the client that caused it.
struct Asked {
    told: watch::Receiver<Option<Told>>,
    client: Option<IpAddr>,
}

/// The cause why there is no answer about a token.
pub enum Unanswered {
    /// The issuer cannot be asked.
    Away(Away),
    /// Too many tokens of this client wait.
    Waiting,
}

impl State {
    /// Returns whether so many tokens of this client wait that no further one is asked for.
    fn is_full_for(&self, client: Option<IpAddr>) -> bool {
        let own = |asked: &&Asked| asked.client == client;
        client.is_some() && self.asked.values().filter(own).count() >= OF_CLIENT
    }
}

impl Default for Introspections {
    fn default() -> Self {
        Self { state: Arc::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Introspections {
    /// The answer of this issuer about a token that a client sent.
    ///
    /// # Errors
    /// The issuer cannot be asked, or too many tokens of the client wait.
    pub async fn ask(
        &self,
        held: &Arc<HeldIssuer>,
        source: &impl IssuerSource,
        (token, client): (&str, Option<IpAddr>),
        now: Timestamp,
    ) -> Result<Answer, Unanswered> {
        let digest = TokenDigest::of(token.as_bytes());
        let mut told = {
            let mut state = lock(&self.state);
            if let Some(answer) = state.answers.get(&digest, now) {
                return Ok(answer);
            }
            match state.asked.get(&digest) {
                Some(asked) => asked.told.clone(),
                None if state.is_full_for(client) => return Err(Unanswered::Waiting),
                None if state.asked.len() >= WAITING => {
                    let away = held.away("too many tokens wait for its introspection");
                    return Err(Unanswered::Away(away));
                }
                None => {
                    let (teller, told) = watch::channel(None);
                    state.asked.insert(digest, Asked { told: told.clone(), client });
                    self.start(held, source, token, (digest, now), teller);
                    told
                }
            }
        };
        let told = told.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        told.unwrap_or_else(|| Err("its introspection ended without an answer".to_owned()))
            .map_err(|cause| Unanswered::Away(held.away(&cause)))
    }

    fn start(
        &self,
        held: &Arc<HeldIssuer>,
        source: &impl IssuerSource,
        token: &str,
        (digest, now): (TokenDigest, Timestamp),
        teller: watch::Sender<Option<Told>>,
    ) {
        let (held, source, token) = (Arc::clone(held), source.clone(), token.to_owned());
        let (state, turns) = (Arc::clone(&self.state), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let asked = async {
                let _turn = turns.acquire().await;
                source.introspect(held.issuer.issuer(), &token).await
            };
            let told = match tokio::time::timeout(ANSWER, asked).await {
                Ok(answer) => answer.map(|answer| held.issuer.check_introspection(&answer, now)),
                Err(_late) => Err("its introspection did not answer in time".to_owned()),
            };
            let mut state = lock(&state);
            state.asked.remove(&digest);
            if let Ok(answer) = &told {
                state.answers.keep(digest, answer, now);
            }
            teller.send_replace(Some(told));
        });
    }
}
