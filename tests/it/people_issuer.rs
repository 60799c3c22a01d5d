//! Auditors and operators who sign in at a real authorization server (`oidc-provider`), with all
//! roles of ours: the way of a browser, and attacks on it. Each attack changes one thing of a sign-in
//! that counts.

mod browser;

use crate::installation::{TIME_LIMIT, TestInstallation, text};
use crate::passkeys::{asked, host, origin, post, send};
use crate::sign_in::program::Program;
use cofferdam_testkit::http::{Connection, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The cookies of a browser for one server.
type Jar = BTreeMap<String, String>;

/// The authorization server and an installation that lets its people in.
struct World {
    program: Program,
    issuer: String,
    installation: TestInstallation,
}

fn kept(jar: &mut Jar, response: &Response) {
    for (_, line) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
        let pair = line.split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        match value {
            "" => jar.remove(name),
            _ => jar.insert(name.to_owned(), value.to_owned()),
        };
    }
}

fn with_cookies(request: Request, jar: &Jar) -> Request {
    let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { request } else { request.and("Cookie", &pairs.join("; ")) }
}

impl World {
    fn start() -> Self {
        let mut installation = TestInstallation::bare("single");
        let secret = installation.secret("client-secret", "secret-of-console");
        let redirect = format!("{}/sign-in/return", origin(&installation));
        let mut program = Program::node("issuer.mjs", &[&redirect]);
        let issuer = program.next("issuer")["issuer"].as_str().unwrap().to_owned();
        let section = format!(
            r#"45
[people.oidc]
issuer = "{issuer}"
client_id = "console"
secret_file = "{}"
algorithms = ["ES256"]
scopes = ["openid", "email", "groups"]
name = "email"
groups = "groups"
auditor = ["audit", "ops"]
operator = ["ops"]"#,
            text(&secret),
        );
        installation.configure("wait_seconds", &section);
        installation.serve(&[]);
        Self { program, issuer, installation }
    }

    fn person(&mut self, email: &str, groups: &str) {
        self.program.ask(&format!("person {email} {groups}"), "word");
    }

    /// A browser presses the button of the sign-in page.
    fn begin(&self, jar: &mut Jar) -> String {
        let request = post(&self.installation, "/sign-in/issuer", &json!({"next": "/sign-in"}));
        let answer = send(&self.installation, &with_cookies(request, jar));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
        kept(jar, &answer);
        answer.json()["address"].as_str().unwrap().to_owned()
    }

    /// The person signs in at the issuer. Returns the path to which the browser is sent back.
    fn at_issuer(&self, address: &str) -> String {
        let (mut jar, mut next) = (Jar::new(), address.to_owned());
        let server = self.issuer.trim_start_matches("http://");
        for _ in 0..10 {
            let path = next.strip_prefix(&self.issuer).unwrap_or(&next).to_owned();
            let request = Request::new("GET", &path).with("Host", server);
            let request = with_cookies(request, &jar);
            let mut connection = Connection::open(server.parse().unwrap(), TIME_LIMIT).unwrap();
            let answer = connection.send(&request.bytes()).unwrap();
            kept(&mut jar, &answer);
            assert!((301..=303).contains(&answer.status), "{} {}", answer.status, answer.text());
            next = answer.header("location").unwrap().to_owned();
            if let Some(path) = next.strip_prefix(&origin(&self.installation)) {
                return path.to_owned();
            }
            if next.starts_with("http://127.0.0.1:1/") {
                return next;
            }
        }
        panic!("the issuer sends the browser nowhere")
    }

    /// The browser comes back.
    fn back(&self, jar: &mut Jar, path: &str) -> Response {
        let request = Request::new("GET", path).with("Host", &host(&self.installation));
        let answer = send(&self.installation, &with_cookies(request, jar));
        kept(jar, &answer);
        answer
    }

    fn sign_in(&self, jar: &mut Jar) -> Response {
        let address = self.begin(jar);
        let path = self.at_issuer(&address);
        self.back(jar, &path)
    }

