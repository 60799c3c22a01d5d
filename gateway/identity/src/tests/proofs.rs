//! Proofs of the sender's key and certificate: each wrong proof differs in one thing from the right
//! one.

use super::keys::{Key, b64};
use super::*;
use crate::{Binding, Replays, Sender};
use cofferdam_core::model::access::{Credential, Scheme};
use sha2::{Digest as _, Sha256};

const TOKEN: &str = "the.access.token";

fn proof_header(key: &Key) -> Value {
    json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.jwk()})
}

fn proof_claims() -> Value {
    json!({"jti": "one", "htm": "POST", "htu": RESOURCE, "iat": NOW,
        "ath": b64(&Sha256::digest(TOKEN))})
}

fn thumbprint(key: &Key) -> [u8; 32] {
    let jwk = key.jwk();
    // RFC 7638: the required members in the order of their names.
    let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
    Sha256::digest(format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}"))
        .into()
}

fn replays() -> Replays {
    Replays::since(Timestamp::from_second(NOW - 1_000).unwrap())
}

fn sent(proof: Option<&str>, scheme: Scheme) -> Sender<'_> {
    let credential = Credential {
        token: Some(TOKEN),
        scheme,
        proof,
        method: "POST",
        path: "/mcp",
        certificate: None,
        opened: false,
        client: None,
    };
    Sender { credential, url: RESOURCE, skew_seconds: 30, now: now() }
}

#[test]
fn a_bound_token_needs_a_new_proof_of_its_key_for_this_request() {
    let (key, other) = (Key::p256(), Key::p256());
    let binding = Binding { key: Some(thumbprint(&key)), certificate: None };
    let check = |proof: &str, expect: &str| {
        let told = sent(Some(proof), Scheme::Dpop).proves(&binding, &replays());
        let told = told.map_err(|refused| {
            assert_eq!(format!("{:?}", refused.shown), "Proof");
            refused.cause
        });
        assert_eq!(told.err().as_deref().unwrap_or("right"), expect, "{proof}");
    };
    let right = key.token(&proof_header(&key), &proof_claims());
    check(&right, "right");
    let with =
        |name: &str, to: Value| key.token(&proof_header(&key), &changed(proof_claims(), name, to));
    let headed =
        |name: &str, to: Value| key.token(&changed(proof_header(&key), name, to), &proof_claims());
    check("x", "a proof is malformed: a token does not have three parts");
    check(&headed("typ", json!("JWT")), "the `typ` of a proof is not `dpop+jwt`");
    check(&headed("typ", Value::Null), "the `typ` of a proof is not `dpop+jwt`");
    check(&headed("jwk", Value::Null), "a proof has no `jwk`");
    let private = changed(key.jwk(), "d", json!("AAAA"));
    check(&headed("jwk", private), "the `jwk` of a proof is no public key");
    let secret = json!({"kty": "oct", "k": "AAAA"});
    check(&headed("jwk", secret), "the `jwk` of a proof is no public key");
    let algorithm = "the algorithm of a proof is not permitted for its key";
    for name in ["none", "HS256", "ES384", "RS256", "EdDSA"] {
        check(&headed("alg", json!(name)), algorithm);
    }
    let another = "a proof is by another key than its token is bound to";
    check(&headed("jwk", other.jwk()), another);
    let forged = other.token(&proof_header(&key), &proof_claims());
    check(&forged, "the signature of a proof is wrong");
    let foreign = other.token(&proof_header(&other), &proof_claims());
    check(&foreign, another);
    check(&with("htm", json!("GET")), "the `htm` of a proof is another method");
    check(&with("htm", json!("post")), "the `htm` of a proof is another method");
    let url = "the `htu` of a proof is another URL; is `edge.oauth.resource` the URL that clients \
               use?";
    for right in ["HTTPS://Gate.example.com:443/mcp", "https://gate.example.com/mcp?a=b#c"] {
        check(&with("htu", json!(right)), "right");
    }
    for wrong in [
        "http://gate.example.com/mcp",
        "https://gate.example.com/MCP",
        "https://gate.example.com/mcp/",
        "https://gate.example.com:8443/mcp",
        "https://gate.example.com",
        "https://other.example.com/mcp",
        "https://a@gate.example.com/mcp",
        "/mcp",
        "",
    ] {
        check(&with("htu", json!(wrong)), url);
    }
    let time = "the `iat` of a proof is too old, or still to come";
    for (iat, expect) in [(-91, time), (-90, "right"), (30, "right"), (31, time)] {
        check(&with("iat", json!(NOW + iat)), expect);
    }
    check(&with("iat", Value::Null), time);
    let hash = "the `ath` of a proof is for another token";
    check(&with("ath", Value::Null), hash);
    check(&with("ath", json!(b64(&Sha256::digest("other")))), hash);
    let id = "a proof has no `jti`, or too long a one";
    check(&with("jti", Value::Null), id);
    check(&with("jti", json!("")), id);
    check(&with("jti", json!("i".repeat(257))), id);

    let replays = replays();
    let again = |proof: &str| sent(Some(proof), Scheme::Dpop).proves(&binding, &replays);
    assert!(again(&right).is_ok());
    let refused = again(&right).unwrap_err();
    assert_eq!(refused.cause, "a proof was used before, or too many proofs are in use");
    assert!(again(&with("jti", json!("two"))).is_ok());
}

