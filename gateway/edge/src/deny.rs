//! The denial table: each refusal of the edge itself, before or instead of a reply of the Front,
//! with its form on the wire. One row each, for MCP and for plain HTTP. Refusals by policy, people
//! or tools are not in the table: they are results (`render.rs`).

mod code;
mod console;

use crate::limit::Limit;
use cofferdam_core::model::access::{Access, TokenRefusal};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::console::ConsoleRefusal;
use hyper::StatusCode;
use serde_json::{Value, json};

/// The MCP revisions of this server, newest first.
pub const REVISIONS: [&str; 4] = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];

/// The revisions as words of a sentence.
pub fn revisions() -> String {
    let [newest, rest @ .., oldest] = REVISIONS;
    let rest: String = rest.iter().map(|revision| format!(", {revision}")).collect();
    format!("{newest}{rest} and {oldest}")
}

/// The remedy for a refused host: the entry to add to the configuration, if there is one.
fn remedy(key: Option<&String>) -> String {
    match key {
        Some(key) => {
            format!("if it should, add \"{key}\" to `hosts` in `cofferdam.toml` and start it again")
        }
        None => "send `Host: NAME` or `Host: NAME:PORT`".into(),
    }
}

/// A refusal of the edge itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Deny {
    /// The request head is malformed, or can be read in two ways.
    #[error("malformed request head: {0}")]
    Head(String),
    /// The request head was not complete in time.
    #[error("the request's head did not arrive in time")]
    SlowHead,
    /// The request head has too many bytes or lines.
    #[error(
        "the request's head has more than {} bytes or more than {} headers; send fewer",
        crate::settings::HEAD_BYTES,
        crate::settings::HEADERS
    )]
    HeadTooLarge,
    /// The request names another host. The client uses a wrong address, or a page used DNS
    /// rebinding.
    #[error("this server does not answer for host `{host}`; {}", remedy(key.as_ref()))]
    Host {
        /// The host of the request, as it was sent.
        host: String,
        /// The entry of `hosts` that would allow it.
        key: Option<String>,
    },
    /// The request comes from a page of an origin that is not configured.
    #[error(
        "pages of origin `{0}` may not call this server; if they should, add \"{0}\" to `origins` \
         in `cofferdam.toml` and start it again"
    )]
    Origin(String),
    /// The peer is not on this machine.
    #[error("only clients on this machine may read this")]
    NotLocal,
    /// The path is unknown.
    #[error("this path does not exist; `GET /` lists the paths")]
    Path,
    /// The id in a path does not have the form of a call's id.
    #[error(
        "no such call: `{0}`; a call's id has 26 characters of a-z and 2-7, and `GET /v1/calls` \
         lists your calls"
    )]
    Call(String),
    /// The path is unknown, and near the MCP endpoint.
    #[error("this path does not exist; MCP is at `POST /mcp`")]
    NotMcp,
    /// The client uses the transport of revision 2024-11-05.
    #[error(
        "the transport HTTP+SSE of revision 2024-11-05 is not served; use a client that speaks \
         Streamable HTTP (revision 2025-03-26 or newer), at `POST /mcp`"
    )]
    OldTransport,
    /// The path does not take this HTTP method.
    #[error("this path takes {0} only")]
    Verb(&'static str),
    /// The path takes no query string.
    #[error("this path takes no query string; tokens belong in the `Authorization` header")]
    Query,
    /// The query string is not a valid `wait`.
    #[error(
        "the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens \
         belong in the `Authorization` header"
    )]
    Wait,
    /// The query string is not a valid `open` or `limit`.
    #[error(
        "the query string may hold `open=true` and `limit=`, a whole number from 1 to {}, once \
         each; tokens belong in the `Authorization` header",
        cofferdam_core::model::limit::CALLS
    )]
    Which,
    /// A header has an invalid or ambiguous value.
    #[error("the header `{name}` {error}")]
    BadHeader {
        /// The name of the header.
        name: &'static str,
        /// The error, and the remedy.
        error: String,
    },
    /// The media type of the body is not JSON.
    #[error(
        "the body must be JSON in UTF-8, and `Content-Type` is `{0}`; send `Content-Type: \
         application/json`"
    )]
    ContentType(String),
    /// The body is compressed.
    #[error(
        "the body must be sent as it is, and `Content-Encoding` is `{0}`; leave this header out"
    )]
    Encoding(String),
    /// The client does not accept the media type of the response.
    #[error(
        "answers are JSON, and `Accept` is `{0}`; send `Accept: application/json, \
         text/event-stream`"
    )]
    Accept(String),
    /// The client accepts no event stream, and the response is one.
    #[error("the answer is an event stream; send `Accept: application/json, text/event-stream`")]
    AcceptEvents,
    /// The body is too large.
    #[error("the body is larger than {} bytes", cofferdam_core::model::limit::BODY)]
    TooLarge,
    /// The body was not complete in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// The connection ended before the body did.
    #[error("the body broke off before its end")]
    BrokenOff,
    /// The request has no token, and needs one.
    #[error(
        "a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one"
    )]
    TokenMissing,
    /// The `Authorization` header is not `Bearer` with a token.
    #[error(
        "the `Authorization` header must be the word `Bearer`, a space and the token: \
         `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that \
         variable"
    )]
    TokenForm,
    /// The token belongs to no agent.
    #[error("the token is not valid; `cofferdam agents list` lists the agents that have one")]
    TokenUnknown,
    /// The time of the token is over.
    #[error("the token has expired; `cofferdam agents rotate` makes a new one")]
    TokenExpired,
    /// The token was replaced or removed earlier, and is in the agents file again.
    #[error(
        "the token was replaced or removed earlier, and stays refused; `cofferdam agents rotate` \
         makes a new one"
    )]
    TokenEnded,
    /// The access token is refused.
    #[error("{0}")]
    Token(TokenRefusal),
    /// The access token does not permit this.
    #[error("the token has no scope `{scope}`; sign in again and grant it")]
    Scope {
        /// The scope that is missing, as tokens have it.
        scope: String,
        /// The access that the request needs.
        needed: Access,
    },
    /// The access token cannot be checked at present.
    #[error(
        "the token cannot be checked now, because its issuer does not answer; nothing was \
         executed; try again in a few seconds"
    )]
    IssuerAway,
    /// The approver is not signed in, or the sign-in does not count.
    #[error("{0}")]
    SignIn(String),
    /// The approver signed in too often.
    #[error("busy: {0}")]
    SignInOften(String),
    /// No such call is for the signature of this approver.
    #[error("{0}")]
    NoQuestion(String),
    /// The request of an approver was understood and refused.
    #[error("{0}")]
    Declined(String),
    /// The request is not for the address to which passkeys belong.
    #[error(
        "passkeys belong to one address, and this is another; open the page at `url` of `[edge]`"
    )]
    WrongAddress,
    /// The request comes from a page of another origin, or from no page.
    #[error(
        "only this server's own pages may send this, and the origin is `{0}`; load the page again"
    )]
    ForeignPage(String),
    /// A request of the console was refused, here or by the recorder.
    #[error("{why}")]
    Console {
        /// The code of the refusal.
        code: ConsoleRefusal,
        /// Cause and remedy.
        why: String,
    },
    /// What a page handed in does not count.
    #[error("{0}")]
    Refused(String),
    /// The body is not strict JSON: two readers could read it differently.
    #[error("not strict JSON: {0}")]
    NotJson(String),
    /// The body is JSON, but not a request or notification.
    #[error("not a JSON-RPC request: {0}")]
    NotRpc(&'static str),
    /// Header and body differ, or a required header is missing or malformed.
    #[error("header mismatch: {0}")]
    Header(String),
    /// Header and body name different revisions.
    #[error(
        "header mismatch: `MCP-Protocol-Version` is `{header}` and `_meta` in the body says \
         `{body}`; name the same revision in both"
    )]
    Mixed {
        /// The revision in the header.
        header: String,
        /// The revision in the body.
        body: String,
    },
    /// The server does not have this revision.
    #[error(
        "unsupported protocol version `{requested}`: this server speaks {}; use a client of one \
         of these",
        revisions()
    )]
    Version {
        /// The revision of the request.
        requested: String,
    },
    /// The request lacks a member that every request must have.
    #[error("invalid params: {0}")]
    Meta(&'static str),
    /// The method is unknown.
    #[error("method not found: `{0}`")]
    Method(String),
    /// The method is unknown, before revision 2026-07-28: there, a 404 means that a session ended.
    #[error("method not found: `{0}`")]
    LegacyMethod(String),
    /// The parameters of the request are not valid.
    #[error("invalid params: {0}")]
    Params(String),
    /// The caller has no tool of this name.
    #[error("unknown tool: `{0}`")]
    UnknownTool(String),
    /// The caller has no task of this id.
    #[error(
        "no such task: `{0}`; a task's id is the id of a call of your own, as its answer named it"
    )]
    UnknownTask(String),
    /// The caller has no resource at this address.
    #[error(
        "no such resource: `{uri}`; `resources/list` lists yours, and `resources/templates/list` \
         their addresses"
    )]
    UnknownResource {
        /// The address of the request.
        uri: String,
        /// True before revision 2026-07-28, which had a code for it.
        legacy: bool,
    },
    /// The client's `requestState` is not one for this request.
    #[error(
        "invalid params: `requestState` is not one that this server gave you for this request, or \
         it was used, or is older than ten minutes; call again without it"
    )]
    RequestState,
    /// The request needs a capability that the client did not declare with it.
    #[error(
        "the client did not declare the extension `{EXTENSION}` with this request; declare it in \
         `io.modelcontextprotocol/clientCapabilities`, or follow the call with `job_get`",
        EXTENSION = crate::mcp::task::EXTENSION
    )]
    NoTasks,
    /// The most calls at once are in progress.
    #[error("busy: too many calls are in progress; nothing was executed; try again in a second")]
    Busy,
    /// This caller is over one of its own limits.
    #[error(
        "over a limit: this agent {}; nothing was executed; try again in {seconds} s",
        limit.describe(*most)
    )]
    Limited {
        /// The name of the caller.
        agent: String,
        /// The limit.
        limit: Limit,
        /// Its value.
        most: usize,
        /// The pause before the next try, in whole seconds.
        seconds: u64,
    },
    /// This caller has used up a budget of its own in the store.
    #[error("over a limit: this agent {why}; nothing was executed; try again in {seconds} s")]
    Budget {
        /// The budget, as the second half of a sentence.
        why: String,
        /// The time until the budget is free again, in whole seconds.
        seconds: u64,
    },
    /// The peer sends too many requests without a valid token.
    #[error(
        "over a limit: more than {most} requests a second without a valid token came from this \
         address; send a valid token, in {seconds} s"
    )]
    PeerLimited {
        /// The most requests in a second.
        most: u32,
        /// The pause before the next try, in whole seconds.
        seconds: u64,
    },
    /// Too many tokens of the peer wait for the answer of their issuer.
    #[error(
        "over a limit: {most} tokens from this address wait for the answer of their issuer; \
         nothing was executed; try again in 1 s"
    )]
    Unchecked {
        /// The most tokens that wait.
        most: usize,
    },
    /// The peer asks for metrics too often.
    #[error(
        "over a limit: this address asks for `/readyz` or `/metrics` more than {most} times a \
         second; ask less often, and again in {seconds} s"
    )]
    Probes {
        /// The most requests in a second.
        most: u32,
        /// The pause before the next try, in whole seconds.
        seconds: u64,
    },
    /// All connections are busy.
    #[error("busy: all connections are in use; nothing was executed; try again in a second")]
    Crowded,
    /// The queue of jobs is too long for one more. Never a denial.
    #[error("busy: {why}; nothing was executed; try again in {seconds} s")]
    Queue {
        /// The length of the queue, and its bound.
        why: String,
        /// The pause before the next try, in whole seconds.
        seconds: u64,
    },
    /// The server drains: it finishes earlier work and begins none.
    #[error("stopping: no new call is taken; nothing was executed; try again in a few seconds")]
    Stopping,
    /// The call cannot be decided or recorded.
    #[error("cannot decide or cannot record: {0}; nothing was executed")]
    Unavailable(String),
    /// The Front did not answer within its own limit.
    #[error("no answer in time; the call goes on: repeat the same request to join it")]
    Unanswered,
    /// The Front failed during a call.
    #[error(
        "the gateway failed during this call, and its effect is unknown; repeat the same request \
         to get its outcome"
    )]
    Broken,
}

