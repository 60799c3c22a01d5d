//! Roles that end in the middle of a job, or under load: the job goes on under the same lease, each
//! call gets its answer, and the ledger verifies. Real processes, ended without a word.

use crate::installation::{Answer, TestInstallation};
use crate::supervise::processes::kill;
use crate::supervise::{role, runners};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Milliseconds between the begin of a job and the end of its recorder: from before the claim to
/// after the close, whatever the speed of the machine. A start of `serve` has four of them, because
/// each further end of a role makes the pause before its restart longer.
const ENDS_AFTER: [[u64; 4]; 3] = [[0, 4, 8, 12], [20, 30, 40, 60], [80, 110, 150, 250]];

fn scale(replicas: usize) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

/// The entries of a call of this kind.
fn entries<'a>(story: &'a Value, kind: &str) -> Vec<&'a Value> {
    let entries = story["entries"].as_array().unwrap();
    entries.iter().filter(|entry| entry["event"]["kind"] == kind).collect()
}

fn succeeded(answer: &Answer, installation: &TestInstallation) {
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
}

#[test]
fn a_recorder_that_ends_at_any_time_of_a_job_costs_neither_the_job_nor_its_lease() {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let mut replicas = 4;
    for delays in ENDS_AFTER {
        installation.serve(&[]);
        for delay in delays {
            let recorder = role(&installation, "recorder").id;
            let waiting = runners(&installation);
            // The job waits for its runner, so that the time of the end counts from there.
            kill("STOP", &waiting);
            replicas = if replicas == 4 { 5 } else { 4 };
            let answer = thread::scope(|scope| {
                let asked =
                    scope.spawn(|| installation.call(&token, "deployment_scale", &scale(replicas)));
                // A runner that waits has its answer already, and reads it when it goes on.
                let stored = || {
                    let jobs = installation.json(&["jobs"]);
                    let phase = &jobs["jobs"][0]["job"]["phase"];
                    (phase == "queued" || phase == "leased").then_some(())
                };
                crate::cluster::until("the job", stored);
                kill("CONT", &waiting);
                thread::sleep(Duration::from_millis(delay));
                kill("KILL", &[recorder]);
                asked.join().unwrap()
            });
            succeeded(&answer, &installation);
            let call = answer.body["call"].as_str().unwrap().to_owned();
            let story = installation.closed(&call);
            let log = installation.log();
            assert_eq!(story["view"]["outcome"], "succeeded", "{delay} ms: {story:#}\n{log}");
            for kind in ["intended", "leased", "started", "finished", "closed"] {
                assert_eq!(entries(&story, kind).len(), 1, "{delay} ms, {kind}: {story:#}\n{log}");
            }
        }
        installation.stop();
    }
    installation.verify_ledger();
}

#[test]
fn recorder_and_viewer_end_under_load_and_every_call_is_answered() {
    let mut installation = TestInstallation::bare("example");
    let (writer, reader) =
        (installation.agent("release", "operator"), installation.agent("triage", "viewer"));
    installation.serve(&[]);
    let over = AtomicBool::new(false);
    let calls: usize = thread::scope(|scope| {
        // One agent changes the object, so that no change is in the way of another one.
        let load = |token: &str, tool: &str| {
            let mut calls = 0;
            while !over.load(Ordering::SeqCst) {
                let arguments = match tool {
                    "deployment_scale" => scale(4 + calls % 2),
                    _ => json!({"namespace": "storefront", "name": "web"}),
                };
                succeeded(&installation.call(token, tool, &arguments), &installation);
                calls += 1;
            }
            calls
        };
        let agents = [
            (&writer, "deployment_scale"),
            (&reader, "workload_status"),
            (&reader, "workload_status"),
        ];
        let asking: Vec<_> = agents
            .into_iter()
            .map(|(token, tool)| scope.spawn(move || load(token, tool)))
            .collect();
        for name in ["recorder", "viewer", "recorder", "viewer"] {
            let ended = role(&installation, name).id;
            kill("KILL", &[ended]);
            let another = || (role(&installation, name).id != ended).then_some(());
            crate::cluster::until("another process of the role", another);
        }
        over.store(true, Ordering::SeqCst);
        asking.into_iter().map(|load| load.join().unwrap()).sum()
    });
    assert!(calls > 0);
    installation.stop();
    installation.verify_ledger();
}
