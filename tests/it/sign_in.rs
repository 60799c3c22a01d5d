//! Sign-in at a real authorization server (`oidc-provider`) by official clients, unmodified, against
//! the real gateway: from the first 401 to a changed manifest. Tokens of small servers of the tests
//! are in `oauth.rs`.

pub mod program;

use crate::installation::{Answer, TestInstallation, text};
use program::Program;
use serde_json::{Value, json};

/// The authorization server.
struct Issuer {
    program: Program,
    address: String,
}

/// An encoded form.
fn form(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

impl Issuer {
    fn start() -> Self {
        let mut program = Program::node("issuer.mjs", &[]);
        let address = program.next("issuer")["issuer"].as_str().unwrap().to_owned();
        Self { program, address }
    }

    /// Gives an order, and takes in everything that was told before it.
    fn order(&mut self, word: &str) {
        self.program.ask(word, "word");
    }

    /// The token requests since the last look, with the word `grant` of each.
    fn grants(&mut self) -> Vec<String> {
        self.order("look");
        let told = std::mem::take(&mut self.program.told);
        let refused: Vec<_> = told
            .iter()
            .filter(|told| ["error", "refused"].contains(&told["event"].as_str().unwrap()))
            .collect();
        assert!(refused.is_empty(), "the authorization server refused: {refused:#?}");
        told.iter().filter_map(|told| told["grant"].as_str().map(str::to_owned)).collect()
    }

    /// A token of a client that signs in for itself.
    fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD
            .encode(format!("{client}:secret-of-{client}"));
        let request = cofferdam_testkit::http::Request::new("POST", "/token")
            .with("Host", self.address.trim_start_matches("http://"))
            .with("Authorization", &format!("Basic {basic}"))
            .with("Content-Type", "application/x-www-form-urlencoded")
            .body(form(&[
                ("grant_type", "client_credentials"),
                ("resource", resource),
                ("scope", scope),
            ]));
        let address = self.address.trim_start_matches("http://").parse().unwrap();
        let mut connection =
            cofferdam_testkit::http::Connection::open(address, crate::installation::TIME_LIMIT)
                .unwrap();
        let answer = connection.send(&request.bytes()).unwrap().json();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned()
    }
}

/// An installation that trusts this issuer.
fn installation(issuer: &Issuer) -> TestInstallation {
    let mut installation = TestInstallation::bare("example");
    let secret = installation.secret("client-secret", "secret-of-cofferdam");
    let section = format!(
        r#"45
[edge.oauth]
resource = "{}"
clock_skew_seconds = 0
[edge.oauth.scopes]
read = "tools:read"
call = "tools:call"
[[edge.oauth.issuers]]
name = "idp"
issuer = "{}"
algorithms = ["ES256"]
person = "preferred_username"
person_optional = true
roles = ["viewer"]
roles_claim = "groups"
roles_of = {{ "ops" = "operator" }}
introspection = {{ client_id = "cofferdam", secret_file = "{}" }}"#,
        resource(&installation),
        issuer.address,
        text(&secret),
    );
    installation.configure("wait_seconds", &section);
    installation.serve(&[]);
    installation
}

fn resource(installation: &TestInstallation) -> String {
    format!("http://{}/mcp", installation.address())
}

/// The official clients that know the newest revision, by language.
const LANGUAGES: [&str; 2] = ["python", "typescript"];

fn client(language: &str, installation: &TestInstallation, options: &[&str]) -> Program {
    let url = resource(installation);
    let words = [&[url.as_str()], options].concat();
    match language {
        "python" => Program::python("client.py", &words),
        _ => Program::node("client.mjs", &words),
    }
}

/// Gives a step to a client, which must succeed.
fn step(client: &mut Program, words: &str, installation: &TestInstallation) -> Value {
    let told = client.ask(words, "step");
    let name = words.split(' ').next().unwrap();
    assert_eq!(told["step"], name, "{told:#}\n{:#?}\n{}", client.told, installation.log());
    told
}

fn begins(told: &Value, words: &str) {
    assert!(told["text"].as_str().unwrap_or_default().starts_with(words), "{told:#}");
}

