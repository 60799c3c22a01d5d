//! The console over HTTP: each page for each role, as HTML and as JSON; words of others as text; the
//! protections of a cancellation; and the stream of changes.

use crate::console_front::SESSIONS;
use crate::front::{AUDITOR, FakeFront, OPERATOR, SESSION, TOKEN, id};
use crate::wire::{Request, Response, Server};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::relying_party::RelyingParty;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ORIGIN: &str = "https://gate.example.com";

async fn started(front: FakeFront) -> Server {
    Server::with(front, |settings| {
        settings.party = Some(RelyingParty::read(ORIGIN).unwrap());
        settings.hosts = vec!["gate.example.com".to_owned()];
        settings.origins = vec![ORIGIN.to_owned()];
        settings.listen_pause = Duration::from_millis(5);
    })
    .await
}

fn get(path: &str) -> Request {
    Request::new("GET", path).with("Host", "gate.example.com")
}

fn by(request: Request, session: &str) -> Request {
    request.and("Cookie", &format!("__Host-cofferdam={session}"))
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()))
}

/// The pages, and whether an approver sees them.
fn pages() -> Vec<(String, bool)> {
    [
        ("/console".to_owned(), true),
        ("/console/calls".to_owned(), true),
        (format!("/console/calls/{}", id()), true),
        ("/console/agents".to_owned(), false),
        ("/console/tools".to_owned(), false),
        ("/console/policy".to_owned(), false),
        ("/console/health".to_owned(), false),
    ]
    .into()
}

