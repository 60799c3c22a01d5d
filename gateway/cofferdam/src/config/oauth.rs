//! Reads `[edge.oauth]`: the issuers of access tokens, and the meaning of their claims. Every key that
//! gives a permission is required. Never reads a secret, and connects to nothing.

use super::toml_reader::Section;
use cofferdam_core::protocol::role_settings::{IssuerSettings, OauthSettings};
use cofferdam_identity::ALGORITHMS;

/// The bounds of `clock_skew_seconds`. An expired token is good for this time.
const SKEW_SECONDS: (i64, i64) = (0, 300);

/// The default of `clock_skew_seconds`: machines that keep the time are closer.
const SKEW: i64 = 30;

/// The most issuers: each token names its own, and the courier keeps a connection for each.
const ISSUERS: usize = 16;

/// The most characters of the short name of an issuer.
const NAME: usize = 24;

/// Reads the section. `issuer` reads one entry of `issuers`.
pub(super) fn check(
    section: &mut Section<'_>,
    issuers: Vec<Option<IssuerSettings>>,
) -> Option<OauthSettings> {
    let resource = resource(section);
    let skew_seconds = section.integer("clock_skew_seconds", SKEW, SKEW_SECONDS);
    let scopes = if section.has("scopes") {
        section.section("scopes", scopes).flatten()
    } else {
        let remedy =
            "add `[edge.oauth.scopes]` with read = \"tools:read\" and call = \"tools:call\"";
        section.report("scopes", "the section is missing", remedy);
        None
    };
    let issuers: Option<Vec<IssuerSettings>> = issuers.into_iter().collect();
    let mut issuers = issuers?;
    section.hold(
        "issuers",
        (1..=ISSUERS).contains(&issuers.len()),
        &format!("there are {} issuers", issuers.len()),
        &format!("add 1 to {ISSUERS} of `[[edge.oauth.issuers]]`, or remove `[edge.oauth]`"),
    );
    let opaque = issuers.iter().filter(|issuer| issuer.introspection).count();
    section.hold(
        "issuers",
        opaque <= 1,
        "more than one issuer has an `introspection`, and an opaque token does not say whose it is",
        "leave it to one of them",
    );
    for (at, issuer) in issuers.iter().enumerate() {
        if issuers.iter().take(at).any(|other| other.name == issuer.name) {
            let problem = format!("two issuers have the name `{}`", issuer.name);
            section.report("issuers", &problem, "give each another `name`");
        }
    }
    let resource = resource?;
    for issuer in &mut issuers {
        if issuer.audience.is_empty() {
            issuer.audience.clone_from(&resource);
        }
    }
    let (read_scope, call_scope, scope_prefix) = scopes?;
    Some(OauthSettings { resource, skew_seconds, read_scope, call_scope, scope_prefix, issuers })
}

fn resource(section: &mut Section<'_>) -> Option<String> {
    let text = section.string(
        "resource",
        "the URL of MCP as agents reach it: resource = \"https://cofferdam.example.com/mcp\"",
    )?;
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let place = rest.split('/').next().unwrap_or_default();
    let local =
        place.starts_with("localhost") || place.starts_with("127.") || place.starts_with("[::1]");
    let secure = scheme == "https" || (scheme == "http" && local);
    let plain =
        text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}?#@".contains(&byte));
    section
        .hold(
            "resource",
            secure && plain && !place.is_empty(),
            &format!("`{text}` is no URL of this server"),
            "write https://HOST/mcp, without a query; http:// is for 127.0.0.1 and localhost alone",
        )
        .then_some(text)
}

/// The two scopes, and their prefix in a client's request.
fn scopes(section: &mut Section<'_>) -> Option<(String, String, String)> {
    let read = scope(section, "read", "tools:read");
    let call = scope(section, "call", "tools:call");
    let prefix = section.optional_string("prefix").unwrap_or_default();
    section.hold(
        "prefix",
        prefix.is_empty() || is_scope(&prefix),
        &format!("`{prefix}` cannot stand before a scope"),
        "write visible ASCII characters without blanks, quotation marks and backslashes",
    );
    let (read, call) = (read?, call?);
    section.hold(
        "call",
        read != call,
        "the scope for calls is the one for reading",
        "name two scopes, or every token that reads could call",
    );
    Some((read, call, prefix))
}

