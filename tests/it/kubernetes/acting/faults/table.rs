//! Faults of an API server and of the way to it, as rows of data: each ends in exactly one outcome, and the server's own audit log says how often it
//! happened.

use super::gate::{Act, Gate};
use super::{Yard, scale};
use crate::cluster::{Cluster, skip, until};
use crate::kubernetes::acting::yard::{Job, config_map, target};
use crate::kubernetes::actor::{installed, namespace_path, rbac};
use cofferdam_core::id::{CallId, Fence};
use cofferdam_runner::effect::EffectFault;
use cofferdam_runner::kubernetes::Kubernetes;
use cofferdam_runner::kubernetes::credential::Credential;
use cofferdam_runner::kubernetes::names::RunName;
use cofferdam_runner::kubernetes::teardown::TeardownFault;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an effect ends as, in the words that say why.
#[derive(Debug, Clone, Copy)]
enum End {
    Done,
    /// Nothing happened.
    Refused(&'static str),
    /// Somebody else was there.
    Conflict,
    /// For a person.
    Unknown(&'static str),
}

impl End {
    fn holds(self, said: &Result<BTreeMap<String, Value>, EffectFault>) -> bool {
        match (self, said) {
            (Self::Done, Ok(_)) | (Self::Conflict, Err(EffectFault::Conflict(_))) => true,
            (Self::Refused(words), Err(EffectFault::Refused(why))) | (Self::Unknown(words), Err(EffectFault::Unknown(why))) => {
                why.contains(words)
            }
            _ => false,
        }
    }
}

/// Name of the object, method of the requests that it happens to, what becomes of one after the other, what it ends as, and how often it happened.
type Row = (&'static str, &'static str, Vec<Act>, End, usize);

/// What becomes of requests for objects, one after the other; never of a dry run.
type Script = BTreeMap<(String, String), VecDeque<Act>>;

fn follow(gate: &Gate, script: Script) -> Arc<Mutex<Script>> {
    let script = Arc::new(Mutex::new(script));
    let shared = Arc::clone(&script);
    gate.arm(move |method, uri| {
        let path = uri.split('?').next().unwrap_or_default();
        let key = (method.to_owned(), path.rsplit('/').next().unwrap_or_default().to_owned());
        let next = if uri.contains("dryRun") { None } else { shared.lock().unwrap().get_mut(&key).and_then(VecDeque::pop_front) };
        next.unwrap_or(Act::Pass)
    });
    script
}

/// How often a run's job changed an object, by the audit log. To be asked after the run was removed: what the log says by then is all.
fn happened(plane: &Cluster, run: &str, name: &str) -> usize {
    let account = format!("system:serviceaccount:{run}:job");
    let is_effect = |event: &&Value| {
        let uri = event["requestURI"].as_str().unwrap_or_default();
        event["user"]["username"] == account.as_str()
            && event["verb"] == "patch"
            && event["objectRef"]["name"] == name
            && event["stage"] == "ResponseComplete"
            && event["responseStatus"]["code"] == 200
            && !uri.contains("dryRun")
    };
    until("the run's end in the audit log", || {
        let events = plane.audit();
        let is_end = |event: &Value| {
            event["verb"] == "delete" && event["objectRef"]["name"] == run && event["objectRef"]["resource"] == "namespaces"
        };
        events.iter().any(is_end).then(|| events.iter().filter(is_effect).count())
    })
}

fn write(namespace: &str, name: &str) -> Value {
    let changes = json!([{"path": "data.a", "value": "2"}]);
    json!({"action": "patch", "target": target(namespace, "", "ConfigMap", name), "changes": changes, "reversible": true})
}

/// Ends a run, and holds that nothing of it is left.
fn end(yard: &Yard, job: &Job) {
    yard.runtime.block_on(yard.kubernetes.remove(job.namespace.name())).unwrap();
    yard.nothing_of(job.namespace.name());
}

/// One job with an operation for each row, each on an object of its own.
fn try_all(namespace: &str, number: u128, rows: Vec<Row>) {
    let plane = installed();
    let gate = Gate::before(plane);
    let yard = Yard::on(plane, namespace, number, &gate.kubeconfig);
    rows.iter().for_each(|(name, ..)| yard.create("configmaps", &config_map(name, &json!({"a": "1"}))));
    let operations: Vec<Value> = rows.iter().map(|(name, ..)| write(namespace, name)).collect();
    let mut job = yard.begin(1, operations.into(), true);
    let mut wrong = Vec::new();
    let mut expected = Vec::new();
    for (index, (name, method, acts, ends, times)) in rows.into_iter().enumerate() {
        let script = follow(&gate, BTreeMap::from([((method.to_owned(), name.to_owned()), acts.into())]));
        let said = yard.perform(&mut job, index);
        println!("{name}: {said:?}");
        if !ends.holds(&said) {
            wrong.push(format!("{name}: expected {ends:?}, was told {said:?}"));
        }
        if script.lock().unwrap().values().any(|acts| !acts.is_empty()) {
            wrong.push(format!("{name}: not all of its faults came about"));
        }
        expected.push((name, times));
    }
    gate.arm(|_, _| Act::Pass);
    end(&yard, &job);
    for (name, times) in expected {
        let (seen, value) = (happened(plane, job.namespace.name(), name), yard.object("configmaps", name)["data"]["a"].take());
        if seen != times || value != if times == 0 { "1" } else { "2" } {
            wrong.push(format!("{name}: happened {seen} times instead of {times}, and is {value}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_server_in_trouble_answers_ends_in_one_outcome() {
    if skip() {
        return;
    }
    let unclear = End::Unknown("no attempt got a clear answer");
    let busy = |seconds| Act::Instead(429, Some(seconds));
    let mut rows: Vec<Row> = vec![
        ("busy-for-a-while", "PATCH", vec![busy(1), busy(1), busy(0)], End::Done, 1),
        ("busy-for-good", "PATCH", vec![busy(0), busy(0), busy(0), busy(0)], End::Refused("status 429"), 0),
        ("busy-when-asked", "GET", vec![busy(0), busy(0)], End::Done, 1),
        ("broken-when-asked", "GET", vec![Act::Instead(500, None), Act::Instead(503, None)], End::Done, 1),
        ("broken-before-each-time", "PATCH", vec![Act::Instead(500, None), Act::Instead(503, None), Act::Instead(504, None)], unclear, 0),
        ("nobody", "PATCH", vec![Act::Instead(401, None)], End::Refused("no right"), 0),
    ];
    for (before, after, status) in [("500-before", "500-after", 500), ("503-before", "503-after", 503), ("504-before", "504-after", 504)] {
        rows.push((before, "PATCH", vec![Act::Instead(status, None)], End::Done, 1));
        rows.push((after, "PATCH", vec![Act::After(status)], End::Done, 1));
    }
    try_all("acting-trouble", 31, rows);
}

#[test]
fn what_happens_on_the_way_ends_in_one_outcome() {
    if skip() {
        return;
    }
    let second = Duration::from_secs(1);
    let rows: Vec<Row> = vec![
        ("cut-before", "PATCH", vec![Act::CutBefore], End::Done, 1),
        (
            "cut-before-each-time",
            "PATCH",
            vec![Act::CutBefore, Act::CutBefore, Act::CutBefore],
            End::Unknown("no attempt got a clear answer"),
            0,
        ),
        ("cut-after", "PATCH", vec![Act::CutAfter], End::Done, 1),
        ("cut-when-asked", "GET", vec![Act::CutBefore, Act::CutAfter], End::Done, 1),
        ("late", "PATCH", vec![Act::Late(2 * second)], End::Done, 1),
        ("answered-late", "PATCH", vec![Act::LateAnswer(2 * second)], End::Done, 1),
        ("shown-late", "GET", vec![Act::LateAnswer(2 * second)], End::Done, 1),
        // Takes a request's deadline.
        ("answered-never", "PATCH", vec![Act::Silence], End::Done, 1),
    ];
    try_all("acting-way", 32, rows);
}

#[test]
fn a_server_that_is_away_before_the_effect_is_told_and_one_that_is_back_is_asked() {
    if skip() {
        return;
    }
    let plane = installed();
    let gate = Gate::before(plane);
    let yard = Yard::on(plane, "acting-away", 33, &gate.kubeconfig);
    for name in ["cut", "away"] {
        yard.create("configmaps", &config_map(name, &json!({"a": "1"})));
    }
    let mut job = yard.begin(1, json!([write("acting-away", "cut"), write("acting-away", "away")]), true);
    // Back before the runner gives up.
    gate.cut(2);
    assert!(End::Done.holds(&yard.perform(&mut job, 0)));
    assert!(gate.was_cut());
    // Away for good: nothing was sent.
    gate.shut();
    let said = yard.perform(&mut job, 1);
    println!("away: {said:?}");
    assert!(End::Refused("cannot be reached").holds(&said), "{said:?}");
    let said = yard.runtime.block_on(yard.kubernetes.remove(job.namespace.name()));
    println!("away, the run's end: {said:?}");
    assert!(matches!(&said, Err(TeardownFault::Api { fault, .. }) if fault.to_string().contains("cannot be reached")), "{said:?}");
    assert_eq!(yard.object("configmaps", "away")["data"]["a"], "1");
    gate.open();
    assert!(End::Done.holds(&yard.perform(&mut job, 1)));
    end(&yard, &job);
    assert_eq!([happened(plane, job.namespace.name(), "cut"), happened(plane, job.namespace.name(), "away")], [1, 1]);
}

#[test]
fn a_server_that_goes_away_with_the_answer_is_waited_for() {
    if skip() {
        return;
    }
    let plane = installed();
    let gate = Gate::before(plane);
    let yard = Yard::on(plane, "acting-gone", 34, &gate.kubeconfig);
    for name in ["back", "lost"] {
        yard.create("configmaps", &config_map(name, &json!({"a": "1"})));
    }
    let mut job = yard.begin(1, json!([write("acting-gone", "back"), write("acting-gone", "lost")]), true);
    // The answer is lost, and the server with it, for longer than one request waits.
    let door = gate.handle();
    let mut fired = false;
    gate.arm(move |method, _| {
        if method != "PATCH" || std::mem::replace(&mut fired, true) {
            return Act::Pass;
        }
        door(true);
        let door = door.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(4));
            door(false);
        });
        Act::After(503)
    });
    let said = yard.perform(&mut job, 0);
    println!("back: {said:?}");
    assert!(End::Done.holds(&said), "{said:?}");
    // For good: what is bounded is how long it is waited for, and the outcome says that nobody knows.
    let door = gate.handle();
    gate.arm(move |method, _| {
        if method != "PATCH" {
            return Act::Pass;
        }
        door(true);
        Act::After(503)
    });
    let said = yard.perform(&mut job, 1);
    println!("lost: {said:?}");
    assert!(End::Unknown("it cannot be read back").holds(&said), "{said:?}");
    gate.arm(|_, _| Act::Pass);
    gate.open();
    end(&yard, &job);
    assert_eq!([happened(plane, job.namespace.name(), "back"), happened(plane, job.namespace.name(), "lost")], [1, 1]);
}

/// An effect during which somebody else writes: right before the runner's own request arrives.
fn meanwhile(namespace: &str, number: u128, operation: Value, path: &str, change: Value, ends: End) {
    let plane = installed();
    let gate = Gate::before(plane);
    let yard = Yard::on(plane, namespace, number, &gate.kubeconfig);
    yard.deployment("web");
    let mut job = yard.begin(1, json!([operation]), true);
    let before = yard.object("deployments", "web")["metadata"]["generation"].as_u64().unwrap();
    let own_spec = u64::from(change.get("spec").is_some());
    let at = format!("{}{path}", yard.path("deployments", "web"));
    let writes = Act::First(Box::new(move || assert_eq!(plane.request("PATCH", &at, Some(&change)).status, 200)));
    let script = follow(&gate, BTreeMap::from([(("PATCH".to_owned(), "web".to_owned()), VecDeque::from([writes]))]));
    let said = yard.perform(&mut job, 0);
    println!("{namespace}: {said:?}");
    assert!(ends.holds(&said), "{said:?}");
    assert!(script.lock().unwrap().values().all(VecDeque::is_empty), "nobody wrote");
    let times = u64::from(matches!(ends, End::Done));
    assert_eq!(yard.object("deployments", "web")["metadata"]["generation"], before + own_spec + times);
    end(&yard, &job);
    assert_eq!(happened(plane, job.namespace.name(), "web") as u64, times);
}

fn applied(namespace: &str) -> Value {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"minReadySeconds": 7}});
    json!({"action": "apply", "place": {"namespace": namespace}, "object": object, "reversible": true})
}

