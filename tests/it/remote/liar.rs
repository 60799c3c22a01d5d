//! A server that lies: it shows one change and wants a signature for another. The command refuses by
//! itself, and the server gets no signature.

use super::{Elsewhere, asked, has, served};
use crate::installation::text;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A server with the paths of a gateway. It takes every sign-in, and gives this question.
struct Liar {
    url: String,
    signatures: Receiver<String>,
}

impl Liar {
    fn start(challenge: Value, question: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (taken, signatures) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that went away is no error of the test.
                let _gone = answer(stream, &challenge, &question, &taken);
            }
        });
        Self { url, signatures }
    }
}

fn answer(
    mut stream: TcpStream,
    challenge: &Value,
    question: &Value,
    taken: &Sender<String>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = if first.contains("/challenge") {
        challenge.clone()
    } else if first.contains("/session") {
        json!({"approver": "bob@example.com", "session": "s", "expires": "2099-01-01T00:00:00Z"})
    } else if first.starts_with("POST") {
        let _ended = taken.send(String::from_utf8_lossy(&body).into_owned());
        json!({"answer": "signed", "approver": "bob@example.com", "missing": 0})
    } else if first.contains("/preview") {
        json!({"answer": "seen", "seen": "not", "why": "the server does not say"})
    } else {
        question.clone()
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_server_that_shows_another_change_than_it_wants_signed_gets_no_signature() {
    let (installation, token, _) = served();
    let call = asked(&installation, &token, "web", 18);
    let other = asked(&installation, &token, "api", 18);
    let bob = Elsewhere::with_key(&installation.key("bob"));
    let session = bob.session(&installation);
    let read = |call: &str| {
        installation.http("GET", &format!("/v1/approvals/{call}"), &session, None).body
    };
    let (truth, about_api) = (read(&call), read(&other));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut question = truth.clone();
        change(&mut question["job"]);
        question
    };
    let replaced = |job: &mut Value, member: &str, from: &str, to: &str| {
        let text = job[member].as_str().unwrap().to_owned();
        assert!(text.contains(from), "{text}");
        job[member] = json!(text.replace(from, to));
    };
    let challenge = json!({"challenge": "00ff.00ff", "expires": "2099-01-01T00:00:00Z"});
    let far = Liar::start(challenge, truth.clone());
    has(&bob.fail(&far.url, &["approve", &call, "--yes"]), &["gave a challenge that counts until"]);
    let sentence = json!({"challenge": "I owe you 5", "expires": "2099-01-01T00:00:00Z"});
    let sentence = Liar::start(sentence, truth.clone());
    has(&bob.fail(&sentence.url, &["approve", &call, "--yes"]), &["gave no challenge"]);
    let soon = || super::challenge(&installation);
    let lies: [(&str, Value, &str); 9] = [
        ("a plan", changed(&|job| replaced(job, "plan", ":18", ":19")), "plan digest"),
        ("a preview", changed(&|job| replaced(job, "preview", ":3", ":17")), "preview digest"),
        (
            "a preview of another object",
            changed(&|job| {
                job["preview"] = about_api["job"]["preview"].clone();
                job["preview_digest"] = about_api["job"]["preview_digest"].clone();
            }),
            "its preview about another object",
        ),
        (
            "a tool",
            changed(&|job| job["tool"] = json!("deployment_restart")),
            "tool or environment",
        ),
        ("another call", about_api.clone(), "another call than"),
        (
            "an environment",
            changed(&|job| job["environment"]["name"] = json!("staging")),
            "tool or environment",
        ),
        ("a long time", changed(&|job| job["expires"] = json!("2099-01-01T00:00:00Z")), "seconds"),
        ("no rule", changed(&|job| job["approval"] = Value::Null), "whose signatures it needs"),
        ("no question", json!({"answer": "question"}), "unexpected answer"),
    ];
    for (name, question, expect) in lies {
        let liar = Liar::start(soon(), question);
        let told = bob.fail(&liar.url, &["approve", &call, "--yes"]);
        assert!(told.contains(expect), "{name}: {told}");
        assert!(liar.signatures.try_recv().is_err(), "{name}: a signature was given");
    }
    // The same server with the truth gets one: only the lie was refused.
    let honest = Liar::start(soon(), truth);
    let export = bob.path("out");
    bob.json(&honest.url, &["approve", &call, "--yes", "--wait", "0", "--export", text(&export)]);
    let signed: Value = serde_json::from_str(&honest.signatures.recv().unwrap()).unwrap();
    let path = format!("/v1/approvals/{call}");
    assert_eq!(installation.http("POST", &path, &session, Some(&signed)).body["missing"], 0);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
}
