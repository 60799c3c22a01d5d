//! The pages for approvers under load: a slow sender takes no place from others, and a signed-in
//! browser has the limits of its approver.

use crate::front::{FakeFront, SESSION, id};
use crate::wire::{Request, Server};
use cofferdam_core::model::relying_party::RelyingParty;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

const ORIGIN: &str = "https://gate.example.com";

async fn started(places: usize, of_each: usize) -> Server {
    Server::with(FakeFront::default(), |settings| {
        settings.party = Some(RelyingParty::read(ORIGIN).unwrap());
        settings.hosts = vec!["gate.example.com".to_owned()];
        settings.origins = vec![ORIGIN.to_owned()];
        settings.calls = places;
        settings.each.calls = of_each;
    })
    .await
}

/// A sign-in of the script of our page.
fn sign_in() -> Request {
    Request::new("POST", "/sign-in")
        .with("Host", "gate.example.com")
        .and("Origin", ORIGIN)
        .json(&json!({"statement": "gate.example.com", "signature": "{}"}))
}

#[tokio::test]
async fn a_body_that_does_not_come_takes_no_place_among_the_calls() {
    let server = started(1, 8).await;
    let whole = sign_in().bytes();
    let mut slow = server.connect().await;
    slow.write_all(&whole[..whole.len() - 1]).await.unwrap();
    // The server has the head once it answers a later connection.
    let asset = Request::new("GET", "/assets/cofferdam.css").with("Host", "gate.example.com");
    for _ in 0..20 {
        assert_eq!(server.send(&asset).await.status, 200);
        tokio::task::yield_now().await;
    }
    assert_eq!(server.send(&sign_in()).await.status, 204);
    slow.write_all(&whole[whole.len() - 1..]).await.unwrap();
    let answer = crate::wire::read(&mut slow).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[tokio::test]
async fn a_signed_in_browser_has_the_share_of_its_approver() {
    let page = Request::new("GET", &format!("/approve/{}", id()))
        .with("Host", "gate.example.com")
        .and("Cookie", &format!("__Host-cofferdam={SESSION}"));
    assert_eq!(started(8, 1).await.send(&page).await.status, 200);
    let over = started(8, 0).await.send(&page).await;
    assert_eq!(over.status, 429, "{}", over.text());
    assert!(over.text().contains("calls in progress"), "{}", over.text());
}
