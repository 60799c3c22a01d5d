//! Asks the recorder which static tokens have ended, once for each content of the agents file: a
//! file from a backup brings no replaced token back. Keeps digests alone.

use super::agents::AgentsFile;
use super::log_rate::LogRate;
use crate::config::{Agents, ended_tokens};
use cofferdam_core::journey::ports::Unauthenticated;
use cofferdam_core::model::callers::{GivenToken, ServedCaller};
use cofferdam_core::model::escape::chain;
use cofferdam_core::model::id::TokenDigest;
use std::collections::HashSet;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;

/// The pause between two looks at the agents file without a request.
const LOOK: Duration = Duration::from_secs(2);

/// The recorder's register of callers. The errors are for the log.
pub trait Register: Clone + Send + Sync + 'static {
    /// The given tokens that have ended. A registered token that is missing ends.
    fn tokens(
        &self,
        given: Vec<GivenToken>,
        ended: Vec<TokenDigest>,
    ) -> impl Future<Output = Result<Vec<TokenDigest>, String>> + Send;

    /// Stores the last uses of callers.
    fn served(&self, callers: Vec<ServedCaller>)
    -> impl Future<Output = Result<(), String>> + Send;
}

/// What the recorder said about the tokens of one content of the agents file.
#[derive(Clone)]
struct Said {
    agents: Arc<Agents>,
    ended: Arc<HashSet<TokenDigest>>,
}

/// The tokens of the agents file, as the recorder knows them.
pub struct TokenRegister<R> {
    register: R,
    said: Mutex<Option<Said>>,
    asking: Turn<()>,
    failed: LogRate,
}

impl<R: Register> TokenRegister<R> {
    /// Asks nothing yet.
    pub fn new(register: R) -> Self {
        Self {
            register,
            said: Mutex::default(),
            asking: Turn::default(),
            failed: LogRate::default(),
        }
    }

    /// Checks that this token of this content has not ended.
    ///
    /// # Errors
    /// It has, or the recorder does not answer.
    pub async fn check(
        &self,
        token: &str,
        agents: &Arc<Agents>,
        path: &Path,
    ) -> Result<(), Unauthenticated> {
        let ended = self.ended(agents, path).await.ok_or(Unauthenticated::Unregistered)?;
        match ended.contains(&TokenDigest::of(token.as_bytes())) {
            true => Err(Unauthenticated::Ended),
            false => Ok(()),
        }
    }

    /// Tells the recorder each new content, also without a request, until the gateway ends.
    pub async fn follow(&self, file: &AgentsFile) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let Some(agents) = file.content().await else { return };
            let _told_again = self.ended(&agents, file.path()).await;
        }
    }

    /// The ended tokens of this content. `None` if the recorder does not answer.
    async fn ended(&self, agents: &Arc<Agents>, path: &Path) -> Option<Arc<HashSet<TokenDigest>>> {
        if let Some(ended) = self.known(agents) {
            return Some(ended);
        }
        let _turn = self.asking.lock().await;
        if let Some(ended) = self.known(agents) {
            return Some(ended);
        }
        let given = |agent: &crate::config::Agent| GivenToken {
            agent: agent.name.clone(),
            token: agent.token,
        };
        let given: Vec<GivenToken> = agents.list().iter().map(given).collect();
        let asked = match ended_tokens::read(path) {
            Ok(ended) => self.register.tokens(given, ended).await,
            Err(error) => Err(chain(error.as_ref())),
        };
        match asked {
            Ok(ended) => {
                for agent in agents.list().iter().filter(|agent| ended.contains(&agent.token)) {
                    tracing::error!(
                        what = "token",
                        name = agent.name,
                        "the token in the agents file was replaced or removed earlier, and is \
                         refused; `cofferdam agents rotate` makes a new one"
                    );
                }
                let ended = Arc::new(ended.into_iter().collect::<HashSet<_>>());
                let said = Said { agents: Arc::clone(agents), ended: Arc::clone(&ended) };
                *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
                Some(ended)
            }
            Err(cause) => {
                if let Some(kept_back) = self.failed.pass(Instant::now()) {
                    tracing::debug!(
                        why = cause,
                        kept_back,
                        "the recorder does not say which tokens have ended; asked again"
                    );
                }
                None
            }
        }
    }

    fn known(&self, agents: &Arc<Agents>) -> Option<Arc<HashSet<TokenDigest>>> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref()
            .filter(|said| Arc::ptr_eq(&said.agents, agents))
            .map(|said| Arc::clone(&said.ended))
    }
}
