//! `POST /mcp`: one request or notification, one response. The response is JSON, or the request's
//! own event stream for a held call whose client asked for progress. One endpoint serves four
//! revisions in two forms; each request names its own. Keeps no session: a call that an agent
//! returns to has an id.

pub mod call;
pub mod list;
pub mod listen;
pub mod message;
pub mod progress;
pub mod prompts;
pub mod question;
pub mod request_state;
pub mod resources;
pub mod revision;
pub mod task;

use crate::builtin_tools::{self, InvalidArguments};
use crate::deny::{Deny, REVISIONS};
use crate::edge::Edge;
use crate::oauth::needed;
use crate::render::{self, Form};
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::settings::BUFFERED_TIME;
use crate::shares::Used;
use crate::span_names::{self, call_span, record_refusal};
use crate::submit::Submission;
use crate::{body, header};
use cofferdam_core::journey::ports::{Front, FrontCall};
use cofferdam_core::model::access::Authenticated;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::limit::PERSON_MS;
use cofferdam_core::protocol::telemetry_names;
use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use list::Page;
use message::{Malformed, Message};
use progress::EventStream;
use question::{Question, Returned};
use revision::{Era, RequestRevision};
use serde_json::{Map, Value, json};
use task::Taker;
use tokio::sync::mpsc;
use tracing::Span;

/// Time for which a client may keep a list, in milliseconds. Policy and roles change, but not while
/// a model thinks.
const LIST_TTL_MS: u64 = 30_000;

/// Time for which a client may keep the description of this server, in milliseconds. It changes
/// with a restart.
const DISCOVER_TTL_MS: u64 = 300_000;

impl<F: Front> Edge<F> {
    /// Answers one request to the endpoint. There is no stream to GET and no session to DELETE:
    /// both get 405, which clients of every revision understand.
    pub async fn mcp(&self, parts: &Parts, body: Incoming, seat: &Seat) -> Answer {
        let admitted = self.admitted(parts, &body, seat).await.and_then(|caller| {
            let sending = self.shares.body(&caller.principal)?;
            Ok((caller, sending))
        });
        let outcome = match admitted {
            Ok(admitted) => self.message(&parts.headers, body, admitted, seat).await,
            Err(deny) => return self.rpc_refused(parts, body, &deny, seat).await,
        };
        outcome.unwrap_or_else(|Malformed { id, deny }| {
            self.challenged(render::rpc_error(&deny, id.as_ref()), &deny)
        })
    }

    /// Refuses a request whose body was not read yet. The response has the id in that body, if the
    /// body arrives in time. Meanwhile the connection gives way to others.
    pub async fn rpc_refused(
        &self,
        parts: &Parts,
        body: Incoming,
        deny: &Deny,
        seat: &Seat,
    ) -> Answer {
        if parts.method != Method::POST {
            return self.challenged(render::rpc_error(deny, None), deny);
        }
        seat.doubt();
        // A proxy's connection never gives way, and a request over a limit gets no more than this.
        let place = if seat.is_trusted() { self.refused.try_acquire().ok() } else { None };
        let time = match (seat.is_trusted(), &place) {
            (true, None) => BUFFERED_TIME,
            (true, Some(_)) => self.settings.refused_time,
            (false, _) if deny.is_over_limit() => self.settings.refused_time,
            (false, _) => self.settings.body_time,
        };
        let bytes = body::refused(body, time).await;
        drop(place);
        let id = bytes.as_ref().and_then(|bytes| message::id_of(bytes));
        let answer = self.challenged(render::rpc_error(deny, id.as_ref()), deny);
        // The rest of the body must not be read as the next request.
        if bytes.is_none() { respond::add(answer, CONNECTION, "close") } else { answer }
    }

    /// Returns the caller, after every check that needs no body.
    async fn admitted(
        &self,
        parts: &Parts,
        body: &Incoming,
        seat: &Seat,
    ) -> Result<Authenticated, Deny> {
        let headers = &parts.headers;
        if parts.method != Method::POST {
            self.authenticated(parts, seat).await?;
            return Err(Deny::Verb("POST"));
        }
        no_token(parts)?;
        accepts_json(headers)?;
        body::announced(headers, body)?;
        self.authenticated(parts, seat).await
    }

