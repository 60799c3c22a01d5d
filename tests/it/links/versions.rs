//! A peer of the previous protocol version: its recorded frames, sent over a link to the real recorder,
//! and a runner of that version that sees a job through beside gateways of this version.

use super::attacks::{ask, environment};
use super::hosts::{Counts, Hosts};
use super::stranger::Stranger;
use crate::installation::{TestInstallation, repository};
use cofferdam_core::protocol::link::{LinkCode, LinkRole};
use cofferdam_core::protocol::{UNREADABLE, VERSION, Version};
use cofferdam_process::frame::{self, Frame};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The version before this one, with recorded frames.
const BEFORE: Version = Version { major: VERSION.major, minor: VERSION.minor - 1 };

fn hosts() -> (Hosts, String) {
    let installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let mut hosts = Hosts::new(installation, Counts::ONE);
    hosts.start_all();
    (hosts, token)
}

/// A link to the recorder with the certificate of this role, from a program of this version.
fn link(hosts: &Hosts, role: LinkRole, version: Version) -> (Stranger, Option<LinkCode>) {
    let files = hosts.certificates(role);
    let mut link = Stranger::connect(hosts.hosts["recorder-1"].links, Some(&files));
    let code = link.greet_as(version, role, &environment(hosts)).unwrap();
    (link, code)
}

/// The recorded requests of a role, each with its own id. They wait for nothing.
fn recorded(role: LinkRole) -> Vec<Value> {
    let file = format!("gateway/core/tests/frames/{BEFORE}/{role}_recorder.asks.jsonl");
    let text = std::fs::read_to_string(repository().join(file)).unwrap();
    let mut asks: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    asks.iter_mut().for_each(hurry);
    asks
}

fn hurry(value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            if name == "wait_ms" {
                *value = json!(1);
            } else {
                hurry(value);
            }
        }),
        Value::Array(values) => values.iter_mut().for_each(hurry),
        _ => {}
    }
}

#[test]
fn the_recorder_answers_each_recorded_request_of_the_version_before() {
    let (hosts, _) = hosts();
    let older = Version { major: VERSION.major, minor: VERSION.minor + 2 };
    assert_eq!(link(&hosts, LinkRole::Runner, older).1, Some(LinkCode::LinkVersion));
    for role in [LinkRole::Runner, LinkRole::Gateway] {
        let (mut link, code) = link(&hosts, role, BEFORE);
        assert_eq!(code, None, "{role}");
        let asks = recorded(role);
        assert!(!asks.is_empty(), "{role}");
        for ask in &asks {
            frame::write(&mut link, &Frame::of(ask.to_string().into_bytes())).unwrap();
        }
        let mut answers = BTreeMap::new();
        while answers.len() < asks.len() {
            let answer = frame::read(&mut link).unwrap().expect("the link stays up");
            let answer: Value = serde_json::from_slice(&answer.header).unwrap();
            answers.insert(answer["id"].as_u64().unwrap(), answer);
        }
        for ask in &asks {
            let answer = answers[&ask["id"].as_u64().unwrap()].to_string();
            assert!(!answer.contains(UNREADABLE), "{role}: {ask}\n{answer}");
        }
        // What no version has is refused with that text.
        let unknown = json!({"id": 1_000, "ask": {"ask": "nothing", "nothing": {}}});
        frame::write(&mut link, &Frame::of(unknown.to_string().into_bytes())).unwrap();
        let refused = frame::read(&mut link).unwrap().expect("the link stays up");
        let refused: Value = serde_json::from_slice(&refused.header).unwrap();
        assert!(refused["fault"].to_string().contains(UNREADABLE), "{role}: {refused}");
    }
}

#[test]
fn a_runner_of_the_version_before_sees_a_job_through() {
    let (mut hosts, token) = hosts();
    assert!(hosts.stop("runner-1"), "{}", hosts.installation.log());
    let answered = std::thread::scope(|scope| {
        let scale = json!({"namespace": "storefront", "name": "web", "replicas": 5});
        let installation = &hosts.installation;
        let calling = scope.spawn({
            let token = &token;
            move || installation.call(token, "deployment_scale", &scale)
        });
        let (mut old, code) = link(&hosts, LinkRole::Runner, BEFORE);
        assert_eq!(code, None);
        // As version 1.0 asks: without a token and without numbers.
        let leased = ask(&mut old, &json!({"ask": "next", "wait_ms": 30_000}));
        let job = &leased["ok"]["job"];
        let (call, fence) = (&job["job"]["call"], &job["fence"]);
        assert!(call.is_string() && fence.is_u64(), "{leased}\n{}", installation.log());
        let kept = ask(&mut old, &json!({"ask": "heartbeat", "call": call, "fence": fence}));
        assert_eq!(kept["ok"], json!({"answer": "lease", "cancelled": false}), "{kept}");
        let said = json!([{"operation": 0, "text": "checks", "skipped": 0}]);
        let progress = json!({"ask": "progress", "call": call, "fence": fence, "said": said});
        assert_eq!(ask(&mut old, &progress)["ok"]["answer"], "lease");
        let finished = json!({"event": "finished", "outcome": "refused", "code": "plan-differs",
            "detail": "the plan differs", "files": [], "meanwhile": []});
        for event in [finished, json!({"event": "gone", "namespace": ""})] {
            let moved = json!({"ask": "move", "call": call, "fence": fence, "events": [event]});
            let moved = ask(&mut old, &moved);
            assert_eq!(moved["ok"]["answer"], "recorded", "{moved}\n{}", installation.log());
        }
        calling.join().unwrap()
    });
    let call = answered.body["call"].as_str().or(answered.body["error"]["call"].as_str());
    let story = hosts.installation.closed(call.unwrap());
    assert_eq!(story["view"]["outcome"], "refused", "{story:#}");
    // Runners of this version serve after it.
    hosts.start("runner-1");
    hosts.until_ready();
    let scale = json!({"namespace": "storefront", "name": "web", "replicas": 6});
    let done = hosts.installation.call(&token, "deployment_scale", &scale);
    assert_eq!(done.status, 200, "{:#}\n{}", done.body, hosts.installation.log());
    hosts.installation.verify_ledger();
}
