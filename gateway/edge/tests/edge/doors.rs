//! Host, Origin, media types, methods and paths: the refusals before authentication.

use crate::front::FakeFront;
use crate::wire::{FromAgent, Request, Server, send_all};
use expect_test::expect;
use serde_json::json;

#[tokio::test]
async fn hosts_and_origins() {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.hosts = vec!["gate.example.com".into()];
        settings.origins = vec!["https://agents.example.com".into()];
    })
    .await;
    let call = || Request::call("scale", json!({}));
    let page = |path: &str| Request::new("GET", path);
    let rows = vec![
        ("no host", call().without("Host")),
        ("two equal hosts", call().and("Host", "127.0.0.1")),
        ("two hosts", call().and("Host", "localhost")),
        ("an empty host", call().with("Host", "")),
        ("another host", call().with("Host", "evil.example.com")),
        ("another host with a port", call().with("Host", "evil.example.com:7780")),
        ("a host that looks like ours", call().with("Host", "127.0.0.1.evil.example.com")),
        ("credentials in the host", call().with("Host", "localhost@evil.example.com")),
        (
            "another host in the target",
            Request { line: "POST http://evil.example.com/mcp HTTP/1.1".into(), ..call() },
        ),
        (
            "our host in the target",
            Request { line: "POST http://localhost/mcp HTTP/1.1".into(), ..call() },
        ),
        ("localhost", call().with("Host", "localhost:1")),
        ("IPv6 loopback", call().with("Host", "[::1]:7780")),
        ("IPv6 loopback, long", call().with("Host", "[0:0:0:0:0:0:0:1]:7780")),
        ("IPv4 loopback in IPv6 form", call().with("Host", "[::ffff:127.0.0.1]")),
        ("IPv4 loopback, short", call().with("Host", "127.1:7780")),
        ("localhost with a dot", call().with("Host", "localhost.:7780")),
        ("localhost in upper case", call().with("Host", "LOCALHOST")),
        ("a configured host", call().with("Host", "gate.example.com")),
        ("a configured host, another spelling", call().with("Host", "Gate.Example.com.:8620")),
        ("a host that containers use", call().with("Host", "host.docker.internal:8620")),
        ("a service's name", call().with("Host", "cofferdam.tools.svc.cluster.local.:8620")),
        ("a foreign origin", call().and("Origin", "https://evil.example.com")),
        ("origin null", call().and("Origin", "null")),
        (
            "two origins",
            call().and("Origin", "http://localhost").and("Origin", "https://evil.example.com"),
        ),
        ("a loopback origin", call().and("Origin", "http://localhost:3000")),
        (
            "a loopback origin, another spelling",
            call().and("Origin", "http://[::ffff:127.0.0.1]:3000"),
        ),
        ("a configured origin", call().and("Origin", "https://agents.example.com")),
        (
            "a configured origin with its own port",
            call().and("Origin", "https://agents.example.com:443"),
        ),
        (
            "a configured origin with another port",
            call().and("Origin", "https://agents.example.com:8443"),
        ),
        ("plain, another host", page("/v1/tools").with("Host", "evil.example.com")),
        ("plain, a foreign origin", page("/v1/tools").and("Origin", "https://evil.example.com")),
        ("the page, another host", page("/").with("Host", "evil.example.com")),
        ("metrics, another host", page("/metrics").with("Host", "evil.example.com")),
        ("a probe by address", page("/healthz").with("Host", "10.0.0.7:7780")),
        ("a probe from a page", page("/readyz").and("Origin", "https://evil.example.com")),
    ];
    expect![[r#"
        no host: 400 -32600 id 7: the header `host` is missing; name the host that this server is reached by
        two equal hosts: 200 ok
        two hosts: 400 -32600 id 7: the header `host` is there twice, as `127.0.0.1` and `localhost`; send it once
        an empty host: 421 -32600 id 7: this server does not answer for host ``; send `Host: NAME` or `Host: NAME:PORT`
        another host: 421 -32600 id 7: this server does not answer for host `evil.example.com`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        another host with a port: 421 -32600 id 7: this server does not answer for host `evil.example.com:7780`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        a host that looks like ours: 421 -32600 id 7: this server does not answer for host `127.0.0.1.evil.example.com`; if it should, add "127.0.0.1.evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        credentials in the host: 421 -32600 id 7: this server does not answer for host `localhost@evil.example.com`; send `Host: NAME` or `Host: NAME:PORT`
        another host in the target: 421 -32600 id 7: this server does not answer for host `evil.example.com`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        our host in the target: 200 ok
        localhost: 200 ok
        IPv6 loopback: 200 ok
        IPv6 loopback, long: 200 ok
        IPv4 loopback in IPv6 form: 200 ok
        IPv4 loopback, short: 200 ok
        localhost with a dot: 200 ok
        localhost in upper case: 200 ok
        a configured host: 200 ok
        a configured host, another spelling: 200 ok
        a host that containers use: 421 -32600 id 7: this server does not answer for host `host.docker.internal:8620`; if it should, add "host.docker.internal" to `hosts` in `cofferdam.toml` and start it again
        a service's name: 421 -32600 id 7: this server does not answer for host `cofferdam.tools.svc.cluster.local.:8620`; if it should, add "cofferdam.tools.svc.cluster.local" to `hosts` in `cofferdam.toml` and start it again
        a foreign origin: 403 -32600 id 7: pages of origin `https://evil.example.com` may not call this server; if they should, add "https://evil.example.com" to `origins` in `cofferdam.toml` and start it again
        origin null: 403 -32600 id 7: pages of origin `null` may not call this server; if they should, add "null" to `origins` in `cofferdam.toml` and start it again
        two origins: 400 -32600 id 7: the header `origin` is there twice, as `http://localhost` and `https://evil.example.com`; send it once
        a loopback origin: 200 ok
        a loopback origin, another spelling: 200 ok
        a configured origin: 200 ok
        a configured origin with its own port: 200 ok
        a configured origin with another port: 403 -32600 id 7: pages of origin `https://agents.example.com:8443` may not call this server; if they should, add "https://agents.example.com:8443" to `origins` in `cofferdam.toml` and start it again
        plain, another host: 421 this server does not answer for host `evil.example.com`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        plain, a foreign origin: 403 pages of origin `https://evil.example.com` may not call this server; if they should, add "https://evil.example.com" to `origins` in `cofferdam.toml` and start it again
        the page, another host: 421 this server does not answer for host `evil.example.com`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        metrics, another host: 421 this server does not answer for host `evil.example.com`; if it should, add "evil.example.com" to `hosts` in `cofferdam.toml` and start it again
        a probe by address: 200 alive
        a probe from a page: 403 pages of origin `https://evil.example.com` may not call this server; if they should, add "https://evil.example.com" to `origins` in `cofferdam.toml` and start it again
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn media_types() {
    let server = Server::start(FakeFront::default()).await;
    let call = || Request::call("scale", json!({}));
    let rows = vec![
        ("no type", call().without("Content-Type")),
        ("text", call().with("Content-Type", "text/plain")),
        ("a form", call().with("Content-Type", "application/x-www-form-urlencoded")),
        ("two equal types", call().and("Content-Type", "application/json")),
        (
            "two equal types in one",
            call().with("Content-Type", "application/json, application/json"),
        ),
        ("two types", call().and("Content-Type", "text/plain")),
        ("of another kind of JSON", call().with("Content-Type", "application/vnd.api+json")),
        ("ASCII", call().with("Content-Type", "application/json; charset=us-ascii")),
        ("UTF-8 without its hyphen", call().with("Content-Type", "application/json;charset=utf8")),
        (
            "another parameter",
            call().with("Content-Type", "application/json; charset=UTF-8; profile=x"),
        ),
        ("a parameter that is not there", call().with("Content-Type", "application/json;")),
        ("latin 1", call().with("Content-Type", "application/json; charset=iso-8859-1")),
        ("UTF-8", call().with("Content-Type", "application/json; charset=utf-8")),
        ("gzip", call().and("Content-Encoding", "gzip")),
        ("identity", call().and("Content-Encoding", "identity")),
        (
            "identity twice",
            call().and("Content-Encoding", "identity").and("Content-Encoding", "Identity"),
        ),
        ("a charset as encoding", call().and("Content-Encoding", "utf-8")),
        ("no encoding", call().and("Content-Encoding", "")),
        ("identity and gzip", call().and("Content-Encoding", "identity, gzip")),
        ("accepts nothing of ours", call().with("Accept", "text/html")),
        ("accepts streams only", call().with("Accept", "text/event-stream")),
        ("refuses JSON", call().with("Accept", "application/json;q=0, text/event-stream")),
        ("accepts anything", call().with("Accept", "*/*")),
        (
            "accepts what Java does",
            call().with("Accept", "text/html, image/gif, *; q=.2, */*; q=.2"),
        ),
        ("accepts JSON only", call().with("Accept", "application/json")),
        ("says nothing", call().without("Accept")),
        (
            "plain, text",
            Request::new("POST", "/v1/tools/scale").body("{}").and("Content-Type", "text/plain"),
        ),
        (
            "plain, gzip",
            Request::new("POST", "/v1/tools/scale")
                .json(&json!({}))
                .and("Content-Encoding", "gzip"),
        ),
    ];
    expect![[r#"
        no type: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is ``; send `Content-Type: application/json`
        text: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is `text/plain`; send `Content-Type: application/json`
        a form: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is `application/x-www-form-urlencoded`; send `Content-Type: application/json`
        two equal types: 200 ok
        two equal types in one: 200 ok
        two types: 400 -32600 id 7: the header `content-type` is there twice, as `application/json` and `text/plain`; send it once
        of another kind of JSON: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is `application/vnd.api+json`; send `Content-Type: application/json`
        ASCII: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is `application/json; charset=us-ascii`; send `Content-Type: application/json`
        UTF-8 without its hyphen: 200 ok
        another parameter: 200 ok
        a parameter that is not there: 200 ok
        latin 1: 415 -32600 id 7: the body must be JSON in UTF-8, and `Content-Type` is `application/json; charset=iso-8859-1`; send `Content-Type: application/json`
        UTF-8: 200 ok
        gzip: 415 -32600 id 7: the body must be sent as it is, and `Content-Encoding` is `gzip`; leave this header out
        identity: 200 ok
        identity twice: 200 ok
        a charset as encoding: 200 ok
        no encoding: 200 ok
        identity and gzip: 415 -32600 id 7: the body must be sent as it is, and `Content-Encoding` is `identity, gzip`; leave this header out
        accepts nothing of ours: 406 -32600 id 7: answers are JSON, and `Accept` is `text/html`; send `Accept: application/json, text/event-stream`
        accepts streams only: 406 -32600 id 7: answers are JSON, and `Accept` is `text/event-stream`; send `Accept: application/json, text/event-stream`
        refuses JSON: 406 -32600 id 7: answers are JSON, and `Accept` is `application/json;q=0, text/event-stream`; send `Accept: application/json, text/event-stream`
        accepts anything: 200 ok
        accepts what Java does: 200 ok
        accepts JSON only: 200 ok
        says nothing: 200 ok
        plain, text: 415 the body must be JSON in UTF-8, and `Content-Type` is `text/plain`; send `Content-Type: application/json`
        plain, gzip: 415 the body must be sent as it is, and `Content-Encoding` is `gzip`; leave this header out
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn methods_and_paths() {
    let server = Server::start(FakeFront::default()).await;
    let at = |path: &str| Request {
        line: format!("POST {path} HTTP/1.1"),
        ..Request::call("scale", json!({}))
    };
    let rows = vec![
        ("GET /mcp", Request::new("GET", "/mcp").and("Accept", "text/event-stream")),
        ("DELETE /mcp", Request::new("DELETE", "/mcp").and("Mcp-Session-Id", "1")),
        ("HEAD /mcp", Request::new("HEAD", "/mcp")),
        ("OPTIONS /mcp", Request::new("OPTIONS", "/mcp")),
        ("OPTIONS *", Request::new("OPTIONS", "*")),
        ("OPTIONS /nowhere", Request::new("OPTIONS", "/nowhere")),
        ("PUT /v1/tools/scale", Request::new("PUT", "/v1/tools/scale").json(&json!({}))),
        ("GET /v1/tools/scale", Request::new("GET", "/v1/tools/scale")),
        ("POST /v1/tools", Request::new("POST", "/v1/tools").json(&json!({}))),
        ("PATCH /v1/jobs/x", Request::new("PATCH", "/v1/jobs/x")),
        ("POST /healthz", Request::new("POST", "/healthz").json(&json!({}))),
        ("/nowhere", Request::new("GET", "/nowhere")),
        ("/mcp/", at("/mcp/")),
        ("/mcp?session=1", at("/mcp?session=1")),
        ("a token in the query", at("/mcp?a=1&Access_Token=x")),
        ("//mcp", at("//mcp")),
        ("/MCP", at("/MCP")),
        ("/api/mcp", at("/api/mcp")),
        ("/mcp/x", at("/mcp/x")),
        ("the absolute form", at("http://127.0.0.1/mcp")),
        (
            "the transport of 2024-11-05",
            Request::new("GET", "/sse").and("Accept", "text/event-stream"),
        ),
        ("its messages", at("/messages/?session_id=1")),
        ("/v1/tools/", Request::new("GET", "/v1/tools/")),
        ("HEAD /v1/tools", Request::new("HEAD", "/v1/tools")),
        ("POST /v1/tools/", Request::new("POST", "/v1/tools/").json(&json!({}))),
        ("/v1/tools/a/b", Request::new("POST", "/v1/tools/a/b").json(&json!({}))),
        ("/v1/tools/../jobs", Request::new("POST", "/v1/tools/..%2fjobs").json(&json!({}))),
        ("an encoded name", Request::new("POST", "/v1/tools/sc%61le").json(&json!({}))),
    ];
    expect![[r#"
        GET /mcp: 405 -32600 id null: this path takes POST only
        DELETE /mcp: 405 -32600 id null: this path takes POST only
        HEAD /mcp: 405
        OPTIONS /mcp: 204
        OPTIONS *: 204
        OPTIONS /nowhere: 204
        PUT /v1/tools/scale: 405 this path takes POST only
        GET /v1/tools/scale: 405 this path takes POST only
        POST /v1/tools: 405 this path takes GET, HEAD only
        PATCH /v1/jobs/x: 405 this path takes GET, HEAD, DELETE only
        POST /healthz: 405 this path takes GET, HEAD only
        /nowhere: 404 this path does not exist; `GET /` lists the paths
        /mcp/: 200 ok
        /mcp?session=1: 200 ok
        a token in the query: 400 -32600 id 7: this path takes no query string; tokens belong in the `Authorization` header
        //mcp: 404 -32600 id 7: this path does not exist; MCP is at `POST /mcp`
        /MCP: 404 -32600 id 7: this path does not exist; MCP is at `POST /mcp`
        /api/mcp: 404 -32600 id 7: this path does not exist; MCP is at `POST /mcp`
        /mcp/x: 404 -32600 id 7: this path does not exist; MCP is at `POST /mcp`
        the absolute form: 200 ok
        the transport of 2024-11-05: 404 -32600 id null: the transport HTTP+SSE of revision 2024-11-05 is not served; use a client that speaks Streamable HTTP (revision 2025-03-26 or newer), at `POST /mcp`
        its messages: 404 -32600 id 7: the transport HTTP+SSE of revision 2024-11-05 is not served; use a client that speaks Streamable HTTP (revision 2025-03-26 or newer), at `POST /mcp`
        /v1/tools/: 200 ok
        HEAD /v1/tools: 200
        POST /v1/tools/: 405 this path takes GET, HEAD only
        /v1/tools/a/b: 404 this path does not exist; `GET /` lists the paths
        /v1/tools/../jobs: 404 unknown tool: `..%2fjobs`
        an encoded name: 404 unknown tool: `sc%61le`
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    let get = server.send(&Request::new("GET", "/mcp")).await;
    assert_eq!(get.header("allow"), Some("POST"));
    assert_eq!(get.header("cache-control"), Some("no-store"));
    assert_eq!(get.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn probes_and_pages_for_monitors() {
    let server = Server::start(FakeFront::default()).await;
    let probe = |method: &str, path: &str| Request::new(method, path).with("Host", "10.1.2.3:8620");
    let rows = vec![
        ("HEAD /healthz", probe("HEAD", "/healthz")),
        ("HEAD /readyz", probe("HEAD", "/readyz")),
        ("GET /healthz/", probe("GET", "/healthz/")),
        ("GET /readyz?verbose", probe("GET", "/readyz?verbose")),
        (
            "HTTP/1.0 without a host",
            Request { line: "GET /healthz HTTP/1.0".into(), ..probe("GET", "/") }.without("Host"),
        ),
        ("HEAD / by address", probe("HEAD", "/")),
        ("HEAD /", Request::new("HEAD", "/")),
        ("GET /?x", Request::new("GET", "/?x")),
        ("HEAD /metrics", Request::new("HEAD", "/metrics?name=x")),
    ];
    expect![[r#"
        HEAD /healthz: 200
        HEAD /readyz: 200
        GET /healthz/: 200 alive
        GET /readyz?verbose: 200 ready
        HTTP/1.0 without a host: 200 alive
        HEAD / by address: 421
        HEAD /: 200
        GET /?x: 200 Cofferdam, environment staging

        Changes to staging, decided by policy.

        MCP          POST /mcp                       bearer token; revisions 2026-07-28, 2025-11-25, 2025-06-18 and 2025-03-26
        plain HTTP   GET  /v1/tools
                     POST /v1/tools/NAME             body: the arguments; ?wait=SECONDS
                     POST /v1/tools/NAME/preview     shows, changes nothing
                     GET  /v1/jobs/ID                ?wait=SECONDS; DELETE withdraws
        approvers    GET  /v1/approvals              `cofferdam approve --server URL`
        pages        GET  /calls/ID                  the state of a call, for its person
                     GET  /approve/ID                the question of a call, for its approvers
                     GET  /console                   calls, tools, policy and health, for people
        probes       GET  /healthz  /readyz
        metrics      GET  /metrics                   from this machine only
        HEAD /metrics: 200
    "#]]
    .assert_eq(&send_all(&server, rows).await);
    let (get, head) = (
        server.send(&Request::new("GET", "/")).await,
        server.send(&Request::new("HEAD", "/")).await,
    );
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert!(head.body.is_empty() && !get.body.is_empty());
    let down = Server::start(FakeFront { down: true, ..FakeFront::default() }).await;
    assert_eq!(down.send(&probe("HEAD", "/readyz?verbose")).await.status, 503);
    // A page whose name resolves to this machine is local too: it learns the state, but no cause.
    assert_eq!(
        down.send(&Request::new("GET", "/readyz")).await.line(),
        "503 not ready: policy does not answer"
    );
    let rebound = Request::new("GET", "/readyz").with("Host", "evil.example.com");
    assert_eq!(down.send(&rebound).await.line(), "503 not ready");
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_read() {
    let server = Server::with(FakeFront { closed: true, ..FakeFront::default() }, |settings| {
        settings.origins = vec!["https://agents.example.com".into()];
    })
    .await;
    let preflight = |path: &str, origin: &str| {
        Request::new("OPTIONS", path)
            .and("Origin", origin)
            .and("Access-Control-Request-Method", "POST")
            .and(
                "Access-Control-Request-Headers",
                "authorization,content-type,mcp-protocol-version,mcp-method,mcp-name",
            )
    };
    for (path, methods) in [
        ("/mcp", "POST, OPTIONS"),
        ("/v1/tools/scale/preview", "POST, OPTIONS"),
        ("/v1/jobs/x", "GET, HEAD, DELETE, OPTIONS"),
    ] {
        for origin in ["http://localhost:6274", "https://agents.example.com"] {
            let answer = server.send(&preflight(path, origin)).await;
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{path} {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
            assert_eq!(answer.header("vary"), Some("origin"));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            let headers = answer.header("access-control-allow-headers").unwrap();
            for header in [
                "authorization",
                "content-type",
                "mcp-protocol-version",
                "mcp-method",
                "mcp-name",
                "mcp-session-id",
                "idempotency-key",
                "last-event-id",
            ] {
                assert!(headers.split(", ").any(|allowed| allowed == header), "{header}");
            }
        }
        for origin in ["https://evil.example.com", "null"] {
            let answer = server.send(&preflight(path, origin)).await;
            assert_eq!(answer.status, 403, "{origin}");
            assert!(
                !answer.headers.iter().any(|(name, _)| name.starts_with("access-control")),
                "{answer:?}"
            );
        }
    }
    let call = Request::call("scale", json!({})).and("Origin", "http://localhost:6274");
    let allowed = call.clone().with_token();
    for (request, status) in [(call, 401), (allowed, 200)] {
        let answer = server.send(&request).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:6274"));
        assert!(
            answer.header("access-control-expose-headers").unwrap().contains("www-authenticate")
        );
    }
    let program = server.send(&Request::new("GET", "/healthz")).await;
    assert!(
        !program.headers.iter().any(|(name, _)| name.starts_with("access-control")),
        "{program:?}"
    );
}

#[tokio::test]
async fn pages() {
    let server = Server::start(FakeFront::default()).await;
    expect![[r#"
        Cofferdam, environment staging

        Changes to staging, decided by policy.

        MCP          POST /mcp                       bearer token; revisions 2026-07-28, 2025-11-25, 2025-06-18 and 2025-03-26
        plain HTTP   GET  /v1/tools
                     POST /v1/tools/NAME             body: the arguments; ?wait=SECONDS
                     POST /v1/tools/NAME/preview     shows, changes nothing
                     GET  /v1/jobs/ID                ?wait=SECONDS; DELETE withdraws
        approvers    GET  /v1/approvals              `cofferdam approve --server URL`
        pages        GET  /calls/ID                  the state of a call, for its person
                     GET  /approve/ID                the question of a call, for its approvers
                     GET  /console                   calls, tools, policy and health, for people
        probes       GET  /healthz  /readyz
        metrics      GET  /metrics                   from this machine only
    "#]]
    .assert_eq(&server.send(&Request::new("GET", "/")).await.text());
    assert_eq!(server.send(&Request::new("GET", "/healthz")).await.line(), "200 alive");
    assert_eq!(server.send(&Request::new("GET", "/readyz")).await.line(), "200 ready");
    server.send(&Request::call("scale", json!({})).with("Host", "evil.example.com")).await;
    server.send(&Request::modern("tools/run", json!({}))).await;
    expect![[r##"
        active: 1
        answered GET / 200 0: 1
        answered GET /healthz 200 0: 1
        answered GET /readyz 200 0: 1
        answered POST /mcp 404 -32601: 1
        answered POST /mcp 421 -32600: 1
    "##]]
    .assert_eq(&server.send(&Request::new("GET", "/metrics")).await.text());
}
