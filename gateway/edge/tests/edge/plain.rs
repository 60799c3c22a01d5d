//! `/v1`: the same calls for scripts.

use crate::front::{FakeFront, id};
use crate::wire::{FromAgent, Request, Server, send_all};
use expect_test::expect;
use serde_json::json;

#[tokio::test]
async fn a_plain_call_reaches_the_front_as_it_was_sent() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::new("POST", "/v1/tools/scale?wait=5")
        .json(&json!({"replicas": 3}))
        .with_token()
        .and("Idempotency-Key", "k-1")
        .and("traceparent", trace);
    assert_eq!(server.send(&request).await.status, 200);
    let call = server.front.last.lock().unwrap().take().unwrap();
    assert_eq!((call.principal.name.as_str(), call.tool.as_str()), ("alice", "scale"));
    assert_eq!(
        (call.arguments, call.key.as_deref(), call.wait_ms),
        (json!({"replicas": 3}), Some("k-1"), 5_000)
    );
    assert_eq!(call.trace.unwrap().0, trace);
}

#[tokio::test]
async fn previews_jobs_and_lists() {
    let server = Server::start(FakeFront::default()).await;
    expect![[r#"
        200
        {
          "call": "pptx2e6mf2icaaaaaaaaaaaaaa",
          "ledger": 41,
          "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
          "result": {
            "decision": "allow"
          },
          "text": "PREVIEW of scale with {\"replicas\":3}"
        }
    "#]]
    .assert_eq(
        &server
            .send(&Request::new("POST", "/v1/tools/scale/preview").json(&json!({"replicas": 3})))
            .await
            .pretty(),
    );
    expect![[r#"
        200
        {
          "call": "pptx2e6mf2icaaaaaaaaaaaaaa",
          "ledger": 41,
          "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
          "result": {
            "phase": "closed"
          },
          "text": "job of anonymous, held 9000 ms"
        }
    "#]]
    .assert_eq(
        &server.send(&Request::new("GET", &format!("/v1/jobs/{}?wait=9", id()))).await.pretty(),
    );
    expect![[r#"
        200
        {
          "call": "pptx2e6mf2icaaaaaaaaaaaaaa",
          "ledger": 41,
          "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
          "result": {
            "outcome": "cancelled"
          },
          "text": "withdrawn by anonymous"
        }
    "#]]
    .assert_eq(&server.send(&Request::new("DELETE", &format!("/v1/jobs/{}", id()))).await.pretty());
    expect![[r##"
        200
        {
          "environment": "staging",
          "tools": [
            {
              "annotations": {
                "idempotentHint": true,
                "openWorldHint": false
              },
              "description": "Does scale in staging.",
              "inputSchema": {
                "properties": {
                  "purpose": {
                    "maxLength": 300,
                    "type": "string"
                  }
                },
                "type": "object"
              },
              "name": "scale",
              "outputSchema": {
                "$defs": {
                  "n": {
                    "type": "integer"
                  }
                },
                "properties": {
                  "replicas": {
                    "$ref": "#/$defs/n"
                  }
                },
                "type": "object"
              },
              "title": "Tool scale"
            }
          ]
        }
    "##]]
    .assert_eq(&server.send(&Request::new("GET", "/v1/tools")).await.pretty());
}

#[tokio::test]
async fn requests_that_are_not_served() {
    let server = Server::start(FakeFront::default()).await;
    let post = |path: &str| Request::new("POST", path).json(&json!({}));
    let rows = vec![
        ("wait a word", post("/v1/tools/scale?wait=long")),
        ("wait too long", post("/v1/tools/scale?wait=46")),
        ("wait negative", post("/v1/tools/scale?wait=-1")),
        ("wait beyond 64 bits", post("/v1/tools/scale?wait=99999999999999999999")),
        ("wait empty", post("/v1/tools/scale?wait=")),
        ("wait twice", post("/v1/tools/scale?wait=1&wait=2")),
        ("another parameter", post("/v1/tools/scale?dry_run=1")),
        ("a key with spaces", post("/v1/tools/scale").and("Idempotency-Key", "a b")),
        (
            "two keys",
            post("/v1/tools/scale").and("Idempotency-Key", "a").and("Idempotency-Key", "b"),
        ),
        ("a job that is no id", Request::new("GET", "/v1/jobs/abc")),
        ("a job of nobody", Request::new("GET", "/v1/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaa")),
        ("a wait for the withdrawal", Request::new("DELETE", &format!("/v1/jobs/{}?wait=1", id()))),
        ("a panic", post("/v1/tools/panic")),
    ];
    expect![[r#"
        wait a word: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        wait too long: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        wait negative: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        wait beyond 64 bits: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        wait empty: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        wait twice: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        another parameter: 400 the query string may hold `wait=`, whole seconds from 0 to 45, and nothing else; tokens belong in the `Authorization` header
        a key with spaces: 400 invalid params: `Idempotency-Key` must be 1 to 128 visible ASCII characters
        two keys: 400 the header `idempotency-key` is there twice, as `a` and `b`; send it once
        a job that is no id: 404 no such call: `abc`; a call's id has 26 characters of a-z and 2-7, and `GET /v1/calls` lists your calls
        a job of nobody: 404 NOT FOUND pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        Nothing was changed.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas
        a wait for the withdrawal: 400 this path takes no query string; tokens belong in the `Authorization` header
        a panic: 500 the gateway failed during this call, and its effect is unknown; repeat the same request to get its outcome
    "#]].assert_eq(&send_all(&server, rows).await);
}