    fn who(&self, jar: &Jar) -> Value {
        let request = Request::new("GET", "/sign-in")
            .with("Host", &host(&self.installation))
            .and("Accept", "application/json");
        send(&self.installation, &with_cookies(request, jar)).json()
    }
}

#[test]
fn a_person_signs_in_at_the_issuer_with_the_roles_of_their_groups() {
    let mut world = World::start();
    let page = Request::new("GET", "/sign-in").with("Host", &host(&world.installation));
    let page = send(&world.installation, &page).text();
    assert!(page.contains(&format!("Sign in at {}", &world.issuer[7..])), "{page}");
    for (groups, roles) in
        [("ops", json!(["auditor", "operator"])), ("audit,x", json!(["auditor"]))]
    {
        world.person("ada@example.com", groups);
        let mut jar = Jar::new();
        let entered = world.sign_in(&mut jar);
        assert_eq!(entered.status, 200, "{}\n{}", entered.text(), world.installation.log());
        assert!(entered.text().contains("content=\"0; url=/sign-in\""), "{}", entered.text());
        assert_eq!(jar.keys().collect::<Vec<_>>(), ["cofferdam"], "the other cookie is gone");
        let told = world.who(&jar);
        assert_eq!(
            told,
            json!({"signed_in": true, "name": "ada@example.com", "roles": roles, "by": "oidc"})
        );
        // The session signs nothing, and a question looks like a call that does not exist.
        let token = world.installation.agent(&format!("release-{}", &groups[..3]), "operator");
        let call = asked(&world.installation, &token, 17);
        let approve = post(&world.installation, &format!("/approve/{call}"), &json!({}));
        let refused = send(&world.installation, &with_cookies(approve, &jar));
        assert_eq!(refused.status, 404, "{}", refused.text());
        let out = post(&world.installation, "/sign-out", &json!({}));
        assert_eq!(send(&world.installation, &with_cookies(out, &jar)).status, 204);
        assert_eq!(world.who(&jar)["signed_in"], false, "a cookie that was kept is worth nothing");
    }
    for (groups, words) in [
        ("-", "has no claim `groups`, so that no role is known"),
        ("staff", "no group of `eve@example.com` has a role here"),
    ] {
        world.person("eve@example.com", groups);
        let mut jar = Jar::new();
        let refused = world.sign_in(&mut jar);
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.text().contains(words), "{}", refused.text());
        assert!(!jar.contains_key("cofferdam"), "{jar:?}");
    }
}

#[test]
fn a_sign_in_counts_in_the_browser_that_began_it_once_and_here() {
    let world = World::start();
    let other = "not the sign-in that this browser began";
    let told = |answer: &Response, status: u16, words: &str| {
        let text = answer.text();
        assert!(answer.status == status && text.contains(words), "{} {text}", answer.status);
    };
    // Login CSRF: a link with the attacker's own code, in the browser of another person.
    let mut mallory = Jar::new();
    let path = world.at_issuer(&world.begin(&mut mallory));
    let mut victim = Jar::new();
    told(&world.back(&mut victim, &path), 403, other);
    let _own = world.begin(&mut victim);
    told(&world.back(&mut victim, &path), 403, other);
    assert_eq!(world.who(&victim)["signed_in"], false);
    // The same link counts in the browser that began it, and once.
    let kept = mallory.clone();
    assert_eq!(world.back(&mut mallory, &path).status, 200);
    told(&world.back(&mut kept.clone(), &path), 403, "came back before");
    // A code counts once at the issuer too, also with another state of this browser.
    let replayed = |jar: &mut Jar, code_of: &str| {
        let own = world.at_issuer(&world.begin(jar));
        let code = |path: &str| {
            let (_, rest) = path.split_once("code=").unwrap();
            rest.split('&').next().unwrap().to_owned()
        };
        world.back(jar, &own.replace(&code(&own), &code(code_of)))
    };
    told(&replayed(&mut Jar::new(), &path), 403, "does not count for this sign-in");
    // A code for another client of the same issuer.
    let mut jar = Jar::new();
    let of_other = world.begin(&mut jar).replace("client_id=console", "client_id=other");
    let of_other = world.at_issuer(&of_other);
    told(&replayed(&mut Jar::new(), &of_other), 403, "does not count for this sign-in");
    // Mix-up: the answer names another issuer, or none although ours always names itself.
    let issuer = world.issuer.replace(':', "%3A").replace('/', "%2F");
    for (name, change) in
        [("another issuer", "iss=https%3A%2F%2Fevil.example.com"), ("no issuer", "unknown=1")]
    {
        let mut jar = Jar::new();
        let path = world.at_issuer(&world.begin(&mut jar));
        assert!(path.contains(&format!("iss={issuer}")), "{path}");
        let answer = world.back(&mut jar, &path.replace(&format!("iss={issuer}"), change));
        assert_eq!(answer.status, 403, "{name}: {}", answer.text());
    }
    // A state that was changed, and a parameter that is there twice.
    let mut jar = Jar::new();
    let path = world.at_issuer(&world.begin(&mut jar));
    let (head, state) = path.split_once("state=").unwrap();
    let changed = format!("{head}state=9{}", &state[1..]);
    told(&world.back(&mut jar.clone(), &changed), 403, other);
    told(&world.back(&mut jar.clone(), &format!("{path}&state=a")), 422, "has a name twice");
    assert_eq!(world.back(&mut jar, &path).status, 200);
}

