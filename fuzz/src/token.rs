//! Access tokens: no token counts but one that a known key signed, whatever its claims; and the
//! claims that a key signed make a caller with a name of its own, or none.

use crate::{Broken, Checked, hold};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::access::{Credential, Scheme};
use cofferdam_core::model::principal_name::identities;
use cofferdam_core::protocol::role_settings::OauthSettings;
use cofferdam_identity::{Binding, Issuer, Jwt, KeySet, Replays, Sender};
use cofferdam_testkit::issuer::{ISSUER, RESOURCE, issuer, oauth};
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The seed of the issuer's key, which signs in tests alone.
const SEED: [u8; 32] = [9; 32];

/// The header of the tokens that this file signs.
const HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k"}"#;

/// Reads the bytes as a token, as the claims of a signed token, as the answer of an introspection,
/// as a key set and as a proof.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let (issuer, keys) = world()?;
    let now = Timestamp::UNIX_EPOCH;
    let text = String::from_utf8_lossy(bytes);
    if let Ok(jwt) = Jwt::read(&text)
        && issuer.check(&jwt, &keys, now).is_ok()
    {
        let (message, _) = text.rsplit_once('.').unwrap_or_default();
        hold(signed(message) == text, || format!("a token that no key signed counts: {text}"))?;
    }
    let token = signed(&format!("{}.{}", encoded(HEADER.as_bytes()), encoded(bytes)));
    if let Ok(jwt) = Jwt::read(&token)
        && let Ok(checked) = issuer.check(&jwt, &keys, now)
        && let Ok(identity) = issuer.identity(&checked)
    {
        let name = &identity.principal.name;
        let claims: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let client = claims.get("client_id").or_else(|| claims.get("azp"));
        let named = [client, claims.get("sub")].map(|claim| claim.and_then(Value::as_str));
        let own: Vec<String> = identities(name);
        let right =
            named.iter().all(|claim| claim.is_some_and(|text| own.iter().any(|part| part == text)));
        hold(right, || format!("`{name}` is another than its claims say: {claims}"))?;
        hold(name.starts_with("idp:"), || format!("`{name}` could be an agent's"))?;
        hold(claims.get("iss") == Some(&json!(ISSUER)), || {
            "a token of another issuer counts".to_owned()
        })?;
    }
    let _any = issuer.check_introspection(bytes, now).map(|checked| issuer.identity(&checked));
    let _any = KeySet::parse(bytes);
    let credential = Credential {
        token: Some("token"),
        scheme: Scheme::Dpop,
        proof: Some(&text),
        method: "POST",
        path: "/mcp",
        certificate: None,
        opened: false,
        client: None,
    };
    let sender = Sender { credential, url: RESOURCE, skew_seconds: 0, now };
    let binding = Binding { key: Some([1; 32]), certificate: None };
    // No key has this thumbprint.
    hold(sender.proves(&binding, &Replays::since(now)).is_err(), || {
        format!("a proof of another key counts: {text}")
    })
}

/// A token that counts, for the corpus.
pub fn good() -> String {
    let claims = json!({"aud": RESOURCE, "client_id": "c", "email": "a@b", "exp": 4_000_000_000_u64,
        "iss": ISSUER, "scope": "tools:call", "sub": "s"});
    signed(&format!("{}.{}", encoded(HEADER.as_bytes()), encoded(claims.to_string().as_bytes())))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(message: &str) -> String {
    let key = SigningKey::from_bytes(&SEED);
    format!("{message}.{}", encoded(&key.sign(message.as_bytes()).to_bytes()))
}

fn world() -> Result<(Issuer, KeySet), Broken> {
    let key = SigningKey::from_bytes(&SEED).verifying_key();
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k",
        "x": encoded(key.as_bytes())}]});
    let keys =
        KeySet::parse(keys.to_string().as_bytes()).map_err(|error| Broken(error.to_string()))?;
    let settings = OauthSettings { skew_seconds: 0, ..oauth(vec![issuer()]) };
    let issuer = Issuer::all(&settings).ok().and_then(|all| all.into_iter().next());
    issuer.map(|issuer| (issuer, keys)).ok_or_else(|| Broken("no issuer".to_owned()))
}