fn scope(section: &mut Section<'_>, key: &'static str, example: &str) -> Option<String> {
    let text = section.string(key, &format!("a scope of your issuers: {key} = \"{example}\""))?;
    section
        .hold(
            key,
            is_scope(&text),
            &format!("`{text}` is no scope"),
            "write visible ASCII characters without blanks, quotation marks and backslashes",
        )
        .then_some(text)
}

/// A scope by RFC 6749 §3.3.
pub(super) fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Reads the check and the claims of one issuer, whose own key was read before.
pub(super) fn issuer(section: &mut Section<'_>, issuer: Option<String>) -> Option<IssuerSettings> {
    let name = section.string("name", "a short name of the issuer: name = \"keycloak\"");
    let name = name.filter(|name| {
        let valid = (1..=NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        section.hold(
            "name",
            valid,
            &format!("`{name}` is no name for an issuer"),
            &format!("use 1 to {NAME} of a-z, 0-9 and -"),
        )
    });
    let audience = section.optional_string("audience").unwrap_or_default();
    let algorithms = algorithms(section);
    let plain_jwt = section.boolean("plain_jwt", false);
    let introspection = section.has("introspection");
    let required_claims = section.texts_by_name("required_claims");
    let client_claim = section.optional_string("client").unwrap_or_default();
    let person_claim = section.string(
        "person",
        "the claim with the name of the person, as approvers are named: person = \"email\"",
    );
    let person_optional = section.boolean("person_optional", false);
    let roles = section.strings("roles");
    let roles_claim = section.optional_string("roles_claim").unwrap_or_default();
    let roles_of = section.texts_by_name("roles_of");
    section.hold(
        "roles_of",
        roles_claim.is_empty() == roles_of.is_empty(),
        if roles_claim.is_empty() {
            "there is no `roles_claim` to find these values in"
        } else {
            "it is missing, and without it `roles_claim` gives no role"
        },
        "write both: roles_claim = \"groups\" and roles_of = { \"ops-team\" = \"operator\" }",
    );
    section.hold(
        "roles",
        !(roles.is_empty() && roles_of.is_empty()),
        "no token of this issuer has a role",
        "write roles = [\"viewer\"] for all of its tokens, or `roles_claim` and `roles_of`",
    );
    for role in roles.iter().chain(roles_of.values()) {
        section.hold(
            "roles",
            !role.is_empty() && role.bytes().all(|byte| byte.is_ascii_graphic()),
            &format!("`{role}` is no role"),
            "write a role of the policy, without blanks",
        );
    }
    let scopes_claim = section.optional_string("scopes_claim").unwrap_or_default();
    Some(IssuerSettings {
        name: name?,
        issuer: issuer?,
        audience,
        algorithms: algorithms?,
        plain_jwt,
        introspection,
        required_claims,
        client_claim,
        person_claim: person_claim.filter(|claim| !claim.is_empty())?,
        person_optional,
        roles,
        roles_claim,
        roles_of,
        scopes_claim,
    })
}

pub(super) fn algorithms(section: &mut Section<'_>) -> Option<Vec<String>> {
    let algorithms = section.strings("algorithms");
    let remedy = format!("name those of the issuer's keys, of {}", ALGORITHMS.join(", "));
    let named = section.hold(
        "algorithms",
        !algorithms.is_empty(),
        "no signature algorithm is permitted",
        &remedy,
    );
    let mut known = true;
    for algorithm in &algorithms {
        known &= section.hold(
            "algorithms",
            ALGORITHMS.contains(&algorithm.as_str()),
            &format!("`{algorithm}` is not a permitted algorithm"),
            &remedy,
        );
    }
    (named && known).then_some(algorithms)
}
