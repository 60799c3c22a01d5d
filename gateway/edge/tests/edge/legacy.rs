//! Revisions before 2026-07-28, without sessions.

use crate::front::FakeFront;
use crate::wire::{Request, Server, send_all};
use expect_test::expect;
use serde_json::json;

fn notification(method: &str) -> Request {
    Request::legacy(method, json!({})).json(&json!({"jsonrpc": "2.0", "method": method}))
}

#[tokio::test]
async fn a_legacy_conversation() {
    let server = Server::start(FakeFront::default()).await;
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
    "clientInfo": {"name": "c", "version": "1"}});
    let answer = server
        .send(&Request::legacy("initialize", hello.clone()).without("MCP-Protocol-Version"))
        .await;
    assert_eq!(answer.header("mcp-session-id"), None, "no session is minted");
    expect![[r#"
        200
        {
          "id": "a",
          "jsonrpc": "2.0",
          "result": {
            "capabilities": {
              "completions": {},
              "prompts": {},
              "resources": {},
              "tools": {}
            },
            "instructions": "Changes to staging, decided by policy.",
            "protocolVersion": "2025-11-25",
            "serverInfo": {
              "name": "cofferdam",
              "title": "Cofferdam (staging)",
              "version": "0.1.0"
            }
          }
        }
    "#]]
    .assert_eq(&answer.pretty());
    let listed = server.send(&Request::legacy("tools/list", json!({}))).await.json();
    let keys: Vec<_> = listed["result"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["tools"], "no resultType, no cache fields");
    expect![[r#"
        200
        {
          "id": "a",
          "jsonrpc": "2.0",
          "result": {
            "_meta": {
              "cofferdam.dev/call": {
                "id": "pptx2e6mf2icaaaaaaaaaaaaaa",
                "ledger": 41,
                "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525"
              }
            },
            "content": [
              {
                "text": "SCALED web to 3",
                "type": "text"
              }
            ],
            "structuredContent": {
              "replicas": 3
            }
          }
        }
    "#]]
    .assert_eq(
        &server.send(&Request::legacy("tools/call", json!({"name": "scale"}))).await.pretty(),
    );
    expect![[r#"
        200
        {
          "id": "a",
          "jsonrpc": "2.0",
          "result": {
            "_meta": {
              "cofferdam.dev/call": {
                "id": "pptx2e6mf2icaaaaaaaaaaaaaa",
                "ledger": 41,
                "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525"
              }
            },
            "content": [
              {
                "text": "DENIED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging\nNothing was changed.\nWhy: 40 replicas are more than 10\nAllowed: up to 10 replicas\nNext: ask for fewer replicas",
                "type": "text"
              }
            ],
            "isError": true
          }
        }
    "#]].assert_eq(&server.send(&Request::legacy("tools/call", json!({"name": "denied", "arguments": {}}))).await.pretty());
    let rows = vec![
        ("initialized", notification("notifications/initialized")),
        ("cancelled", notification("notifications/cancelled")),
        (
            "a notification of no known version",
            notification("notifications/initialized").with("MCP-Protocol-Version", "1"),
        ),
        (
            "a notification without version",
            notification("notifications/initialized").without("MCP-Protocol-Version"),
        ),
        ("ping", Request::legacy("ping", json!({}))),
        ("initialize again", Request::legacy("initialize", hello)),
        ("initialize without version", Request::legacy("initialize", json!({}))),
        ("an unknown method", Request::legacy("prompts/list", json!({}))),
        ("discover", Request::legacy("server/discover", json!({}))),
        ("no name", Request::legacy("tools/call", json!({}))),
        ("an unknown tool", Request::legacy("tools/call", json!({"name": "nobody"}))),
        (
            "a session of somebody's",
            Request::legacy("ping", json!({}))
                .and("Mcp-Session-Id", "abc")
                .and("Last-Event-ID", "3"),
        ),
    ];
    expect![[r#"
        initialized: 202
        cancelled: 202
        a notification of no known version: 400 -32022 id null: unsupported protocol version `1`: this server speaks 2026-07-28, 2025-11-25, 2025-06-18 and 2025-03-26; use a client of one of these
        a notification without version: 202
        ping: 200 ok
        initialize again: 200 ok
        initialize without version: 200 -32602 id "a": invalid params: `protocolVersion` must be a string
        an unknown method: 200 ok
        discover: 200 -32601 id "a": method not found: `server/discover`
        no name: 200 -32602 id "a": invalid params: `name` is missing
        an unknown tool: 200 -32602 id "a": unknown tool: `nobody`
        a session of somebody's: 200 ok
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn structured_content_is_an_object_or_absent() {
    let server = Server::start(FakeFront::default()).await;
    let legacy = server.send(&Request::legacy("tools/call", json!({"name": "array"}))).await.json();
    assert_eq!(legacy["result"].get("structuredContent"), None);
    let modern = server.send(&Request::call("array", json!({}))).await.json();
    assert_eq!(modern["result"]["structuredContent"], json!([1, 2, 3]));
}

#[tokio::test]
async fn older_revisions_are_answered_as_they_are_offered() {
    let server = Server::start(FakeFront::default()).await;
    let offer = |revision: &str| {
        Request::legacy("initialize", json!({"protocolVersion": revision, "capabilities": {}}))
    };
    for (offered, spoken) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
    ] {
        // The header of a handshake has no effect.
        for header in ["", "2025-06-18", "2024-11-05", "2026-07-28", "x"] {
            let answer = server.send(&offer(offered).with("MCP-Protocol-Version", header)).await;
            assert_eq!(answer.json()["result"]["protocolVersion"], spoken, "{offered} {header}");
        }
        let twice = offer(offered).and("MCP-Protocol-Version", "2025-03-26");
        assert_eq!(
            server.send(&twice).await.json()["result"]["protocolVersion"],
            spoken,
            "{offered}"
        );
    }
    let list = |revision: &str| {
        Request::legacy("tools/list", json!({})).with("MCP-Protocol-Version", revision)
    };
    let rows = vec![
        ("2025-11-25", list("2025-11-25")),
        ("2025-06-18", list("2025-06-18")),
        ("2025-03-26", list("2025-03-26")),
        (
            "2025-03-26, a call",
            Request::legacy("tools/call", json!({"name": "scale"}))
                .with("MCP-Protocol-Version", "2025-03-26"),
        ),
        ("no header", Request::legacy("tools/list", json!({})).without("MCP-Protocol-Version")),
        (
            "no header, a call",
            Request::legacy("tools/call", json!({"name": "scale"})).without("MCP-Protocol-Version"),
        ),
        ("an empty header", list("")),
        ("the header twice", list("2025-06-18").and("MCP-Protocol-Version", "2025-06-18")),
        ("the header joined", list("2025-06-18, 2025-06-18")),
        ("two revisions in headers", list("2025-06-18").and("MCP-Protocol-Version", "2025-11-25")),
        ("2024-11-05", list("2024-11-05")),
        (
            "a batch",
            Request::legacy("tools/list", json!({}))
                .json(&json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])),
        ),
    ];
    expect![[r#"
        2025-11-25: 200 ok
        2025-06-18: 200 ok
        2025-03-26: 200 ok
        2025-03-26, a call: 200 ok
        no header: 200 ok
        no header, a call: 200 ok
        an empty header: 200 ok
        the header twice: 200 ok
        the header joined: 200 ok
        two revisions in headers: 400 -32020 id "a": header mismatch: `mcp-protocol-version` is there twice, as `2025-06-18` and `2025-11-25`; send it once
        2024-11-05: 400 -32022 id "a": unsupported protocol version `2024-11-05`: this server speaks 2026-07-28, 2025-11-25, 2025-06-18 and 2025-03-26; use a client of one of these
        a batch: 400 -32600 id null: not a JSON-RPC request: JSON-RPC batches (revision 2025-03-26) are not served; send one message per request
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn the_envelope_is_read_liberally() {
    let server = Server::start(FakeFront::default()).await;
    let send = |body: serde_json::Value| Request::legacy("ping", json!({})).json(&body);
    let request = |method: &str, params: serde_json::Value| {
        send(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    };
    let marked = request("ping", json!({}));
    let marked = marked.clone().body([b"\xef\xbb\xbf".to_vec(), marked.body].concat());
    let mut rows = Vec::new();
    for (name, absent) in [("null", json!(null)), ("a list", json!([])), ("a text", json!(""))] {
        rows.push((format!("params {name}"), request("tools/list", absent.clone())));
        rows.push((format!("_meta {name}"), request("tools/list", json!({"_meta": absent}))));
        rows.push((format!("cursor {name}"), request("tools/list", json!({"cursor": absent}))));
        rows.push((
            format!("arguments {name}"),
            request("tools/call", json!({"name": "scale", "arguments": absent})),
        ));
        rows.push((
            format!("token {name}"),
            request("tools/call", json!({"name": "scale", "_meta": {"progressToken": absent}})),
        ));
        rows.push((
            format!("initialized {name}"),
            send(
                json!({"jsonrpc": "2.0", "method": "notifications/initialized", "params": absent}),
            ),
        ));
    }
    let mut rows: Vec<(&str, Request)> =
        rows.iter().map(|(name, request)| (name.as_str(), request.clone())).collect();
    rows.extend([
        ("a byte order mark", marked),
        (
            "null results",
            send(json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "result": null,
        "error": null})),
        ),
        (
            "a notification with id null",
            send(json!({"jsonrpc": "2.0", "id": null,
        "method": "notifications/initialized"})),
        ),
        (
            "a request with id null",
            send(json!({"jsonrpc": "2.0", "id": null,
        "method": "tools/call", "params": {"name": "scale"}})),
        ),
        ("params a full list", request("tools/list", json!([1]))),
        (
            "arguments a full list",
            request(
                "tools/call",
                json!({"name": "scale",
        "arguments": [1]}),
            ),
        ),
        ("arguments a text", request("tools/call", json!({"name": "scale", "arguments": "{}"}))),
        ("name null", request("tools/call", json!({"name": null}))),
        (
            "a key null",
            request(
                "tools/call",
                json!({"name": "scale",
        "_meta": {"cofferdam.dev/idempotency-key": null}}),
            ),
        ),
    ]);
    expect![[r#"
        params null: 200 ok
        _meta null: 200 ok
        cursor null: 200 ok
        arguments null: 200 ok
        token null: 200 ok
        initialized null: 202
        params a list: 200 ok
        _meta a list: 200 ok
        cursor a list: 200 ok
        arguments a list: 200 ok
        token a list: 200 ok
        initialized a list: 202
        params a text: 200 ok
        _meta a text: 200 ok
        cursor a text: 200 ok
        arguments a text: 200 ok
        token a text: 200 ok
        initialized a text: 202
        a byte order mark: 200 ok
        null results: 200 ok
        a notification with id null: 202
        a request with id null: 400 -32600 id null: not a JSON-RPC request: `id` must be a string or a whole number; only a notification has none
        params a full list: 400 -32602 id 1: invalid params: `params` must be an object
        arguments a full list: 200 -32602 id 1: invalid params: `arguments` must be an object
        arguments a text: 200 -32602 id 1: invalid params: `arguments` must be an object
        name null: 200 -32602 id 1: invalid params: `name` is missing
        a key null: 200 ok
    "#]].assert_eq(&send_all(&server, rows).await);
    server
        .send(&request(
            "tools/call",
            json!({"name": "scale", "arguments": {"a": null, "b": "", "c": []}}),
        ))
        .await;
    let call = server.front.last.lock().unwrap().take().unwrap();
    assert_eq!(
        call.arguments,
        json!({"a": null, "b": "", "c": []}),
        "a tool's arguments are as they were sent"
    );
}

#[tokio::test]
async fn a_header_of_one_revision_and_a_body_of_another() {
    let server = Server::start(FakeFront::default()).await;
    let mixed = |client: &str| {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": client, "version": "1"},
        });
        Request::legacy("tools/call", json!({"name": "scale", "arguments": {}, "_meta": meta}))
    };
    expect![[r#"400 -32020 id "a": header mismatch: `MCP-Protocol-Version` is `2025-11-25` and `_meta` in the body says `2026-07-28`; name the same revision in both"#]].assert_eq(&server.send(&mixed("probe\"\n")).await.line());
    for number in 0..40 {
        server.send(&mixed(&format!("client {number}"))).await;
    }
    let metrics = server.send(&Request::new("GET", "/metrics")).await.text();
    let counted: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("mixed revisions by ")).collect();
    assert_eq!(counted.len(), 33, "{metrics}");
    assert!(counted.contains(&"mixed revisions by probe__: 1"), "{metrics}");
    assert!(counted.contains(&"mixed revisions by other: 9"), "{metrics}");
    assert_eq!(server.front.last.lock().unwrap().take(), None, "nothing was called");
}
