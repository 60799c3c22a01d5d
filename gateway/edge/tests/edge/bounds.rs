//! Sizes, times, numbers of connections and calls, and the stop.

use crate::front::Small;
use crate::wire::{Answer, Request, Server, table};
use cofferdam_core::limit;
use expect_test::expect;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn bodies_beyond_the_limit() {
    let server = Server::start(Small::default()).await;
    let padded = |length: usize| {
        let request = Request::call("scale", json!({}));
        let mut body = request.body.clone();
        body.resize(length, b' ');
        request.body(body)
    };
    let chunked = |request: Request| {
        let mut request = request.without("Content-Length").and("Transfer-Encoding", "chunked");
        let chunks = request.body.chunks(10_000).flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        request.body = chunks.chain(*b"0\r\n\r\n").collect();
        request
    };
    let rows = vec![
        ("at the limit", padded(limit::BODY)),
        ("one byte more", padded(limit::BODY + 1)),
        ("announced only", Request::call("scale", json!({})).with("Content-Length", "99999999999")),
        ("at the limit, in chunks", chunked(padded(limit::BODY))),
        ("one byte more, in chunks", chunked(padded(limit::BODY + 1))),
        ("plain, one byte more", {
            let request = Request::new("POST", "/v1/tools/scale").json(&json!({}));
            request.body(" ".repeat(limit::BODY + 1))
        }),
        ("two lengths", Request::call("scale", json!({})).and("Content-Length", "5")),
        ("a length beside chunks", Request::call("scale", json!({})).and("Transfer-Encoding", "chunked")),
    ];
    expect![[r#"
        at the limit: 200 ok
        one byte more: 413 -32600 no id: the body is larger than 262144 bytes
        announced only: 413 -32600 no id: the body is larger than 262144 bytes
        at the limit, in chunks: 200 ok
        one byte more, in chunks: 413 -32600 no id: the body is larger than 262144 bytes
        plain, one byte more: 413 the body is larger than 262144 bytes
        two lengths: 400
        a length beside chunks: 400 -32600 no id: the body broke off before its end
    "#]]
    .assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn heads_beyond_the_limit() {
    let server = Server::start(Small::default()).await;
    let many = (0..80).fold(Request::call("scale", json!({})), |request, number| request.and(&format!("X-{number}"), "1"));
    let rows = vec![
        ("a long header", Request::call("scale", json!({})).and("X-Long", &"x".repeat(20_000))),
        ("many headers", many),
        ("a long path", Request::new("GET", &format!("/{}", "x".repeat(20_000)))),
    ];
    expect![[r#"
        a long header: 431
        many headers: 431
        a long path: 431
    "#]]
    .assert_eq(&table(&server, rows).await);
    assert_eq!(server.raw(b"\x16\x03\x01\x02\x00\x01").await.status, 400, "TLS on a plain port");
}

#[tokio::test]
async fn slow_heads_and_bodies_are_given_up() {
    let server = Server::with(Small::default(), |settings| {
        settings.head_time = Duration::from_millis(200);
        settings.body_time = Duration::from_millis(200);
    })
    .await;
    let whole = Request::call("scale", json!({}));
    let (head, body) = (whole.clone().body(Vec::new()), whole.body.clone());
    let head = head.with("Content-Length", &body.len().to_string()).bytes();

    let started = Instant::now();
    let mut stream = server.connect().await;
    for byte in head.chunks(1) {
        if stream.write_all(byte).await.is_err() || started.elapsed() > Duration::from_secs(5) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(5), "a head byte by byte is given up");
    assert!(matches!(Answer::read(&mut stream).await.status, 0 | 408));

    let mut stream = server.connect().await;
    stream.write_all(&head).await.unwrap();
    stream.write_all(&body[..10]).await.unwrap();
    let answer = Answer::read(&mut stream).await;
    expect!["408 -32600 no id: the body did not arrive in time"].assert_eq(&answer.line());
    assert_eq!(answer.header("connection"), Some("close"));

    let mut stream = server.connect().await;
    let mut nothing = [0; 1];
    let idle = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut nothing)).await;
    assert!(matches!(idle, Ok(Ok(0) | Err(_))), "an idle connection is closed");
}

#[tokio::test]
async fn a_body_that_breaks_off_runs_nothing() {
    let server = Server::start(Small::default()).await;
    let mut stream = server.connect().await;
    let bytes = Request::call("slow", json!({})).bytes();
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    drop(stream);
    assert!(server.stop().await.clean);
}

#[tokio::test]
async fn a_reader_who_takes_nothing_loses_the_connection() {
    let server = Server::with(Small::default(), |settings| {
        settings.write_time = Duration::from_millis(200);
        settings.connections = 1;
    })
    .await;
    let mut deaf = server.connect().await;
    deaf.write_all(&Request::call("big", json!({})).bytes()).await.unwrap();
    // It holds the one connection; the next client is served once it was given up.
    let next = tokio::time::timeout(Duration::from_secs(10), server.send(&Request::call("scale", json!({})))).await;
    assert_eq!(next.unwrap().status, 200);
    drop(deaf);
}

#[tokio::test]
async fn connections_and_calls_are_counted() {
    let server = Server::with(Small::default(), |settings| settings.calls = 1).await;
    let server = Arc::new(server);
    let first = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.send(&Request::call("slow", json!({}))).await }
    });
    while server.front.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let busy = server.send(&Request::call("scale", json!({}))).await;
    expect!["503 -32603 id 7: busy: too many calls are in progress; nothing was executed; try again in a second"].assert_eq(&busy.line());
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(server.send(&Request::modern("tools/list", json!({}))).await.status, 200, "lists go on");
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(server.send(&Request::call("scale", json!({}))).await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(Small::default()).await;
    let request = Request::call("scale", json!({})).without("Connection").bytes();
    let last = Request::call("denied", json!({})).bytes();
    let mut stream = server.connect().await;
    stream.write_all(&[request.clone(), request, last].concat()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
}

#[tokio::test]
async fn the_stop_lets_calls_finish() {
    let mut server = Server::start(Small::default()).await;
    let mut busy = server.connect().await;
    let idle = server.connect().await;
    busy.write_all(&Request::call("slow", json!({})).bytes()).await.unwrap();
    while server.front.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.begin_stop();
    assert_eq!(Answer::read(&mut busy).await.status, 200, "the answer still comes");
    let drained = server.stop().await;
    assert!(drained.clean);
    drop(idle);
}

#[tokio::test]
async fn the_stop_does_not_wait_for_ever() {
    let server = Server::with(Small::default(), |settings| settings.drain_time = Duration::from_millis(50)).await;
    let mut busy = server.connect().await;
    busy.write_all(&Request::call("slow", json!({})).bytes()).await.unwrap();
    while server.front.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drained = server.stop().await;
    assert_eq!((drained.clean, drained.cut), (false, 1));
}
