//! `tools/call`: the call that the Front gets, the response, and the built-in tools.

use crate::front::{FakeFront, id};
use crate::wire::{FromAgent, Request, Server, send_all};
use expect_test::expect;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt as _;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_call_reaches_the_front_as_it_was_sent() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let meta = json!({"traceparent": TRACE, "cofferdam.dev/idempotency-key": "k-1"});
    let request = Request::modern(
        "tools/call",
        json!({"name": "scale", "arguments": {"replicas": 3}, "_meta": meta}),
    );
    let answer = server.send(&request.with_token()).await;
    expect![[r#"
        200
        {
          "id": 7,
          "jsonrpc": "2.0",
          "result": {
            "_meta": {
              "cofferdam.dev/call": {
                "id": "pptx2e6mf2icaaaaaaaaaaaaaa",
                "ledger": 41,
                "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525"
              },
              "io.modelcontextprotocol/serverInfo": {
                "name": "cofferdam",
                "title": "Cofferdam (staging)",
                "version": "0.1.0"
              }
            },
            "content": [
              {
                "text": "SCALED web to 3",
                "type": "text"
              }
            ],
            "resultType": "complete",
            "structuredContent": {
              "replicas": 3
            }
          }
        }
    "#]]
    .assert_eq(&answer.pretty());
    let call = server.front.last.lock().unwrap().take().unwrap();
    assert_eq!((call.principal.name.as_str(), call.tool.as_str()), ("alice", "scale"));
    assert_eq!(
        (call.arguments, call.key.as_deref(), call.wait_ms),
        (json!({"replicas": 3}), Some("k-1"), 45_000)
    );
    assert_eq!(call.trace.unwrap().0, TRACE);
}

#[tokio::test]
async fn keys_and_traces_of_another_form() {
    let server = Server::start(FakeFront::default()).await;
    let keyed = |key: Value| {
        Request::modern(
            "tools/call",
            json!({"name": "scale", "_meta": {"cofferdam.dev/idempotency-key": key}}),
        )
    };
    let traced = |trace: Value| {
        Request::modern("tools/call", json!({"name": "scale", "_meta": {"traceparent": trace}}))
    };
    let rows = vec![
        ("a number as key", keyed(json!(1))),
        ("an empty key", keyed(json!(""))),
        ("a key with spaces", keyed(json!("a b"))),
        ("a long key", keyed(json!("k".repeat(129)))),
        (
            "a trace of nothing",
            traced(json!("00-00000000000000000000000000000000-0000000000000000-00")),
        ),
        ("a trace of another type", traced(json!(5))),
    ];
    expect![[r#"
        a number as key: 200 -32602 id 7: invalid params: `cofferdam.dev/idempotency-key` must be 1 to 128 visible ASCII characters
        an empty key: 200 -32602 id 7: invalid params: `cofferdam.dev/idempotency-key` must be 1 to 128 visible ASCII characters
        a key with spaces: 200 -32602 id 7: invalid params: `cofferdam.dev/idempotency-key` must be 1 to 128 visible ASCII characters
        a long key: 200 -32602 id 7: invalid params: `cofferdam.dev/idempotency-key` must be 1 to 128 visible ASCII characters
        a trace of nothing: 200 ok
        a trace of another type: 200 ok
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    assert_eq!(
        server.front.last.lock().unwrap().take().unwrap().trace,
        None,
        "an invalid trace is as if it were not there"
    );
}

#[tokio::test]
async fn companions() {
    let server = Server::start(FakeFront::default()).await;
    let text = async |tool: &str, arguments: Value| {
        let body = server.send(&Request::call(tool, arguments)).await.json();
        body["result"]["content"][0]["text"]
            .as_str()
            .map_or_else(|| body["error"].to_string(), str::to_owned)
            + "\n"
    };
    let mut told = String::new();
    for (tool, arguments) in [
        ("preview", json!({"tool": "scale", "arguments": {"replicas": 3}})),
        ("preview", json!({"tool": "scale"})),
        ("preview", json!({})),
        ("preview", json!({"tool": 1})),
        ("preview", json!({"tool": "scale", "arguments": []})),
        ("preview", json!({"tool": "scale", "dry_run": true})),
        ("job_get", json!({"id": id()})),
        ("job_get", json!({"id": id(), "wait_seconds": 45})),
        ("job_get", json!({"id": id(), "wait_seconds": 46})),
        ("job_get", json!({"id": id(), "wait_seconds": -1})),
        ("job_get", json!({"id": id(), "wait_seconds": 1.5})),
        ("job_get", json!({"id": "abc"})),
        ("job_get", json!({"id": 5})),
        ("job_get", json!({})),
        ("job_get", json!({"id": "aaaaaaaaaaaaaaaaaaaaaaaaaa"})),
        ("calls_list", json!({})),
        ("calls_list", json!({"open": true, "limit": 5})),
        ("calls_list", json!({"limit": 51})),
        ("calls_list", json!({"open": "yes"})),
        ("job_cancel", json!({"id": id()})),
        ("job_cancel", json!({"id": id(), "wait_seconds": 1})),
    ] {
        let answer = text(tool, arguments.clone()).await;
        told.push_str(&format!("{tool} {arguments}\n{answer}\n"));
    }
    expect![[r#"
        preview {"arguments":{"replicas":3},"tool":"scale"}
        PREVIEW of scale with {"replicas":3}

        preview {"tool":"scale"}
        PREVIEW of scale with {}

        preview {}
        BAD ARGUMENTS: `tool` is missing: the name of the tool to show
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        preview {"tool":1}
        BAD ARGUMENTS in `tool`: it must be a string
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        preview {"arguments":[],"tool":"scale"}
        BAD ARGUMENTS in `arguments`: it must be an object
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        preview {"dry_run":true,"tool":"scale"}
        BAD ARGUMENTS in `dry_run`: there is no such argument
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {"id":"pptx2e6mf2icaaaaaaaaaaaaaa"}
        job of anonymous, held 0 ms

        job_get {"id":"pptx2e6mf2icaaaaaaaaaaaaaa","wait_seconds":45}
        job of anonymous, held 45000 ms

        job_get {"id":"pptx2e6mf2icaaaaaaaaaaaaaa","wait_seconds":46}
        BAD ARGUMENTS in `wait_seconds`: it must be a whole number from 0 to 45
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {"id":"pptx2e6mf2icaaaaaaaaaaaaaa","wait_seconds":-1}
        BAD ARGUMENTS in `wait_seconds`: it must be a whole number from 0 to 45
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {"id":"pptx2e6mf2icaaaaaaaaaaaaaa","wait_seconds":1.5}
        BAD ARGUMENTS in `wait_seconds`: it must be a whole number from 0 to 45
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {"id":"abc"}
        BAD ARGUMENTS in `id`: it must be 26 characters of a-z and 2-7
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {"id":5}
        BAD ARGUMENTS in `id`: it must be a string
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {}
        BAD ARGUMENTS: `id` is missing: the call's id, as its result named it
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_get {"id":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}
        NOT FOUND pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        Nothing was changed.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas

        calls_list {}
        calls of anonymous: open false, limit 20

        calls_list {"limit":5,"open":true}
        calls of anonymous: open true, limit 5

        calls_list {"limit":51}
        BAD ARGUMENTS in `limit`: it must be a whole number from 1 to 50
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        calls_list {"open":"yes"}
        BAD ARGUMENTS in `open`: it must be true or false
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

        job_cancel {"id":"pptx2e6mf2icaaaaaaaaaaaaaa"}
        withdrawn by anonymous

        job_cancel {"id":"pptx2e6mf2icaaaaaaaaaaaaaa","wait_seconds":1}
        BAD ARGUMENTS in `wait_seconds`: there is no such argument
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again

    "#]]
    .assert_eq(&told);
}

#[tokio::test]
async fn only_a_client_that_hears_progress_waits_long_for_a_person() {
    let server = Server::start(FakeFront::default()).await;
    let with = |meta: Value| Request::modern("tools/call", json!({"name": "scale", "_meta": meta}));
    let plain = |path: &str| Request::new("POST", path).json(&json!({}));
    for (request, person_ms) in [
        (with(json!({})), 3_000),
        (with(json!({"progressToken": 1})), 45_000),
        (plain("/v1/tools/scale"), 3_000),
        (plain("/v1/tools/scale?wait=20"), 20_000),
        (plain("/v1/tools/scale?wait=0"), 0),
    ] {
        server.send(&request).await;
        let call = server.front.last.lock().unwrap().take().unwrap();
        assert_eq!(call.person_ms, person_ms);
        assert!(call.wait_ms >= person_ms);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_nothing() {
    let server = Server::start(FakeFront::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(&Request::call("slow", json!({})).bytes()).await.unwrap();
    server.until_called().await;
    drop(stream);
    let front = std::sync::Arc::clone(&server.front);
    let drained = server.stop().await;
    assert!(drained.clean, "the stop waits for the call whose client is gone");
    assert_eq!(front.finished.load(Ordering::SeqCst), 1);
}
