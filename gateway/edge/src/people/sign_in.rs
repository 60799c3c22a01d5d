//! The sign-in of an approver's browser: a passkey over a challenge of this gateway, and a cookie
//! that reads and never approves. A browser sends the cookie with our own pages' requests alone.

use super::layout::PageData;
use super::request::value;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::single;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::model::sign_in::{SIGN_IN_SCHEMA, SessionKeeper, SignIn, SignedSignIn};
use cofferdam_core::policy::passkey::challenge_of;
use data_encoding::BASE64URL_NOPAD;
use hyper::StatusCode;
use hyper::header::{COOKIE, SET_COOKIE};
use hyper::http::request::Parts;
use maud::html;

/// The cookie over TLS: a browser takes this name only with `Secure`, for this host and all paths.
const SECURE_COOKIE: &str = "__Host-cofferdam";

/// The cookie on `http://localhost`.
const LOCAL_COOKIE: &str = "cofferdam";

impl<F: Front> Edge<F> {
    /// The page that asks for a sign-in. It is the same for every call, known or unknown.
    pub(super) fn sign_in_page(&self, party: &RelyingParty) -> Result<Answer, Deny> {
        let challenge = self.front.challenge();
        let statement = SignIn {
            schema: SIGN_IN_SCHEMA.to_owned(),
            server: party.authority().to_owned(),
            challenge: challenge.challenge,
            expires: challenge.expires,
        };
        let statement = statement.canonical().map_err(|_| Deny::Broken)?;
        let challenge = BASE64URL_NOPAD.encode(&challenge_of(&statement));
        let data =
            PageData { page: "sign-in", statement: Some(&statement), challenge: Some(&challenge) };
        let content = html! {
            p {
                "This page is for the people who approve changes. Sign in with your passkey to read \
                 it. Signing in approves nothing."
            }
            button id="sign-in" type="button" { "Sign in with a passkey" }
            p {
                "You have no passkey for this server? An operator invites you: "
                code { "cofferdam approver invite NAME" } "."
            }
            noscript { p { "This page needs JavaScript to ask your device for a passkey." } }
        };
        Ok(self.page_of(StatusCode::UNAUTHORIZED, "Sign in", &data, &content))
    }

    /// Takes a sign-in, and sets the cookie.
    pub(super) async fn sign_in_on_page(
        &self,
        parts: &Parts,
        sent: &[u8],
        seat: &Seat,
    ) -> Result<Answer, Deny> {
        let party = self.required_party(parts)?;
        let signed: SignedSignIn = value(sent)?;
        let is_own = |server: &str| server == party.authority();
        let session = self
            .front
            .sign_in(&signed, &is_own, keeper(party))
            .map_err(|error| Deny::SignIn(error.to_string()))?;
        seat.prove();
        let seconds = session.expires.duration_since(self.front.now()).as_secs().max(0);
        let (name, secure) = cookie(party);
        let cookie = format!(
            "{name}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
            session.session
        );
        Ok(respond::add(respond::empty(), SET_COOKIE, &cookie))
    }

    /// The approver whose session the cookie has.
    pub(super) fn signed_in(
        &self,
        parts: &Parts,
        party: &RelyingParty,
    ) -> Result<Option<String>, Deny> {
        let Some(text) = single(&parts.headers, COOKIE.as_str())? else { return Ok(None) };
        let (name, _) = cookie(party);
        let own = |pair: &str| {
            pair.trim()
                .split_once('=')
                .filter(|(given, _)| *given == name)
                .map(|(_, value)| value.to_owned())
        };
        let mut found = text.split(';').filter_map(own);
        // Two cookies of one name: another page of this host may have set one of them.
        let (Some(session), None) = (found.next(), found.next()) else { return Ok(None) };
        let found = self.front.approver(&session, keeper(party));
        found.map_err(|error| Deny::Unavailable(error.to_string()))
    }
}

fn keeper(party: &RelyingParty) -> SessionKeeper {
    if is_secure(party) { SessionKeeper::Browser } else { SessionKeeper::LocalBrowser }
}

fn is_secure(party: &RelyingParty) -> bool {
    party.origin().starts_with("https://")
}

/// The name of the cookie, and its last attribute.
fn cookie(party: &RelyingParty) -> (&'static str, &'static str) {
    if is_secure(party) { (SECURE_COOKIE, "; Secure") } else { (LOCAL_COOKIE, "") }
}
