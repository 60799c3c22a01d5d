//! Authentication: the bearer token of every request, and the response to a client without one.
//! Tokens are read from the `Authorization` header alone and are never logged, echoed or kept.
//! Tokens come from `cofferdam agents`. There is no authorization server, so no metadata points to
//! one. A client that looks for one gets an error in the form of OAuth.

use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::single;
use crate::host_origin::is_local;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::{Front, Unauthenticated};
use cofferdam_core::model::caller::Principal;
use hyper::header::WWW_AUTHENTICATE;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use std::net::IpAddr;

/// The text for a client that tries to sign in by OAuth.
const NO_OAUTH: &str = "Cofferdam has no sign-in by OAuth. Send `Authorization: Bearer TOKEN`; \
                        `cofferdam agents add NAME` makes a token, `cofferdam agents list` lists \
                        the agents that have one";

impl<F: Front> Edge<F> {
    /// Returns the principal of the request's token. An anonymous caller is admitted from this
    /// machine only, whatever address the server listens on.
    pub async fn principal(&self, headers: &HeaderMap, seat: &Seat) -> Result<Principal, Deny> {
        let principal = caller(&*self.front, headers, seat.client).await?;
        seat.prove();
        Ok(principal)
    }
}

/// Returns the principal of the token in these headers, for a client at this address.
pub async fn caller<F: Front>(
    front: &F,
    headers: &HeaderMap,
    client: IpAddr,
) -> Result<Principal, Deny> {
    let principal = front.authenticate(bearer(headers)?).await.map_err(|error| match error {
        Unauthenticated::Missing => Deny::TokenMissing,
        Unauthenticated::Unknown => Deny::TokenUnknown,
        Unauthenticated::Expired => Deny::TokenExpired,
    })?;
    admitted(principal, client)
}

/// Adds the challenge to a 401 (RFC 6750 §3). It names no metadata, because there is none.
pub fn challenged(answer: Answer, deny: &Deny) -> Answer {
    let error = match deny {
        // A request without a token has no error to name.
        Deny::TokenMissing => "",
        Deny::TokenForm => "error=\"invalid_request\", ",
        Deny::TokenUnknown | Deny::TokenExpired => "error=\"invalid_token\", ",
        _ => return answer,
    };
    let challenge = format!("Bearer realm=\"cofferdam\", {error}error_description=\"{deny}\"");
    respond::add(answer, WWW_AUTHENTICATE, &challenge)
}

/// The response to a client that looks for an authorization server, registers or signs in: an error
/// in the form of OAuth (RFC 6749 §5.2), which clients show.
pub fn no_oauth(document: bool) -> Answer {
    // Without a document, clients try the next place, and at last registration.
    let status = if document { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
    respond::json(status, &json!({"error": "invalid_request", "error_description": NO_OAUTH}))
}

/// Callers from another machine are never anonymous.
fn admitted(principal: Principal, client: IpAddr) -> Result<Principal, Deny> {
    if principal.anonymous && !is_local(client) { Err(Deny::TokenMissing) } else { Ok(principal) }
}

/// Returns the token, or `None` without the header. A value in another form (RFC 6750 §2.1) is an
/// error: the scheme is missing or wrong, or a variable was not filled in.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Deny> {
    let Some(value) = single(headers, "authorization")? else { return Ok(None) };
    let (scheme, token) = value.split_once(' ').ok_or(Deny::TokenForm)?;
    let token = token.trim();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let formed =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(letter);
    if formed { Ok(Some(token)) } else { Err(Deny::TokenForm) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_caller_is_anonymous_from_elsewhere() {
        let check = |anonymous: bool, client: &str, expect: bool| {
            let principal =
                Principal { name: "a".into(), anonymous, roles: vec![], person: None, act: vec![] };
            assert_eq!(
                admitted(principal, client.parse().unwrap()).is_ok(),
                expect,
                "{anonymous} {client}"
            );
        };
        check(true, "127.0.0.1", true);
        check(true, "::1", true);
        check(true, "::ffff:127.0.0.1", true);
        check(true, "192.0.2.1", false);
        check(true, "::ffff:192.0.2.1", false);
        check(false, "192.0.2.1", true);
    }
}
