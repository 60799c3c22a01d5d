//! Official clients whose newest revision is older than the newest that is served, one of each
//! language, and the command line of one host, unmodified and against the real gateway.
//! `scripts/test --full` runs them, and `scripts/setup clients` installs them; their programs are
//! in `tests/clients`.

use crate::installation::{TIME_LIMIT, TestInstallation, repository, text};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A client: the command that starts it, its revision, and true if it gets progress notifications.
struct Client {
    name: &'static str,
    command: Command,
    revision: &'static str,
    progress: bool,
}

pub fn installed(name: &str) -> PathBuf {
    let clients = std::env::var_os("COFFERDAM_CLIENTS")
        .map(PathBuf::from)
        .expect("COFFERDAM_CLIENTS is not set: run `scripts/test`, which installs the clients");
    let folder = clients.join(name);
    assert!(folder.exists(), "`{name}` is not installed: run `scripts/setup clients`");
    folder
}

fn program(path: &str) -> PathBuf {
    repository().join("tests/clients").join(path)
}

fn python(name: &'static str, revision: &'static str) -> Client {
    let mut command = Command::new(installed(name).join("bin/python"));
    command.arg(program("python/client.py"));
    Client { name, command, revision, progress: true }
}

fn clients() -> Vec<Client> {
    let mut typescript = Command::new("node");
    typescript
        .env("NODE_PATH", installed("typescript-1.22.0").join("node_modules"))
        .arg(program("typescript/client.cjs"));
    let java = installed("java-0.17.2");
    let mut jvm = Command::new("java");
    jvm.arg("-cp").arg(format!("{}/lib/*:{}/classes", text(&java), text(&java))).arg("Client");
    let go = Command::new(installed("go-1.1.0").join("client"));
    let rust = Command::new(installed("rmcp-0.12.0").join("debug/test-client"));
    vec![
        python("python-mcp-1.22.0", "2025-06-18"),
        python("python-mcp-1.9.2", "2025-03-26"),
        Client {
            name: "typescript-1.22.0",
            command: typescript,
            revision: "2025-06-18",
            progress: true,
        },
        Client { name: "go-1.1.0", command: go, revision: "2025-06-18", progress: true },
        Client { name: "java-0.17.2", command: jvm, revision: "2025-06-18", progress: true },
        Client { name: "rmcp-0.12.0", command: rust, revision: "2025-03-26", progress: false },
    ]
}

#[test]
#[cfg_attr(
    without_clients,
    ignore = "scripts/test --full installs the older clients and runs them"
)]
fn older_clients_of_each_language_connect_list_and_call() {
    let installation = TestInstallation::started();
    for client in clients() {
        let token = installation.agent(client.name, "operator");
        let told = journey(&installation, client, &token);
        println!("{told}");
        // The next client asks for the same.
        for file in ["storefront/api.yaml", "storefront/web.yaml"] {
            std::fs::copy(
                repository().join("examples/manifests").join(file),
                installation.tree().join(file),
            )
            .unwrap();
        }
    }
}

/// Runs a client, approves its call, and compares its output with the table.
fn journey(installation: &TestInstallation, client: Client, token: &str) -> String {
    let Client { name, mut command, revision, progress } = client;
    let began = Instant::now();
    let url = format!("http://{}/mcp", installation.address());
    let mut child = command
        .args([&url, token])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let heard: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{name}: {line}"));
        if heard["step"] == "waiting" {
            let call = installation.waiting();
            installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
            // A client that was told to come back later is done before its job is.
            installation.closed(&call);
        }
        told.push(heard);
        assert!(began.elapsed() < TIME_LIMIT, "{name} goes on for too long: {told:#?}");
    }
    let mut fault = String::new();
    child.stderr.take().unwrap().read_to_string(&mut fault).unwrap();
    assert!(child.wait().unwrap().success(), "{name} failed: {told:#?}\n{fault}");

    let step = |step: &str| {
        told.iter()
            .find(|heard| heard["step"] == step)
            .unwrap_or_else(|| panic!("{name}: no {step}: {told:#?}"))
    };
    let begins = |heard: &Value, words: &[&str]| {
        let text = heard["text"].as_str().unwrap();
        assert!(words.iter().any(|word| text.starts_with(word)), "{name}: {heard}");
    };
    assert_eq!(step("connected")["revision"], revision, "{name}");
    let tools = step("listed")["tools"].as_array().unwrap();
    for tool in ["deployment_scale", "job_get", "preview", "workloads_list"] {
        assert!(tools.contains(&json!(tool)), "{name}: {tools:?}");
    }
    assert_eq!(
        (&step("allowed")["error"], &step("denied")["error"]),
        (&json!(false), &json!(true)),
        "{name}"
    );
    begins(step("allowed"), &["DONE ", "ALREADY "]);
    begins(step("denied"), &["DENIED "]);
    assert_eq!(step("waited")["error"], false, "{name}");
    // Without a wish for progress, a call that a person has to decide is answered early.
    begins(step("waited"), if progress { &["DONE "] } else { &["DONE ", "WAITING "] });
    let heard = told.iter().filter(|heard| heard["step"] == "progress").count();
    assert_eq!(heard > 0, progress, "{name}: {told:#?}");
    format!(
        "{name}: {revision}, {} tools, {heard} lines of progress, {:?}",
        tools.len(),
        began.elapsed()
    )
}

/// Its newest revision is 2025-06-18. Listing servers connects to them, and needs no account.
#[test]
#[cfg_attr(
    without_clients,
    ignore = "scripts/test --full installs the older clients and runs them"
)]
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
