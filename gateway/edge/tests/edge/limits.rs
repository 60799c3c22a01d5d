//! Limits with an owner: what one caller or one address uses takes nothing from another, and its
//! refusal says 429, a time and, over MCP, the id of the request.

use crate::front::FakeFront;
use crate::wire::{FromAgent, Request, Response, Server, read};
use cofferdam_core::model::cidr::Block;
use cofferdam_edge::Rate;
use expect_test::expect;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// Longest wait on a loaded machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// The job of the fake Front.
fn held_job() -> String {
    format!("/v1/jobs/{}?wait=44", crate::front::id())
}

/// Sends a request beside the test.
fn beside(server: &Arc<Server>, request: Request) -> JoinHandle<Response> {
    let server = Arc::clone(server);
    tokio::spawn(async move { server.send(&request).await })
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let reached = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect(what);
}

#[tokio::test]
async fn requests_a_second_have_an_owner() {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.each.rate = Rate { per_second: 1, burst: 4 };
    })
    .await;
    let rows = [
        Request::modern("tools/list", json!({})),
        Request::call("scale", json!({})),
        Request::new("GET", "/v1/tools"),
        Request::new("POST", "/v1/tools/scale").json(&json!({})),
    ];
    let mut refused = String::new();
    for round in 0..40 {
        for request in &rows {
            let answer = server.send(request).await;
            if answer.status == 429 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused = format!("{refused}{}\n", answer.line());
            } else {
                assert_eq!(answer.status, 200, "round {round}");
            }
        }
        if refused.lines().count() >= 8 {
            break;
        }
    }
    let mut kinds: Vec<&str> = refused.lines().collect();
    kinds.sort_unstable();
    kinds.dedup();
    expect![[r#"
        429 -32603 id 7: over a limit: this agent sends more than 1 requests a second; nothing was executed; try again in 1 s
        429 over a limit: this agent sends more than 1 requests a second; nothing was executed; try again in 1 s"#]]
    .assert_eq(&kinds.join("\n"));
    let other = Request::call("scale", json!({})).with_token();
    assert_eq!(server.send(&other).await.status, 200, "another agent");
    assert_eq!(server.send(&Request::new("GET", "/healthz")).await.status, 200, "a probe");
    let counted = String::from_utf8(server.send(&Request::new("GET", "/metrics")).await.body);
    assert!(counted.unwrap().contains("anonymous over limit requests: "));
}

#[tokio::test]
async fn held_requests_have_an_owner_and_take_no_place_of_a_call() {
    let server = Server::with(FakeFront::default(), |settings| {
        (settings.each.waits, settings.each.calls, settings.calls) = (2, 1, 1);
    })
    .await;
    let server = Arc::new(server);
    let first = beside(&server, Request::new("GET", &held_job()));
    let second = beside(&server, Request::new("POST", "/v1/tools/approved_later").json(&json!({})));
    until("both are held", async || server.front.started.load(Ordering::SeqCst) == 2).await;

    let more = server.send(&Request::new("GET", &held_job())).await;
    expect![
        "429 over a limit: this agent has 2 requests that are held; ask without a wait; nothing \
         was executed; try again in 1 s"
    ]
    .assert_eq(&more.line());
    assert_eq!(more.header("retry-after"), Some("1"));
    let question = json!({"id": crate::front::id(), "wait_seconds": 44});
    let more = server.send(&Request::call("job_get", question)).await;
    assert!(more.line().starts_with("429 -32603 id 7: over a limit"), "{}", more.line());
    // The one place of a call is free, and a call that could not be held is answered at once.
    let call = Request::new("POST", "/v1/tools/approved_later").json(&json!({}));
    assert_eq!(server.send(&call).await.status, 202);
    let at_once = format!("/v1/jobs/{}?wait=0", crate::front::id());
    assert_eq!(server.send(&Request::new("GET", &at_once)).await.status, 200);
    let other = server.send(&Request::new("GET", "/v1/tools").with_token()).await;
    assert_eq!(other.status, 200, "another agent");

    server.front.let_go.notify_one();
    server.front.let_go.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().status, 202);
}

