//! The ports: the few traits behind which effects are. Generic, wired in the binaries; chosen by
//! type, never by configuration at run time.

use crate::model::access::{Authenticated, Credential, TokenRefusal};
use crate::model::answer::{Reply, ToolListings};
use crate::model::caller::{Principal, Standing, TraceParent};
use crate::model::console_role::{ConsolePerson, SignedIn};
use crate::model::delegation::SignedDelegation;
use crate::model::id::{CallId, ComponentDigest, PolicyDigest};
use crate::model::operation::{Draft, ToolRefusal};
use crate::model::resource::{Content, Prompt, PromptError, PromptMessage, Resource};
use crate::model::served::Served;
use crate::model::sign_in::{
    AtIssuer, Challenge, FromIssuer, Session, SessionKeeper, SignedSignIn,
};
use crate::model::task::Task;
use crate::model::trust::{Approver, Environment};
use crate::protocol::RoleError;
use crate::protocol::approver::{ApproverAnswer, ApproverAsk};
use crate::protocol::console::{ConsoleAnswer, ConsoleAsk};
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// All ports of the gateway's journey, in one trait so that the journey has one type parameter.
pub trait Host: Send + Sync {
    /// Runs the accepted tools.
    type Planner: Planner;
    /// Evaluates the loaded policy.
    type Judge: Judge;
    /// Reads the infrastructure.
    type Viewer: Viewer;
    /// Stores jobs and ledger entries.
    type Recorder: Recorder;
    /// The sandbox of the tools.
    fn planner(&self) -> &Self::Planner;
    /// The sandbox of the policy.
    fn judge(&self) -> &Self::Judge;
    /// The connection to the viewer.
    fn viewer(&self) -> &Self::Viewer;
    /// The connection to the recorder.
    fn recorder(&self) -> &Self::Recorder;
    /// The time now.
    fn now(&self) -> Timestamp;
    /// Returns 128 random bits.
    fn random(&self) -> u128;
    /// Returns the state of this caller now: the agent may have been removed since it asked.
    fn standing(&self, principal: &Principal) -> impl Future<Output = Standing> + Send;
    /// The approvers by the trust file as it is now: one may have been removed since the start. An
    /// error when it cannot be read, which decides nothing.
    fn approvers(&self) -> Result<Vec<Approver>, RoleError>;

    /// The delegations in the trust file at present.
    ///
    /// # Errors
    /// The trust file cannot be read.
    fn delegations(&self) -> Result<Vec<SignedDelegation>, RoleError>;
}

/// Runs an accepted tool in a fresh sandbox.
pub trait Planner: Send + Sync {
    /// Makes a draft of arguments in canonical JSON. The error is for operators: a trap or a
    /// limit.
    fn plan(
        &self,
        tool: ComponentDigest,
        arguments: &str,
    ) -> impl Future<Output = Result<Result<Draft, ToolRefusal>, GuestError>> + Send;
}

/// Evaluates the loaded policy in a fresh sandbox.
pub trait Judge: Send + Sync {
    /// Evaluates one entry point over an input in JSON text. Returns the one result of the set as
    /// JSON text.
    fn evaluate(
        &self,
        entrypoint: &str,
        input: &str,
    ) -> impl Future<Output = Result<String, GuestError>> + Send;
}

/// Sends requests to the viewer.
pub trait Viewer: Send + Sync {
    /// Sends one request and waits for its response.
    fn read(
        &self,
        request: ReadRequest,
    ) -> impl Future<Output = Result<ReadResponse, RoleError>> + Send;
}

/// Sends requests to the recorder.
pub trait Recorder: Send + Sync {
    /// Sends one request and waits for its response.
    fn propose(&self, propose: Propose)
    -> impl Future<Output = Result<Proposed, RoleError>> + Send;
}

/// A guest that gave no result: for operators and the ledger. An agent learns only the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.replace('-', " "))]
pub struct GuestError {
    /// Stable code, as in [`crate::protocol::role_guest::Computed::Failed`].
    pub code: String,
    /// The cause, its place, and the remedy.
    pub detail: String,
}

/// A call as the edge hands it in: parsed strictly, authenticated, not yet understood.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontCall {
    /// The authenticated caller.
    pub principal: Principal,
    /// The tool's name as given.
    pub tool: String,
    /// Its arguments: a JSON object, strictly read.
    pub arguments: Value,
    /// The client's idempotency key.
    pub key: Option<String>,
    /// The client's trace context.
    pub trace: Option<TraceParent>,
    /// Hold the reply at most this many milliseconds.
    pub wait_ms: u64,
    /// The same in milliseconds, while a person decides; never longer than `wait_ms`.
    pub person_ms: u64,
}

