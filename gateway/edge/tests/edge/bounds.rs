//! Limits of sizes, times, connections and calls, and the stop.

use crate::front::FakeFront;
use crate::wire::{FromAgent, Request, Server, read, send_all};
use cofferdam_core::model::limit;
use expect_test::expect;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Longest wait on a loaded machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn bodies_beyond_the_limit() {
    let server = Server::start(FakeFront::default()).await;
    let padded = |length: usize| {
        let request = Request::call("scale", json!({}));
        let mut body = request.body.clone();
        body.resize(length, b' ');
        request.body(body)
    };
    let chunked = |request: Request| {
        let mut request = request.without("Content-Length").and("Transfer-Encoding", "chunked");
        let chunks = request.body.chunks(10_000).flat_map(|chunk| {
            [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
        });
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
        ("two equal lengths", {
            let request = Request::call("scale", json!({}));
            let length = request.body.len().to_string();
            request.and("Content-Length", &length)
        }),
        (
            "a length beside chunks",
            Request::call("scale", json!({})).and("Transfer-Encoding", "chunked"),
        ),
    ];
    expect![[r#"
        at the limit: 200 ok
        one byte more: 413 -32600 id null: the body is larger than 262144 bytes
        announced only: 413 -32600 id null: the body is larger than 262144 bytes
        at the limit, in chunks: 200 ok
        one byte more, in chunks: 413 -32600 id null: the body is larger than 262144 bytes
        plain, one byte more: 413 the body is larger than 262144 bytes
        two lengths: 400 -32600 id null: malformed request head: `Content-Length` is there twice, as `200` and `5`; send it once
        two equal lengths: 200 ok
        a length beside chunks: 400 -32600 id null: malformed request head: it has both `Content-Length: 200` and `Transfer-Encoding: chunked`; leave one of them out
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn heads_beyond_the_limit() {
    let server = Server::start(FakeFront::default()).await;
    let many = (0..80).fold(Request::call("scale", json!({})), |request, number| {
        request.and(&format!("X-{number}"), "1")
    });
    let rows = vec![
        ("a long header", Request::call("scale", json!({})).and("X-Long", &"x".repeat(20_000))),
        ("many headers", many),
        ("a long path", Request::new("GET", &format!("/{}", "x".repeat(20_000)))),
    ];
    expect![[r#"
        a long header: 431 -32600 id null: the request's head has more than 16384 bytes or more than 64 headers; send fewer
        many headers: 431 -32600 id null: the request's head has more than 16384 bytes or more than 64 headers; send fewer
        a long path: 431 the request's head has more than 16384 bytes or more than 64 headers; send fewer
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    assert_eq!(server.raw(b"\x16\x03\x01\x02\x00\x01").await.status, 400, "TLS on a plain port");
}

#[tokio::test]
async fn heads_that_two_readers_could_read_differently() {
    let server = Server::start(FakeFront::default()).await;
    let call = Request::call("scale", json!({})).bytes();
    let text = String::from_utf8(call.clone()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let with = |line: &str| format!("{head}\r\n{line}\r\n\r\n{body}").into_bytes();
    let mut told = String::new();
    for (name, bytes) in [
        ("LF alone", format!("{}\n\n{body}", head.replace("\r\n", "\n")).into_bytes()),
        ("one LF alone", text.replacen("\r\n", "\n", 1).into_bytes()),
        ("a bare CR", with("X: a\rb")),
        ("a folded line", with(" folded")),
        ("a space before the colon", with("Transfer-Encoding : chunked")),
        ("a length and chunks", with("Transfer-Encoding: chunked")),
        ("another length", with("Content-Length: 4")),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("plain HTTP, LF alone", b"GET /v1/tools HTTP/1.1\nHost: localhost\n\n".to_vec()),
    ] {
        told += &format!("{name}: {}\n", server.raw(&bytes).await.line());
    }
    expect![[r#"
        LF alone: 400 -32600 id null: malformed request head: a line ends with LF alone; end each line with CR LF
        one LF alone: 400 -32600 id null: malformed request head: a line ends with LF alone; end each line with CR LF
        a bare CR: 400 -32600 id null: malformed request head: it holds a CR without LF; end each line with CR LF
        a folded line: 400 -32600 id null: malformed request head: a line begins with a space; write each header on one line
        a space before the colon: 400 -32600 id null: malformed request head: `Transfer-Encoding ` is no header's name; write it without spaces: `NAME: VALUE`
        a length and chunks: 400 -32600 id null: malformed request head: it has both `Content-Length: 200` and `Transfer-Encoding: chunked`; leave one of them out
        another length: 400 -32600 id null: malformed request head: `Content-Length` is there twice, as `200` and `4`; send it once
        HTTP/2: 400 malformed request head: its first line is not `METHOD TARGET HTTP/1.1`
        plain HTTP, LF alone: 400 malformed request head: a line ends with LF alone; end each line with CR LF
    "#]].assert_eq(&told);
    assert_eq!(server.front.last.lock().unwrap().take(), None, "nothing was called");
    // Behind a correct request on the same connection: the first is answered, the second refused.
    let kept = Request::call("scale", json!({})).without("Connection").bytes();
    let second = b"POST /mcp HTTP/1.1\nHost: localhost\n\n".to_vec();
    let mut stream = server.connect().await;
    stream.write_all(&[kept, second].concat()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(
        (text.matches("HTTP/1.1 200").count(), text.matches("HTTP/1.1 400").count()),
        (1, 1),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_is_read_even_while_a_large_body_is_sent() {
    let server = Server::start(FakeFront::default()).await;
    let large =
        Request::call("scale", json!({})).body(vec![b' '; 400_000]).without("Connection").bytes();
    let stream = server.connect().await;
    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        for chunk in large.chunks(4_096) {
            if writing.write_all(chunk).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        writing
    });
    let mut text = String::new();
    reading.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("connection: close"), "{text}");
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn connections_that_only_sit_there_shut_out_no_other() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.connections = 16
    })
    .await;
    let mut proven = server.connect().await;
    let known = Request::call("scale", json!({})).with_token();
    proven.write_all(&known.clone().without("Connection").bytes()).await.unwrap();
    let mut answer = [0; 15];
    proven.read_exact(&mut answer).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(server.connect().await);
    }
    assert_eq!(server.send(&known).await.status, 200, "another client");
    assert_eq!(server.send(&Request::new("GET", "/healthz")).await.status, 200, "a probe");
    proven.write_all(&known.bytes()).await.unwrap();
    let mut rest = String::new();
    proven.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200"), "a connection that had sent a token is kept: {rest}");
    // The oldest idle connections were closed.
    let mut nothing = [0; 1];
    let first = tokio::time::timeout(PATIENCE, idle[0].read(&mut nothing)).await;
    assert!(matches!(first, Ok(Ok(0) | Err(_))));
}

#[tokio::test]
async fn when_all_connections_work_probes_are_still_answered() {
    let server = Server::with(FakeFront::default(), |settings| settings.connections = 1).await;
    let mut working = server.connect().await;
    working.write_all(&Request::call("held", json!({})).bytes()).await.unwrap();
    server.until_called().await;
    let refused = server.send(&Request::call("scale", json!({}))).await;
    expect![
        "503 -32603 id 7: busy: all connections are in use; nothing was executed; try again in a \
         second"
    ]
    .assert_eq(&refused.line());
    assert_eq!(
        (refused.header("retry-after"), refused.header("connection")),
        (Some("1"), Some("close"))
    );
    assert_eq!(server.send(&Request::new("GET", "/healthz")).await.status, 200);
    assert_eq!(server.send(&Request::new("GET", "/readyz")).await.status, 200);
    server.front.let_go.notify_one();
    assert_eq!(read(&mut working).await.status, 200);
    // The place is free when its connection has ended, which is after its response.
    let served =
        async { while server.send(&Request::call("scale", json!({}))).await.status != 200 {} };
    tokio::time::timeout(PATIENCE, served).await.expect("then others are served again");
}

#[tokio::test]
async fn a_kept_connection_says_for_how_long() {
    let server = Server::start(FakeFront::default()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(&Request::call("scale", json!({})).without("Connection").bytes())
        .await
        .unwrap();
    let mut bytes = vec![0; 2_048];
    let count = stream.read(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
    assert!(
        text.contains("keep-alive: timeout=110\r\n"),
        "less than the 120 s that are kept: {text}"
    );

    let short = Server::with(FakeFront::default(), |settings| {
        settings.idle_time = Duration::from_millis(300)
    })
    .await;
    let mut stream = short.connect().await;
    stream
        .write_all(&Request::call("scale", json!({})).without("Connection").bytes())
        .await
        .unwrap();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "closed once it was idle: {text}");
}

#[tokio::test]
async fn one_caller_leaves_room_for_others() {
    let server = Server::with(FakeFront::default(), |settings| settings.each.calls = 1).await;
    let server = Arc::new(server);
    let first = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.send(&Request::call("held", json!({}))).await }
    });
    server.until_called().await;
    let more = server.send(&Request::call("scale", json!({}))).await;
    expect![
        "429 -32603 id 7: over a limit: this agent has 1 calls in progress; nothing was executed; \
         try again in 1 s"
    ]
    .assert_eq(&more.line());
    assert_eq!(more.header("retry-after"), Some("1"));
    let other = Request::call("scale", json!({})).with_token();
    assert_eq!(server.send(&other).await.status, 200, "another caller");
    server.front.let_go.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(server.send(&Request::call("scale", json!({}))).await.status, 200);
}

#[tokio::test]
async fn slow_heads_and_bodies_are_given_up() {
    let server = Server::with(FakeFront::default(), |settings| {
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
        if stream.write_all(byte).await.is_err() || started.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(started.elapsed() < PATIENCE, "a head byte by byte is given up");
    assert!(matches!(read(&mut stream).await.status, 0 | 408));

    let mut stream = server.connect().await;
    stream.write_all(&head).await.unwrap();
    stream.write_all(&body[..10]).await.unwrap();
    let answer = read(&mut stream).await;
    expect!["408 -32600 id null: the body did not arrive in time"].assert_eq(&answer.line());
    assert_eq!(answer.header("connection"), Some("close"));

    let mut stream = server.connect().await;
    let mut nothing = [0; 1];
    let idle = tokio::time::timeout(PATIENCE, stream.read(&mut nothing)).await;
    assert!(matches!(idle, Ok(Ok(0) | Err(_))), "an idle connection is closed");
}

#[tokio::test]
async fn a_body_that_breaks_off_runs_nothing() {
    let server = Server::start(FakeFront::default()).await;
    let mut stream = server.connect().await;
    let bytes = Request::call("slow", json!({})).bytes();
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    drop(stream);
    assert!(server.stop().await.clean);
}

#[tokio::test]
async fn a_reader_who_takes_nothing_loses_the_connection() {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.write_time = Duration::from_millis(200);
        settings.connections = 1;
    })
    .await;
    let mut deaf = server.connect().await;
    deaf.write_all(&Request::call("big", json!({})).bytes()).await.unwrap();
    // It has the one connection. The next client is served after it was given up.
    let next =
        tokio::time::timeout(PATIENCE, server.send(&Request::call("scale", json!({})))).await;
    assert_eq!(next.unwrap().status, 200);
    drop(deaf);
}

#[tokio::test]
async fn connections_and_calls_are_counted() {
    let server = Server::with(FakeFront::default(), |settings| settings.calls = 1).await;
    let server = Arc::new(server);
    let first = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.send(&Request::call("held", json!({}))).await }
    });
    server.until_called().await;
    let busy = server.send(&Request::call("scale", json!({}))).await;
    expect![
        "503 -32603 id 7: busy: too many calls are in progress; nothing was executed; try again \
         in a second"
    ]
    .assert_eq(&busy.line());
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(
        server.send(&Request::modern("tools/list", json!({}))).await.status,
        200,
        "lists go on"
    );
    server.front.let_go.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(server.send(&Request::call("scale", json!({}))).await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(FakeFront::default()).await;
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
    let mut server = Server::start(FakeFront::default()).await;
    let mut busy = server.connect().await;
    let idle = server.connect().await;
    busy.write_all(&Request::call("held", json!({})).bytes()).await.unwrap();
    server.until_called().await;
    server.begin_stop();
    server.front.let_go.notify_one();
    assert_eq!(read(&mut busy).await.status, 200, "the answer still comes");
    let drained = server.stop().await;
    assert!(drained.clean);
    drop(idle);
}

#[tokio::test]
async fn the_stop_does_not_wait_for_ever() {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.drain_time = Duration::from_millis(50)
    })
    .await;
    let mut busy = server.connect().await;
    busy.write_all(&Request::call("held", json!({})).bytes()).await.unwrap();
    server.until_called().await;
    let drained = server.stop().await;
    assert_eq!((drained.clean, drained.cut), (false, 1));
}

#[tokio::test]
async fn a_server_that_drains_refuses_new_calls_and_cuts_no_caller_off() {
    let mut server = Server::start(FakeFront::default()).await;
    let mut busy = server.connect().await;
    busy.write_all(&Request::call("slow", json!({})).bytes()).await.unwrap();
    server.until_called().await;
    server.calls.drain();
    // Like a client that keeps its connection: without `Connection: close`.
    let new = server.send(&Request::call("scale", json!({})).without("Connection")).await;
    expect![
        "503 -32603 id 7: stopping: no new call is taken; nothing was executed; try again in a \
         few seconds"
    ]
    .assert_eq(&new.line());
    assert_eq!((new.header("retry-after"), new.header("connection")), (Some("5"), Some("close")));
    let told =
        server.send(&Request::call("job_get", json!({"id": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}))).await;
    assert_eq!(told.status, 200, "what became of earlier calls is still told");
    let get = |path: &str| Request::new("GET", path).without("Connection");
    let ready = server.send(&get("/readyz")).await;
    assert_eq!((ready.status, ready.body.as_slice()), (503, &b"stopping\n"[..]));
    assert_eq!(server.send(&get("/healthz")).await.status, 200);

    // Connected, with its request still on its way, when the listener closes.
    let mut late = server.connect().await;
    server.begin_stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    late.write_all(&get("/healthz").bytes()).await.unwrap();
    assert_eq!(read(&mut late).await.status, 200);
    assert_eq!(read(&mut busy).await.status, 200, "the answer still comes");
    assert!(server.stop().await.clean);
}