#[test]
fn a_proof_that_an_earlier_process_may_have_taken_is_refused() {
    let key = Key::p256();
    let binding = Binding { key: Some(thumbprint(&key)), certificate: None };
    let replays = Replays::since(Timestamp::from_second(NOW - 2).unwrap());
    let at = |iat: i64| key.token(&proof_header(&key), &changed(proof_claims(), "iat", json!(iat)));
    let told = |iat| sent(Some(&at(iat)), Scheme::Dpop).proves(&binding, &replays);
    let refused = told(NOW - 2).unwrap_err();
    assert_eq!(refused.cause, "the `iat` of a proof is before the start of this server");
    assert!(told(NOW - 1).is_ok());
}

#[test]
fn the_scheme_is_that_of_the_binding() {
    let key = Key::p256();
    let bound = Binding { key: Some(thumbprint(&key)), certificate: None };
    let free = Binding::default();
    let right = key.token(&proof_header(&key), &proof_claims());
    let check = |binding: &Binding, sender: Sender<'_>, expect: Option<&str>| {
        let told = sender.proves(binding, &replays());
        assert_eq!(told.err().map(|refused| refused.cause).as_deref(), expect);
    };
    check(&bound, sent(Some(&right), Scheme::Dpop), None);
    check(&free, sent(None, Scheme::Bearer), None);
    let bearer = "a token is bound to a key and came with the scheme Bearer";
    check(&bound, sent(Some(&right), Scheme::Bearer), Some(bearer));
    check(&bound, sent(None, Scheme::Dpop), Some("a request has no proof in the header `DPoP`"));
    let superfluous = "a token came with the scheme DPoP and is bound to no key";
    check(&free, sent(Some(&right), Scheme::Dpop), Some(superfluous));
}

#[test]
fn a_token_of_a_certificate_needs_this_certificate() {
    let bound = Binding { key: None, certificate: Some([7; 32]) };
    for (certificate, right) in [(None, false), (Some([8; 32]), false), (Some([7; 32]), true)] {
        let mut sender = sent(None, Scheme::Bearer);
        sender.credential.certificate = certificate;
        let told = sender.proves(&bound, &replays());
        let shown = told.map_err(|refused| format!("{:?}", refused.shown));
        assert_eq!(shown, if right { Ok(()) } else { Err("Certificate".to_owned()) });
    }
    // Both bindings hold together.
    let key = Key::p256();
    let both = Binding { key: Some(thumbprint(&key)), certificate: Some([7; 32]) };
    let right = key.token(&proof_header(&key), &proof_claims());
    let mut sender = sent(Some(&right), Scheme::Dpop);
    assert!(sender.proves(&both, &replays()).is_err());
    sender.credential.certificate = Some([7; 32]);
    assert!(sender.proves(&both, &replays()).is_ok());
    sender.credential.scheme = Scheme::Bearer;
    assert!(sender.proves(&both, &replays()).is_err());
}
