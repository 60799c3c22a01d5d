//! Passkeys with all roles: a person is invited, makes a passkey, an operator confirms it, the
//! person approves on the page, and the job runs. An authenticator of tests stands for the
//! person's device; `browser.rs` has the same with a real browser.

mod absence;
pub mod exported;
mod later;
mod lost;

use crate::compromise::attack;
use crate::installation::{TIME_LIMIT, TestInstallation, text};
use cofferdam_core::model::passkey::Passkey;
use cofferdam_testkit::authenticator::{Authenticator, PRESENT, VERIFIED};
use cofferdam_testkit::http::{Connection, Request, Response};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// The origin of pages on this machine.
pub fn origin(installation: &TestInstallation) -> String {
    format!("http://localhost:{}", installation.address().port())
}

pub fn send(installation: &TestInstallation, request: &Request) -> Response {
    let mut connection = Connection::open(installation.address(), TIME_LIMIT).unwrap();
    connection.send(&request.bytes()).unwrap()
}

pub fn host(installation: &TestInstallation) -> String {
    format!("localhost:{}", installation.address().port())
}

/// A request of a page's script.
pub fn post(installation: &TestInstallation, path: &str, body: &Value) -> Request {
    Request::new("POST", path)
        .with("Host", &host(installation))
        .and("Origin", &origin(installation))
        .and("Sec-Fetch-Site", "same-origin")
        .json(body)
}

/// An installation with an address for people, and a policy under which nearly every change needs
/// a person.
fn started() -> TestInstallation {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    installation
}

/// Invites a person. Returns the secret of the link.
pub fn invited(installation: &TestInstallation, person: &str) -> String {
    let link = installation.json(&["approver", "invite", person])["link"].clone();
    let (page, secret) = link.as_str().unwrap().split_once('#').unwrap();
    assert_eq!(page, format!("{}/enrol", origin(installation)));
    secret.to_owned()
}

/// Makes a passkey by a link. Returns the response of the last request.
pub fn enrol(installation: &TestInstallation, secret: &str, device: &Authenticator) -> Response {
    let begun = send(installation, &post(installation, "/enrol/begin", &json!({"secret": secret})));
    if begun.status != 200 {
        return begun;
    }
    let challenge = begun.json()["challenge"].as_str().unwrap().to_owned();
    let challenge = BASE64URL_NOPAD.decode(challenge.as_bytes()).unwrap();
    let client = device.client_data("webauthn.create", &challenge).to_string();
    let body = json!({"secret": secret,
        "client_data": BASE64URL_NOPAD.encode(client.as_bytes()),
        "authenticator_data": BASE64URL_NOPAD.encode(&device.attested(PRESENT | VERIFIED)),
        "assertion": device.assertion(&challenge)});
    send(installation, &post(installation, "/enrol/finish", &body))
}

