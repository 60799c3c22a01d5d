//! Whole journeys on a real node: tools start Pods, clients get their output, a Pod that cannot run
//! is named within seconds, and nothing remains. Runs only with a node (see `scripts/test`), and
//! never uses an image from a registry.

use super::installation::{ClusterInstallation, policy_with};
use crate::cluster::{Cluster, until};
use crate::installation::text;
use crate::kubernetes::client::{install, namespace_path};
use crate::progress::Listener;
use serde_json::{Value, json};
use std::sync::{Once, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The limit for "within seconds", on a busy machine, with a signature in between.
const SECONDS: Duration = Duration::from_secs(90);

/// A test that fills the node locks it for writing.
static ROOM: RwLock<()> = RwLock::new(());

/// The cluster with a node and `deploy/`.
pub fn plane() -> &'static Cluster {
    static INSTALLED: Once = Once::new();
    let plane = Cluster::with_node();
    INSTALLED.call_once(|| install(plane));
    plane
}

/// Reserves a place on the node while the value lives.
pub fn room() -> impl Drop {
    ROOM.read().unwrap_or_else(PoisonError::into_inner)
}

/// An installation on it. Its policy accepts the images of this node.
fn cluster(namespace: &str) -> ClusterInstallation {
    let policy = policy_with(|data| {
        data["teams"]["storefront"]["namespaces"].as_array_mut().unwrap().push(json!(namespace));
        data["registries"].as_array_mut().unwrap().push(json!("cofferdam.test/"));
    });
    let mut cluster = ClusterInstallation::on(plane(), namespace, policy);
    cluster.installation.serve(&[]);
    cluster
}

/// Makes a call, signs it and waits for its end. Returns the notes and the text of the result.
fn signed(
    cluster: &ClusterInstallation,
    token: &str,
    tool: &str,
    arguments: &Value,
    mut heard: impl FnMut(&str, &str),
) -> (Vec<String>, String) {
    let installation = &cluster.installation;
    let mut listener = Listener::call(installation, token, "auto", tool, arguments);
    let (mut lines, mut call) = (Vec::new(), String::new());
    while let Some(said) = listener.next() {
        let Some(message) = said["message"].as_str() else {
            let told = said["result"].as_str().unwrap();
            return (
                lines,
                if told.starts_with("RUNNING ") {
                    late(cluster, token, &call)
                } else {
                    told.to_owned()
                },
            );
        };
        if call.is_empty() {
            call = installation.waiting();
            assert!(message.starts_with(&format!("WAITING {call} ")), "{message}");
            installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        }
        heard(&call, message);
        lines.push(message.to_owned());
    }
    panic!("the client was given no result; it heard {lines:#?}\n{}", installation.log());
}

/// The result of a call that returned before its end, on a busy machine.
fn late(cluster: &ClusterInstallation, token: &str, call: &str) -> String {
    cluster.installation.closed(call);
    let answer = cluster.installation.http("GET", &format!("/v1/jobs/{call}"), token, None).body;
    answer["text"]
        .as_str()
        .or(answer["error"]["text"].as_str())
        .unwrap_or_else(|| panic!("{answer:#}"))
        .to_owned()
}

/// The id of the call at the beginning of a result.
fn call_of(told: &str) -> String {
    told.split(' ').nth(1).unwrap().to_owned()
}