#[test]
fn official_clients_register_sign_in_and_change_what_their_person_may() {
    let mut issuer = Issuer::start();
    let installation = installation(&issuer);
    for (language, replicas) in LANGUAGES.into_iter().zip([5, 6]) {
        let mut client = client(language, &installation, &[]);
        step(&mut client, "connect", &installation);
        let tools = step(&mut client, "list", &installation)["tools"].clone();
        assert!(tools.as_array().unwrap().contains(&json!("deployment_scale")), "{tools}");
        begins(&step(&mut client, &format!("call {replicas}"), &installation), "DONE ");
        begins(&step(&mut client, "call 40", &installation), "DENIED ");
        issuer.order("look");
        assert_eq!(issuer.program.count("registered"), 1, "{language}");
        assert_eq!(issuer.grants(), ["authorization_code"], "{language}");
    }
    // A client that the authorization server knows in advance registers nowhere.
    let mut client = client("typescript", &installation, &["known"]);
    step(&mut client, "connect", &installation);
    begins(&step(&mut client, "call 7", &installation), "DONE ");
    issuer.order("look");
    assert_eq!(issuer.program.count("registered"), 0);
    let jobs = installation.run(&["jobs"]);
    assert!(jobs.contains("idp:known:alice"), "{jobs}");
    installation.verify_ledger();
}

#[test]
fn a_call_without_its_scope_asks_the_person_again() {
    let mut issuer = Issuer::start();
    let installation = installation(&issuer);
    for (language, replicas) in LANGUAGES.into_iter().zip([5, 6]) {
        issuer.order("narrow");
        let mut client = client(language, &installation, &[]);
        step(&mut client, "connect", &installation);
        step(&mut client, "list", &installation);
        assert_eq!(issuer.grants(), ["authorization_code"], "{language}");
        let scope = |client: &Program| {
            let stored = client.told.iter().rfind(|told| told["event"] == "stored").cloned();
            stored.unwrap()["scope"].clone()
        };
        assert_eq!(scope(&client), "tools:read", "{language}");
        begins(&step(&mut client, &format!("call {replicas}"), &installation), "DONE ");
        assert_eq!(issuer.grants(), ["authorization_code"], "{language} signed in again");
        assert_eq!(scope(&client), "tools:read tools:call", "{language}");
    }
}

#[test]
fn an_expired_token_is_refreshed_without_the_person() {
    let mut issuer = Issuer::start();
    let installation = installation(&issuer);
    issuer.order("short");
    for language in LANGUAGES {
        let mut client = client(language, &installation, &[]);
        step(&mut client, "connect", &installation);
        // The token of the sign-in ends a second after it was made.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        step(&mut client, "list", &installation);
        let grants = issuer.grants();
        assert!(grants.len() > 1, "{language}: {grants:?}");
        assert_eq!(grants[0], "authorization_code", "{language}");
        assert!(grants[1..].iter().all(|grant| grant == "refresh_token"), "{language}: {grants:?}");
    }
}

#[test]
fn a_client_works_on_after_the_issuer_changed_its_key() {
    let mut issuer = Issuer::start();
    let installation = installation(&issuer);
    let mut first = client("typescript", &installation, &["known"]);
    step(&mut first, "connect", &installation);
    issuer.order("rotate");
    // The key is looked for once, when a token first names it.
    let mut second = client("python", &installation, &[]);
    step(&mut second, "connect", &installation);
    begins(&step(&mut second, "call 5", &installation), "DONE ");
    // The keys are now without the old one, so the first client renews its token by itself.
    step(&mut first, "list", &installation);
    assert_eq!(issuer.grants(), ["authorization_code", "authorization_code", "refresh_token"]);
}

#[test]
fn a_token_that_is_bound_to_a_key_works_with_proofs_of_its_client() {
    let mut issuer = Issuer::start();
    let installation = installation(&issuer);
    let mut client = client("typescript", &installation, &["--dpop"]);
    step(&mut client, "connect", &installation);
    begins(&step(&mut client, "call 5", &installation), "DONE ");
    issuer.order("look");
    let token = issuer.program.told.iter().find(|told| told["event"] == "token").unwrap();
    assert_eq!(token["type"], "DPoP");
}

#[test]
fn tokens_of_the_issuer_for_others_are_refused() {
    let issuer = Issuer::start();
    let installation = installation(&issuer);
    let own = resource(&installation);
    let list = |token: &str| -> Answer { installation.http("GET", "/v1/tools", token, None) };
    let other = "https://other.example.com/mcp";
    for (client, audience, scope, status) in [
        ("robot", own.as_str(), "tools:read", 200),
        ("robot", other, "tools:read", 401),
        ("robot-opaque", &own, "tools:read", 200),
        ("robot-opaque", other, "tools:read", 401),
    ] {
        let answer = list(&issuer.token(client, audience, scope));
        assert_eq!(answer.status, status, "{client} {audience}: {:#}", answer.body);
    }
    let call = |scope: &str| {
        let token = issuer.token("robot", &own, scope);
        installation.call(&token, "workloads_list", &json!({"namespace": "storefront"})).status
    };
    assert_eq!((call("tools:read"), call("tools:read tools:call")), (403, 200));
}
