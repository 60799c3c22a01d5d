//! `/v1/approvals…`: approvers on other machines sign in, read the questions that are for them, and
//! hand in signatures. Takes no token of an agent. A session reads and approves nothing: an approval
//! is the signature, and the recorder checks it.

use crate::auth::token;
use crate::body;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::excerpt;
use crate::path::{Route, require_method, require_no_query};
use crate::respond::{self, Answer};
use crate::rest_v1::wait;
use crate::seats::Seat;
use cofferdam_core::journey::ports::{Front, SignInRefusal};
use cofferdam_core::model::access::Scheme;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::console_role::{ConsoleRole, SignInKind, SignedIn};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::json;
use cofferdam_core::model::limit::LOOK_MS;
use cofferdam_core::model::record::APPROVER;
use cofferdam_core::model::sign_in::{SessionKeeper, SignedSignIn};
use cofferdam_core::model::statement::SignedStatement;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::ApproverAsk;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Instant;

/// The refusal of a request without a valid session. An agent's token gets the same.
const SIGN_IN: &str = "sign in first: `cofferdam approve --server URL` does it with your SSH key";

impl<F: Front> Edge<F> {
    /// Answers a request of an approver.
    pub async fn approvals(
        &self,
        parts: &Parts,
        body: Incoming,
        route: Route,
        id: &str,
        seat: &Seat,
    ) -> Result<Answer, Deny> {
        match route {
            Route::Challenge => {
                require_method(parts, &Method::GET, "GET, HEAD")?;
                require_no_query(parts)?;
                self.count_unproven(parts, seat)?;
                written(&self.front.challenge())
            }
            Route::SignIn => self.sign_in(parts, body, seat).await,
            _ => {
                let sign = route == Route::Approval && parts.method == Method::POST;
                if !sign {
                    require_method(parts, &Method::GET, route.methods())?;
                }
                let approver = self.approver(parts, seat)?;
                let ask = self.question(parts, body, route, id).await?;
                let name = approver.name.trim_start_matches(APPROVER);
                let _places = self.places_of_approver(&approver, &ask)?;
                let answer = self.front.ask_for_approver(name, ask).await.map_err(refused)?;
                written(&answer)
            }
        }
    }

    async fn sign_in(&self, parts: &Parts, body: Incoming, seat: &Seat) -> Result<Answer, Deny> {
        require_method(parts, &Method::POST, "POST")?;
        require_no_query(parts)?;
        let signed: SignedSignIn = self.signed(parts, body).await?;
        // Behind an undeclared proxy, every client seems to be on this machine.
        let is_local = !self.settings.behind_proxy && self.client(&parts.headers, seat).is_local;
        let is_own = |server: &str| self.host_origin.is_own(server, is_local);
        let session = match self.front.sign_in(&signed, &is_own, SessionKeeper::Command) {
            Ok(session) => session,
            Err(refusal) => {
                self.count_unproven(parts, seat)?;
                return Err(not_signed_in(refusal));
            }
        };
        seat.prove();
        written(&session)
    }

    /// The approver of the session in the `Authorization` header. Counts the request: against the
    /// limit of the approver, or of the client's address if there is no valid session.
    fn approver(&self, parts: &Parts, seat: &Seat) -> Result<Principal, Deny> {
        seat.count();
        match self.session(parts) {
            Ok(approver) => {
                let approver = in_shares(&approver);
                self.shares.request(&approver, Instant::now())?;
                seat.prove();
                Ok(approver)
            }
            Err(deny) => {
                self.count_unproven(parts, seat)?;
                Err(deny)
            }
        }
    }

    fn session(&self, parts: &Parts) -> Result<String, Deny> {
        let (scheme, session) = token(&parts.headers)?;
        let session = session.filter(|_| scheme == Scheme::Bearer);
        let found =
            session.map(|session| self.front.person(session, SessionKeeper::Command)).transpose();
        let person = found.map_err(not_signed_in)?.flatten();
        let approver = person.and_then(|person| person.acting_as(ConsoleRole::Approver));
        approver.map(|own| own.name).ok_or_else(|| Deny::SignIn(SIGN_IN.to_owned()))
    }

    pub(crate) fn count_unproven(&self, parts: &Parts, seat: &Seat) -> Result<(), Deny> {
        seat.count();
        self.peers.request(self.client(&parts.headers, seat).address, Instant::now())
    }