/// The sink for the progress of a held call, a line at a time. Words of others in it are quoted.
/// Must not wait; what it cannot take is lost.
pub type ProgressSink = dyn Fn(String) + Send + Sync;

/// A sink that drops every line.
pub fn no_progress(_line: String) {}

/// A request whose token is not an agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// The request has no token, and one is needed.
    Missing,
    /// The token belongs to no agent.
    Unknown,
    /// The time of the token is over.
    Expired,
    /// The token was replaced or removed, and a backup brought it back.
    Ended,
    /// The recorder does not say at present if the token has ended.
    Unregistered,
    /// The access token is refused.
    Refused(TokenRefusal),
    /// The access token cannot be checked at present: its issuer cannot be reached.
    Unavailable,
    /// The access token is not checked: so many tokens of this client wait for their check.
    Waiting(usize),
}

/// A sign-in of an approver that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// The sign-in does not count. The text says why, and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The approver has used too many challenges in a short time.
    #[error("this approver signed in too often; try again in two minutes")]
    Often,
    /// The trust file cannot be read.
    #[error("{0}")]
    Unavailable(String),
}

/// An answered HTTP request. Nothing in it is a client's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// `GET`, `POST`, …; `_OTHER` where a client invented one.
    pub method: &'static str,
    /// The pattern of the path, as in the router.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The edge's own JSON-RPC code; 0 where it refused nothing by itself.
    pub code: i64,
    /// The time from the head of the request to the response.
    pub took: Duration,
    /// The address of the client.
    pub client: IpAddr,
}

/// True if calls can be carried out, and what an operator should know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The causes for which calls fail, each with its remedy. Empty when calls can be carried out.
    pub missing: Vec<String>,
    /// Conditions that make no call fail yet, each with its effect and its remedy.
    pub warnings: Vec<String>,
    /// Changes that are in effect after a restart; calls go on meanwhile as before.
    pub restart: Vec<String>,
    /// Jobs that cannot be finished at present, with cause and remedy; other calls go on.
    pub stuck: Vec<String>,
}

