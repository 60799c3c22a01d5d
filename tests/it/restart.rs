//! An acceptance while the gateway serves takes effect in no role before the next start, and every
//! view shows it.

use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use serde_json::{Value, json};
use std::fs;

fn scale(replicas: u8) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn ready(installation: &TestInstallation) -> (u16, String) {
    let answer = installation.http("GET", "/readyz", "", None);
    (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
}

/// A policy that differs by its data: up to this number of replicas need no person.
fn policy(installation: &TestInstallation, replicas: u8) -> std::path::PathBuf {
    let folder = installation.tree().join("../another-policy");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(installation.home().join("policy/policy.wasm"), folder.join("policy.wasm")).unwrap();
    let mut data: Value =
        serde_json::from_slice(&fs::read(installation.home().join("policy/data.json")).unwrap())
            .unwrap();
    assert!(data["unattended"]["replicas"].is_number(), "{data:#}");
    data["unattended"]["replicas"] = json!(replicas);
    fs::write(folder.join("data.json"), data.to_string()).unwrap();
    folder
}

#[test]
fn another_policy_takes_effect_at_the_next_start_and_every_view_says_so() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    assert_eq!(installation.call(&token, "deployment_scale", &scale(5)).status, 200);
    assert_eq!(ready(&installation), (200, "ready\n".to_owned()));

    let folder = policy(&installation, 3);
    let said = installation.run(&["accept", "--policy", text(&folder)]);
    assert!(said.contains("next start of `cofferdam serve`"), "{said}");
    let told = until("readyz to say so", || {
        Some(ready(&installation)).filter(|(_, text)| text.contains("restart needed"))
    });
    assert_eq!(told.0, 200);
    for words in ["`trust/trust.toml` was changed at ", "is not served yet"] {
        assert!(told.1.contains(words), "not `{words}`: {}", told.1);
        installation.until_logged(words);
        assert!(installation.run(&["status"]).contains(words));
        assert!(installation.run(&["doctor"]).contains(words));
    }
    assert!(installation.log().contains("WARN  restart needed: "), "{}", installation.log());
    assert_eq!(
        installation.json(&["status"])["restart_needed"].as_array().map(Vec::is_empty),
        Some(false)
    );

    // Calls go on, also of new runners, under the served policy, which allows four without a
    // person.
    for replicas in [4, 5, 4] {
        let answer = installation.call(&token, "deployment_scale", &scale(replicas));
        assert_eq!(answer.status, 200, "{:#}", answer.body);
    }

    installation.stop();
    installation.serve(&[]);
    assert_eq!(ready(&installation), (200, "ready\n".to_owned()));
    let answer =
        installation.http("POST", "/v1/tools/deployment_scale?wait=0", &token, Some(&scale(5)));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
}

#[test]
fn the_removal_of_an_approver_holds_at_once() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let token = installation.agent("bot", "operator");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gift));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    let said = installation.run(&["approver", "remove", "bob@example.com"]);
    assert!(said.contains("From now on no signature of this person counts"), "{said}");
    let refused =
        installation.fail(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    assert!(refused.contains("is not enrolled"), "{refused}");
    installation.until_logged("a removed key of the approver `bob@example.com` counts no more");
    assert!(!installation.run(&["status"]).contains("restart"), "nothing is left to do");
    installation.stop();
    let again = installation.run(&["approver", "remove", "alice@example.com"]);
    assert!(!again.contains("restart"), "{again}");
}

#[test]
fn a_question_of_a_removed_agent_is_refused_after_it_was_signed() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let token = installation.agent("bot", "operator");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gift));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    installation.run(&["agents", "remove", "bot"]);
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    let story = installation.closed(&call);
    let ended =
        story["entries"].as_array().unwrap().iter().find(|entry| entry["event"]["kind"] == "ended");
    assert_eq!(
        ended.map(|entry| &entry["event"]["code"]),
        Some(&json!("agent-removed")),
        "{story:#}"
    );
    assert!(installation.tree().join("storefront/gift-cards-v1.yaml").exists());
}
