//! Agents with access tokens of an issuer, with all roles: the issuer is a small server of the test,
//! and its tokens are signed by keys of the test. A real authorization server and official clients
//! are in `sign_in.rs`.

use crate::installation::{Answer, TestInstallation, text};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_testkit::http::{Request, Response};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An issuer on this machine, with one key at a time.
struct Issuer {
    address: String,
    seed: Arc<Mutex<u8>>,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

impl Issuer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/realms/ops", listener.local_addr().unwrap());
        let seed = Arc::new(Mutex::new(1));
        let (own, seeds) = (address.clone(), Arc::clone(&seed));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seed = *seeds.lock().unwrap();
                // A client that went away is no error of the test.
                let _gone = answer(stream, &own, seed);
            }
        });
        Self { address, seed }
    }

    fn rotate(&self, seed: u8) {
        *self.seed.lock().unwrap() = seed;
    }

    fn token(&self, seed: u8, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": format!("k{seed}")});
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        format!("{message}.{}", b64(key(seed).sign(message.as_bytes()).to_bytes()))
    }
}

/// Answers one request of the courier: metadata, keys, or an introspection.
fn answer(mut stream: TcpStream, issuer: &str, seed: u8) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let form = String::from_utf8_lossy(&form);
    let body = if first.contains("/.well-known/") {
        json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "introspection_endpoint": format!("{issuer}/introspect")})
    } else if first.contains("/keys") {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": format!("k{seed}"),
            "x": b64(key(seed).verifying_key().as_bytes())}]})
    } else if form.contains("token=opaque-right") {
        let mut claims = claims(issuer);
        claims["active"] = json!(true);
        claims
    } else {
        json!({"active": false})
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n{body}",
        body.len()
    )
}

const RESOURCE: &str = "https://gate.example.com/mcp";

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": RESOURCE, "exp": now() + 3_600, "sub": "5b2c",
        "client_id": "claude-code", "email": "alice@example.com",
        "email_verified": true, "groups": ["ops"],
        "scope": "tools:call"})
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// An installation with this issuer, not started.
fn installation(policy: &str, issuer: &Issuer) -> TestInstallation {
    let installation = TestInstallation::bare(policy);
    let secret = installation.secret("client-secret", "s3cret-of-the-client");
    let section = format!(
        r#"45
[edge.oauth]
resource = "{RESOURCE}"
[edge.oauth.scopes]
read = "tools:read"
call = "tools:call"
[[edge.oauth.issuers]]
name = "idp"
issuer = "{}"
algorithms = ["EdDSA"]
person = "email"
roles = ["viewer"]
roles_claim = "groups"
roles_of = {{ "ops" = "operator" }}
introspection = {{ client_id = "cofferdam", secret_file = "{}" }}"#,
        issuer.address,
        secret.display()
    );
    installation.configure("wait_seconds", &section);
    installation
}

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn list(installation: &TestInstallation, token: &str) -> Answer {
    installation.http("GET", "/v1/tools", token, None)
}

#[test]
fn an_agent_with_an_access_token_changes_what_its_roles_allow() {
    let issuer = Issuer::start();
    let mut installation = installation("example", &issuer);
    let fixed = installation.agent("release", "operator");
    installation.serve(&[]);
    let right = claims(&issuer.address);
    let token = issuer.token(1, &right);
    let answer = installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    let call = answer.body["call"].as_str().unwrap().to_owned();
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
    let story = installation.run(&["show", &call]);
    assert!(story.contains("idp:claude-code:5b2c"), "{story}");
    assert!(story.contains("alice@example.com"), "{story}");

    // Another person with the same client is another caller.
    let carl = with(with(right.clone(), "sub", json!("77")), "email", json!("carl@example.com"));
    let job = format!("/v1/jobs/{call}");
    assert_eq!(installation.http("GET", &job, &token, None).status, 200);
    assert_ne!(installation.http("GET", &job, &issuer.token(1, &carl), None).status, 200);
    assert_ne!(installation.http("GET", &job, &fixed, None).status, 200);

    // Without the group there is no role for changes.
    let viewer = issuer.token(1, &with(right.clone(), "groups", json!(["other"])));
    assert_eq!(list(&installation, &viewer).status, 200);
    let denied = installation.call(&viewer, "deployment_scale", &scale(4));
    assert_ne!(denied.status, 200, "{:#}", denied.body);

    // Wrong tokens, each in one way.
    let wrong = |name: &str, value: Value| issuer.token(1, &with(right.clone(), name, value));
    let unknown = "the token is not valid;";
    for (token, status, words) in [
        (issuer.token(2, &right), 401, unknown),
        (format!("{}A", issuer.token(1, &right)), 401, unknown),
        (wrong("iss", json!("https://evil.example.com")), 401, unknown),
        (wrong("aud", json!("https://other.example.com/mcp")), 401, "the token is for another"),
        (wrong("exp", json!(now() - 60)), 401, "the token has expired"),
        (wrong("nbf", json!(now() + 600)), 401, "the token is not valid yet"),
        (wrong("email", json!(null)), 401, "the token is valid and lacks a claim"),
        (wrong("email_verified", json!(false)), 401, "the token is valid and lacks a claim"),
        (wrong("token_use", json!("id")), 401, "the token is valid and lacks a claim"),
        (wrong("cnf", json!({"kid": "x"})), 401, "the token is valid and lacks a claim"),
        (wrong("cnf", json!({"jkt": b64([1; 32])})), 401, "the token is bound to a key"),
        (
            wrong("cnf", json!({"x5t#S256": b64([1; 32])})),
            401,
            "the token is bound to a client certificate",
        ),
        (wrong("scope", json!("openid")), 403, "the token has no scope"),
        (String::new(), 401, "a token is needed"),
        ("cfd_unknown".to_owned(), 401, unknown),
        ("opaque-right".to_owned(), 200, ""),
        ("opaque-wrong".to_owned(), 401, unknown),
        (fixed, 200, ""),
    ] {
        let answer = list(&installation, &token);
        let told = answer.body["error"]["text"].as_str().unwrap_or_default();
        let shown = format!("{words}: {:#}\n{}", answer.body, installation.log());
        assert_eq!(answer.status, status, "{shown}");
        assert!(told.starts_with(words), "{shown}");
    }
    // Both kinds of callers, with their last use.
    let listed = || installation.json(&["agents", "list"])["agents"].clone();
    crate::cluster::until("the uses are stored", || {
        let used = |name: &str| {
            listed()
                .as_array()
                .unwrap()
                .iter()
                .any(|agent| agent["name"] == name && !agent["last_use"].is_null())
        };
        ["release", "idp:claude-code:5b2c", "idp:claude-code:77"]
            .into_iter()
            .all(used)
            .then_some(())
    });
    let log = installation.log();
    for secret in [token.as_str(), "opaque-right", "s3cret-of-the-client"] {
        assert!(!log.contains(secret), "a token or secret is in the log");
    }
    installation.verify_ledger();
}