/// The form of a refusal on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// HTTP status on the MCP endpoint.
    pub mcp: StatusCode,
    /// JSON-RPC error code on the MCP endpoint.
    pub code: i64,
    /// HTTP status under `/v1` and on pages.
    pub plain: StatusCode,
}

impl Deny {
    /// The refusal of a role, for a page.
    pub fn of_role(error: RoleError) -> Self {
        match error {
            RoleError::Refused(why) | RoleError::NotFound(why) => Self::Refused(why),
            error => Self::Unavailable(error.to_string()),
        }
    }

    /// Returns the row of the table. If MCP prescribes no status for an error, the status is 200:
    /// official clients show the model no other.
    pub fn row(&self) -> Row {
        use StatusCode as S;
        let same = |status, code| Row { mcp: status, code, plain: status };
        match self {
            Self::Head(_) => same(S::BAD_REQUEST, code::REQUEST),
            Self::SlowHead => same(S::REQUEST_TIMEOUT, code::REQUEST),
            Self::HeadTooLarge => same(S::REQUEST_HEADER_FIELDS_TOO_LARGE, code::REQUEST),
            Self::Host { .. } => same(S::MISDIRECTED_REQUEST, code::REQUEST),
            Self::Origin(_) | Self::NotLocal => same(S::FORBIDDEN, code::REQUEST),
            Self::Path | Self::Call(_) | Self::NotMcp | Self::OldTransport => {
                same(S::NOT_FOUND, code::REQUEST)
            }
            Self::Verb(_) => same(S::METHOD_NOT_ALLOWED, code::REQUEST),
            Self::Query | Self::Wait | Self::Which | Self::BadHeader { .. } | Self::BrokenOff => {
                same(S::BAD_REQUEST, code::REQUEST)
            }
            Self::ContentType(_) | Self::Encoding(_) => {
                same(S::UNSUPPORTED_MEDIA_TYPE, code::REQUEST)
            }
            Self::Accept(_) | Self::AcceptEvents => same(S::NOT_ACCEPTABLE, code::REQUEST),
            Self::TooLarge => same(S::PAYLOAD_TOO_LARGE, code::REQUEST),
            Self::Slow => same(S::REQUEST_TIMEOUT, code::REQUEST),
            Self::TokenMissing
            | Self::TokenForm
            | Self::TokenUnknown
            | Self::TokenExpired
            | Self::TokenEnded
            | Self::Token(_) => same(S::UNAUTHORIZED, code::REQUEST),
            Self::WrongAddress => same(S::MISDIRECTED_REQUEST, code::REQUEST),
            Self::ForeignPage(_) => same(S::FORBIDDEN, code::REQUEST),
            Self::Refused(_) => same(S::UNPROCESSABLE_ENTITY, code::REQUEST),
            Self::Console { code, .. } => same(console::status(*code), code::REQUEST),
            Self::Scope { .. } => same(S::FORBIDDEN, code::REQUEST),
            Self::SignIn(_) => same(S::UNAUTHORIZED, code::REQUEST),
            Self::SignInOften(_) => same(S::TOO_MANY_REQUESTS, code::INTERNAL),
            Self::NoQuestion(_) => same(S::NOT_FOUND, code::REQUEST),
            Self::Declined(_) => same(S::CONFLICT, code::REQUEST),
            Self::NotJson(_) => same(S::BAD_REQUEST, code::PARSE),
            Self::NotRpc(_) => same(S::BAD_REQUEST, code::REQUEST),
            Self::Header(_) | Self::Mixed { .. } => same(S::BAD_REQUEST, code::HEADER),
            Self::Version { .. } => same(S::BAD_REQUEST, code::VERSION),
            Self::Meta(_) => same(S::BAD_REQUEST, code::PARAMS),
            Self::NoTasks => same(S::BAD_REQUEST, code::CAPABILITY),
            Self::Method(_) => same(S::NOT_FOUND, code::METHOD),
            Self::LegacyMethod(_) => same(S::OK, code::METHOD),
            Self::Params(_) | Self::RequestState => {
                Row { mcp: S::OK, code: code::PARAMS, plain: S::BAD_REQUEST }
            }
            Self::UnknownResource { legacy: true, .. } => {
                Row { mcp: S::OK, code: code::LEGACY_RESOURCE, plain: S::NOT_FOUND }
            }
            Self::UnknownTool(_) | Self::UnknownTask(_) | Self::UnknownResource { .. } => {
                Row { mcp: S::OK, code: code::PARAMS, plain: S::NOT_FOUND }
            }
            Self::Limited { .. }
            | Self::Budget { .. }
            | Self::PeerLimited { .. }
            | Self::Unchecked { .. }
            | Self::Probes { .. } => same(S::TOO_MANY_REQUESTS, code::INTERNAL),
            Self::Busy
            | Self::Crowded
            | Self::Queue { .. }
            | Self::Stopping
            | Self::Unavailable(_)
            | Self::IssuerAway => same(S::SERVICE_UNAVAILABLE, code::INTERNAL),
            Self::Unanswered => same(S::GATEWAY_TIMEOUT, code::INTERNAL),
            Self::Broken => same(S::INTERNAL_SERVER_ERROR, code::INTERNAL),
        }
    }

