//! `GET /calls/ID`: the state of one call, as a page for the person whose agent made it. A client
//! opens it for a call that waits for a person. The page changes and approves nothing, has no
//! script and no form, and tells nothing without the token of the agent that made the call.

use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::{excerpt, single};
use crate::path::{require_method, require_no_query};
use crate::render;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::submit::Submission;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::answer::{RefusalKind, Reply};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::CallId;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use maud::{DOCTYPE, html};
use tracing::Span;

/// A browser asks its user for a name and a password. The password is the token, the name is
/// ignored.
const CHALLENGE: &str =
    "Basic realm=\"Cofferdam; password: the token of your agent\", charset=\"UTF-8\"";

/// Our own stylesheet alone: nothing is run, sent or framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'none'; \
                      frame-ancestors 'none'; base-uri 'none'";

impl<F: Front> Edge<F> {
    /// Answers with the page of a call.
    pub async fn call_page(&self, parts: &Parts, id: &str, seat: &Seat) -> Result<Answer, Deny> {
        require_method(parts, &Method::GET, "GET, HEAD")?;
        require_no_query(parts)?;
        let Ok(call) = CallId::parse(id) else { return Err(Deny::Call(excerpt(id))) };
        let principal = match self.reader(&parts.headers, seat).await {
            Ok(principal) => principal,
            Err(
                deny @ (Deny::TokenMissing | Deny::TokenUnknown | Deny::TokenForm | Deny::Token(_)),
            ) => {
                return Ok(signed_out(&self.front.environment(), &deny, &call));
            }
            Err(deny) => return Err(deny),
        };
        let ask = Submission::Job { principal, call: call.clone(), wait_ms: 0 };
        let (status, over, text) = match self.submit(ask, Span::current()).await? {
            Reply::Success(success) => (StatusCode::OK, success.complete, success.text),
            Reply::Refused(refusal) if refusal.kind == RefusalKind::Absent => {
                (StatusCode::NOT_FOUND, true, refusal.text())
            }
            Reply::Refused(refusal) => (StatusCode::OK, true, refusal.text()),
            Reply::Unavailable { reason } => return Err(Deny::Unavailable(reason)),
            _ => return Err(Deny::Broken),
        };
        let environment = self.front.environment();
        Ok(answer(status, &document(&environment, &call, &text, over)))
    }

    /// The agent whose token a browser sent.
    async fn reader(&self, headers: &HeaderMap, seat: &Seat) -> Result<Principal, Deny> {
        self.principal_of(as_bearer(headers), self.client(headers, seat), seat).await
    }
}

/// The same headers, with the password of `Basic` (RFC 7617) as bearer token. Only this page takes
/// `Basic`: a browser sends it by itself, also with a request that another page made it send.
fn as_bearer(headers: &HeaderMap) -> Result<HeaderMap, Deny> {
    let mut own = HeaderMap::new();
    let Some(value) = single(headers, "authorization")? else { return Ok(own) };
    let basic = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let value = match basic {
        None => value.to_owned(),
        Some((_, encoded)) => {
            let decoded = STANDARD.decode(encoded.trim()).map_err(|_| Deny::TokenForm)?;
            let pair = String::from_utf8(decoded).map_err(|_| Deny::TokenForm)?;
            let (_name, password) = pair.split_once(':').ok_or(Deny::TokenForm)?;
            format!("Bearer {password}")
        }
    };
    own.insert(AUTHORIZATION, HeaderValue::from_str(&value).map_err(|_| Deny::TokenForm)?);
    Ok(own)
}

/// The page for a browser without a valid token.
fn signed_out(environment: &str, deny: &Deny, call: &CallId) -> Answer {
    let text = format!(
        "This page needs the token of the agent that made the call: enter it as the password, with \
         any name. An operator sees the call with `cofferdam show {call}`."
    );
    let page = answer(StatusCode::UNAUTHORIZED, &document(environment, call, &text, true));
    respond::add(render::refused(page, deny), WWW_AUTHENTICATE, CHALLENGE)
}

/// The page. It does not reload itself: a reload interrupts a person who reads slowly.
fn document(environment: &str, call: &CallId, text: &str, over: bool) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { "Call " (call) " – Cofferdam " (environment) }
                link rel="stylesheet" href="/assets/cofferdam.css";
            }
            body {
                header {
                    strong { "Cofferdam" }
                    span { "environment " strong { (environment) } }
                }
                main {
                    h1 { "Call " (call) }
                    pre tabindex="0" { (text) }
                    @if !over {
                        p { a href=(format!("/calls/{call}")) { "Load the state again" } }
                    }
                    p {
                        "This page shows the call and approves nothing. An approver signs on "
                        a href=(format!("/approve/{call}")) { "the page for approvers" }
                        " or with " code { "cofferdam approve " (call) } "."
                    }
                }
            }
        }
    };
    document.into_string()
}

fn answer(status: StatusCode, document: &str) -> Answer {
    let answer = respond::with(status, "text/html; charset=utf-8", document.to_owned());
    let answer = respond::add(answer, HeaderName::from_static("content-security-policy"), POLICY);
    respond::add(answer, HeaderName::from_static("referrer-policy"), "no-referrer")
}
