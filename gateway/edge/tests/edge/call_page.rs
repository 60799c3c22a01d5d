//! The page of a call: for the holder of the agent's token alone, without a script, and without a
//! way to approve.

use crate::front::{FakeFront, TOKEN, id};
use crate::wire::{FromAgent as _, Request, Server, send_all};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::model::id::CallId;
use expect_test::expect;
use serde_json::json;

fn page(call: &CallId) -> Request {
    Request::new("GET", &format!("/calls/{call}"))
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

async fn started() -> Server {
    Server::start(FakeFront { closed: true, ..FakeFront::default() }).await
}

#[tokio::test]
async fn the_page_shows_an_own_call_to_a_browser_with_the_token() {
    let server = started().await;
    let browser = page(&id()).and("Authorization", &basic(&format!("anyone:{TOKEN}")));
    let shown = server.send(&browser).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'none'; \
             base-uri 'none'",
        ),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(shown.header(name), Some(value));
    }
    let text = shown.text().replace("><", ">\n<");
    expect![[r#"
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>Call pptx2e6mf2icaaaaaaaaaaaaaa – Cofferdam staging</title>
        <link rel="stylesheet" href="/assets/cofferdam.css">
        </head>
        <body>
        <header>
        <strong>Cofferdam</strong>
        <span>environment <strong>staging</strong>
        </span>
        </header>
        <main>
        <h1>Call pptx2e6mf2icaaaaaaaaaaaaaa</h1>
        <pre tabindex="0">job of alice, held 0 ms</pre>
        <p>This page shows the call and approves nothing. An approver signs on <a href="/approve/pptx2e6mf2icaaaaaaaaaaaaaa">the page for approvers</a> or with <code>cofferdam approve pptx2e6mf2icaaaaaaaaaaaaaa</code>.</p>
        </main>
        </body>
        </html>"#]]
    .assert_eq(&text);
    assert_eq!(server.send(&page(&id()).with_token()).await.text(), shown.text());
}

#[tokio::test]
async fn without_the_token_of_its_agent_the_page_tells_nothing() {
    let server = started().await;
    let other = CallId::from_random(5);
    let with = |value: &str| page(&id()).and("Authorization", value);
    for (name, request, status) in [
        ("no token", page(&id()), 401),
        ("another token", with(&basic("a:b")), 401),
        ("no password", with(&basic("a")), 401),
        ("the token as name", with(&basic(&format!("{TOKEN}:"))), 401),
        ("not base64", with("Basic !"), 401),
        ("a call of no one", page(&other).with_token(), 404),
    ] {
        let told = server.send(&request).await;
        assert_eq!(told.status, status, "{name}: {}", told.text());
        assert!(!told.text().contains("job of"), "{name}: {}", told.text());
        let challenge = told.header("www-authenticate").unwrap_or_default();
        assert_eq!(challenge.starts_with("Basic realm="), status == 401, "{name}: {challenge}");
    }
    // Without a token, a call that exists and one that does not look the same.
    let (known, unknown) = (server.send(&page(&id())).await, server.send(&page(&other)).await);
    let known = known.text().replace(id().as_str(), other.as_str());
    assert_eq!(known, unknown.text());
    let rows = vec![
        ("no id", Request::new("GET", "/calls/x").with_token()),
        ("a query", Request::new("GET", &format!("/calls/{}?token={TOKEN}", id()))),
        ("another method", Request::new("POST", &format!("/calls/{}", id())).with_token()),
    ];
    expect![[r#"
        no id: 404 no such call: `x`; a call's id has 26 characters of a-z and 2-7, and `GET /v1/calls` lists your calls
        a query: 400 this path takes no query string; tokens belong in the `Authorization` header
        another method: 405 this path takes GET, HEAD only
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn a_browsers_password_opens_the_page_and_nothing_else() {
    let server = started().await;
    let password = basic(&format!("a:{TOKEN}"));
    for request in [
        Request::call("scale", json!({})),
        Request::new("GET", "/v1/calls"),
        Request::new("POST", "/v1/tools/scale").json(&json!({})),
        Request::new("DELETE", &format!("/v1/jobs/{}", id())),
    ] {
        let refused = server.send(&request.clone().and("Authorization", &password)).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        assert_eq!(server.send(&request.with_token()).await.status, 200);
    }
}

#[tokio::test]
async fn words_of_others_are_text_on_the_page() {
    let front = FakeFront {
        closed: true,
        words: "<script>alert('&\"')</script>".into(),
        ..FakeFront::default()
    };
    let server = Server::start(front).await;
    let shown = server.send(&page(&id()).with_token()).await.text();
    assert!(
        shown.contains("&lt;script&gt;alert('&amp;&quot;')&lt;/script&gt;")
            && !shown.contains("<script"),
        "{shown}"
    );
}
