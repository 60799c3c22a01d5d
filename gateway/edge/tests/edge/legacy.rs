//! Revision 2025-11-25 without sessions.

use crate::front::Small;
use crate::wire::{Request, Server, table};
use expect_test::expect;
use serde_json::json;

fn notification(method: &str) -> Request {
    Request::legacy(method, json!({})).json(&json!({"jsonrpc": "2.0", "method": method}))
}

#[tokio::test]
async fn a_legacy_conversation() {
    let server = Server::start(Small::default()).await;
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let answer = server.send(&Request::legacy("initialize", hello.clone()).without("MCP-Protocol-Version")).await;
    assert_eq!(answer.header("mcp-session-id"), None, "no session is minted");
    expect![[r#"
        200
        {
          "id": "a",
          "jsonrpc": "2.0",
          "result": {
            "capabilities": {
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
    .assert_eq(&server.send(&Request::legacy("tools/call", json!({"name": "scale"}))).await.pretty());
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
        ("a notification of no known version", notification("notifications/initialized").with("MCP-Protocol-Version", "1")),
        ("a notification without version", notification("notifications/initialized").without("MCP-Protocol-Version")),
        ("ping", Request::legacy("ping", json!({}))),
        ("initialize again", Request::legacy("initialize", hello)),
        ("initialize, an older revision", Request::legacy("initialize", json!({"protocolVersion": "2024-11-05", "capabilities": {}}))),
        ("initialize without version", Request::legacy("initialize", json!({}))),
        ("an unknown method", Request::legacy("prompts/list", json!({}))),
        ("discover", Request::legacy("server/discover", json!({}))),
        ("no name", Request::legacy("tools/call", json!({}))),
        ("an unknown tool", Request::legacy("tools/call", json!({"name": "nobody"}))),
        ("a session of somebody's", Request::legacy("ping", json!({})).and("Mcp-Session-Id", "abc").and("Last-Event-ID", "3")),
    ];
    expect![[r#"
        initialized: 202
        cancelled: 202
        a notification of no known version: 400 -32022 no id: unsupported protocol version
        a notification without version: 202
        ping: 200 ok
        initialize again: 200 ok
        initialize, an older revision: 200 ok
        initialize without version: 200 -32602 id "a": invalid params: `protocolVersion` must be a string
        an unknown method: 200 -32601 id "a": method not found: `prompts/list`
        discover: 200 -32601 id "a": method not found: `server/discover`
        no name: 200 -32602 id "a": invalid params: `name` is missing
        an unknown tool: 200 -32602 id "a": unknown tool: `nobody`
        a session of somebody's: 200 ok
    "#]]
    .assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn structured_content_is_an_object_or_absent() {
    let server = Server::start(Small::default()).await;
    let legacy = server.send(&Request::legacy("tools/call", json!({"name": "array"}))).await.json();
    assert_eq!(legacy["result"].get("structuredContent"), None);
    let modern = server.send(&Request::call("array", json!({}))).await.json();
    assert_eq!(modern["result"]["structuredContent"], json!([1, 2, 3]));
}
