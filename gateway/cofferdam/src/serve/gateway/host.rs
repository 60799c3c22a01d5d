//! The host of the stages in the gateway: sandboxes in this process, two sockets, the clock and
//! random bytes of the operating system.

use super::again;
use super::callers::Callers;
use super::instrument::Observed;
use super::oauth::IssuerSource;
use super::people_issuer::PeopleSource;
use super::token_register::Register;
use cofferdam_core::journey::ports::Host;
use cofferdam_core::model::caller::{Principal, Standing};
use cofferdam_core::model::callers::{GivenToken, ServedCaller};
use cofferdam_core::model::delegation::SignedDelegation;
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::model::limit::LOOK_MS;
use cofferdam_core::model::trust::{Approver, Trust};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::courier::{Fetch, Fetched, Token};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_process::rpc::Client;
use cofferdam_sandbox::policy_pool::Policies;
use cofferdam_sandbox::tool_pool::Tools;
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The sockets to other roles.
pub struct Roles {
    /// The recorder: store and ledger.
    pub recorder: Client<Propose, Proposed>,
    /// The viewer: reads the infrastructure.
    pub viewer: Client<ReadRequest, ReadResponse>,
    /// The courier: keys and introspection of issuers. Never connected if no issuer is configured.
    pub courier: Client<Fetch, Fetched>,
    /// How long a request waits for a role that is away, before its agent gets an error.
    pub patience: Duration,
    /// True after the gateway began to drain.
    pub draining: watch::Receiver<bool>,
}

impl Roles {
    /// Sends a request to the recorder. A held call asks again and again, so that the recorder soon
    /// stops to wait for a client that left. When the gateway drains, a held call gets the present
    /// state of its job at once.
    pub async fn propose(&self, propose: &Propose) -> Result<Proposed, RoleError> {
        let Propose::Job { principal, call, beyond, wait_ms: wait_ms @ 1.. } = propose else {
            return self.ask(propose).await;
        };
        let job = |wait_ms| Propose::Job {
            principal: principal.clone(),
            call: call.clone(),
            beyond: *beyond,
            wait_ms,
        };
        let mut draining = self.draining.clone();
        let mut left = *wait_ms;
        while left > 0 {
            let part = left.min(LOOK_MS);
            let ask = job(part);
            let told = tokio::select! {
                biased;
                // The sender exists until the edge ends.
                _ = draining.wait_for(|draining| *draining) => break,
                told = self.ask(&ask) => told,
            };
            left = left.saturating_sub(part);
            let unchanged =
                matches!(&told, Ok(Proposed::Job { job, .. }) if job.version <= *beyond);
            if !unchanged || left == 0 {
                return told;
            }
        }
        self.recorder.call(&job(0)).await
    }
}

impl Roles {
    /// Sends a request to the recorder; after a lost connection, over the next one if that is safe.
    /// # Errors
    /// The error of the recorder, or that it is not there.
    pub async fn ask(&self, propose: &Propose) -> Result<Proposed, RoleError> {
        again::ask(&self.recorder, propose, self.patience).await
    }

    /// Asks the viewer, which only reads: after a lost connection, over the next one.
    /// # Errors
    /// The error of the viewer, or that it is not there.
    pub async fn read(&self, request: &ReadRequest) -> Result<ReadResponse, RoleError> {
        self.viewer.call_again(request, request, self.patience).await
    }

    /// Asks the courier. The error is for the log.
    async fn fetch(&self, ask: &Fetch) -> Result<Fetched, String> {
        match self.courier.call(ask).await {
            Ok(Fetched::Failed { error }) => Err(error.to_string()),
            Ok(fetched) => Ok(fetched),
            Err(error) => Err(format!("the courier does not answer: {error}")),
        }
    }
}

