//! From a path to the handler that serves it; the one way through which every request goes: gate, handler, counter, span.

use crate::count::Count;
use crate::deny::Deny;
use crate::names::{self, http_span};
use crate::plain::{no_query, only};
use crate::respond::{self, Answer};
use crate::settings::EdgeSettings;
use crate::{gate, wire};
use cofferdam_core::ports::Front;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument as _, Span};

/// Everything a request needs.
#[derive(Debug)]
pub struct Edge<F> {
    /// What answers.
    pub front: Arc<F>,
    /// What the edge was told.
    pub settings: EdgeSettings,
    /// A permit per call in progress.
    pub calls: Arc<Semaphore>,
    /// Held by every call in progress: the stop waits until all are dropped.
    pub open: mpsc::Sender<Infallible>,
    /// Answers so far.
    pub count: Count,
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
    /// RFC 9728.
    Metadata,
    /// For people.
    Home,
    /// Lives.
    Health,
    /// Can work.
    Ready,
    /// Prometheus.
    Metrics,
    /// Nothing.
    Nowhere,
}

impl Route {
    /// The path's pattern, as telemetry names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mcp => "/mcp",
            Self::Tools => "/v1/tools",
            Self::Tool => "/v1/tools/{name}",
            Self::Preview => "/v1/tools/{name}/preview",
            Self::Job => "/v1/jobs/{id}",
            Self::Metadata => "/.well-known/oauth-protected-resource",
            Self::Home => "/",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::Nowhere => "(none)",
        }
    }

    /// The route of a path, and the name or id in it. Nothing is percent-decoded: no name of ours needs it.
    fn of(path: &str) -> (Self, &str) {
        match path {
            "/mcp" => (Self::Mcp, ""),
            "/v1/tools" => (Self::Tools, ""),
            "/" => (Self::Home, ""),
            "/healthz" => (Self::Health, ""),
            "/readyz" => (Self::Ready, ""),
            "/metrics" => (Self::Metrics, ""),
            "/.well-known/oauth-protected-resource" | crate::auth::METADATA_PATH => (Self::Metadata, ""),
            _ => {
                let tool = path.strip_prefix("/v1/tools/");
                let found = match tool.and_then(|rest| rest.strip_suffix("/preview")) {
                    Some(name) => Some((Self::Preview, name)),
                    None => tool.map(|name| (Self::Tool, name)).or_else(|| path.strip_prefix("/v1/jobs/").map(|id| (Self::Job, id))),
                };
                found.filter(|(_, name)| !name.is_empty() && !name.contains('/')).unwrap_or((Self::Nowhere, ""))
            }
        }
    }

    /// Probes reach a server under whatever address it has, and learn nothing.
    fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }
}

impl<F: Front> Edge<F> {
    /// Answers one request, whatever it is.
    pub async fn handle(&self, request: Request<Incoming>, client: IpAddr) -> Answer {
        let (parts, body) = request.into_parts();
        let (route, name) = Route::of(parts.uri.path());
        let span = http_span(verb(&parts.method), route.name());
        let answer = self.guarded(&parts, body, route, name, client).instrument(span.clone()).await;
        self.count.add(route, answer.status(), answer.extensions().get::<Deny>());
        span.record(names::HTTP_STATUS, answer.status().as_u16());
        if answer.status().is_server_error() {
            span.record(names::ERROR_TYPE, answer.status().as_str());
        }
        answer
    }

    async fn guarded(&self, parts: &Parts, body: Incoming, route: Route, name: &str, client: IpAddr) -> Answer {
        let host = if route.is_probe() { Ok(()) } else { gate::host(parts, &self.settings) };
        if let Err(deny) = host.and_then(|()| gate::origin(parts, &self.settings)) {
            return if route == Route::Mcp { wire::rpc_error(&deny, None) } else { wire::plain_error(&deny) };
        }
        if route == Route::Mcp {
            // No stream to GET, no session to DELETE: 405, which clients of every revision understand.
            return match only(parts, &Method::POST, "POST").and_then(|()| no_query(parts)) {
                Ok(()) => self.mcp(parts, body, client).await,
                Err(deny) => wire::rpc_error(&deny, None),
            };
        }
        match self.other(parts, body, route, name, client).await {
            Ok(answer) => answer,
            Err(deny) => self.challenged(wire::plain_error(&deny), &deny),
        }
    }

    async fn other(&self, parts: &Parts, body: Incoming, route: Route, name: &str, client: IpAddr) -> Result<Answer, Deny> {
        match route {
            Route::Tools => return self.v1_tools(parts, client).await,
            Route::Tool => return self.v1_call(parts, body, name, false, client).await,
            Route::Preview => return self.v1_call(parts, body, name, true, client).await,
            Route::Job => return self.v1_job(parts, name, client).await,
            Route::Nowhere | Route::Mcp => return Err(Deny::Path),
            Route::Metadata | Route::Home | Route::Health | Route::Ready | Route::Metrics => {}
        }
        only(parts, &Method::GET, "GET").and_then(|()| no_query(parts))?;
        match route {
            Route::Metadata => Ok(self.metadata()),
            Route::Home => Ok(self.home()),
            Route::Ready => Ok(self.ready().await),
            Route::Metrics => self.metrics(client).await,
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
