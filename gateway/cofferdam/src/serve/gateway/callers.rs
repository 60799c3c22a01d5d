//! The callers of the gateway: agents of `agents.toml` by their static tokens, and callers with an
//! access token of an issuer. The form of a token alone says which of both it is. Decides nothing.

use super::agents::AgentsFile;
use super::oauth::{IssuerSource, Oauth};
use crate::config::TOKEN_PREFIX;
use cofferdam_core::journey::ports::Unauthenticated;
use cofferdam_core::model::access::{Authenticated, Credential, Scheme};
use cofferdam_core::model::caller::{Principal, Standing};
use jiff::Timestamp;

/// All callers that can be authenticated.
pub struct Callers<S> {
    agents: AgentsFile,
    oauth: Option<Oauth<S>>,
}

impl<S: IssuerSource> Callers<S> {
    /// The agents of the file, and the issuers if there are any.
    pub fn new(agents: AgentsFile, oauth: Option<Oauth<S>>) -> Self {
        Self { agents, oauth }
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
        match (&self.oauth, credential.token) {
            (Some(oauth), Some(token)) if !token.starts_with(TOKEN_PREFIX) => {
                oauth.authenticate(credential, now).await
            }
            (_, Some(_)) if credential.scheme != Scheme::Bearer => Err(Unauthenticated::Unknown),
            (_, token) => self.agents.authenticate(token).await.map(Authenticated::unscoped),
        }
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
