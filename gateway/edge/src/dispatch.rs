//! From a request to the handler of its path. Every request goes one way: host and origin, handler,
//! counter, span.

use crate::deny::Deny;
use crate::edge::Edge;
use crate::path::{Route, require_method};
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::settings::KEEP_MARGIN;
use crate::span_names::http_span;
use crate::{cors, render};
use cofferdam_core::journey::ports::{Answered, Front};
use cofferdam_core::protocol::telemetry_names;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument as _;

impl<F: Front> Edge<F> {
    /// Answers one request. `verdict` is the cause if its head was refused.
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
        let _active = self.metrics.begin_request(&*self.front);
        let span = http_span(method, route.name());
        let crowded = (seat.crowded && !route.is_probe()).then_some(Deny::Crowded);
        let answer = async {
            match verdict.or(crowded) {
                Some(deny) => self.refused(&parts, body, (route, seat), &deny).await,
                None => self.guarded(&parts, body, route, name, seat).await,
            }
        };
        let answer = answer.instrument(span.clone()).await;
        let deny = answer.extensions().get::<Deny>();
        let over_limit = self.over_limit(deny, &parts, seat);
        if let Some((agent, word)) = over_limit {
            self.front.over_limit(agent, word);
        }
        self.front.answered(&Answered {
            method,
            route: route.name(),
            status: answer.status().as_u16(),
            code: deny.map_or(0, |deny| deny.row().code),
            took: began.elapsed(),
            client: self.client(&parts.headers, seat).address,
        });
        if over_limit.is_some() {
            seat.doubt();
            // A proxy's connection gives way to none, so it is not held.
            if !seat.is_trusted() {
                tokio::time::sleep(self.settings.over_limit_pause).await;
            }
        }
        span.record(telemetry_names::HTTP_RESPONSE_STATUS_CODE, answer.status().as_u16());
        if answer.status().is_server_error() {
            span.record(telemetry_names::ERROR_TYPE, answer.status().as_str());
        }
        let mut answer = self.kept(&parts, answer);
        answer.body_mut().hold(busy);
        answer
    }

    /// Returns the agent and the limit, if a refused request is over one. A request that was refused
    /// before its token was looked at counts as one without a token.
    fn over_limit<'a>(
        &self,
        deny: Option<&'a Deny>,
        parts: &Parts,
        seat: &Seat,
    ) -> Option<(&'a str, &'static str)> {
        let deny = deny?;
        if deny.is_over_limit() || seat.is_counted() || !deny.row().plain.is_client_error() {
            return deny.over_limit();
        }
        let client = self.client(&parts.headers, seat).address;
        self.peers.request(client, Instant::now()).err().map(|_| ("", "without_token"))
    }

    /// Adds the time for which the connection is kept, if it is kept. After a chunked request the
    /// connection is closed, because `heads.rs` does not follow chunks to the next head.
    fn kept(&self, parts: &Parts, answer: Answer) -> Answer {
        // A kept connection would have to be cut off later.
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

    /// Handles a request after the check of host and origin. A page of an allowed origin may read
    /// every response.
    async fn guarded(
        &self,
        parts: &Parts,
        body: Incoming,
        route: Route,
        name: &str,
        seat: &Seat,
    ) -> Answer {
        let host = if route.is_probe() { Ok(()) } else { self.host_origin.host(parts) };
        let origin = match host.and_then(|()| self.host_origin.origin(&parts.headers)) {
            Ok(origin) => origin,
            Err(deny) => return self.refused(parts, body, (route, seat), &deny).await,
        };
        let answer = if parts.method == Method::OPTIONS {
            let shared = origin.is_some() && !route.is_page();
            cors::options(route.methods(), shared)
        } else if route == Route::Mcp {
            self.mcp(parts, body, seat).await
        } else {
            self.other(parts, body, route, name, seat).await
        };
        match origin {
            // Only our own pages use them, and those need no permission to read.
            Some(_) if route.is_page() => answer,
            Some(origin) => cors::shared(answer, origin),
            None => answer,
        }
    }

    async fn refused(
        &self,
        parts: &Parts,
        body: Incoming,
        (route, seat): (Route, &Seat),
        deny: &Deny,
    ) -> Answer {
        if route.is_rpc() {
            self.rpc_refused(parts, body, deny, seat).await
        } else {
            self.challenged(render::plain_error(deny), deny)
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
            Route::Challenge
            | Route::SignIn
            | Route::Approvals
            | Route::Approval
            | Route::ApprovalPreview
            | Route::ApprovalState
            | Route::ApprovalSignatures => self.approvals(parts, body, route, name, seat).await,
            Route::People(page) => self.people(parts, body, page, (name, seat)).await,
            Route::Console(page) => self.console(parts, body, page, (name, seat)).await,
            Route::CallPage => self.call_page(parts, name, seat).await,
            Route::OauthDocument => self.oauth_document(parts),
            Route::Oauth => return self.no_oauth(false),
            Route::NotMcp | Route::Mcp => {
                return self.rpc_refused(parts, body, &Deny::NotMcp, seat).await;
            }
            Route::OldTransport => {
                return self.rpc_refused(parts, body, &Deny::OldTransport, seat).await;
            }
            Route::Nowhere => Err(Deny::Path),
            Route::Home | Route::Health | Route::Ready | Route::Metrics => {
                self.page(parts, route, seat).await
            }
        };
        answer.unwrap_or_else(|deny| self.challenged(render::plain_error(&deny), &deny))
    }

    /// Pages ignore any query: monitors add one.
    async fn page(&self, parts: &Parts, route: Route, seat: &Seat) -> Result<Answer, Deny> {
        require_method(parts, &Method::GET, "GET, HEAD")?;
        match route {
            Route::Home => Ok(self.home()),
            Route::Ready => Ok(self.ready(parts, seat).await),
            Route::Metrics => {
                self.probe(parts, seat)?;
                self.metrics(parts, seat).await
            }
            _ => Ok(respond::text(StatusCode::OK, "alive\n")),
        }
    }
}

/// The name of a method for telemetry. Clients may invent methods.
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
