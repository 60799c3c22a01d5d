//! The sign-in at the issuer of people: a button of our own page begins it, and the browser comes
//! back to `/sign-in/return`. The address of the return is the configured one, whatever a header
//! says; the page after it is one of ours.

use super::layout::PageData;
use super::query;
use super::request::{value, wants_json};
use super::session::{is_secure, keeper, secret_of};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::path::Route;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::{Front, SignInRefusal};
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::model::sign_in::FromIssuer;
use hyper::StatusCode;
use hyper::header::SET_COOKIE;
use hyper::http::request::Parts;
use maud::html;
use serde::Deserialize;
use serde_json::json;

/// The cookie of a sign-in that goes on at the issuer, over TLS.
const SECURE_COOKIE: &str = "__Host-cofferdam-issuer";

/// The same on `http://localhost`.
const LOCAL_COOKIE: &str = "cofferdam-issuer";

/// Most characters of the path of a page of ours.
const PATH: usize = 512;

/// The request of the button.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    /// The page on which the button is.
    next: String,
}

impl<F: Front> Edge<F> {
    /// Begins a sign-in: the address of the issuer, and the cookie that binds it to this browser.
    pub(super) async fn issuer_start(&self, parts: &Parts, sent: &[u8]) -> Result<Answer, Deny> {
        let party = self.required_party(parts)?;
        let Start { next } = value(sent)?;
        if !is_own_page(&next) {
            return Err(Deny::Refused(
                "a sign-in leads back to a page of this server alone; load the page again"
                    .to_owned(),
            ));
        }
        // The earlier session ends here: on the way back from another site, the browser sends no
        // cookie of it.
        self.end_session(parts, party)?;
        let at = self.front.start_at_issuer(&redirect(party), &next).await.map_err(refused)?;
        let answer = respond::json(StatusCode::OK, &json!({"address": at.address}));
        Ok(respond::add(answer, SET_COOKIE, &cookie(party, &at.binding, at.seconds)))
    }

    /// Ends a sign-in: the session, or a page that says why there is none.
    pub(super) async fn issuer_return(&self, parts: &Parts, seat: &Seat) -> Result<Answer, Deny> {
        let Some(party) = self.party(parts) else { return Ok(self.elsewhere("/sign-in")) };
        let names = ["code", "state", "iss", "error"];
        let [code, state, issuer, error] = query::values(parts.uri.query(), names)
            .map_err(|why| Deny::Refused(format!("{why}; sign in again")))?;
        let binding = secret_of(parts, cookie_name(party))?;
        let returned = FromIssuer { code, state, issuer, error, binding };
        let ended = self.front.return_from_issuer(&returned, &redirect(party), keeper(party)).await;
        let (session, next) = match ended {
            Ok(ended) => ended,
            Err(refusal) if wants_json(parts) => return Err(refused(refusal)),
            Err(refusal) => return Ok(self.not_entered(&refusal)),
        };
        seat.prove();
        let seconds = session.expires.duration_since(self.front.now()).as_secs().max(0);
        let answer = if wants_json(parts) {
            respond::json(StatusCode::OK, &json!({"signed_in": true, "next": next}))
        } else {
            // A page of ours leads on: only then does a browser send the cookie of the session.
            let content = html! {
                p { "You signed in as " strong { (session.approver) } "." }
                p { a href=(next) { "Go on" } }
            };
            let data = PageData { page: "return", refresh: Some(&next), ..PageData::default() };
            self.page_of(StatusCode::OK, "You signed in", &data, &content)
        };
        let answer = respond::add(answer, SET_COOKIE, &cookie(party, "", 0));
        let own = Self::session_cookie(party, &session.session, seconds);
        Ok(respond::add_another(answer, SET_COOKIE, &own))
    }

    /// The page of a person without a session.
    fn not_entered(&self, refusal: &SignInRefusal) -> Answer {
        let status = match refusal {
            SignInRefusal::Refused(_) => StatusCode::FORBIDDEN,
            SignInRefusal::Often => StatusCode::TOO_MANY_REQUESTS,
            SignInRefusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let content = html! {
            p { (refusal) "." }
            p { a href="/sign-in" { "Sign in again" } }
        };
        // The cookie of a sign-in stays: a link from anywhere ends no sign-in of another tab.
        let data = PageData { page: "return", ..PageData::default() };
        self.page_of(status, "You are not signed in", &data, &content)
    }
}

fn refused(refusal: SignInRefusal) -> Deny {
    match refusal {
        SignInRefusal::Refused(why) => Deny::SignIn(why),
        SignInRefusal::Often => Deny::SignInOften(refusal.to_string()),
        SignInRefusal::Unavailable(why) => Deny::Unavailable(why),
    }
}

/// The address of the return, by the configuration alone.
fn redirect(party: &RelyingParty) -> String {
    format!("{party}/sign-in/return")
}

/// True for the path of a page of ours that a person reads, without a query. A browser takes `//`
/// and `/\\` for the beginning of another server.
fn is_own_page(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let own = path.starts_with('/') && !path.contains("//") && path.len() <= PATH;
    own && path.bytes().all(plain)
        && match Route::of(path).0 {
            Route::People(page) => page.is_read(),
            Route::Console(page) => page.is_document(),
            _ => false,
        }
}

/// The cookie: a browser sends it when the issuer sends it back here, and no script reads it.
fn cookie(party: &RelyingParty, binding: &str, seconds: i64) -> String {
    let (name, secure) = (cookie_name(party), if is_secure(party) { "; Secure" } else { "" });
    format!("{name}={binding}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

fn cookie_name(party: &RelyingParty) -> &'static str {
    if is_secure(party) { SECURE_COOKIE } else { LOCAL_COOKIE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_a_page_of_ours_and_nowhere_else() {
        let call = format!("/approve/{}", "a".repeat(26));
        for good in ["/sign-in", "/console", "/console/calls", &call] {
            assert!(is_own_page(good), "{good}");
        }
        for bad in [
            "",
            "sign-in",
            "//evil.example.com",
            "//evil.example.com/sign-in",
            "/\\evil.example.com",
            "/\\/evil.example.com/sign-in",
            "https://evil.example.com/sign-in",
            "/sign-in?next=https://evil.example.com",
            "/sign-in#x",
            "/sign-in/return",
            "/sign-out",
            "/assets/passkey.js",
            "/mcp",
            "/v1/calls",
            "/unknown",
            "/console/changes",
            "/console/calls.csv",
            "/assets/console.js",
            "/sign-in\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
        ] {
            assert!(!is_own_page(bad), "{bad}");
        }
    }
}
