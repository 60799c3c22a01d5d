//! The clients whose installation takes minutes: the older ones of each language, and those that
//! are compiled.

use super::{installed, known, story};
use crate::installation::TestInstallation;
use std::process::{Command, Stdio};

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn python_1_22_does_the_whole_list() {
    story::whole_list(known::python_1("python-mcp-1.22.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn python_1_9_does_the_whole_list() {
    story::whole_list(known::python_1("python-mcp-1.9.2"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn typescript_1_does_the_whole_list() {
    story::whole_list(known::typescript_1("typescript-1.22.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn go_1_1_does_the_whole_list() {
    story::whole_list(known::go("go-1.1.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn go_1_8_does_the_whole_list() {
    story::whole_list(known::go("go-1.8.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn java_0_17_does_the_whole_list() {
    story::whole_list(known::java("java-0.17.2"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn java_2_does_the_whole_list() {
    story::whole_list(known::java("java-2.2.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn rmcp_0_12_does_the_whole_list() {
    story::whole_list(known::rmcp("rmcp-0.12.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn rmcp_3_does_the_whole_list() {
    story::whole_list(known::rmcp("rmcp-3.11.0"));
}

/// Its newest revision is 2025-06-18. Listing servers connects to them, and needs no account.
#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn gemini_cli_says_that_the_gateway_is_connected() {
    let installation = TestInstallation::started();
    let token = installation.agent("gemini", "operator");
    let home = tempfile::tempdir().unwrap();
    let gemini = |words: &[&str]| {
        let done = Command::new("node")
            .arg(
                installed("gemini-0.61.0").join("node_modules/@google/gemini-cli/bundle/gemini.js"),
            )
            .args(words)
            .env("HOME", home.path())
            .env("NO_COLOR", "1")
            .env("GEMINI_CLI_TRUST_WORKSPACE", "true")
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    };
    let url = format!("http://{}/mcp", installation.address());
    let header = format!("Authorization: Bearer {token}");
    let added =
        gemini(&["mcp", "add", "--scope", "user", "-t", "http", "-H", &header, "cofferdam", &url]);
    let listed = gemini(&["mcp", "list"]);
    assert!(listed.contains("cofferdam") && listed.contains("Connected"), "{added}\n{listed}");
    assert!(!listed.contains("Disconnected"), "{listed}");
}
