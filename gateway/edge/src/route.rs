//! From a path to the handler that serves it; the one way through which every request goes: gate,
//! handler, counter, span.

use crate::auth::{challenged, no_oauth};
use crate::calls::Calls;
use crate::count::Count;
use crate::deny::Deny;
use crate::gate::Gate;
use crate::names::{self, http_span};
use crate::plain::only;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::settings::{EdgeSettings, KEEP_MARGIN};
use crate::shares::Shares;
use crate::{cors, wire};
use cofferdam_core::journey::ports::{Answered, Front};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span};

/// Everything a request needs.
#[derive(Debug)]
pub struct Edge<F> {
    /// What answers.
    pub front: Arc<F>,
    /// What the edge was told.
    pub settings: EdgeSettings,
    /// Whom it answers.
    pub gate: Gate,
    /// Calls in progress.
    pub calls: Calls,
    /// What each caller uses.
    pub shares: Shares,
    /// Held by every call in progress: the stop waits until all are dropped.
    pub open: mpsc::Sender<Infallible>,
    /// Answers so far.
    pub count: Count,
    /// Requests that are being answered now.
    pub active: AtomicU32,
}

/// One of the requests that are being answered; counted until this is dropped, however it ends.
struct Active<'a>(&'a AtomicU32);

impl<'a> Active<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is served, by the path's pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// MCP.
    Mcp,
    /// Listing over plain HTTP.
    Tools,
    /// A call over plain HTTP.
    Tool,
    /// A preview over plain HTTP.
    Preview,
    /// A job over plain HTTP.
    Job,
    /// The caller's own calls over plain HTTP.
    Calls,
    /// Where clients look for documents of an authorization server.
    OauthDocument,
    /// Where clients would register and sign in.
    Oauth,
    /// For people.
    Home,
    /// Lives.
    Health,
    /// Can work.
    Ready,
    /// Prometheus.
    Metrics,
    /// The transport before Streamable HTTP.
    OldTransport,
    /// Nothing, where a client of MCP looked.
    NotMcp,
    /// Nothing.
    Nowhere,
}

/// Documents of OAuth and OpenID Connect, by the name after `/.well-known/`.
const OAUTH_DOCUMENTS: [&str; 3] =
    ["oauth-authorization-server", "oauth-protected-resource", "openid-configuration"];

impl Route {
    /// The path's pattern, as telemetry names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mcp => "/mcp",
            Self::Tools => "/v1/tools",
            Self::Tool => "/v1/tools/{name}",
            Self::Preview => "/v1/tools/{name}/preview",
            Self::Job => "/v1/jobs/{id}",
            Self::Calls => "/v1/calls",
            Self::OauthDocument => "/.well-known/{oauth}",
            Self::Oauth => "/{oauth}",
            Self::Home => "/",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::OldTransport => "/sse",
            Self::NotMcp => "(none of mcp)",
            Self::Nowhere => "(none)",
        }
    }

    /// The route of a path, and the name or id in it. One slash at the end is passed over. Nothing
    /// is percent-decoded: no name of ours needs it.
    fn of(path: &str) -> (Self, &str) {
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "/mcp" => (Self::Mcp, ""),
            "/v1/tools" => (Self::Tools, ""),
            "/v1/calls" => (Self::Calls, ""),
            "" => (Self::Home, ""),
            "/healthz" => (Self::Health, ""),
            "/readyz" => (Self::Ready, ""),
            "/metrics" => (Self::Metrics, ""),
            _ => {
                let tool = path.strip_prefix("/v1/tools/");
                let found = match tool.and_then(|rest| rest.strip_suffix("/preview")) {
                    Some(name) => Some((Self::Preview, name)),
                    None => tool
                        .map(|name| (Self::Tool, name))
                        .or_else(|| path.strip_prefix("/v1/jobs/").map(|id| (Self::Job, id))),
                };
                let named = found.filter(|(_, name)| !name.is_empty() && !name.contains('/'));
                named.unwrap_or_else(|| (Self::beside(path), ""))
            }
        }
    }

    /// What a client looks for that found nothing: it is told in its own protocol's form.
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

    /// The methods it takes, besides OPTIONS and, where it takes GET, HEAD.
    fn methods(self) -> &'static str {
        match self {
            Self::Mcp | Self::Tool | Self::Preview | Self::NotMcp | Self::OldTransport => "POST",
            Self::Job => "GET, HEAD, DELETE",
            Self::Oauth | Self::Nowhere => "GET, HEAD, POST, DELETE",
            Self::Tools
            | Self::Calls
            | Self::OauthDocument
            | Self::Home
            | Self::Health
            | Self::Ready
            | Self::Metrics => "GET, HEAD",
        }
    }

    /// Whether its clients speak JSON-RPC.
    fn is_rpc(self) -> bool {
        matches!(self, Self::Mcp | Self::NotMcp | Self::OldTransport)
    }

    /// Probes reach a server under whatever address it has, and learn nothing.
    fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }
}