#[tokio::test]
async fn when_all_places_of_held_requests_are_taken_it_is_busy_and_no_limit_of_the_caller() {
    let server = Server::with(FakeFront::default(), |settings| settings.waits = 1).await;
    let server = Arc::new(server);
    let first = beside(&server, Request::new("GET", &held_job()));
    server.until_called().await;
    let busy = server.send(&Request::new("GET", &held_job()).with_token()).await;
    expect![
        "503 busy: too many calls are in progress; nothing was executed; try again in a second"
    ]
    .assert_eq(&busy.line());
    let call = Request::call("scale", json!({})).with_token();
    assert_eq!(server.send(&call).await.status, 200, "calls go on");
    server.front.let_go.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
}

/// A client that leaves while its request is held.
async fn leaves(request: Request) {
    let server = Server::with(FakeFront::default(), |settings| {
        (settings.each.waits, settings.waits) = (1, 1);
    })
    .await;
    let mut client = server.connect().await;
    client.write_all(&request.bytes()).await.unwrap();
    server.until_called().await;
    assert_eq!(server.send(&Request::new("GET", &held_job())).await.status, 429);
    drop(client);
    // The place is free again, although the call was not let go.
    until("its wait ends", async || {
        let short = Request::new("GET", &held_job().replace("44", "1"));
        server.send(&short).await.status == 200
    })
    .await;
    assert_eq!(server.front.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_wait() {
    let params = json!({"name": "approved_later", "_meta": {"progressToken": 1}});
    tokio::join!(
        leaves(Request::new("GET", &held_job())),
        leaves(Request::new("POST", "/v1/tools/approved_later").json(&json!({}))),
        leaves(Request::modern("tools/call", params)),
    );
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_its_call() {
    let server = Server::start(FakeFront::default()).await;
    let mut client = server.connect().await;
    client.write_all(&Request::call("slow", json!({})).bytes()).await.unwrap();
    server.until_called().await;
    drop(client);
    until("the call ends by itself", async || server.front.finished.load(Ordering::SeqCst) == 1)
        .await;
}

/// Connects from another address of this machine.
async fn connect_from(server: &Server, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// Sends a request from another address of this machine.
async fn send_from(server: &Server, last: u8, request: &Request) -> Response {
    let mut stream = connect_from(server, last).await;
    stream.write_all(&request.bytes()).await.unwrap();
    read(&mut stream).await
}

#[tokio::test]
async fn slow_and_idle_connections_of_one_address_keep_no_other_out() {
    let server = Server::with(FakeFront::default(), |settings| settings.connections = 128).await;
    let whole = Request::call("scale", json!({})).without("Connection").with_token();
    let head = whole.clone().body(Vec::new()).with("Content-Length", "1000").bytes();
    let (slow_head, slow_body) = (head[..40].to_vec(), head);
    let mut held = Vec::new();
    for round in 0..70 {
        for bytes in [&slow_head, &slow_body, &whole.bytes(), &Vec::new()] {
            let mut stream = connect_from(&server, 2).await;
            // The server may have closed the connection already.
            let _closed = stream.write_all(bytes).await;
            held.push(stream);
        }
        let other = Request::call("scale", json!({}));
        let answer = send_from(&server, 3, &other).await;
        assert_eq!(answer.status, 200, "round {round}: {}", answer.line());
    }
}

#[tokio::test]
async fn an_agent_beside_a_hostile_one_is_always_served() {
    let server = Server::with(FakeFront { extra: 200, ..FakeFront::default() }, |settings| {
        settings.each.rate = Rate { per_second: 100, burst: 500 };
    })
    .await;
    let server = Arc::new(server);
    let list = Request::modern("tools/list", json!({})).with_token();
    let hostile: Vec<_> = (0..64)
        .map(|_| {
            let (server, list) = (Arc::clone(&server), list.clone());
            tokio::spawn(async move {
                loop {
                    let status = server.send(&list).await.status;
                    assert!(matches!(status, 200 | 429), "{status}");
                }
            })
        })
        .collect();
    until("the hostile agent is over its limit", async || {
        server.front.counts.lock().unwrap().contains_key("alice over limit requests")
    })
    .await;
    for number in 0..200 {
        let answer = server.send(&Request::call("scale", json!({}))).await;
        assert_eq!(answer.status, 200, "call {number}: {}", answer.line());
    }
    hostile.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn requests_without_a_valid_token_have_a_limit_by_address() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 3 };
        settings.trusted_proxies = vec![Block::parse_address("127.0.0.9").unwrap()];
    })
    .await;
    let wrong = Request::call("scale", json!({})).bearer("wrong");
    let mut refused = server.send(&wrong).await;
    for _ in 0..20 {
        if refused.status == 429 {
            break;
        }
        assert_eq!(refused.status, 401);
        refused = server.send(&wrong).await;
    }
    expect![
        "429 -32603 id 7: over a limit: more than 1 requests a second without a valid token came \
         from this address; send a valid token, in 1 s"
    ]
    .assert_eq(&refused.line());
    assert_eq!(refused.header("retry-after"), Some("1"));
    let known = Request::call("scale", json!({})).with_token();
    assert_eq!(server.send(&known).await.status, 200, "a valid token from the same address");
    assert_eq!(send_from(&server, 2, &wrong).await.status, 401, "another address");
    // Clients behind a trusted proxy have their own addresses; others invent none.
    let behind = |client: &str| wrong.clone().and("X-Forwarded-For", client);
    for client in 0..10 {
        let address = format!("203.0.113.1, 192.0.2.{client}");
        assert_eq!(send_from(&server, 9, &behind(&address)).await.status, 401);
    }
    let mut invented = Vec::new();
    for client in 0..10 {
        let address = format!("192.0.2.{client}");
        invented.push(send_from(&server, 8, &behind(&address)).await.status);
    }
    assert!(invented.contains(&429), "{invented:?}");
}

#[tokio::test]
async fn a_client_behind_a_proxy_on_this_machine_is_not_local() {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.trusted_proxies = vec![Block::parse_address("127.0.0.1").unwrap()];
    })
    .await;
    let call = Request::call("scale", json!({}));
    assert_eq!(send_from(&server, 2, &call).await.status, 200, "a client on this machine itself");
    let page = Request::new("GET", "/metrics");
    assert_eq!(send_from(&server, 2, &page).await.status, 200);
    let ready = Request::new("GET", "/readyz").with("Accept", "application/json");
    let told = send_from(&server, 2, &ready).await;
    assert!(String::from_utf8(told.body).unwrap().contains("warnings"));
    // Whatever the proxy passes on: each value may be the client's own word.
    let headers = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "127.0.0.1, 192.0.2.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.2"),
        ("X-Forwarded-For", "::1"),
        ("X-Forwarded-For", "::ffff:127.0.0.2"),
        ("Forwarded", "for=127.0.0.2"),
        ("Forwarded", "for=\"[::1]:80\""),
        ("Forwarded", "for=unknown"),
        ("X-Other", "and no address at all"),
    ];
    for (name, value) in headers {
        let behind = |request: &Request| request.clone().and(name, value);
        assert_eq!(server.send(&behind(&call)).await.status, 401, "{name}: {value}");
        assert_eq!(server.send(&behind(&page)).await.status, 403, "{name}: {value}");
        let told = server.send(&behind(&ready)).await;
        let told = String::from_utf8(told.body).unwrap();
        assert!(!told.contains("warnings"), "{name}: {value}: {told}");
    }
}

