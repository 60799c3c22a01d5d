//! Notifications through the real roles: an agent's question reaches a receiver, a courier that is
//! killed in the middle loses none, and no secret is anywhere else.

use crate::cluster::until;
use crate::installation::{TestInstallation, write_private};
use crate::supervise::processes::{descendants, kill};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A secret of a webhook, 24 bytes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver of webhooks on loopback. Its thread ends with the test process.
pub struct Receiver {
    address: SocketAddr,
    /// True while it takes messages; else it answers 503.
    takes: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    /// A receiver that takes everything.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (takes, seen) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let receiver = Self { address, takes: Arc::clone(&takes), seen: Arc::clone(&seen) };
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some((head, body)) = read(&mut stream) else { continue };
                seen.lock().unwrap().push((head, serde_json::from_str(&body).unwrap()));
                let status = if takes.load(Ordering::SeqCst) { 204 } else { 503 };
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        receiver
    }

    /// Makes it the receiver `ops` of an installation, before the start.
    pub fn join(&self, installation: &TestInstallation) {
        let secret = installation.home().with_file_name("ops.secret");
        write_private(&secret, SECRET);
        let config = installation.home().join("cofferdam.toml");
        let section = format!(
            "\n[notify.ops]\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nsecret_file = \"{}\"\n",
            self.address,
            secret.display()
        );
        fs::write(&config, fs::read_to_string(&config).unwrap() + &section).unwrap();
    }

    /// The messages so far of this event.
    pub fn seen(&self, event: &str) -> Vec<(String, Value)> {
        let all = self.seen.lock().unwrap().clone();
        all.into_iter().filter(|(_, body)| body["type"] == event).collect()
    }
}

fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if body.len() >= length.parse().ok()? {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

fn courier(installation: &TestInstallation) -> Option<u32> {
    let processes = descendants(installation.supervisor());
    let found = processes.into_iter().find(|process| process.words == "cofferdam: courier");
    found.map(|process| process.id)
}

/// Returns the files beneath a folder that have these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if path.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            if content.windows(bytes.len()).any(|part| part == bytes) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_question_is_told_although_the_courier_is_killed_in_the_middle() {
    let receiver = Receiver::start();
    let mut installation = TestInstallation::bare("single");
    receiver.join(&installation);
    installation.serve(&[]);
    assert!(installation.run(&["doctor"]).contains("notify        ops"));
    let done = installation.json(&["notify", "test", "ops"]);
    assert_eq!(done["delivered"], true, "{done}");
    assert_eq!(receiver.seen("test").len(), 1);
    // It takes nothing for a while, and the courier is killed.
    receiver.takes.store(false, Ordering::SeqCst);
    let token = installation.agent("release", "operator");
    let scale = json!({"namespace": "storefront", "name": "web", "replicas": 18});
    let path = "/v1/tools/deployment_scale?wait=0";
    let answer = installation.http("POST", path, &token, Some(&scale));
    let call = answer.body["call"].as_str().unwrap().to_owned();
    until("a try", || (!receiver.seen("approval_needed").is_empty()).then_some(()));
    let first = courier(&installation).unwrap();
    kill("KILL", &[first]);
    until("another courier", || courier(&installation).filter(|next| *next != first).map(drop));
    until("the failure in the status", || {
        let status = installation.run(&["status"]);
        status.contains("warning      notifications to ops fail: the server answered").then_some(())
    });
    assert!(installation.fail(&["doctor"]).contains("notifications to `ops` fail, and 1 wait"));
    let failed = installation.json(&["status"])["receivers"][0]["failed"].as_u64().unwrap();
    assert!(failed >= 1, "{failed}");
    assert!(installation.fail(&["notify", "test", "ops"]).contains("did not take the test"));
    receiver.takes.store(true, Ordering::SeqCst);
    until("the delivery", || {
        let state = installation.json(&["status"])["receivers"][0].clone();
        (state["waiting"] == 0 && state["delivered"] == 2).then_some(())
    });
    let tries = receiver.seen("approval_needed");
    assert!(tries.len() >= 2);
    for (head, body) in &tries {
        assert!(head.contains(&format!("webhook-id: {call}.approval_needed")), "{head}");
        assert!(head.contains("webhook-signature: v1,"), "{head}");
        assert_eq!(body["call"]["id"], call.as_str());
        assert_eq!(body["call"]["quoted"]["agent"], "release");
        let port = installation.address().port();
        let link = format!("http://localhost:{port}/approve/{call}");
        assert_eq!(body["link"], link.as_str());
    }
    // Opening an address approves nothing; the page of the call is for the agent's own person.
    let page = installation.http("GET", &format!("/calls/{call}"), "", None);
    assert_eq!(page.status, 401);
    assert_eq!(installation.json(&["jobs", "--waiting"])["jobs"][0]["job"]["call"], call.as_str());
    let metrics = installation.http("GET", "/metrics", "", None);
    let text = metrics.body.as_str().map_or_else(|| metrics.body.to_string(), str::to_owned);
    assert!(text.contains("cofferdam_notifications_total"), "{text}");
    installation.stop();
    // The secret is in the file that the operator made, and nowhere else.
    for part in [SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert!(!installation.log().contains(part));
        assert_eq!(files_with(&installation.home(), part.as_bytes()), Vec::<String>::new());
    }
    installation.verify_ledger();
}

#[test]
fn no_receiver_is_a_hint_and_a_wrong_one_stops_the_start() {
    let installation = TestInstallation::bare("single");
    let doctor = installation.run(&["doctor"]);
    assert!(doctor.contains("no receiver of notifications is configured"), "{doctor}");
    let config = installation.home().join("cofferdam.toml");
    let section = "\n[notify.ops]\nkind = \"webhook\"\nurl = \"http://example.com/hook\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + section).unwrap();
    let doctor = installation.fail(&["doctor"]);
    for part in ["notify.ops.url", "http:// is for this machine alone", "notify.ops.secret_file"] {
        assert!(doctor.contains(part), "not `{part}`: {doctor}");
    }
}
