//! Enrolment of a passkey: by the link alone, on our own page alone, once. An authenticator of tests
//! stands for the person's device.

use crate::front::FakeFront;
use crate::wire::{Request, Response, Server};
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_testkit::authenticator::{Authenticator, PRESENT, VERIFIED};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

const ORIGIN: &str = "https://gate.example.com";

async fn started() -> Server {
    Server::with(FakeFront::default(), |settings| {
        settings.party = Some(RelyingParty::read(ORIGIN).unwrap());
        settings.hosts = vec!["gate.example.com".to_owned()];
        settings.origins = vec![ORIGIN.to_owned()];
    })
    .await
}

fn page(path: &str) -> Request {
    Request::new("GET", path).with("Host", "gate.example.com")
}

/// A request of the script of our page.
fn post(path: &str, body: &Value) -> Request {
    Request::new("POST", path)
        .with("Host", "gate.example.com")
        .and("Origin", ORIGIN)
        .and("Sec-Fetch-Site", "same-origin")
        .json(body)
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()))
}

/// The passkey that a device makes for the challenge of this link.
async fn made(server: &Server, device: &Authenticator, flags: u8) -> Value {
    let begun = server.send(&post("/enrol/begin", &json!({"secret": "secret"}))).await;
    let told = json_of(&begun);
    assert_eq!((begun.status, &told["person"]), (200, &json!("bob")), "{told:#}");
    let challenge = BASE64URL_NOPAD.decode(told["challenge"].as_str().unwrap().as_bytes()).unwrap();
    let client = device.client_data("webauthn.create", &challenge).to_string();
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    json!({"secret": "secret", "client_data": text(client.as_bytes()),
        "authenticator_data": text(&device.attested(flags)),
        "assertion": device.assertion(&challenge)})
}

#[tokio::test]
async fn a_person_makes_a_passkey_by_a_link_once() {
    let server = started().await;
    let device = Authenticator::es256("bob");
    let body = made(&server, &device, PRESENT | VERIFIED).await;
    let finished = server.send(&post("/enrol/finish", &body)).await;
    let print = Passkey::read(&device.line()).unwrap().fingerprint();
    let told = json_of(&finished);
    assert_eq!((finished.status, &told["fingerprint"]), (200, &json!(print)), "{told}");
    let vouch = told["vouch"].as_str().unwrap();
    assert!(vouch.starts_with(&format!("printf %s '{}' | ssh-keygen", device.line())), "{vouch}");
    assert_eq!(*server.front.enrolled.lock().unwrap(), [device.line()]);
    for path in ["/enrol/begin", "/enrol/finish"] {
        let body = if path == "/enrol/begin" { json!({"secret": "secret"}) } else { body.clone() };
        let again = server.send(&post(path, &body)).await;
        assert_eq!(again.status, 422, "{path}");
        assert!(again.text().contains("this invitation was used"), "{}", again.text());
    }
}

#[tokio::test]
async fn nothing_is_enrolled_from_another_page_or_without_a_verified_person() {
    let server = started().await;
    let device = Authenticator::es256("bob");
    let good = made(&server, &device, PRESENT | VERIFIED).await;
    let unverified = made(&server, &device, PRESENT).await;
    let elsewhere = made(
        &server,
        &Authenticator::es256("bob").at("https://evil.example.com"),
        PRESENT | VERIFIED,
    )
    .await;
    let other_link = json!({"secret": "other", "client_data": good["client_data"],
        "authenticator_data": good["authenticator_data"], "assertion": good["assertion"]});
    // The public key of another person, with an id of one's own.
    let copied = {
        let own = Authenticator::es256("mallory");
        let copy = Authenticator::es256("bob").with_id(&own.credential);
        let mut copied = made(&server, &copy, PRESENT | VERIFIED).await;
        copied["assertion"] = made(&server, &own, PRESENT | VERIFIED).await["assertion"].clone();
        copied
    };
    let without = {
        let mut without = good.clone();
        without["assertion"] = json!("{}");
        without
    };
    let more = {
        let mut more = good.clone();
        more["extra"] = json!(1);
        more
    };
    let send = |body: &Value| post("/enrol/finish", body);
    let mut wrong = Vec::new();
    for (name, request, status, told) in [
        ("no user verification", send(&unverified), 422, "did not verify its owner"),
        ("another site", send(&elsewhere), 422, "signed on a page of"),
        ("a public key of another person", send(&copied), 422, "is not one of its key"),
        ("no signature of the key", send(&without), 422, "not a passkey's assertion"),
        ("another link", send(&other_link), 422, "signed something else"),
        ("a further member", send(&more), 400, "not strict JSON"),
        ("no origin", send(&good).without("Origin"), 403, "this server's own pages"),
        (
            "an allowed origin that is not ours",
            send(&good).with("Origin", "http://localhost:3000"),
            403,
            "this server's own pages",
        ),
        (
            "a page of another site",
            send(&good).with("Sec-Fetch-Site", "cross-site"),
            403,
            "this server's own pages",
        ),
        (
            "a foreign origin",
            send(&good).with("Origin", "https://evil.example.com"),
            403,
            "may not call",
        ),
        ("another host", send(&good).with("Host", "127.0.0.1"), 421, "one address"),
        ("a foreign host", send(&good).with("Host", "evil.example.com"), 421, "does not answer"),
        ("a form", send(&good).with("Content-Type", "text/plain"), 415, "application/json"),
    ] {
        let got = server.send(&request).await;
        if got.status != status || !got.text().contains(told) {
            wrong.push(format!("{name}: {} {}", got.status, got.text()));
        }
        if got.header("access-control-allow-origin").is_some() {
            wrong.push(format!("{name}: another page may read it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(server.front.enrolled.lock().unwrap().is_empty());
    assert_eq!(server.send(&send(&good)).await.status, 200);
}

#[tokio::test]
async fn the_page_is_ours_alone_and_tells_nothing_about_a_link() {
    let server = started().await;
    let shown = server.send(&page("/enrol")).await;
    assert_eq!(shown.status, 200);
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(shown.header(name), Some(value), "{name}");
    }
    let policy = shown.header("content-security-policy").unwrap();
    for part in
        ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "form-action 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = shown.text();
    assert!(text.contains("data-party=\"gate.example.com\"") && !text.contains("bob"), "{text}");
    assert!(!text.contains("style=") && !text.contains("onclick"), "{text}");
    for (path, media) in [
        ("/assets/cofferdam.css", "text/css; charset=utf-8"),
        ("/assets/passkey.js", "text/javascript; charset=utf-8"),
    ] {
        let file = server.send(&page(path)).await;
        assert_eq!((file.status, file.header("content-type")), (200, Some(media)));
    }
    assert_eq!(server.send(&page("/enrol?secret=1")).await.status, 400);
    let elsewhere = server.send(&Request::new("GET", "/enrol")).await;
    assert_eq!(elsewhere.status, 421);
    assert!(elsewhere.text().contains("https://gate.example.com/enrol"), "{}", elsewhere.text());
    let off = Server::start(FakeFront::default()).await;
    let told = off.send(&Request::new("GET", "/enrol")).await;
    assert!(told.status == 421 && told.text().contains("Passkeys are off"), "{}", told.text());
}
