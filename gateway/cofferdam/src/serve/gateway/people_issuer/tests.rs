//! The sign-in at the issuer of people, with an issuer that the test plays. Each attack changes one
//! thing of a sign-in that would count.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::console_role::ConsoleRole;
use cofferdam_core::protocol::role_settings::PeopleIssuer;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

const REDIRECT: &str = "https://gate.example.com/sign-in/return";

const NOW: i64 = 1_800_000_000;

/// The issuer: the claims of its next ID token, and the exchanges that it saw.
#[derive(Default)]
struct Played {
    claims: Mutex<Value>,
    exchanges: Mutex<Vec<[String; 3]>>,
    quiet: bool,
}

#[derive(Clone, Default)]
struct Source(Arc<Played>);

impl IssuerSource for Source {
    async fn keys(&self, _issuer: &str) -> Result<(Vec<u8>, u64), String> {
        let key = URL_SAFE_NO_PAD.encode(key().verifying_key().as_bytes());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": key}]});
        Ok((keys.to_string().into_bytes(), 600))
    }

    async fn introspect(&self, _issuer: &str, _token: &str) -> Result<Vec<u8>, String> {
        Err("it has no introspection".to_owned())
    }
}

impl PeopleSource for Source {
    async fn sign_in_page(&self, issuer: &str) -> Result<(String, bool), String> {
        Ok((format!("{issuer}/auth"), !self.0.quiet))
    }

    async fn exchange(
        &self,
        _issuer: &str,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<String, String> {
        let seen = [code, verifier, redirect].map(str::to_owned);
        self.0.exchanges.lock().unwrap().push(seen);
        if code != "good" {
            return Err("answered with the HTTP status 400".to_owned());
        }
        let header = json!({"alg": "EdDSA", "kid": "k1"});
        let claims = self.0.claims.lock().unwrap().to_string();
        let text = |text: String| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", text(header.to_string()), text(claims));
        let signature = URL_SAFE_NO_PAD.encode(key().sign(message.as_bytes()).to_bytes());
        Ok(format!("{message}.{signature}"))
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn sign_in(source: &Source) -> PeopleSignIn<Source> {
    let settings = PeopleIssuer {
        issuer: "https://idp.example.com/ops".into(),
        client_id: "cofferdam".into(),
        algorithms: vec!["EdDSA".into()],
        scopes: vec!["openid".into(), "email".into()],
        name_claim: "email".into(),
        groups_claim: "groups".into(),
        roles_of: [("audit".to_owned(), vec![ConsoleRole::Auditor])].into(),
    };
    PeopleSignIn::new(IdTokens::new(settings, 30).unwrap(), source.clone(), (1, 2))
}

/// A browser that began a sign-in: what it would bring back, and the parameters of the address.
async fn begun(
    sign_in: &PeopleSignIn<Source>,
    source: &Source,
    number: u128,
) -> (FromIssuer, BTreeMap<String, String>) {
    let at = sign_in.start(REDIRECT, "/sign-in", (number, number + 1), now()).await.unwrap();
    let (page, query) = at.address.split_once('?').unwrap();
    assert_eq!(page, "https://idp.example.com/ops/auth");
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    let query: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    *source.0.claims.lock().unwrap() = json!({"iss": "https://idp.example.com/ops",
        "aud": "cofferdam", "sub": "5b2c", "nonce": query["nonce"], "iat": NOW, "exp": NOW + 60,
        "email": "ada@example.com", "email_verified": true, "groups": ["audit"]});
    let returned = FromIssuer {
        code: Some("good".into()),
        state: Some(query["state"].clone()),
        issuer: Some("https://idp.example.com/ops".into()),
        error: None,
        binding: Some(at.binding),
    };
    (returned, query)
}

async fn ended(sign_in: &PeopleSignIn<Source>, returned: &FromIssuer) -> Result<String, String> {
    let ended = sign_in.end(returned, REDIRECT, now()).await;
    ended
        .map(|(person, next)| format!("{} {:?} {next}", person.name, person.roles))
        .map_err(|refusal| refusal.to_string())
}

#[tokio::test]
async fn a_person_comes_back_with_a_code_and_the_courier_exchanges_it() {
    let source = Source::default();
    let sign_in = sign_in(&source);
    let (returned, query) = begun(&sign_in, &source, 7).await;
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["client_id"], "cofferdam");
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["redirect_uri"], form_encoded(REDIRECT));
    assert_eq!(query["scope"], "openid+email");
    assert_eq!(ended(&sign_in, &returned).await.unwrap(), "ada@example.com [Auditor] /sign-in");
    let [code, verifier, redirect] = source.0.exchanges.lock().unwrap().remove(0);
    assert_eq!((code.as_str(), redirect.as_str()), ("good", REDIRECT));
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(&verifier));
    assert_eq!(query["code_challenge"], challenge);
    assert!(verifier.len() >= 43 && !query.values().any(|value| *value == verifier));
    // The state counts once: a code that is replayed meets it first.
    let told = ended(&sign_in, &returned).await.unwrap_err();
    assert!(told.contains("came back before"), "{told}");
    assert!(source.0.exchanges.lock().unwrap().is_empty(), "no second exchange");
}

