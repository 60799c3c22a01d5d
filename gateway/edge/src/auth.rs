//! Authentication: the token of every request. Tokens are read from the `Authorization` header alone
//! and are never logged, echoed, kept or passed on by the edge. Tokens come from `cofferdam agents`,
//! or from a configured issuer (`oauth.rs`).

use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::single;
use crate::proxies::Client;
use crate::seats::{Seat, network};
use crate::tls::ClientCertificate;
use cofferdam_core::journey::ports::{Front, Unauthenticated};
use cofferdam_core::model::access::{Access, Authenticated, Credential, Scheme};
use cofferdam_core::model::caller::Principal;
use hyper::HeaderMap;
use hyper::http::request::Parts;
use std::time::Instant;

impl<F: Front> Edge<F> {
    /// Returns the principal of the request's token, if the token permits this use.
    pub async fn principal(
        &self,
        parts: &Parts,
        seat: &Seat,
        needed: Access,
    ) -> Result<Principal, Deny> {
        let Authenticated { principal, access } = self.authenticated(parts, seat).await?;
        self.require(access, needed)?;
        Ok(principal)
    }

    /// Returns the caller of the request, and counts the request: against the limit of the caller,
    /// or of the client's address if there is no valid token. An anonymous caller is admitted from
    /// this machine only, whatever address the server listens on.
    pub async fn authenticated(&self, parts: &Parts, seat: &Seat) -> Result<Authenticated, Deny> {
        let client = self.client(&parts.headers, seat);
        let checked = self.checked(parts, client).await;
        self.counted(checked, client, seat)
    }

    /// The same for the token of these headers, which were made from those of the request: a token
    /// that is bound to its sender is not taken.
    pub async fn principal_of(
        &self,
        headers: Result<HeaderMap, Deny>,
        client: Client,
        seat: &Seat,
    ) -> Result<Principal, Deny> {
        let checked = match headers {
            Ok(headers) => caller(&*self.front, &headers, client).await,
            Err(deny) => Err(deny),
        };
        let checked = checked.map(|principal| Authenticated { principal, access: Access::Read });
        self.counted(checked, client, seat).map(|caller| caller.principal)
    }

    /// Checks the token of a request.
    async fn checked(&self, parts: &Parts, client: Client) -> Result<Authenticated, Deny> {
        let (scheme, token) = token(&parts.headers)?;
        // Without issuers, no token is bound to a key.
        if scheme == Scheme::Dpop && self.settings.oauth.is_none() {
            return Err(Deny::TokenForm);
        }
        let credential = Credential {
            token,
            scheme,
            proof: proof(&parts.headers)?,
            method: parts.method.as_str(),
            path: parts.uri.path(),
            certificate: parts.extensions.get().map(|ClientCertificate(digest)| *digest),
            opened: false,
            client: Some(network(client.address)),
        };
        let caller = self.front.authenticate(credential).await.map_err(denied)?;
        let principal = admitted(caller.principal, client)?;
        Ok(Authenticated { principal, ..caller })
    }

    /// Counts a request whose token was checked.
    fn counted(
        &self,
        checked: Result<Authenticated, Deny>,
        client: Client,
        seat: &Seat,
    ) -> Result<Authenticated, Deny> {
        let now = Instant::now();
        seat.count();
        match checked {
            Ok(caller) => {
                self.shares.request(&caller.principal, now)?;
                seat.prove();
                Ok(caller)
            }
            // No token was found wrong: the issuer or the recorder did not answer.
            Err(deny @ (Deny::IssuerAway | Deny::Unavailable(_) | Deny::Unchecked { .. })) => {
                Err(deny)
            }
            Err(deny) => {
                self.peers.request(client.address, now)?;
                Err(deny)
            }
        }
    }

    /// The client of a request, whose address a trusted proxy names.
    pub fn client(&self, headers: &HeaderMap, seat: &Seat) -> Client {
        self.proxies.client(seat.client, headers)
    }
}

