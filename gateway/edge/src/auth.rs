//! Who calls: the bearer token of every single request, and what a client without one is told. Tokens are read from the `Authorization`
//! header alone and are never logged, echoed or kept.
//!
//! Tokens are those of `cofferdam agents`. The metadata document (RFC 9728) names this resource and how tokens are sent; it names no
//! authorization server, since none issues tokens for it yet.

use crate::deny::Deny;
use crate::gate::is_local;
use crate::header::single;
use crate::respond::{self, Answer};
use crate::route::Edge;
use cofferdam_core::caller::Principal;
use cofferdam_core::ports::{Front, Unauthenticated};
use hyper::header::WWW_AUTHENTICATE;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use std::net::IpAddr;

/// Where the metadata of the MCP endpoint lies (RFC 9728 §3.1).
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource/mcp";

impl<F: Front> Edge<F> {
    /// Who this request's token names. An anonymous caller is let in from this machine only, whatever address the server listens on.
    pub async fn principal(&self, headers: &HeaderMap, client: IpAddr) -> Result<Principal, Deny> {
        let principal = self.front.authenticate(bearer(headers)?).await.map_err(|fault| match fault {
            Unauthenticated::Missing => Deny::TokenMissing,
            Unauthenticated::Unknown => Deny::TokenUnknown,
        })?;
        admitted(principal, client)
    }

    /// Adds the challenge to a 401.
    pub fn challenged(&self, answer: Answer, deny: &Deny) -> Answer {
        let error = match deny {
            Deny::TokenMissing => "",
            Deny::TokenUnknown => ", error=\"invalid_token\"",
            _ => return answer,
        };
        let challenge = format!("Bearer realm=\"cofferdam\", resource_metadata=\"{}{METADATA_PATH}\"{error}", self.settings.base);
        respond::add(answer, WWW_AUTHENTICATE, &challenge)
    }

    /// The metadata document.
    pub fn metadata(&self) -> Answer {
        let document = json!({
            "resource": format!("{}/mcp", self.settings.base),
            "resource_name": format!("Cofferdam ({})", self.front.environment()),
            "bearer_methods_supported": ["header"],
        });
        respond::json(StatusCode::OK, &document)
    }
}

/// Nobody is anonymous from another machine.
fn admitted(principal: Principal, client: IpAddr) -> Result<Principal, Deny> {
    if principal.anonymous && !is_local(client) { Err(Deny::TokenMissing) } else { Ok(principal) }
}

/// The token, if the header is there; another scheme than `Bearer` is nobody's token.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Deny> {
    let Some(value) = single(headers, "authorization")? else { return Ok(None) };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(Some(token.trim())),
        _ => Err(Deny::TokenUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_anonymous_from_elsewhere() {
        let check = |anonymous: bool, client: &str, expect: bool| {
            let principal = Principal { name: "a".into(), anonymous, roles: vec![], person: None, act: vec![] };
            assert_eq!(admitted(principal, client.parse().unwrap()).is_ok(), expect, "{anonymous} {client}");
        };
        check(true, "127.0.0.1", true);
        check(true, "::1", true);
        check(true, "::ffff:127.0.0.1", true);
        check(true, "192.0.2.1", false);
        check(true, "::ffff:192.0.2.1", false);
        check(false, "192.0.2.1", true);
    }
}
