//! The callers of the gateway: agents of `agents.toml` by their static tokens, and callers with an
//! access token of an issuer. The form of a token alone says which of both it is. A static token
//! that ended earlier is refused, and the last use of each caller is noted.

use super::agents::AgentsFile;
use super::last_use::LastUse;
use super::oauth::{IssuerSource, Oauth};
use super::token_register::{Register, TokenRegister};
use crate::config::TOKEN_PREFIX;
use cofferdam_core::journey::ports::Unauthenticated;
use cofferdam_core::model::access::{Authenticated, Credential, Scheme};
use cofferdam_core::model::caller::{Principal, Standing};
use jiff::Timestamp;

/// All callers that can be authenticated.
pub struct Callers<S> {
    agents: AgentsFile,
    oauth: Option<Oauth<S>>,
    tokens: TokenRegister<S>,
    uses: LastUse,
}

impl<S: IssuerSource + Register> Callers<S> {
    /// The agents of the file, and the issuers if there are any. `register`: the recorder's.
    pub fn new(agents: AgentsFile, oauth: Option<Oauth<S>>, register: S) -> Self {
        Self { agents, oauth, tokens: TokenRegister::new(register), uses: LastUse::default() }
    }

    /// Tells the register about tokens and uses, until the gateway ends.
    pub async fn tell(&self, register: &S) {
        tokio::join!(self.tokens.follow(&self.agents), self.uses.tell(register));
    }

    /// Returns the caller of a request.
    ///
    /// # Errors
    /// The request has no token or a wrong one, or the issuer cannot be reached.
    pub async fn authenticate(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, Unauthenticated> {
        let caller = match (&self.oauth, credential.token) {
            (Some(oauth), Some(token)) if !token.starts_with(TOKEN_PREFIX) => {
                oauth.authenticate(credential, now).await?
            }
            (_, Some(_)) if credential.scheme != Scheme::Bearer => {
                return Err(Unauthenticated::Unknown);
            }
            (_, token) => {
                let (principal, agents) = self.agents.authenticate(token).await?;
                if let Some(token) = token {
                    self.tokens.check(token, &agents, self.agents.path()).await?;
                }
                Authenticated::unscoped(principal)
            }
        };
        self.uses.note(&caller.principal, now);
        Ok(caller)
    }

    /// The present standing of a caller that was served before.
    pub async fn standing(&self, principal: &Principal) -> Standing {
        // Names of agents have no colon; names of the callers of issuers always have one.
        match (&self.oauth, principal.name.contains(':')) {
            (_, false) => self.agents.standing(principal).await,
            (Some(oauth), true) => oauth.standing(principal),
            (None, true) => Standing::Removed,
        }
    }
}