    /// The word of a refusal that programs tell apart by more than its status.
    pub fn word(&self) -> Option<&'static str> {
        match self {
            Self::Console { code, .. } => Some(code.code()),
            _ => None,
        }
    }

    /// Returns whether the request is over a limit of its caller or of its address.
    pub fn is_over_limit(&self) -> bool {
        self.over_limit().is_some()
    }

    /// The agent, if it is named here, and the word for metrics of a request over a limit of its
    /// caller or of its address.
    pub fn over_limit(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::Limited { agent, limit, .. } => Some((agent, limit.word())),
            // The recorder names the agent in the status.
            Self::Budget { .. } => Some(("", "budget")),
            Self::PeerLimited { .. } => Some(("", "without_token")),
            Self::Unchecked { .. } => Some(("", "unchecked_tokens")),
            Self::Probes { .. } => Some(("", "probes")),
            _ => None,
        }
    }

    /// The `data` of the JSON-RPC error, if the revision prescribes one.
    pub fn data(&self) -> Option<Value> {
        match self {
            Self::Version { requested } => {
                Some(json!({"supported": REVISIONS, "requested": requested}))
            }
            Self::UnknownResource { uri, .. } => Some(json!({"uri": uri})),
            Self::NoTasks => Some(json!({"requiredCapabilities": {
                "extensions": {crate::mcp::task::EXTENSION: {}},
            }})),
            _ => None,
        }
    }

    /// Returns whether telemetry counts the refusal as an error. By the MCP conventions, the
    /// codes for bad requests are not errors.
    pub fn is_error(&self) -> bool {
        !matches!(
            self.row().code,
            code::PARSE | code::REQUEST | code::METHOD | code::PARAMS | code::LEGACY_RESOURCE
        )
    }
}
