//! Clients that are connected by `cofferdam connect` and `cofferdam stdio`, against the real
//! gateway.

use crate::clients::driver::Driver;
use crate::clients::{installed, known};
use crate::installation::{TestInstallation, binaries, text, write_private};
use cofferdam_testkit::tls::{CA, OTHER_CA, SERVER};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[test]
fn the_official_client_works_through_the_bridge() {
    let installation = TestInstallation::started();
    let token = installation.agent("bridge", "operator");
    let folder = tempfile::tempdir().unwrap();
    for (mode, revision, doomed) in
        [("auto", "2026-07-28", "api"), ("legacy", "2025-11-25", "gift-cards-v1")]
    {
        let mut client = known::python_2("bridge", mode);
        client.more.push(text(&binaries().join("cofferdam")).to_owned());
        let url = format!("http://{}/mcp", installation.address());
        client.more.extend(["stdio", "--url", &url].map(str::to_owned));
        let mut driver = Driver::start(&client, "stdio", &token, folder.path());
        assert_eq!(driver.next()["connected"], revision);
        let listed = driver.ask(&json!({"do": "list"}));
        assert!(listed["tools"].as_array().unwrap().contains(&json!("deployment_scale")));
        let step = |tool: &str, arguments: Value| json!({"do": "call", "tool": tool, "progress": true, "arguments": arguments});
        let scale = |replicas: u32| {
            step(
                "deployment_scale",
                json!({"namespace": "storefront", "name": "web", "replicas": replicas}),
            )
        };
        let denied = driver.ask(&scale(40));
        assert!(
            denied["error"] == true && denied["text"].as_str().unwrap().starts_with("DENIED "),
            "{denied}"
        );
        driver.give(&step("deployment_delete", json!({"namespace": "storefront", "name": doomed})));
        let call = installation.waiting();
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        let mut told = vec![driver.next()];
        while told.last().unwrap()["progress"].is_string() {
            told.push(driver.next());
        }
        let result = told.pop().unwrap();
        assert!(result["text"].as_str().unwrap().starts_with("DONE "), "{result}");
        assert!(!told.is_empty(), "{mode}: no progress");
        driver.end();
    }
}

/// A host that writes raw lines to a bridge.
struct Host {
    bridge: Child,
    input: Option<ChildStdin>,
    output: std::io::Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn start(installation: &TestInstallation, token: &str) -> Self {
        Self::start_with(installation, token, &[])
    }

