//! The issuers of the gateway with a source that counts: rotation, an issuer that is away, opaque
//! tokens, proofs, and the standing of a caller.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::access::{Access, Scheme};
use cofferdam_core::protocol::role_settings::IssuerSettings;
use cofferdam_testkit::issuer::RESOURCE;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const NOW: i64 = 1_800_000_000;

/// A source whose keys and answers a test sets. `None` is an issuer that is away.
#[derive(Default)]
struct Source {
    keys: Mutex<Option<Value>>,
    answer: Mutex<Option<Value>>,
    asked: AtomicUsize,
}

impl IssuerSource for Arc<Source> {
    async fn keys(&self, issuer: &str) -> Result<(Vec<u8>, u64), String> {
        assert_eq!(issuer, "https://idp.example.com");
        self.asked.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        let keys = lock(&self.keys).clone().ok_or("no connection")?;
        Ok((keys.to_string().into_bytes(), 600))
    }

    async fn introspect(&self, issuer: &str, token: &str) -> Result<Vec<u8>, String> {
        assert_eq!(issuer, "https://idp.example.com");
        assert!(token.starts_with("opaque"));
        self.asked.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        let answer = lock(&self.answer).clone().ok_or("no connection")?;
        Ok(answer.to_string().into_bytes())
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn keys(seeds: &[u8]) -> Value {
    let entry = |seed: &u8| {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("k{seed}"),
            "x": b64(key(*seed).verifying_key().as_bytes())})
    };
    json!({"keys": seeds.iter().map(entry).collect::<Vec<_>>()})
}

fn token(seed: u8) -> String {
    token_of(seed, &claims())
}

fn token_of(seed: u8, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": format!("k{seed}")});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    format!("{message}.{}", b64(key(seed).sign(message.as_bytes()).to_bytes()))
}

fn claims() -> Value {
    json!({"iss": "https://idp.example.com", "aud": RESOURCE, "exp": NOW + 100_000, "sub": "5b2c",
        "client_id": "claude-code", "email": "alice@example.com", "email_verified": true,
        "scope": "tools:call"})
}

fn settings() -> OauthSettings {
    cofferdam_testkit::issuer::oauth(vec![cofferdam_testkit::issuer::issuer()])
}

fn started() -> Timestamp {
    Timestamp::from_second(NOW - 1).unwrap()
}

fn start() -> (Arc<Source>, Oauth<Arc<Source>>) {
    let source = Arc::new(Source::default());
    *lock(&source.keys) = Some(keys(&[1]));
    (Arc::clone(&source), Oauth::new(&settings(), source, started()).unwrap())
}

async fn ask(
    oauth: &Oauth<Arc<Source>>,
    token: &str,
    second: i64,
) -> Result<Authenticated, Unauthenticated> {
    let now = Timestamp::from_second(NOW + second).unwrap();
    oauth.authenticate(Credential::bearer(Some(token)), now).await
}

const UNKNOWN: Result<(), Unauthenticated> = Err(Unauthenticated::Refused(TokenRefusal::Unknown));

#[tokio::test]
async fn keys_rotate_and_an_unknown_key_costs_one_request_a_minute() {
    let (source, oauth) = start();
    let caller = ask(&oauth, &token(1), 0).await.unwrap();
    assert_eq!(caller.principal.name, "idp:claude-code:5b2c");
    assert_eq!(caller.access, Access::Call);
    for second in 0..50 {
        assert!(ask(&oauth, &token(1), second).await.is_ok());
        assert_eq!(ask(&oauth, &token(2), second).await.map(|_| ()), UNKNOWN);
    }
    assert_eq!(source.asked.load(SeqCst), 2, "once because of the unknown key");
    *lock(&source.keys) = Some(keys(&[2]));
    assert_eq!(ask(&oauth, &token(2), 59).await.map(|_| ()), UNKNOWN);
    assert!(ask(&oauth, &token(2), 60).await.is_ok(), "the issuer has rotated");
    assert_eq!(ask(&oauth, &token(1), 61).await.map(|_| ()), UNKNOWN, "the old key is gone");
    assert_eq!(source.asked.load(SeqCst), 3);
    // A forged signature and another issuer cost no request.
    let mut other = claims();
    other["iss"] = json!("https://evil.example.com");
    for second in 200..210 {
        assert_eq!(ask(&oauth, &token_of(2, &other), second).await.map(|_| ()), UNKNOWN);
        let forged = format!("{}AA", token(2));
        assert_eq!(ask(&oauth, &forged, second).await.map(|_| ()), UNKNOWN);
    }
    assert_eq!(source.asked.load(SeqCst), 3);
}

#[tokio::test]
async fn a_key_that_changes_right_after_a_fetch_is_found_at_once() {
    let (source, oauth) = start();
    assert!(ask(&oauth, &token(1), 0).await.is_ok());
    *lock(&source.keys) = Some(keys(&[2]));
    assert!(ask(&oauth, &token(2), 0).await.is_ok());
}

