//! The roles of people at the pages: who gets a question, and how a session ends.

use crate::front::{AUDITOR, FakeFront, OPERATOR, SESSION, id};
use crate::wire::{Request, Server};
use cofferdam_core::model::relying_party::RelyingParty;
use serde_json::json;

const ORIGIN: &str = "https://gate.example.com";

async fn started() -> Server {
    Server::with(FakeFront::default(), |settings| {
        settings.party = Some(RelyingParty::read(ORIGIN).unwrap());
        settings.hosts = vec!["gate.example.com".to_owned()];
        settings.origins = vec![ORIGIN.to_owned()];
    })
    .await
}

fn with_session(request: Request, session: &str) -> Request {
    request.with("Host", "gate.example.com").and("Cookie", &format!("__Host-cofferdam={session}"))
}

fn post(path: &str, session: &str) -> Request {
    let body = json!({"verdict": "approve", "reason": "", "statement": "{}", "signature": "{}"});
    with_session(Request::new("POST", path).json(&body), session).and("Origin", ORIGIN)
}

#[tokio::test]
async fn a_question_is_for_an_approver_and_no_other_role() {
    let server = started().await;
    let page = format!("/approve/{}", id());
    for (session, name, found) in
        [(SESSION, "approver", true), (AUDITOR, "auditor", false), (OPERATOR, "operator", false)]
    {
        let look = with_session(Request::new("GET", &page), session);
        let status = server.send(&look).await.status;
        assert_eq!(status == 404, !found, "{name}: {status}");
        for path in [page.clone(), format!("{page}/statement")] {
            let status = server.send(&post(&path, session)).await.status;
            assert_eq!(status == 404, !found, "{name} {path}: {status}");
        }
        let own = with_session(Request::new("GET", "/sign-in"), session);
        let own = server.send(&own.and("Accept", "application/json")).await;
        assert_eq!(own.json()["roles"], json!([name]), "{}", own.text());
    }
}

#[tokio::test]
async fn a_session_ends_by_a_button_of_our_own_page_alone() {
    let server = started().await;
    let out = |origin: &str| {
        let request = Request::new("POST", "/sign-out").json(&json!({}));
        with_session(request, AUDITOR).and("Origin", origin)
    };
    for (name, request, status) in [
        ("another site", out("https://evil.example.com"), 403),
        ("no origin", out(ORIGIN).without("Origin"), 403),
        ("another host", out(ORIGIN).with("Host", "evil.example.com"), 421),
        ("a link", with_session(Request::new("GET", "/sign-out"), AUDITOR), 405),
    ] {
        assert_eq!(server.send(&request).await.status, status, "{name}");
    }
    let gone = server.send(&out(ORIGIN)).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    let cookie = "__Host-cofferdam=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure";
    assert_eq!(gone.header("set-cookie"), Some(cookie));
    let ended = format!("sign-out of {AUDITOR}");
    assert_eq!(server.front.counts.lock().unwrap().get(&ended), Some(&1));
}