#[tokio::test]
async fn probes_of_an_address_are_served_beside_its_wrong_tokens() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 4 };
    })
    .await;
    let wrong = Request::new("GET", "/v1/tools").bearer("wrong");
    until("the address is over its limit", async || server.send(&wrong).await.status == 429).await;
    for path in ["/readyz", "/metrics"] {
        assert_eq!(server.send(&Request::new("GET", path)).await.status, 200, "{path}");
    }
    let pages = Request::new("GET", "/metrics");
    until("metrics have a limit too", async || server.send(&pages).await.status == 429).await;
    expect![
        "429 over a limit: this address asks for `/readyz` or `/metrics` more than 1 times a \
         second; ask less often, and again in 1 s"
    ]
    .assert_eq(&server.send(&pages).await.line());
    assert!(server.front.counts.lock().unwrap().contains_key(" over limit probes"));
    for _ in 0..10 {
        let answer = server.send(&Request::new("GET", "/readyz")).await;
        assert_eq!(answer.status, 200, "a prober beside a client in a loop");
    }
    assert_eq!(server.send(&Request::new("GET", "/healthz")).await.status, 200);
}

#[tokio::test]
async fn a_request_over_a_limit_is_answered_without_its_body() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.each.rate = Rate { per_second: 1, burst: 1 };
        settings.without_token = Rate { per_second: 1, burst: 1 };
        // The test ends before a body could be late.
        settings.body_time = PATIENCE * 2;
    })
    .await;
    let whole = Request::call("scale", json!({}));
    for whole in [whole.clone().bearer("wrong"), whole.with_token()] {
        let slow = whole.clone().body(Vec::new()).with("Content-Length", "1000");
        let slow = slow.without("Connection").bytes();
        until("an answer before the body", async || {
            if server.send(&whole).await.status != 429 {
                return false;
            }
            let mut client = server.connect().await;
            client.write_all(&slow).await.unwrap();
            // A second later one request is free again, and the server waits for its body.
            let answered = tokio::time::timeout(PATIENCE / 20, read(&mut client)).await;
            answered.is_ok_and(|refused| {
                let limited = refused.line().starts_with("429 -32603 id null: over a limit");
                limited && refused.header("connection") == Some("close")
            })
        })
        .await;
    }
}

