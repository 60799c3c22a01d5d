//! Tools, executors, policy and trust change while the gateway serves: as a whole or not at all.

mod broken;
mod clients;
mod jobs;

use crate::cluster::until;
use crate::installation::{Answer, TestInstallation, text};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn scale(replicas: u8) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

const SCALE: &str = "/v1/tools/deployment_scale?wait=0";

/// A policy that differs by its data: up to this number of replicas need no person.
fn policy(installation: &TestInstallation, replicas: u8) -> PathBuf {
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

/// Removes a tool from the trust file by hand.
fn remove_tool(installation: &TestInstallation, tool: &str) {
    let path = installation.home().join("trust/trust.toml");
    let trust = fs::read_to_string(&path).unwrap();
    let begin = trust.find(&format!("[[tool]]\nname = \"{tool}\"\n")).unwrap();
    let (kept, rest) = trust.split_at(begin);
    let next = |part: &str| rest.get(1..).and_then(|rest| rest.find(&format!("\n[[{part}]]")));
    let end = ["tool", "executor", "command", "approver"].into_iter().filter_map(next).min();
    fs::write(&path, format!("{kept}{}", &rest[end.unwrap() + 2..])).unwrap();
}

/// The digest of the loaded policy, as the status shows it.
fn loaded(installation: &TestInstallation) -> String {
    let status = installation.json(&["status"]);
    status["supervisor"]["loaded"]["policy"].as_str().unwrap().to_owned()
}

fn ready(installation: &TestInstallation) -> (u16, String) {
    let answer = installation.http("GET", "/readyz", "", None);
    (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
}

#[test]
fn an_accepted_policy_is_in_use_at_once_in_every_role_and_in_the_ledger() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    assert_eq!(installation.call(&token, "deployment_scale", &scale(5)).status, 200);
    let (before, entries) = (loaded(&installation), installation.published());

    let said = installation.run(&["accept", "--policy", text(&policy(&installation, 3))]);
    assert!(said.contains("The running `cofferdam serve` has loaded it."), "{said}");
    let after = loaded(&installation);
    assert_ne!(before, after);
    assert!(installation.run(&["status"]).contains("loaded       tools: "));
    assert_eq!(ready(&installation), (200, "ready\n".to_owned()));
    let asked = installation.http("POST", SCALE, &token, Some(&scale(6)));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    // The runner that waited since the start uses the new policy too.
    let done = installation.call(&token, "deployment_scale", &scale(2));
    assert_eq!(done.status, 200, "{:#}", done.body);

    // A question under a replaced policy is closed, and says so.
    installation.run(&["accept", "--policy", text(&policy(&installation, 4))]);
    let story = installation.closed(&call);
    let told = story["view"]["detail"].as_str().unwrap_or_default();
    assert!(told.starts_with("the policy was replaced after a person was asked"), "{story:#}");
    assert_eq!(installation.call(&token, "deployment_scale", &scale(4)).status, 200);

    let entries = until("both loads to be published", || {
        let entries = installation.entries_since(entries);
        let loads = entries.iter().filter(|entry| entry["event"]["what"] == "reloaded").count();
        (loads == 2).then_some(entries)
    });
    // Announced, and then in use.
    let reloads: Vec<&Value> =
        entries.iter().filter(|entry| entry["event"]["by"] == "gateway").collect();
    let events: Vec<&Value> = reloads.iter().map(|entry| &entry["event"]["what"]).collect();
    assert_eq!(events, ["reload", "reloaded", "reload", "reloaded"]);
    for reload in reloads {
        assert!(reload["commitments"]["digests"].is_string(), "{reload:#}");
        assert!(reload["trust"].is_string(), "{reload:#}");
    }
    installation.verify_ledger();
    installation.stop();
}

#[test]
fn a_change_by_hand_is_told_until_it_is_loaded() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let trust = installation.home().join("trust/trust.toml");
    let file = fs::read_to_string(&trust).unwrap();
    fs::write(&trust, format!("# by hand\n{file}")).unwrap();
    let words = "not loaded yet: `trust/trust.toml` was changed at ";
    until("readyz to say so", || {
        Some(ready(&installation)).filter(|(status, text)| *status == 200 && text.contains(words))
    });
    assert!(installation.run(&["doctor"]).contains("`cofferdam reload` loads it"));
    let hangup =
        Command::new("kill").args(["-HUP", &installation.supervisor().to_string()]).status();
    assert!(hangup.unwrap().success());
    until("the file to be loaded", || (ready(&installation).1 == "ready\n").then_some(()));
}

#[test]
fn a_call_keeps_the_set_of_its_beginning() {
    let mut installation = TestInstallation::bare("single");
    // The viewer that stands still is not ended.
    installation.serve(&["--heartbeat-ms", "600000"]);
    let token = installation.agent("bot", "deployer");
    let (old, entries) = (loaded(&installation), installation.published());
    let answer = reloaded_in_flight(&installation, &token, 5, 3);
    assert_ne!(loaded(&installation), old);
    let entries = until("the decision to be published", || {
        let entries = installation.entries_since(entries);
        entries.iter().any(|entry| entry["event"]["kind"] == "ended").then_some(entries)
    });
    let place = |kind: &str| {
        let is = |entry: &Value| entry["event"]["kind"] == kind || entry["event"]["what"] == kind;
        let place = entries.iter().position(is);
        place.unwrap_or_else(|| panic!("no `{kind}`: {:#}\n{entries:#?}", answer.body))
    };
    let (reloaded, decided) = (place("reloaded"), place("intended"));
    assert!(reloaded < decided, "{entries:#?}");
    assert_eq!(entries[decided]["policy"], old, "{entries:#?}");
    // The new policy decides the job once more, and needs a person for it.
    assert_eq!(entries[place("ended")]["event"]["code"], "approval-needed", "{entries:#?}");
    let why = answer.body["error"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("the new one needs a person's approval"), "{:#}", answer.body);

    // A policy that allows it gives it another permit.
    let published = installation.published();
    let answer = reloaded_in_flight(&installation, &token, 2, 4);
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert!(answer.body["error"].is_null(), "{:#}", answer.body);
    let entries = until("both decisions to be published", || {
        let entries = installation.entries_since(published);
        let all = entries.iter().filter(|entry| entry["event"]["kind"] == "intended");
        let policies: Vec<Value> = all.map(|entry| entry["policy"].clone()).collect();
        (policies.len() == 2).then_some(policies)
    });
    assert_ne!(entries[0], entries[1], "{entries:#?}");
    assert_eq!(entries[1], loaded(&installation));
    installation.verify_ledger();
}

/// A call that waits for its preview while another policy is accepted.
fn reloaded_in_flight(
    installation: &TestInstallation,
    token: &str,
    replicas: u8,
    unattended: u8,
) -> Answer {
    let viewer = crate::supervise::role(installation, "viewer").id;
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &viewer.to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| installation.call(token, "deployment_scale", &scale(replicas)));
        std::thread::sleep(std::time::Duration::from_millis(300));
        installation.run(&["accept", "--policy", text(&policy(installation, unattended))]);
        signal("-CONT");
        call.join().unwrap()
    })
}

#[test]
fn an_enrolled_approver_counts_at_once() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let token = installation.agent("bot", "operator");
    installation.run(&["approver", "remove", "bob@example.com"]);
    let public = installation.key("bob").with_extension("pub");
    let said = installation.run(&["approver", "add", "bob@example.com", "--key", text(&public)]);
    assert!(said.contains("The running `cofferdam serve` has loaded it."), "{said}");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gift));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    assert!(!installation.tree().join("storefront/gift-cards-v1.yaml").exists());
}
