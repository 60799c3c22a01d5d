//! An agent that repeats its request, under one key, until it knows the outcome. It keeps every
//! answer, so that the judge can compare them with what was recorded.

use crate::installation::{Answer, TIME_LIMIT, TestInstallation};
use cofferdam_testkit::http::{Connection, Request};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// One request, and everything that was answered to it.
#[derive(Debug)]
pub struct Asked {
    /// The replicas that it asked for.
    pub wanted: u32,
    pub answers: Vec<Answer>,
}

impl Asked {
    /// The text of the last answer.
    pub fn said(&self) -> String {
        self.answers.last().map(said).unwrap_or_default()
    }

    /// The status of the last answer; 0 without one.
    pub fn status(&self) -> u16 {
        self.answers.last().map_or(0, |answer| answer.status)
    }

    /// The id of the call, if an answer named it.
    pub fn call(&self) -> Option<String> {
        self.answers.iter().rev().find_map(call_of)
    }
}

/// The text of an answer for the agent.
pub fn said(answer: &Answer) -> String {
    let body = &answer.body;
    body["text"].as_str().or(body["error"]["text"].as_str()).unwrap_or_default().to_owned()
}

/// The id of the call of an answer.
pub fn call_of(answer: &Answer) -> Option<String> {
    let body = &answer.body;
    body["call"].as_str().or(body["error"]["call"].as_str()).map(str::to_owned)
}

/// An agent that scales `storefront/web`.
pub struct Agent {
    address: SocketAddr,
    token: String,
    next: AtomicU32,
}

impl Agent {
    pub fn of(installation: &TestInstallation) -> Self {
        Self {
            address: installation.address(),
            token: installation.agent("release", "operator"),
            next: AtomicU32::new(0),
        }
    }

    /// A value that the file does not have, and a key of its own. The policy of the example lets
    /// replicas at most double without a person.
    fn next(&self) -> (u32, String) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        (4 + number % 3, format!("request-{number}"))
    }

    fn request(&self, wanted: u32, key: &str) -> Option<Answer> {
        let change = json!({"namespace": "storefront", "name": "web", "replicas": wanted});
        let request = Request::new("POST", "/v1/tools/deployment_scale?wait=45")
            .with("Host", &self.address.to_string())
            .body(change.to_string())
            .with("Content-Type", "application/json")
            .bearer(&self.token)
            .and("Idempotency-Key", key);
        let mut connection = Connection::open(self.address, TIME_LIMIT).ok()?;
        let response = connection.send(&request.bytes()).ok()?;
        let text = response.text();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Answer { status: response.status, body })
    }

    /// Asks once. Never repeats.
    pub fn once(&self) -> Asked {
        let (wanted, key) = self.next();
        Asked { wanted, answers: self.request(wanted, &key).into_iter().collect() }
    }

    /// Asks until the outcome is told: again after a lost connection, and after each answer that
    /// tells to come again.
    pub fn until_told(&self) -> Asked {
        let (wanted, key) = self.next();
        let (mut answers, began) = (Vec::new(), Instant::now());
        loop {
            if let Some(answer) = self.request(wanted, &key) {
                let again = matches!(answer.status, 202 | 429 | 502 | 503);
                assert_ne!(answer.status, 400, "the request has another form: {answer:?}");
                answers.push(answer);
                if !again {
                    return Asked { wanted, answers };
                }
            }
            assert!(began.elapsed() < TIME_LIMIT, "{key}: no outcome: {answers:#?}");
            thread::sleep(PAUSE);
        }
    }
}