#[tokio::test]
async fn slow_bodies_of_refused_requests_keep_no_other_out() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.connections = 8;
        settings.body_time = PATIENCE * 2;
    })
    .await;
    let good = Request::new("GET", "/v1/tools").without("Connection").with_token().bytes();
    let refused = Request::call("scale", json!({})).without("Connection");
    let bad = [
        refused.clone().bearer("wrong"),
        refused.clone().with_token().with("Accept", "text/html"),
        refused.with_token().with("Host", "elsewhere.example"),
    ];
    let mut held = Vec::new();
    for number in 0..40 {
        let mut stream = connect_from(&server, 2).await;
        // The connection is proven, then it sends a request that is refused before its body is read.
        let slow = bad[number % bad.len()].clone().body(Vec::new()).with("Content-Length", "1000");
        let _closed = stream.write_all(&[good.clone(), slow.bytes()].concat()).await;
        held.push(stream);
        let other = Request::call("scale", json!({})).with_token();
        let answer = send_from(&server, 3, &other).await;
        assert_eq!(answer.status, 200, "round {number}: {}", answer.line());
    }
}

#[tokio::test]
async fn a_budget_of_the_store_is_refused_in_the_same_form() {
    let server = Server::start(FakeFront::default()).await;
    let over_mcp = server.send(&Request::call("spent", json!({}))).await;
    expect![
        "429 -32603 id 7: over a limit: this agent had 20000 jobs today; nothing was executed; try \
         again in 3600 s"
    ]
    .assert_eq(&over_mcp.line());
    let plain = Request::new("POST", "/v1/tools/spent").json(&json!({}));
    let plain = server.send(&plain).await;
    for answer in [&over_mcp, &plain] {
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3600")));
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_takes_nothing_from_the_limit_of_an_address() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 1 };
    })
    .await;
    let with = |token: &str| Request::new("GET", "/v1/tools").bearer(token);
    for _ in 0..5 {
        assert_eq!(server.send(&with("issuer-away")).await.status, 503);
    }
    assert_eq!(server.send(&with("unknown")).await.status, 401, "the first wrong token");
}

