//! The same calls as plain HTTP, for scripts and people with `curl`. Only the form differs from
//! MCP: Front, texts and refusals are the same.

use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::{excerpt, single};
use crate::mcp::{call, message};
use crate::path::{require_method, require_no_query};
use crate::render::Form;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::span_names::{self, call_span, record_refusal};
use crate::submit::Submission;
use crate::{body, builtin_tools, render};
use cofferdam_core::journey::ports::{Front, FrontCall};
use cofferdam_core::model::access::Access;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::json;
use cofferdam_core::model::limit::{CALLS, CALLS_USUAL, PERSON_MS, WAIT_MS};
use cofferdam_core::protocol::telemetry_names;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::json;

const KEY_HEADER: &str = "idempotency-key";
const KEY_NAME: &str = "Idempotency-Key";

impl<F: Front> Edge<F> {
    /// `GET /v1/tools`: every tool that this caller may see, as MCP lists them, on one page.
    pub async fn v1_tools(&self, parts: &Parts, seat: &Seat) -> Result<Answer, Deny> {
        require_method(parts, &Method::GET, "GET, HEAD")?;
        require_no_query(parts)?;
        let principal = self.principal(parts, seat, Access::Read).await?;
        let tools = self.tools(&principal).await?;
        let tools = tools.iter().filter(|tool| !builtin_tools::is_builtin_tool(&tool.name));
        let tools = self.listed.array(tools, Form::Plain);
        let rest = json!({"environment": self.front.environment()});
        Ok(respond::json_text(StatusCode::OK, respond::with_member(&rest, "tools", &tools)))
    }

    /// `POST /v1/tools/{name}` and `…/preview`: the body is the arguments.
    pub async fn v1_call(
        &self,
        parts: &Parts,
        body: Incoming,
        name: &str,
        preview: bool,
        seat: &Seat,
    ) -> Result<Answer, Deny> {
        require_method(parts, &Method::POST, "POST")?;
        let (wait_ms, person_ms) =
            wait(parts)?.map_or((WAIT_MS, PERSON_MS), |wait_ms| (wait_ms, wait_ms));
        body::announced(&parts.headers, &body)?;
        let needed = if preview { Access::Read } else { Access::Call };
        let principal = self.principal(parts, seat, needed).await?;
        let key = match single(&parts.headers, KEY_HEADER)? {
            None => None,
            Some(text) => Some(call::key(text).ok_or_else(|| call::bad_key(KEY_NAME))?),
        };
        let trace = single(&parts.headers, "traceparent")?.and_then(call::trace);
        let sending = self.shares.body(&principal)?;
        let bytes = body::read(body, self.settings.body_time).await?;
        drop(sending);
        let arguments = json::strict(body::unmarked(&bytes))
            .map_err(|error| Deny::NotJson(message::bounded(&error.to_string())))?;
        if !arguments.is_object() {
            return Err(Deny::Params("the body must be the arguments, a JSON object".into()));
        }
        if !call::is_name(name) || builtin_tools::is_builtin_tool(name) {
            return Err(Deny::UnknownTool(excerpt(name)));
        }
        let span = call_span(span_names::Call {
            method: "tools/call",
            tool: Some(name),
            version: None,
            id: None,
            trace: trace.as_ref(),
        });
        let call = FrontCall {
            principal,
            tool: name.to_owned(),
            arguments,
            key,
            trace,
            wait_ms,
            person_ms,
        };
        let reply = self
            .submit(
                if preview { Submission::Preview(call) } else { Submission::Call(call) },
                span.clone(),
            )
            .await;
        let answer = reply.and_then(render::plain);
        record_refusal(&span, answer.as_ref().err());
        if answer.as_ref().is_ok_and(|answer| !answer.status().is_success()) {
            span.record(telemetry_names::ERROR_TYPE, "tool_error");
        }
        answer
    }

    /// `GET /v1/calls`: the caller's own calls, newest first.
    pub async fn v1_calls(&self, parts: &Parts, seat: &Seat) -> Result<Answer, Deny> {
        require_method(parts, &Method::GET, "GET, HEAD")?;
        let (open, limit) = which(parts)?;
        let principal = self.principal(parts, seat, Access::Read).await?;
        let span = call_span(span_names::Call {
            method: "tools/call",
            tool: Some("calls_list"),
            version: None,
            id: None,
            trace: None,
        });
        let answer = self
            .submit(Submission::Calls { principal, open, limit }, span.clone())
            .await
            .and_then(render::plain);
        record_refusal(&span, answer.as_ref().err());
        answer
    }

    /// `GET` and `DELETE /v1/jobs/{id}`.
    pub async fn v1_job(&self, parts: &Parts, id: &str, seat: &Seat) -> Result<Answer, Deny> {
        let cancel = parts.method == Method::DELETE;
        if !cancel {
            require_method(parts, &Method::GET, "GET, HEAD, DELETE")?;
        }
        let wait_ms =
            if cancel { require_no_query(parts).map(|()| 0)? } else { wait(parts)?.unwrap_or(0) };
        let needed = if cancel { Access::Call } else { Access::Read };
        let principal = self.principal(parts, seat, needed).await?;
        let call = CallId::parse(id).map_err(|_| Deny::Call(excerpt(id)))?;
        let (tool, ask) = if cancel {
            ("job_cancel", cancelling(principal, call))
        } else {
            ("job_get", Submission::Job { principal, call, wait_ms })
        };
        let span = call_span(span_names::Call {
            method: "tools/call",
            tool: Some(tool),
            version: None,
            id: None,
            trace: None,
        });
        let answer = self.submit(ask, span.clone()).await.and_then(render::plain);
        record_refusal(&span, answer.as_ref().err());
        answer
    }
}

fn cancelling(principal: Principal, call: CallId) -> Submission {
    Submission::Cancel { principal, call }
}

/// Reads `?open=true` and `?limit=number`, in any order.
fn which(parts: &Parts) -> Result<(bool, u32), Deny> {
    let (mut open, mut limit) = (None, None);
    for member in
        parts.uri.query().unwrap_or_default().split('&').filter(|member| !member.is_empty())
    {
        let fresh = match member.split_once('=') {
            Some(("open", word @ ("true" | "false"))) => open.replace(word == "true").is_none(),
            Some(("limit", digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let number = digits
                    .parse()
                    .ok()
                    .filter(|number| (1..=CALLS).contains(number))
                    .ok_or(Deny::Which)?;
                limit.replace(number).is_none()
            }
            _ => false,
        };
        if !fresh {
            return Err(Deny::Which);
        }
    }
    Ok((open.unwrap_or(false), limit.unwrap_or(CALLS_USUAL)))
}

/// Reads `?wait=seconds`, and returns milliseconds.
pub fn wait(parts: &Parts) -> Result<Option<u64>, Deny> {
    match parts.uri.query() {
        None | Some("") => Ok(None),
        Some(query) => {
            let digits = query
                .strip_prefix("wait=")
                .filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or(Deny::Wait)?;
            builtin_tools::wait_ms(digits.parse().ok()).map(Some).ok_or(Deny::Wait)
        }
    }
}
