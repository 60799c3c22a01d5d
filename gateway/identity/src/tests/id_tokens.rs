//! ID tokens, right and wrong: each wrong one differs in one thing from the right one.

use super::keys::Key;
use super::{NOW, changed, now, set};
use crate::{IdTokenError, IdTokens};
use cofferdam_core::model::console_role::ConsoleRole::{Approver, Auditor, Operator};
use cofferdam_core::protocol::role_settings::PeopleIssuer;
use serde_json::{Value, json};

fn issuer() -> IdTokens {
    named_by("email")
}

/// The issuer with this claim as the name of a person.
fn named_by(claim: &str) -> IdTokens {
    let of = |group: &str, roles: &[_]| (group.to_owned(), roles.to_vec());
    let settings = PeopleIssuer {
        issuer: "https://idp.example.com".into(),
        client_id: "cofferdam".into(),
        algorithms: vec!["EdDSA".into()],
        scopes: vec!["openid".into()],
        name_claim: claim.into(),
        groups_claim: "groups".into(),
        roles_of: [
            of("audit", &[Auditor]),
            of("ops", &[Auditor, Operator]),
            // A configuration never has it; the check gives it to no group all the same.
            of("all", &[Approver]),
        ]
        .into(),
    };
    IdTokens::new(settings, 30).unwrap()
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "k1"})
}

fn claims() -> Value {
    json!({"iss": "https://idp.example.com", "aud": "cofferdam", "sub": "5b2c", "nonce": "n1",
        "iat": NOW - 1, "exp": NOW + 300, "email": "ada@example.com", "email_verified": true,
        "groups": ["staff", "audit"]})
}

#[test]
fn an_id_token_is_the_answer_to_one_sign_in_of_this_client() {
    let (key, other) = (Key::ed(), Key::ed());
    let keys = set(&[key.entry("k1")]);
    let told = |token: &str| match issuer().check(token, &keys, "n1", now()) {
        Ok(person) => format!("{} {:?}", person.name, person.roles),
        Err(IdTokenError::Refused(refused)) => {
            refused.to_string().replace("an ID token is refused: ", "")
        }
        Err(error) => error.to_string().split([',', ';']).next().unwrap().to_owned(),
    };
    let check = |name: &str, to: Value, expect: &str| {
        let token = key.token(&header(), &changed(claims(), name, to.clone()));
        assert_eq!(told(&token), expect, "{name}: {to}");
    };
    check("any", json!(1), "ada@example.com [Auditor]");
    check("aud", json!(["cofferdam"]), "ada@example.com [Auditor]");
    check("azp", json!("cofferdam"), "ada@example.com [Auditor]");
    check("groups", json!(["ops", "all"]), "ada@example.com [Auditor, Operator]");
    check("groups", json!("audit"), "ada@example.com [Auditor]");
    check("iss", json!("https://idp.example.com/"), "its `iss` is another");
    check("iss", Value::Null, "its `iss` is another");
    check("aud", json!("another"), "its `aud` is not this client alone");
    check("aud", json!(["cofferdam", "another"]), "its `aud` is not this client alone");
    check("aud", Value::Null, "its `aud` is not this client alone");
    check("azp", json!("another"), "its `azp` is another client");
    check("azp", json!(1), "its `azp` is another client");
    check("nonce", json!("n2"), "its `nonce` is of another sign-in");
    check("nonce", Value::Null, "its `nonce` is of another sign-in");
    check("sub", Value::Null, "it has no `sub`");
    check("exp", json!(NOW - 31), "it has expired");
    check("exp", Value::Null, "it has no `exp`");
    check("iat", Value::Null, "it has no `iat`");
    check("iat", json!(NOW + 31), "its `iat` is still to come");
    check("nbf", json!(NOW + 31), "its `nbf` is still to come");
    let no_name = "the ID token has no claim `email` that is a name: visible ASCII without blanks";
    check("email", Value::Null, no_name);
    check("email", json!("ada lovelace"), no_name);
    check("email_verified", json!(false), no_name);
    check("email_verified", Value::Null, no_name);
    let no_groups = "the ID token of `ada@example.com` has no claim `groups`";
    check("groups", Value::Null, no_groups);
    check("groups", json!({"audit": true}), no_groups);
    check("groups", json!([]), "no group of `ada@example.com` has a role here");
    check("groups", json!(["all"]), "no group of `ada@example.com` has a role here");
    let forged = other.token(&header(), &claims());
    assert_eq!(told(&forged), "its signature is wrong");
    let access = key.token(&changed(header(), "typ", json!("at+jwt")), &claims());
    assert_eq!(told(&access), "its `typ` is not `JWT`");
    let unknown = key.token(&changed(header(), "kid", json!("k2")), &claims());
    assert_eq!(told(&unknown), "the issuer has no key of its `kid` for its algorithm");
    let none = key.token(&changed(header(), "alg", json!("none")), &claims());
    assert_eq!(told(&none), "its algorithm is not in `algorithms`");
}

#[test]
fn an_address_of_mail_is_a_name_only_if_the_issuer_verified_it_however_the_claim_is_written() {
    let key = Key::ed();
    let keys = set(&[key.entry("k1")]);
    let unverified = changed(claims(), "email_verified", json!(false));
    let unverified = changed(unverified, "staff", json!({"email": "bob@example.com"}));
    for (claim, verified) in [("email", false), ("/email", false), ("/staff/email", false)] {
        let told = named_by(claim).check(&key.token(&header(), &unverified), &keys, "n1", now());
        assert_eq!(told.is_ok(), verified, "{claim}: {told:?}");
    }
    let told = named_by("/email").check(&key.token(&header(), &claims()), &keys, "n1", now());
    assert_eq!(told.unwrap().name, "ada@example.com");
}