#[test]
fn a_person_enrols_a_passkey_once_and_an_operator_confirms_its_number() {
    let installation = started();
    let device = Authenticator::es256("carl").at(&origin(&installation));
    let first = invited(&installation, "carl@example.com");
    let second = invited(&installation, "carl@example.com");
    let told = |response: Response, words: &str| {
        assert!(response.status == 422 && response.text().contains(words), "{}", response.text());
    };
    told(enrol(&installation, &first, &device), "used, has run out or was replaced");
    told(enrol(&installation, "guessed", &device), "used, has run out or was replaced");
    let early =
        installation.fail(&["approver", "confirm", "carl@example.com", "--fingerprint", "a"]);
    assert!(early.contains("has not used the link yet"), "{early}");
    let made = enrol(&installation, &second, &device);
    let print = made.json()["fingerprint"].as_str().unwrap().to_owned();
    let other = Authenticator::eddsa("mallory").at(&origin(&installation));
    told(enrol(&installation, &second, &other), "used, has run out or was replaced");
    let approvers = || installation.run(&["approver", "list"]);
    assert!(!approvers().contains("carl"), "nothing is enrolled before an operator confirms");
    let wrong =
        ["approver", "confirm", "carl@example.com", "--fingerprint", "aaaaa-aaaaa-aaaaa-aaaaa"];
    let refused = installation.fail(&wrong);
    assert!(refused.contains("the passkey that waits has another number"), "{refused}");
    assert!(!approvers().contains("carl"));
    let good = ["approver", "confirm", "carl@example.com", "--fingerprint", &print.to_uppercase()];
    let told = installation.run(&good);
    assert!(told.contains("Enrolled the passkey of `carl@example.com`"), "{told}");
    let listed = approvers();
    assert!(
        listed.contains(&print) && listed.contains("passkey ES256 for http://localhost"),
        "{listed}"
    );
    assert!(installation.fail(&good).contains("was not invited"));
    // A link that another person used is discarded, and gives nothing.
    let third = invited(&installation, "dora@example.com");
    assert_eq!(enrol(&installation, &third, &other).status, 200);
    installation.run(&["approver", "confirm", "dora@example.com", "--discard"]);
    assert!(!approvers().contains("dora"));
    // The same device is one person, also if it gives itself another id.
    let fourth = invited(&installation, "dora@example.com");
    let renamed = device.with_id(&[7; 16]);
    let again = enrol(&installation, &fourth, &renamed).json()["fingerprint"].clone();
    let refused = installation.fail(&[
        "approver",
        "confirm",
        "dora@example.com",
        "--fingerprint",
        again.as_str().unwrap(),
    ]);
    assert!(refused.contains("this passkey is enrolled for `carl@example.com`"), "{refused}");
}

#[test]
fn a_person_with_an_ssh_key_signs_the_new_passkey_in_place_of_the_comparison() {
    const OWN: &str = "enrolment@cofferdam.dev";
    let installation = started();
    let device = Authenticator::es256("bob").at(&origin(&installation));
    let secret = invited(&installation, "bob@example.com");
    let made = enrol(&installation, &secret, &device).json();
    let line = made["line"].as_str().unwrap();
    assert_eq!(line, device.line());
    let folder = tempfile::tempdir().unwrap();
    let sign = |person: &str, namespace: &str, signed: &str| {
        let path = folder.path().join("passkey");
        std::fs::write(&path, signed).unwrap();
        let _none_yet = std::fs::remove_file(folder.path().join("passkey.sig"));
        let key = installation.key(person);
        let words = ["-q", "-Y", "sign", "-n", namespace, "-f", text(&key), text(&path)];
        let done = std::process::Command::new("ssh-keygen").args(words).status().unwrap();
        assert!(done.success());
        folder.path().join("passkey.sig")
    };
    let confirm = |signature: &std::path::Path| {
        installation.try_run(&[
            "approver",
            "confirm",
            "bob@example.com",
            "--signed",
            text(signature),
        ])
    };
    let other = Authenticator::es256("mallory").at(&origin(&installation)).line();
    for (person, namespace, signed) in
        [("alice", OWN, line), ("bob", "approval@cofferdam.dev", line), ("bob", OWN, &other)]
    {
        let (done, _, told) = confirm(&sign(person, namespace, signed));
        let words = "no key that is enrolled for `bob@example.com` signed this passkey";
        assert!(!done && told.contains(words), "{person} {namespace}: {told}");
    }
    let (done, told, problem) = confirm(&sign("bob", OWN, line));
    assert!(done, "{problem}");
    assert!(
        told.contains("`bob@example.com` signed for this passkey with the enrolled key SHA256:")
    );
    assert!(told.contains("This does not prove that the page of the gateway was honest"), "{told}");
    assert!(
        installation
            .run(&["approver", "list"])
            .contains(&Passkey::read(line).unwrap().fingerprint())
    );
}

/// An installation under whose policy nearly every change needs a person.
pub fn single() -> TestInstallation {
    started()
}

/// A call that waits for a person: so many replicas. Returns its id.
pub fn asked(installation: &TestInstallation, token: &str, replicas: u32) -> String {
    let change = json!({"namespace": "storefront", "name": "web", "replicas": replicas});
    let path = "/v1/tools/deployment_scale?wait=0";
    let answer = installation.http("POST", path, token, Some(&change));
    answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

/// A person's browser: an authenticator, and the cookie of its sign-in.
pub struct Person<'a> {
    installation: &'a TestInstallation,
    pub device: Authenticator,
    pub cookie: String,
}

