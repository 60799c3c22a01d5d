//! Approvers on other machines: sign-in, session, questions and signatures. The Front checks them;
//! the edge passes them on, with bounds, and never takes the token of an agent for a session.

use crate::front::{FakeFront, SESSION, TOKEN, id};
use crate::wire::{Request, Server, send_all};
use cofferdam_core::model::id::CallId;
use cofferdam_edge::Rate;
use expect_test::expect;
use serde_json::json;

fn get(path: &str) -> Request {
    Request::new("GET", &format!("/v1/approvals{path}"))
}

fn sign_in(statement: &str) -> Request {
    Request::new("POST", "/v1/approvals/session")
        .json(&json!({"statement": statement, "signature": "armour"}))
}

fn signature(path: &str) -> Request {
    Request::new("POST", &format!("/v1/approvals{path}"))
        .json(&json!({"statement": "{}", "signature": "armour"}))
}

#[tokio::test]
async fn an_approver_signs_in_reads_and_hands_in_a_signature() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let given = server.send(&get("/challenge")).await;
    assert_eq!((given.status, given.header("cache-control")), (200, Some("no-store")));
    assert_eq!(given.json()["challenge"], "challenge");
    let session = server.send(&sign_in("localhost:8620")).await;
    assert_eq!(session.json()["session"], SESSION, "{}", session.text());
    let call = id();
    for (request, answer) in [
        (get(""), "waiting"),
        (get(&format!("/{call}/state?wait=3")), "followed"),
        (signature(&format!("/{call}")), "signed"),
    ] {
        let told = server.send(&request.bearer(SESSION)).await;
        assert_eq!((told.status, &told.json()["answer"]), (200, &json!(answer)), "{}", told.text());
    }
    let asked = server.front.counts.lock().unwrap().clone();
    for word in ["list by bob", "follow by bob", "sign by bob"] {
        assert_eq!(asked.get(word), Some(&1), "{asked:?}");
    }
}

#[tokio::test]
async fn no_other_text_is_a_session_and_no_session_is_a_token() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let call = id();
    for path in [String::new(), format!("/{call}"), format!("/{call}/preview")] {
        for request in [get(&path), get(&path).bearer(TOKEN), get(&path).bearer("session")] {
            let told = server.send(&request).await;
            assert_eq!(told.status, 401, "{path}: {}", told.text());
            let challenge = told.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Cofferdam-Sign-In "), "{challenge}");
        }
    }
    let denied = server.send(&signature(&format!("/{call}")).bearer(TOKEN)).await;
    assert_eq!(denied.status, 401, "{}", denied.text());
    // A session does nothing that an agent's token does.
    for request in [
        Request::call("scale", json!({})),
        Request::new("GET", "/v1/calls"),
        Request::new("DELETE", &format!("/v1/jobs/{call}")),
    ] {
        assert_eq!(server.send(&request.bearer(SESSION)).await.status, 401);
    }
}

#[tokio::test]
async fn each_refusal_has_its_own_row() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let (call, other) = (id(), CallId::from_random(5));
    let signed_in = |request: Request| request.bearer(SESSION);
    let rows = vec![
        ("for another server", sign_in("evil.example.com")),
        ("too often", sign_in("often")),
        ("no trust file", sign_in("away")),
        ("no JSON", Request::new("POST", "/v1/approvals/session").body("x")),
        (
            "a further member",
            Request::new("POST", "/v1/approvals/session")
                .json(&json!({"statement": "", "signature": "", "approver": "bob"})),
        ),
        ("a challenge by POST", Request::new("POST", "/v1/approvals/challenge")),
        ("another's call", signed_in(get(&format!("/{other}")))),
        ("a closed call", signed_in(get(&format!("/{call}")))),
        ("no id", signed_in(get("/x"))),
        ("a query", signed_in(get(&format!("/{call}?session={SESSION}")))),
        ("a long wait", signed_in(get(&format!("/{call}/state?wait=46")))),
        ("a wait for the list", signed_in(get("?wait=1"))),
        ("a further part", signed_in(get(&format!("/{call}/preview/x")))),
        ("a withdrawal", signed_in(Request::new("DELETE", &format!("/v1/approvals/{call}")))),
    ];
    expect![[r#"
        for another server: 401 for another server
        too often: 429 busy: this approver signed in too often; try again in two minutes
        no trust file: 503 cannot decide or cannot record: no trust file; nothing was executed
        no JSON: 415 the body must be JSON in UTF-8, and `Content-Type` is ``; send `Content-Type: application/json`
        a further member: 400 invalid params: the body must be {"statement": TEXT, "signature": TEXT}
        a challenge by POST: 405 this path takes GET, HEAD only
        another's call: 404 no such call is for your signature
        a closed call: 409 it is closed already
        no id: 404 no call `x` is for your signature; `GET /v1/approvals` lists those that are
        a query: 400 this path takes no query string; tokens belong in the `Authorization` header
        a long wait: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        a wait for the list: 400 this path takes no query string; tokens belong in the `Authorization` header
        a further part: 404 this path does not exist; `GET /` lists the paths
        a withdrawal: 405 this path takes GET, HEAD, POST only
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn behind_a_proxy_no_name_of_loopback_is_a_name_of_this_server() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.hosts = vec!["gate.example.com".to_owned()];
        settings.behind_proxy = true;
    })
    .await;
    for (named, status) in [("localhost:8620", 401), ("127.0.0.1", 401), ("gate.example.com", 200)]
    {
        let told = server.send(&sign_in(named)).await;
        assert_eq!(told.status, status, "{named}: {}", told.text());
    }
}

#[tokio::test]
async fn attempts_without_a_session_are_limited_by_address_and_a_session_is_not() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 3 };
    })
    .await;
    for attempt in [get("/challenge"), sign_in("evil.example.com"), get("").bearer("session")] {
        let mut limited = false;
        for _ in 0..20 {
            if server.send(&attempt).await.status == 429 {
                limited = true;
                break;
            }
        }
        assert!(limited, "twenty attempts at once");
    }
    // A good sign-in and a session are never refused for the address.
    assert_eq!(server.send(&sign_in("localhost:8620")).await.status, 200);
    assert_eq!(server.send(&get("").bearer(SESSION)).await.status, 200);
}
