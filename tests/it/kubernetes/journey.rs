//! Whole journeys over plain HTTP against a real API server: the text for the agent, the state of
//! the cluster, and the writers.

use super::acting::namespace::met_a_status;
use super::client::namespace_path;
use super::installation::{ClusterInstallation, run_prefix};
use crate::agent::{check_list, listed};
use crate::cluster::{Event, until};
use crate::installation::text;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The largest number of writes of one job, by the audit log.
const WRITES: usize = 22;

fn said(body: &Value) -> String {
    body["text"]
        .as_str()
        .or(body["error"]["text"].as_str())
        .map_or_else(|| format!("{body:#}"), str::to_owned)
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn an_allowed_change_is_the_jobs_own_and_leaves_nothing() {
    let cluster = ClusterInstallation::started("journey-scale");
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");

    let look = installation.call(&token, "workload_status", &cluster.target("web"));
    assert_eq!(look.status, 200, "{:#}\n{}", look.body, installation.log());
    assert!(said(&look.body).contains(r#""spec.replicas":3"#), "{:#}", look.body);

    let preview = installation.http(
        "POST",
        "/v1/tools/deployment_scale/preview",
        &token,
        Some(&cluster.scale("web", 5)),
    );
    let shown = said(&preview.body);
    assert!(shown.contains("spec.replicas: 3 → 5"), "{shown}");
    assert!(shown.contains("in journey-scale: get, patch deployments.apps web"), "{shown}");
    assert_eq!(cluster.live("web")["spec"]["replicas"], 3);

    let answer = installation.call(&token, "deployment_scale", &cluster.scale("web", 5));
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    let told = said(&answer.body);
    assert!(
        told.contains("spec.replicas: 3 → 5")
            && told.contains("sha256:")
            && told.contains("Ledger: "),
        "{told}"
    );
    let live = cluster.live("web");
    assert_eq!(
        (&live["spec"]["replicas"], &live["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );

    let call = ClusterInstallation::call_of(&answer);
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    assert_eq!(cluster.left_of(&call), Vec::<String>::new());
    installation.verify_ledger();

    // The job itself finds that its rights are gone: its request is refused before its namespace is
    // removed.
    let asked = cluster.requests();
    let is_refused = |event: &&Event| {
        let user = event["user"]["username"].as_str().unwrap_or_default();
        user.starts_with(&format!("system:serviceaccount:{}", run_prefix(&call)))
            && event["responseStatus"]["code"] == 403
    };
    assert!(asked.iter().rev().any(|event| is_refused(&event)), "{asked:#?}");

    // The number of its writes, and their writers.
    let writes = cluster.writes(&call);
    let cost = writes.iter().filter(|event| !met_a_status(event)).count();
    println!("{cost} writes for one job with one target");
    for event in &writes {
        println!("  {} {} {}", event["user"]["username"], event["verb"], event["requestURI"]);
    }
    assert!(cost <= WRITES, "{cost} writes");
    let run = run_prefix(&call);
    let at_target: Vec<&Event> =
        writes.iter().filter(|event| event["objectRef"]["namespace"] == "journey-scale").collect();
    assert!(at_target.iter().any(|event| event["objectRef"]["resource"] == "deployments"));
    for event in at_target {
        let user = event["user"]["username"].as_str().unwrap();
        let job =
            user.starts_with(&format!("system:serviceaccount:{run}")) && user.ends_with(":job");
        let provisioner = user == "system:serviceaccount:cofferdam-system:provisioner";
        let rights =
            ["roles", "rolebindings"].contains(&event["objectRef"]["resource"].as_str().unwrap());
        assert!(if rights { provisioner } else { job }, "{event:#}");
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_denied_call_does_not_reach_the_cluster() {
    let cluster = ClusterInstallation::started("journey-denied");
    let token = cluster.installation.agent("release", "operator");
    // A cluster lists all tools, in a short form that every MCP host accepts.
    check_list(&listed(&cluster.installation, &token));
    let before = (cluster.requests(), cluster.live("web"));
    let answer = cluster.installation.call(&token, "deployment_scale", &cluster.scale("web", 40));
    assert_eq!(answer.status, 403, "{:#}", answer.body);
    let told = said(&answer.body);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("DENIED ") && lines[0].ends_with(" by replicas-limit in lab"),
        "{told}"
    );
    assert_eq!(lines[1], "Nothing was changed.");
    assert_eq!((cluster.requests(), cluster.live("web")), before);

    // Denied after the preview: objects were read, and nothing was written.
    let grown = cluster.installation.http(
        "POST",
        "/v1/tools/deployment_scale?wait=1",
        &token,
        Some(&cluster.scale("web", 20)),
    );
    assert!(said(&grown.body).starts_with("WAITING "), "{:#}", grown.body);
    assert!(cluster.requests().len() > before.0.len());
    for call in [ClusterInstallation::call_of(&answer), ClusterInstallation::call_of(&grown)] {
        assert_eq!(cluster.writes(&call), Vec::<Event>::new());
    }
    assert_eq!(cluster.live("web")["metadata"], before.1["metadata"]);

    // No tool reads a namespace that did not opt in.
    let made = cluster.plane.request(
        "POST",
        "/api/v1/namespaces",
        Some(&json!({"metadata": {"name": "journey-closed"}})),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let closed = cluster.installation.call(
        &token,
        "workload_status",
        &json!({"namespace": "journey-closed", "name": "web"}),
    );
    assert_ne!(closed.status, 200, "{:#}", closed.body);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_job_whose_namespace_another_client_deleted_loses_its_rights_all_the_same() {
    let cluster = ClusterInstallation::started("journey-taken");
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");
    // The call waits for pods that no node will run.
    let mut arguments = cluster.target("web");
    arguments["container"] = json!("web");
    arguments["image"] = json!("registry.example.com/storefront/web:2");
    let answer =
        installation.http("POST", "/v1/tools/deployment_rollout?wait=1", &token, Some(&arguments));
    let call = ClusterInstallation::call_of(&answer);
    until("the effect", || (cluster.live("web")["metadata"]["generation"] == 2).then_some(()));
    let of_run = format!("?labelSelector=cofferdam.dev/call%3D{call}");
    let runs = cluster.plane.request("GET", &format!("/api/v1/namespaces{of_run}"), None).body;
    let run = runs["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(cluster.bound(&run), "its rights are at its target, not in its namespace");
    assert_eq!(cluster.plane.request("DELETE", &namespace_path(&run), None).status, 200);
    until("the namespace's end", || {
        (cluster.plane.request("GET", &namespace_path(&run), None).status == 404).then_some(())
    });
    // A runner whose token is already refused has ended the job itself.
    let cancelled = installation.http("DELETE", &format!("/v1/jobs/{call}"), &token, None);
    assert!(matches!(cancelled.status, 202 | 409), "{:#}", cancelled.body);
    let story = installation.closed(&call);
    // The API server accepts a token for some seconds after its object is gone. In that time the
    // effect is undone; otherwise it stays in effect.
    let undone = cluster.live("web")["spec"]["template"]["spec"]["containers"][0]["image"]
        != "registry.example.com/storefront/web:2";
    assert_eq!(story["view"]["outcome"], if undone { "cancelled" } else { "failed" }, "{story:#}");
    assert_eq!(cluster.left_of(&call), Vec::<String>::new());
    installation.verify_ledger();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_delete_waits_for_a_person_and_runs_once() {
    let cluster = ClusterInstallation::started("journey-delete");
    cluster.deployment("old");
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");
    let answer = std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| installation.call(&token, "deployment_delete", &cluster.target("old")));
        let call = installation.waiting();
        let shown = installation.run(&["show", &call, "--shown"]);
        assert!(shown.contains("in journey-delete: delete, get deployments.apps old"), "{shown}");
        assert_eq!(cluster.live("old")["metadata"]["deletionTimestamp"], Value::Null);
        assert_eq!(cluster.left_of(&call), Vec::<String>::new());
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        calling.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    assert_eq!(cluster.plane.request("GET", &cluster.path("/old"), None).status, 404);
    let call = ClusterInstallation::call_of(&answer);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
    assert_eq!(cluster.left_of(&call), Vec::<String>::new());
    let is_delete = |event: &Event| {
        event["objectRef"]["resource"] == "deployments" && event["responseStatus"]["code"] == 200
    };
    let deletes: Vec<Event> = cluster.writes(&call).into_iter().filter(is_delete).collect();
    assert_eq!(deletes.len(), 1, "{deletes:#?}");
    // A signature is valid for one job.
    installation.fail(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    installation.verify_ledger();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_changed_behind_an_approval_is_refused() {
    let cluster = ClusterInstallation::started("journey-drift");
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");
    let answer = std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| installation.call(&token, "deployment_delete", &cluster.target("web")));
        let call = installation.waiting();
        // Another client changes the object.
        let by = cluster.path("/web?fieldManager=night-shift");
        let changed = cluster.plane.request("PATCH", &by, Some(&json!({"spec": {"replicas": 7}})));
        assert_eq!(changed.status, 200, "{}", changed.body);
        // The approver reads the change and its writer, and signs.
        let signed = installation.told(&[
            "approve",
            &call,
            "--key",
            text(&installation.key("bob")),
            "--yes",
        ]);
        assert!(
            signed.contains("since it was asked:")
                && signed.contains("was 3 and is 7 (by `night-shift`)"),
            "{signed}"
        );
        calling.join().unwrap()
    });
    let told = said(&answer.body);
    assert!(told.starts_with("REFUSED "), "{told}");
    assert!(
        told.contains("`spec.replicas`") && told.contains("was 3 and is 7 (by `night-shift`)"),
        "{told}"
    );
    let live = cluster.live("web");
    assert_eq!(
        (&live["spec"]["replicas"], &live["metadata"]["deletionTimestamp"]),
        (&json!(7), &Value::Null)
    );
    let call = ClusterInstallation::call_of(&answer);
    assert_ne!(installation.closed(&call)["view"]["outcome"], "succeeded");
    assert_eq!(cluster.writes(&call), Vec::<Event>::new());
    assert_eq!(cluster.left_of(&call), Vec::<String>::new());
    installation.verify_ledger();
}

/// The number of jobs at once, in the test that measures throughput.
const MANY: usize = 12;

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_job_that_only_cleans_up_takes_no_seat() {
    let cluster = ClusterInstallation::started("journey-many");
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");
    let names: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
    names.iter().for_each(|name| cluster.deployment(name));
    let began = Instant::now();
    let call = |name: &str| installation.call(&token, "deployment_scale", &cluster.scale(name, 5));
    let (answers, going) = std::thread::scope(|scope| {
        let calling: Vec<_> = names.iter().map(|name| scope.spawn(|| call(name))).collect();
        let mut going = Vec::new();
        while !calling.iter().all(|one| one.is_finished()) {
            let found = cluster.plane.request(
                "GET",
                "/api/v1/namespaces?labelSelector=cofferdam.dev/managed%3Dtrue",
                None,
            );
            let there = found.body["items"].as_array().unwrap().iter();
            going.push(
                there
                    .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>(),
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        (calling.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>(), going)
    });
    let took = began.elapsed();
    // Other tests have their own runs.
    let ours: Vec<String> =
        answers.iter().map(|answer| run_prefix(&ClusterInstallation::call_of(answer))).collect();
    let is_ours = |name: &&String| ours.iter().any(|own| name.starts_with(own.as_str()));
    let most = going.iter().map(|names| names.iter().filter(is_ours).count()).max().unwrap_or(0);
    println!(
        "{MANY} jobs answered in {took:?}: {:.0} a minute; {most} had a namespace at once",
        60.0 * MANY as f64 / took.as_secs_f64()
    );
    for answer in &answers {
        // On a busy machine some calls return before the end of their job.
        let call = ClusterInstallation::call_of(answer);
        assert_eq!(
            (&installation.closed(&call)["view"]["outcome"], cluster.left_of(&call)),
            (&json!("succeeded"), vec![])
        );
    }
    // A runner that acts occupies a place; the others only clean up.
    assert!(most > 2, "no more than the seats had a namespace at once");
    installation.verify_ledger();
}