/// Everything that the edge may ask. Implemented by the gateway role, and by a small fake in the
/// edge's own tests.
pub trait Front: Send + Sync + 'static {
    /// Returns the principal of a token, and the use that the token permits. Without configured
    /// agents and issuers, a client on loopback needs no token and is anonymous.
    fn authenticate(
        &self,
        credential: Credential<'_>,
    ) -> impl Future<Output = Result<Authenticated, Unauthenticated>> + Send;
    /// The tools this caller may see, sorted by name; never more than it could call.
    fn list(
        &self,
        principal: &Principal,
    ) -> impl Future<Output = Result<ToolListings, RoleError>> + Send;
    /// Carries out a tool call. While the reply is held, `progress` gets a line for each step. The
    /// first line comes once the job is stored; from then on a drop ends the wait alone.
    fn call(&self, call: FrontCall, progress: &ProgressSink) -> impl Future<Output = Reply> + Send;
    /// The same call, shown and decided, recorded, never queued.
    fn preview(&self, call: FrontCall) -> impl Future<Output = Reply> + Send;
    /// Replies with one of the caller's own jobs. The reply is held up to `wait_ms` for the job to
    /// finish; `progress` gets a line for each step meanwhile.
    fn job(
        &self,
        principal: &Principal,
        call: &CallId,
        wait_ms: u64,
        progress: &ProgressSink,
    ) -> impl Future<Output = Reply> + Send;
    /// One of the caller's own jobs as a task; `None` where the caller has none of this id.
    fn task(
        &self,
        principal: &Principal,
        call: &CallId,
    ) -> impl Future<Output = Result<Option<Task>, RoleError>> + Send;
    /// The templates of the addresses of resources.
    fn resource_templates(&self) -> Vec<Resource>;
    /// The caller's own resources, newest first.
    fn resources(
        &self,
        principal: &Principal,
    ) -> impl Future<Output = Result<Vec<Resource>, RoleError>> + Send;
    /// The content at an address; `None` where the caller has nothing there.
    fn resource(
        &self,
        principal: &Principal,
        uri: &str,
    ) -> impl Future<Output = Result<Option<Content>, RoleError>> + Send;
    /// All prompts, by name.
    fn prompts(&self) -> Vec<Prompt>;
    /// The messages of a prompt.
    fn prompt(
        &self,
        principal: &Principal,
        name: &str,
        arguments: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Vec<PromptMessage>, PromptError>> + Send;
    /// The ids of the caller's own calls that begin with `start`, newest first.
    fn call_ids(
        &self,
        principal: &Principal,
        start: &str,
    ) -> impl Future<Output = Result<Vec<String>, RoleError>> + Send;
    /// The caller's own calls, newest first, at most `limit`; `open`: only those without an
    /// outcome.
    fn calls(
        &self,
        principal: &Principal,
        open: bool,
        limit: u32,
    ) -> impl Future<Output = Reply> + Send;
    /// Withdraws one of the caller's own jobs.
    fn cancel(&self, principal: &Principal, call: &CallId) -> impl Future<Output = Reply> + Send;
    /// A fresh challenge for a person who wants to sign in.
    fn challenge(&self) -> Challenge;
    /// Signs a person in: an approver by a command, or a person of any role by a browser. `is_own`
    /// says whether a server's name is one of this server.
    ///
    /// # Errors
    /// The sign-in does not count: its key is not enrolled, or its challenge is not an unused one of
    /// this gateway for this server.
    fn sign_in(
        &self,
        signed: &SignedSignIn,
        is_own: &dyn Fn(&str) -> bool,
        keeper: SessionKeeper,
    ) -> Result<Session, SignInRefusal>;
    /// The person of a session of this keeper, with the roles of now; `None` for any other text,
    /// after its end, and after the person lost the key or the last role.
    ///
    /// # Errors
    /// The trust file cannot be read.
    fn person(
        &self,
        session: &str,
        keeper: SessionKeeper,
    ) -> Result<Option<SignedIn>, SignInRefusal>;
    /// Ends a session. Any other text ends nothing.
    fn sign_out(&self, session: &str, keeper: SessionKeeper);
    /// Environment and policy of the gateway's own trust file: those that a question has to be
    /// about.
    fn trusted(&self) -> (Environment, PolicyDigest);

    /// The host of the issuer at which people may sign in; `None` where they have passkeys alone.
    fn people_issuer(&self) -> Option<String>;
    /// Begins a sign-in at that issuer. `redirect`: our address of the return; `next`: the page of
    /// ours after it, as a path.
    fn start_at_issuer(
        &self,
        redirect: &str,
        next: &str,
    ) -> impl Future<Output = Result<AtIssuer, SignInRefusal>> + Send;
    /// Ends a sign-in at that issuer: the new session, and the page of ours after it.
    fn return_from_issuer(
        &self,
        returned: &FromIssuer,
        redirect: &str,
        keeper: SessionKeeper,
    ) -> impl Future<Output = Result<(Session, String), SignInRefusal>> + Send;
    /// Carries out a request of an approver who signed in.
    fn ask_for_approver(
        &self,
        approver: &str,
        ask: ApproverAsk,
    ) -> impl Future<Output = Result<ApproverAnswer, RoleError>> + Send;
    /// Carries out a request of a person at the console.
    fn ask_at_console(
        &self,
        person: &ConsolePerson,
        ask: ConsoleAsk,
    ) -> impl Future<Output = Result<ConsoleAnswer, RoleError>> + Send;
    /// The set in use, as the console shows it.
    ///
    /// # Errors
    /// No set is in use.
    fn served(&self) -> Result<Arc<Served>, RoleError>;
    /// The person whom an open invitation is for, by the digest of its link's secret.
    ///
    /// # Errors
    /// The link was used, has run out or never was.
    fn invited(&self, digest: &str) -> impl Future<Output = Result<String, RoleError>> + Send;
    /// Uses an invitation: the passkey of this line waits for an operator.
    ///
    /// # Errors
    /// The link was used, has run out or never was.
    fn enrol(
        &self,
        digest: &str,
        passkey: &str,
    ) -> impl Future<Output = Result<(), RoleError>> + Send;
    /// The time now.
    fn now(&self) -> Timestamp;
    /// Returns 128 random bits.
    fn random(&self) -> u128;
    /// One sentence for `server/discover` and `initialize`: the environment in words.
    fn instructions(&self) -> String;
    /// The name of the environment.
    fn environment(&self) -> String;
    /// True if calls can be carried out: recorder, viewer and at least one runner are there; else
    /// what is missing.
    fn ready(&self) -> impl Future<Output = Readiness> + Send;
    /// All metrics as Prometheus text.
    fn metrics(&self) -> impl Future<Output = String> + Send;
    /// Takes the number of HTTP requests in progress, at each change.
    fn active(&self, requests: u32);
    /// Counts a request that was refused because its header and its body name two MCP revisions.
    /// `client` is a clean and bounded label.
    fn mixed_revisions(&self, client: &str);
    /// Counts a request with 429: this agent was over this limit of its own. Without an agent, an
    /// address was over its limit.
    fn over_limit(&self, agent: &str, limit: &'static str);
    /// A request was answered: for metrics, and for the log where it was refused for want of a
    /// token.
    fn answered(&self, answered: &Answered);
}