impl<'a> Person<'a> {
    /// The browser of a person who did not sign in.
    pub fn new(installation: &'a TestInstallation, name: &str) -> Self {
        let device = Authenticator::es256(name).at(&origin(installation));
        Self { installation, device, cookie: String::new() }
    }

    /// The passkey of this browser.
    pub fn passkey(&self) -> &Authenticator {
        &self.device
    }

    pub fn page(&self, call: &str) -> Request {
        self.get(&format!("/approve/{call}"))
    }

    /// A request for a page.
    pub fn get(&self, path: &str) -> Request {
        let request = Request::new("GET", path).with("Host", &host(self.installation));
        if self.cookie.is_empty() { request } else { request.and("Cookie", &self.cookie) }
    }

    pub fn look(&self, call: &str) -> Response {
        send(self.installation, &self.page(call))
    }

    /// The statement of the sign-in page.
    fn sign_in_statement(&self, call: &str) -> String {
        let page = self.look(call);
        assert_eq!(page.status, 401, "{}", page.text());
        let text = page.text();
        let (_, rest) = text.split_once("data-statement=\"").unwrap();
        rest.split_once('"').unwrap().0.replace("&quot;", "\"")
    }

    pub fn try_sign_in(&self, statement: &str, signature: &str) -> Response {
        let body = json!({"statement": statement, "signature": signature});
        send(self.installation, &post(self.installation, "/sign-in", &body))
    }