impl<F: Front> Edge<F> {
    /// Answers one request, whatever it is. `verdict` is why its head was not read, where it was
    /// not.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        seat: &Arc<Seat>,
        verdict: Option<Deny>,
    ) -> Answer {
        let busy = seat.busy();
        let (parts, body) = request.into_parts();
        let (route, name) = Route::of(parts.uri.path());
        let (method, began) = (verb(&parts.method), Instant::now());
        let _active = Active::begin(&self.active);
        let span = http_span(method, route.name());
        let crowded = (seat.crowded && !route.is_probe()).then_some(Deny::Crowded);
        let answer = async {
            match verdict.or(crowded) {
                Some(deny) => self.refused(&parts, body, route, &deny).await,
                None => self.guarded(&parts, body, route, name, seat).await,
            }
        };
        let answer = answer.instrument(span.clone()).await;
        let deny = answer.extensions().get::<Deny>();
        self.count.add(route, answer.status(), deny);
        self.front.answered(&Answered {
            method,
            route: route.name(),
            status: answer.status().as_u16(),
            code: deny.map_or(0, |deny| deny.row().code),
            took: began.elapsed(),
            client: seat.client,
        });
        span.record(names::HTTP_STATUS, answer.status().as_u16());
        if answer.status().is_server_error() {
            span.record(names::ERROR_TYPE, answer.status().as_str());
        }
        let mut answer = self.kept(&parts, answer);
        answer.body_mut().hold(busy);
        answer
    }

    /// Says how long the connection is kept, where it is. After chunks it is closed: `heads.rs`
    /// does not follow them to the next head.
    fn kept(&self, parts: &Parts, answer: Answer) -> Answer {
        // One that is kept while the server drains would have to be cut later.
        if parts.headers.contains_key(TRANSFER_ENCODING) || self.calls.is_draining() {
            return respond::add(answer, CONNECTION, "close");
        }
        let seconds = self.settings.idle_time.saturating_sub(KEEP_MARGIN).as_secs();
        let closing = |headers: &HeaderMap| {
            let mut options =
                headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
            options.any(|value| value.to_ascii_lowercase().contains("close"))
        };
        if seconds == 0 || closing(&parts.headers) || closing(answer.headers()) {
            return answer;
        }
        respond::add(answer, HeaderName::from_static("keep-alive"), &format!("timeout={seconds}"))
    }

    /// Behind the gate: a page of an allowed origin may read whatever is answered.
    async fn guarded(
        &self,
        parts: &Parts,
        body: Incoming,
        route: Route,
        name: &str,
        seat: &Seat,
    ) -> Answer {
        let host = if route.is_probe() { Ok(()) } else { self.gate.host(parts) };
        let origin = match host.and_then(|()| self.gate.origin(&parts.headers)) {
            Ok(origin) => origin,
            Err(deny) => return self.refused(parts, body, route, &deny).await,
        };
        let answer = if parts.method == Method::OPTIONS {
            cors::options(route.methods(), origin.is_some())
        } else if route == Route::Mcp {
            self.mcp(parts, body, seat).await
        } else {
            self.other(parts, body, route, name, seat).await
        };
        match origin {
            Some(origin) => cors::shared(answer, origin),
            None => answer,
        }
    }

    async fn refused(&self, parts: &Parts, body: Incoming, route: Route, deny: &Deny) -> Answer {
        if route.is_rpc() {
            self.rpc_refused(parts, body, deny).await
        } else {
            challenged(wire::plain_error(deny), deny)
        }
    }

    async fn other(
        &self,
        parts: &Parts,
        body: Incoming,
        route: Route,
        name: &str,
        seat: &Seat,
    ) -> Answer {
        let answer = match route {
            Route::Tools => self.v1_tools(parts, seat).await,
            Route::Tool => self.v1_call(parts, body, name, false, seat).await,
            Route::Preview => self.v1_call(parts, body, name, true, seat).await,
            Route::Job => self.v1_job(parts, name, seat).await,
            Route::Calls => self.v1_calls(parts, seat).await,
            Route::OauthDocument => return no_oauth(true),
            Route::Oauth => return no_oauth(false),
            Route::NotMcp | Route::Mcp => {
                return self.rpc_refused(parts, body, &Deny::NotMcp).await;
            }
            Route::OldTransport => return self.rpc_refused(parts, body, &Deny::OldTransport).await,
            Route::Nowhere => Err(Deny::Path),
            Route::Home | Route::Health | Route::Ready | Route::Metrics => {
                self.page(parts, route, seat).await
            }
        };
        answer.unwrap_or_else(|deny| challenged(wire::plain_error(&deny), &deny))
    }

    /// Pages take any query: monitors add one, and no page reads it.
    async fn page(&self, parts: &Parts, route: Route, seat: &Seat) -> Result<Answer, Deny> {
        only(parts, &Method::GET, "GET, HEAD")?;
        match route {
            Route::Home => Ok(self.home()),
            Route::Ready => Ok(self.ready(parts, seat).await),
            Route::Metrics => self.metrics(seat).await,
            _ => Ok(respond::text(StatusCode::OK, "alive\n")),
        }
    }
}

/// A method's name for telemetry; clients may invent any.
fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "_OTHER",
    }
}

/// Writes a refusal's code on a call's span.
pub fn record(span: &Span, deny: Option<&Deny>) {
    let Some(deny) = deny else { return };
    let code = deny.row().code.to_string();
    span.record(names::RPC_STATUS, code.as_str());
    if deny.is_error() {
        span.record(names::ERROR_TYPE, code.as_str());
    }
}