    async fn message(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        (Authenticated { principal, access }, sending): (Authenticated, Used),
        seat: &Seat,
    ) -> Result<Answer, Malformed> {
        let nameless = |deny| Malformed { id: None, deny };
        let bytes = body::read(body, self.settings.body_time).await.map_err(nameless)?;
        drop(sending);
        let message = message::read(&bytes)?;
        drop(bytes);
        let Some(id) = message.id.clone() else {
            return notification(headers, &message).map_err(nameless);
        };
        if let Err(deny) = self.require(access, needed(&message)) {
            return Err(Malformed { id: Some(id), deny });
        }
        self.request(headers, principal, message, (&id, seat))
            .await
            .map_err(|deny| Malformed { id: Some(id), deny })
    }

    async fn request(
        &self,
        headers: &HeaderMap,
        principal: Principal,
        message: Message,
        (id, seat): (&Value, &Seat),
    ) -> Result<Answer, Deny> {
        let RequestRevision { era, revision } = match revision::of_request(headers, &message) {
            Ok(spoken) => spoken,
            Err(deny) => {
                self.metrics.count_mixed_revisions(&*self.front, &deny, &message);
                return Err(deny);
            }
        };
        let tool = message
            .params
            .get("name")
            .and_then(Value::as_str)
            .filter(|name| message.method == "tools/call" && call::is_name(name));
        let trace = message.meta.get("traceparent").and_then(Value::as_str).and_then(call::trace);
        let id_text = id.as_str().map_or_else(|| id.to_string(), header::excerpt);
        let span = call_span(span_names::Call {
            method: known(&message.method),
            tool,
            version: revision,
            id: Some(&id_text),
            trace: trace.as_ref(),
        });
        let responder = Responder { era, id: id.clone(), server: self.server_info() };
        if message.method == "tools/call" {
            return self.call(headers, principal, message, responder, span).await;
        }
        if message.method == "tools/list" {
            let page = self.list(&principal, &message.params, form(era)).await;
            return responder.page(page, &span);
        }
        if era == Era::Modern && message.method == "subscriptions/listen" {
            let opened = self.listen(headers, seat, &principal, &message, responder).await;
            record_refusal(&span, opened.as_ref().err());
            return opened;
        }
        let params = &message.params;
        let result = match (era, message.method.as_str()) {
            (Era::Modern, "tasks/get" | "tasks/update" | "tasks/cancel") => {
                self.tasks(headers, principal, &message, &responder, &span).await
            }
            (_, "resources/list") => self.resources(era, &principal, params).await,
            (_, "resources/templates/list") => self.resource_templates(era, params),
            (_, "resources/read") => self.resource(headers, era, &principal, &message).await,
            (_, "prompts/list") => self.prompts(era, params),
            (_, "prompts/get") => self.prompt(headers, era, &principal, &message).await,
            (_, "completion/complete") => self.complete(&principal, params).await,
            _ => self.dispatch(era, message),
        };
        responder.answer(result, &span)
    }

    /// Serves `tools/call`. The response is held until the reply. A client that asked for progress
    /// gets a stream as soon as there is progress.
    async fn call(
        &self,
        headers: &HeaderMap,
        principal: Principal,
        message: Message,
        responder: Responder,
        span: Span,
    ) -> Result<Answer, Deny> {
        let token = match progress::token(headers, &message.meta) {
            Ok(token) => token,
            Err(deny) => return responder.answer(Err(deny), &span),
        };
        let era = responder.era;
        let (ask, taker) = match self.asked(headers, era, principal, message, token.is_some()).await
        {
            Ok(Ok(asked)) => asked,
            Ok(Err(unfit)) => {
                return responder.answer(render::tool_result(unfit.into(), form(era)), &span);
            }
            Err(deny) => return responder.answer(Err(deny), &span),
        };
        let (line, mut lines) = mpsc::channel(progress::LINES);
        let progress = Box::new(move |text| drop(line.try_send(text)));
        let held = match self.begin(ask, span.clone(), progress) {
            Ok(held) => held,
            Err(deny) => return responder.answer(Err(deny), &span),
        };
        let mut held = self.result_or_task(held, era, taker);
        let Some(token) = token else { return responder.answer(held.await, &span) };
        tokio::select! {
            biased;
            result = &mut held => responder.answer(result, &span),
            Some(first) = lines.recv() => Ok(EventStream { token, responder, span }.stream(first,
            lines, held)),
        }
    }

