//! Tokens, right and wrong: a table with the refusal of each, for its sender and for the log. Each
//! wrong token differs in one thing from the right one.

mod id_tokens;
mod keys;
mod proofs;

use crate::{Identity, Issuer, Jwt, KeySet, Refused};
use cofferdam_core::model::access::Access;
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::protocol::role_settings::IssuerSettings;
use cofferdam_testkit::issuer::{RESOURCE, oauth};
use jiff::Timestamp;
use keys::{Key, b64};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        algorithms: ["EdDSA", "ES256", "RS256"].map(str::to_owned).to_vec(),
        required_claims: BTreeMap::from([("tenant".to_owned(), "blue".to_owned())]),
        roles_claim: "/realm_access/roles".into(),
        roles_of: BTreeMap::from([("ops".to_owned(), "operator".to_owned())]),
        ..cofferdam_testkit::issuer::issuer()
    }
}

fn issuer_with(change: impl FnOnce(&mut IssuerSettings)) -> Issuer {
    let mut issuer = settings();
    change(&mut issuer);
    Issuer::all(&oauth(vec![issuer])).unwrap().remove(0)
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"})
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example.com",
        "aud": RESOURCE,
        "exp": NOW + 300,
        "sub": "5b2c",
        "client_id": "claude-code",
        "email": "alice@example.com",
        "email_verified": true,
        "tenant": "blue",
        "scope": "openid tools:read",
        "realm_access": {"roles": ["ops", "unknown"]},
    })
}

fn set(entries: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": entries}).to_string().as_bytes()).unwrap()
}

fn identify(issuer: &Issuer, keys: &KeySet, token: &str) -> Result<Identity, Refused> {
    issuer.identity(&issuer.check(&Jwt::read(token)?, keys, now())?)
}

/// A word for the sender and the sentence for the log.
fn told(outcome: Result<Identity, Refused>) -> String {
    match outcome {
        Ok(identity) => format!("{} {:?}", identity.principal.name, identity.access),
        Err(Refused { shown, cause, unknown_key }) => {
            format!("{shown:?}{}: {cause}", if unknown_key { ", look again" } else { "" })
        }
    }
}

/// The right claims with one change: `null` removes a claim.
fn changed(mut value: Value, name: &str, to: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    if to.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), to);
    }
    value
}

#[test]
fn the_right_token_is_a_caller() {
    let (key, issuer) = (Key::ed(), issuer_with(|_| ()));
    let keys = set(&[key.entry("k1")]);
    let identity = identify(&issuer, &keys, &key.token(&header(), &claims())).unwrap();
    assert_eq!(identity.principal.name, "idp:claude-code:5b2c");
    assert_eq!(identity.principal.person.as_deref(), Some("alice@example.com"));
    assert_eq!(identity.principal.roles, ["operator", "viewer"]);
    assert_eq!(identity.principal.act, [""; 0]);
    assert!(!identity.principal.anonymous);
    assert_eq!(identity.access, Access::Read);
    assert_eq!(identity.binding, crate::Binding::default());
}

