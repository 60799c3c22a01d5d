//! The texts of commands for approvers and operators: the planned change, its outcome, and no
//! misleading advice.

use crate::installation::{TestInstallation, binaries, text};
use serde_json::json;
use std::os::unix::net::UnixStream;
use std::process::Command;

#[test]
fn a_waiting_call_shows_what_it_would_do_and_an_approval_what_became_of_it() {
    let installation = TestInstallation::started();
    let token = installation.agent("bot", "operator");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1",
        "purpose": "old since the wеb relaunch"});
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gift));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    let story = installation.run(&["show", &call]);
    for words in [
        "would do     0. delete Deployment gift-cards-v1",
        "policy       asks for 1 approval",
        "approved     not yet",
    ] {
        assert!(story.contains(words), "not `{words}`:\n{story}");
    }
    let shown = installation.run(&["show", &call, "--shown"]);
    for words in [
        "Asked at:     2",
        "Runs out at:  2",
        "old since the w\\u{435}b relaunch",
        "\\u{435} is U+0435 (looks like e)",
    ] {
        assert!(shown.contains(words), "not `{words}`:\n{shown}");
    }
    let done =
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    assert!(done.contains("as bob@example.com: it "), "{done}");
    installation.closed(&call);
    let late =
        installation.fail(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    assert!(late.contains("does not wait for a person"), "{late}");
    let short = installation.fail(&["show", "lcn"]);
    assert!(short.contains("give a call id, or at least its first 4 characters"), "{short}");
    assert_eq!(installation.json(&["status"])["schema"], "cofferdam.cli.v1");
    let typo = installation.json(&[
        "agents",
        "add",
        "typo",
        "--role",
        "deployr",
        "--for",
        "alice@example.com",
    ]);
    assert_eq!(typo["unknown_roles"], json!(["deployr"]));
    // Another user is told whose it is, and is never sent to `init` or `serve`.
    assert!(UnixStream::connect(installation.home().join("run/operator.sock")).is_ok());
    let cofferdam = binaries().join("cofferdam");
    let run = |words: &[&str]| {
        let done = Command::new(&cofferdam)
            .env("COFFERDAM_HOME", installation.home())
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let usage = run(&["show"]);
    assert!(usage.contains("Usage:") && !usage.contains("--home <DIR>"), "{usage}");
    let near = run(&["rol"]);
    assert!(!near.contains("'role'"), "{near}");
    let help = Command::new(&cofferdam).args(["agents", "add", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("characters of a-z, 0-9, `-`, `_` and `.`"), "{help}");
}

#[test]
fn init_says_a_line_for_each_tool_and_takes_an_address() {
    let installation = TestInstallation::bare("single");
    let home = installation.home().with_file_name("second");
    let done = Command::new(binaries().join("cofferdam"))
        .args([
            "--home",
            text(&home),
            "init",
            text(&installation.tree()),
            "--listen",
            "127.0.0.1:18620",
            "--assets",
        ])
        .arg(crate::installation::assets())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.lines().all(|line| line.chars().count() < 200), "{said}");
    let config = std::fs::read_to_string(home.join("cofferdam.toml")).unwrap();
    assert!(config.contains("listen = \"127.0.0.1:18620\""), "{config}");
}