impl Register for Arc<Roles> {
    async fn tokens(
        &self,
        given: Vec<GivenToken>,
        ended: Vec<TokenDigest>,
    ) -> Result<Vec<TokenDigest>, String> {
        let tokens = Propose::Tokens { given, ended };
        match self.ask(&tokens).await {
            Ok(Proposed::EndedTokens { tokens }) => Ok(tokens),
            Ok(_) => Err("the recorder answers something else".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn served(&self, callers: Vec<ServedCaller>) -> Result<(), String> {
        match self.recorder.call(&Propose::Served { callers }).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl IssuerSource for Arc<Roles> {
    async fn keys(&self, issuer: &str) -> Result<(Vec<u8>, u64), String> {
        match self.fetch(&Fetch::Keys { issuer: issuer.to_owned() }).await? {
            Fetched::Keys { jwks, cache_seconds } => {
                Ok((jwks.into_bytes(), u64::from(cache_seconds)))
            }
            _ => Err(OTHER.to_owned()),
        }
    }

    async fn introspect(&self, issuer: &str, token: &str) -> Result<Vec<u8>, String> {
        let token = Token(token.to_owned());
        match self.fetch(&Fetch::Introspect { issuer: issuer.to_owned(), token }).await? {
            Fetched::Claims { claims } => Ok(claims.into_bytes()),
            _ => Err(OTHER.to_owned()),
        }
    }
}

impl PeopleSource for Arc<Roles> {
    async fn sign_in_page(&self, issuer: &str) -> Result<(String, bool), String> {
        match self.fetch(&Fetch::SignInPage { issuer: issuer.to_owned() }).await? {
            Fetched::SignInPage { address, names_itself } => Ok((address, names_itself)),
            _ => Err(OTHER.to_owned()),
        }
    }

    async fn exchange(
        &self,
        issuer: &str,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<String, String> {
        let exchange = Fetch::Exchange {
            issuer: issuer.to_owned(),
            code: Token(code.to_owned()),
            verifier: Token(verifier.to_owned()),
            redirect: redirect.to_owned(),
        };
        match self.fetch(&exchange).await? {
            Fetched::IdToken { token } => Ok(token.0),
            _ => Err(OTHER.to_owned()),
        }
    }
}

/// The courier's answer is not to the question.
const OTHER: &str = "the courier answers something else";

/// The implementation of the host for the stages.
pub struct GatewayHost {
    /// The tools, each call in a new sandbox.
    pub tools: Observed<Tools>,
    /// The policy, each decision in a new sandbox.
    pub policies: Observed<Policies>,
    /// The recorder and the viewer.
    pub roles: Arc<Observed<Arc<Roles>>>,
    /// The callers and their tokens.
    pub callers: Arc<Callers<Arc<Roles>>>,
    /// The path of the copy of this set's trust file.
    pub trust_file: PathBuf,
}

impl GatewayHost {
    /// The trust file as it is now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn trust(&self) -> Result<Trust, RoleError> {
        let failure = |error: &dyn std::fmt::Display| {
            RoleError::Unavailable(format!("the trust file cannot be read: {error}"))
        };
        let text = std::fs::read_to_string(&self.trust_file).map_err(|error| failure(&error))?;
        Trust::parse(&text).map_err(|error| failure(&error))
    }
}

impl Host for GatewayHost {
    type Planner = Observed<Tools>;
    type Judge = Observed<Policies>;
    type Viewer = Observed<Arc<Roles>>;
    type Recorder = Observed<Arc<Roles>>;

    fn planner(&self) -> &Self::Planner {
        &self.tools
    }

    fn judge(&self) -> &Self::Judge {
        &self.policies
    }

    fn viewer(&self) -> &Self::Viewer {
        &self.roles
    }

    fn recorder(&self) -> &Self::Recorder {
        &self.roles
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn standing(&self, principal: &Principal) -> Standing {
        self.callers.standing(principal).await
    }

    fn approvers(&self) -> Result<Vec<Approver>, RoleError> {
        Ok(self.trust()?.approvers)
    }

    fn delegations(&self) -> Result<Vec<SignedDelegation>, RoleError> {
        Ok(self.trust()?.delegations)
    }

    fn random(&self) -> u128 {
        // Without random bytes, no call can have an id: the process ends, and the supervisor logs
        // the error.
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_ne_bytes(bytes),
            Err(error) => {
                tracing::error!(what = "randomness", %error,
                "the operating system gives no randomness");
                std::process::exit(71)
            }
        }
    }
}
