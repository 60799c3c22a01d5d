//! Each cause for which there are no keys and no claims, and the error that the gateway gets.

use crate::server::{LONG, Server, answer, closed, courier, courier_with, issuer, ok, web};
use cofferdam_core::protocol::courier::{Fetch, FetchError, Fetched, TOKEN, Token};
use cofferdam_core::protocol::role_settings::{IntrospectionClient, IssuerConnection};
use cofferdam_courier::courier::{Courier, Times};
use cofferdam_testkit::tls::{CA, ELSEWHERE, OTHER_CA, SERVER};
use serde_json::json;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

async fn error(courier: &Courier, ask: Fetch) -> FetchError {
    match courier.fetch(ask).await {
        Fetched::Failed { error } => error,
        other => panic!("it did not fail: {other:?}"),
    }
}

fn keys(issuer: &str) -> Fetch {
    Fetch::Keys { issuer: issuer.to_owned() }
}

/// Checks the code of the error and a part of its text. `server` answers for the issuer at its root.
async fn check(what: &str, server: &Server, code: &str, part: &str) {
    let url = server.url("");
    let error = error(&courier(vec![issuer(&url)]), keys(&url)).await;
    assert_eq!(error.code(), code, "{what}: {error}");
    assert!(error.to_string().contains(part), "{what}: not `{part}`: {error}");
}

/// A server whose metadata name `/keys`, and whose `/keys` is answered by this.
fn with_keys(keys: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static) -> Server {
    with_metadata(
        |base| json!({"issuer": base, "jwks_uri": format!("{base}/keys")}).to_string(),
        keys,
    )
}