#[tokio::test]
async fn refused_requests_hold_no_connection_of_a_proxy() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        // One of them may wait for the body of a refused request.
        settings.connections = 8;
        settings.without_token = Rate { per_second: 1, burst: 1 };
        settings.trusted_proxies = vec![Block::parse_address("127.0.0.9").unwrap()];
        // None of these ends within the test.
        settings.over_limit_pause = PATIENCE * 2;
        settings.refused_time = PATIENCE * 2;
        settings.body_time = PATIENCE * 2;
    })
    .await;
    let wrong = Request::call("scale", json!({})).bearer("wrong");
    let wrong = wrong.and("X-Forwarded-For", "192.0.2.1");
    let over = async || {
        let refused = send_from(&server, 9, &wrong).await;
        refused.status == 429 && refused.line().contains(" id 7: ")
    };
    until("an answer without a pause", over).await;
    let slow = wrong.clone().body(Vec::new()).with("Content-Length", "1000").bytes();
    let mut first = connect_from(&server, 9).await;
    first.write_all(&slow).await.unwrap();
    until("an answer without the body", async || {
        let mut next = connect_from(&server, 9).await;
        next.write_all(&slow).await.unwrap();
        // The first request may come later than this one.
        let answered = tokio::time::timeout(PATIENCE / 20, read(&mut next)).await;
        answered.is_ok_and(|refused| refused.line().contains(" id null: "))
    })
    .await;
    until("the id of a body that is there", over).await;
}

#[tokio::test]
async fn tokens_that_wait_for_their_issuer_have_a_limit_by_address() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 1 };
        settings.trusted_proxies = vec![Block::parse_address("127.0.0.9").unwrap()];
    })
    .await;
    let waiting = Request::call("scale", json!({})).bearer("waiting");
    for _ in 0..3 {
        let refused = server.send(&waiting).await;
        expect![
            "429 -32603 id 7: over a limit: 32 tokens from this address wait for the answer of \
             their issuer; nothing was executed; try again in 1 s"
        ]
        .assert_eq(&refused.line());
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert!(server.front.counts.lock().unwrap().contains_key(" over limit unchecked_tokens"));
    let behind = waiting.and("X-Forwarded-For", "192.0.2.1");
    assert_eq!(send_from(&server, 9, &behind).await.status, 401, "the client is not the proxy");
}

#[tokio::test]
async fn a_request_that_is_refused_before_its_token_counts_for_its_address() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.without_token = Rate { per_second: 1, burst: 2 };
    })
    .await;
    let over = || server.front.counts.lock().unwrap().remove(" over limit without_token");
    let call = Request::call("scale", json!({})).with_token();
    // Requests that name their caller take nothing from the address.
    for _ in 0..20 {
        let unknown = Request::modern("no/method", json!({})).with_token();
        assert_eq!(server.send(&unknown).await.status, 404);
        assert_eq!(server.send(&Request::new("GET", "/")).await.status, 200);
    }
    assert!(over().is_none());
    let rows = [
        (415, call.clone().with("Content-Type", "text/plain")),
        (406, call.clone().with("Accept", "text/html")),
        (421, call.clone().with("Host", "elsewhere.example")),
        (404, Request::new("GET", "/nowhere")),
        (405, Request::new("PUT", "/v1/tools").with_token()),
        (400, Request::new("GET", "/v1/tools?token=x").with_token()),
    ];
    for (status, request) in rows {
        until("the address is over its limit", async || {
            assert_eq!(server.send(&request).await.status, status, "the answer stays");
            over().is_some()
        })
        .await;
    }
    assert_eq!(server.send(&call).await.status, 200, "a request with a valid token");
}
