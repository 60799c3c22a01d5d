//! The edge as a resource server of OAuth 2.1, over real HTTP: metadata, challenges and scopes. The
//! Front decides what a token is worth; every token here is wrong in one way.

use crate::front::{FakeFront, TOKEN, id};
use crate::wire::{FromAgent, Request, Server};
use cofferdam_core::protocol::role_settings::{IssuerSettings, OauthSettings};
use expect_test::expect;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RESOURCE: &str = "https://gate.example.com/tools/mcp";

fn oauth() -> OauthSettings {
    let issuer = |name: &str| IssuerSettings {
        name: name.into(),
        issuer: format!("https://{name}.example.com"),
        audience: "secret-audience".into(),
        required_claims: BTreeMap::from([("secret-claim".into(), "secret-value".into())]),
        roles: vec!["secret-role".into()],
        ..cofferdam_testkit::issuer::issuer()
    };
    let issuers = vec![issuer("one"), issuer("two")];
    OauthSettings { resource: RESOURCE.into(), ..cofferdam_testkit::issuer::oauth(issuers) }
}

async fn serve(prefix: &str) -> Server {
    let front = FakeFront { closed: true, ..FakeFront::default() };
    Server::with(front, |settings| {
        settings.oauth = Some(OauthSettings { scope_prefix: prefix.into(), ..oauth() });
        settings.proof_algorithms = &["ES256", "EdDSA"];
    })
    .await
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

#[tokio::test]
async fn the_metadata_is_where_clients_look() {
    let server = serve("").await;
    let place = "/.well-known/oauth-protected-resource";
    let first = server.send(&get(place)).await;
    expect![[r#"
        200
        {
          "authorization_servers": [
            "https://one.example.com",
            "https://two.example.com"
          ],
          "bearer_methods_supported": [
            "header"
          ],
          "dpop_signing_alg_values_supported": [
            "ES256",
            "EdDSA"
          ],
          "resource": "https://gate.example.com/tools/mcp",
          "resource_name": "Cofferdam (staging)",
          "scopes_supported": [
            "tools:read",
            "tools:call"
          ]
        }
    "#]]
    .assert_eq(&first.pretty());
    assert_eq!(first.header("content-type"), Some("application/json"));
    for path in ["/mcp", "/tools/mcp", "/", "/mcp/"] {
        let same = server.send(&get(&format!("{place}{path}"))).await;
        assert_eq!((same.status, same.text()), (200, first.text()), "{path}");
    }
    for path in ["/other", "/mcp/x", "/tools"] {
        let other = server.send(&get(&format!("{place}{path}"))).await;
        assert_eq!(other.status, 404, "{path}");
    }
    assert_eq!(server.send(&Request::new("POST", place)).await.status, 405);
    let elsewhere = get(place).with("Host", "evil.example.com");
    assert_eq!(server.send(&elsewhere).await.status, 421);
    // Without issuers there is no metadata.
    let plain = Server::start(FakeFront::default()).await;
    assert_eq!(plain.send(&get(place)).await.status, 404);
}

#[tokio::test]
async fn a_client_that_takes_this_server_for_an_issuer_is_sent_to_the_metadata() {
    let server = serve("").await;
    let text = "Cofferdam issues no tokens. Sign in at an issuer that its metadata names: \
                https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp";
    let expect = json!({"error": "invalid_request", "error_description": text});
    for (request, status) in [
        (get("/.well-known/oauth-authorization-server"), 404),
        (get("/.well-known/openid-configuration/mcp"), 404),
        (get("/authorize"), 400),
        (Request::new("POST", "/register").json(&json!({})), 400),
        (Request::new("POST", "/token").json(&json!({})), 400),
    ] {
        let answer = server.send(&request).await;
        assert_eq!((answer.status, answer.json()), (status, expect.clone()), "{}", request.line);
    }
}

/// Status, words and challenge of each request.
async fn told(server: &Server, rows: Vec<(&str, Request)>) -> String {
    let mut text = String::new();
    for (name, request) in rows {
        let answer = server.send(&request).await;
        let challenge = answer.header("www-authenticate").unwrap_or("-");
        text.push_str(&format!("{name}: {}\n  {challenge}\n", answer.line()));
        for secret in ["secret-", "one.example.com"] {
            assert!(!format!("{challenge}{}", answer.text()).contains(secret), "{name}");
        }
    }
    text
}

#[tokio::test]
async fn every_wrong_token_gets_its_status_header_and_words() {
    let server = serve("").await;
    let call = || Request::call("scale", json!({}));
    let with = |token: &str| call().bearer(token);
    let dpop = |proof: &str| call().and("Authorization", "DPoP bound").and("DPoP", proof);
    let rows = vec![
        ("none", call()),
        ("another scheme", call().and("Authorization", "Basic YTpi")),
        ("unknown", with("cfd_unknown")),
        ("forged", with("forged")),
        ("expired", with("over")),
        ("early", with("early")),
        ("for another server", with("elsewhere")),
        ("without a claim", with("unfit")),
        ("without the certificate", with("of-a-certificate")),
        ("bound, as a bearer token", with("bound")),
        ("bound, with a wrong proof", dpop("wrong")),
        ("bound, with two proofs", dpop("right").and("DPoP", "right")),
        ("bound, with its proof", dpop("right")),
        ("its issuer is away", with("issuer-away")),
        ("plain, expired", get("/v1/tools").bearer("over")),
        ("in the query", Request { line: "POST /mcp?access_token=x HTTP/1.1".into(), ..call() }),
        ("right", call().with_token()),
    ];
    expect![[r#"
        none: 401 -32600 id 7: a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one
          Bearer realm="cofferdam", error_description="a token is needed: send `Authorization: Bearer TOKEN`; `cofferdam agents add` makes one", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        another scheme: 401 -32600 id 7: the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable
          Bearer realm="cofferdam", error="invalid_request", error_description="the `Authorization` header must be the word `Bearer`, a space and the token: `Authorization: Bearer TOKEN`; if the client reads the token from a variable, set that variable", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        unknown: 401 -32600 id 7: the token is not valid; `cofferdam agents list` lists the agents that have one
          Bearer realm="cofferdam", error="invalid_token", error_description="the token is not valid; `cofferdam agents list` lists the agents that have one", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        forged: 401 -32600 id 7: the token is not valid; get a new one, or ask an operator
          Bearer realm="cofferdam", error="invalid_token", error_description="the token is not valid; get a new one, or ask an operator", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        expired: 401 -32600 id 7: the token has expired; get a new one
          Bearer realm="cofferdam", error="invalid_token", error_description="the token has expired; get a new one", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        early: 401 -32600 id 7: the token is not valid yet; compare the clocks of the machines
          Bearer realm="cofferdam", error="invalid_token", error_description="the token is not valid yet; compare the clocks of the machines", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        for another server: 401 -32600 id 7: the token is for another server; ask for one with the `resource` of this server
          Bearer realm="cofferdam", error="invalid_token", error_description="the token is for another server; ask for one with the `resource` of this server", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        without a claim: 401 -32600 id 7: the token is valid and lacks a claim that this server needs; an operator finds the claim in the log
          Bearer realm="cofferdam", error="invalid_token", error_description="the token is valid and lacks a claim that this server needs; an operator finds the claim in the log", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        without the certificate: 401 -32600 id 7: the token is bound to a client certificate: connect with this certificate
          Bearer realm="cofferdam", error="invalid_token", error_description="the token is bound to a client certificate: connect with this certificate", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        bound, as a bearer token: 401 -32600 id 7: the token is bound to a key: send `Authorization: DPoP TOKEN`, and in the header `DPoP` a new proof for this method and URL
          DPoP realm="cofferdam", error="invalid_dpop_proof", error_description="the token is bound to a key: send `Authorization: DPoP TOKEN`, and in the header `DPoP` a new proof for this method and URL", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call", algs="ES256 EdDSA"
        bound, with a wrong proof: 401 -32600 id 7: the token is bound to a key: send `Authorization: DPoP TOKEN`, and in the header `DPoP` a new proof for this method and URL
          DPoP realm="cofferdam", error="invalid_dpop_proof", error_description="the token is bound to a key: send `Authorization: DPoP TOKEN`, and in the header `DPoP` a new proof for this method and URL", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call", algs="ES256 EdDSA"
        bound, with two proofs: 400 -32600 id 7: the header `dpop` is there twice; send it once
          -
        bound, with its proof: 200 ok
          -
        its issuer is away: 503 -32603 id 7: the token cannot be checked now, because its issuer does not answer; nothing was executed; try again in a few seconds
          -
        plain, expired: 401 the token has expired; get a new one
          Bearer realm="cofferdam", error="invalid_token", error_description="the token has expired; get a new one", resource_metadata="https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp", scope="tools:read tools:call"
        in the query: 400 -32600 id 7: this path takes no query string; tokens belong in the `Authorization` header
          -
        right: 200 ok
          -
    "#]].assert_eq(&told(&server, rows).await);
    let away = server.send(&with("issuer-away")).await;
    assert_eq!(away.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn every_refused_token_is_the_same_on_mcp_and_plain_http() {
    let server = serve("").await;
    for (token, status, error) in [
        ("cfd_unknown", 401, "invalid_token"),
        ("expired", 401, "invalid_token"),
        ("ended", 401, "invalid_token"),
        ("forged", 401, "invalid_token"),
        ("over", 401, "invalid_token"),
        ("early", 401, "invalid_token"),
        ("elsewhere", 401, "invalid_token"),
        ("unfit", 401, "invalid_token"),
        ("of-a-certificate", 401, "invalid_token"),
        ("bound", 401, "invalid_dpop_proof"),
        ("no-scope", 403, "insufficient_scope"),
        ("issuer-away", 503, ""),
        ("unregistered", 503, ""),
    ] {
        let requests = [
            Request::modern("tools/list", json!({})),
            Request::legacy("tools/list", json!({})),
            get("/v1/tools"),
            get("/v1/calls"),
            get(&format!("/v1/jobs/{}", id())),
        ];
        let mut told = Vec::new();
        for request in requests {
            let line = request.line.clone();
            let answer = server.send(&request.bearer(token)).await;
            assert_eq!(answer.status, status, "{token} {line}");
            let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
            let named = format!("error=\"{error}\"");
            assert_eq!(challenge.contains(&named), !error.is_empty(), "{token} {line}");
            assert_eq!(challenge.is_empty(), error.is_empty(), "{token} {line}");
            let waits = answer.header("retry-after").is_some();
            assert_eq!(waits, token == "issuer-away", "{token} {line}");
            let error = answer.json()["error"].clone();
            let words = [&error["message"], &error["text"]];
            told.push((challenge, words.map(|words| words.as_str().unwrap_or_default()).concat()));
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{token}: {told:#?}");
    }
}

#[tokio::test]
async fn each_request_needs_its_scope_and_the_challenge_names_it() {
    let server = serve("").await;
    let job = format!("/v1/jobs/{}", id());
    let arguments = || Request::new("POST", "/v1/tools/scale").json(&json!({}));
    let preview = Request::new("POST", "/v1/tools/scale/preview").json(&json!({}));
    let tool = |name: &str| Request::call(name, json!({"id": id().to_string()}));
    let rows: Vec<(&str, Request, &str)> = vec![
        ("discover", Request::modern("server/discover", json!({})), "read"),
        ("tools/list", Request::modern("tools/list", json!({})), "read"),
        (
            "legacy initialize",
            Request::legacy("initialize", json!({"protocolVersion": "2025-11-25"})),
            "read",
        ),
        ("legacy ping", Request::legacy("ping", json!({})), "read"),
        ("job_get", tool("job_get"), "read"),
        ("calls_list", Request::call("calls_list", json!({})), "read"),
        ("preview", Request::call("preview", json!({"tool": "scale", "arguments": {}})), "read"),
        ("/v1/tools", get("/v1/tools"), "read"),
        ("/v1/calls", get("/v1/calls"), "read"),
        ("/v1 preview", preview, "read"),
        ("/v1 job", get(&job), "read"),
        ("call", Request::call("scale", json!({})), "call"),
        (
            "legacy call",
            Request::legacy("tools/call", json!({"name": "scale", "arguments": {}})),
            "call",
        ),
        ("job_cancel", tool("job_cancel"), "call"),
        ("an unknown method", Request::legacy("new/method", json!({})), "call"),
        ("/v1 call", arguments(), "call"),
        ("/v1 cancel", Request::new("DELETE", &job), "call"),
    ];
    for (name, request, needs) in rows {
        for (token, has) in [("no-scope", ""), ("reads", "read"), (TOKEN, "call")] {
            let answer = server.send(&request.clone().bearer(token)).await;
            let right = has == "call" || has == needs;
            assert_eq!(answer.status != 403, right, "{name} {token}: {}", answer.line());
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            let scope = if needs == "read" { "tools:read" } else { "tools:read tools:call" };
            let expect = format!(
                "Bearer realm=\"cofferdam\", error=\"insufficient_scope\", \
                 error_description=\"the token has no scope `tools:{needs}`; sign in again and \
                 grant it\", resource_metadata=\"https://gate.example.com/.well-known/\
                 oauth-protected-resource/tools/mcp\", scope=\"{scope}\""
            );
            assert_eq!(challenge, if right { "" } else { &expect }, "{name} {token}");
        }
    }
    let last = server.front.last.lock().unwrap().take().unwrap();
    assert_eq!(last.principal.name, "alice", "only the request with all scopes was a call");
}

#[tokio::test]
async fn a_refusal_for_a_scope_is_json_rpc_with_the_id() {
    let server = serve("api://cofferdam/").await;
    let answer = server.send(&Request::call("scale", json!({})).bearer("reads")).await;
    let expect: Value = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32600,
        "message": "the token has no scope `tools:call`; sign in again and grant it"}});
    assert_eq!((answer.status, answer.json()), (403, expect));
    let challenge = answer.header("www-authenticate").unwrap();
    let asked = "scope=\"api://cofferdam/tools:read api://cofferdam/tools:call\"";
    assert!(challenge.ends_with(asked), "{challenge}");
    assert!(server.front.last.lock().unwrap().is_none(), "nothing was called");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_reads_the_metadata_and_the_challenge() {
    let server = serve("").await;
    let from = |request: Request| request.and("Origin", "http://localhost:3000");
    let metadata = server.send(&from(get("/.well-known/oauth-protected-resource/mcp"))).await;
    assert_eq!(metadata.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let refused = server.send(&from(Request::call("scale", json!({})))).await;
    assert!(refused.header("access-control-expose-headers").unwrap().contains("www-authenticate"));
    let asked = server.send(&from(Request::new("OPTIONS", "/mcp"))).await;
    assert!(asked.header("access-control-allow-headers").unwrap().contains("dpop"));
}
