//! Host, Origin, media types, methods and paths: what is refused before anybody is asked.

use crate::front::Small;
use crate::wire::{Request, Server, table};
use expect_test::expect;
use serde_json::json;

#[tokio::test]
async fn hosts_and_origins() {
    let server = Server::with(Small::default(), |settings| {
        settings.hosts = vec!["gate.example.com".into()];
        settings.origins = vec!["https://agents.example.com".into()];
    })
    .await;
    let call = || Request::call("scale", json!({}));
    let page = |path: &str| Request::new("GET", path);
    let rows = vec![
        ("no host", call().without("Host")),
        ("two hosts", call().and("Host", "127.0.0.1")),
        ("another host", call().with("Host", "evil.example.com")),
        ("another host with a port", call().with("Host", "evil.example.com:7780")),
        ("a host that looks like ours", call().with("Host", "127.0.0.1.evil.example.com")),
        ("credentials in the host", call().with("Host", "localhost@evil.example.com")),
        ("another host in the target", Request { line: "POST http://evil.example.com/mcp HTTP/1.1".into(), ..call() }),
        ("our host in the target", Request { line: "POST http://localhost/mcp HTTP/1.1".into(), ..call() }),
        ("localhost", call().with("Host", "localhost:1")),
        ("IPv6 loopback", call().with("Host", "[::1]:7780")),
        ("a configured host", call().with("Host", "gate.example.com")),
        ("a foreign origin", call().and("Origin", "https://evil.example.com")),
        ("origin null", call().and("Origin", "null")),
        ("two origins", call().and("Origin", "http://localhost").and("Origin", "https://evil.example.com")),
        ("a loopback origin", call().and("Origin", "http://localhost:3000")),
        ("a configured origin", call().and("Origin", "https://agents.example.com")),
        ("a configured origin with another port", call().and("Origin", "https://agents.example.com:8443")),
        ("plain, another host", page("/v1/tools").with("Host", "evil.example.com")),
        ("plain, a foreign origin", page("/v1/tools").and("Origin", "https://evil.example.com")),
        ("the page, another host", page("/").with("Host", "evil.example.com")),
        ("metrics, another host", page("/metrics").with("Host", "evil.example.com")),
        ("a probe by address", page("/healthz").with("Host", "10.0.0.7:7780")),
        ("a probe from a page", page("/readyz").and("Origin", "https://evil.example.com")),
    ];
    expect![[r#"
        no host: 400 -32600 no id: the header `host` is missing
        two hosts: 400 -32600 no id: the header `host` stands twice
        another host: 421 -32600 no id: this server does not answer for host `evil.example.com`; add it to `hosts` in the configuration if it should
        another host with a port: 421 -32600 no id: this server does not answer for host `evil.example.com:7780`; add it to `hosts` in the configuration if it should
        a host that looks like ours: 421 -32600 no id: this server does not answer for host `127.0.0.1.evil.example.com`; add it to `hosts` in the configuration if it should
        credentials in the host: 421 -32600 no id: this server does not answer for host `localhost@evil.example.com`; add it to `hosts` in the configuration if it should
        another host in the target: 421 -32600 no id: this server does not answer for host `evil.example.com`; add it to `hosts` in the configuration if it should
        our host in the target: 200 ok
        localhost: 200 ok
        IPv6 loopback: 200 ok
        a configured host: 200 ok
        a foreign origin: 403 -32600 no id: pages of origin `https://evil.example.com` may not call this server; add it to `origins` in the configuration if they should
        origin null: 403 -32600 no id: pages of origin `null` may not call this server; add it to `origins` in the configuration if they should
        two origins: 400 -32600 no id: the header `origin` stands twice
        a loopback origin: 200 ok
        a configured origin: 200 ok
        a configured origin with another port: 403 -32600 no id: pages of origin `https://agents.example.com:8443` may not call this server; add it to `origins` in the configuration if they should
        plain, another host: 421 this server does not answer for host `evil.example.com`; add it to `hosts` in the configuration if it should
        plain, a foreign origin: 403 pages of origin `https://evil.example.com` may not call this server; add it to `origins` in the configuration if they should
        the page, another host: 421 this server does not answer for host `evil.example.com`; add it to `hosts` in the configuration if it should
        metrics, another host: 421 this server does not answer for host `evil.example.com`; add it to `hosts` in the configuration if it should
        a probe by address: 200 alive
        a probe from a page: 403 pages of origin `https://evil.example.com` may not call this server; add it to `origins` in the configuration if they should
    "#]].assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn media_types() {
    let server = Server::start(Small::default()).await;
    let call = || Request::call("scale", json!({}));
    let rows = vec![
        ("no type", call().without("Content-Type")),
        ("text", call().with("Content-Type", "text/plain")),
        ("a form", call().with("Content-Type", "application/x-www-form-urlencoded")),
        ("two types", call().and("Content-Type", "application/json")),
        ("latin 1", call().with("Content-Type", "application/json; charset=iso-8859-1")),
        ("UTF-8", call().with("Content-Type", "application/json; charset=utf-8")),
        ("gzip", call().and("Content-Encoding", "gzip")),
        ("identity", call().and("Content-Encoding", "identity")),
        ("accepts nothing of ours", call().with("Accept", "text/html")),
        ("accepts streams only", call().with("Accept", "text/event-stream")),
        ("refuses JSON", call().with("Accept", "application/json;q=0, text/event-stream")),
        ("accepts anything", call().with("Accept", "*/*")),
        ("says nothing", call().without("Accept")),
        ("plain, text", Request::new("POST", "/v1/tools/scale").body("{}").and("Content-Type", "text/plain")),
        ("plain, gzip", Request::new("POST", "/v1/tools/scale").json(&json!({})).and("Content-Encoding", "gzip")),
    ];
    expect![[r#"
        no type: 415 -32600 no id: the body must be JSON in UTF-8: send `Content-Type: application/json`
        text: 415 -32600 no id: the body must be JSON in UTF-8: send `Content-Type: application/json`
        a form: 415 -32600 no id: the body must be JSON in UTF-8: send `Content-Type: application/json`
        two types: 400 -32600 no id: the header `content-type` stands twice
        latin 1: 415 -32600 no id: the body must be JSON in UTF-8: send `Content-Type: application/json`
        UTF-8: 200 ok
        gzip: 415 -32600 no id: the body must not be compressed: leave `Content-Encoding` away
        identity: 415 -32600 no id: the body must not be compressed: leave `Content-Encoding` away
        accepts nothing of ours: 406 -32600 no id: answers are JSON: send `Accept: application/json, text/event-stream`
        accepts streams only: 406 -32600 no id: answers are JSON: send `Accept: application/json, text/event-stream`
        refuses JSON: 406 -32600 no id: answers are JSON: send `Accept: application/json, text/event-stream`
        accepts anything: 200 ok
        says nothing: 200 ok
        plain, text: 415 the body must be JSON in UTF-8: send `Content-Type: application/json`
        plain, gzip: 415 the body must not be compressed: leave `Content-Encoding` away
    "#]]
    .assert_eq(&table(&server, rows).await);
}

#[tokio::test]
async fn methods_and_paths() {
    let server = Server::start(Small::default()).await;
    let rows = vec![
        ("GET /mcp", Request::new("GET", "/mcp").and("Accept", "text/event-stream")),
        ("DELETE /mcp", Request::new("DELETE", "/mcp").and("Mcp-Session-Id", "1")),
        ("OPTIONS /mcp", Request::new("OPTIONS", "/mcp").and("Origin", "http://localhost")),
        ("PUT /v1/tools/scale", Request::new("PUT", "/v1/tools/scale").json(&json!({}))),
        ("GET /v1/tools/scale", Request::new("GET", "/v1/tools/scale")),
        ("POST /v1/tools", Request::new("POST", "/v1/tools").json(&json!({}))),
        ("PATCH /v1/jobs/x", Request::new("PATCH", "/v1/jobs/x")),
        ("POST /healthz", Request::new("POST", "/healthz").json(&json!({}))),
        ("/nowhere", Request::new("GET", "/nowhere")),
        ("/mcp/", Request::new("POST", "/mcp/").json(&json!({}))),
        ("//mcp", Request::new("POST", "//mcp").json(&json!({}))),
        ("/v1/tools/", Request::new("POST", "/v1/tools/").json(&json!({}))),
        ("/v1/tools/a/b", Request::new("POST", "/v1/tools/a/b").json(&json!({}))),
        ("/v1/tools/../jobs", Request::new("POST", "/v1/tools/..%2fjobs").json(&json!({}))),
        ("an encoded name", Request::new("POST", "/v1/tools/sc%61le").json(&json!({}))),
    ];
    expect![[r#"
        GET /mcp: 405 -32600 no id: this path takes POST only
        DELETE /mcp: 405 -32600 no id: this path takes POST only
        OPTIONS /mcp: 405 -32600 no id: this path takes POST only
        PUT /v1/tools/scale: 405 this path takes POST only
        GET /v1/tools/scale: 405 this path takes POST only
        POST /v1/tools: 405 this path takes GET only
        PATCH /v1/jobs/x: 405 this path takes GET, DELETE only
        POST /healthz: 405 this path takes GET only
        /nowhere: 404 nothing is served at this path; `GET /` names what is
        /mcp/: 404 nothing is served at this path; `GET /` names what is
        //mcp: 404 nothing is served at this path; `GET /` names what is
        /v1/tools/: 404 nothing is served at this path; `GET /` names what is
        /v1/tools/a/b: 404 nothing is served at this path; `GET /` names what is
        /v1/tools/../jobs: 404 unknown tool: `..%2fjobs`
        an encoded name: 404 unknown tool: `sc%61le`
    "#]]
    .assert_eq(&table(&server, rows).await);
    let get = server.send(&Request::new("GET", "/mcp")).await;
    assert_eq!(get.header("allow"), Some("POST"));
    assert_eq!(get.header("cache-control"), Some("no-store"));
    assert_eq!(get.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn pages() {
    let server = Server::start(Small::default()).await;
    expect![[r#"
        Cofferdam, environment staging

        Changes to staging, decided by policy.

        MCP          POST http://127.0.0.1:7780/mcp                       revisions 2026-07-28 and 2025-11-25, bearer token
        plain HTTP   GET  http://127.0.0.1:7780/v1/tools
                     POST http://127.0.0.1:7780/v1/tools/NAME             body: the arguments; ?wait=SECONDS
                     POST http://127.0.0.1:7780/v1/tools/NAME/preview     shows, changes nothing
                     GET  http://127.0.0.1:7780/v1/jobs/ID                ?wait=SECONDS; DELETE withdraws
        probes       GET  http://127.0.0.1:7780/healthz  http://127.0.0.1:7780/readyz
        metrics      GET  http://127.0.0.1:7780/metrics                   from this machine only
    "#]]
    .assert_eq(&server.send(&Request::new("GET", "/")).await.text());
    assert_eq!(server.send(&Request::new("GET", "/healthz")).await.line(), "200 alive");
    assert_eq!(server.send(&Request::new("GET", "/readyz")).await.line(), "200 ready");
    server.send(&Request::call("scale", json!({})).with("Host", "evil.example.com")).await;
    server.send(&Request::modern("tools/run", json!({}))).await;
    expect![[r##"
        # TYPE cofferdam_calls_total counter
        cofferdam_calls_total 0
        # HELP cofferdam_edge_answers_total HTTP answers by route, status and the edge's own JSON-RPC error code.
        # TYPE cofferdam_edge_answers_total counter
        cofferdam_edge_answers_total{route="/mcp",status="404",code="-32601"} 1
        cofferdam_edge_answers_total{route="/mcp",status="421",code="-32600"} 1
        cofferdam_edge_answers_total{route="/",status="200",code="0"} 1
        cofferdam_edge_answers_total{route="/healthz",status="200",code="0"} 1
        cofferdam_edge_answers_total{route="/readyz",status="200",code="0"} 1
    "##]]
    .assert_eq(&server.send(&Request::new("GET", "/metrics")).await.text());
}
