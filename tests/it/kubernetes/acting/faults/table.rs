//! Errors of an API server and of the connection to it, as rows of data. Each ends in exactly one
//! outcome, and the audit log of the server gives the number of effects.

use super::proxy::{Act, FaultProxy};
use super::{TestNamespace, scale};
use crate::cluster::{Cluster, Event, until};
use crate::kubernetes::acting::namespace::{Job, WRITE, config_map, connect, target};
use crate::kubernetes::client::{block, installed, namespace_path, rbac};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend_kubernetes::api::Extent;
use cofferdam_backend_kubernetes::labels::RunName;
use cofferdam_backend_kubernetes::teardown::{TeardownError, Traces};
use cofferdam_core::model::id::{CallId, Fence};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The end of an effect, with the words of the cause.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Done,
    /// The effect did not happen.
    Refused(&'static str),
    /// The object was changed by another client.
    Conflict,
    /// The effect is unknown, and an operator has to resolve it.
    Unknown(&'static str),
}

impl End {
    pub fn holds(self, said: &Result<BTreeMap<String, Value>, EffectError>) -> bool {
        match (self, said) {
            (Self::Done, Ok(_))
            | (Self::Conflict, Err(EffectError::Conflict(_) | EffectError::Changed(_))) => true,
            (Self::Refused(words), Err(EffectError::Refused(why)))
            | (Self::Unknown(words), Err(EffectError::Unknown(why))) => why.contains(words),
            _ => false,
        }
    }
}

/// Name of the object, method of the requests, the actions on them in order, the end, and the
/// number of effects.
type Row = (&'static str, &'static str, Vec<Act>, End, usize);

/// The actions on requests for objects, in order; never of a dry run.
pub type Script = BTreeMap<(String, String), VecDeque<Act>>;

pub fn follow(proxy: &FaultProxy, script: Script) -> Arc<Mutex<Script>> {
    let script = Arc::new(Mutex::new(script));
    let shared = Arc::clone(&script);
    proxy.arm(move |method, uri| {
        let path = uri.split('?').next().unwrap_or_default();
        let key = (method.to_owned(), path.rsplit('/').next().unwrap_or_default().to_owned());
        let next = if uri.contains("dryRun") {
            None
        } else {
            shared.lock().unwrap().get_mut(&key).and_then(VecDeque::pop_front)
        };
        next.unwrap_or(Act::Pass)
    });
    script
}

/// The number of changes of an object by a run, by the audit log. Call it after the run was
/// removed: then no request of it can arrive.
pub fn happened(plane: &Cluster, run: &str, name: &str) -> usize {
    let account = format!("system:serviceaccount:{run}:job");
    let is_effect = |event: &&Event| {
        let uri = event["requestURI"].as_str().unwrap_or_default();
        event["user"]["username"] == account.as_str()
            && (event["verb"] == "patch" || event["verb"] == "delete")
            && event["objectRef"]["name"] == name
            && event["stage"] == "ResponseComplete"
            && event["responseStatus"]["code"] == 200
            && !uri.contains("dryRun")
    };
    plane.audit().iter().filter(is_effect).count()
}

fn write(namespace: &str, name: &str) -> Value {
    let changes = json!([{"path": "data.a", "value": "2"}]);
    json!({"action": "patch", "target": target(namespace, "", "ConfigMap", name),
        "changes": changes, "reversible": true})
}

/// Ends a run, and checks that nothing of it remains.
pub fn end(ns: &TestNamespace, job: &Job) {
    ns.remove(job.namespace.name()).unwrap();
    ns.nothing_of(job.namespace.name());
}

/// One job with an operation for each row, each on an object of its own.
fn try_all(namespace: &str, rows: Vec<Row>) {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, namespace, &proxy.kubeconfig);
    rows.iter()
        .for_each(|(name, ..)| ns.create("configmaps", &config_map(name, &json!({"a": "1"}))));
    let operations: Vec<Value> = rows.iter().map(|(name, ..)| write(namespace, name)).collect();
    let mut job = ns.begin(1, operations.into(), true);
    let mut wrong = Vec::new();
    let mut expected = Vec::new();
    for (index, (name, method, acts, ends, times)) in rows.into_iter().enumerate() {
        let script =
            follow(&proxy, BTreeMap::from([((method.to_owned(), name.to_owned()), acts.into())]));
        let said = ns.perform(&mut job, index);
        println!("{name}: {said:?}");
        if !ends.holds(&said) {
            wrong.push(format!("{name}: expected {ends:?}, was told {said:?}"));
        }
        if script.lock().unwrap().values().any(|acts| !acts.is_empty()) {
            wrong.push(format!("{name}: not all of its faults came about"));
        }
        expected.push((name, times));
    }
    proxy.arm(|_, _| Act::Pass);
    end(&ns, &job);
    for (name, times) in expected {
        let (seen, value) = (
            happened(plane, job.namespace.name(), name),
            ns.object("configmaps", name)["data"]["a"].take(),
        );
        if seen != times || value != if times == 0 { "1" } else { "2" } {
            wrong.push(format!("{name}: happened {seen} times instead of {times}, and is {value}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_a_server_in_trouble_answers_ends_in_one_outcome() {
    let unclear = End::Unknown("no attempt got a clear answer");
    let busy = |seconds| Act::Instead(429, Some(seconds));
    let mut rows: Vec<Row> = vec![
        ("busy-for-a-while", "PATCH", vec![busy(1), busy(1), busy(0)], End::Done, 1),
        (
            "busy-for-good",
            "PATCH",
            vec![busy(0), busy(0), busy(0), busy(0)],
            End::Refused("status 429"),
            0,
        ),
        ("busy-when-asked", "GET", vec![busy(0), busy(0)], End::Done, 1),
        (
            "broken-when-asked",
            "GET",
            vec![Act::Instead(500, None), Act::Instead(503, None)],
            End::Done,
            1,
        ),
        (
            "broken-before-each-time",
            "PATCH",
            vec![Act::Instead(500, None), Act::Instead(503, None), Act::Instead(504, None)],
            unclear,
            0,
        ),
        (
            "a-right-that-is-seen-late",
            "PATCH",
            vec![Act::Instead(403, None), Act::Instead(403, None)],
            End::Done,
            1,
        ),
        (
            "nobody",
            "PATCH",
            vec![Act::Instead(401, None), Act::Instead(401, None)],
            End::Refused("no right"),
            0,
        ),
    ];
    for (before, after, status) in [
        ("500-before", "500-after", 500),
        ("503-before", "503-after", 503),
        ("504-before", "504-after", 504),
    ] {
        rows.push((before, "PATCH", vec![Act::Instead(status, None)], End::Done, 1));
        rows.push((after, "PATCH", vec![Act::After(status)], End::Done, 1));
    }
    try_all("acting-trouble", rows);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_token_that_ended_is_asked_for_anew_once() {
    let plane = installed();
    // Tokens of the job itself, signed by the cluster: the real server refuses them.
    let outdated = || Act::With(Box::new(|token| plane.outdated(token)));
    let rows: Vec<Row> = vec![
        ("ended", "PATCH", vec![outdated()], End::Done, 1),
        ("ended-when-asked", "GET", vec![outdated()], End::Done, 1),
        ("ended-twice", "PATCH", vec![outdated(), outdated()], End::Refused("no right"), 0),
        (
            "ended-twice-when-asked",
            "GET",
            vec![outdated(), outdated()],
            End::Refused("no right"),
            0,
        ),
    ];
    try_all("acting-token", rows);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_list_is_followed_to_its_end_or_said_to_have_more() {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, "acting-pages", &proxy.kubeconfig);
    (0..5).for_each(|number| {
        ns.create("configmaps", &config_map(&format!("c-{number}"), &json!({})))
    });
    until("the cluster's own certificate", || {
        (ns.status("configmaps", "kube-root-ca.crt") == 200).then_some(())
    });
    // The number of pages, the actions on the pages after the first, and the text.
    let gone = || Act::Instead(410, None);
    let rows = [
        (3, vec![], Ok((6, false))),
        (2, vec![], Ok((4, true))),
        // The server no longer has the state of the first page: the list begins again.
        (5, vec![gone()], Ok((6, false))),
        (4, vec![gone()], Ok((4, true))),
        (4, vec![gone(), gone()], Ok((0, true))),
        (3, vec![Act::Instead(403, None)], Err(403)),
    ];
    for (pages, acts, expect) in rows {
        let mut acts = VecDeque::from(acts);
        proxy.arm(move |_, uri| {
            if uri.contains("continue=") {
                acts.pop_front().unwrap_or(Act::Pass)
            } else {
                Act::Pass
            }
        });
        let extent = Extent { page: 2, pages };
        let collection = ns.collection("configmaps");
        let listed = ns.kubernetes.cluster().list_all(&collection, "", extent, |object| object);
        let said = ns
            .runtime
            .block_on(listed)
            .map(|(found, more)| (found.len(), more))
            .map_err(|fault| fault.status().unwrap());
        assert_eq!(said, expect, "{pages} pages");
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_happens_on_the_way_ends_in_one_outcome() {
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
        // This uses up the time limit of a request.
        ("answered-never", "PATCH", vec![Act::Silence], End::Done, 1),
    ];
    try_all("acting-way", rows);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_server_that_is_away_before_the_effect_is_told_and_one_that_is_back_is_asked() {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, "acting-away", &proxy.kubeconfig);
    for name in ["cut", "away"] {
        ns.create("configmaps", &config_map(name, &json!({"a": "1"})));
    }
    let mut job =
        ns.begin(1, json!([write("acting-away", "cut"), write("acting-away", "away")]), true);
    // The server is back before the runner gives up.
    proxy.cut(2);
    assert!(End::Done.holds(&ns.perform(&mut job, 0)));
    assert!(proxy.was_cut());
    // The server stays away: no request was sent.
    proxy.shut();
    let said = ns.perform(&mut job, 1);
    println!("away: {said:?}");
    assert!(End::Refused("cannot be reached").holds(&said), "{said:?}");
    let said = ns.remove(job.namespace.name());
    println!("away, the run's end: {said:?}");
    assert!(
        matches!(&said, Err(TeardownError::Api { error, .. }) if error.to_string().contains(
            "cannot be reached")),
        "{said:?}"
    );
    assert_eq!(ns.object("configmaps", "away")["data"]["a"], "1");
    proxy.open();
    assert!(End::Done.holds(&ns.perform(&mut job, 1)));
    end(&ns, &job);
    assert_eq!(
        [
            happened(plane, job.namespace.name(), "cut"),
            happened(plane, job.namespace.name(), "away")
        ],
        [1, 1]
    );
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_server_that_goes_away_with_the_answer_is_waited_for() {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, "acting-gone", &proxy.kubeconfig);
    for name in ["back", "lost"] {
        ns.create("configmaps", &config_map(name, &json!({"a": "1"})));
    }
    let mut job =
        ns.begin(1, json!([write("acting-gone", "back"), write("acting-gone", "lost")]), true);
    // The response is lost, and then the server is away for longer than the time limit of one
    // request.
    let door = proxy.handle();
    let mut fired = false;
    proxy.arm(move |method, _| {
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
    let said = ns.perform(&mut job, 0);
    println!("back: {said:?}");
    assert!(End::Done.holds(&said), "{said:?}");
    // The server stays away. The wait has a limit, and the outcome is unknown.
    let door = proxy.handle();
    proxy.arm(move |method, _| {
        if method != "PATCH" {
            return Act::Pass;
        }
        door(true);
        Act::After(503)
    });
    let said = ns.perform(&mut job, 1);
    println!("lost: {said:?}");
    assert!(End::Unknown("it cannot be read back").holds(&said), "{said:?}");
    proxy.arm(|_, _| Act::Pass);
    proxy.open();
    end(&ns, &job);
    assert_eq!(
        [
            happened(plane, job.namespace.name(), "back"),
            happened(plane, job.namespace.name(), "lost")
        ],
        [1, 1]
    );
}

/// Another runner takes over.
fn sweep(kubeconfig: &Path, call: &CallId, fence: u64) -> Result<Option<String>, TeardownError> {
    let targets = BTreeSet::new();
    block(async {
        connect(kubeconfig, WRITE)
            .await
            .sweep(Traces { call, fence: Fence(fence), earlier: &[], targets: &targets })
            .await
    })
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn of_two_runners_with_one_job_the_later_acts() {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, "acting-two", &proxy.kubeconfig);
    ns.deployment("web");
    let mut first = ns.begin(1, json!([scale("acting-two", "web", 5)]), true);
    let one = first.namespace.name().to_owned();
    // The request of the first runner is on its way while the second takes over. It arrives after
    // its rights are removed.
    let own = ns.runtime.block_on(first.namespace.job()).unwrap();
    let (call, kubeconfig, at) = (
        ns.call.clone(),
        plane.kubeconfig("cofferdam-system", "provisioner"),
        ns.path("deployments", "web"),
    );
    let binding = rbac("acting-two", &format!("rolebindings/{one}"));
    let handle = ns.runtime.handle().clone();
    let (done, swept) = std::sync::mpsc::channel();
    let takes_over = Act::First(Box::new(move || {
        std::thread::spawn(move || done.send(sweep(&kubeconfig, &call, 2)));
        until("the end of the first one's rights", || {
            (plane.request("GET", &binding, None).status == 404).then_some(())
        });
        until("the authorizer to hear of it", || {
            handle.block_on(own.get(&at)).err().filter(|fault| fault.is_forbidden())
        });
    }));
    let script = follow(
        &proxy,
        BTreeMap::from([(("PATCH".to_owned(), "web".to_owned()), VecDeque::from([takes_over]))]),
    );
    let said = ns.perform(&mut first, 0);
    println!("first of two: {said:?}");
    assert!(script.lock().unwrap().values().all(VecDeque::is_empty), "nobody took over");
    assert!(End::Refused("no right").holds(&said), "{said:?}");
    assert_eq!(swept.recv().unwrap().unwrap(), Some(one.clone()));
    ns.nothing_of(&one);
    let mut second = ns.begin(2, json!([scale("acting-two", "web", 5)]), true);
    // The first request does not arrive either.
    let said = ns.perform(&mut first, 0);
    println!("first of two, again: {said:?}");
    assert!(End::Refused("no right").holds(&said), "{said:?}");
    assert!(End::Done.holds(&ns.perform(&mut second, 0)));
    assert_eq!(ns.object("deployments", "web")["metadata"]["generation"], 2);
    end(&ns, &second);
    assert_eq!(
        [happened(plane, &one, "web"), happened(plane, second.namespace.name(), "web")],
        [0, 1]
    );
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_server_that_is_away_during_a_sweep_is_waited_for() {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let ns = TestNamespace::on(plane, "acting-sweep", &proxy.kubeconfig);
    ns.deployment("web");
    let job = ns.begin(1, json!([scale("acting-sweep", "web", 5)]), true);
    let run = job.namespace.name().to_owned();
    assert_eq!(run, RunName::new(&ns.call, Fence(1)).to_string());
    // The server fails a list, is away after the deletion of the binding, and loses the response to
    // the deletion of the namespace.
    let (door, own) = (proxy.handle(), namespace_path(&run));
    let (mut lists, mut bindings, mut namespaces) = (0, 0, 0);
    proxy.arm(move |method, uri| {
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
    assert_eq!(ns.sweep(2, &[]), Ok(Some(run.clone())));
    ns.nothing_of(&run);
    // If the server stays away, the wait has a limit and the text says so.
    proxy.shut();
    let said = ns.sweep(3, &[]);
    println!("sweep: {said:?}");
    assert!(
        matches!(&said, Err(TeardownError::Api { error, .. }) if error.to_string().contains(
            "cannot be reached")),
        "{said:?}"
    );
}
