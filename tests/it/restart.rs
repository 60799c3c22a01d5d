//! The configuration takes effect at the next start, and every view shows that; removals take effect
//! at once.

use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use serde_json::json;
use std::fs;
use std::process::Command;

#[test]
fn another_configuration_takes_effect_at_the_next_start_and_every_view_says_so() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let config = installation.home().join("cofferdam.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("# another\n{text}")).unwrap();
    let ready = || installation.http("GET", "/readyz", "", None);
    until("readyz to say so", || {
        ready().body.as_str().filter(|text| text.contains("restart needed")).map(drop)
    });
    assert_eq!(ready().status, 200);
    let words = "`cofferdam.toml` was changed at ";
    installation.until_logged(words);
    assert!(installation.run(&["status"]).contains(words));
    assert!(installation.run(&["doctor"]).contains(words));
    assert!(installation.log().contains("WARN  restart needed: "), "{}", installation.log());
    // A reload does not use it.
    installation.run(&["reload"]);
    let restart = installation.json(&["status"])["restart_needed"].clone();
    assert_eq!(restart.as_array().map(Vec::len), Some(1), "{restart}");
    installation.stop();
    installation.serve(&[]);
    assert!(!installation.run(&["status"]).contains("restart"));
}

#[test]
fn the_removal_of_an_approver_holds_at_once() {
    let mut installation = TestInstallation::bare("example");
    // With another approver, the question stays open.
    let carol = installation.key("carol");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", text(&carol)])
        .status()
        .unwrap();
    assert!(made.success());
    let public = carol.with_extension("pub");
    installation.run(&["approver", "add", "carol@example.com", "--key", text(&public)]);
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
