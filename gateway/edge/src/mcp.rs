//! `POST /mcp`: one request or notification, one answer: JSON, or for a held call whose client
//! asked for progress the request's own event stream. Four revisions on one endpoint, in two ways
//! of speaking; each request says by itself which. Keeps no session; what an agent has to come back
//! for has an id of its own.

pub mod call;
pub mod list;
pub mod message;
pub mod progress;
pub mod revision;

use crate::auth::challenged;
use crate::builtin_tools::{self, Unfit};
use crate::deny::{Deny, REVISIONS};
use crate::edge::Edge;
use crate::render::{self, Form};
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::span_names::{self, call_span, record_refusal};
use crate::submit::Submission;
use crate::{body, header};
use cofferdam_core::journey::ports::{Front, FrontCall};
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::protocol::telemetry_names;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use message::{Malformed, Message};
use progress::Telling;
use revision::{Era, RequestRevision};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tracing::Span;

/// How long a client may keep a list, in milliseconds: policy and roles change, but not while a
/// model thinks.
const LIST_TTL_MS: u64 = 30_000;

/// How long it may keep what this server is: it changes with a restart.
const DISCOVER_TTL_MS: u64 = 300_000;

impl<F: Front> Edge<F> {
    /// Answers one request to the endpoint. There is no stream to GET and no session to DELETE:
    /// 405, which clients of every revision understand.
    pub async fn mcp(&self, parts: &Parts, body: Incoming, seat: &Seat) -> Answer {
        let outcome = match self.admitted(parts, &body, seat).await {
            Ok(principal) => self.message(&parts.headers, body, principal).await,
            Err(deny) => return self.rpc_refused(parts, body, &deny).await,
        };
        outcome.unwrap_or_else(|Malformed { id, deny }| render::rpc_error(&deny, id.as_ref()))
    }

    /// Refuses a request whose body was not read yet, to the id in that body.
    pub async fn rpc_refused(&self, parts: &Parts, body: Incoming, deny: &Deny) -> Answer {
        let id = if parts.method == Method::POST {
            body::refused(body, self.settings.body_time)
                .await
                .and_then(|bytes| message::id_of(&bytes))
        } else {
            None
        };
        challenged(render::rpc_error(deny, id.as_ref()), deny)
    }

    /// Who calls, once everything is right that can be seen without the body.
    async fn admitted(
        &self,
        parts: &Parts,
        body: &Incoming,
        seat: &Seat,
    ) -> Result<Principal, Deny> {
        let headers = &parts.headers;
        if parts.method != Method::POST {
            self.principal(headers, seat).await?;
            return Err(Deny::Verb("POST"));
        }
        no_token(parts)?;
        accepts_json(headers)?;
        body::announced(headers, body)?;
        self.principal(headers, seat).await
    }

    async fn message(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        principal: Principal,
    ) -> Result<Answer, Malformed> {
        let nameless = |deny| Malformed { id: None, deny };
        let bytes = body::read(body, self.settings.body_time).await.map_err(nameless)?;
        let message = message::read(&bytes)?;
        drop(bytes);
        let Some(id) = message.id.clone() else {
            return notification(headers, &message).map_err(nameless);
        };
        self.request(headers, principal, message, &id)
            .await
            .map_err(|deny| Malformed { id: Some(id), deny })
    }

    async fn request(
        &self,
        headers: &HeaderMap,
        principal: Principal,
        message: Message,
        id: &Value,
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
        let result = self.dispatch(era, &principal, message).await;
        responder.answer(result, &span)
    }

    /// `tools/call`: held until its reply, or answered by a stream as soon as there is something to
    /// tell to a client that asked for it.
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
        let ask = match asked(headers, responder.era, principal, message) {
            // A client that hears progress waits as long as a call is held; another may give up
            // after 5 s.
            Ok(Ok(Submission::Call(call))) if token.is_some() => {
                Submission::Call(FrontCall { person_ms: call.wait_ms, ..call })
            }
            Ok(Ok(ask)) => ask,
            Ok(Err(unfit)) => {
                return responder
                    .answer(render::tool_result(unfit.into(), form(responder.era)), &span);
            }
            Err(deny) => return responder.answer(Err(deny), &span),
        };
        let (line, mut lines) = mpsc::channel(progress::LINES);
        let progress = Box::new(move |text| drop(line.try_send(text)));
        let mut held = match self.begin(ask, span.clone(), progress) {
            Ok(held) => held,
            Err(deny) => return responder.answer(Err(deny), &span),
        };
        let Some(token) = token else { return responder.reply(held.await, &span) };
        tokio::select! {
            biased;
            reply = &mut held => responder.reply(reply, &span),
            Some(first) = lines.recv() => Ok(Telling { token, responder, span }.stream(first, lines, held)),
        }
    }

    async fn dispatch(
        &self,
        era: Era,
        principal: &Principal,
        message: Message,
    ) -> Result<Map<String, Value>, Deny> {
        match (era, message.method.as_str()) {
            (Era::Modern, "server/discover") => Ok(self.discover()),
            (Era::Legacy, "initialize") => self.initialize(&message.params),
            (Era::Legacy, "ping") => Ok(Map::new()),
            (_, "tools/list") => {
                let mut result = self.list(principal, &message.params, form(era)).await?;
                if era == Era::Modern {
                    cacheable(&mut result, LIST_TTL_MS);
                }
                Ok(result)
            }
            (Era::Modern, method) => Err(Deny::Method(header::excerpt(method))),
            (Era::Legacy, method) => Err(Deny::LegacyMethod(header::excerpt(method))),
        }
    }

    fn discover(&self) -> Map<String, Value> {
        let mut result = Map::new();
        result.insert("supportedVersions".into(), json!(REVISIONS));
        result.insert("capabilities".into(), json!({"tools": {}}));
        result.insert("instructions".into(), Value::String(self.front.instructions()));
        cacheable(&mut result, DISCOVER_TTL_MS);
        result
    }

    /// The legacy handshake.
    fn initialize(&self, params: &Map<String, Value>) -> Result<Map<String, Value>, Deny> {
        let Some(offered) = params.get("protocolVersion").and_then(Value::as_str) else {
            return Err(Deny::Params("`protocolVersion` must be a string".into()));
        };
        let mut result = Map::new();
        result.insert("protocolVersion".into(), json!(revision::agreed_on(offered)));
        result.insert("capabilities".into(), json!({"tools": {}}));
        result.insert("serverInfo".into(), self.server_info());
        result.insert("instructions".into(), Value::String(self.front.instructions()));
        Ok(result)
    }

    fn server_info(&self) -> Value {
        json!({"name": "cofferdam", "title": format!("Cofferdam ({})", self.front.environment()), "version": env!("CARGO_PKG_VERSION")})
    }
}

