//! The denial table as a contract: every row that exists, on MCP and on plain HTTP, and every way a request can be malformed.

use crate::front::{Small, TOKEN};
use crate::wire::{Request, Server, table};
use expect_test::expect;
use serde_json::{Value, json};

fn rpc(body: Value) -> Request {
    Request::call("scale", json!({})).json(&body)
}

#[tokio::test]
async fn rows_of_the_table_on_mcp() {
    let server = Server::start(Small::default()).await;
    let rows = ["scale", "waiting", "denied", "declined", "conflict", "failed", "lost", "bad", "nobody", "down"];
    let rows = rows.into_iter().map(|tool| (tool, Request::call(tool, json!({})))).collect();
    expect![[r#"
        scale: 200 ok
        waiting: 200 ok
        denied: 200 ok
        declined: 200 ok
        conflict: 200 ok
        failed: 200 ok
        lost: 200 ok
        bad: 200 ok
        nobody: 200 -32602 id 7: unknown tool: `nobody`
        down: 503 -32603 id 7: cannot decide or cannot record: the recorder does not answer; nothing was executed
    "#]]
    .assert_eq(&table(&server, rows).await);
    for tool in ["denied", "bad", "waiting"] {
        let answer = server.send(&Request::call(tool, json!({}))).await;
        match tool {
            "denied" => expect![[r#"
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
                        "text": "DENIED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging\nNothing was changed.\nWhy: 40 replicas are more than 10\nAllowed: up to 10 replicas\nNext: ask for fewer replicas",
                        "type": "text"
                      }
                    ],
                    "isError": true,
                    "resultType": "complete"
                  }
                }
            "#]].assert_eq(&answer.pretty()),
            "bad" => expect![[r#"
                200
                {
                  "id": 7,
                  "jsonrpc": "2.0",
                  "result": {
                    "_meta": {
                      "io.modelcontextprotocol/serverInfo": {
                        "name": "cofferdam",
                        "title": "Cofferdam (staging)",
                        "version": "0.1.0"
                      }
                    },
                    "content": [
                      {
                        "text": "BAD ARGUMENTS at /replicas\nNothing was changed.\nWhy: it must be at most 10\nAllowed: what the tool's input schema describes\nNext: mend the arguments and call again",
                        "type": "text"
                      }
                    ],
                    "isError": true,
                    "resultType": "complete"
                  }
                }
            "#]].assert_eq(&answer.pretty()),
            _ => expect![[r#"
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
                        "text": "WAITING for a person",
                        "type": "text"
                      }
                    ],
                    "resultType": "complete",
                    "structuredContent": {
                      "pending": {
                        "phase": "awaiting_approval"
                      }
                    }
                  }
                }
            "#]].assert_eq(&answer.pretty()),
        }
    }
}