#[tokio::test]
async fn each_role_sees_its_pages_as_html_and_as_json() {
    let server = started(FakeFront::default()).await;
    let mut wrong = Vec::new();
    for (session, roles) in SESSIONS {
        for (path, for_approver) in pages() {
            let sees = for_approver || roles.iter().any(|role| role.sees_all());
            let html = server.send(&by(get(&path), session)).await;
            let twin = by(get(&path), session).and("Accept", "application/json");
            let twin = server.send(&twin).await;
            let media = (html.header("content-type"), twin.header("content-type"));
            let status = if sees { 200 } else { 403 };
            if (html.status, twin.status) != (status, status)
                || media != (Some("text/html; charset=utf-8"), Some("application/json"))
                || (!sees && json_of(&twin)["error"]["code"] != "not_for_role")
            {
                wrong.push(format!(
                    "{session} {path}: {} {} {}",
                    html.status,
                    twin.status,
                    twin.text()
                ));
            }
            let text = html.text();
            for part in
                ["<h1>", "<nav aria-label=\"Console\">", "<main", "role=\"status\"", "lang=\"en\""]
            {
                if !text.contains(part) {
                    wrong.push(format!("{session} {path}: no {part}"));
                }
            }
            if text.contains("style=")
                || text.contains("onclick")
                || text.matches("<h1>").count() != 1
            {
                wrong.push(format!("{session} {path}: {text}"));
            }
            if path.ends_with(id().as_str()) && text.contains("id=\"cancel\"") {
                wrong.push(format!("{session} {path}: a call without a job cannot be cancelled"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn without_a_session_of_the_console_a_page_tells_nothing() {
    let server = started(FakeFront { closed: true, ..FakeFront::default() }).await;
    let paths = pages().into_iter().map(|(path, _)| path);
    for path in paths.chain(["/console/calls/other".to_owned()]) {
        for request in [
            get(&path),
            get(&path).bearer(TOKEN),
            get(&path).bearer(AUDITOR),
            by(get(&path), "guess"),
            by(get(&path), AUDITOR).and("Cookie", "__Host-cofferdam=guess"),
        ] {
            let page = server.send(&request).await;
            let refused = [401, 400].contains(&page.status);
            assert!(refused && !page.text().contains("release"), "{path}: {}", page.text());
            let twin = server.send(&request.and("Accept", "application/json")).await;
            assert!([401, 400].contains(&twin.status), "{path}: {}", twin.text());
        }
    }
    for path in ["/console/calls.csv", "/console/calls.jsonl", "/console/changes?beyond=1"] {
        assert_eq!(server.send(&get(path)).await.status, 401, "{path}");
    }
    let elsewhere = server.send(&Request::new("GET", "/console")).await;
    assert_eq!(elsewhere.status, 421);
}

#[tokio::test]
async fn words_of_agents_and_tools_are_text_on_every_page() {
    let evil = "</script><img src=x onerror=alert(1)>\"'&<b>\u{202e}";
    let front = FakeFront { words: evil.to_owned(), ..FakeFront::default() };
    front.passed.store(1, Ordering::SeqCst);
    let server = started(front).await;
    let mut wrong = Vec::new();
    for (path, _) in pages() {
        let page = server.send(&by(get(&path), OPERATOR)).await;
        let text = page.text();
        if page.status != 200
            || text.contains("<img")
            || text.contains("<b>")
            || text.matches("<script").count() != 1
            || text.contains('\u{202e}')
            // The policy's page has words of the operator alone.
            || (path != "/console/policy" && !text.contains("&lt;img src=x"))
        {
            wrong.push(format!("{path}: {text}"));
        }
        let policy = page.header("content-security-policy").unwrap_or_default();
        if !policy.contains("default-src 'none'")
            || !policy.contains("require-trusted-types-for 'script'")
            || policy.contains("unsafe")
            || page.header("x-frame-options") != Some("DENY")
        {
            wrong.push(format!("{path}: {policy}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn unknown_foreign_and_malformed_ids_get_one_answer() {
    let server = started(FakeFront::default()).await;
    let other = CallId::from_random(5);
    for below in ["", "/proof"] {
        let path = |id: &str| format!("/console/calls/{id}{below}");
        for session in [SESSION, AUDITOR] {
            for id in [other.as_str(), "x", "..", "%2e%2e"] {
                let page = server.send(&by(get(&path(id)), session)).await;
                assert_eq!(page.status, 404, "{id}{below}: {}", page.text());
                assert!(!page.text().contains("denied"), "{}", page.text());
            }
        }
    }
    let deeper = format!("/console/calls/{}/proof/x", id());
    assert_eq!(server.send(&by(get(&deeper), AUDITOR)).await.status, 404);
}

#[tokio::test]
async fn a_list_is_filtered_and_paged_by_its_address() {
    let server = started(FakeFront::default()).await;
    let page = |path: &str| by(get(path), AUDITOR);
    let first = server.send(&page("/console/calls")).await.text();
    let rows = |text: &str| text.matches("<li data-call=").count();
    assert_eq!(rows(&first), 2, "{first}");
    assert!(first.contains("data-changes=\"/console/changes?beyond=42\""), "{first}");
    let (_, next) = first.split_once("href=\"/console/calls?before=").unwrap();
    let next = format!("/console/calls?before={}", next.split_once('"').unwrap().0);
    let second = server.send(&page(&next)).await.text();
    assert_eq!(rows(&second), 1, "{second}");
    assert!(!second.contains("data-changes"), "an older page does not move: {second}");
    assert!(second.contains("Newest calls") && !second.contains("Older calls"), "{second}");
    let denied = server.send(&page("/console/calls?state=denied&agent=&since=7d")).await.text();
    assert_eq!(rows(&denied), 1, "{denied}");
    assert!(denied.contains("<option value=\"denied\" selected>"), "{denied}");
    assert!(denied.contains("calls.csv?since=7d&amp;state=denied"), "{denied}");
    let none = server.send(&page("/console/calls?state=dead")).await.text();
    assert!(none.contains("No call matches this filter"), "{none}");
    for (bad, told) in [
        ("/console/calls?owner=a", "has no `owner`"),
        ("/console/calls?agent=a&agent=b", "is there twice"),
        ("/console/calls?beyond=1", "stream of changes alone"),
        ("/console/calls.csv?before=1-1", "a file is the whole list"),
        ("/console/agents?x=1", "takes no query string"),
        ("/console/calls?since=soon", "a time back"),
    ] {
        let refused = server.send(&page(bad)).await;
        assert!(
            refused.status == 400 && refused.text().contains(told),
            "{bad}: {}",
            refused.text()
        );
    }
}

#[tokio::test]
async fn a_file_has_every_page_of_the_list() {
    let server = started(FakeFront::default()).await;
    let file = server.send(&by(get("/console/calls.jsonl"), AUDITOR)).await;
    assert_eq!((file.status, file.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"calls.jsonl\""));
    let lines: Vec<Value> =
        unchunked(&file).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<&Value> = lines.iter().map(|line| &line["state"]).collect();
    assert_eq!(states, ["denied", "succeeded", "awaiting_approval"]);
    let csv = server.send(&by(get("/console/calls.csv?state=denied"), AUDITOR)).await;
    assert_eq!(unchunked(&csv).lines().count(), 2, "{}", csv.text());
}

#[tokio::test]
async fn a_file_that_is_not_whole_says_so_and_breaks_off() {
    let server = started(FakeFront { breaks: true, ..FakeFront::default() }).await;
    for (path, told) in [
        ("/console/calls.csv", "\"incomplete: the recorder did not answer; try again\"\r\n"),
        ("/console/calls.jsonl", "{\"error\":\"incomplete: the recorder did not answer"),
    ] {
        let file = server.send(&by(get(path), AUDITOR)).await.text();
        assert!(file.contains("denied") && file.contains(told), "{file}");
        assert!(!file.ends_with("0\r\n\r\n"), "the end of a whole body: {file}");
    }
    // A list that lags behind the ledger is no file.
    let lags = started(FakeFront { lags: true, ..FakeFront::default() }).await;
    let refused = lags.send(&by(get("/console/calls.csv"), AUDITOR)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(refused.text().contains("newest 3 ledger entries"), "{}", refused.text());
    let page = lags.send(&by(get("/console/calls"), AUDITOR)).await.text();
    assert!(page.contains("newest 3 ledger entries"), "{page}");
}

#[tokio::test]
async fn a_link_to_a_question_is_for_those_who_may_sign_it() {
    let server = started(FakeFront::default()).await;
    let link = format!("href=\"/approve/{}\"", id());
    for (session, signs) in
        [(SESSION, true), (AUDITOR, false), (OPERATOR, false), ("session-of-both", true)]
    {
        let page = server.send(&by(get("/console"), session)).await.text();
        assert_eq!(page.contains(&link), signs, "{session}: {page}");
    }
}

/// The body of a response that came in chunks.
fn unchunked(response: &Response) -> String {
    let (text, mut whole) = (response.text(), String::new());
    let mut rest = text.as_str();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    whole
}

/// A cancellation, as the script of the page sends it.
fn cancel(session: &str, body: &Value) -> Request {
    let path = format!("/console/calls/{}/cancel", id());
    let request = Request::new("POST", &path).with("Host", "gate.example.com");
    let request = request.and("Origin", ORIGIN).and("Sec-Fetch-Site", "same-origin");
    by(request.and("Accept", "application/json"), session).json(body)
}

#[tokio::test]
async fn an_operator_cancels_with_a_reason_and_no_other_role_does() {
    let server = started(FakeFront::default()).await;
    let because = json!({"because": "the release is over"});
    let good = cancel(OPERATOR, &because);
    let mut wrong = Vec::new();
    for (name, request, status, told) in [
        ("an approver", cancel(SESSION, &because), 403, "may_not_cancel"),
        ("an auditor", cancel(AUDITOR, &because), 403, "may_not_cancel"),
        ("approver and auditor", cancel("session-of-both", &because), 403, "may_not_cancel"),
        ("no session", cancel("guess", &because), 401, "sign in first"),
        ("no reason", cancel(OPERATOR, &json!({"because": " "})), 422, "give a reason"),
        (
            "an invisible reason",
            cancel(OPERATOR, &json!({"because": "a\u{202e}b"})),
            422,
            "visible characters",
        ),
        ("a long reason", cancel(OPERATOR, &json!({"because": "a".repeat(301)})), 422, "1 to 300"),
        ("no body", cancel(OPERATOR, &json!({})), 400, "not strict JSON"),
        ("no origin", good.clone().without("Origin"), 403, "own pages"),
        (
            "another port",
            good.clone().with("Origin", "https://gate.example.com:1"),
            403,
            "may not call",
        ),
        ("another site", good.clone().with("Sec-Fetch-Site", "cross-site"), 403, "own pages"),
        ("a form", good.clone().with("Content-Type", "text/plain"), 415, "application/json"),
        ("another host", good.clone().with("Host", "127.0.0.1"), 421, "one address"),
    ] {
        let got = server.send(&request).await;
        if got.status != status || !got.text().contains(told) {
            wrong.push(format!("{name}: {} {}", got.status, got.text()));
        }
    }
    let path = format!("/console/calls/{}/cancel", id());
    let by_get = server.send(&by(get(&path), OPERATOR)).await;
    if by_get.status != 405 {
        wrong.push(format!("GET: {} {}", by_get.status, by_get.text()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let done = |counts: &std::collections::BTreeMap<String, u32>| {
        counts.get("cancel as operator").copied().unwrap_or_default()
    };
    assert_eq!(done(&server.front.counts.lock().unwrap()), 0);
    let cancelled = server.send(&good).await;
    assert_eq!((cancelled.status, &json_of(&cancelled)["at_once"]), (200, &json!(true)));
    assert_eq!(done(&server.front.counts.lock().unwrap()), 1);
}

fn stream(session: &str) -> Request {
    by(get("/console/changes?beyond=42"), session).with("Accept", "text/event-stream")
}

/// Reads the stream until it has these words.
async fn until(socket: &mut tokio::net::TcpStream, words: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(words) {
        let count = socket.read_buf(&mut text).await.unwrap();
        assert!(count > 0, "the end came first: {}", String::from_utf8_lossy(&text));
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn changes_come_as_events_until_the_session_ends() {
    let server = started(FakeFront::default()).await;
    let mut socket = server.connect().await;
    socket.write_all(&stream(AUDITOR).bytes()).await.unwrap();
    let head = until(&mut socket, "retry: 3000").await;
    assert!(
        head.contains("text/event-stream") && head.contains("content-security-policy"),
        "{head}"
    );
    server.front.passed.store(1, Ordering::SeqCst);
    let event = until(&mut socket, "\"left\"").await;
    assert!(event.contains("id: 43\nevent: calls\ndata: {"), "{event}");
    *server.front.revoked.lock().unwrap() = true;
    let over = until(&mut socket, "event: over").await;
    assert!(over.contains("your sign-in is over"), "{over}");
    // A browser that comes back goes on after the last event.
    *server.front.revoked.lock().unwrap() = false;
    let mut socket = server.connect().await;
    let again = stream(AUDITOR).and("Last-Event-ID", "43");
    socket.write_all(&again.bytes()).await.unwrap();
    let again = until(&mut socket, "retry: 3000").await;
    assert!(!again.contains("event: calls"), "{again}");
}

#[tokio::test]
async fn streams_of_a_person_are_bounded_and_end_with_the_server() {
    let mut server = started(FakeFront::default()).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut socket = server.connect().await;
        socket.write_all(&stream(AUDITOR).bytes()).await.unwrap();
        until(&mut socket, "retry: 3000").await;
        open.push(socket);
    }
    let over = server.send(&stream(AUDITOR)).await;
    assert_eq!(over.status, 429, "{}", over.text());
    for (bad, told) in [
        (stream(AUDITOR).with("Last-Event-ID", "x"), "is not an id from this server"),
        (by(get("/console/changes"), AUDITOR), "needs `beyond`"),
        (by(get("/console/changes?before=1-1"), AUDITOR), "page of the list alone"),
    ] {
        let refused = server.send(&bad).await;
        assert!(refused.status == 400 && refused.text().contains(told), "{}", refused.text());
    }
    server.begin_stop();
    for socket in &mut open {
        // Its end comes; a stream that goes on would keep the test.
        while socket.read_buf(&mut Vec::new()).await.is_ok_and(|count| count > 0) {}
    }
}

#[tokio::test]
async fn a_recorder_that_is_away_is_told_as_that() {
    let server = started(FakeFront::default()).await;
    let script = server.send(&get("/assets/console.js")).await;
    assert_eq!(
        (script.status, script.header("content-type")),
        (200, Some("text/javascript; charset=utf-8"))
    );
    let down = started(FakeFront { down: true, ..FakeFront::default() }).await;
    let page = down.send(&by(get("/console"), AUDITOR)).await;
    assert_eq!(page.status, 503, "{}", page.text());
}
