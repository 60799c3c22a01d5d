//! What is accepted while the gateway serves takes effect in no role before the next start, and
//! every view says so.

use crate::cluster::until;
use crate::stage::{Stage, text};
use serde_json::{Value, json};
use std::fs;

fn scale(replicas: u8) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn ready(stage: &Stage) -> (u16, String) {
    let answer = stage.http("GET", "/readyz", "", None);
    (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
}

/// A policy of its own, told apart by its data: up to so many replicas need no person.
fn policy(stage: &Stage, replicas: u8) -> std::path::PathBuf {
    let folder = stage.tree().join("../another-policy");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(stage.home().join("policy/policy.wasm"), folder.join("policy.wasm")).unwrap();
    let mut data: Value =
        serde_json::from_slice(&fs::read(stage.home().join("policy/data.json")).unwrap()).unwrap();
    assert!(data["unattended"]["replicas"].is_number(), "{data:#}");
    data["unattended"]["replicas"] = json!(replicas);
    fs::write(folder.join("data.json"), data.to_string()).unwrap();
    folder
}

#[test]
fn another_policy_takes_effect_at_the_next_start_and_every_view_says_so() {
    let mut stage = Stage::bare("single");
    stage.serve(&[]);
    let token = stage.agent("bot", "deployer");
    assert_eq!(stage.call(&token, "deployment_scale", &scale(5)).status, 200);
    assert_eq!(ready(&stage), (200, "ready\n".to_owned()));

    let folder = policy(&stage, 3);
    let said = stage.run(&["accept", "--policy", text(&folder)]);
    assert!(said.contains("next start of `cofferdam serve`"), "{said}");
    let told = until("readyz to say so", || {
        Some(ready(&stage)).filter(|(_, text)| text.contains("restart needed"))
    });
    assert_eq!(told.0, 200);
    for words in ["`trust/trust.toml` was changed at ", "is not served yet"] {
        assert!(told.1.contains(words), "not `{words}`: {}", told.1);
        stage.until_logged(words);
        assert!(stage.run(&["status"]).contains(words));
        assert!(stage.run(&["doctor"]).contains(words));
    }
    assert!(stage.log().contains("WARN  restart needed: "), "{}", stage.log());
    assert_eq!(
        stage.json(&["status"])["restart_needed"].as_array().map(Vec::is_empty),
        Some(false)
    );

    // Calls go on, of runners that start from here on too: under the policy that is served, which
    // asks nobody for four.
    for replicas in [4, 5, 4] {
        let answer = stage.call(&token, "deployment_scale", &scale(replicas));
        assert_eq!(answer.status, 200, "{:#}", answer.body);
    }

    stage.stop();
    stage.serve(&[]);
    assert_eq!(ready(&stage), (200, "ready\n".to_owned()));
    let answer = stage.http("POST", "/v1/tools/deployment_scale?wait=0", &token, Some(&scale(5)));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
}

#[test]
fn the_removal_of_an_approver_holds_at_once() {
    let mut stage = Stage::bare("example");
    stage.serve(&[]);
    let token = stage.agent("bot", "operator");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let asked = stage.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gift));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = stage.waiting();
    let said = stage.run(&["approver", "remove", "bob@example.com"]);
    assert!(said.contains("From now on no signature of theirs counts"), "{said}");
    let refused = stage.fail(&["approve", &call, "--key", text(&stage.key("bob")), "--yes"]);
    assert!(refused.contains("is not enrolled"), "{refused}");
    stage.until_logged("a removed key of the approver `bob@example.com` counts no more");
    assert!(!stage.run(&["status"]).contains("restart"), "nothing is left to do");
    stage.stop();
    let again = stage.run(&["approver", "remove", "alice@example.com"]);
    assert!(!again.contains("restart"), "{again}");
}

#[test]
fn a_question_of_a_removed_agent_is_refused_after_it_was_signed() {
    let mut stage = Stage::bare("example");
    stage.serve(&[]);
    let token = stage.agent("bot", "operator");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let asked = stage.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gift));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = stage.waiting();
    stage.run(&["agents", "remove", "bot"]);
    stage.run(&["approve", &call, "--key", text(&stage.key("bob")), "--yes"]);
    let story = stage.closed(&call);
    let ended =
        story["entries"].as_array().unwrap().iter().find(|entry| entry["event"]["kind"] == "ended");
    assert_eq!(
        ended.map(|entry| &entry["event"]["code"]),
        Some(&json!("agent-removed")),
        "{story:#}"
    );
    assert!(stage.tree().join("storefront/gift-cards-v1.yaml").exists());
}