#[test]
fn every_wrong_token_is_refused() {
    let (key, other, issuer) = (Key::ed(), Key::ed(), issuer_with(|_| ()));
    let keys = set(&[key.entry("k1"), Key::p256().entry("k2")]);
    let check = |token: &str, expect: &str| {
        let told = told(identify(&issuer, &keys, token));
        let told = told.replace("a token of the issuer `idp` is refused: ", "");
        assert_eq!(told, expect, "{token}");
    };
    let right = key.token(&header(), &claims());
    check(&right, "idp:claude-code:5b2c Read");

    // The form.
    check("", "Unknown: a token does not have three parts");
    check("a.b", "Unknown: a token does not have three parts");
    check("a.b.c.d", "Unknown: a token does not have three parts");
    check("{}.{}.", "Unknown: the header of a token is not base64url");
    let long = format!("{right}{}", "A".repeat(crate::TOKEN_BYTES));
    check(&long, "Unknown: a token is larger than 8192 bytes");
    let list = key.token(&header(), &json!([1]));
    check(&list, "Unknown: the payload of a token is not an object");
    let strict = "the payload of a token is not strict JSON (a key twice, or a number beyond 2^53)";
    let twice = claims().to_string().replace("{", "{\"aud\":\"https://other.example.com\",");
    check(&key.token_of(&header(), &twice), &format!("Unknown: {strict}"));
    check(&key.token_of(&header(), "{\"exp\":1e40}"), &format!("Unknown: {strict}"));
    let critical = changed(header(), "crit", json!(["exp"]));
    let known = "Unknown: a token has critical extensions, and none is known";
    check(&key.token(&critical, &claims()), known);
    let number = changed(header(), "kid", json!(1));
    check(&key.token(&number, &claims()), "Unknown: `kid` in the header is not a text");

    // The signature.
    let forged = other.token(&header(), &claims());
    check(&forged, "Unknown: its signature is wrong");
    let (unsigned, _) = right.rsplit_once('.').unwrap();
    check(&format!("{unsigned}."), "Unknown: its signature is wrong");
    let (_, signature) = forged.rsplit_once('.').unwrap();
    check(&format!("{unsigned}.{signature}"), "Unknown: its signature is wrong");
    let not_allowed = "Unknown: its algorithm is not in `algorithms`";
    for algorithm in ["none", "None", "", "HS256", "ES384", "RS512", "PS256", "ED25519", "eddsa"] {
        check(&key.token(&changed(header(), "alg", json!(algorithm)), &claims()), not_allowed);
    }
    check(
        &key.token(&changed(header(), "alg", Value::Null), &claims()),
        "Unknown: a token has no `alg`",
    );
    let no_key = "Unknown, look again: the issuer has no key of its `kid` for its algorithm";
    check(&key.token(&changed(header(), "kid", json!("k3")), &claims()), no_key);
    check(&key.token(&changed(header(), "kid", json!("k2")), &claims()), no_key);
    check(&key.token(&changed(header(), "alg", json!("RS256")), &claims()), no_key);
    // A key in the token itself is never used.
    let own = changed(changed(header(), "jwk", other.jwk()), "kid", Value::Null);
    check(&other.token(&own, &claims()), "Unknown: its signature is wrong");
    check(
        &key.token(&changed(header(), "kid", Value::Null), &claims()),
        "idp:claude-code:5b2c Read",
    );

    // The type.
    let typed = |kind: Value| key.token(&changed(header(), "typ", kind), &claims());
    let kind = "Unfit: its `typ` is not `at+jwt`; if this issuer makes access tokens of type \
                `JWT`, set `plain_jwt = true`";
    check(&typed(json!("application/at+JWT")), "idp:claude-code:5b2c Read");
    for other in [json!("JWT"), json!("dpop+jwt"), json!("oauth-id-jag+jwt"), Value::Null] {
        check(&typed(other), kind);
    }

    // The claims.
    let with = |name: &str, to: Value| key.token(&header(), &changed(claims(), name, to));
    check(&with("iss", Value::Null), "Unknown: its `iss` is another");
    check(&with("iss", json!("https://idp.example.com/")), "Unknown: its `iss` is another");
    check(&with("iss", json!(["https://idp.example.com"])), "Unknown: its `iss` is another");
    check(&with("exp", Value::Null), "Unfit: it has no `exp`");
    check(&with("exp", json!((NOW + 300).to_string())), "Unfit: its `exp` is not a number");
    check(&with("exp", json!(NOW - 29)), "idp:claude-code:5b2c Read");
    check(&with("exp", json!(NOW - 30)), "Expired: it has expired");
    check(&with("exp", json!(-1)), "Expired: it has expired");
    check(&with("exp", json!(0.5)), "Expired: it has expired");
    check(&with("nbf", json!("now")), "Unfit: its `nbf` is not a number");
    check(&with("nbf", json!(NOW + 30)), "idp:claude-code:5b2c Read");
    check(&with("nbf", json!(NOW + 31)), "Early: its `nbf` is still to come");
    let audience = "Audience: its `aud` does not have the configured `audience`";
    check(&with("aud", json!(["account", RESOURCE])), "idp:claude-code:5b2c Read");
    for other in [
        Value::Null,
        json!("account"),
        json!([]),
        json!([[RESOURCE]]),
        json!({"a": RESOURCE}),
        json!(format!("{RESOURCE}/")),
        json!("https://gate.example.com"),
        json!(format!("x {RESOURCE}")),
    ] {
        check(&with("aud", other), audience);
    }
    check(&with("resource", json!(RESOURCE)), "idp:claude-code:5b2c Read");
    let resource = "Audience: its `resource` does not have the configured `resource`";
    check(&with("resource", json!("https://other.example.com")), resource);
    let tenant = "Unfit: its claim `tenant` has not the value in `required_claims`";
    check(&with("tenant", Value::Null), tenant);
    check(&with("tenant", json!("green")), tenant);
    check(&with("tenant", json!(["green", "blue"])), "idp:claude-code:5b2c Read");

    // The caller.
    check(&with("sub", Value::Null), "Unfit: it has no `sub`");
    check(&with("sub", json!("")), "Unfit: it has no `sub`");
    check(&with("sub", json!("s".repeat(201))), "Unfit: its client or its `sub` is too long");
    let client =
        "Unfit: it has no text in `client_id` or `azp`, which names the client; see `client`";
    check(&with("client_id", Value::Null), client);
    let person =
        "Unfit: it has no `email`, which names the person; see `person` and `person_optional`";
    check(&with("email", Value::Null), person);
    let verified = "Unfit: its `email_verified` is not true; let the issuer add it, or name another \
                    claim in `person`";
    for other in [Value::Null, json!(false), json!("true"), json!(1)] {
        check(&with("email_verified", other), verified);
    }
    // A second client is no principal, and approves nothing.
    check(&with("azp", json!("claude-code")), "idp:claude-code:5b2c Read");
    // Tokens of another kind.
    let kind = "Unfit: it is no access token, but one of another kind";
    for (name, value) in [
        ("token_use", json!("refresh_token")),
        ("token_use", json!("id")),
        ("token_type", json!("N_A")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Offline")),
        ("typ", json!("Logout")),
    ] {
        check(&with(name, value), kind);
    }
    for (name, value) in [
        ("token_use", json!("access_token")),
        ("token_type", json!("Bearer")),
        ("token_type", json!("DPoP")),
        ("typ", json!("Bearer")),
    ] {
        check(&with(name, value), "idp:claude-code:5b2c Read");
    }
    let name = "Unfit: its `email` is not 1 to 128 visible ASCII characters without blanks, as names \
                of approvers are; name another claim in `person`";
    for other in [json!(""), json!("a b"), json!("jörg@example.com"), json!(1), json!(["alice"])] {
        check(&with("email", other), name);
    }
    check(&with("realm_access", Value::Null), "idp:claude-code:5b2c Read");
    check(
        &with("realm_access", json!({"roles": {"ops": true}})),
        "Unfit: its `/realm_access/roles` is not a list of texts",
    );
    check(&with("scope", json!("tools:call")), "idp:claude-code:5b2c Call");
    check(&with("scope", Value::Null), "idp:claude-code:5b2c None");
    check(&with("scope", json!("xtools:read tools:reads TOOLS:READ")), "idp:claude-code:5b2c None");
    check(
        &with("scope", json!({"tools:call": true})),
        "Unfit: its `scope` is not a list of scopes",
    );
    let chain = "Unfit: its `act` is not an object";
    check(&with("act", json!("planner")), chain);
    check(&with("act", json!([{"sub": "planner"}])), chain);
    check(&with("act", json!({"iss": "x"})), "Unfit: a member of its `act` has no `sub`");
    let deep = (0..9).fold(json!({"sub": "a"}), |act, _| json!({"sub": "a", "act": act}));
    check(&with("act", deep), "Unfit: its `act` has more than 8 members");
    let bound = "Unfit: its `cnf` binds it to something other than a key or certificate";
    for other in [
        json!({}),
        json!("x"),
        json!({"jkt": "short"}),
        json!({"jwk": key.jwk()}),
        json!({"kid": "k1"}),
        json!({"jkt": b64(&[1; 32]), "x5t": "y"}),
        json!({"x5t#S256": 1}),
    ] {
        check(&with("cnf", other), bound);
    }
    // `null` is a binding too, to nothing.
    let null = claims().to_string().replace("{\"aud\"", "{\"cnf\":null,\"aud\"");
    assert!(null.contains("cnf"), "{null}");
    check(&key.token_of(&header(), &null), bound);
}

#[test]
fn each_algorithm_needs_its_own_kind_of_key() {
    let made = [
        ("EdDSA", Key::ed()),
        ("ES256", Key::p256()),
        ("ES384", Key::p384()),
        ("RS256", Key::rsa()),
        ("RS384", Key::rsa()),
        ("RS512", Key::rsa()),
        ("PS256", Key::rsa()),
        ("PS384", Key::rsa()),
        ("PS512", Key::rsa()),
    ];
    let issuer =
        issuer_with(|issuer| issuer.algorithms = crate::ALGORITHMS.map(str::to_owned).to_vec());
    for (algorithm, key) in &made {
        let token = key.token(&changed(header(), "alg", json!(algorithm)), &claims());
        let with = |entry: Value| identify(&issuer, &set(&[entry, Key::ed().entry("x")]), &token);
        assert!(with(key.entry("k1")).is_ok(), "{algorithm}");
        assert!(with(changed(key.entry("k1"), "alg", json!(algorithm))).is_ok(), "{algorithm}");
        assert!(with(changed(key.entry("k1"), "use", json!("sig"))).is_ok(), "{algorithm}");
        for (name, other) in [
            ("use", json!("enc")),
            ("key_ops", json!(["encrypt"])),
            ("alg", json!("RSA-OAEP")),
            ("alg", json!("HS256")),
            ("kid", json!("k2")),
            ("kid", Value::Null),
            ("d", json!("secret")),
        ] {
            let refused = with(changed(key.entry("k1"), name, other)).unwrap_err();
            assert!(refused.unknown_key, "{algorithm} {name}");
        }
        for (_, other) in &made {
            if other.jwk()["kty"] != key.jwk()["kty"] || other.jwk()["crv"] != key.jwk()["crv"] {
                assert!(with(other.entry("k1")).unwrap_err().unknown_key, "{algorithm}");
            }
        }
    }
    for wrong in ["none", "HS256", "RSA-OAEP", "es256"] {
        let mut oauth = oauth(vec![settings()]);
        oauth.issuers[0].algorithms.push(wrong.into());
        assert!(Issuer::all(&oauth).is_err(), "{wrong}");
    }
}

#[test]
fn a_key_set_is_read_strictly_and_what_cannot_be_used_is_left_out() {
    let parse = |text: &str| KeySet::parse(text.as_bytes()).map(|_| ());
    use crate::KeysError::{Malformed, Many, None as NoKey};
    assert_eq!(parse(""), Err(Malformed));
    assert_eq!(parse("[]"), Err(Malformed));
    assert_eq!(parse("{\"keys\":{}}"), Err(Malformed));
    assert_eq!(parse("{\"keys\":[],\"keys\":[]}"), Err(Malformed));
    assert_eq!(parse("{\"keys\":[]}"), Err(NoKey));
    assert_eq!(parse("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"},{},1]}"), Err(NoKey));
    let many = vec![Key::ed().entry("k"); 129];
    assert_eq!(parse(&json!({"keys": many}).to_string()), Err(Many));
    let some = json!({"keys": [{"kty": "new"}, Key::ed().entry("k")]});
    assert_eq!(parse(&some.to_string()), Ok(()));
    // A secret under the id of the public key makes no token by it valid.
    let key = Key::ed();
    let secret = json!({"kty": "oct", "k": b64(b"secret"), "kid": "k1", "alg": "HS256"});
    let keys = set(&[secret, key.entry("k1")]);
    let token = key.token(&changed(header(), "alg", json!("HS256")), &claims());
    assert!(identify(&issuer_with(|_| ()), &keys, &token).is_err());
    // Without the id of a key, a token must leave no choice.
    let keys = set(&[key.entry("k1"), Key::ed().entry("k2")]);
    let token = key.token(&changed(header(), "kid", Value::Null), &claims());
    assert!(identify(&issuer_with(|_| ()), &keys, &token).unwrap_err().unknown_key);
}