#[tokio::test]
async fn rows_of_the_table_on_plain_http() {
    let server = Server::start(Small::default()).await;
    let post = |tool: &str| Request::new("POST", &format!("/v1/tools/{tool}")).json(&json!({}));
    let rows = ["scale", "waiting", "denied", "declined", "conflict", "failed", "lost", "bad", "nobody", "preview", "down"];
    let rows = rows.into_iter().map(|tool| (tool, post(tool))).collect();
    expect![[r#"
        scale: 200 ok
        waiting: 202 ok
        denied: 403 DENIED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        Nothing was changed.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas
        declined: 422 DECLINED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        Nothing was changed.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas
        conflict: 409 CONFLICT pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        Nothing was changed.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas
        failed: 200 FAILED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        What was changed was undone.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas
        lost: 200 INDETERMINATE pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging
        It is not known whether anything was changed.
        Why: 40 replicas are more than 10
        Allowed: up to 10 replicas
        Next: ask for fewer replicas
        bad: 422 BAD ARGUMENTS at /replicas
        Nothing was changed.
        Why: it must be at most 10
        Allowed: what the tool's input schema describes
        Next: mend the arguments and call again
        nobody: 404 unknown tool: `nobody`
        preview: 404 unknown tool: `preview`
        down: 503 cannot decide or cannot record: the recorder does not answer; nothing was executed
    "#]]
    .assert_eq(&table(&server, rows).await);
    expect![[r#"
        403
        {
          "error": {
            "allowed": "up to 10 replicas",
            "call": "pptx2e6mf2icaaaaaaaaaaaaaa",
            "changed": "nothing",
            "environment": "staging",
            "ledger": 41,
            "next": "ask for fewer replicas",
            "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
            "rule": "replicas.limit",
            "text": "DENIED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging\nNothing was changed.\nWhy: 40 replicas are more than 10\nAllowed: up to 10 replicas\nNext: ask for fewer replicas",
            "verb": "DENIED",
            "why": "40 replicas are more than 10"
          }
        }
    "#]].assert_eq(&server.send(&post("denied")).await.pretty());
    expect![[r#"
        422
        {
          "error": {
            "path": "/replicas",
            "reason": "it must be at most 10",
            "text": "BAD ARGUMENTS at /replicas\nNothing was changed.\nWhy: it must be at most 10\nAllowed: what the tool's input schema describes\nNext: mend the arguments and call again"
          }
        }
    "#]].assert_eq(&server.send(&post("bad")).await.pretty());
    expect![[r#"
        202
        {
          "call": "pptx2e6mf2icaaaaaaaaaaaaaa",
          "ledger": 41,
          "pending": {
            "phase": "awaiting_approval"
          },
          "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
          "text": "WAITING for a person"
        }
    "#]]
    .assert_eq(&server.send(&post("waiting")).await.pretty());
    expect![[r#"
        200
        {
          "call": "pptx2e6mf2icaaaaaaaaaaaaaa",
          "ledger": 41,
          "plan": "sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525",
          "result": {
            "replicas": 3
          },
          "text": "SCALED web to 3"
        }
    "#]]
    .assert_eq(&server.send(&post("scale")).await.pretty());
}

#[tokio::test]
async fn without_a_valid_token() {
    let server = Server::start(Small { closed: true, ..Small::default() }).await;
    let call = || Request::call("scale", json!({}));
    let list = || Request::new("GET", "/v1/tools");
    let rows = vec![
        ("no token", call()),
        ("nobody's token", call().and("Authorization", "Bearer nobody")),
        ("another scheme", call().and("Authorization", "Basic YTpi")),
        ("an empty token", call().and("Authorization", "Bearer ")),
        ("two tokens", call().and("Authorization", "Bearer a").and("Authorization", &format!("Bearer {TOKEN}"))),
        ("a token in the query", Request { line: "POST /mcp?access_token=x HTTP/1.1".into(), ..call() }),
        ("a token in the query, plain", Request::new("GET", &format!("/v1/tools?token={TOKEN}"))),
        ("a valid token", call().and("Authorization", &format!("Bearer {TOKEN}"))),
        ("a valid token, scheme in lower case", call().and("Authorization", &format!("bearer {TOKEN}"))),
        ("plain, no token", list()),
        ("plain, a valid token", list().and("Authorization", &format!("Bearer {TOKEN}"))),
    ];
    expect![[r#"
        no token: 401 -32600 no id: a token is needed: send `Authorization: Bearer …`; `cofferdam agents add` makes one
        nobody's token: 401 -32600 no id: the token is not valid; `cofferdam agents` lists who has one
        another scheme: 401 -32600 no id: the token is not valid; `cofferdam agents` lists who has one
        an empty token: 401 -32600 no id: the token is not valid; `cofferdam agents` lists who has one
        two tokens: 400 -32600 no id: the header `authorization` stands twice
        a token in the query: 400 -32600 no id: this path takes no query string; tokens belong in the `Authorization` header
        a token in the query, plain: 400 this path takes no query string; tokens belong in the `Authorization` header
        a valid token: 200 ok
        a valid token, scheme in lower case: 200 ok
        plain, no token: 401 a token is needed: send `Authorization: Bearer …`; `cofferdam agents add` makes one
        plain, a valid token: 200 ok
    "#]]
    .assert_eq(&table(&server, rows).await);
    let missing = server.send(&call()).await;
    let unknown = server.send(&list().and("Authorization", "Bearer nobody")).await;
    expect![[r#"Bearer realm="cofferdam", resource_metadata="http://127.0.0.1:7780/.well-known/oauth-protected-resource/mcp""#]]
        .assert_eq(missing.header("www-authenticate").unwrap());
    expect![[r#"Bearer realm="cofferdam", resource_metadata="http://127.0.0.1:7780/.well-known/oauth-protected-resource/mcp", error="invalid_token""#]].assert_eq(unknown.header("www-authenticate").unwrap());
    let metadata = server.send(&Request::new("GET", "/.well-known/oauth-protected-resource/mcp")).await;
    expect![[r#"
        200
        {
          "bearer_methods_supported": [
            "header"
          ],
          "resource": "http://127.0.0.1:7780/mcp",
          "resource_name": "Cofferdam (staging)"
        }
    "#]]
    .assert_eq(&metadata.pretty());
}

#[tokio::test]
async fn messages_that_are_no_request() {
    let server = Server::start(Small::default()).await;
    let raw = |body: &[u8]| Request::call("scale", json!({})).body(body);
    let call = || Request::call("scale", json!({}));
    let meta = || json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let params = |params: Value| rpc(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}));
    let rows = vec![
        ("not JSON", raw(b"{")),
        ("empty", raw(b"")),
        ("a batch", rpc(json!([{"jsonrpc": "2.0", "id": 7, "method": "tools/list"}]))),
        ("a string", rpc(json!("tools/list"))),
        ("a response", rpc(json!({"jsonrpc": "2.0", "id": 7, "result": {}}))),
        ("an error response", rpc(json!({"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "x"}}))),
        ("version 1.0", rpc(json!({"jsonrpc": "1.0", "id": 7, "method": "tools/list"}))),
        ("no jsonrpc", rpc(json!({"id": 7, "method": "tools/list"}))),
        ("no method", rpc(json!({"jsonrpc": "2.0", "id": 7}))),
        ("method of another type", rpc(json!({"jsonrpc": "2.0", "id": 7, "method": 1}))),
        ("id null", rpc(json!({"jsonrpc": "2.0", "id": null, "method": "tools/list"}))),
        ("id with a fraction", rpc(json!({"jsonrpc": "2.0", "id": 7.5, "method": "tools/list"}))),
        ("id an object", rpc(json!({"jsonrpc": "2.0", "id": {}, "method": "tools/list"}))),
        ("no id", rpc(json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "scale"}}))),
        ("params a list", rpc(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": []}))),
        ("_meta a list", params(json!({"name": "scale", "_meta": []}))),
        ("no _meta", params(json!({"name": "scale"}))),
        ("no version in _meta", params(json!({"name": "scale", "_meta": {"io.modelcontextprotocol/clientCapabilities": {}}}))),
        ("version a number", params(json!({"name": "scale", "_meta": {"io.modelcontextprotocol/protocolVersion": 1}}))),
        ("no capabilities in _meta", params(json!({"name": "scale", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}))),
        ("no name", params(json!({"arguments": {}, "_meta": meta()}))),
        ("name a number", params(json!({"name": 1, "_meta": meta()}))),
        ("arguments a list", params(json!({"name": "scale", "arguments": [], "_meta": meta()}))),
        ("arguments null", params(json!({"name": "scale", "arguments": null, "_meta": meta()}))),
        ("no arguments", params(json!({"name": "scale", "_meta": meta()}))),
        ("an unknown method", Request::modern("tools/run", json!({}))),
        ("a method of the legacy era", Request::modern("initialize", json!({}))),
        ("ping in the modern era", Request::modern("ping", json!({}))),
        ("a name no tool can have", Request::call("a b", json!({})).with("Mcp-Name", "a b")),
        ("a name of control characters", Request::call("a\u{7}", json!({})).with("Mcp-Name", "=?base64?YQc=?=")),
        ("an empty name", Request::call("", json!({}))),
        ("right", call()),
    ];
    expect![[r#"
        not JSON: 400 -32700 no id: not strict JSON: EOF while parsing an object at line 1 column 1
        empty: 400 -32700 no id: not strict JSON: EOF while parsing a value at line 1 column 0
        a batch: 400 -32600 no id: not a JSON-RPC request: batches are not served; send one message per request
        a string: 400 -32600 no id: not a JSON-RPC request: it must be an object
        a response: 400 -32600 id 7: not a JSON-RPC request: responses are not taken
        an error response: 400 -32600 id 7: not a JSON-RPC request: responses are not taken
        version 1.0: 400 -32600 id 7: not a JSON-RPC request: `jsonrpc` must be "2.0"
        no jsonrpc: 400 -32600 id 7: not a JSON-RPC request: `jsonrpc` must be "2.0"
        no method: 400 -32600 id 7: not a JSON-RPC request: `method` is missing
        method of another type: 400 -32600 id 7: not a JSON-RPC request: `method` must be a string
        id null: 400 -32600 no id: not a JSON-RPC request: `id` must be a string or a whole number
        id with a fraction: 400 -32600 no id: not a JSON-RPC request: `id` must be a string or a whole number
        id an object: 400 -32600 no id: not a JSON-RPC request: `id` must be a string or a whole number
        no id: 400 -32600 no id: not a JSON-RPC request: `id` is missing, and this method is no notification
        params a list: 400 -32602 id 7: invalid params: `params` must be an object
        _meta a list: 400 -32602 id 7: invalid params: `_meta` must be an object
        no _meta: 400 -32602 id 7: invalid params: `_meta` must name `io.modelcontextprotocol/protocolVersion`
        no version in _meta: 400 -32602 id 7: invalid params: `_meta` must name `io.modelcontextprotocol/protocolVersion`
        version a number: 400 -32602 id 7: invalid params: `io.modelcontextprotocol/protocolVersion` must be a string
        no capabilities in _meta: 400 -32602 id 7: invalid params: `_meta` must hold the object `io.modelcontextprotocol/clientCapabilities`
        no name: 200 -32602 id 7: invalid params: `name` is missing
        name a number: 200 -32602 id 7: invalid params: `name` must be a string
        arguments a list: 200 -32602 id 7: invalid params: `arguments` must be an object
        arguments null: 200 -32602 id 7: invalid params: `arguments` must be an object
        no arguments: 200 ok
        an unknown method: 404 -32601 id 7: method not found: `tools/run`
        a method of the legacy era: 404 -32601 id 7: method not found: `initialize`
        ping in the modern era: 404 -32601 id 7: method not found: `ping`
        a name no tool can have: 200 -32602 id 7: unknown tool: `a b`
        a name of control characters: 200 -32602 id 7: unknown tool: `a�`
        an empty name: 200 -32602 id 7: unknown tool: ``
        right: 200 ok
    "#]]
    .assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn headers_that_say_something_else() {
    let server = Server::start(Small::default()).await;
    let call = || Request::call("scale", json!({}));
    let base64 = Request::call("scale", json!({}));
    let rows = vec![
        ("no version", call().without("MCP-Protocol-Version")),
        ("another version", call().with("MCP-Protocol-Version", "2025-11-25")),
        ("two versions", call().and("MCP-Protocol-Version", "2026-07-28")),
        ("no method", call().without("Mcp-Method")),
        ("another method", call().with("Mcp-Method", "tools/list")),
        ("the method in upper case", call().with("Mcp-Method", "TOOLS/CALL")),
        ("two methods", call().and("Mcp-Method", "tools/call")),
        ("no name", call().without("Mcp-Name")),
        ("another name", call().with("Mcp-Name", "denied")),
        ("the name in another case", call().with("Mcp-Name", "Scale")),
        ("two names", call().and("Mcp-Name", "scale")),
        ("the name in base64", base64.clone().with("Mcp-Name", "=?base64?c2NhbGU=?=")),
        ("another name in base64", base64.clone().with("Mcp-Name", "=?base64?ZGVuaWVk?=")),
        ("broken base64", base64.clone().with("Mcp-Name", "=?base64?c2NhbGU?=")),
        ("base64 of no UTF-8", base64.with("Mcp-Name", "=?base64?/w==?=")),
        ("a name that is not ASCII", call().with("Mcp-Name", "scälé")),
        ("whitespace around values", call().with("Mcp-Name", "  scale \t").with("Mcp-Method", " tools/call ")),
        ("header names in upper case", call().without("Mcp-Method").and("MCP-METHOD", "tools/call")),
        ("legacy, another method", Request::legacy("tools/list", json!({})).and("Mcp-Method", "tools/call")),
        ("legacy, another name", Request::legacy("tools/call", json!({"name": "scale"})).and("Mcp-Name", "denied")),
    ];
    expect![[r#"
        no version: 400 -32020 id 7: header mismatch: `MCP-Protocol-Version` is missing; this server speaks 2026-07-28 and 2025-11-25
        another version: 400 -32020 id 7: header mismatch: `MCP-Protocol-Version` is `2025-11-25` and the body says `2026-07-28`
        two versions: 400 -32020 id 7: header mismatch: `mcp-protocol-version` stands twice
        no method: 400 -32020 id 7: header mismatch: `Mcp-Method` is missing
        another method: 400 -32020 id 7: header mismatch: `Mcp-Method` is `tools/list` and the body says `tools/call`
        the method in upper case: 400 -32020 id 7: header mismatch: `Mcp-Method` is `TOOLS/CALL` and the body says `tools/call`
        two methods: 400 -32020 id 7: header mismatch: `mcp-method` stands twice
        no name: 400 -32020 id 7: header mismatch: `Mcp-Name` is missing
        another name: 400 -32020 id 7: header mismatch: `Mcp-Name` is `denied` and the body says `scale`
        the name in another case: 400 -32020 id 7: header mismatch: `Mcp-Name` is `Scale` and the body says `scale`
        two names: 400 -32020 id 7: header mismatch: `mcp-name` stands twice
        the name in base64: 200 ok
        another name in base64: 400 -32020 id 7: header mismatch: `Mcp-Name` is `denied` and the body says `scale`
        broken base64: 400 -32020 id 7: header mismatch: `Mcp-Name` is not valid base64
        base64 of no UTF-8: 400 -32020 id 7: header mismatch: `Mcp-Name` is not UTF-8 when decoded
        a name that is not ASCII: 400 -32020 id 7: header mismatch: `mcp-name` holds characters other than visible ASCII
        whitespace around values: 200 ok
        header names in upper case: 200 ok
        legacy, another method: 400 -32020 id "a": header mismatch: `Mcp-Method` is `tools/call` and the body says `tools/list`
        legacy, another name: 400 -32020 id "a": header mismatch: `Mcp-Name` is `denied` and the body says `scale`
    "#]]
    .assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn versions_nobody_speaks() {
    let server = Server::start(Small::default()).await;
    let asked = |version: &str| {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}});
        Request::modern("server/discover", json!({}))
            .with("MCP-Protocol-Version", version)
            .json(&json!({"jsonrpc": "2.0", "id": 7, "method": "server/discover", "params": {"_meta": meta}}))
    };
    expect![[r#"
        400
        {
          "error": {
            "code": -32022,
            "data": {
              "requested": "2027-01-01",
              "supported": [
                "2026-07-28",
                "2025-11-25"
              ]
            },
            "message": "unsupported protocol version"
          },
          "id": 7,
          "jsonrpc": "2.0"
        }
    "#]]
    .assert_eq(&server.send(&asked("2027-01-01")).await.pretty());
    let rows = vec![
        ("2025-06-18", asked("2025-06-18")),
        ("2024-11-05", asked("2024-11-05")),
        ("none", asked("")),
        ("legacy, unknown", Request::legacy("tools/list", json!({})).with("MCP-Protocol-Version", "2025-03-26")),
        ("legacy, none", Request::legacy("tools/list", json!({})).without("MCP-Protocol-Version")),
        ("the legacy one, said in _meta", asked("2025-11-25")),
    ];
    expect![[r#"
        2025-06-18: 400 -32022 id 7: unsupported protocol version
        2024-11-05: 400 -32022 id 7: unsupported protocol version
        none: 400 -32022 id 7: unsupported protocol version
        legacy, unknown: 400 -32022 id "a": unsupported protocol version
        legacy, none: 400 -32020 id "a": header mismatch: `MCP-Protocol-Version` is missing; this server speaks 2026-07-28 and 2025-11-25
        the legacy one, said in _meta: 200 -32601 id 7: method not found: `server/discover`
    "#]]
    .assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn when_nothing_can_be_decided() {
    let server = Server::start(Small { down: true, ..Small::default() }).await;
    let rows = vec![
        ("list", Request::modern("tools/list", json!({}))),
        ("list, plain", Request::new("GET", "/v1/tools")),
        ("ready", Request::new("GET", "/readyz")),
        ("alive", Request::new("GET", "/healthz")),
        ("a panic", Request::call("panic", json!({}))),
    ];
    expect![[r#"
        list: 503 -32603 id 7: cannot decide or cannot record: the tools cannot be listed now; nothing was executed
        list, plain: 503 cannot decide or cannot record: the tools cannot be listed now; nothing was executed
        ready: 503 not ready: policy does not answer
        alive: 200 alive
        a panic: 500 -32603 id 7: the gateway failed during this call, and it is not known how far it came; ask for the same again to learn it
    "#]].assert_eq(&table(&server, rows).await);
}