    /// Takes the places of a request: among all requests, and among those of the approver.
    pub(crate) fn places_of_approver(
        &self,
        approver: &Principal,
        ask: &ApproverAsk,
    ) -> Result<impl Sized + use<F>, Deny> {
        if let ApproverAsk::Follow { wait_ms: 1.., .. } | ApproverAsk::Watch { wait_ms: 1.., .. } =
            ask
        {
            let used = self.shares.wait(approver)?;
            let held = Arc::clone(&self.waits).try_acquire_owned().map_err(|_| Deny::Busy)?;
            return Ok((used, Some(held), None));
        }
        Ok((self.shares.call(approver)?, None, Some(self.calls.enter(false)?)))
    }

    async fn question(
        &self,
        parts: &Parts,
        body: Incoming,
        route: Route,
        id: &str,
    ) -> Result<ApproverAsk, Deny> {
        let (wait_ms, known) = match route {
            // A client that leaves takes its place no longer than this; the others ask again.
            Route::ApprovalState => (wait(parts)?.unwrap_or(0).min(LOOK_MS), 0),
            Route::ApprovalSignatures => (LOOK_MS, known_signatures(parts)?),
            _ => require_no_query(parts).map(|()| (0, 0))?,
        };
        if route == Route::Approvals {
            return Ok(ApproverAsk::Waiting);
        }
        let call = CallId::parse(id).map_err(|_| {
            Deny::NoQuestion(format!(
                "no call `{}` is for your signature; `GET /v1/approvals` lists those that are",
                excerpt(id)
            ))
        })?;
        Ok(match route {
            Route::ApprovalPreview => ApproverAsk::Preview { call },
            Route::ApprovalState => ApproverAsk::Follow { call, wait_ms },
            Route::ApprovalSignatures => ApproverAsk::Watch { call, known, wait_ms },
            _ if parts.method == Method::POST => {
                let signed: SignedStatement = self.signed(parts, body).await?;
                ApproverAsk::Sign { call, signed }
            }
            _ => ApproverAsk::Question { call },
        })
    }

    /// Reads a signed text from the body.
    async fn signed<T: DeserializeOwned>(&self, parts: &Parts, body: Incoming) -> Result<T, Deny> {
        body::announced(&parts.headers, &body)?;
        let bytes = body::read(body, self.settings.body_time).await?;
        json::strict_into(body::unmarked(&bytes)).map_err(|_| {
            Deny::Params("the body must be {\"statement\": TEXT, \"signature\": TEXT}".to_owned())
        })
    }
}

/// The number of signatures that a reader knows, by the query string.
pub(crate) fn known_signatures(parts: &Parts) -> Result<u32, Deny> {
    let query = parts.uri.query().unwrap_or_default();
    let digits = query.strip_prefix("known=").filter(|rest| rest.len() <= 4);
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Deny::Params("the query string has to be `known=` and a number of signatures".to_owned())
    })
}

/// The approver among the callers whose requests are limited. No name of an agent has a blank.
pub(crate) fn in_shares(approver: &str) -> Principal {
    Principal {
        name: format!("{APPROVER}{approver}"),
        anonymous: false,
        roles: Vec::new(),
        person: None,
        act: Vec::new(),
    }
}

/// A person with a session among the callers whose requests are limited. An issuer chose the names
/// of its people: none of them takes a part of an enrolled person's share.
pub(crate) fn person_in_shares(person: &SignedIn) -> Principal {
    match person.by {
        SignInKind::Passkey => in_shares(&person.name),
        SignInKind::Oidc => in_shares(&format!("issuer {}", person.name)),
    }
}

fn written(value: &impl Serialize) -> Result<Answer, Deny> {
    let text = serde_json::to_string(value).map_err(|_| Deny::Broken)?;
    Ok(respond::json_text(StatusCode::OK, text))
}

fn not_signed_in(refusal: SignInRefusal) -> Deny {
    match refusal {
        SignInRefusal::Refused(why) => Deny::SignIn(why),
        SignInRefusal::Often => Deny::SignInOften(refusal.to_string()),
        SignInRefusal::Unavailable(why) => Deny::Unavailable(why),
    }
}

fn refused(error: RoleError) -> Deny {
    match error {
        RoleError::NotFound(why) => Deny::NoQuestion(why),
        RoleError::Refused(why) => Deny::Declined(why),
        RoleError::Busy { why, retry_after_seconds } => {
            Deny::Queue { why, seconds: retry_after_seconds }
        }
        other => Deny::Unavailable(other.to_string()),
    }
}