/// A Deployment of busybox that runs until it is stopped.
fn deployment(image: &str, replicas: u32, cpu: &str, hardened: bool) -> Value {
    let labels = json!({"app": "web"});
    let mut container = json!({"name": "web", "image": image, "args": ["sleep", "600"],
        "resources": {"requests": {"cpu": cpu, "memory": "16Mi"},
            "limits": {"cpu": cpu, "memory": "16Mi"}}});
    let mut pod =
        json!({"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1});
    if hardened {
        container["securityContext"] = json!({"allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        pod["securityContext"] = json!({"runAsNonRoot": true, "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"}});
    }
    pod["containers"] = json!([container]);
    let template = json!({"metadata": {"labels": labels}, "spec": pod});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}})
}

fn task(image: &str, script: &str) -> Value {
    json!({"name": "probe", "image": image, "arguments": ["sh", "-c", script], "seconds": 60})
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn a_client_hears_what_its_task_says_while_it_runs() {
    let _room = room();
    let cluster = cluster("node-task");
    let token = cluster.installation.agent("release", "operator");
    // Long enough for a slow client on a busy machine to get the first notes before the end.
    let script = "i=0; while [ $i -lt 15 ]; do echo line $i; i=$((i+1)); sleep 1; done; printf end";
    let (mut first, mut shown) = (None, String::new());
    let (heard, told) = signed(
        &cluster,
        &token,
        "task_run",
        &task(&cluster.plane.image(), script),
        |call, message| {
            if first.is_none() && message.starts_with("The task ") {
                first = Some(Instant::now());
                shown = cluster.installation.run(&["show", call]);
            }
        },
    );
    let result: String = (0..15).map(|index| format!("line {index}\\n")).collect();
    assert!(
        told.starts_with("DONE ") && told.contains(&format!("\n  result: \"{result}end\"\n")),
        "{told}"
    );
    let said: Vec<&String> = heard.iter().filter(|line| line.starts_with("The task ")).collect();
    let expected: Vec<String> = (0..said.len())
        .map(|index| format!("The task of operation 0 says: \"line {index}\""))
        .collect();
    assert!(said.iter().copied().eq(&expected) && said.len() >= 4, "{heard:#?}");
    assert!(first.unwrap().elapsed() > Duration::from_secs(2), "it was told at the end alone");
    assert!(shown.contains("The task of operation 0 says: \"line 0\""), "{shown}");

    let call = call_of(&told);
    let story = cluster.installation.closed(&call);
    assert_eq!((&story["view"]["outcome"], cluster.left_of(&call)), (&json!("succeeded"), vec![]));
    let entries = story["entries"].to_string();
    assert!(!entries.contains("says"), "{entries}");
    cluster.installation.verify_ledger();
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn manifests_come_up_are_checked_and_go_again() {
    let _room = room();
    let cluster = cluster("node-preview");
    let token = cluster.installation.agent("release", "operator");
    let image = cluster.plane.image();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"},
        "data": {"LOG_LEVEL": "info"}});
    // For a Service the namespace is opened first, so that pods reach each other.
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let check = json!({"image": image, "arguments": ["sh", "-c", "echo smoke check passed"],
        "seconds": 60});
    let arguments =
        json!({"manifests": [config, service, deployment(&image, 1, "50m", true)], "check": check});
    // The executor applies the next object when the one before is ready. For a Deployment its Pod
    // must run on the node.
    let (heard, told) = signed(&cluster, &token, "environment_preview", &arguments, |_, _| {});
    assert!(
        told.starts_with("DONE ") && told.contains("\n  result: \"smoke check passed\\n\"\n"),
        "{told}\n{heard:#?}"
    );
    let call = call_of(&told);
    assert_eq!(
        (&cluster.installation.closed(&call)["view"]["outcome"], cluster.left_of(&call)),
        (&json!("succeeded"), vec![])
    );
    cluster.installation.verify_ledger();
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn what_cannot_run_is_named_within_seconds() {
    let _room = room();
    let cluster = cluster("node-refused");
    let token = cluster.installation.agent("release", "operator");
    let image = cluster.plane.image();
    let missing = format!("cofferdam.test/missing@sha256:{}", "0".repeat(64));
    let check = json!({"image": image, "arguments": ["sh", "-c", "echo no such page; exit 4"],
        "seconds": 60});
    let preview = |manifest: Value, check: Option<&Value>| {
        let mut arguments = json!({"manifests": [manifest]});
        check.inspect(|check| arguments["check"] = (*check).clone());
        ("environment_preview", arguments)
    };
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"},
        "data": {"LOG_LEVEL": "info"}});
    let rows = [
        (
            "an image nobody has",
            ("task_run", task(&missing, "true")),
            "(image-unpullable): its image cannot be pulled",
        ),
        (
            "a program that fails",
            ("task_run", task(&image, "echo no such host; exit 3")),
            "exit code 3; no such host",
        ),
        ("a check that fails", preview(config, Some(&check)), "exit code 4; no such page"),
        (
            "Pods of too many rights",
            preview(deployment(&image, 1, "50m", false), Some(&check)),
            "'cofferdam-workloads' denied request: ",
        ),
        (
            "more than a run may have",
            preview(deployment(&image, 3, "4", true), Some(&check)),
            "exceeded quota",
        ),
    ];
    for (what, (tool, arguments), expected) in rows {
        let began = Instant::now();
        let (heard, told) = signed(&cluster, &token, tool, &arguments, |_, _| {});
        println!("{what}: {:?}\n{told}", began.elapsed());
        assert!(
            told.starts_with("FAILED ") && told.contains(expected) && began.elapsed() < SECONDS,
            "{what}: {told}\n{heard:#?}"
        );
        assert!(told.contains("\nNothing was changed.\n"), "{what}: {told}");
        let call = call_of(&told);
        assert_eq!(
            (&cluster.installation.closed(&call)["view"]["outcome"], cluster.left_of(&call)),
            (&json!("failed"), vec![]),
            "{what}"
        );
    }
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn a_full_node_is_named_within_seconds() {
    let _alone = ROOM.write().unwrap_or_else(PoisonError::into_inner);
    let cluster = cluster("node-full-up");
    let token = cluster.installation.agent("release", "operator");
    let image = cluster.plane.image();
    // A Pod of another owner uses nearly all of it.
    let node = cluster.plane.request("GET", "/api/v1/nodes/node", None).body;
    let cpu: u64 = node["status"]["allocatable"]["cpu"].as_str().unwrap().parse().unwrap();
    let container = json!({"name": "filler", "image": image, "args": ["sleep", "600"],
        "resources": {"requests": {"cpu": format!("{}m", cpu * 1_000 - 100)}}});
    let spec = json!({"containers": [container], "terminationGracePeriodSeconds": 0});
    let pods = format!("{}/pods", namespace_path(&cluster.namespace));
    let filler =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler"}, "spec": spec});
    until("room for the filler", || {
        let made = cluster.plane.request("POST", &pods, Some(&filler));
        let running = cluster.plane.request("GET", &format!("{pods}/filler"), None).body["status"]
            ["phase"]
            == "Running";
        assert!(made.status == 201 || made.status == 409, "{}", made.body);
        running.then_some(())
    });
    let began = Instant::now();
    let (_, told) = signed(&cluster, &token, "task_run", &task(&image, "true"), |_, _| {});
    cluster.plane.request("DELETE", &format!("{pods}/filler"), None);
    assert!(
        told.starts_with("FAILED ") && told.contains("(unschedulable): no node can take it"),
        "{told}"
    );
    assert!(told.contains("Insufficient cpu") && began.elapsed() < SECONDS, "{told}");
    let call = call_of(&told);
    assert_eq!(
        (&cluster.installation.closed(&call)["view"]["outcome"], cluster.left_of(&call)),
        (&json!("failed"), vec![])
    );
}
