//! Limits that refuse a request, over MCP and over plain HTTP: status, code, id, words, the
//! time in `Retry-After` and the name in the metrics.

use crate::front::FakeFront;
use crate::wire::{FromAgent, Request, Server};
use cofferdam_edge::Rate;
use expect_test::expect;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// The time for an answer that does not come while the test holds it.
const MOMENT: Duration = Duration::from_millis(500);

fn plain(tool: &str) -> Request {
    Request::new("POST", &format!("/v1/tools/{tool}")).json(&json!({}))
}

fn page(path: &str) -> Request {
    Request::new("GET", path)
}

/// Sends a request until it is over a limit. A request that passes may be held: it is given up.
async fn refused(server: &Server, request: &Request) -> String {
    loop {
        let answered = tokio::time::timeout(MOMENT, server.send(request)).await;
        if let Some(response) = answered.ok().filter(|response| response.status == 429) {
            let seconds = response.header("retry-after").expect("a time");
            return format!("{} [{seconds}]\n", response.line());
        }
        // The request that was given up may have had the last place: another one takes it.
        tokio::time::sleep(MOMENT).await;
    }
}

/// The lines of all requests, and the counts of refusals by limit without their numbers.
async fn rows(server: &Server, requests: Vec<Request>) -> String {
    let mut lines = String::new();
    for request in &requests {
        lines += &refused(server, request).await;
    }
    let counts = server.front.counts.lock().unwrap();
    let over: Vec<String> =
        counts.keys().filter(|event| event.contains("over limit")).cloned().collect();
    format!("{lines}counted: {}\n", over.join(", "))
}

#[tokio::test]
async fn calls_in_progress() {
    let server = Server::with(FakeFront::default(), |settings| settings.each.calls = 1).await;
    let server = Arc::new(server);
    let held = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.send(&plain("held")).await })
    };
    server.until_called().await;
    let id = crate::front::id();
    let told = rows(
        &server,
        vec![
            Request::call("scale", json!({})),
            Request::legacy("tools/call", json!({"name": "scale", "arguments": {}})),
            Request::call("job_get", json!({"id": id, "wait_seconds": 0})),
            plain("scale"),
            plain("scale/preview"),
            page(&format!("/v1/jobs/{id}")),
            page("/v1/calls"),
            page(&format!("/calls/{id}")),
        ],
    );
    expect![[r#"
        429 -32603 id 7: over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 -32603 id "a": over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 -32603 id 7: over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 1 calls in progress; nothing was executed; try again in 1 s [1]
        counted: anonymous over limit calls
    "#]]
    .assert_eq(&told.await);
    let other = server.send(&plain("scale").with_token()).await;
    assert_eq!(other.status, 200, "another agent");
    server.front.let_go.notify_one();
    assert_eq!(held.await.unwrap().status, 200);
    assert_eq!(server.send(&plain("scale")).await.status, 200, "the place is free again");
    assert_eq!(server.front.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn lists_in_progress() {
    let server = Arc::new(Server::start(FakeFront::default()).await);
    let closed = server.front.lists.write().await;
    let list = Request::modern("tools/list", json!({}));
    let held: Vec<_> = (0..32)
        .map(|_| {
            let (server, list) = (Arc::clone(&server), list.clone());
            // A request of the test may have the last place for a moment.
            tokio::spawn(async move {
                loop {
                    let status = server.send(&list).await.status;
                    if status != 429 {
                        return status;
                    }
                }
            })
        })
        .collect();
    let told = rows(&server, vec![list, page("/v1/tools")]).await;
    expect![[r#"
        429 -32603 id 7: over a limit: this agent has 32 lists of tools in progress; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 32 lists of tools in progress; nothing was executed; try again in 1 s [1]
        counted: anonymous over limit lists
    "#]]
    .assert_eq(&told);
    drop(closed);
    for list in held {
        assert_eq!(list.await.unwrap(), 200);
    }
    assert_eq!(server.send(&page("/v1/tools")).await.status, 200);
}

#[tokio::test]
async fn bodies_on_their_way() {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.body_time = Duration::from_secs(3_600);
    })
    .await;
    let slow = plain("scale").body(Vec::new()).with("Content-Length", "1000");
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut client = server.connect().await;
        client.write_all(&slow.bytes()).await.unwrap();
        held.push(client);
    }
    let told = rows(&server, vec![slow.clone(), Request::call("scale", json!({})), plain("scale")]);
    expect![[r#"
        429 over a limit: this agent has 64 requests whose body is not there yet; nothing was executed; try again in 1 s [1]
        429 -32603 id 7: over a limit: this agent has 64 requests whose body is not there yet; nothing was executed; try again in 1 s [1]
        429 over a limit: this agent has 64 requests whose body is not there yet; nothing was executed; try again in 1 s [1]
        counted: anonymous over limit bodies
    "#]]
    .assert_eq(&told.await);
    let other = server.send(&plain("scale").with_token()).await;
    assert_eq!(other.status, 200, "another agent");
    drop(held);
}

#[tokio::test]
async fn requests_without_a_valid_token() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 1 };
    })
    .await;
    let id = crate::front::id();
    let told = rows(
        &server,
        vec![
            Request::call("scale", json!({})),
            Request::legacy("tools/list", json!({})).bearer("wrong"),
            Request::call("scale", json!({})).and("Authorization", "Basic x"),
            page("/mcp"),
            plain("scale"),
            page("/v1/tools").bearer("wrong"),
            page(&format!("/v1/jobs/{id}")),
            page("/v1/calls"),
            page(&format!("/calls/{id}")),
            page(&format!("/calls/{id}")).and("Authorization", "Basic %"),
        ],
    );
    let mut expected = String::new();
    let words = "over a limit: more than 1 requests a second without a valid token came from this \
                 address; send a valid token, in 1 s [1]\n";
    for id in ["id 7: ", "id \"a\": ", "id 7: ", "id null: "] {
        expected += &format!("429 -32603 {id}{words}");
    }
    expected += &format!("429 {words}").repeat(6);
    assert_eq!(told.await, expected + "counted:  over limit without_token\n");
}
