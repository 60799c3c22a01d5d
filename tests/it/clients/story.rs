//! The list that each client does: the tools, an allowed call, each kind of refusal, an approval
//! while the client waits and without that, a job that takes longer than a call is held, a call that
//! the client gives up, and tokens that are refused. The texts of results are the same for every
//! client, in one golden file. Each client has another one with the rows in which it differs: its own
//! words for errors, and for a host also what it makes of structured content.

use super::driver::{Client, Driver, Host};
use crate::cluster::until;
use crate::installation::{TestInstallation, repository, text};
use crate::supervise::processes::{descendants, kill};
use crate::transcript::{named, numbered};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// How long the gateway holds a call here, in seconds: enough for an approval on a busy machine.
const HELD: &str = "12";

/// The form of a token, of an agent that does not exist.
const STRANGER: &str = "cfd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Before the words of a client, instead of a result.
const REPORTS: &str = "the client reports: ";

/// The client whose results are the golden file of every client.
const REFERENCE: &str = "python-mcp-2.3.0-auto";

struct Story<'a> {
    installation: &'a TestInstallation,
    client: &'a Client,
    driver: Driver,
    /// A step and what was shown, each.
    rows: Vec<String>,
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({"do": "call", "tool": tool, "arguments": arguments})
}

fn target(name: &str) -> Value {
    json!({"namespace": "storefront", "name": name})
}

fn scale(replicas: &Value) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

/// The words of an answer, as a person reads them.
fn words(heard: &Value) -> String {
    if let Some(thrown) = heard["thrown"].as_str() {
        return format!("{REPORTS}{thrown}");
    }
    let words = heard["text"].as_str().unwrap_or_else(|| panic!("no text: {heard}"));
    format!("{}{words}", if heard["error"] == true { "an error: " } else { "" })
}

/// A runner that stands still may have the job already.
fn without_phase(text: &str) -> String {
    let mut out = text.to_owned();
    for phase in ["queued", "leased"] {
        out = out.replace(&format!("Now: {phase}."), "Now: PHASE.");
        out = out.replace(&format!("\"phase\": \"{phase}\""), "\"phase\": \"PHASE\"");
    }
    out
}

/// Structured content, which is all that some hosts give to the model, with a line for each member.
fn readable(text: &str) -> String {
    let at = if text.starts_with('{') { 0 } else { text.find("\n{").map_or(0, |at| at + 1) };
    let (before, object) = text.split_at(at);
    match serde_json::from_str::<Value>(object) {
        Ok(value) => format!("{before}{value:#}"),
        Err(_) => text.to_owned(),
    }
}

/// Replaces what differs between runs: numbers of the ledger, durations, and of the Java client the
/// hash of an object and the random part of its request's id.
fn without_random(text: &str) -> String {
    let mut out = without_phase(text);
    for (before, after, name) in [
        ("ResponseInfoImpl@", ",", "HASH"),
        ("\"id\":\"", "\"", "ID"),
        ("Wall time: ", " seconds", "N"),
        ("\"ledger\":", ",", " N"),
    ] {
        if let Some((head, rest)) = out.split_once(before)
            && let Some((_, tail)) = rest.split_once(after)
        {
            out = format!("{head}{before}{name}{after}{tail}");
        }
    }
    out
}