    /// Returns the submission of this `tools/call`, and what its client takes besides a result.
    async fn asked(
        &self,
        headers: &HeaderMap,
        era: Era,
        principal: Principal,
        message: Message,
        progress: bool,
    ) -> Result<Result<(Submission, Taker), InvalidArguments>, Deny> {
        let Message { params, meta, .. } = message;
        let state: Map<String, Value> = params
            .iter()
            .filter(|(name, _)| ["requestState", "inputResponses"].contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let called = call::read(principal, params, &meta)?;
        revision::name_matches(headers, &called.call.tool, era)?;
        if !called.name_is_valid {
            return Err(Deny::UnknownTool(header::excerpt(&called.call.tool)));
        }
        let call = match builtin_tools::interpret(called) {
            Ok(Submission::Call(call)) => call,
            // An answer of a built-in tool says by itself how a call stands.
            other => return Ok(other.map(|ask| (ask, Taker::default()))),
        };
        if era == Era::Legacy {
            return Ok(Ok((held(call, progress), Taker::default())));
        }
        let returned = self.returned(&call, &state).await?;
        let asked = returned.as_ref().is_some_and(|returned| returned.answered);
        let question = Question::of(headers, &meta, &call).filter(|_| !asked);
        let taker = Taker {
            tasks: task::declared(&meta),
            principal: Some(call.principal.clone()),
            question,
        };
        let at_once = taker.tasks || taker.question.is_some();
        Ok(Ok(match returned {
            // The client comes back to its call. The call itself is not made again.
            Some(Returned { carried, .. }) => {
                let wait_ms = match (at_once, progress) {
                    (true, _) => 0,
                    (false, true) => call.wait_ms,
                    (false, false) => PERSON_MS,
                };
                let ask =
                    Submission::Job { principal: call.principal, call: carried.call, wait_ms };
                (ask, taker)
            }
            None if at_once => {
                let wait_ms = if taker.tasks { task::HOLD_MS } else { call.wait_ms };
                (Submission::Call(FrontCall { wait_ms, person_ms: 0, ..call }), taker)
            }
            None => (held(call, progress), taker),
        }))
    }

    fn dispatch(&self, era: Era, message: Message) -> Result<Map<String, Value>, Deny> {
        match (era, message.method.as_str()) {
            (Era::Modern, "server/discover") => Ok(self.discover()),
            (Era::Legacy, "initialize") => self.initialize(&message.params),
            (Era::Legacy, "ping") => Ok(Map::new()),
            (Era::Modern, method) => Err(Deny::Method(header::excerpt(method))),
            (Era::Legacy, method) => Err(Deny::LegacyMethod(header::excerpt(method))),
        }
    }

    fn discover(&self) -> Map<String, Value> {
        let mut result = Map::new();
        result.insert("supportedVersions".into(), json!(REVISIONS));
        let capabilities = json!({
            "tools": {"listChanged": true},
            "resources": {"subscribe": true},
            "prompts": {},
            "completions": {},
            "extensions": {task::EXTENSION: {}},
        });
        result.insert("capabilities".into(), capabilities);
        result.insert("instructions".into(), Value::String(self.front.instructions()));
        cacheable(&mut result, DISCOVER_TTL_MS);
        result
    }

    /// Answers the legacy handshake.
    fn initialize(&self, params: &Map<String, Value>) -> Result<Map<String, Value>, Deny> {
        let Some(offered) = params.get("protocolVersion").and_then(Value::as_str) else {
            return Err(Deny::Params("`protocolVersion` must be a string".into()));
        };
        let mut result = Map::new();
        result.insert("protocolVersion".into(), json!(revision::agreed_on(offered)));
        // There is no stream outside of a call, so a change cannot be told.
        let capabilities = json!({"tools": {}, "resources": {}, "prompts": {}, "completions": {}});
        result.insert("capabilities".into(), capabilities);
        result.insert("serverInfo".into(), self.server_info());
        result.insert("instructions".into(), Value::String(self.front.instructions()));
        Ok(result)
    }

    fn server_info(&self) -> Value {
        json!({"name": "cofferdam", "title": format!("Cofferdam ({})", self.front.environment()),
        "version": env!("CARGO_PKG_VERSION")})
    }
}

/// A client with progress waits as long as a call is held; another client may give up after 5 s.
fn held(call: FrontCall, progress: bool) -> Submission {
    let person_ms = if progress { call.wait_ms } else { call.person_ms };
    Submission::Call(FrontCall { person_ms, ..call })
}

fn form(era: Era) -> Form {
    if era == Era::Modern { Form::Modern } else { Form::Legacy }
}

/// The form of the response to one request.
pub struct Responder {
    era: Era,
    id: Value,
    server: Value,
}

impl Responder {
    fn answer(
        &self,
        result: Result<Map<String, Value>, Deny>,
        span: &Span,
    ) -> Result<Answer, Deny> {
        Ok(respond::json(StatusCode::OK, &self.finished(result, span)?))
    }

