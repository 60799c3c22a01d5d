//! The denial table as a contract: every row, on MCP and on plain HTTP, and every malformed form of
//! a request.

use crate::front::{FakeFront, TOKEN};
use crate::wire::{FromAgent, Request, Server, send_all};
use expect_test::expect;
use serde_json::{Value, json};

fn rpc(body: Value) -> Request {
    Request::call("scale", json!({})).json(&body)
}

#[tokio::test]
async fn rows_of_the_table_on_mcp() {
    let server = Server::start(FakeFront::default()).await;
    let rows = [
        "scale", "waiting", "denied", "declined", "conflict", "failed", "lost", "bad", "nobody",
        "down", "crowd",
    ];
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
        crowd: 503 -32603 id 7: busy: 4000 jobs wait for a runner, for about 420 seconds, and the permit of this call would be good for 600 seconds; nothing was executed; try again in 120 s
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    let crowd = server.send(&Request::call("crowd", json!({}))).await;
    assert_eq!((crowd.status, crowd.header("retry-after")), (503, Some("120")));
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
                        "text": "BAD ARGUMENTS in `replicas`: it must be at most 10\nNothing was changed.\nAllowed: what the tool's input schema describes\nNext: correct the arguments and call again",
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
    let server = Server::start(FakeFront::default()).await;
    let post = |tool: &str| Request::new("POST", &format!("/v1/tools/{tool}")).json(&json!({}));
    let rows = [
        "scale", "waiting", "denied", "declined", "conflict", "failed", "lost", "bad", "nobody",
        "preview", "down", "crowd",
    ];
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
        bad: 422 BAD ARGUMENTS in `replicas`: it must be at most 10
        Nothing was changed.
        Allowed: what the tool's input schema describes
        Next: correct the arguments and call again
        nobody: 404 unknown tool: `nobody`
        preview: 404 unknown tool: `preview`
        down: 503 cannot decide or cannot record: the recorder does not answer; nothing was executed
        crowd: 503 busy: 4000 jobs wait for a runner, for about 420 seconds, and the permit of this call would be good for 600 seconds; nothing was executed; try again in 120 s
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    assert_eq!(server.send(&post("crowd")).await.header("retry-after"), Some("120"));
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
            "text": "BAD ARGUMENTS in `replicas`: it must be at most 10\nNothing was changed.\nAllowed: what the tool's input schema describes\nNext: correct the arguments and call again"
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
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let call = || Request::call("scale", json!({}));
    let list = || Request::new("GET", "/v1/tools");
    let rows = vec![
        ("no token", call()),
        ("nobody's token", call().and("Authorization", "Bearer nobody")),
        ("an expired token", call().and("Authorization", "Bearer expired")),
        ("another scheme", call().and("Authorization", "Basic YTpi")),
        ("an empty token", call().and("Authorization", "Bearer ")),
        ("a token without a scheme", call().and("Authorization", TOKEN)),
        (
            "a variable that was not filled in",
            call().and("Authorization", "Bearer ${COFFERDAM_TOKEN}"),
        ),
        ("the scheme twice", call().and("Authorization", "Bearer Bearer x")),
        ("two tokens", call().and("Authorization", "Bearer a").with_token()),
        ("one token twice", call().with_token().with_token()),
        (
            "a token in the query",
            Request { line: "POST /mcp?access_token=x HTTP/1.1".into(), ..call() },
        ),
        ("a token in the query, plain", Request::new("GET", &format!("/v1/tools?token={TOKEN}"))),
        ("a valid token", call().with_token()),
        (
            "a valid token, scheme in lower case",
            call().and("Authorization", &format!("bearer {TOKEN}")),
        ),
        ("plain, no token", list()),
        ("plain, a valid token", list().with_token()),
    ];
    expect![[r#"
        no token: 401 -32600 id 7: a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
        nobody's token: 401 -32600 id 7: the token is not valid; `cofferdam agents list` lists the agents that have one
        an expired token: 401 -32600 id 7: the token has expired; `cofferdam agents rotate` makes a new one
        another scheme: 401 -32600 id 7: the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable
        an empty token: 401 -32600 id 7: the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable
        a token without a scheme: 401 -32600 id 7: the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable
        a variable that was not filled in: 401 -32600 id 7: the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable
        the scheme twice: 401 -32600 id 7: the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable
        two tokens: 400 -32600 id 7: the header `authorization` is there twice, with two values; send it once
        one token twice: 200 ok
        a token in the query: 400 -32600 id 7: this path takes no query string; tokens belong in the `Authorization` header
        a token in the query, plain: 400 this path takes no query string; tokens belong in the `Authorization` header
        a valid token: 200 ok
        a valid token, scheme in lower case: 200 ok
        plain, no token: 401 a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
        plain, a valid token: 200 ok
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    let challenge = async |request: Request| {
        let answer = server.send(&request).await;
        answer.header("www-authenticate").unwrap().to_owned() + "\n"
    };
    let mut challenges = challenge(call()).await;
    challenges += &challenge(list().and("Authorization", "Bearer nobody")).await;
    challenges += &challenge(list().and("Authorization", "Bearer expired")).await;
    challenges += &challenge(call().and("Authorization", TOKEN)).await;
    challenges += &challenge(Request::new("GET", "/mcp").and("Accept", "text/event-stream")).await;
    expect![[r#"
        Bearer realm="cofferdam", error_description="a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one"
        Bearer realm="cofferdam", error="invalid_token", error_description="the token is not valid; `cofferdam agents list` lists the agents that have one"
        Bearer realm="cofferdam", error="invalid_token", error_description="the token has expired; `cofferdam agents rotate` makes a new one"
        Bearer realm="cofferdam", error="invalid_request", error_description="the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable"
        Bearer realm="cofferdam", error_description="a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one"
    "#]].assert_eq(&challenges);
    for request in [Request::new("GET", "/mcp"), Request::new("DELETE", "/mcp")] {
        assert_eq!(server.send(&request).await.status, 401);
        let known = request.with_token();
        assert_eq!(server.send(&known).await.status, 405);
    }
}

#[tokio::test]
async fn there_is_no_sign_in_by_oauth() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let documents =
        ["oauth-authorization-server", "oauth-protected-resource", "openid-configuration"];
    let documents = documents.iter().flat_map(|name| {
        ["/.well-known/NAME", "/.well-known/NAME/mcp", "/mcp/.well-known/NAME"]
            .map(|place| Request::new("GET", &place.replace("NAME", name)))
    });
    let ways = ["/register", "/mcp/register", "/authorize?client_id=x", "/token", "/token/"];
    let ways =
        ways.iter().map(|path| Request::new("POST", path).json(&json!({"client_name": "probe"})));
    let mut bodies = std::collections::BTreeSet::new();
    for request in
        documents.chain(ways).chain([Request::new("GET", "/authorize?response_type=code")])
    {
        let answer = server.send(&request).await;
        let status = if request.line.contains(".well-known") { 404 } else { 400 };
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/json")),
            "{}",
            request.line
        );
        bodies.insert(answer.text());
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    expect![[r#"{"error":"invalid_request","error_description":"Cofferdam has no sign-in by OAuth. Send `Authorization: Bearer TOKEN`; `cofferdam agents add NAME` makes a token, `cofferdam agents list` lists the agents that have one"}"#]].assert_eq(&bodies.into_iter().collect::<String>());
}

#[tokio::test]
async fn refusals_before_the_body_is_read_name_its_id() {
    let server = Server::start(FakeFront { closed: true, ..FakeFront::default() }).await;
    let call = || Request::call("scale", json!({}));
    let known = || call().with_token();
    let large = |request: Request| {
        let mut body = request.body.clone();
        body.resize(300_000, b' ');
        request.body(body)
    };
    let rows = vec![
        ("host", call().with("Host", "evil.example.com")),
        ("origin", call().and("Origin", "https://evil.example.com")),
        ("token", call()),
        ("another token", call().and("Authorization", "Bearer nobody")),
        ("accept", known().with("Accept", "text/html")),
        ("type", known().with("Content-Type", "text/plain")),
        ("encoding", known().and("Content-Encoding", "br")),
        ("near the path", Request { line: "POST /mcp/x HTTP/1.1".into(), ..known() }),
        ("a text as id", Request::legacy("ping", json!({}))),
        ("no id that can be read", call().body("{")),
        ("an id twice", call().body(r#"{"id":1,"id":2}"#)),
        (
            "not strict, an id",
            known().body(r#"{"jsonrpc":"2.0","id":"x","method":"ping","params":{"a":1,"a":2}}"#),
        ),
        ("too large", large(known())),
        ("not strict, too large to look", large(call())),
    ];
    expect![[r#"
        host: 421 -32600 id 7: this server does not answer for host `evil.example.com`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        origin: 403 -32600 id 7: pages of origin `https://evil.example.com` may not call this server; if they should, add "https://evil.example.com" to `origins` in `cofferdam.toml` and start it again
        token: 401 -32600 id 7: a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
        another token: 401 -32600 id 7: the token is not valid; `cofferdam agents list` lists the agents that have one
        accept: 406 -32600 id 7: answers are JSON, and `Accept` is `text/html`; send `Accept: application/json, text/event-stream`
        type: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is `text/plain`; send `Content-Type: application/json`
        encoding: 415 -32600 id 7: the body must be sent as it is, and `Content-Encoding` is `br`; leave this header out
        near the path: 404 -32600 id 7: this path does not exist; MCP is at `POST /mcp`
        a text as id: 401 -32600 id "a": a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
        no id that can be read: 401 -32600 id null: a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
        an id twice: 401 -32600 id null: a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
        not strict, an id: 400 -32700 id "x": not strict JSON: the key `a` is there twice at line 1 column 61
        too large: 413 -32600 id null: the body is larger than 262144 bytes
        not strict, too large to look: 413 -32600 id null: the body is larger than 262144 bytes
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn messages_that_are_no_request() {
    let server = Server::start(FakeFront::default()).await;
    let raw = |body: &[u8]| Request::call("scale", json!({})).body(body);
    let call = || Request::call("scale", json!({}));
    let meta = || {
        json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {}})
    };
    let params = |params: Value| {
        rpc(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}))
    };
    let rows = vec![
        ("not JSON", raw(b"{")),
        ("empty", raw(b"")),
        ("a batch", rpc(json!([{"jsonrpc": "2.0", "id": 7, "method": "tools/list"}]))),
        ("a string", rpc(json!("tools/list"))),
        ("a response", rpc(json!({"jsonrpc": "2.0", "id": 7, "result": {}}))),
        (
            "an error response",
            rpc(json!({"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "x"}})),
        ),
        ("version 1.0", rpc(json!({"jsonrpc": "1.0", "id": 7, "method": "tools/list"}))),
        ("no jsonrpc", rpc(json!({"id": 7, "method": "tools/list"}))),
        ("no method", rpc(json!({"jsonrpc": "2.0", "id": 7}))),
        ("method of another type", rpc(json!({"jsonrpc": "2.0", "id": 7, "method": 1}))),
        ("id null", rpc(json!({"jsonrpc": "2.0", "id": null, "method": "tools/list"}))),
        ("id with a fraction", rpc(json!({"jsonrpc": "2.0", "id": 7.5, "method": "tools/list"}))),
        ("id an object", rpc(json!({"jsonrpc": "2.0", "id": {}, "method": "tools/list"}))),
        (
            "no id",
            rpc(json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "scale"}})),
        ),
        (
            "params a list",
            rpc(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": []})),
        ),
        ("_meta a list", params(json!({"name": "scale", "_meta": []}))),
        ("no _meta", params(json!({"name": "scale"}))),
        (
            "no version in _meta",
            params(json!({"name": "scale",
                "_meta": {"io.modelcontextprotocol/clientCapabilities": {}}})),
        ),
        (
            "version a number",
            params(
                json!({"name": "scale", "_meta": {"io.modelcontextprotocol/protocolVersion": 1}}),
            ),
        ),
        (
            "no capabilities in _meta",
            params(json!({"name": "scale",
                "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}})),
        ),
        ("no name", params(json!({"arguments": {}, "_meta": meta()}))),
        ("name a number", params(json!({"name": 1, "_meta": meta()}))),
        ("arguments a list", params(json!({"name": "scale", "arguments": [], "_meta": meta()}))),
        ("arguments null", params(json!({"name": "scale", "arguments": null, "_meta": meta()}))),
        ("no arguments", params(json!({"name": "scale", "_meta": meta()}))),
        ("an unknown method", Request::modern("tools/run", json!({}))),
        ("a method of the legacy era", Request::modern("initialize", json!({}))),
        ("ping in the modern era", Request::modern("ping", json!({}))),
        ("a name no tool can have", Request::call("a b", json!({})).with("Mcp-Name", "a b")),
        (
            "a name of control characters",
            Request::call("a\u{7}", json!({})).with("Mcp-Name", "=?base64?YQc=?="),
        ),
        ("an empty name", Request::call("", json!({}))),
        ("right", call()),
    ];
    expect![[r#"
        not JSON: 400 -32700 id null: not strict JSON: EOF while parsing an object at line 1 column 1
        empty: 400 -32700 id null: not strict JSON: EOF while parsing a value at line 1 column 0
        a batch: 400 -32600 id null: not a JSON-RPC request: JSON-RPC batches (revision 2025-03-26) are not served; send one message per request
        a string: 400 -32600 id null: not a JSON-RPC request: it must be an object
        a response: 400 -32600 id 7: not a JSON-RPC request: responses are not taken
        an error response: 400 -32600 id 7: not a JSON-RPC request: responses are not taken
        version 1.0: 400 -32600 id 7: not a JSON-RPC request: `jsonrpc` must be "2.0"
        no jsonrpc: 400 -32600 id 7: not a JSON-RPC request: `jsonrpc` must be "2.0"
        no method: 400 -32600 id 7: not a JSON-RPC request: `method` is missing
        method of another type: 400 -32600 id 7: not a JSON-RPC request: `method` must be a string
        id null: 400 -32600 id null: not a JSON-RPC request: `id` must be a string or a whole number; only a notification has none
        id with a fraction: 400 -32600 id null: not a JSON-RPC request: `id` must be a string or a whole number; only a notification has none
        id an object: 400 -32600 id null: not a JSON-RPC request: `id` must be a string or a whole number; only a notification has none
        no id: 400 -32600 id null: not a JSON-RPC request: `id` is missing, and this method is no notification
        params a list: 400 -32602 id 7: invalid params: `_meta` must name `io.modelcontextprotocol/protocolVersion`
        _meta a list: 400 -32602 id 7: invalid params: `_meta` must name `io.modelcontextprotocol/protocolVersion`
        no _meta: 400 -32602 id 7: invalid params: `_meta` must name `io.modelcontextprotocol/protocolVersion`
        no version in _meta: 400 -32602 id 7: invalid params: `_meta` must name `io.modelcontextprotocol/protocolVersion`
        version a number: 400 -32602 id 7: invalid params: `io.modelcontextprotocol/protocolVersion` must be a string
        no capabilities in _meta: 400 -32602 id 7: invalid params: `_meta` must hold the object `io.modelcontextprotocol/clientCapabilities`
        no name: 200 -32602 id 7: invalid params: `name` is missing
        name a number: 200 -32602 id 7: invalid params: `name` must be a string
        arguments a list: 200 ok
        arguments null: 200 ok
        no arguments: 200 ok
        an unknown method: 404 -32601 id 7: method not found: `tools/run`
        a method of the legacy era: 404 -32601 id 7: method not found: `initialize`
        ping in the modern era: 404 -32601 id 7: method not found: `ping`
        a name no tool can have: 200 -32602 id 7: unknown tool: `a b`
        a name of control characters: 200 -32602 id 7: unknown tool: `a�`
        an empty name: 200 -32602 id 7: unknown tool: ``
        right: 200 ok
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn headers_that_say_something_else() {
    let server = Server::start(FakeFront::default()).await;
    let call = || Request::call("scale", json!({}));
    let base64 = Request::call("scale", json!({}));
    let rows = vec![
        ("no version", call().without("MCP-Protocol-Version")),
        ("another version", call().with("MCP-Protocol-Version", "2025-11-25")),
        ("two equal versions", call().and("MCP-Protocol-Version", "2026-07-28")),
        ("two versions", call().and("MCP-Protocol-Version", "2025-11-25")),
        ("no method", call().without("Mcp-Method")),
        ("another method", call().with("Mcp-Method", "tools/list")),
        ("the method in upper case", call().with("Mcp-Method", "TOOLS/CALL")),
        ("two equal methods", call().and("Mcp-Method", "tools/call")),
        ("two methods", call().and("Mcp-Method", "tools/list")),
        ("no name", call().without("Mcp-Name")),
        ("another name", call().with("Mcp-Name", "denied")),
        ("the name in another case", call().with("Mcp-Name", "Scale")),
        ("two equal names", call().and("Mcp-Name", "scale")),
        ("two names", call().and("Mcp-Name", "denied")),
        ("the name in base64", base64.clone().with("Mcp-Name", "=?base64?c2NhbGU=?=")),
        ("another name in base64", base64.clone().with("Mcp-Name", "=?base64?ZGVuaWVk?=")),
        ("broken base64", base64.clone().with("Mcp-Name", "=?base64?c2NhbGU?=")),
        ("base64 of no UTF-8", base64.with("Mcp-Name", "=?base64?/w==?=")),
        ("a name that is not ASCII", call().with("Mcp-Name", "scälé")),
        (
            "whitespace around values",
            call().with("Mcp-Name", "  scale \t").with("Mcp-Method", " tools/call "),
        ),
        (
            "header names in upper case",
            call().without("Mcp-Method").and("MCP-METHOD", "tools/call"),
        ),
        (
            "legacy, another method",
            Request::legacy("tools/list", json!({})).and("Mcp-Method", "tools/call"),
        ),
        (
            "legacy, another name",
            Request::legacy("tools/call", json!({"name": "scale"})).and("Mcp-Name", "denied"),
        ),
    ];
    expect![[r#"
        no version: 400 -32020 id 7: header mismatch: `MCP-Protocol-Version` is missing and `_meta` in the body says `2026-07-28`; send `MCP-Protocol-Version: 2026-07-28`
        another version: 400 -32020 id 7: header mismatch: `MCP-Protocol-Version` is `2025-11-25` and `_meta` in the body says `2026-07-28`; name the same revision in both
        two equal versions: 200 ok
        two versions: 400 -32020 id 7: header mismatch: `mcp-protocol-version` is there twice, as `2026-07-28` and `2025-11-25`; send it once
        no method: 400 -32020 id 7: header mismatch: `Mcp-Method` is missing; send `Mcp-Method: tools/call`
        another method: 400 -32020 id 7: header mismatch: `Mcp-Method` is `tools/list` and the body says `tools/call`; send what the body says
        the method in upper case: 400 -32020 id 7: header mismatch: `Mcp-Method` is `TOOLS/CALL` and the body says `tools/call`; send what the body says
        two equal methods: 200 ok
        two methods: 400 -32020 id 7: header mismatch: `mcp-method` is there twice, as `tools/call` and `tools/list`; send it once
        no name: 400 -32020 id 7: header mismatch: `Mcp-Name` is missing; send `Mcp-Name: scale`
        another name: 400 -32020 id 7: header mismatch: `Mcp-Name` is `denied` and the body says `scale`; send what the body says
        the name in another case: 400 -32020 id 7: header mismatch: `Mcp-Name` is `Scale` and the body says `scale`; send what the body says
        two equal names: 200 ok
        two names: 400 -32020 id 7: header mismatch: `mcp-name` is there twice, as `scale` and `denied`; send it once
        the name in base64: 200 ok
        another name in base64: 400 -32020 id 7: header mismatch: `Mcp-Name` is `denied` and the body says `scale`; send what the body says
        broken base64: 400 -32020 id 7: header mismatch: `Mcp-Name` is not valid base64
        base64 of no UTF-8: 400 -32020 id 7: header mismatch: `Mcp-Name` is not UTF-8 when decoded
        a name that is not ASCII: 400 -32020 id 7: header mismatch: `mcp-name` holds characters other than visible ASCII; send visible ASCII alone
        whitespace around values: 200 ok
        header names in upper case: 200 ok
        legacy, another method: 400 -32020 id "a": header mismatch: `Mcp-Method` is `tools/call` and the body says `tools/list`; send what the body says
        legacy, another name: 400 -32020 id "a": header mismatch: `Mcp-Name` is `denied` and the body says `scale`; send what the body says
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn versions_that_are_not_supported() {
    let server = Server::start(FakeFront::default()).await;
    let asked = |version: &str| {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {}});
        Request::modern("server/discover", json!({}))
            .with("MCP-Protocol-Version", version)
            .json(&json!({"jsonrpc": "2.0", "id": 7, "method": "server/discover",
            "params": {"_meta": meta}}))
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
                "2025-11-25",
                "2025-06-18",
                "2025-03-26"
              ]
            },
            "message": "unsupported protocol version `2027-01-01`: this server speaks 2026-07-28, 2025-11-25, 2025-06-18 and 2025-03-26; use a client of one of these"
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
        (
            "legacy, unknown",
            Request::legacy("tools/list", json!({})).with("MCP-Protocol-Version", "2025-03-26"),
        ),
        ("legacy, none", Request::legacy("tools/list", json!({})).without("MCP-Protocol-Version")),
        ("the legacy one, said in _meta", asked("2025-11-25")),
    ];
    expect![[r#"
        2025-06-18: 200 -32601 id 7: method not found: `server/discover`
        2024-11-05: 400 -32022 id 7: unsupported protocol version `2024-11-05`: this server speaks 2026-07-28, 2025-11-25, 2025-06-18 and 2025-03-26; use a client of one of these
        none: 200 -32601 id 7: method not found: `server/discover`
        legacy, unknown: 200 ok
        legacy, none: 200 ok
        the legacy one, said in _meta: 200 -32601 id 7: method not found: `server/discover`
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn when_nothing_can_be_decided() {
    let server = Server::start(FakeFront { down: true, ..FakeFront::default() }).await;
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
        a panic: 500 -32603 id 7: the gateway failed during this call, and its effect is unknown; repeat the same request to get its outcome
    "#]].assert_eq(&send_all(&server, rows).await);
}