/// Returns the principal of the token in these headers, for a client at this address. Takes no token
/// that is bound to its sender: these headers are of an earlier request.
pub async fn caller<F: Front>(
    front: &F,
    headers: &HeaderMap,
    client: Client,
) -> Result<Principal, Deny> {
    again(front, headers, client, false).await
}

/// Returns the principal of the token with which the client at this address opened a stream. The
/// token is checked again; the proof of its sender was checked at the opening.
pub async fn caller_of_stream<F: Front>(
    front: &F,
    headers: &HeaderMap,
    client: Client,
) -> Result<Principal, Deny> {
    again(front, headers, client, true).await
}

async fn again<F: Front>(
    front: &F,
    headers: &HeaderMap,
    client: Client,
    opened: bool,
) -> Result<Principal, Deny> {
    let (scheme, token) = token(headers)?;
    // A stream that is open needs its look.
    let network = (!opened).then(|| network(client.address));
    let credential = Credential { scheme, opened, client: network, ..Credential::bearer(token) };
    let Authenticated { principal, access } =
        front.authenticate(credential).await.map_err(denied)?;
    if access < Access::Read {
        return Err(Deny::TokenUnknown);
    }
    admitted(principal, client)
}

fn denied(error: Unauthenticated) -> Deny {
    match error {
        Unauthenticated::Missing => Deny::TokenMissing,
        Unauthenticated::Unknown => Deny::TokenUnknown,
        Unauthenticated::Expired => Deny::TokenExpired,
        Unauthenticated::Ended => Deny::TokenEnded,
        Unauthenticated::Unregistered => Deny::Unavailable(
            "the recorder does not say if this token was replaced; try again in a few seconds"
                .into(),
        ),
        Unauthenticated::Refused(refusal) => Deny::Token(refusal),
        Unauthenticated::Unavailable => Deny::IssuerAway,
        Unauthenticated::Waiting(most) => Deny::Unchecked { most },
    }
}

/// Callers from another machine are never anonymous.
fn admitted(principal: Principal, client: Client) -> Result<Principal, Deny> {
    if principal.anonymous && !client.is_local { Err(Deny::TokenMissing) } else { Ok(principal) }
}

/// Returns the scheme and the token, which is `None` without the header. A value in another form
/// (RFC 6750 §2.1, RFC 9449 §7.1) is an error: the scheme is missing or wrong, or a variable was not
/// filled in.
pub fn token(headers: &HeaderMap) -> Result<(Scheme, Option<&str>), Deny> {
    let Some(value) = single(headers, "authorization")? else { return Ok((Scheme::Bearer, None)) };
    let (scheme, token) = value.split_once(' ').ok_or(Deny::TokenForm)?;
    let token = token.trim();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Scheme::Bearer,
        "dpop" => Scheme::Dpop,
        _ => return Err(Deny::TokenForm),
    };
    let formed = !token.is_empty() && token.bytes().all(letter);
    if formed { Ok((scheme, Some(token))) } else { Err(Deny::TokenForm) }
}

/// Returns the proof of a request. Two proofs are an error, also if they are equal (RFC 9449 §4.3).
fn proof(headers: &HeaderMap) -> Result<Option<&str>, Deny> {
    if headers.get_all("dpop").iter().count() > 1 {
        return Err(Deny::BadHeader { name: "dpop", error: "is there twice; send it once".into() });
    }
    single(headers, "dpop")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::Proxies;

    #[test]
    fn no_caller_is_anonymous_from_elsewhere() {
        let check = |anonymous: bool, client: &str, expect: bool| {
            let principal =
                Principal { name: "a".into(), anonymous, roles: vec![], person: None, act: vec![] };
            let by = Proxies::default().client(client.parse().unwrap(), &HeaderMap::new());
            assert_eq!(admitted(principal, by).is_ok(), expect, "{anonymous} {client}");
        };
        check(true, "127.0.0.1", true);
        check(true, "::1", true);
        check(true, "::ffff:127.0.0.1", true);
        check(true, "192.0.2.1", false);
        check(true, "::ffff:192.0.2.1", false);
        check(false, "192.0.2.1", true);
    }
}