#[test]
fn a_status_that_is_written_meanwhile_takes_nothing_away() {
    if skip() {
        return;
    }
    let status = json!({"status": {"collisionCount": 1}});
    meanwhile("acting-status-apply", 35, applied("acting-status-apply"), "/status", status.clone(), End::Done);
    meanwhile("acting-status-patch", 36, scale("acting-status-patch", "web", 5), "/status", status, End::Done);
}

#[test]
fn a_spec_that_is_written_meanwhile_is_a_conflict() {
    if skip() {
        return;
    }
    meanwhile("acting-spec-apply", 37, applied("acting-spec-apply"), "", json!({"spec": {"paused": true}}), End::Conflict);
    meanwhile("acting-spec-patch", 38, scale("acting-spec-patch", "web", 5), "", json!({"spec": {"replicas": 4}}), End::Conflict);
}

/// Another runner's take-over.
fn sweep(kubeconfig: &Path, call: &CallId, fence: u64) -> Result<Option<String>, TeardownFault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kubernetes = Kubernetes::connect(Credential::read(kubeconfig).await.unwrap()).unwrap();
        kubernetes.sweep(call, Fence(fence)).await
    })
}

#[test]
fn of_two_runners_with_one_job_the_later_acts() {
    if skip() {
        return;
    }
    let plane = installed();
    let gate = Gate::before(plane);
    let yard = Yard::on(plane, "acting-two", 40, &gate.kubeconfig);
    yard.deployment("web");
    let mut first = yard.begin(1, json!([scale("acting-two", "web", 5)]), true);
    let one = first.namespace.name().to_owned();
    // The first one's request is on its way while the second takes over, and arrives once its rights are gone.
    let own = yard.runtime.block_on(first.namespace.job()).unwrap();
    let (call, kubeconfig, at) = (yard.call.clone(), plane.kubeconfig("cofferdam-system", "provisioner"), yard.path("deployments", "web"));
    let binding = rbac("acting-two", &format!("rolebindings/{one}"));
    let handle = yard.runtime.handle().clone();
    let (done, swept) = std::sync::mpsc::channel();
    let takes_over = Act::First(Box::new(move || {
        std::thread::spawn(move || done.send(sweep(&kubeconfig, &call, 2)));
        until("the end of the first one's rights", || (plane.request("GET", &binding, None).status == 404).then_some(()));
        until("the authorizer to hear of it", || handle.block_on(own.get(&at)).err().filter(|fault| fault.is_forbidden()));
    }));
    let script = follow(&gate, BTreeMap::from([(("PATCH".to_owned(), "web".to_owned()), VecDeque::from([takes_over]))]));
    let said = yard.perform(&mut first, 0);
    println!("first of two: {said:?}");
    assert!(script.lock().unwrap().values().all(VecDeque::is_empty), "nobody took over");
    assert!(End::Refused("no right").holds(&said), "{said:?}");
    assert_eq!(swept.recv().unwrap().unwrap(), Some(one.clone()));
    yard.nothing_of(&one);
    let mut second = yard.begin(2, json!([scale("acting-two", "web", 5)]), true);
    // Nor does the first one come back.
    let said = yard.perform(&mut first, 0);
    println!("first of two, again: {said:?}");
    assert!(End::Refused("no right").holds(&said), "{said:?}");
    assert!(End::Done.holds(&yard.perform(&mut second, 0)));
    assert_eq!(yard.object("deployments", "web")["metadata"]["generation"], 2);
    end(&yard, &second);
    assert_eq!([happened(plane, &one, "web"), happened(plane, second.namespace.name(), "web")], [0, 1]);
}