#[tokio::test]
async fn many_requests_that_need_the_keys_cause_one_fetch() {
    let (source, oauth) = start();
    let oauth = Arc::new(oauth);
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let oauth = Arc::clone(&oauth);
            tokio::spawn(async move { ask(&oauth, &token(1), 0).await.is_ok() })
        })
        .collect();
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    assert_eq!(source.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_503_and_never_401() {
    let (source, oauth) = start();
    *lock(&source.keys) = None;
    let away = Err(Unauthenticated::Unavailable);
    assert_eq!(ask(&oauth, &token(1), 0).await, away);
    assert_eq!(ask(&oauth, &token(1), 1).await, away);
    assert_eq!(source.asked.load(SeqCst), 1, "it is not asked for every request");
    *lock(&source.keys) = Some(keys(&[1]));
    assert!(ask(&oauth, &token(1), 5).await.is_ok());
    *lock(&source.keys) = None;
    // The keys are used for an hour after their time.
    assert!(ask(&oauth, &token(1), 5 + 600).await.is_ok());
    assert!(ask(&oauth, &token(1), 5 + 600 + 3_599).await.is_ok());
    assert_eq!(ask(&oauth, &token(1), 5 + 600 + 3_606).await, away);
    // A document without a usable key counts as an issuer that is away.
    *lock(&source.keys) = Some(json!({"keys": []}));
    assert_eq!(ask(&oauth, &token(1), 5_000).await, away);
}

#[tokio::test]
async fn an_unknown_key_at_an_issuer_that_is_away_is_503() {
    let (source, oauth) = start();
    assert!(ask(&oauth, &token(1), 0).await.is_ok());
    *lock(&source.keys) = None;
    assert_eq!(ask(&oauth, &token(2), 60).await, Err(Unauthenticated::Unavailable));
    assert!(ask(&oauth, &token(1), 61).await.is_ok(), "the known keys stay");
}

#[tokio::test]
async fn opaque_tokens_are_introspected() {
    let (source, oauth) = start();
    assert_eq!(ask(&oauth, "opaque", 0).await, Err(Unauthenticated::Unavailable));
    let mut answer = claims();
    answer["active"] = json!(true);
    *lock(&source.answer) = Some(answer.clone());
    assert_eq!(ask(&oauth, "opaque", 1).await.unwrap().principal.name, "idp:claude-code:5b2c");
    *lock(&source.answer) = Some(json!({"active": false}));
    assert!(ask(&oauth, "opaque", 30).await.is_ok(), "the answer is kept for seconds");
    assert_eq!(ask(&oauth, "opaque", 31).await.map(|_| ()), UNKNOWN, "it was withdrawn");
    assert_eq!(source.asked.load(SeqCst), 3);
    let large = "x".repeat(TOKEN_BYTES + 1);
    assert_eq!(ask(&oauth, &large, 31).await.map(|_| ()), UNKNOWN);
    let mut without = settings();
    without.issuers[0].introspection = false;
    let oauth = Oauth::new(&without, Arc::clone(&source), started()).unwrap();
    assert_eq!(ask(&oauth, "opaque", 0).await.map(|_| ()), UNKNOWN);
    assert_eq!(source.asked.load(SeqCst), 3, "no token goes to an issuer that does not ask for it");
}

#[tokio::test]
async fn requests_with_one_opaque_token_cause_one_introspection() {
    let (source, oauth) = start();
    let mut answer = claims();
    answer["active"] = json!(true);
    *lock(&source.answer) = Some(answer);
    let oauth = Arc::new(oauth);
    // The first sender hangs up while its issuer is asked.
    let hung_up = tokio::spawn({
        let oauth = Arc::clone(&oauth);
        async move { ask(&oauth, "opaque", 0).await.is_ok() }
    });
    while source.asked.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    hung_up.abort();
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let oauth = Arc::clone(&oauth);
            tokio::spawn(async move { ask(&oauth, "opaque", 0).await.is_ok() })
        })
        .collect();
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    assert_eq!(source.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn few_tokens_of_one_client_wait_for_their_issuer() {
    let (source, oauth) = start();
    let mut answer = claims();
    answer["active"] = json!(true);
    *lock(&source.answer) = Some(answer);
    let oauth = Arc::new(oauth);
    let from = |client: u8, token: &str| {
        let (oauth, token) = (Arc::clone(&oauth), token.to_owned());
        tokio::spawn(async move {
            let client = Some(IpAddr::from([192, 0, 2, client]));
            let credential = Credential { client, ..Credential::bearer(Some(&token)) };
            let now = Timestamp::from_second(NOW).unwrap();
            oauth.authenticate(credential, now).await.map(|_| ())
        })
    };
    assert_eq!(from(1, "opaque").await.unwrap(), Ok(()));
    // All are sent before the issuer answers, and those that hang up wait no less.
    let invented: Vec<_> = (0..OF_CLIENT).map(|one| from(1, &format!("opaque {one}"))).collect();
    let full = Err(Unauthenticated::Waiting(OF_CLIENT));
    let rows = [
        (1, "opaque new", full),
        (1, "opaque", Ok(())),
        (1, "opaque 0", Ok(())),
        (2, "opaque new", Ok(())),
    ];
    let told: Vec<_> = rows.iter().map(|(client, token, _)| from(*client, token)).collect();
    tokio::task::yield_now().await;
    invented.iter().for_each(tokio::task::JoinHandle::abort);
    for ((client, token, expect), told) in rows.iter().zip(told) {
        assert_eq!(told.await.unwrap(), *expect, "{token} of {client}");
    }
    assert_eq!(from(1, "opaque newer").await.unwrap(), Ok(()), "the places are free again");
}

#[tokio::test]
async fn a_sender_that_hangs_up_ends_no_fetch_of_keys() {
    let (source, oauth) = start();
    let oauth = Arc::new(oauth);
    let hung_up = tokio::spawn({
        let oauth = Arc::clone(&oauth);
        async move { ask(&oauth, &token(1), 0).await.is_ok() }
    });
    while source.asked.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    hung_up.abort();
    assert!(ask(&oauth, &token(1), 0).await.is_ok());
    assert_eq!(source.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_look_at_the_token_of_an_open_stream_needs_no_second_proof() {
    let (_, oauth) = start();
    let now = Timestamp::from_second(NOW).unwrap();
    let mut bound = claims();
    for binding in [json!({"x5t#S256": b64([7; 32])}), json!({"jkt": b64([7; 32])})] {
        bound["cnf"] = binding;
        let token = token_of(1, &bound);
        let closed = Credential::bearer(Some(&token));
        assert!(oauth.authenticate(closed, now).await.is_err());
        assert!(oauth.authenticate(Credential { opened: true, ..closed }, now).await.is_ok());
    }
    // The token itself is checked each time.
    bound["exp"] = json!(NOW - 31);
    let token = token_of(1, &bound);
    let credential = Credential { opened: true, ..Credential::bearer(Some(&token)) };
    let expired = Err(Unauthenticated::Refused(TokenRefusal::Expired));
    assert_eq!(oauth.authenticate(credential, now).await, expired);
}

#[tokio::test]
async fn a_token_of_a_certificate_is_for_its_connection_alone() {
    let (_, oauth) = start();
    let mut bound = claims();
    bound["cnf"] = json!({"x5t#S256": b64([7; 32])});
    let token = token_of(1, &bound);
    let now = Timestamp::from_second(NOW).unwrap();
    for (certificate, right) in [(None, false), (Some([8; 32]), false), (Some([7; 32]), true)] {
        let credential = Credential { certificate, ..Credential::bearer(Some(&token)) };
        let told = oauth.authenticate(credential, now).await;
        let refused = Err(Unauthenticated::Refused(TokenRefusal::Certificate));
        assert_eq!(told.map(|_| ()), if right { Ok(()) } else { refused });
    }
}

#[tokio::test]
async fn the_scheme_of_proofs_is_for_bound_tokens_alone() {
    let (_, oauth) = start();
    let token = token(1);
    let credential = Credential { scheme: Scheme::Dpop, ..Credential::bearer(Some(&token)) };
    let told = oauth.authenticate(credential, Timestamp::from_second(NOW).unwrap()).await;
    assert_eq!(told, Err(Unauthenticated::Refused(TokenRefusal::Proof)));
}

#[test]
fn proofs_are_for_the_url_that_clients_use() {
    let check = |resource: &str, path: &str, expect: &str| {
        let settings = OauthSettings { resource: resource.into(), ..settings() };
        let oauth = Oauth::new(&settings, Arc::<Source>::default(), started()).unwrap();
        assert_eq!(oauth.url(path), expect);
    };
    check(RESOURCE, "/mcp", RESOURCE);
    check(RESOURCE, "/mcp/", RESOURCE);
    check(RESOURCE, "/v1/tools", "https://gate.example.com/v1/tools");
    check("https://a.example/x/mcp", "/v1/tools", "https://a.example/x/v1/tools");
    check("https://a.example/", "/mcp", "https://a.example/");
    check("https://a.example/", "/v1/tools", "https://a.example/v1/tools");
}

#[tokio::test]
async fn a_caller_stands_as_its_last_token_and_the_configuration_say() {
    let (source, oauth) = start();
    let asked = ask(&oauth, &token(1), 0).await.unwrap().principal;
    assert_eq!(oauth.standing(&asked), Standing::Same);
    let mut other = claims();
    other["email"] = json!("carl@example.com");
    assert!(ask(&oauth, &token_of(1, &other), 1).await.is_ok());
    assert_eq!(oauth.standing(&asked), Standing::Changed);
    // After a restart, and with another configuration.
    let after = |change: &dyn Fn(&mut IssuerSettings)| {
        let mut settings = settings();
        change(&mut settings.issuers[0]);
        Oauth::new(&settings, Arc::clone(&source), started()).unwrap().standing(&asked)
    };
    assert_eq!(after(&|_| ()), Standing::Same);
    assert_eq!(after(&|issuer| issuer.roles.clear()), Standing::Changed);
    assert_eq!(after(&|issuer| issuer.name = "other".into()), Standing::Removed);
}
