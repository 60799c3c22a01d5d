//! The fetches that succeed: keys that change, with TLS, by metadata of both kinds, and answers about
//! tokens.

use crate::causes::asking;
use crate::server::{Server, answer, courier, issuer, ok, web};
use cofferdam_core::protocol::courier::{Fetch, Fetched, Token};
use cofferdam_core::protocol::role_settings::{IntrospectionClient, IssuerConnection};
use cofferdam_testkit::tls::SERVER;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

fn keys(issuer: &str) -> Fetch {
    Fetch::Keys { issuer: issuer.to_owned() }
}

#[tokio::test]
async fn keys_are_found_by_the_metadata_of_either_kind_and_rotate() {
    for document in [
        "/.well-known/oauth-authorization-server/realms/ops",
        "/realms/ops/.well-known/openid-configuration",
    ] {
        let rounds = AtomicUsize::new(0);
        let server = Server::secure(SERVER, move |request| {
            let host = request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
            let base = format!("https://{host}");
            match request.target() {
                target if target == document => ok(&json!({
                    "issuer": format!("{base}/realms/ops"),
                    "jwks_uri": format!("{base}/certs?client=a"),
                    "token_endpoint": 7,
                })
                .to_string()),
                "/certs?client=a" => {
                    let body = json!({"keys": [{"kid": rounds.fetch_add(1, SeqCst)}]});
                    let headers = "Cache-Control: public, max-age=3600\r\nAge: 60\r\n";
                    answer(200, headers, &body.to_string())
                }
                _ => answer(404, "", "none"),
            }
        });
        let url = server.url_by_name("/realms/ops");
        let courier = courier(vec![issuer(&url)]);
        for round in 0..2 {
            let jwks = format!(r#"{{"keys":[{{"kid":{round}}}]}}"#);
            let expect = Fetched::Keys { jwks, cache_seconds: 3540 };
            assert_eq!(courier.fetch(keys(&url)).await, expect);
        }
        // The metadata are kept, the keys are fetched each time.
        let targets = server.targets();
        let of = |wanted: &str| targets.iter().filter(|target| *target == wanted).count();
        assert_eq!((of(document), of("/certs?client=a")), (1, 2), "{targets:?}");
    }
}

#[tokio::test]
async fn metadata_are_read_again_after_a_failure() {
    let moved = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&moved);
    let server = Server::plain(move |request| {
        let host = request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let (base, place) = (format!("http://{host}"), format!("/keys/{}", at.load(SeqCst)));
        match request.target() {
            target if target == place => ok(r#"{"keys":[]}"#),
            target if target.starts_with("/keys/") => answer(404, "", ""),
            _ => ok(&json!({"issuer": base, "jwks_uri": format!("{base}{place}")}).to_string()),
        }
    });
    let url = server.url("");
    let courier = courier(vec![issuer(&url)]);
    let good = |fetched: Fetched| matches!(fetched, Fetched::Keys { .. });
    assert!(good(courier.fetch(keys(&url)).await));
    moved.store(1, SeqCst);
    assert!(!good(courier.fetch(keys(&url)).await));
    assert!(good(courier.fetch(keys(&url)).await));
}

#[tokio::test]
async fn a_token_goes_to_its_issuer_in_a_form_with_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(|request| match request.target() {
        "/introspect" if request.body.contains("token=a%2Bb") => {
            ok(r#"{"active":true,"sub":"agent"}"#)
        }
        "/introspect" => ok(r#"{"active":false}"#),
        _ => {
            let host = request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
            let base = format!("http://{host}");
            let endpoint = format!("{base}/introspect");
            ok(&json!({"issuer": base, "introspection_endpoint": endpoint}).to_string())
        }
    });
    let configured = asking(&server, folder.path());
    let client = configured.introspection.clone().unwrap();
    let found = IssuerConnection {
        introspection: Some(IntrospectionClient { endpoint: None, ..client }),
        ..configured.clone()
    };
    for connection in [configured, found] {
        let courier = courier(vec![connection]);
        let ask = |token: &str| Fetch::Introspect {
            issuer: server.url(""),
            token: Token(token.to_owned()),
        };
        let claims = r#"{"active":true,"sub":"agent"}"#.to_owned();
        assert_eq!(courier.fetch(ask("a+b")).await, Fetched::Claims { claims });
        let claims = r#"{"active":false}"#.to_owned();
        assert_eq!(courier.fetch(ask("other")).await, Fetched::Claims { claims });
    }
    let asked = server.seen().into_iter().find(|asked| asked.target() == "/introspect").unwrap();
    assert_eq!(asked.line, "POST /introspect HTTP/1.1");
    assert_eq!(asked.body, "token=a%2Bb&token_type_hint=access_token");
    // cofferdam:s3cret
    assert!(asked.head.contains("authorization: Basic Y29mZmVyZGFtOnMzY3JldA=="), "{asked:?}");
    assert!(
        server.targets().iter().all(|target| !target.contains("a+b") && !target.contains("%2B"))
    );
}

#[tokio::test]
async fn an_issuer_gets_a_bounded_number_of_questions_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::plain(move |_| {
        let (now, most) = &counted;
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, SeqCst);
        ok(r#"{"active":false}"#)
    });
    let courier = Arc::new(courier(vec![asking(&server, folder.path())]));
    let url = server.url("");
    let asks: Vec<_> = (0..60)
        .map(|number| {
            let (courier, issuer) = (Arc::clone(&courier), url.clone());
            tokio::spawn(async move {
                let token = Token(format!("token-{number}"));
                courier.fetch(Fetch::Introspect { issuer, token }).await
            })
        })
        .collect();
    for ask in asks {
        assert!(matches!(ask.await.unwrap(), Fetched::Claims { .. }));
    }
    assert!((1..=16).contains(&most.load(SeqCst)), "{most:?} at once");
}

#[test]
fn an_issuer_is_configured_once() {
    let twice = vec![issuer("https://login.example.com"), issuer("https://login.example.com")];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, cofferdam_testkit::tls::CA).unwrap();
    let tls = cofferdam_courier::trust::tls(Some(&file)).unwrap();
    let made = cofferdam_courier::courier::Courier::new(
        twice,
        tls,
        cofferdam_courier::courier::Times::USUAL,
    );
    assert!(made.err().unwrap().to_string().contains("configured twice"));
    assert_eq!(web("https://login.example.com").place().port, 443);
}
