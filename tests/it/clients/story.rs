//! The list that each client does: the tools, an allowed call, each kind of refusal, an approval
//! while the client waits and without that, a job that takes longer than a call is held, a call that
//! the client gives up, and tokens that are refused. Results are the same for every client, in one
//! golden file. Each client has another one with its own words for errors.

use super::driver::{Client, Driver};
use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use crate::supervise::processes::{descendants, kill};
use crate::transcript::{named, numbered};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How long the gateway holds a call here, in seconds: enough for an approval on a busy machine.
const HELD: &str = "12";

/// The form of a token, of an agent that does not exist.
const STRANGER: &str = "cfd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Before the words of a client, instead of a result.
const REPORTS: &str = "the client reports: ";

struct Story<'a> {
    installation: &'a TestInstallation,
    driver: Driver,
    /// The rows that are the same for every client.
    results: String,
    /// The rows with the client's own words.
    errors: String,
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
    text.replace("Now: queued.", "Now: PHASE.").replace("Now: leased.", "Now: PHASE.")
}

/// The Java client shows the hash of an object and the random part of its request's id.
fn without_random(text: &str) -> String {
    let mut out = text.to_owned();
    for (before, after, name) in [("ResponseInfoImpl@", ",", "HASH"), ("\"id\":\"", "\"", "ID")] {
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
        let told = without_random(&without_phase(&told));
        let lines: Vec<String> = named(&told).trim_end().lines().map(numbered).collect();
        let own = told.contains(REPORTS);
        let rows = if own { &mut self.errors } else { &mut self.results };
        write!(rows, "\n── {step}\n{}\n", lines.join("\n")).unwrap();
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

        let told = self.ask(
            "deletes api, without progress: a person has to decide",
            &call("deployment_delete", &target("api")),
        );
        let waiting = id(&told);
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
        let told =
            self.heard("scales web to 6 while the runners stand still: longer than a call is held");
        kill("CONT", &runners);
        self.ask(
            "follows that call",
            &call("job_get", &json!({"id": id(&told), "wait_seconds": 45})),
        );
    }

    fn given_up(&mut self) {
        let mut request = call("deployment_delete", &target("web"));
        request["progress"] = json!(true);
        request["seconds"] = json!(4);
        self.driver.give(&request);
        self.heard("deletes web, and gives up after four seconds");
        let told = self.ask("lists its open calls", &call("calls_list", &json!({"open": true})));
        self.ask("withdraws that call", &call("job_cancel", &json!({"id": id(&told)})));
        until("no call to wait", || {
            let waiting = self.installation.json(&["jobs", "--waiting"]);
            waiting["jobs"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
    }
}

/// Does the whole list with a client, and compares what it shows with the golden files.
pub fn whole_list(client: Client) {
    let mut installation = TestInstallation::bare("example");
    installation.configure("wait_seconds", HELD);
    installation.serve(&[]);
    let token = installation.agent("client", "operator");
    let url = format!("http://{}/mcp", installation.address());
    let folder = tempfile::tempdir().unwrap();

    let mut driver = Driver::start(&client, &url, &token, folder.path());
    let connected = driver.next();
    let revision = connected["connected"].as_str().unwrap_or_else(|| panic!("{connected}"));
    let errors = format!("client: {}\nrevision: {revision}\n", client.title);
    let mut story = Story { installation: &installation, driver, results: String::new(), errors };
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
    let Story { driver, results, errors, .. } = story;
    driver.end();
    expect_file![format!("../../golden/clients/{}.txt", client.file)].assert_eq(&errors);
    expect_file!["../../golden/clients/every-client.txt"].assert_eq(results.trim_start());
}
