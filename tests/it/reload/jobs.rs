//! Jobs during a reload: a queued one is decided once more, one in progress finishes, and no call is
//! lost.

use super::{loaded, policy, remove_tool, scale};
use crate::cluster::until;
use crate::installation::{Answer, TestInstallation, text};
use crate::supervise::processes::kill;
use crate::supervise::runners;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A call that is answered at once with its id.
fn begin(installation: &TestInstallation, token: &str, namespace: &str, replicas: u8) -> String {
    let asked = json!({"namespace": namespace, "name": "web", "replicas": replicas});
    let answer =
        installation.http("POST", "/v1/tools/deployment_scale?wait=0", token, Some(&asked));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    answer.body["call"].as_str().unwrap().to_owned()
}

fn view(installation: &TestInstallation, call: &str) -> Value {
    installation.json(&["show", call])["view"].clone()
}

#[test]
fn a_queued_job_is_decided_once_more_with_the_new_policy() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&["--heartbeat-ms", "600000"]);
    let token = installation.agent("bot", "deployer");
    let (old, published) = (loaded(&installation), installation.published());
    // Runners that stand still claim two jobs, and no other one begins.
    let stopped = runners(&installation);
    kill("STOP", &stopped);
    let claimed = ["storefront", "storefront-staging"]
        .map(|namespace| begin(&installation, &token, namespace, 2));
    for call in &claimed {
        until("the job to be claimed", || {
            (view(&installation, call)["phase"] == "leased").then_some(())
        });
    }
    // Both wait for the object of a claimed job.
    let (allowed, asked) = (
        begin(&installation, &token, "storefront", 3),
        begin(&installation, &token, "storefront-staging", 5),
    );
    installation.run(&["accept", "--policy", text(&policy(&installation, 4))]);
    let new = loaded(&installation);
    assert_ne!(old, new);
    let decided = |call: &str| {
        let story = installation.closed(call);
        let policies = until("the end to be published", || {
            let entries: Vec<Value> = installation
                .entries_since(published)
                .into_iter()
                .filter(|entry| entry["call"] == call)
                .collect();
            entries.iter().find(|entry| entry["event"]["kind"] == "closed")?;
            let intents = entries.iter().filter(|entry| entry["event"]["kind"] == "intended");
            Some(intents.map(|entry| entry["policy"].clone()).collect::<Vec<_>>())
        });
        (story["view"].clone(), policies)
    };
    let (refused, decisions) = decided(&asked);
    assert_eq!(refused["outcome"], "refused", "{refused:#}");
    let why = refused["detail"].as_str().unwrap_or_default();
    assert!(why.contains("the new one needs a person's approval"), "{refused:#}");
    assert_eq!(decisions, [json!(old)]);
    // An agent reads that the other one is queued, and never that it waits for a person.
    let told = installation.http("GET", &format!("/v1/jobs/{allowed}?wait=0"), &token, None);
    assert!(!told.body.to_string().contains("cofferdam approve"), "{:#}", told.body);
    kill("CONT", &stopped);
    let (done, decisions) = decided(&allowed);
    assert_eq!(done["outcome"], "succeeded", "{done:#}");
    assert_eq!(decisions, [json!(old), json!(new)]);
    let shown = installation.run(&["show", &allowed]);
    assert!(shown.contains("its policy was replaced, and it is decided once more"), "{shown}");
    for call in &claimed {
        installation.closed(call);
    }
    installation.verify_ledger();
}

#[test]
fn a_call_that_reads_ends_with_its_tool_after_the_tool_is_removed() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&["--heartbeat-ms", "600000"]);
    let token = installation.agent("bot", "deployer");
    let list = || {
        let asked = json!({"namespace": "storefront"});
        installation.call(&token, "workloads_list", &asked)
    };
    let viewer = crate::supervise::role(&installation, "viewer").id;
    kill("STOP", &[viewer]);
    let answer = std::thread::scope(|scope| {
        let call = scope.spawn(list);
        // The call waits for its results.
        std::thread::sleep(Duration::from_millis(300));
        remove_tool(&installation, "workloads_list");
        installation.run(&["reload"]);
        kill("CONT", &[viewer]);
        call.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert!(answer.body["error"].is_null(), "{:#}", answer.body);
    assert_eq!(list().status, 404);
}

#[test]
fn a_job_that_acts_finishes_with_the_policy_before() {
    let mut installation = TestInstallation::bare("single");
    let token = installation.agent("bot", "deployer");
    let (call, mount) = crate::unwritable::stuck(&mut installation, &token);
    assert_eq!(view(&installation, &call)["phase"], "acting");
    installation.run(&["accept", "--policy", text(&policy(&installation, 1))]);
    mount.again("rw");
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    // The same change needs a person now.
    let answer = installation.http("POST", super::SCALE, &token, Some(&scale(6)));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    installation.waiting();
}

#[test]
fn a_reload_under_load_loses_no_call() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    let over = AtomicBool::new(false);
    let change = |namespace: &str| {
        let mut answers: Vec<Answer> = Vec::new();
        for replicas in (1..=2).cycle() {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let asked = json!({"namespace": namespace, "name": "web", "replicas": replicas});
            answers.push(installation.call(&token, "deployment_scale", &asked));
        }
        answers
    };
    let read = || {
        let mut answers: Vec<Answer> = Vec::new();
        while !over.load(Ordering::SeqCst) {
            let asked = json!({"namespace": "storefront"});
            answers.push(installation.call(&token, "workloads_list", &asked));
        }
        answers
    };
    let answers = std::thread::scope(|scope| {
        let changes = ["storefront", "storefront-staging"]
            .map(|namespace| scope.spawn(move || change(namespace)));
        let reads = [(); 2].map(|()| scope.spawn(read));
        for replicas in 3..=8 {
            std::thread::sleep(Duration::from_millis(200));
            installation.run(&["accept", "--policy", text(&policy(&installation, replicas))]);
        }
        over.store(true, Ordering::SeqCst);
        changes
            .into_iter()
            .chain(reads)
            .flat_map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(answers.len() > 20, "{}", answers.len());
    for answer in &answers {
        assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
        assert!(answer.body["error"].is_null(), "{:#}\n{}", answer.body, installation.log());
    }
    installation.verify_ledger();
}
