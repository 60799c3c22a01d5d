//! The clients whose installation takes minutes: the older ones of each language, those that are
//! compiled, and hosts.

use super::{known, story};

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn python_1_30_does_the_whole_list() {
    story::whole_list(known::python_1("python-mcp-1.30.0"));
}

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

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn fastmcp_does_the_whole_list() {
    story::whole_list(known::fastmcp("fastmcp-4.2.3"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn inspector_does_the_whole_list_in_the_newest_revision() {
    story::whole_list(known::inspector("inspector-2.12.0-auto", "auto"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn inspector_does_the_whole_list_as_a_legacy_client() {
    story::whole_list(known::inspector("inspector-2.12.0-legacy", "legacy"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn claude_code_does_the_whole_list() {
    story::whole_list(known::claude_code("claude-code-2.1.332"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn codex_does_the_whole_list() {
    story::whole_list(known::codex("codex-0.171.0"));
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn gemini_does_the_whole_list() {
    story::whole_list(known::gemini("gemini-0.61.0"));
}
