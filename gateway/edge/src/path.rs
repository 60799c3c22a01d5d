//! Paths that the edge serves, as patterns: which route a path is, and which methods it takes. Knows
//! no handler.

mod console;

use crate::deny::Deny;
pub use console::ConsolePage;
use hyper::Method;
use hyper::http::request::Parts;

/// The routes of the edge, by the pattern of their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// The MCP endpoint.
    Mcp,
    /// The list of tools, over plain HTTP.
    Tools,
    /// A call over plain HTTP.
    Tool,
    /// A preview over plain HTTP.
    Preview,
    /// A job over plain HTTP.
    Job,
    /// The caller's own calls over plain HTTP.
    Calls,
    /// A fresh challenge for an approver.
    Challenge,
    /// The sign-in of an approver.
    SignIn,
    /// The questions for an approver.
    Approvals,
    /// One question, and its signatures.
    Approval,
    /// The changes of one question now.
    ApprovalPreview,
    /// The state of one call for an approver.
    ApprovalState,
    /// The signatures of one question.
    ApprovalSignatures,
    /// The places where clients look for documents of an authorization server.
    OauthDocument,
    /// The places where clients register and sign in.
    Oauth,
    /// The page of a call.
    CallPage,
    /// A page for approvers, or a request of its script.
    People(PeoplePage),
    /// A page of the console, or a request of its script.
    Console(ConsolePage),
    /// The page for people.
    Home,
    /// The probe for life.
    Health,
    /// The probe for readiness.
    Ready,
    /// The page for Prometheus.
    Metrics,
    /// The transport before Streamable HTTP.
    OldTransport,
    /// An unknown path that a client of MCP asked for.
    NotMcp,
    /// Any other unknown path.
    Nowhere,
}

/// The pages for approvers, their files, and the requests of their script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeoplePage {
    /// The stylesheet.
    Style,
    /// The script.
    Script,
    /// The page that makes a passkey.
    Enrol,
    /// The first request of that page.
    EnrolBegin,
    /// Its last request.
    EnrolFinish,
    /// The page of the own sign-in, and a sign-in of any page.
    SignIn,
    /// The end of a session.
    SignOut,
    /// The beginning of a sign-in at the issuer of people.
    IssuerStart,
    /// The return from there.
    IssuerReturn,
    /// The question of a call, and its signatures.
    Approve,
    /// The statement that a person is about to sign.
    ApproveStatement,
    /// The signatures of a question, as they come.
    ApproveSignatures,
}

impl PeoplePage {
    /// Those without an id in their path.
    const FIXED: [Self; 9] = [
        Self::Style,
        Self::Script,
        Self::Enrol,
        Self::EnrolBegin,
        Self::EnrolFinish,
        Self::SignIn,
        Self::SignOut,
        Self::IssuerStart,
        Self::IssuerReturn,
    ];

    /// The path, or its pattern.
    fn name(self) -> &'static str {
        match self {
            Self::Style => "/assets/cofferdam.css",
            Self::Script => "/assets/passkey.js",
            Self::Enrol => "/enrol",
            Self::EnrolBegin => "/enrol/begin",
            Self::EnrolFinish => "/enrol/finish",
            Self::SignIn => "/sign-in",
            Self::SignOut => "/sign-out",
            Self::IssuerStart => "/sign-in/issuer",
            Self::IssuerReturn => "/sign-in/return",
            Self::Approve => "/approve/{id}",
            Self::ApproveStatement => "/approve/{id}/statement",
            Self::ApproveSignatures => "/approve/{id}/signatures",
        }
    }

    /// The method of the page or request.
    pub fn method(self) -> Method {
        match self {
            Self::Style
            | Self::Script
            | Self::Enrol
            | Self::SignIn
            | Self::IssuerReturn
            | Self::Approve
            | Self::ApproveSignatures => Method::GET,
            Self::EnrolBegin
            | Self::EnrolFinish
            | Self::SignOut
            | Self::IssuerStart
            | Self::ApproveStatement => Method::POST,
        }
    }

    /// True if a person reads it: neither a file of a page nor a return.
    pub fn is_read(self) -> bool {
        self.method() == Method::GET
            && !matches!(self, Self::Style | Self::Script)
            && !self.takes_query()
    }

    /// True if the path takes a query string.
    pub fn takes_query(self) -> bool {
        matches!(self, Self::IssuerReturn | Self::ApproveSignatures)
    }

    /// True if the page also takes what its script sends, at its own path.
    pub fn takes_post(self) -> bool {
        matches!(self, Self::SignIn | Self::Approve)
    }

    /// The methods that are served, for a refusal.
    pub fn methods(self) -> &'static str {
        match self {
            page if page.takes_post() => "GET, HEAD, POST",
            page if page.method() == Method::GET => "GET, HEAD",
            _ => "POST",
        }
    }
}