    /// Renders a page of `tools/list`.
    fn page(&self, page: Result<Page, Deny>, span: &Span) -> Result<Answer, Deny> {
        let mut rest = Map::new();
        let tools = page.map(|Page { tools, next }| {
            rest.extend(next.map(|next| ("nextCursor".to_owned(), Value::String(next))));
            if self.era == Era::Modern {
                cacheable(&mut rest, LIST_TTL_MS);
            }
            tools
        });
        let result = tools.as_ref().map(|_| rest).map_err(Deny::clone);
        let mut response = self.finished(result, span)?;
        let result = response.as_object_mut().and_then(|response| response.remove("result"));
        let result = respond::with_member(&result.unwrap_or_default(), "tools", &tools?);
        let text = respond::with_member(&response, "result", &result);
        Ok(respond::json_text(StatusCode::OK, text))
    }

    /// Renders the result as a message of a stream, whose status was sent before: a refusal is a
    /// message like any other.
    fn response(&self, result: Result<Map<String, Value>, Deny>, span: &Span) -> Value {
        self.finished(result, span)
            .unwrap_or_else(|deny| render::rpc_error_body(&deny, Some(&self.id)))
    }

    /// Builds the response, with the members that every result of the modern revision has. Records
    /// the result in the span.
    fn finished(
        &self,
        result: Result<Map<String, Value>, Deny>,
        span: &Span,
    ) -> Result<Value, Deny> {
        record_refusal(span, result.as_ref().err());
        let result = result?;
        if result.get("isError") == Some(&Value::Bool(true)) {
            span.record(telemetry_names::ERROR_TYPE, "tool_error");
        }
        let result = match self.era {
            Era::Modern => self.modern(result),
            Era::Legacy => Value::Object(result),
        };
        Ok(json!({"jsonrpc": "2.0", "id": self.id, "result": result}))
    }

    /// Adds the members that every result of the modern revision has.
    fn modern(&self, mut result: Map<String, Value>) -> Value {
        result.entry("resultType").or_insert_with(|| json!("complete"));
        let meta = result.entry("_meta").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert("io.modelcontextprotocol/serverInfo".into(), self.server.clone());
        }
        Value::Object(result)
    }
}

/// Marks a result as private to the caller's cache: lists differ between callers.
fn cacheable(result: &mut Map<String, Value>, ttl_ms: u64) {
    result.insert("ttlMs".into(), json!(ttl_ms));
    result.insert("cacheScope".into(), json!("private"));
}

/// Accepts a notification. Nothing follows: there is no session to mark as initialized, and a
/// running call is not cancelled.
fn notification(headers: &HeaderMap, message: &Message) -> Result<Answer, Deny> {
    if !message.method.starts_with("notifications/") {
        return Err(Deny::NotRpc("`id` is missing, and this method is no notification"));
    }
    revision::of_notification(headers, message)?;
    Ok(respond::accepted())
}

/// Ignores a query, since proxies and people add one. Refuses a token in it, which would be in logs
/// by now.
fn no_token(parts: &Parts) -> Result<(), Deny> {
    const TOKENS: [&str; 6] =
        ["access_token", "token", "api_key", "apikey", "key", "authorization"];
    let names =
        parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
    let mut names = names.map(str::to_ascii_lowercase);
    if names.any(|name| TOKENS.contains(&name.as_str())) { Err(Deny::Query) } else { Ok(()) }
}

/// Checks that the client accepts JSON. A client that accepts no event streams gets no progress.
fn accepts_json(headers: &HeaderMap) -> Result<(), Deny> {
    match headers.get("accept") {
        Some(said) if !accepts(headers, "application/json") => {
            Err(Deny::Accept(header::excerpt(&String::from_utf8_lossy(said.as_bytes()))))
        }
        _ => Ok(()),
    }
}

/// Returns whether the client accepts this media type.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let any = media.split_once('/').map(|(kind, _)| format!("{kind}/*")).unwrap_or_default();
    let takes = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|part| {
            part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        });
        (kind == media || kind == any || kind == "*/*" || kind == "*") && !refused
    };
    headers
        .get_all("accept")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(takes)
}

/// The name of a method for telemetry: a method of this server, or one word for all others.
fn known(method: &str) -> &str {
    match method {
        "server/discover"
        | "initialize"
        | "ping"
        | "tools/list"
        | "tools/call"
        | "tasks/get"
        | "tasks/update"
        | "tasks/cancel"
        | "subscriptions/listen"
        | "resources/list"
        | "resources/templates/list"
        | "resources/read"
        | "prompts/list"
        | "prompts/get"
        | "completion/complete" => method,
        _ => "other",
    }
}