#[test]
fn the_claims_of_large_issuers_map() {
    let key = Key::ed();
    let keys = set(&[key.entry("k1")]);
    let check =
        |change: &dyn Fn(&mut IssuerSettings), header: Value, claims: Value, expect: &str| {
            let issuer = issuer_with(|issuer| {
                issuer.required_claims.clear();
                change(issuer);
            });
            let told = match identify(&issuer, &keys, &key.token(&header, &claims)) {
                Ok(Identity { principal, access, .. }) => format!(
                    "{} for {} as {:?}, through {:?}, {access:?}",
                    principal.name,
                    principal.person.unwrap_or_default(),
                    principal.roles,
                    principal.act
                ),
                Err(refused) => refused.to_string(),
            };
            assert_eq!(told, expect);
        };
    let plain = changed(header(), "typ", json!("JWT"));
    let common = json!({"iss": "https://idp.example.com", "aud": RESOURCE, "exp": NOW + 1});
    let with = |more: Value| {
        let mut claims = common.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    // Keycloak.
    check(
        &|issuer| {
            issuer.plain_jwt = true;
            issuer.person_claim = "preferred_username".into();
        },
        plain.clone(),
        with(json!({"sub": "f1", "azp": "claude-code", "preferred_username": "alice",
            "realm_access": {"roles": ["ops"]}, "scope": "email tools:call"})),
        "idp:claude-code:f1 for alice as [\"operator\", \"viewer\"], through [], Call",
    );
    // Entra, a user.
    check(
        &|issuer| {
            issuer.plain_jwt = true;
            issuer.person_claim = "preferred_username".into();
            issuer.roles_claim = "roles".into();
        },
        plain.clone(),
        with(json!({"sub": "AA|bb", "azp": "11-22", "preferred_username": "alice@example.com",
            "roles": ["ops"], "scp": "tools:read tools:call"})),
        "idp:11-22:AA|bb for alice@example.com as [\"operator\", \"viewer\"], through [], Call",
    );
    // An application without a person.
    check(
        &|issuer| {
            issuer.person_optional = true;
            issuer.scopes_claim = "roles".into();
            issuer.client_claim = "appid".into();
        },
        header(),
        with(json!({"sub": "11-22", "appid": "11-22", "roles": ["tools:read"]})),
        "idp:11-22 for  as [\"viewer\"], through [], Read",
    );
    // Okta: a list of scopes, a claim whose name is an address.
    check(
        &|issuer| {
            issuer.person_claim = "sub".into();
            issuer.client_claim = "cid".into();
            issuer.roles_claim = "https://example.com/groups".into();
        },
        header(),
        with(json!({"sub": "alice@example.com", "cid": "0oa", "scp": ["tools:read"],
            "https://example.com/groups": ["ops"]})),
        "idp:0oa:alice@example.com for alice@example.com as [\"operator\", \"viewer\"], through [], \
         Read",
    );
    // An access token for an ID-JAG: the client of another domain, its chain of actors, `resource`.
    check(
        &|_| (),
        header(),
        with(
            json!({"sub": "u1", "client_id": "https://agent.example/id.json", "email": "a@b.example",
            "email_verified": true, "azp": "broker",
            "resource": [RESOURCE], "scope": "tools:read",
            "act": {"sub": "planner", "email": "carl@b.example", "act": {"sub": "cron", "client_id": "cron"}}}),
        ),
        "idp:https%3A//agent.example/id.json:u1:*b6dbe5bce8080725 for a@b.example as [\"viewer\"], \
         through [\"planner\", \"carl@b.example\", \"cron\", \"broker\"], Read",
    );
}

#[test]
fn an_introspection_is_checked_like_a_token() {
    let issuer = issuer_with(|_| ());
    let check = |answer: Value, expect: &str| {
        let checked = issuer.check_introspection(answer.to_string().as_bytes(), now());
        let told = told(checked.and_then(|checked| issuer.identity(&checked)));
        assert_eq!(told.replace("a token of the issuer `idp` is refused: ", ""), expect);
    };
    let right = changed(claims(), "active", json!(true));
    check(right.clone(), "idp:claude-code:5b2c Read");
    check(changed(right.clone(), "iss", Value::Null), "idp:claude-code:5b2c Read");
    check(
        changed(right.clone(), "iss", json!("https://x.example")),
        "Unknown: its `iss` is another",
    );
    let active = "Unknown: its introspection says that it is not active";
    for other in [Value::Null, json!(false), json!("true"), json!(1)] {
        check(changed(right.clone(), "active", other), active);
    }
    check(changed(right.clone(), "exp", json!(NOW - 30)), "Expired: it has expired");
    let audience = "Audience: its `aud` does not have the configured `audience`";
    check(changed(right.clone(), "aud", Value::Null), audience);
    check(json!([]), "Unknown: its introspection is not a strict JSON object");
}

#[test]
fn an_opaque_token_without_a_subject_is_of_its_client_alone() {
    let issuer = issuer_with(|issuer| issuer.person_optional = true);
    let machine = changed(changed(claims(), "sub", Value::Null), "email", Value::Null);
    let check = |answer: Value, expect: &str| {
        let answer = changed(answer, "active", json!(true));
        let checked = issuer.check_introspection(answer.to_string().as_bytes(), now());
        let told = told(checked.and_then(|checked| issuer.identity(&checked)));
        assert_eq!(told.replace("a token of the issuer `idp` is refused: ", ""), expect);
    };
    check(machine.clone(), "idp:claude-code Read");
    let none = "Unfit: it has no `sub`";
    check(changed(machine.clone(), "email", json!("alice@example.com")), none);
    check(changed(machine.clone(), "username", json!("alice")), none);
    check(changed(machine.clone(), "sub", json!("")), none);
    // A JWT always has it (RFC 9068).
    let key = Key::ed();
    let told = told(identify(&issuer, &set(&[key.entry("k1")]), &key.token(&header(), &machine)));
    assert!(told.ends_with("it has no `sub`"), "{told}");
}

#[test]
fn answers_about_opaque_tokens_are_kept_for_seconds() {
    let issuer = issuer_with(|_| ());
    let mut kept = crate::AnswerCache::default();
    let named = |name: &str| TokenDigest::of(name.as_bytes());
    let at = |seconds: i64| Timestamp::from_second(NOW + seconds).unwrap();
    let answer = |exp: i64| {
        let claims = changed(changed(claims(), "active", json!(true)), "exp", json!(exp));
        issuer.check_introspection(claims.to_string().as_bytes(), now())
    };
    kept.keep(named("long"), &answer(NOW + 300), now());
    kept.keep(named("short"), &answer(NOW + 10), now());
    let refused = issuer.check_introspection(b"{\"active\":false}", now());
    kept.keep(named("none"), &refused, now());
    let get = |kept: &crate::AnswerCache, name: &str, second: i64| {
        kept.get(&named(name), at(second)).map(|answer| answer.is_ok())
    };
    assert_eq!((get(&kept, "long", 29), get(&kept, "long", 30)), (Some(true), None));
    assert_eq!((get(&kept, "short", 9), get(&kept, "short", 10)), (Some(true), None));
    assert_eq!((get(&kept, "none", 29), get(&kept, "other", 0)), (Some(false), None));
    // Any number of invented tokens displaces no good answer.
    for invented in 0..10_000 {
        kept.keep(named(&format!("invented {invented}")), &refused, now());
    }
    assert_eq!(get(&kept, "long", 29), Some(true));
    assert_eq!(get(&kept, "invented 9999", 29), Some(false));
    // The last answer holds.
    kept.keep(named("long"), &refused, now());
    assert_eq!(get(&kept, "long", 1), Some(false));
    kept.keep(named("long"), &answer(NOW + 300), now());
    assert_eq!(get(&kept, "long", 1), Some(true));
}