#[test]
fn a_sign_in_leads_to_our_own_address_and_chooses_its_own_session() {
    let world = World::start();
    let begin = |next: &str| post(&world.installation, "/sign-in/issuer", &json!({"next": next}));
    // Open redirect: the page after the sign-in is one of ours.
    for next in ["https://evil.example.com", "//evil.example.com", "/\\evil.example.com", "/mcp"] {
        let answer = send(&world.installation, &begin(next));
        assert!(answer.status == 422, "{next}: {} {}", answer.status, answer.text());
    }
    // Host-header tricks: no header has a part in the address of the return.
    let ours = format!("{}/sign-in/return", origin(&world.installation));
    let ours = format!("redirect_uri={}", ours.replace(':', "%3A").replace('/', "%2F"));
    let good = begin("/sign-in");
    for header in ["X-Forwarded-Host", "Forwarded", "X-Original-Host"] {
        let sent = good.clone().and(header, "host=evil.example.com");
        let answer = send(&world.installation, &sent);
        let address = answer.json()["address"].as_str().unwrap_or_default().to_owned();
        assert!(address.contains(&ours) && !address.contains("evil"), "{header}: {address}");
    }
    for (name, sent, status) in [
        ("another host", good.clone().with("Host", "evil.example.com"), 421),
        ("another site", good.clone().with("Origin", "https://evil.example.com"), 403),
        ("no page", good.clone().without("Origin"), 403),
    ] {
        assert_eq!(send(&world.installation, &sent).status, status, "{name}");
    }
    // Fixation: a session that was put into the browser before is not the one after.
    let planted = "0".repeat(64);
    let mut jar = Jar::from([("cofferdam".to_owned(), planted.clone())]);
    assert_eq!(world.sign_in(&mut jar).status, 200);
    assert_ne!(jar["cofferdam"], planted);
    let attacker = Jar::from([("cofferdam".to_owned(), planted)]);
    assert_eq!(world.who(&attacker)["signed_in"], false);
    // Another sign-in in the same browser ends the session of before.
    // A browser sends its cookie along no way back from another site.
    let before = jar.remove("cofferdam").unwrap();
    let before = Jar::from([("cofferdam".to_owned(), before)]);
    let mut starting = before.clone();
    let address = world.begin(&mut starting);
    starting.remove("cofferdam");
    assert_eq!(world.back(&mut starting, &world.at_issuer(&address)).status, 200);
    jar.extend(starting);
    assert_eq!(world.who(&before)["signed_in"], false);
    assert_eq!(world.who(&jar)["signed_in"], true);
    // A stolen cookie reads, from a browser alone: it is no token of a command.
    let list = Request::new("GET", "/v1/approvals").with("Host", &host(&world.installation));
    assert_eq!(send(&world.installation, &list.bearer(&jar["cofferdam"])).status, 401);
}