    fn start_with(installation: &TestInstallation, token: &str, options: &[&str]) -> Self {
        let mut bridge = Command::new(binaries().join("cofferdam"))
            .arg("--home")
            .arg(installation.home())
            .arg("stdio")
            .args(options)
            .env("COFFERDAM_TOKEN", token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(bridge.stdout.take().unwrap()).lines();
        Self { input: bridge.stdin.take(), output, bridge }
    }

    fn ask(&mut self, message: &Value) -> Value {
        self.input.as_mut().unwrap().write_all(format!("{message}\n").as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&self.output.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer
    }

    /// Closes standard input. Nothing but answers was on standard output.
    fn end(mut self) {
        self.input.take();
        assert!(self.output.next().is_none());
        assert!(self.bridge.wait().unwrap().success());
    }
}

fn request(id: u32, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn handshake(revision: &str) -> Value {
    let client = json!({"name": "raw", "version": "1"});
    let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": client});
    request(1, "initialize", params)
}

#[test]
fn a_raw_host_of_each_revision_outlives_a_restart_of_the_gateway() {
    let mut installation = TestInstallation::started();
    let token = installation.agent("raw", "operator");
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut host = Host::start(&installation, &token);
        let told = host.ask(&handshake(revision));
        assert_eq!(told["result"]["protocolVersion"], revision, "{told}");
        let told = host.ask(&request(2, "tools/list", json!({})));
        assert!(told["result"]["tools"].is_array(), "{told}");
        host.end();
    }
    let mut host = Host::start(&installation, &token);
    host.ask(&handshake("2025-06-18"));
    installation.stop();
    let told = host.ask(&request(2, "tools/list", json!({})));
    let words = told["error"]["message"].as_str().unwrap();
    assert!(words.contains("start `cofferdam serve`"), "{told}");
    installation.serve(&[]);
    let told = host.ask(&request(3, "tools/list", json!({})));
    assert!(told["result"]["tools"].is_array(), "{told}");
    host.end();

    let mut host = Host::start(&installation, "cfd_wrong");
    let told = host.ask(&handshake("2025-06-18"));
    let words = told["error"]["message"].as_str().unwrap();
    assert!(words.contains("--token-file"), "{told}");
    host.end();
}

#[test]
fn a_raw_host_works_over_tls_with_the_certificates_that_it_was_told() {
    let files = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &str| {
        let file = files.path().join(name);
        write_private(&file, content);
        file
    };
    let certificate = put("server.pem", SERVER.certificate);
    let key = put("server.key", SERVER.key);
    let [ca, other] = [put("ca.pem", CA), put("other.pem", OTHER_CA)];
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("raw", "operator");
    let section = format!("45\n[edge.tls]\ncertificate = {certificate:?}\nkey = {key:?}");
    installation.configure("wait_seconds", &section);
    installation.speaks_tls(crate::tls::send);
    installation.serve(&[]);
    let url = format!("https://{}/mcp", installation.address());
    let list = |options: &[&str]| {
        let mut host = Host::start_with(&installation, &token, options);
        host.ask(&handshake("2025-11-25"));
        let told = host.ask(&request(2, "tools/list", json!({})));
        host.end();
        told
    };
    // Address and certificate of the installation; its own certificate; its authority.
    let desktop = installation.json(&["connect", "claude-desktop"]);
    let snippet: Value = serde_json::from_str(desktop["snippet"].as_str().unwrap()).unwrap();
    let args = snippet.pointer("/mcpServers/cofferdam/args").unwrap().as_array().unwrap();
    let args: Vec<&str> = args.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(args[..5], ["stdio", "--url", &url, "--ca", text(&certificate)]);
    for options in [&[][..], &args[1..5], &["--url", &url, "--ca", text(&ca)]] {
        let told = list(options);
        assert!(told["result"]["tools"].is_array(), "{options:?}: {told}");
    }
    // A server that is not trusted gets no token.
    for options in [&["--url", &url, "--ca", text(&other)][..], &["--url", &url]] {
        let told = list(options);
        let words = told["error"]["message"].as_str().unwrap();
        assert!(words.contains("--ca FILE"), "{options:?}: {told}");
    }
    installation.stop();
}

/// Runs a program in a folder of its own, as the user of a client.
fn client(command: &mut Command, folder: &std::path::Path, token: &str) -> String {
    let done = command
        .env("HOME", folder)
        .env("COFFERDAM_TOKEN", token)
        .env("NO_COLOR", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

#[test]
fn the_snippets_for_programs_run_as_they_are() {
    let installation = TestInstallation::started();
    let token = installation.agent("programs", "operator");
    let folder = tempfile::tempdir().unwrap();
    let snippet = |client: &str| {
        let told = installation.json(&["connect", client]);
        assert_eq!(told["reachable"], true);
        told["snippet"].as_str().unwrap().to_owned()
    };
    let mut shell = Command::new("sh");
    let told = client(shell.args(["-c", &snippet("curl")]), folder.path(), &token);
    assert!(told.contains("\"deployment_scale\"") && told.contains("PREVIEW"), "{told}");
    let told = client(known::python().args(["-c", &snippet("python")]), folder.path(), &token);
    assert!(told.contains("deployment_scale - "), "{told}");
}

#[test]
#[cfg_attr(without_clients, ignore = "scripts/test --full installs this client and runs it")]
fn gemini_cli_connects_with_the_file_that_was_written() {
    let installation = TestInstallation::started();
    let token = installation.agent("gemini", "operator");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".gemini/settings.json");
    installation.run(&["connect", "gemini", "--write", "--file", text(&file)]);
    let program =
        installed("gemini-0.61.0").join("node_modules/@google/gemini-cli/bundle/gemini.js");
    let mut node = Command::new("node");
    node.arg(program).args(["mcp", "list"]).env("GEMINI_CLI_TRUST_WORKSPACE", "true");
    let told = client(&mut node, folder.path(), &token);
    assert!(told.contains("cofferdam") && told.contains("Connected"), "{told}");
    assert!(!told.contains("Disconnected"), "{told}");
}
