//! The settings of an issuer of access tokens, for tests: one issuer with an Ed25519 key, whose
//! tokens name a verified address of a person. A test changes what it is about.

use cofferdam_core::protocol::role_settings::{IssuerSettings, OauthSettings};
use std::collections::BTreeMap;

/// The URL of the server that tokens are for.
pub const RESOURCE: &str = "https://gate.example.com/mcp";

/// The `iss` of the issuer.
pub const ISSUER: &str = "https://idp.example.com";

/// The issuer.
pub fn issuer() -> IssuerSettings {
    IssuerSettings {
        name: "idp".into(),
        issuer: ISSUER.into(),
        audience: RESOURCE.into(),
        algorithms: vec!["EdDSA".into()],
        plain_jwt: false,
        introspection: true,
        required_claims: BTreeMap::new(),
        client_claim: String::new(),
        person_claim: "email".into(),
        person_optional: false,
        roles: vec!["viewer".into()],
        roles_claim: String::new(),
        roles_of: BTreeMap::new(),
        scopes_claim: String::new(),
    }
}

/// A server that takes tokens of these issuers, with clocks that differ by half a minute.
pub fn oauth(issuers: Vec<IssuerSettings>) -> OauthSettings {
    OauthSettings {
        resource: RESOURCE.into(),
        skew_seconds: 30,
        read_scope: "tools:read".into(),
        call_scope: "tools:call".into(),
        scope_prefix: String::new(),
        issuers,
    }
}
