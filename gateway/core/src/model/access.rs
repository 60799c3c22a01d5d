//! The use that a token permits, and the refusal of a token, in the words that its sender reads.
//! These words say nothing about keys, issuers and the configuration: only the log does.

use crate::model::caller::Principal;
use std::net::IpAddr;

/// The use that a token permits. Each value includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing: the token has no scope of this server.
    None,
    /// Lists, previews, and questions about the caller's own calls.
    Read,
    /// Calls of tools, and their withdrawal.
    Call,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The caller.
    pub principal: Principal,
    /// The use that its token permits. A token from `agents.toml` permits everything.
    pub access: Access,
}

impl Authenticated {
    /// A caller whose token has no scopes: it permits everything, and policy decides.
    pub fn unscoped(principal: Principal) -> Self {
        Self { principal, access: Access::Call }
    }
}

/// The scheme of the `Authorization` header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    /// The token is all that the sender has to show (RFC 6750).
    #[default]
    Bearer,
    /// The sender also proves that it has the key of the token (RFC 9449).
    Dpop,
}

/// What a request shows about its sender.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credential<'a> {
    /// The token, if there is one.
    pub token: Option<&'a str>,
    /// The scheme that the token came with.
    pub scheme: Scheme,
    /// The value of the header `DPoP`.
    pub proof: Option<&'a str>,
    /// The HTTP method of the request.
    pub method: &'a str,
    /// The path of the request.
    pub path: &'a str,
    /// The SHA-256 of the client's certificate, if the connection has one.
    pub certificate: Option<[u8; 32]>,
    /// True for a look at the token of a stream that is open: its sender proved what the token is
    /// bound to when it opened the stream, and can send no further proof on it.
    pub opened: bool,
    /// The network of the client, for work that its token causes. `None` has no bound of its own.
    pub client: Option<IpAddr>,
}

impl<'a> Credential<'a> {
    /// A bearer token, or none.
    pub fn bearer(token: Option<&'a str>) -> Self {
        Self { token, ..Self::default() }
    }
}

/// The refusal of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The token is malformed, or its signature, key or issuer is wrong. All of these have one text.
    #[error("the token is not valid; get a new one, or ask an operator")]
    Unknown,
    /// The time of the token is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// The time of the token has not begun.
    #[error("the token is not valid yet; compare the clocks of the machines")]
    Early,
    /// The token is for another server.
    #[error("the token is for another server; ask for one with the `resource` of this server")]
    Audience,
    /// The token is valid and lacks what the configuration needs of it.
    #[error(
        "the token is valid and lacks a claim that this server needs; an operator finds the claim \
         in the log"
    )]
    Unfit,
    /// The token is bound to a key, and the request does not prove that its sender has it.
    #[error(
        "the token is bound to a key: send `Authorization: DPoP TOKEN`, and in the header `DPoP` a \
         new proof for this method and URL"
    )]
    Proof,
    /// The token is bound to a client certificate, and the connection has another one or none.
    #[error("the token is bound to a client certificate: connect with this certificate")]
    Certificate,
}