#[test]
fn keys_rotate_while_agents_work() {
    let issuer = Issuer::start();
    let mut installation = installation("example", &issuer);
    installation.serve(&[]);
    let claims = claims(&issuer.address);
    assert_eq!(list(&installation, &issuer.token(1, &claims)).status, 200);
    issuer.rotate(2);
    // A known key is used; an unknown one is looked for at once, and then once a minute.
    assert_eq!(list(&installation, &issuer.token(1, &claims)).status, 200);
    assert_eq!(list(&installation, &issuer.token(2, &claims)).status, 200);
    assert_eq!(list(&installation, &issuer.token(1, &claims)).status, 401);
    issuer.rotate(3);
    assert_eq!(list(&installation, &issuer.token(3, &claims)).status, 401);
    installation.stop();
    installation.serve(&[]);
    assert_eq!(list(&installation, &issuer.token(3, &claims)).status, 200);
    assert_eq!(list(&installation, &issuer.token(2, &claims)).status, 401);
}

#[test]
fn no_member_of_the_chain_approves() {
    let issuer = Issuer::start();
    let mut installation = installation("single", &issuer);
    installation.serve(&[]);
    let ask = |claims: &Value, replicas: u32| {
        let path = "/v1/tools/deployment_scale?wait=0";
        let token = issuer.token(1, claims);
        let answer = installation.http("POST", path, &token, Some(&scale(replicas)));
        answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
    };
    let key = installation.key("bob");
    let words = |call| ["approve", call, "--key", text(&key), "--yes"];
    let carl = with(claims(&issuer.address), "email", json!("carl@example.com"));
    // Bob is an actor of the first call, and has no part in the second one.
    let call =
        ask(&with(carl.clone(), "act", json!({"sub": "planner", "act": {"sub": "Bob"}})), 18);
    let told = installation.fail(&words(&call));
    assert!(told.contains("cannot approve"), "{told}");
    let call = ask(&with(carl, "act", json!({"sub": "planner", "act": {"sub": "cron"}})), 19);
    installation.told(&words(&call));
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
}

#[test]
fn a_client_without_a_token_finds_the_issuer() {
    let issuer = Issuer::start();
    let mut installation = installation("example", &issuer);
    installation.serve(&[]);
    let send = |request: Request| -> Response {
        let mut stream = TcpStream::connect(installation.address()).unwrap();
        stream.write_all(&request.bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    };
    let refused = send(Request::call("deployment_scale", scale(5)));
    assert_eq!(refused.status, 401);
    let place = "/.well-known/oauth-protected-resource/mcp";
    let challenge = refused.header("www-authenticate").unwrap();
    let named = format!("resource_metadata=\"https://gate.example.com{place}\"");
    assert!(challenge.contains(&named), "{challenge}");
    let metadata = send(Request::new("GET", place).with("Host", "gate.example.com")).json();
    assert_eq!(metadata["resource"], RESOURCE);
    assert_eq!(metadata["authorization_servers"], json!([issuer.address]));
    // No caller is anonymous, although no agent is configured.
    assert_eq!(list(&installation, "").status, 401);
}
