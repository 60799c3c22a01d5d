//! What an agent learns whose client gives up early, or hands the model the structure alone.

use crate::stage::{Stage, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn gift_cards() -> Value {
    json!({"namespace": "storefront", "name": "gift-cards-v1"})
}

/// What a model is given whose host hands on the structure.
fn pending(body: &Value) -> &Value {
    let pending = &body["pending"];
    for name in ["state", "call", "environment", "tool", "what", "why", "allowed", "needed", "until", "changed", "next", "plan", "ledger"] {
        assert!(!pending[name].is_null(), "{name}: {body:#}");
    }
    pending
}

#[test]
fn a_client_that_gives_up_early_has_the_id_after_three_seconds_and_finds_its_call_again() {
    let stage = Stage::started();
    let (release, other) = (stage.agent("release", "operator"), stage.agent("other", "operator"));
    let began = Instant::now();
    let first = stage.brief_call(&release, "deployment_delete", &gift_cards());
    // Clients give up after 5 s and more; this machine may be slow, and a held call takes 45 s.
    let took = began.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(30)).contains(&took), "{took:?}");
    assert_eq!(first.status, 202, "{:#}", first.body);
    let told = pending(&first.body);
    assert_eq!(told["state"], "waiting");
    assert_eq!(told["what"], "delete Deployment gift-cards-v1 in namespace storefront");
    assert!(text_of(&first.body).starts_with("WAITING "), "{:#}", first.body);
    let call = told["call"].as_str().unwrap();

    let again = stage.http("POST", "/v1/tools/deployment_delete?wait=0", &release, Some(&gift_cards()));
    assert_eq!(again.body["call"], call, "the same call again joins it");
    let list = |token: &str, query: &str| stage.http("GET", &format!("/v1/calls{query}"), token, None);
    let listed = list(&release, "?open=true");
    assert_eq!((listed.status, listed.body["result"]["calls"].as_array().map(Vec::len)), (200, Some(1)), "{:#}", listed.body);
    let one = &listed.body["result"]["calls"][0];
    assert_eq!((&one["call"], &one["state"]), (&json!(call), &json!("waiting")));
    assert_eq!(one["what"], "delete Deployment gift-cards-v1 in namespace storefront");
    assert_eq!(list(&other, "").body["result"]["calls"], json!([]), "another agent has no such call");
    for query in ["?open=1", "?limit=0", "?limit=51", "?limit=1&limit=1", "?x"] {
        assert_eq!(list(&release, query).status, 400, "{query}");
    }

    let withdrawn = stage.http("DELETE", &format!("/v1/jobs/{call}"), &release, None);
    assert_eq!((withdrawn.status, &withdrawn.body["error"]), (200, &Value::Null), "{:#}", withdrawn.body);
    assert!(text_of(&withdrawn.body).starts_with(&format!("WITHDRAWN {call} in shop\nNothing was changed.\n")), "{:#}", withdrawn.body);
    assert_eq!(list(&release, "?open=true").body["result"]["calls"], json!([]));
    assert_eq!(list(&release, "?limit=5").body["result"]["calls"][0]["outcome"], "cancelled");
}

#[test]
fn after_an_approval_the_object_is_named_and_what_was_edited_is_not_called_rolled_out() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let waiting = stage.http("POST", "/v1/tools/deployment_scale?wait=0", &token, Some(&scale(0)));
    let call = pending(&waiting.body)["call"].as_str().unwrap();
    stage.run(&["approve", call, "--key", text(&stage.key("bob")), "--yes"]);
    let done = stage.http("GET", &format!("/v1/jobs/{call}?wait=45"), &token, None);
    let told = &done.body["result"];
    assert_eq!(told["operations"][0]["what"], "patch Deployment web in namespace storefront", "{:#}", done.body);
    assert_eq!((&told["state"], &told["edited"]), (&json!("done"), &json!(["storefront/web.yaml"])));
    assert_eq!(told["changed"], "edited storefront/web.yaml; not committed, not rolled out");
    let late = stage.http("DELETE", &format!("/v1/jobs/{call}"), &token, None);
    assert_eq!((late.status, &late.body["error"]["verb"]), (409, &json!("TOO LATE")), "{:#}", late.body);
}

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn text_of(body: &Value) -> &str {
    body["text"].as_str().unwrap_or_default()
}