/// The id of the call that a text names.
fn id(text: &str) -> String {
    let signs = |word: &&str| {
        word.len() == 26
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let mut words = text.split(|sign: char| !sign.is_ascii_alphanumeric());
    words.find(signs).unwrap_or_else(|| panic!("no id: {text}")).to_owned()
}

impl Story<'_> {
    fn tell(&mut self, step: &str, told: &str) {
        let told = told.replace(&self.installation.address().to_string(), "ADDRESS");
        let told = without_random(&readable(&told));
        let lines: Vec<String> = named(&told).trim_end().lines().map(numbered).collect();
        self.rows.push(format!("── {step}\n{}\n", lines.join("\n")));
    }

    fn ask(&mut self, step: &str, request: &Value) -> String {
        let told = words(&self.driver.ask(request));
        self.tell(step, &told);
        told
    }

    /// The answer, and before it the first line of progress. Further lines depend on the moment.
    fn heard(&mut self, step: &str) -> String {
        let (mut told, mut heard) = (String::new(), self.driver.next());
        while let Some(progress) = heard["progress"].as_str() {
            if told.is_empty() {
                writeln!(told, "progress: {progress}").unwrap();
            }
            heard = self.driver.next();
        }
        told += &words(&heard);
        self.tell(step, &told);
        told
    }

    fn approve(&self, call: &str) {
        let key = self.installation.key("bob");
        self.installation.run(&["approve", call, "--key", text(&key), "--yes"]);
    }

    fn plain_calls(&mut self) {
        let listed = self.driver.ask(&json!({"do": "list"}));
        let tools: Vec<&str> =
            listed["tools"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        self.tell("lists the tools", &tools.join("\n"));
        self.ask("scales web to 5: allowed", &call("deployment_scale", &scale(&json!(5))));
        self.ask(
            "scales web to 40: denied by policy",
            &call("deployment_scale", &scale(&json!(40))),
        );
        self.ask(
            "scales web to \"five\": does not fit the schema",
            &call("deployment_scale", &scale(&json!("five"))),
        );
        self.ask("calls a tool that does not exist", &call("no_such_tool", &json!({})));
    }

    fn approvals(&mut self) {
        let mut request = call("deployment_delete", &target("gift-cards-v1"));
        request["progress"] = json!(true);
        self.driver.give(&request);
        let id_of_call = self.installation.waiting();
        self.approve(&id_of_call);
        self.heard("deletes gift-cards-v1, with progress: approved while the client waits");
        self.installation.closed(&id_of_call);

        let request = call("deployment_delete", &target("api"));
        let step = "deletes api: a person has to decide";
        if self.client.follows_tasks {
            self.driver.give(&request);
            let waiting = self.installation.waiting();
            self.approve(&waiting);
            self.heard(step);
            self.installation.closed(&waiting);
            return;
        }
        let waiting = id(&self.ask(step, &request));
        self.approve(&waiting);
        self.ask(
            "follows that call, which was approved meanwhile",
            &call("job_get", &json!({"id": waiting, "wait_seconds": 45})),
        );
        self.installation.closed(&waiting);
    }

    fn long_job(&mut self) {
        let all = descendants(self.installation.supervisor());
        let runners: Vec<u32> = all
            .iter()
            .filter(|process| process.words.contains("runner"))
            .map(|process| process.id)
            .collect();
        assert!(!runners.is_empty(), "no runner: {all:?}");
        kill("STOP", &runners);
        let mut request = call("deployment_scale", &scale(&json!(6)));
        request["progress"] = json!(true);
        self.driver.give(&request);
        if self.client.follows_tasks {
            until("the job to be queued", || {
                let jobs = self.installation.run(&["--json", "jobs"]);
                ["queued", "leased"].iter().any(|phase| jobs.contains(phase)).then_some(())
            });
            kill("CONT", &runners);
        }
        let told =
            self.heard("scales web to 6 while the runners stand still: longer than a call is held");
        if self.client.follows_tasks {
            return;
        }
        kill("CONT", &runners);
        self.ask(
            "follows that call",
            &call("job_get", &json!({"id": id(&told), "wait_seconds": 45})),
        );
    }

    fn given_up(&mut self) {
        let mut request = call("deployment_delete", &target("web"));
        if self.client.host.is_some() {
            // No person of a host can say when one call is given up.
            self.ask("deletes web: a person has to decide", &request);
        } else {
            request["progress"] = json!(true);
            request["seconds"] = json!(4);
            self.driver.give(&request);
            self.heard("deletes web, and gives up after four seconds");
        }
        let told = self.ask("lists its open calls", &call("calls_list", &json!({"open": true})));
        self.ask("withdraws that call", &call("job_cancel", &json!({"id": id(&told)})));
        until("no call to wait", || {
            let waiting = self.installation.json(&["jobs", "--waiting"]);
            waiting["jobs"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
    }
}

/// Connects a host as a person does: one command makes the agent and writes the host's file.
fn connect(installation: &TestInstallation, host: Host, home: &Path) -> String {
    let (path, text_before) = host.before;
    let before = home.join(path);
    std::fs::create_dir_all(before.parent().unwrap()).unwrap();
    std::fs::write(before, text_before).unwrap();
    let file = home.join(host.file);
    let words = ["connect", host.name, "--write", "--file", text(&file), "--agent", "client"];
    let rights = ["--role", "operator", "--for", "alice@example.com"];
    let told = installation.json(&[&words[..], &rights].concat());
    told["agent"]["token"].as_str().unwrap_or_else(|| panic!("no token: {told}")).to_owned()
}

/// Does the whole list with a client, and compares what it shows with the golden files.
pub fn whole_list(mut client: Client) {
    let mut installation = TestInstallation::bare("example");
    installation.configure("wait_seconds", HELD);
    installation.serve(&[]);
    let url = format!("http://{}/mcp", installation.address());
    let folder = tempfile::tempdir().unwrap();
    let token = match client.host {
        None => installation.agent("client", "operator"),
        Some(host) => {
            client.more.splice(0..0, [host.name.to_owned(), text(folder.path()).to_owned()]);
            connect(&installation, host, folder.path())
        }
    };

    let mut driver = Driver::start(&client, &url, &token, folder.path());
    let connected = driver.next();
    let revision = connected["connected"].as_str().unwrap_or_else(|| panic!("{connected}"));
    let head = format!("client: {}\nrevision: {revision}\n", client.title);
    let mut story = Story { installation: &installation, client: &client, driver, rows: vec![] };
    story.plain_calls();
    story.approvals();
    story.long_job();
    story.given_up();

    for (case, token) in [("has a token of no agent", STRANGER), ("has no token", "")] {
        story.driver = Driver::start(&client, &url, token, folder.path());
        let mut heard = story.driver.next();
        if heard["thrown"].is_null() {
            heard = story.driver.ask(&json!({"do": "list"}));
        }
        story.tell(case, &words(&heard));
    }
    let Story { driver, rows, .. } = story;
    driver.end();
    if client.file == REFERENCE {
        let results: Vec<_> = rows.iter().filter(|row| !row.contains(REPORTS)).cloned().collect();
        expect_file!["../../golden/clients/every-client.txt"].assert_eq(&results.join("\n"));
    }
    let results = repository().join("tests/golden/clients/every-client.txt");
    let results = std::fs::read_to_string(results).unwrap();
    let own: String = rows
        .iter()
        .filter(|row| !results.contains(row.as_str()))
        .map(|row| format!("\n{row}"))
        .collect();
    expect_file![format!("../../golden/clients/{}.txt", client.file)].assert_eq(&(head + &own));
}
