//! The sign-in of people: its page is found by metadata, on a configured server alone, and a code is
//! exchanged with the client's secret for an ID token.

use crate::causes::secret;
use crate::server::{Server, answer, courier, issuer, ok, web};
use cofferdam_core::protocol::courier::{Fetch, FetchError, Fetched, Token};
use cofferdam_core::protocol::role_settings::{IssuerConnection, SignInClient};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

fn people(server: &Server, folder: &Path) -> IssuerConnection {
    let client = SignInClient {
        authorization_endpoint: None,
        token_endpoint: None,
        client_id: "console".into(),
        secret_file: secret(folder),
    };
    IssuerConnection { sign_in: Some(client), ..issuer(&server.url("")) }
}

/// An issuer with metadata. Its page of sign-ins is at `elsewhere`, if that is not empty.
fn started(elsewhere: &'static str) -> Server {
    Server::plain(move |request| {
        let host = request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let base = format!("http://{host}");
        match request.target() {
            "/token" if request.body.contains("code=a%2Bb&") => {
                ok(r#"{"access_token":"never-kept","id_token":"x.y.z","token_type":"Bearer"}"#)
            }
            "/token" if request.body.contains("code=plain&") => ok(r#"{"access_token":"only"}"#),
            "/token" => answer(400, "", r#"{"error":"invalid_grant"}"#),
            _ => {
                let page = if elsewhere.is_empty() { &base } else { elsewhere };
                ok(&json!({"issuer": base, "authorization_endpoint": format!("{page}/auth"),
                    "token_endpoint": format!("{base}/token"),
                    "authorization_response_iss_parameter_supported": elsewhere.is_empty()})
                .to_string())
            }
        }
    })
}

#[tokio::test]
async fn a_code_is_exchanged_with_the_client_for_an_id_token_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = started("");
    let courier = courier(vec![people(&server, folder.path())]);
    let issuer = server.url("");
    let page = courier.fetch(Fetch::SignInPage { issuer: issuer.clone() }).await;
    let address = server.url("/auth");
    assert_eq!(page, Fetched::SignInPage { address, names_itself: true });
    let exchange = |code: &str| Fetch::Exchange {
        issuer: issuer.clone(),
        code: Token(code.to_owned()),
        verifier: Token("v~1".to_owned()),
        redirect: "https://gate.example.com/sign-in/return".to_owned(),
    };
    let token = Token("x.y.z".to_owned());
    assert_eq!(courier.fetch(exchange("a+b")).await, Fetched::IdToken { token });
    let asked = server.seen().into_iter().find(|asked| asked.target() == "/token").unwrap();
    assert_eq!(asked.line, "POST /token HTTP/1.1");
    assert_eq!(
        asked.body,
        "grant_type=authorization_code&code=a%2Bb&redirect_uri=https%3A%2F%2Fgate.example.com\
         %2Fsign-in%2Freturn&code_verifier=v%7E1"
    );
    // console:s3cret
    assert!(asked.head.contains("authorization: Basic Y29uc29sZTpzM2NyZXQ="), "{asked:?}");
    let error = FetchError::Refused { status: 400 };
    assert_eq!(courier.fetch(exchange("used")).await, Fetched::Failed { error });
    let missing = courier.fetch(exchange("plain")).await;
    assert!(matches!(missing, Fetched::Failed { error: FetchError::Malformed { .. } }));
    let long = courier.fetch(exchange(&"c".repeat(20_000))).await;
    assert_eq!(long, Fetched::Failed { error: FetchError::TooLarge });
    assert!(!format!("{:?}", exchange("a+b")).contains("a+b"), "a code is shown nowhere");
}

#[tokio::test]
async fn people_are_sent_to_a_configured_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = started("https://evil.example.com");
    let ask = || Fetch::SignInPage { issuer: server.url("") };
    let found = people(&server, folder.path());
    let told = courier(vec![found.clone()]).fetch(ask()).await;
    assert!(
        matches!(&told, Fetched::Failed { error: FetchError::NotConfigured { detail } }
        if detail.contains("`authorization_endpoint`")),
        "{told:?}"
    );
    let page = web("https://login.example.com/auth");
    let client = found.sign_in.clone().unwrap();
    let client = SignInClient { authorization_endpoint: Some(page), ..client };
    let told =
        courier(vec![IssuerConnection { sign_in: Some(client), ..found }]).fetch(ask()).await;
    let address = "https://login.example.com/auth".to_owned();
    assert_eq!(told, Fetched::SignInPage { address, names_itself: false });
    // An issuer of access tokens alone signs no person in.
    let told = courier(vec![issuer(&server.url(""))]).fetch(ask()).await;
    assert!(
        matches!(&told, Fetched::Failed { error: FetchError::NotConfigured { detail } }
        if detail.contains("no client for sign-ins")),
        "{told:?}"
    );
}

#[tokio::test]
async fn sign_ins_that_hang_take_no_turn_of_agents() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Server::plain(|_| None);
    let agents = Server::plain(|_| ok(r#"{"keys":[]}"#));
    let of_agents =
        IssuerConnection { jwks_uri: Some(web(&agents.url("/keys"))), ..issuer(&agents.url("")) };
    let courier = Arc::new(courier(vec![people(&slow, folder.path()), of_agents]));
    let page = Fetch::SignInPage { issuer: slow.url("") };
    let hanging: Vec<_> = (0..4)
        .map(|_| {
            let (courier, page) = (Arc::clone(&courier), page.clone());
            tokio::spawn(async move { courier.fetch(page).await })
        })
        .collect();
    // Each took its turn before it waits for the network.
    tokio::task::yield_now().await;
    let told = courier.fetch(page).await;
    assert!(
        matches!(&told, Fetched::Failed { error: FetchError::Unreachable { detail } }
        if detail.contains("in progress already")),
        "{told:?}"
    );
    let keys = courier.fetch(Fetch::Keys { issuer: agents.url("") }).await;
    assert!(matches!(keys, Fetched::Keys { .. }), "{keys:?}");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}
