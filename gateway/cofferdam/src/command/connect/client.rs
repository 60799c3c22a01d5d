//! The clients that `cofferdam connect` knows: the file of each, the entry in it, and the source of
//! the token. Facts about other programs; never touches a file.

use super::place::Places;
use crate::command::agent_token::TOKEN;
use crate::command::gateway_url::GatewayUrl;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude Code, for one project
    ClaudeCode,
    /// Claude Desktop, through `cofferdam stdio`
    ClaudeDesktop,
    /// Visual Studio Code, for one workspace
    Vscode,
    /// Cursor
    Cursor,
    /// Codex CLI
    Codex,
    /// Gemini CLI
    Gemini,
    /// A program with the official Python SDK
    Python,
    /// A shell
    Curl,
}

/// The part of a client's configuration that connects it.
#[derive(Debug)]
pub enum Entry {
    /// A member of a JSON file.
    Json(JsonEntry),
    /// A table of a TOML file: its members are texts.
    Toml(Vec<(&'static str, String)>),
    /// A text to copy: the client has no file for it.
    Text(String),
}

/// A member of a JSON file.
#[derive(Debug)]
pub struct JsonEntry {
    /// True if the client reads comments and commas before a closing bracket.
    pub comments: bool,
    /// The member of the file with all servers.
    pub servers: &'static str,
    /// The members of the server, in their order.
    pub members: Vec<(&'static str, Value)>,
    /// A question of the client to its user, in the list `inputs`: its id and all of it.
    pub input: Option<(String, Vec<(&'static str, Value)>)>,
}

/// The source of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The client reads the variable `COFFERDAM_TOKEN`.
    Variable,
    /// The client asks its user once.
    Prompt,
    /// The bridge reads this file.
    File(PathBuf),
}

/// The bridge of a client that only starts programs.
#[derive(Debug, Clone, Copy)]
pub struct Bridge<'a> {
    /// The path of this program.
    pub program: &'a Path,
    /// The file of the token.
    pub token_file: &'a Path,
    /// The certificates to trust; `None` for those of the system.
    pub ca: Option<&'a Path>,
}

impl Client {
    /// Returns whether the client only starts programs.
    pub fn has_bridge(self) -> bool {
        matches!(self, Self::ClaudeDesktop)
    }

    /// The name of the product.
    pub fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Vscode => "Visual Studio Code",
            Self::Cursor => "Cursor",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
            Self::Python => "Python",
            Self::Curl => "curl",
        }
    }

    /// The file that the client reads, or `None` if it has none.
    pub fn file(self, places: &Places) -> Option<PathBuf> {
        Some(match self {
            Self::ClaudeCode => places.working.join(".mcp.json"),
            Self::ClaudeDesktop => places.applications().join("Claude/claude_desktop_config.json"),
            Self::Vscode => places.working.join(".vscode/mcp.json"),
            Self::Cursor => places.user.join(".cursor/mcp.json"),
            Self::Codex => places.codex.join("config.toml"),
            Self::Gemini => places.user.join(".gemini/settings.json"),
            Self::Python | Self::Curl => return None,
        })
    }

    /// The language of the snippet, for programs.
    pub fn format(self) -> &'static str {
        match self {
            Self::ClaudeCode | Self::ClaudeDesktop => "json",
            Self::Vscode | Self::Cursor | Self::Gemini => "jsonc",
            Self::Codex => "toml",
            Self::Python => "python",
            Self::Curl => "sh",
        }
    }

    /// The source of the token. A desktop program has no variables of a shell, so its bridge reads
    /// `token_file`.
    pub fn token_source(self, token_file: &Path) -> TokenSource {
        match self {
            Self::ClaudeDesktop => TokenSource::File(token_file.to_owned()),
            Self::Vscode => TokenSource::Prompt,
            _ => TokenSource::Variable,
        }
    }