    pub fn sign_in(&mut self, call: &str) {
        let statement = self.sign_in_statement(call);
        let answer = self.try_sign_in(&statement, &self.device.approve(&statement));
        assert_eq!(answer.status, 204, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap().to_owned();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        let (_, age) = cookie.split_once("Max-Age=").unwrap();
        let age: u64 = age.split_once(';').unwrap().0.parse().unwrap();
        assert!((200..=300).contains(&age), "{cookie}");
        self.cookie = cookie.split_once(';').unwrap().0.to_owned();
    }

    pub fn post(&self, path: &str, body: &Value) -> Response {
        let request = post(self.installation, path, body);
        let cookie = (!self.cookie.is_empty()).then_some(&self.cookie);
        let request = cookie.iter().fold(request, |request, cookie| request.and("Cookie", cookie));
        send(self.installation, &request)
    }

    /// The statement that the server writes for this answer.
    pub fn statement(&self, call: &str, verdict: &str, reason: &str) -> String {
        self.written(call, &json!({"verdict": verdict, "reason": reason}))
    }

    /// The statement of an approval in the place of an absent approver.
    pub fn statement_for(&self, call: &str, absent: &str) -> String {
        self.written(call, &json!({"verdict": "approve", "reason": "", "stands_for": absent}))
    }

    fn written(&self, call: &str, answered: &Value) -> String {
        let path = format!("/approve/{call}/statement");
        let answer = self.post(&path, answered);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["statement"].as_str().unwrap().to_owned()
    }

    /// The signatures of a question, as the script of its page asks for them.
    pub fn signatures(&self, call: &str, known: u32) -> Response {
        let path = format!("/approve/{call}/signatures?known={known}");
        let request = Request::new("GET", &path).with("Host", &host(self.installation));
        send(self.installation, &request.and("Cookie", &self.cookie))
    }

    pub fn hand_in(&self, call: &str, statement: &str, signature: &str) -> Response {
        let body = json!({"statement": statement, "signature": signature});
        self.post(&format!("/approve/{call}"), &body)
    }
}

/// An installation with the passkeys of these people.
pub fn enrolled(people: &[&str]) -> TestInstallation {
    let installation = single();
    for person in people {
        add_device(&installation, &format!("{person}@example.com"), person);
    }
    installation
}

/// Enrols the device of this name for a person. Returns the number of its passkey.
fn add_device(installation: &TestInstallation, person: &str, device: &str) -> String {
    let secret = invited(installation, person);
    let device = Authenticator::es256(device).at(&origin(installation));
    let made = enrol(installation, &secret, &device).json();
    let print = made["fingerprint"].as_str().unwrap().to_owned();
    installation.run(&["approver", "confirm", person, "--fingerprint", &print]);
    print
}

/// From now on, each question needs two people, within so many seconds.
pub fn two_sign(installation: &TestInstallation, seconds: u64) {
    let rule = json!({"quorum": 2, "approvers": ["*"], "expires_seconds": seconds});
    change_data(installation, "approval", rule);
}

/// Accepts the policy with another value of one member of its data. Returns the report.
pub fn change_data(installation: &TestInstallation, member: &str, value: Value) -> String {
    installation.run(&["accept", "--policy", &changed_policy(installation, member, value)])
}

/// The same, which must fail.
fn refused_data(installation: &TestInstallation, member: &str, value: Value) -> String {
    installation.fail(&["accept", "--policy", &changed_policy(installation, member, value)])
}

fn changed_policy(installation: &TestInstallation, member: &str, value: Value) -> String {
    let own = installation.home().join("policy");
    let folder = installation.home().join("../changed-policy");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(own.join("policy.wasm"), folder.join("policy.wasm")).unwrap();
    let data = std::fs::read(own.join("data.json")).unwrap();
    let mut data: Value = serde_json::from_slice(&data).unwrap();
    data[member] = value;
    std::fs::write(folder.join("data.json"), data.to_string()).unwrap();
    text(&folder).to_owned()
}

#[test]
fn a_person_reads_and_signs_on_the_page_and_the_job_runs() {
    let installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&call);
    let page = carl.look(&call);
    let text = page.text();
    for words in [
        "release (operator) for alice@example.com wants a change in shop",
        "spec.replicas: 3 → 17",
        "none yet; 1 more needed",
        "nothing of it changed",
    ] {
        assert!(text.contains(words), "not `{words}`:\n{text}");
    }
    let twin = send(&installation, &carl.page(&call).and("Accept", "application/json")).json();
    let shown = installation.json(&["show", &call, "--shown"]);
    assert_eq!((&twin["text"], &twin["shown"]), (&shown["shown"], &shown["digest"]));
    let statement = carl.statement(&call, "approve", "");
    let signed = carl.hand_in(&call, &statement, &carl.device.approve(&statement));
    assert_eq!((signed.status, &signed.json()["missing"]), (200, &json!(0)), "{}", signed.text());
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    installation.verify_ledger();
    let told = installation.run(&["show", &call]);
    assert!(told.contains("carl@example.com"), "{told}");
    // The approval is checked without the installation, by the command that `--export` prints.
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap().to_owned();
    let exported = installation.json(&["show", &call, "--export", &into])["exported"][0].clone();
    let path = |name: &str| exported[name].as_str().unwrap().to_owned();
    let approvers = path("statement").replace(".json", ".approvers.toml");
    let verify = [
        "approver",
        "verify",
        &path("statement"),
        "--signature",
        &path("signature"),
        "--approvers",
    ];
    let good = installation.run(&[&verify[..], &[&approvers]].concat());
    assert!(good.contains("Good signature: carl@example.com approved"), "{good}");
    assert!(good.contains("; it counted until 20"), "{good}");
    let other = std::fs::read_to_string(path("statement")).unwrap().replace("approve", "approvf");
    std::fs::write(
        path("statement"),
        other.replace("\"verdict\":\"approvf\"", "\"verdict\":\"reject\""),
    )
    .unwrap();
    let bad = installation.fail(&[&verify[..], &[&approvers]].concat());
    assert!(bad.contains("the passkey signed something else"), "{bad}");
}