#[test]
fn a_server_that_is_away_during_a_sweep_is_waited_for() {
    if skip() {
        return;
    }
    let plane = installed();
    let gate = Gate::before(plane);
    let yard = Yard::on(plane, "acting-sweep", 41, &gate.kubeconfig);
    yard.deployment("web");
    let job = yard.begin(1, json!([scale("acting-sweep", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    assert_eq!(run, RunName::new(&yard.call, Fence(1)).to_string());
    // In trouble when it lists; away once the binding's end was asked for; and the namespace's end is asked for without an answer.
    let (door, own) = (gate.handle(), namespace_path(&run));
    let (mut lists, mut bindings, mut namespaces) = (0, 0, 0);
    gate.arm(move |method, uri| {
        let path = uri.split('?').next().unwrap_or_default();
        if method == "GET" && path == "/api/v1/namespaces" && lists < 2 {
            lists += 1;
            return Act::Instead(503, None);
        }
        if method == "DELETE" && path.contains("/rolebindings/") && bindings == 0 {
            bindings += 1;
            door(true);
            let door = door.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(4));
                door(false);
            });
            return Act::After(500);
        }
        if method == "DELETE" && path == own && namespaces < 2 {
            namespaces += 1;
            return if namespaces == 1 { Act::CutBefore } else { Act::CutAfter };
        }
        Act::Pass
    });
    assert_eq!(yard.runtime.block_on(yard.kubernetes.sweep(&yard.call, Fence(2))), Ok(Some(run.clone())));
    yard.nothing_of(&run);
    // Away for good it is bounded, and says so.
    gate.shut();
    let said = yard.runtime.block_on(yard.kubernetes.sweep(&yard.call, Fence(3)));
    println!("sweep: {said:?}");
    assert!(matches!(&said, Err(TeardownFault::Api { fault, .. }) if fault.to_string().contains("cannot be reached")), "{said:?}");
}
