//! The sign-in of a person's browser, with a passkey over a challenge of this gateway; the page of
//! the own sign-in; and its end. A sign-in reads. It approves nothing.

use super::layout::PageData;
use super::request::{value, wants_json};
use super::session::keeper;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::{ConsoleRole, SignInKind, SignedIn};
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::model::sign_in::{SIGN_IN_SCHEMA, SignIn, SignedSignIn};
use cofferdam_core::policy::passkey::challenge_of;
use data_encoding::BASE64URL_NOPAD;
use hyper::StatusCode;
use hyper::header::SET_COOKIE;
use hyper::http::request::Parts;
use maud::{Markup, html};
use serde_json::json;

impl<F: Front> Edge<F> {
    /// The page of the own sign-in: the person, the roles, and the way to sign out.
    pub(super) fn own_sign_in_page(
        &self,
        parts: &Parts,
        person: Option<&SignedIn>,
    ) -> Result<Answer, Deny> {
        let Some(party) = self.party(parts) else { return Ok(self.elsewhere("/sign-in")) };
        if wants_json(parts) {
            let told = json!({
                "signed_in": person.is_some(),
                "name": person.map(|person| &person.name),
                "roles": person.map(|person| &person.roles),
                "by": person.map(|person| person.by),
            });
            return Ok(respond::json(StatusCode::OK, &told));
        }
        let Some(person) = person else { return self.sign_in_page(party) };
        let by = match person.by {
            SignInKind::Passkey => "with a passkey",
            SignInKind::Oidc => "at the issuer of your organisation",
        };
        let content = html! {
            p { "You signed in as " strong { (person.name) } ", " (by) "." }
            h2 { "Your roles" }
            dl {
                @for role in &person.roles { dt { (role) } dd { (right(*role)) } }
            }
            p { "No role approves. An approval is your signature, and your device asks for it." }
            p { a href="/console" { "Go to the console" } }
            button id="sign-out" type="button" { "Sign out" }
        };
        let data = PageData { page: "signed-in", ..PageData::default() };
        Ok(self.page_of(StatusCode::OK, "Your sign-in", &data, &content))
    }

    /// Ends the session of the cookie, and takes the cookie back.
    pub(super) fn sign_out_of_page(&self, parts: &Parts) -> Result<Answer, Deny> {
        let party = self.required_party(parts)?;
        self.end_session(parts, party)?;
        Ok(respond::add(respond::empty(), SET_COOKIE, &Self::no_cookie(party)))
    }

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
        let data = PageData {
            page: "sign-in",
            statement: Some(&statement),
            challenge: Some(&challenge),
            ..PageData::default()
        };
        let content = html! {
            p {
                "This page is for approvers, auditors and operators. Sign in with your passkey to \
                 read it. Signing in approves nothing."
            }
            button id="sign-in" type="button" { "Sign in with a passkey" }
            @if let Some(host) = self.front.people_issuer() {
                p { "Auditors and operators may sign in at their organisation instead:" }
                button id="issuer" type="button" class="other" { "Sign in at " (host) }
            }
            p {
                "You have no passkey for this server? An operator invites you: "
                code { "cofferdam approver invite NAME" } ", or "
                code { "cofferdam people invite NAME" } " for auditors and operators."
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
        // The earlier session ends: a browser has one session, and no page chose the new one.
        self.end_session(parts, party)?;
        let seconds = session.expires.duration_since(self.front.now()).as_secs().max(0);
        let cookie = Self::session_cookie(party, &session.session, seconds);
        Ok(respond::add(respond::empty(), SET_COOKIE, &cookie))
    }
}

/// The rights of a role, in words.
fn right(role: ConsoleRole) -> Markup {
    html! {
        @match role {
            ConsoleRole::Approver => "sees the questions that you may sign, and the calls that you signed",
            ConsoleRole::Auditor => "sees everything, and can change nothing",
            ConsoleRole::Operator => "sees everything, and may cancel a call",
        }
    }
}