fn with_metadata(
    metadata: impl Fn(&str) -> String + Send + Sync + 'static,
    keys: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Server {
    Server::plain(move |request| {
        let host = request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        match request.target() {
            "/keys" => keys(),
            _ => ok(&metadata(&format!("http://{host}"))),
        }
    })
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_an_error_with_its_cause() {
    check("404", &Server::plain(|_| answer(404, "", "")), "refused", "status 404").await;
    check("500", &Server::plain(|_| answer(500, "", "")), "refused", "status 500").await;
    check("204", &Server::plain(|_| answer(204, "", "")), "refused", "status 204").await;
    check("no HTTP", &Server::plain(|_| Some(b"SSH-2.0-x\r\n\r\n".to_vec())), "malformed", "HTTP")
        .await;
    check("ends", &Server::plain(|_| Some(Vec::new())), "unreachable", "the connection ended")
        .await;
    check("no JSON", &Server::plain(|_| ok("<html>")), "malformed", "metadata").await;
    check("no issuer", &Server::plain(|_| ok("{}")), "malformed", "metadata").await;
    check(
        "two issuers",
        &Server::plain(|_| ok(r#"{"issuer":"a","issuer":"b"}"#)),
        "malformed",
        "metadata",
    )
    .await;
    check(
        "another issuer",
        &Server::plain(|_| ok(r#"{"issuer":"https://login.example.com"}"#)),
        "malformed",
        "of the issuer `https://login.example.com`",
    )
    .await;
    check(
        "an issuer with another spelling",
        &with_metadata(|base| json!({"issuer": format!("{base}/")}).to_string(), || None),
        "malformed",
        "configure exactly this issuer",
    )
    .await;
    check(
        "no keys in the metadata",
        &with_metadata(|base| json!({"issuer": base}).to_string(), || None),
        "malformed",
        "no `jwks_uri`",
    )
    .await;
    check(
        "keys over plain HTTP",
        &with_metadata(
            |base| json!({"issuer": base, "jwks_uri": "http://192.0.2.1/keys"}).to_string(),
            || None,
        ),
        "malformed",
        "write https://",
    )
    .await;
    check("keys: 404", &with_keys(|| answer(404, "", "")), "refused", "status 404").await;
    check("keys: no JSON", &with_keys(|| ok("keys")), "malformed", "a JWK set").await;
    check("keys: no list", &with_keys(|| ok(r#"{"keys":{}}"#)), "malformed", "a JWK set").await;
    check(
        "keys: two lists",
        &with_keys(|| ok(r#"{"keys":[],"keys":[]}"#)),
        "malformed",
        "a JWK set",
    )
    .await;
    check(
        "keys: no UTF-8",
        &with_keys(|| Some(b"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\n\xff".to_vec())),
        "malformed",
        "not UTF-8",
    )
    .await;
    check(
        "keys: broken off",
        &with_keys(|| Some(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{".to_vec())),
        "unreachable",
        "the connection ended",
    )
    .await;
    let huge = || format!(r#"{{"keys":[{}]}}"#, " ".repeat(1024 * 1024));
    check("keys: huge", &with_keys(move || ok(&huge())), "too-large", "").await;
    check(
        "keys: huge, in chunks",
        &with_keys(|| {
            let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
            let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
            Some(format!("{head}{}", chunk.repeat(17)).into_bytes())
        }),
        "too-large",
        "",
    )
    .await;
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_an_error_with_its_cause() {
    let check = async |what: &str, url: &str, ca: &str, times: Times, part: &str| {
        let courier = courier_with(vec![issuer(url)], ca, times);
        let error = error(&courier, keys(url)).await;
        assert_eq!(error.code(), "unreachable", "{what}: {error}");
        assert!(error.to_string().contains(part), "{what}: not `{part}`: {error}");
    };
    let long = Times { connect: LONG, whole: LONG };
    let short = Times { connect: LONG, whole: Duration::from_millis(200) };
    check("closed", &format!("http://{}", closed()), CA, long, "no connection to").await;
    check("silent", &Server::plain(|_| None).url(""), CA, short, "no response within").await;
    let secure = Server::secure(SERVER, |_| answer(404, "", ""));
    check("another authority", &secure.url(""), OTHER_CA, long, "name the CA in `ca_file`").await;
    let elsewhere = Server::secure(ELSEWHERE, |_| answer(404, "", ""));
    check("another name", &elsewhere.url(""), CA, long, "no TLS with").await;
    let plain = Server::plain(|_| answer(404, "", ""));
    let url = format!("https://{}", plain.address);
    let quick = Times { connect: Duration::from_secs(1), whole: LONG };
    check("plain HTTP", &url, CA, quick, "no TLS with").await;
    // The same servers are reached with the right authority and the right name.
    let url = secure.url("");
    assert_eq!(error(&courier(vec![issuer(&url)]), keys(&url)).await.code(), "refused");
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_other_server_is_asked() {
    let other = Server::plain(|_| ok(r#"{"keys":[]}"#));
    let to = other.url("/keys");
    let redirect = format!("Location: {to}\r\n");
    check("redirect", &with_keys(move || answer(302, &redirect, "")), "refused", "302").await;
    let named = to.clone();
    let server =
        with_metadata(move |base| json!({"issuer": base, "jwks_uri": named}).to_string(), || None);
    check("keys elsewhere", &server, "not-configured", "on another server").await;
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    // The same keys are fetched once they are configured.
    let url = server.url("");
    let configured = IssuerConnection { jwks_uri: Some(web(&to)), ..issuer(&url) };
    let fetched = courier(vec![configured]).fetch(keys(&url)).await;
    assert!(matches!(fetched, Fetched::Keys { .. }), "{fetched:?}");
    assert_eq!(other.targets(), ["/keys"]);
}

#[tokio::test]
async fn only_what_is_configured_is_asked() {
    let server = with_keys(|| ok(r#"{"keys":[]}"#));
    let url = server.url("");
    let courier = courier(vec![issuer(&url)]);
    for name in ["", "http://127.0.0.1:1", &format!("{url}/"), "file:///etc/passwd"] {
        let error = error(&courier, keys(name)).await;
        assert_eq!(error.code(), "not-configured", "{name}: {error}");
    }
    let ask = Fetch::Introspect { issuer: url.clone(), token: Token("t".into()) };
    let error = error(&courier, ask).await;
    assert!(error.to_string().contains("no client for introspection"), "{error}");
    assert!(server.seen().is_empty(), "{:?}", server.seen());
}

/// A secret in a file of its own.
pub fn secret(folder: &Path) -> PathBuf {
    let file = folder.join("secret");
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&file);
    std::io::Write::write_all(opened.as_mut().unwrap(), b"s3cret\n").unwrap();
    file
}

/// An issuer with a client for introspection at this path.
pub fn asking(server: &Server, folder: &Path) -> IssuerConnection {
    let client = IntrospectionClient {
        endpoint: Some(web(&server.url("/introspect"))),
        client_id: "cofferdam".into(),
        secret_file: secret(folder),
    };
    IssuerConnection { introspection: Some(client), ..issuer(&server.url("")) }
}

#[tokio::test]
async fn an_introspection_that_fails_is_an_error_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |server: Server, token: &str, code: &str| {
        let courier = courier(vec![asking(&server, folder.path())]);
        let ask = Fetch::Introspect { issuer: server.url(""), token: Token(token.into()) };
        let error = error(&courier, ask).await;
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.to_string().contains(token), "{error}");
    };
    check(Server::plain(|_| answer(401, "", "")), "opaque-1", "refused").await;
    check(Server::plain(|_| ok("opaque-2")), "opaque-2", "malformed").await;
    check(Server::plain(|_| ok(r#"{"sub":"a"}"#)), "opaque-3", "malformed").await;
    check(Server::plain(|_| ok(r#"{"active":"true"}"#)), "opaque-4", "malformed").await;
    check(Server::plain(|_| ok(r#"{"active":false,"active":true}"#)), "opaque-5", "malformed")
        .await;
    let never = Server::plain(|_| ok(r#"{"active":true}"#));
    check(never.clone(), &"x".repeat(TOKEN + 1), "too-large").await;
    assert!(never.seen().is_empty());
}
