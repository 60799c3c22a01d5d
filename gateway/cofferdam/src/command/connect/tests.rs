//! Each client's configuration against a golden file, merges as a table, and the command with real
//! files.

use super::merge::merged;
use super::*;
use expect_test::{Expect, ExpectFile, expect, expect_file};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn places(root: &Path) -> Places {
    let folder = |name: &str| root.join(name);
    Places {
        working: folder("project"),
        user: folder("user"),
        config: folder("user/.config"),
        codex: folder("user/.codex"),
    }
}

fn url() -> GatewayUrl {
    GatewayUrl::parse("http://127.0.0.1:8620/mcp").unwrap()
}

/// The entry of a client, with the same paths on every machine.
fn entry(client: Client) -> Entry {
    client.entry("cofferdam", &url(), &bridge(None))
}

fn bridge(ca: Option<&'static Path>) -> Bridge<'static> {
    Bridge {
        program: Path::new("/usr/local/bin/cofferdam"),
        token_file: Path::new("/home/ada/.config/cofferdam/cofferdam.token"),
        ca,
    }
}

/// Reads a snippet as the client does.
fn read(client: Client, snippet: &str) -> Value {
    match client.format() {
        "toml" => {
            let read: toml::Table = snippet.parse().unwrap();
            serde_json::to_value(read).unwrap()
        }
        "json" => serde_json::from_str(snippet).unwrap(),
        _ => jsonc_parser::cst::CstRootNode::parse(snippet, &Default::default())
            .unwrap()
            .to_serde_value()
            .unwrap(),
    }
}

#[test]
fn each_client_has_its_own_form() {
    let check = |client: Client, server: &str, expect: ExpectFile| {
        let snippet = merged("", "cofferdam", &entry(client)).unwrap();
        expect.assert_eq(&format!("{}\n", snippet.trim_end()));
        assert!(!snippet.contains("cfd_"), "{snippet}");
        if !server.is_empty() {
            let read = read(client, &snippet);
            let members = read.pointer(server).and_then(Value::as_object).unwrap();
            assert!(
                members.get("url").is_some_and(|known| *known == url().to_string())
                    || members
                        .get("args")
                        .is_some_and(|args| args.to_string().contains("8620/mcp")),
                "{read}"
            );
        }
    };
    macro_rules! golden {
        ($name:literal) => {
            expect_file![concat!("../../../../../tests/golden/connect/", $name)]
        };
    }
    check(Client::ClaudeCode, "/mcpServers/cofferdam", golden!("claude-code.json"));
    check(Client::ClaudeDesktop, "/mcpServers/cofferdam", golden!("claude-desktop.json"));
    check(Client::Vscode, "/servers/cofferdam", golden!("vscode.json"));
    check(Client::Cursor, "/mcpServers/cofferdam", golden!("cursor.json"));
    check(Client::Codex, "/mcp_servers/cofferdam", golden!("codex.toml"));
    check(Client::Gemini, "/mcpServers/cofferdam", golden!("gemini.json"));
    check(Client::Python, "", golden!("python.txt"));
    check(Client::Curl, "", golden!("curl.txt"));
}

#[test]
fn each_client_has_its_own_file() {
    let places = places(Path::new("/r"));
    let files: Vec<String> = Client::value_variants()
        .iter()
        .map(|client| {
            let file = client.file(&places);
            file.map_or("-".to_owned(), |file| file.display().to_string())
        })
        .collect();
    let desktop = places.applications().join("Claude/claude_desktop_config.json");
    assert_eq!(
        files,
        [
            "/r/project/.mcp.json",
            desktop.to_str().unwrap(),
            "/r/project/.vscode/mcp.json",
            "/r/user/.cursor/mcp.json",
            "/r/user/.codex/config.toml",
            "/r/user/.gemini/settings.json",
            "-",
            "-"
        ]
    );
}

fn check_merge(client: Client, before: &str, expect: Expect) {
    let after = merged(before, "cofferdam", &entry(client)).unwrap();
    expect.assert_eq(&after);
    assert_eq!(merged(&after, "cofferdam", &entry(client)).unwrap(), after, "not idempotent");
}

#[test]
fn a_merge_keeps_everything_else() {
    check_merge(
        Client::Cursor,
        r#"// mine
{
    "mcpServers": {
        // the browser
        "browser": {"command": "npx", "args": ["-y", "browser"]}, // local
        "cofferdam": {
            "command": "old", "args": [], "timeout": 9,
            "headers": {"X-Team": "ops", "Authorization": "Bearer old"},
        },
    },
    "theme": "dark",
}
"#,
        expect![[r#"
            // mine
            {
                "mcpServers": {
                    // the browser
                    "browser": {"command": "npx", "args": ["-y", "browser"]}, // local
                    "cofferdam": {
             "timeout": 9,
                        "headers": {"X-Team": "ops", "Authorization": "Bearer ${env:COFFERDAM_TOKEN}"},
                        "url": "http://127.0.0.1:8620/mcp",
                    },
                },
                "theme": "dark",
            }
        "#]],
    );
    check_merge(
        Client::ClaudeCode,
        "{\"mcpServers\":{\"a\":{\"type\":\"stdio\",\"command\":\"a\"}},\"x\":1e3}",
        expect![[r#"
            {"mcpServers":{
                "a":{"type":"stdio","command":"a"},
                "cofferdam": {
                  "type": "http",
                  "url": "http://127.0.0.1:8620/mcp",
                  "headers": {
                    "Authorization": "Bearer ${COFFERDAM_TOKEN}"
                  }
                }
              },"x":1e3}"#]],
    );
    check_merge(
        Client::Vscode,
        "{\n\t\"inputs\": [{\"id\": \"other\", \"type\": \"promptString\"}],\n\t\"servers\": {}\n}\n",
        expect![[r#"
            {
            	"inputs": [{"id": "other", "type": "promptString"},
            		{
            			"type": "promptString",
            			"id": "cofferdam-token",
            			"description": "The token of this agent for cofferdam",
            			"password": true
            		}],
            	"servers": {
            		"cofferdam": {
            			"type": "http",
            			"url": "http://127.0.0.1:8620/mcp",
            			"headers": {
            				"Authorization": "Bearer ${input:cofferdam-token}"
            			}
            		}
            	}
            }
        "#]],
    );
    check_merge(
        Client::Codex,
        "# mine\nmodel = \"m\" # the model\n\n[mcp_servers.docs]\ncommand = \"docs\"\n\n\
         [mcp_servers.cofferdam]\n# slow\ncommand = \"old\"\nstartup_timeout_sec = 20\n\n\
         [tui]\nx = 1\n",
        expect![[r##"
            # mine
            model = "m" # the model

            [mcp_servers.docs]
            command = "docs"

            [mcp_servers.cofferdam]
            startup_timeout_sec = 20
            # slow
            url = "http://127.0.0.1:8620/mcp"
            bearer_token_env_var = "COFFERDAM_TOKEN"

            [tui]
            x = 1
        "##]],
    );
    check_merge(
        Client::Codex,
        "mcp_servers = { docs = { command = \"d\" } }\n",
        expect![[r#"
        mcp_servers = { docs = { command = "d" } , cofferdam.url = "http://127.0.0.1:8620/mcp", cofferdam.bearer_token_env_var = "COFFERDAM_TOKEN" }
    "#]],
    );
}

#[test]
fn a_text_with_another_meaning_is_refused() {
    let check = |client: Client, before: &str, cause: &str| {
        let told = format!("{:#}", merged(before, "cofferdam", &entry(client)).unwrap_err());
        assert!(told.contains(cause), "{before}: {told}");
    };
    check(Client::ClaudeCode, "{ // a comment\n}", "not JSON");
    check(Client::ClaudeCode, "{\"a\": 1,}", "not JSON");
    check(Client::Cursor, "{\"a\": ", "not JSONC");
    check(Client::Cursor, "{a: 1}", "not JSONC");
    check(Client::Cursor, "[]", "not a JSON object");
    check(Client::Cursor, "{\"mcpServers\": []}", "`mcpServers` is not an object");
    check(Client::Cursor, "{\"mcpServers\": {\"cofferdam\": 1}}", "`mcpServers.cofferdam` is not");
    check(Client::Cursor, "{\"mcpServers\": {}, \"mcpServers\": {}}", "twice");
    check(Client::Vscode, "{\"inputs\": {}}", "`inputs` is not an array");
    check(Client::Codex, "a = ", "not TOML");
    check(Client::Codex, "mcp_servers = 1", "`mcp_servers` is not a table");
    check(Client::Codex, "[mcp_servers]\ncofferdam = 1", "`mcp_servers.cofferdam` is not");
}

/// A user with an installation.
struct User {
    folder: tempfile::TempDir,
    home: Home,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        home.make_folders().unwrap();
        write_private(&home.agents(), b"").unwrap();
        for folder in ["project", "user"].map(|name| folder.path().join(name)) {
            fs::create_dir(folder).unwrap();
        }
        Self { folder, home }
    }

    fn connect(&self, words: &[&str]) -> Result<Report> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            connect: Connect,
        }
        let line = ["connect"].iter().chain(words).copied();
        let Line { connect } = <Line as clap::Parser>::try_parse_from(line)?;
        // No server listens on port 1.
        let url = GatewayUrl::parse("http://127.0.0.1:1/mcp").unwrap();
        let url = connect.url.clone().unwrap_or(url);
        let ca = connect.ca.clone();
        let address = (&url, ca.as_deref());
        connect.connect(&self.home, &self.places(), address, Path::new("/bin/cofferdam"))
    }

    fn places(&self) -> Places {
        places(self.folder.path())
    }

    fn refused(&self, words: &[&str]) -> String {
        format!("{:#}", self.connect(words).unwrap_err())
    }
}

#[test]
fn a_client_is_connected_by_one_command() {
    let user = User::new();
    let made = ["--agent", "bot", "--role", "deployer", "--for", "ada"];
    let told = user.connect(&[&["claude-code", "--write"][..], &made].concat()).unwrap().value();
    let token = told["agent"]["token"].as_str().unwrap();
    let file = fs::read_to_string(user.places().working.join(".mcp.json")).unwrap();
    assert!(file.contains("Bearer ${COFFERDAM_TOKEN}") && !file.contains(token), "{file}");
    assert_eq!(told["client"], "claude-code");
    assert_eq!((&told["written"], &told["reachable"]), (&json!(true), &json!(false)));
    let agents = crate::config::Agents::read(&user.home.agents()).unwrap();
    assert_eq!(agents.find(token).map(|agent| agent.name.as_str()), Some("bot"));

    // The same without an agent changes nothing.
    let again = user.connect(&["claude-code", "--write"]).unwrap().value();
    assert_eq!((&again["written"], &again["backup"]), (&json!(false), &Value::Null));
    assert!(user.refused(&[&["cursor"][..], &made].concat()).contains("add `--rotate`"));
    assert!(user.refused(&["cursor", "--agent", "new"]).contains("add `--role ROLE --for PERSON`"));
    let told = user.connect(&["cursor", "--agent", "bot", "--rotate"]).unwrap().value();
    let agents = crate::config::Agents::read(&user.home.agents()).unwrap();
    assert_eq!(agents.find(token), None);
    assert!(agents.find(told["agent"]["token"].as_str().unwrap()).is_some());
    assert!(!user.places().user.join(".cursor").exists(), "printed, not written");
}

#[test]
fn a_desktop_client_gets_the_token_in_a_private_file() {
    let user = User::new();
    let words = ["claude-desktop", "--write", "--name", "shop", "--agent", "desk", "--role"];
    let told = user.connect(&[&words[..], &["viewer", "--for", "ada"]].concat()).unwrap().value();
    assert_eq!(told["agent"]["token"], Value::Null);
    let stored = user.places().token_file("shop");
    let token = fs::read_to_string(&stored).unwrap();
    assert_eq!(fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
    let agents = crate::config::Agents::read(&user.home.agents()).unwrap();
    assert!(agents.find(token.trim()).is_some());
    let file = fs::read_to_string(told["file"].as_str().unwrap()).unwrap();
    assert!(file.contains(stored.to_str().unwrap()) && !file.contains(token.trim()), "{file}");
}

#[test]
fn a_bridge_is_told_the_certificates_to_trust() {
    let user = User::new();
    let url = ["--url", "https://ops.example.com/mcp"];
    let snippet = |words: &[&str]| {
        let words = [&["claude-desktop"][..], words].concat();
        user.connect(&words).unwrap().value()["snippet"].as_str().unwrap().to_owned()
    };
    assert!(!snippet(&url).contains("--ca"), "those of the system");
    let named = snippet(&[&url[..], &["--ca", "/etc/gate/ca.pem"]].concat());
    let read: Value = serde_json::from_str(&named).unwrap();
    let args = read.pointer("/mcpServers/cofferdam/args").unwrap();
    let expect = ["stdio", "--url", "https://ops.example.com/mcp", "--ca", "/etc/gate/ca.pem"];
    assert_eq!(args.as_array().unwrap()[..5], expect.map(Value::from));
    let told =
        user.refused(&["claude-desktop", "--ca", "/ca.pem", "--url", "http://127.0.0.1/mcp"]);
    assert!(told.contains("for an address with https://"), "{told}");
    let told = user.refused(&["cursor", "--ca", "/ca.pem"]);
    assert!(told.contains("leave `--ca` out"), "{told}");
}

#[test]
fn a_file_that_cannot_be_read_makes_no_agent() {
    let user = User::new();
    let file = user.places().user.join(".cursor/mcp.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "{ broken").unwrap();
    let made = ["--write", "--agent", "bot", "--role", "deployer", "--for", "ada"];
    let told = user.refused(&[&["cursor"][..], &made].concat());
    assert!(told.contains("was left as it is") && told.contains("not JSONC"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{ broken");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    assert!(!agents::is_known(&user.home, "bot").unwrap());
    for client in ["python", "curl"] {
        let told = user.refused(&[&[client][..], &made].concat());
        assert!(told.contains("leave `--write` out"), "{told}");
    }
    assert!(!agents::is_known(&user.home, "bot").unwrap());

    // Another file of the user's choice is taken.
    let told = user.connect(&[&["cursor", "--file", "x.json"][..], &made].concat()).unwrap();
    assert_eq!(told.value()["file"], json!(user.places().working.join("x.json")));
}