#[test]
fn a_signature_counts_for_one_call_one_page_and_one_person() {
    let installation = enrolled(&["alice", "carl"]);
    let token = installation.agent("release", "operator");
    let (call, other) = (asked(&installation, &token, 17), asked(&installation, &token, 18));
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&call);
    let (ours, theirs) =
        (carl.statement(&call, "approve", ""), carl.statement(&other, "approve", ""));
    let device = &carl.device;
    let challenge = cofferdam_core::policy::passkey::challenge_of(&ours);
    let client = device.client_data("webauthn.get", &challenge).to_string();
    let stranger = Authenticator::es256("mallory").at(&origin(&installation));
    let elsewhere = Authenticator::es256("carl").at("https://evil.example.com");
    let mut wrong = Vec::new();
    for (name, signed, told) in [
        ("another call", carl.hand_in(&call, &theirs, &device.approve(&theirs)), "another call"),
        (
            "another statement",
            carl.hand_in(&call, &ours, &device.approve(&theirs)),
            "signed something else",
        ),
        (
            "no user verification",
            carl.hand_in(&call, &ours, &device.sign(client.as_bytes(), &device.data(PRESENT))),
            "did not verify its owner",
        ),
        (
            "another origin",
            carl.hand_in(&call, &ours, &elsewhere.approve(&ours)),
            "signed on a page of",
        ),
        ("a stranger", carl.hand_in(&call, &ours, &stranger.approve(&ours)), "not enrolled"),
        ("no signature", carl.hand_in(&call, &ours, ""), "is not an SSH signature"),
        ("no JSON", carl.hand_in(&call, &ours, "{}"), "not a passkey's assertion"),
    ] {
        if signed.status != 422 || !signed.text().contains(told) {
            wrong.push(format!("{name}: {} {}", signed.status, signed.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The person for whom the agent works gets what an unknown call gets, and so does a forwarded
    // signature.
    let mut alice = Person::new(&installation, "alice");
    alice.sign_in(&call);
    let unknown = "a".repeat(26);
    let (known, none) = (alice.look(&call), alice.look(&unknown));
    assert_eq!((known.status, none.status), (404, 404));
    assert_eq!(known.text().replace(&call, ""), none.text().replace(&unknown, ""));
    let forwarded = alice.hand_in(&call, &ours, &device.approve(&ours));
    assert_eq!(forwarded.status, 404, "{}", forwarded.text());
    // A session of a person who was removed ends at once.
    installation.run(&["approver", "remove", "alice@example.com"]);
    assert_eq!(alice.look(&call).status, 401);
    // The good signature counts once.
    let good = carl.hand_in(&call, &ours, &device.approve(&ours));
    assert_eq!(good.status, 200, "{}", good.text());
    installation.closed(&call);
    let again = carl.hand_in(&call, &ours, &device.approve(&ours));
    assert!(again.status == 422 && again.text().contains("closed already"), "{}", again.text());
    assert_eq!(installation.json(&["show", &other])["view"]["phase"], "awaiting_approval");
}

#[test]
fn a_page_tells_and_does_nothing_for_agents_other_sites_and_stolen_cookies() {
    let installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let mut carl = Person::new(&installation, "carl");
    // Known and unknown calls look the same, with and without an agent's token.
    let plain = |text: String| {
        let (head, rest) = text.split_once("data-statement=").unwrap();
        format!("{head}{}", rest.split_once('>').unwrap().1)
    };
    let first = plain(carl.look(&call).text());
    let unknown = plain(carl.look(&"b".repeat(26)).text());
    let agent = send(&installation, &carl.page(&call).bearer(&token));
    assert_eq!((agent.status, &first), (401, &unknown));
    assert_eq!(plain(agent.text()), first);
    assert!(!first.contains("storefront") && !first.contains("release"), "{first}");
    // A challenge counts once, and for a sign-in alone.
    let statement = carl.sign_in_statement(&call);
    let signature = carl.device.approve(&statement);
    assert_eq!(carl.try_sign_in(&statement, &signature).status, 204);
    let again = carl.try_sign_in(&statement, &signature);
    assert!(again.status == 401 && again.text().contains("used already"), "{}", again.text());
    carl.sign_in(&call);
    let own = carl.hand_in(&call, &statement, &signature);
    assert!(own.status == 422 && own.text().contains("not readable"), "{}", own.text());
    let approval = carl.statement(&call, "approve", "");
    let signed = carl.device.approve(&approval);
    let entered = carl.try_sign_in(&approval, &signed);
    assert_eq!(entered.status, 401, "an approval is no sign-in: {}", entered.text());
    // The headers keep other pages out.
    let page = carl.look(&call);
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Another name in a header of a proxy is nowhere on the page.
    let renamed = carl
        .page(&call)
        .and("X-Forwarded-Host", "evil.example.com")
        .and("Forwarded", "host=evil.example.com");
    let renamed = send(&installation, &renamed);
    assert_eq!(renamed.status, 200);
    assert!(!renamed.text().contains("evil"), "{}", renamed.text());
    // A good request of another site, of another host, of a form, and without a cookie.
    let path = format!("/approve/{call}");
    let body = json!({"statement": approval, "signature": signed});
    let good = post(&installation, &path, &body).and("Cookie", &carl.cookie);
    for (name, request, status) in [
        ("another site", good.clone().with("Origin", "https://evil.example.com"), 403),
        ("another port", good.clone().with("Origin", "http://localhost:1"), 403),
        ("no origin", good.clone().without("Origin"), 403),
        ("fetched across sites", good.clone().with("Sec-Fetch-Site", "same-site"), 403),
        ("another host", good.clone().with("Host", "evil.example.com"), 421),
        ("the address itself", good.clone().with("Host", &installation.address().to_string()), 421),
        ("a form", good.clone().with("Content-Type", "application/x-www-form-urlencoded"), 415),
        ("no cookie", good.clone().without("Cookie"), 401),
        ("two cookies", good.clone().with("Cookie", &format!("{0}; {0}", carl.cookie)), 401),
        ("a guessed cookie", good.clone().with("Cookie", "cofferdam=guess"), 401),
    ] {
        let answer = send(&installation, &request);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    // A session of a browser is none of a command, and on `localhost` it is short.
    let (_, session) = carl.cookie.split_once('=').unwrap();
    let list = Request::new("GET", "/v1/approvals").with("Host", &host(&installation));
    assert_eq!(send(&installation, &list.bearer(session)).status, 401);
    // A stolen cookie reads; without the passkey it signs nothing.
    let thief = Person {
        installation: &installation,
        device: Authenticator::es256("mallory").at(&origin(&installation)),
        cookie: carl.cookie.clone(),
    };
    assert_eq!(thief.look(&call).status, 200);
    let forged = thief.hand_in(&call, &approval, &thief.device.approve(&approval));
    assert_eq!(forged.status, 422, "{}", forged.text());
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
    assert_eq!(send(&installation, &good).status, 200);
    installation.closed(&call);
}

#[test]
fn a_page_asks_for_no_signature_of_a_question_that_the_command_line_refuses() {
    let mut installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let api = json!({"namespace": "storefront", "name": "api", "replicas": 17});
    let path = "/v1/tools/deployment_scale?wait=0";
    let other = installation.http("POST", path, &token, Some(&api)).body["call"].clone();
    let other = other.as_str().unwrap().to_owned();
    installation.stop();
    // A store that was taken over shows the changes of one call in the question of another. Its
    // digests fit.
    attack(&installation, &["other-preview", &call, &other]);
    installation.serve(&[]);
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&other);
    let told = "its preview about another object; it is not signed";
    let page = carl.look(&call).text();
    assert!(page.contains(told) && !page.contains("id=\"approve\""), "{page}");
    let answered = json!({"verdict": "approve", "reason": ""});
    let refused = carl.post(&format!("/approve/{call}/statement"), &answered);
    assert!(refused.status == 422 && refused.text().contains(told), "{}", refused.text());
    let key = installation.key("bob");
    let command = installation.fail(&["approve", &call, "--key", text(&key), "--yes"]);
    assert!(command.contains(told), "{command}");
    // The question that was left as it was is signed.
    let statement = carl.statement(&other, "approve", "");
    let signed = carl.hand_in(&other, &statement, &carl.device.approve(&statement));
    assert_eq!(signed.status, 200, "{}", signed.text());
    assert_eq!(installation.closed(&other)["view"]["outcome"], "succeeded");
}

#[test]
fn an_agent_that_opens_every_address_it_is_told_changes_nothing() {
    let installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let link = installation.json(&["approver", "invite", "dora@example.com"])["link"].clone();
    let (_, secret) = link.as_str().unwrap().split_once('#').unwrap();
    let paths = [
        format!("/approve/{call}"),
        format!("/approve/{call}/statement"),
        format!("/approve/{call}?verdict=approve&reason=yes"),
        format!("/calls/{call}"),
        format!("/v1/approvals/{call}"),
        format!("/v1/approvals/{call}/preview"),
        format!("/v1/jobs/{call}"),
        format!("/enrol?{secret}"),
        format!("/enrol/{secret}"),
        "/enrol".to_owned(),
        "/enrol/begin".to_owned(),
        "/enrol/finish".to_owned(),
        "/sign-in".to_owned(),
    ];
    for path in &paths {
        let plain = Request::new("GET", path).with("Host", &host(&installation));
        for request in [plain.clone(), plain.bearer(&token)] {
            let answer = send(&installation, &request);
            let own = path.starts_with("/calls/") || path.starts_with("/v1/jobs/");
            let told = answer.text();
            assert!(own || !told.contains("spec.replicas"), "{path}: {told}");
            assert!(answer.header("set-cookie").is_none(), "{path}");
        }
    }
    // The call waits as before, and the link still works for the person.
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
    let dora = Authenticator::es256("dora").at(&origin(&installation));
    assert_eq!(enrol(&installation, secret, &dora).status, 200);
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&call);
    let statement = carl.statement(&call, "approve", "");
    let signed = carl.hand_in(&call, &statement, &carl.device.approve(&statement));
    assert_eq!(signed.status, 200, "{}", signed.text());
    installation.closed(&call);
}

#[test]
fn a_page_that_lies_gets_no_other_call_through_the_runner() {
    let mut installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let (shown, other) = (asked(&installation, &token, 17), asked(&installation, &token, 18));
    let before = installation.files();
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&shown);
    let statement = carl.statement(&shown, "approve", "");
    let signed = carl.hand_in(&shown, &statement, &carl.device.approve(&statement));
    assert_eq!(signed.status, 200, "{}", signed.text());
    assert_eq!(installation.closed(&shown)["view"]["outcome"], "succeeded");
    installation.stop();
    // Gateway and recorder were taken over: they have a good signature of Carl over the statement of
    // one call, and queue another one with it.
    attack(&installation, &["stolen-approval", &other, &shown]);
    // The state is the one of both questions: only the call is another.
    for (path, content) in &before {
        std::fs::write(installation.tree().join(path), content).unwrap();
    }
    installation.serve(&[]);
    let story = installation.closed(&other);
    assert_eq!(story["view"]["outcome"], "refused", "{story:#}");
    let detail = story["view"]["detail"].as_str().unwrap();
    assert!(detail.contains("the approval is for another call"), "{detail}");
    assert_eq!(installation.files(), before);
}

#[test]
fn a_word_of_an_agent_is_text_on_the_page_and_nothing_else() {
    let installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let evil = "</pre><script src=/x></script><img src=x onerror=alert(1)>\"'&";
    let change = json!({"namespace": "storefront", "name": "web", "key": "app.conf",
        "value": format!("{evil}\n{evil}\n"), "purpose": evil});
    let path = "/v1/tools/config_set?wait=0";
    let answer = installation.http("POST", path, &token, Some(&change));
    let call = answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body));
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(call);
    let text = carl.look(call).text();
    assert!(text.contains("&lt;/pre&gt;&lt;script src=/x&gt;"), "{text}");
    assert!(!text.contains("<script src=/x>") && !text.contains("<img"), "{text}");
    let reason = json!({"verdict": "reject", "reason": ""});
    let refused = carl.post(&format!("/approve/{call}/statement"), &reason);
    assert!(
        refused.status == 422 && refused.text().contains("give a reason"),
        "{}",
        refused.text()
    );
    let statement = carl.statement(call, "reject", "not before the release");
    assert_eq!(carl.hand_in(call, &statement, &carl.device.approve(&statement)).status, 200);
    let story = installation.closed(call);
    assert_eq!(story["view"]["outcome"], "rejected", "{story:#}");
}
