//! The notes that a client gets while its call is held: the official client, with both revisions.

use crate::installation::{TestInstallation, repository, text};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running call of the official client.
pub struct Listener {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Listener {
    pub fn call(
        installation: &TestInstallation,
        token: &str,
        mode: &str,
        tool: &str,
        arguments: &Value,
    ) -> Self {
        let python = std::env::var_os("COFFERDAM_PYTHON")
            .expect("COFFERDAM_PYTHON is not set: run `scripts/test`");
        let url = format!("http://{}/mcp", installation.address());
        let mut child = Command::new(python)
            .arg(repository().join("scripts/listen.py"))
            .args([&url, token, mode, tool, &arguments.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next note. `None` at the end.
    pub fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn the_official_client_hears_that_a_person_is_waited_for_and_then_the_result() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    for (mode, name) in [("auto", "gift-cards-v1"), ("legacy", "api")] {
        let mut listener = Listener::call(
            &installation,
            &token,
            mode,
            "deployment_delete",
            &json!({"namespace": "storefront", "name": name}),
        );
        let first = listener.next().unwrap();
        let call = installation.waiting();
        let message = first["message"].as_str().unwrap();
        assert!(
            first["progress"] == 1.0
                && message.starts_with(&format!(
                    "WAITING {call} in shop. Needed: any 1 enrolled approver"
                )),
            "{mode}: {first}"
        );
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        let (mut told, mut result) = (first["progress"].as_f64().unwrap(), None);
        while let Some(heard) = listener.next() {
            match heard["progress"].as_f64() {
                Some(progress) => {
                    let known = [
                        format!("RUNNING {call} in shop. Now: "),
                        "The executor says: \"".to_owned(),
                    ];
                    let message = heard["message"].as_str().unwrap();
                    assert!(
                        progress > told && known.iter().any(|begin| message.starts_with(begin)),
                        "{mode}: {heard}"
                    );
                    told = progress;
                }
                None => result = Some(heard),
            }
        }
        let result = result.unwrap();
        assert!(
            result["error"] == false
                && result["result"].as_str().unwrap().starts_with(&format!("DONE {call} ")),
            "{mode}: {result}"
        );
        assert!(told > 1.0, "{mode}: nothing was told after the approval");
    }
}