/// Documents of OAuth and OpenID Connect, by the name after `/.well-known/`.
const OAUTH_DOCUMENTS: [&str; 3] =
    ["oauth-authorization-server", "oauth-protected-resource", "openid-configuration"];

impl Route {
    /// The pattern of the path, as telemetry names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mcp => "/mcp",
            Self::Tools => "/v1/tools",
            Self::Tool => "/v1/tools/{name}",
            Self::Preview => "/v1/tools/{name}/preview",
            Self::Job => "/v1/jobs/{id}",
            Self::Calls => "/v1/calls",
            Self::Challenge => "/v1/approvals/challenge",
            Self::SignIn => "/v1/approvals/session",
            Self::Approvals => "/v1/approvals",
            Self::Approval => "/v1/approvals/{id}",
            Self::ApprovalPreview => "/v1/approvals/{id}/preview",
            Self::ApprovalState => "/v1/approvals/{id}/state",
            Self::ApprovalSignatures => "/v1/approvals/{id}/signatures",
            Self::OauthDocument => "/.well-known/{oauth}",
            Self::Oauth => "/{oauth}",
            Self::CallPage => "/calls/{id}",
            Self::People(page) => page.name(),
            Self::Console(page) => page.name(),
            Self::Home => "/",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::OldTransport => "/sse",
            Self::NotMcp => "(none of mcp)",
            Self::Nowhere => "(none)",
        }
    }

    /// Returns the route of a path, and the name or id in it. Ignores one slash at the end. Decodes
    /// no percent sign: no name of Cofferdam needs it.
    pub fn of(path: &str) -> (Self, &str) {
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "/mcp" => (Self::Mcp, ""),
            "/v1/tools" => (Self::Tools, ""),
            "/v1/calls" => (Self::Calls, ""),
            "/v1/approvals" => (Self::Approvals, ""),
            "/v1/approvals/challenge" => (Self::Challenge, ""),
            "/v1/approvals/session" => (Self::SignIn, ""),
            "" => (Self::Home, ""),
            "/healthz" => (Self::Health, ""),
            "/readyz" => (Self::Ready, ""),
            "/metrics" => (Self::Metrics, ""),
            _ => {
                if let Some(page) = PeoplePage::FIXED.into_iter().find(|page| page.name() == path) {
                    return (Self::People(page), "");
                }
                if let Some((page, id)) = ConsolePage::of(path) {
                    return (Self::Console(page), id);
                }
                let tool = path.strip_prefix("/v1/tools/");
                let found = match tool.and_then(|rest| rest.strip_suffix("/preview")) {
                    Some(name) => Some((Self::Preview, name)),
                    None => tool
                        .map(|name| (Self::Tool, name))
                        .or_else(|| path.strip_prefix("/v1/jobs/").map(|id| (Self::Job, id)))
                        .or_else(|| path.strip_prefix("/v1/approvals/").map(Self::approval))
                        .or_else(|| path.strip_prefix("/approve/").map(Self::page_of_question))
                        .or_else(|| path.strip_prefix("/calls/").map(|id| (Self::CallPage, id))),
                };
                let named = found.filter(|(_, name)| !name.is_empty() && !name.contains('/'));
                named.unwrap_or_else(|| (Self::beside(path), ""))
            }
        }
    }

    /// The page of a question, or a request of it, and the id in its path.
    fn page_of_question(rest: &str) -> (Self, &str) {
        match rest.split_once('/') {
            Some((id, "statement")) => (Self::People(PeoplePage::ApproveStatement), id),
            Some((id, "signatures")) => (Self::People(PeoplePage::ApproveSignatures), id),
            _ => (Self::People(PeoplePage::Approve), rest),
        }
    }

    /// The route of a path of one question, and the id in it.
    fn approval(rest: &str) -> (Self, &str) {
        match rest.split_once('/') {
            Some((id, "preview")) => (Self::ApprovalPreview, id),
            Some((id, "state")) => (Self::ApprovalState, id),
            Some((id, "signatures")) => (Self::ApprovalSignatures, id),
            // A further part in the id is refused with every other route.
            _ => (Self::Approval, rest),
        }
    }

    /// The route of an unknown path. The error is in the form of the protocol that the client seems
    /// to use.
    fn beside(path: &str) -> Self {
        let path = path.trim_matches('/').to_ascii_lowercase();
        let known = path.split('/').skip_while(|part| *part != ".well-known").nth(1);
        if known.is_some_and(|name| OAUTH_DOCUMENTS.contains(&name)) {
            return Self::OauthDocument;
        }
        let of_mcp = path == "mcp" || path.starts_with("mcp/") || path.ends_with("/mcp");
        match path.strip_prefix("mcp/").unwrap_or(&path) {
            "register" | "authorize" | "token" => Self::Oauth,
            "sse" | "message" | "messages" => Self::OldTransport,
            _ if of_mcp => Self::NotMcp,
            _ => Self::Nowhere,
        }
    }

    /// The methods of the route, besides OPTIONS, and HEAD where there is GET.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Mcp | Self::Tool | Self::Preview | Self::NotMcp | Self::OldTransport => "POST",
            Self::SignIn => "POST",
            Self::Approval => "GET, HEAD, POST",
            Self::Job => "GET, HEAD, DELETE",
            Self::People(page) => page.methods(),
            Self::Console(page) => page.methods(),
            Self::Oauth | Self::Nowhere => "GET, HEAD, POST, DELETE",
            Self::Tools
            | Self::Calls
            | Self::CallPage
            | Self::Challenge
            | Self::Approvals
            | Self::ApprovalPreview
            | Self::ApprovalState
            | Self::ApprovalSignatures
            | Self::OauthDocument
            | Self::Home
            | Self::Health
            | Self::Ready
            | Self::Metrics => "GET, HEAD",
        }
    }

    /// Returns whether only our own pages use this route.
    pub fn is_page(self) -> bool {
        matches!(self, Self::People(_) | Self::Console(_))
    }

    /// Returns whether the clients of this route expect JSON-RPC.
    pub fn is_rpc(self) -> bool {
        matches!(self, Self::Mcp | Self::NotMcp | Self::OldTransport)
    }

    /// Returns whether this is a probe. Probes may use any host name of the server, and get no
    /// details.
    pub fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }
}

/// Refuses a method other than `method`, and names the methods that are served. HEAD is served where
/// GET is: hyper sends the same head and no body.
pub fn require_method(parts: &Parts, method: &Method, allowed: &'static str) -> Result<(), Deny> {
    let head = method == Method::GET && parts.method == Method::HEAD;
    if parts.method == method || head { Ok(()) } else { Err(Deny::Verb(allowed)) }
}

/// Refuses a query string on a path that takes none. Tokens in particular do not belong there.
pub fn require_no_query(parts: &Parts) -> Result<(), Deny> {
    match parts.uri.query() {
        None | Some("") => Ok(()),
        Some(_) => Err(Deny::Query),
    }
}