    /// The entry that connects the client to this gateway under this name. The token itself is
    /// never in it.
    pub fn entry(self, name: &str, url: &GatewayUrl, bridge: &Bridge<'_>) -> Entry {
        let bearer = |variable: String| json!({"Authorization": format!("Bearer {variable}")});
        let address = ("url", Value::String(url.to_string()));
        let json = |comments, members| {
            Entry::Json(JsonEntry { comments, servers: "mcpServers", members, input: None })
        };
        let http = ("type", json!("http"));
        match self {
            Self::ClaudeCode => {
                json(false, vec![http, address, ("headers", bearer(format!("${{{TOKEN}}}")))])
            }
            Self::ClaudeDesktop => {
                let Bridge { program, token_file, ca } = bridge;
                let mut words = vec![json!("stdio"), json!("--url"), json!(url.to_string())];
                if let Some(ca) = ca {
                    words.extend([json!("--ca"), json!(ca)]);
                }
                words.extend([json!("--token-file"), json!(token_file)]);
                json(false, vec![("command", json!(program)), ("args", json!(words))])
            }
            Self::Vscode => {
                let id = format!("{name}-token");
                let question = format!("The token of this agent for {name}");
                let input = vec![
                    ("type", json!("promptString")),
                    ("id", json!(id)),
                    ("description", json!(question)),
                    ("password", json!(true)),
                ];
                let headers = ("headers", bearer(format!("${{input:{id}}}")));
                Entry::Json(JsonEntry {
                    comments: true,
                    servers: "servers",
                    members: vec![http, address, headers],
                    input: Some((id, input)),
                })
            }
            Self::Cursor => {
                json(true, vec![address, ("headers", bearer(format!("${{env:{TOKEN}}}")))])
            }
            Self::Gemini => {
                json(true, vec![http, address, ("headers", bearer(format!("${{{TOKEN}}}")))])
            }
            Self::Codex => Entry::Toml(vec![
                ("url", url.to_string()),
                ("bearer_token_env_var", TOKEN.to_owned()),
            ]),
            Self::Python => Entry::Text(python(url)),
            Self::Curl => Entry::Text(curl(url)),
        }
    }

    /// The next step after the file has the entry.
    pub fn next(self, name: &str) -> String {
        match self {
            Self::ClaudeCode => format!(
                "Start `claude` in this folder and approve the server; `claude mcp get {name}` \
                 shows its state."
            ),
            Self::ClaudeDesktop => "Quit Claude Desktop and start it again.".to_owned(),
            Self::Vscode => format!(
                "Run `MCP: List Servers` in the command palette and start `{name}`; it asks for \
                 the token."
            ),
            Self::Cursor => "Start Cursor again, with the variable in its environment.".to_owned(),
            Self::Codex => format!("`codex mcp get {name}` shows the entry; then start `codex`."),
            Self::Gemini => "`gemini mcp list` shows its state.".to_owned(),
            Self::Python => "Install the SDK with `pip install 'mcp>=2'`, then run it.".to_owned(),
            Self::Curl => "Run it in a shell.".to_owned(),
        }
    }
}

fn python(url: &GatewayUrl) -> String {
    format!(
        r#"import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

HEADERS = {{"Authorization": f"Bearer {{os.environ['{TOKEN}']}}"}}


async def main():
    # A call is held for up to 45 seconds, and longer while progress arrives.
    async with httpx2.AsyncClient(headers=HEADERS, timeout=75) as http:
        async with Client(streamable_http_client("{url}", http_client=http)) as client:
            for tool in (await client.list_tools()).tools:
                print(tool.name, "-", tool.title)


asyncio.run(main())"#
    )
}

/// Commands whose token is on no command line: a configuration comes through a pipe.
fn curl(url: &GatewayUrl) -> String {
    let (tools, preview) = (url.at("/v1/tools"), url.at("/v1/tools/deployment_scale/preview"));
    format!(
        r#"bearer() {{ printf 'header = "Authorization: Bearer %s"\n' "${TOKEN}"; }}
bearer | curl -sS -K - {tools}
bearer | curl -sS -K - {preview} \
     -H 'Content-Type: application/json' \
     -d '{{"namespace": "storefront", "name": "web", "replicas": 5}}'"#
    )
}
