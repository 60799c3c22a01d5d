//! No counter is lost under load: after many calls at once, `/metrics` and the ledger agree with
//! the calls. Measures no time.

use crate::cluster::until;
use crate::installation::{TIME_LIMIT, TestInstallation};
use cofferdam_testkit::http::{Connection, Request};
use serde_json::json;

/// Calls at the same time: more than the gateway has threads.
const CALLERS: u32 = 32;

/// The calls: several times the signals that a role keeps in its queue (4,096).
const CALLS: u32 = 10_000;

/// Sends a part of the calls, each with other arguments, and checks every response.
fn deny(installation: &TestInstallation, token: &str, numbers: impl Iterator<Item = u32>) -> u32 {
    let mut connection = Connection::open(installation.address(), TIME_LIMIT).unwrap();
    let mut denied = 0;
    for number in numbers {
        let body = json!({"namespace": "storefront", "name": "web", "replicas": 40 + number % 100});
        let request = Request::new("POST", "/v1/tools/deployment_scale")
            .without("Connection")
            .with("Host", &installation.address().to_string())
            .json(&body)
            .bearer(token);
        let response = connection.send(&request.bytes()).unwrap();
        let text = response.text();
        assert!(
            response.status == 403 && text.contains("\"rule\":\"replicas-limit\""),
            "{} {text}",
            response.status
        );
        denied += 1;
    }
    denied
}

#[test]
fn no_counter_is_lost_under_load() {
    let mut installation = TestInstallation::bare("example");
    // The agent sends as fast as it can.
    installation.configure("requests_per_second", "1000000");
    installation.serve(&[]);
    let token = installation.agent("flood", "operator");
    let first = installation.published();
    let denied: u32 = std::thread::scope(|scope| {
        let (installation, token) = (&installation, token.as_str());
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let numbers = (caller..CALLS).step_by(CALLERS as usize);
                scope.spawn(move || deny(installation, token, numbers))
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(denied, CALLS);

    // Tiles and measurements follow the answers after a moment.
    let entries = until("the ledger to publish every denial", || {
        let entries = installation.entries_since(first);
        let denials = entries.iter().filter(|entry| entry["event"]["ending"] == "denied").count();
        assert!(denials <= CALLS as usize, "{denials} denials of {CALLS} calls");
        (denials == CALLS as usize).then_some(entries)
    });
    let rules = entries.iter().filter(|entry| entry["event"]["code"] == "replicas-limit").count();
    assert_eq!(rules, CALLS as usize);
    let counted = |name: &str, words: &str| installation.metric(name, words) as u32;
    let mut last = 0;
    let decisions = || counted("cofferdam_decisions_total", "rule=\"replicas-limit\"");
    // A lost count would make this wait endless, so it ends once the number stands still.
    until("the counters to stand still", || {
        std::thread::sleep(std::time::Duration::from_secs(2));
        let now = decisions();
        (std::mem::replace(&mut last, now) == now && now > 0).then_some(())
    });
    assert_eq!(
        (
            decisions(),
            counted("http_server_request_duration_seconds_count", "status_code=\"403\""),
            counted("cofferdam_stage_seconds_count", "stage=\"plan\""),
        ),
        (CALLS, CALLS, CALLS),
        "decisions, requests and plans in /metrics"
    );
    installation.verify_ledger();
}
