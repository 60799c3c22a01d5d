//! Tasks on a real node: scheduler, kubelet, containerd, and a container that reports its own
//! state. Runs only with a node (see `scripts/test`), and never uses an image from a registry.

use super::namespace::{Effect, Job, TestNamespace};
use crate::cluster::until;
use crate::kubernetes::node::{plane, room};
use cofferdam_backend_kubernetes::labels::RunName;
use cofferdam_backend_kubernetes::network_probe::{Enforcement, probe};
use cofferdam_backend_kubernetes::task::{self, Place, Task};
use cofferdam_core::model::id::Fence;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The limit for "in seconds", on a busy machine.
const SECONDS: Duration = Duration::from_secs(90);

/// A namespace on the cluster that has a node.
fn ns(namespace: &str) -> TestNamespace {
    let plane = plane();
    TestNamespace::on(plane, namespace, &plane.kubeconfig("cofferdam-system", "provisioner"))
}

fn operation(image: &str, script: &str, seconds: u32) -> Value {
    let program = json!({"image": {"reference": image, "arguments": ["sh", "-c", script]}});
    json!({"action": "task", "name": "probe", "program": program, "input": "{\"ask\":1}",
        "seconds": seconds})
}

fn perform(ns: &TestNamespace, job: &mut Job, index: usize) -> (Effect, Duration) {
    let began = Instant::now();
    let ended = ns.perform(job, index);
    (ended, began.elapsed())
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn a_tasks_log_is_its_result_and_its_container_holds_nothing() {
    let _room = room();
    let ns = ns("node-result");
    let script = "cat /cofferdam/input; echo; busybox grep -E \
                  '^(Uid|Gid|Cap.*|NoNewPrivs|Seccomp):' /proc/self/status; touch /x 2>&1; touch \
                  /cofferdam/input 2>&1; touch /tmp/x && echo has a temporary folder; ls \
                  /var/run/secrets 2>&1; exit 0";
    let mut job = ns.begin(1, json!([operation(&ns.plane.image(), script, 60)]), true);
    let (ended, took) = perform(&ns, &mut job, 0);
    let after = ended.unwrap();
    assert_eq!(after["exit_code"], 0);
    let said: Vec<&str> = after["result"].as_str().unwrap().lines().collect();
    let mut expected =
        vec!["{\"ask\":1}", "Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532"];
    let capabilities =
        ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000"));
    expected.extend(capabilities.iter().map(String::as_str));
    expected.extend(["NoNewPrivs:\t1", "Seccomp:\t2", "touch: /x: Read-only file system"]);
    expected.extend(["touch: /cofferdam/input: Read-only file system", "has a temporary folder"]);
    expected.push("ls: /var/run/secrets: No such file or directory");
    assert_eq!(said, expected);

    let run = job.namespace.name().to_owned();
    let pod = ns.plane.request("GET", &ns.own(&job, "pods/cofferdam-task-0"), None).body;
    println!(
        "from the plan's step to its result {took:?}; the Pod: {} then {}",
        pod["metadata"]["creationTimestamp"], pod["status"]
    );
    let removing = Instant::now();
    ns.remove(&run).unwrap();
    println!("observed gone after {:?}", removing.elapsed());
    ns.nothing_of(&run);
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn what_a_task_says_is_passed_on_while_it_runs() {
    let _room = room();
    let ns = ns("node-says");
    // Lines in pieces, many at once, long lines, and a rest without a line end: each whole line
    // once and in order.
    let script = "echo first; printf 'in '; sleep 2; echo pieces; i=0; while [ $i -lt 50 ]; do \
                  echo many $i; i=$((i+1)); done; sleep 2; i=0; while [ $i -lt 30 ]; do printf \
                  'long line '; i=$((i+1)); done; echo; sleep 2; printf 'no line'";
    let mut job = ns.begin(1, json!([operation(&ns.plane.image(), script, 60)]), true);
    let (ended, heard) = ns.perform_heard(&mut job, 0);
    let ended_at = Instant::now();
    let after = ended.unwrap();
    let lines: Vec<&str> = after["result"].as_str().unwrap().lines().collect();
    assert_eq!((lines.len(), lines[0], lines[53]), (54, "first", "no line"));
    // Each note is a line of the log; the number of the missing ones is given.
    let mut at = 0;
    for (_, said) in &heard {
        at += usize::try_from(said.skipped).unwrap();
        let whole: String = lines[at].chars().take(199).collect();
        assert!(
            said.operation == Some(0) && said.text.trim_end_matches('…') == whole,
            "{said:?} {at}"
        );
        at += 1;
    }
    assert!(at >= 53 && heard.len() >= 20, "{heard:#?}");
    assert!(
        heard[0].1.text == "first" && ended_at - heard[0].0 > Duration::from_secs(3),
        "it was told at the end alone"
    );
    ns.remove(job.namespace.name()).unwrap();
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn how_a_task_ends_is_named() {
    let _room = room();
    let ns = ns("node-ends");
    let image = ns.plane.image();
    let missing = format!("cofferdam.test/missing@sha256:{}", "0".repeat(64));
    let rows = [
        (
            operation(&image, "echo no such host; exit 3", 60),
            "(exit-code): it ended with an error: exit code 3; no such host",
        ),
        (operation(&image, "sleep 600", 3), "(deadline): its time was over"),
        (operation(&missing, "true", 60), "(image-unpullable): its image cannot be pulled"),
    ];
    let mut job = ns.begin(1, rows.iter().map(|(operation, _)| operation.clone()).collect(), true);
    for (index, (_, expected)) in rows.iter().enumerate() {
        let (ended, took) = perform(&ns, &mut job, index);
        let why = ended.unwrap_err().to_string();
        println!("{why} after {took:?}");
        assert!(why.contains(expected), "{why}");
        assert!(took < SECONDS, "{why} after {took:?}");
    }
    ns.remove(job.namespace.name()).unwrap();
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn a_full_namespace_is_named() {
    let _room = room();
    let ns = ns("node-full");
    let mut job = ns.begin(1, json!([operation(&ns.plane.image(), "exit 0", 60)]), true);
    // Other pods of the run use all places; a scheduling gate keeps them from the node.
    let run = job.namespace.name().to_owned();
    let image = ns.plane.image();
    let full = (1..=20).any(|index| {
        let (labels, name) = (BTreeMap::new(), "other");
        let place =
            Place { namespace: &run, labels: &labels, user_namespace: false, runtime_class: None };
        let mut pod = task::pod(
            &Task { index, name, image: &image, arguments: &[], input: "", seconds: 60 },
            &place,
        );
        pod["spec"]["schedulingGates"] = json!([{"name": "cofferdam.test/held"}]);
        let answer = ns.plane.request("POST", &ns.own(&job, "pods"), Some(&pod));
        assert!(
            answer.status == 201
                || answer.body["message"].as_str().unwrap().contains("exceeded quota"),
            "{}",
            answer.body
        );
        answer.status != 201
    });
    assert!(full, "twenty Pods of 500m each are within a quota of 8 processors");
    let (ended, took) = perform(&ns, &mut job, 0);
    let why = ended.unwrap_err().to_string();
    assert!(
        why.contains("(quota-exceeded): the run's namespace has no room for it") && took < SECONDS,
        "{why} after {took:?}"
    );
    ns.remove(job.namespace.name()).unwrap();
}

#[test]
#[cfg_attr(without_node, ignore = "no node: COFFERDAM_NODE is not 1")]
fn whether_the_network_plug_in_enforces_policies_is_found_out() {
    let _room = room();
    let ns = ns("node-network");
    let image = ns.plane.image();
    let found = |fence| {
        let name = RunName::new(&ns.call, Fence(fence));
        let run = name.to_string();
        let found =
            ns.runtime.block_on(probe(ns.kubernetes.cluster(), name, &image, Timestamp::now()));
        ns.nothing_of(&run);
        found.unwrap()
    };
    // The network plug-in of this node, a bridge, ignores policies.
    assert_eq!(found(1), Enforcement::NotEnforced);

    // The test plays a plug-in that enforces them: no Pod reaches another before a policy permits
    // it.
    let run = RunName::new(&ns.call, Fence(2));
    let siblings =
        format!("/apis/networking.k8s.io/v1/namespaces/{run}/networkpolicies/allow-siblings");
    let pods = format!("/api/v1/namespaces/{run}/pods");
    std::thread::scope(|scope| {
        let probing = scope.spawn(|| found(2));
        until("both Pods", || {
            let pods = ns.plane.request("GET", &pods, None).body;
            let addressed = pods["items"]
                .as_array()?
                .iter()
                .filter(|pod| pod["status"]["podIP"].is_string())
                .count();
            (addressed == 2).then_some(())
        });
        let links = ns.plane.in_node_network(&["ip", "-o", "link", "show", "type", "veth"]);
        let links: Vec<&str> =
            links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next()).collect();
        assert!(links.len() >= 2, "{links:?}");
        let all = |state: &str| {
            for link in &links {
                ns.plane.in_node_network(&["ip", "link", "set", "dev", link, state]);
            }
        };
        all("down");
        until("the policy", || {
            (ns.plane.request("GET", &siblings, None).status == 200).then_some(())
        });
        all("up");
        assert_eq!(probing.join().unwrap(), Enforcement::Enforced);
    });
}