/// What a call of this request asks for.
fn asked(
    headers: &HeaderMap,
    era: Era,
    principal: Principal,
    message: Message,
) -> Result<Result<Submission, Unfit>, Deny> {
    let called = call::read(principal, message.params, &message.meta)?;
    revision::name_matches(headers, &called.call.tool, era)?;
    if !called.name_is_valid {
        return Err(Deny::UnknownTool(header::excerpt(&called.call.tool)));
    }
    Ok(builtin_tools::understood(called))
}

fn form(era: Era) -> Form {
    if era == Era::Modern { Form::Modern } else { Form::Legacy }
}

/// How one request is answered.
pub struct Responder {
    era: Era,
    id: Value,
    server: Value,
}

impl Responder {
    /// A call's reply as the answer to its request.
    fn reply(&self, reply: Result<Reply, Deny>, span: &Span) -> Result<Answer, Deny> {
        self.answer(reply.and_then(|reply| render::tool_result(reply, form(self.era))), span)
    }

    fn answer(
        &self,
        result: Result<Map<String, Value>, Deny>,
        span: &Span,
    ) -> Result<Answer, Deny> {
        Ok(respond::json(StatusCode::OK, &self.finished(result, span)?))
    }

    /// The same where the status has long been sent: a refusal is a message like any other.
    fn response(&self, reply: Result<Reply, Deny>, span: &Span) -> Value {
        let result = reply.and_then(|reply| render::tool_result(reply, form(self.era)));
        self.finished(result, span)
            .unwrap_or_else(|deny| render::rpc_error_body(&deny, Some(&self.id)))
    }

    /// The response, with what every result of the modern revision says besides; how it went is the
    /// span's.
    fn finished(
        &self,
        result: Result<Map<String, Value>, Deny>,
        span: &Span,
    ) -> Result<Value, Deny> {
        record_refusal(span, result.as_ref().err());
        let mut result = result?;
        if result.get("isError") == Some(&Value::Bool(true)) {
            span.record(telemetry_names::ERROR_TYPE, "tool_error");
        }
        if self.era == Era::Modern {
            result.insert("resultType".into(), json!("complete"));
            let meta = result.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                meta.insert("io.modelcontextprotocol/serverInfo".into(), self.server.clone());
            }
        }
        Ok(json!({"jsonrpc": "2.0", "id": self.id, "result": result}))
    }
}

/// Lists vary by caller, so only the caller's own cache may keep them.
fn cacheable(result: &mut Map<String, Value>, ttl_ms: u64) {
    result.insert("ttlMs".into(), json!(ttl_ms));
    result.insert("cacheScope".into(), json!("private"));
}

/// Notifications are taken and need nothing done: there is no session to mark as initialized, and a
/// call that was started is not cancelled.
fn notification(headers: &HeaderMap, message: &Message) -> Result<Answer, Deny> {
    if !message.method.starts_with("notifications/") {
        return Err(Deny::NotRpc("`id` is missing, and this method is no notification"));
    }
    revision::of_notification(headers, message)?;
    Ok(respond::accepted())
}

/// A query is passed over, since proxies and people add one; a token in it is not, since it would
/// be in logs by now.
fn no_token(parts: &Parts) -> Result<(), Deny> {
    const TOKENS: [&str; 6] =
        ["access_token", "token", "api_key", "apikey", "key", "authorization"];
    let names =
        parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
    let mut names = names.map(str::to_ascii_lowercase);
    if names.any(|name| TOKENS.contains(&name.as_str())) { Err(Deny::Query) } else { Ok(()) }
}

/// The client must be ready for JSON. It need not be ready for event streams: such a client is told
/// no progress.
fn accepts_json(headers: &HeaderMap) -> Result<(), Deny> {
    match headers.get("accept") {
        Some(said) if !accepts(headers, "application/json") => {
            Err(Deny::Accept(header::excerpt(&String::from_utf8_lossy(said.as_bytes()))))
        }
        _ => Ok(()),
    }
}

/// Whether the client says that it takes this media type.
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

/// A method's name for telemetry: one of ours, or a word that stands for the rest.
fn known(method: &str) -> &str {
    match method {
        "server/discover" | "initialize" | "ping" | "tools/list" | "tools/call" => method,
        _ => "other",
    }
}