#[tokio::test]
async fn an_answer_to_another_sign_in_counts_for_none() {
    let source = Source::default();
    let sign_in = sign_in(&source);
    let other = "not the sign-in that this browser began";
    let unfit = "does not count for this sign-in";
    let (mallory, _) = begun(&sign_in, &source, 100).await;
    let forged = |state: &str| {
        let (rest, tag) = state.rsplit_once('.').unwrap();
        let (rest, _) = rest.rsplit_once('.').unwrap();
        format!("{rest}.{}.{tag}", BASE64URL_NOPAD.encode(b"//evil.example.com"))
    };
    type Attack<'a> = &'a dyn Fn(&mut FromIssuer);
    let attacks: [(&str, Attack<'_>, &str, usize); 12] = [
        ("no cookie: a link of another person", &|own| own.binding = None, other, 0),
        (
            "the cookie of another browser",
            &|own| own.binding.clone_from(&mallory.binding),
            other,
            0,
        ),
        ("the state of another browser", &|own| own.state.clone_from(&mallory.state), other, 0),
        ("no state", &|own| own.state = None, other, 0),
        ("a state of no sign-in", &|own| own.state = Some("1.2.3.4".into()), other, 0),
        ("another page after it", &|own| own.state = own.state.as_deref().map(forged), other, 0),
        ("another issuer", &|own| own.issuer = Some("https://evil.example.com".into()), unfit, 0),
        ("an issuer that promised its name", &|own| own.issuer = None, unfit, 0),
        ("no code", &|own| own.code = None, unfit, 0),
        ("a code of another client", &|own| own.code = Some("bad".into()), unfit, 1),
        (
            "an error of an issuer that leaves its name out of it",
            &|own| (own.error, own.issuer) = (Some("access_denied".into()), None),
            "(`access_denied`)",
            0,
        ),
        ("an error", &|own| own.error = Some("access_denied".into()), "(`access_denied`)", 0),
    ];
    for (number, (name, attack, expect, exchanges)) in (10..).step_by(10).zip(attacks) {
        let (mut returned, _) = begun(&sign_in, &source, number).await;
        attack(&mut returned);
        let told = ended(&sign_in, &returned).await.unwrap_err();
        assert!(told.contains(expect), "{name}: {told}");
        assert_eq!(source.0.exchanges.lock().unwrap().drain(..).count(), exchanges, "{name}");
    }
    for (number, (name, value, expect)) in (1_000..).step_by(10).zip([
        ("nonce", json!("of another sign-in"), unfit),
        ("aud", json!("another-client"), unfit),
        ("iss", json!("https://evil.example.com"), unfit),
        ("groups", json!(null), "has no claim `groups`"),
        ("groups", json!(["staff"]), "no group of `ada@example.com` has a role here"),
    ]) {
        let (returned, _) = begun(&sign_in, &source, number).await;
        source.0.claims.lock().unwrap()[name] = value;
        let told = ended(&sign_in, &returned).await.unwrap_err();
        assert!(told.contains(expect), "{name}: {told}");
    }
}

#[tokio::test]
async fn a_sign_in_ends_with_its_time_its_process_and_its_address() {
    let source = Source::default();
    let first = sign_in(&source);
    let (returned, _) = begun(&first, &source, 7).await;
    let late = now() + AT_ISSUER;
    let told = first.end(&returned, REDIRECT, late).await.unwrap_err().to_string();
    assert!(told.contains("took too long"), "{told}");
    let elsewhere = "https://other.example.com/sign-in/return";
    let told = first.end(&returned, elsewhere, now()).await.unwrap_err().to_string();
    assert!(told.contains("not the sign-in"), "{told}");
    let second = PeopleSignIn { key: [3; 32], ..sign_in(&source) };
    let told = ended(&second, &returned).await.unwrap_err();
    assert!(told.contains("not the sign-in"), "{told}");
    assert!(ended(&first, &returned).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_does_not_promise_its_name_may_leave_it_out() {
    let source = Source(Arc::new(Played { quiet: true, ..Played::default() }));
    let sign_in = sign_in(&source);
    let (mut returned, _) = begun(&sign_in, &source, 7).await;
    returned.issuer = None;
    assert!(ended(&sign_in, &returned).await.is_ok());
    let (mut returned, _) = begun(&sign_in, &source, 9).await;
    returned.issuer = Some("https://evil.example.com".into());
    assert!(ended(&sign_in, &returned).await.is_err());
}

#[tokio::test]
async fn sign_ins_that_others_made_up_refuse_no_person() {
    let source = Source::default();
    let sign_in = sign_in(&source);
    let later = |number: i64| Timestamp::from_second(NOW + 60 + number).unwrap();
    let made_up = (0..).take(ENDED).map(|number| (format!("made up {number}"), later(number)));
    sign_in.ended.lock().unwrap().extend(made_up);
    let (returned, _) = begun(&sign_in, &source, 7).await;
    assert!(ended(&sign_in, &returned).await.is_ok());
    assert!(ended(&sign_in, &returned).await.unwrap_err().contains("came back before"));
    assert_eq!(sign_in.ended.lock().unwrap().len(), ENDED);
}
