//! Whole journeys over plain HTTP against a real API server: what the agent is told, what the
//! cluster then says, and who it says did it.

use super::acting::yard::met_a_status;
use super::actor::namespace_path;
use super::world::{World, run_prefix};
use crate::agent::{check_list, listed};
use crate::cluster::{Event, until};
use crate::stage::text;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Writes that one job may cost the API server, as its audit log counts them.
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
    let world = World::started("journey-scale");
    let stage = &world.stage;
    let token = stage.agent("release", "operator");

    let look = stage.call(&token, "workload_status", &world.target("web"));
    assert_eq!(look.status, 200, "{:#}\n{}", look.body, stage.log());
    assert!(said(&look.body).contains(r#""spec.replicas":3"#), "{:#}", look.body);

    let preview = stage.http(
        "POST",
        "/v1/tools/deployment_scale/preview",
        &token,
        Some(&world.scale("web", 5)),
    );
    let shown = said(&preview.body);
    assert!(shown.contains("spec.replicas: 3 → 5"), "{shown}");
    assert!(shown.contains("in journey-scale: get, patch deployments.apps web"), "{shown}");
    assert_eq!(world.live("web")["spec"]["replicas"], 3);

    let answer = stage.call(&token, "deployment_scale", &world.scale("web", 5));
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
    let told = said(&answer.body);
    assert!(
        told.contains("spec.replicas: 3 → 5")
            && told.contains("sha256:")
            && told.contains("Ledger: "),
        "{told}"
    );
    let live = world.live("web");
    assert_eq!(
        (&live["spec"]["replicas"], &live["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );

    let call = World::call_of(&answer);
    let story = stage.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    assert_eq!(world.left_of(&call), Vec::<String>::new());
    stage.verify_ledger();

    // That its rights are gone is the job's own experience too: it was asked, and refused, before
    // its namespace went.
    let asked = world.requests();
    let is_refused = |event: &&Event| {
        let user = event["user"]["username"].as_str().unwrap_or_default();
        user.starts_with(&format!("system:serviceaccount:{}", run_prefix(&call)))
            && event["responseStatus"]["code"] == 403
    };
    assert!(asked.iter().rev().any(|event| is_refused(&event)), "{asked:#?}");

    // What it cost, and whose writes they were.
    let writes = world.writes(&call);
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
    let world = World::started("journey-denied");
    let token = world.stage.agent("release", "operator");
    // A cluster lists every tool there is: in as few words, and in a form that every host takes.
    check_list(&listed(&world.stage, &token));
    let before = (world.requests(), world.live("web"));
    let answer = world.stage.call(&token, "deployment_scale", &world.scale("web", 40));
    assert_eq!(answer.status, 403, "{:#}", answer.body);
    let told = said(&answer.body);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("DENIED ") && lines[0].ends_with(" by replicas-limit in lab"),
        "{told}"
    );
    assert_eq!(lines[1], "Nothing was changed.");
    assert_eq!((world.requests(), world.live("web")), before);

    // Denied once the change was seen: looked at, and nothing written.
    let grown = world.stage.http(
        "POST",
        "/v1/tools/deployment_scale?wait=1",
        &token,
        Some(&world.scale("web", 20)),
    );
    assert!(said(&grown.body).starts_with("WAITING "), "{:#}", grown.body);
    assert!(world.requests().len() > before.0.len());
    for call in [World::call_of(&answer), World::call_of(&grown)] {
        assert_eq!(world.writes(&call), Vec::<Event>::new());
    }
    assert_eq!(world.live("web")["metadata"], before.1["metadata"]);

    // A namespace that did not opt in is nobody's to look at.
    let made = world.plane.request(
        "POST",
        "/api/v1/namespaces",
        Some(&json!({"metadata": {"name": "journey-closed"}})),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let closed = world.stage.call(
        &token,
        "workload_status",
        &json!({"namespace": "journey-closed", "name": "web"}),
    );
    assert_ne!(closed.status, 200, "{:#}", closed.body);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_job_whose_namespace_somebody_deleted_loses_its_rights_all_the_same() {
    let world = World::started("journey-taken");
    let stage = &world.stage;
    let token = stage.agent("release", "operator");
    // It waits for pods that no node will run.
    let mut arguments = world.target("web");
    arguments["container"] = json!("web");
    arguments["image"] = json!("registry.example.com/storefront/web:2");
    let answer =
        stage.http("POST", "/v1/tools/deployment_rollout?wait=1", &token, Some(&arguments));
    let call = World::call_of(&answer);
    until("the effect", || (world.live("web")["metadata"]["generation"] == 2).then_some(()));
    let of_run = format!("?labelSelector=cofferdam.dev/call%3D{call}");
    let runs = world.plane.request("GET", &format!("/api/v1/namespaces{of_run}"), None).body;
    let run = runs["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(world.bound(&run), "its rights are at its target, not in its namespace");
    assert_eq!(world.plane.request("DELETE", &namespace_path(&run), None).status, 200);
    until("the namespace's end", || {
        (world.plane.request("GET", &namespace_path(&run), None).status == 404).then_some(())
    });
    // A runner whose token is refused already has ended the job by itself.
    let cancelled = stage.http("DELETE", &format!("/v1/jobs/{call}"), &token, None);
    assert!(matches!(cancelled.status, 202 | 409), "{:#}", cancelled.body);
    let story = stage.closed(&call);
    // The API server goes on taking a token for some seconds after what it was bound to went: in
    // that time the effect is undone, and stands otherwise.
    let undone = world.live("web")["spec"]["template"]["spec"]["containers"][0]["image"]
        != "registry.example.com/storefront/web:2";
    assert_eq!(story["view"]["outcome"], if undone { "cancelled" } else { "failed" }, "{story:#}");
    assert_eq!(world.left_of(&call), Vec::<String>::new());
    stage.verify_ledger();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_delete_waits_for_a_person_and_runs_once() {
    let world = World::started("journey-delete");
    world.deployment("old");
    let stage = &world.stage;
    let token = stage.agent("release", "operator");
    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| stage.call(&token, "deployment_delete", &world.target("old")));
        let call = stage.waiting();
        let shown = stage.run(&["show", &call, "--shown"]);
        assert!(shown.contains("in journey-delete: delete, get deployments.apps old"), "{shown}");
        assert_eq!(world.live("old")["metadata"]["deletionTimestamp"], Value::Null);
        assert_eq!(world.left_of(&call), Vec::<String>::new());
        stage.run(&["approve", &call, "--key", text(&stage.key("bob")), "--yes"]);
        calling.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
    assert_eq!(world.plane.request("GET", &world.path("/old"), None).status, 404);
    let call = World::call_of(&answer);
    assert_eq!(stage.closed(&call)["view"]["outcome"], "succeeded");
    assert_eq!(world.left_of(&call), Vec::<String>::new());
    let is_delete = |event: &Event| {
        event["objectRef"]["resource"] == "deployments" && event["responseStatus"]["code"] == 200
    };
    let deletes: Vec<Event> = world.writes(&call).into_iter().filter(is_delete).collect();
    assert_eq!(deletes.len(), 1, "{deletes:#?}");
    // A signature is good for one job.
    stage.fail(&["approve", &call, "--key", text(&stage.key("bob")), "--yes"]);
    stage.verify_ledger();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_changed_behind_an_approval_is_refused() {
    let world = World::started("journey-drift");
    let stage = &world.stage;
    let token = stage.agent("release", "operator");
    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| stage.call(&token, "deployment_delete", &world.target("web")));
        let call = stage.waiting();
        // Somebody else needs it after all.
        let by = world.path("/web?fieldManager=night-shift");
        let changed = world.plane.request("PATCH", &by, Some(&json!({"spec": {"replicas": 7}})));
        assert_eq!(changed.status, 200, "{}", changed.body);
        // The approver reads it, with the one who did it, and signs all the same.
        let signed = stage.told(&["approve", &call, "--key", text(&stage.key("bob")), "--yes"]);
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
    let live = world.live("web");
    assert_eq!(
        (&live["spec"]["replicas"], &live["metadata"]["deletionTimestamp"]),
        (&json!(7), &Value::Null)
    );
    let call = World::call_of(&answer);
    assert_ne!(stage.closed(&call)["view"]["outcome"], "succeeded");
    assert_eq!(world.writes(&call), Vec::<Event>::new());
    assert_eq!(world.left_of(&call), Vec::<String>::new());
    stage.verify_ledger();
}

/// Jobs at once, in the test that measures how many go through.
const MANY: usize = 12;

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_job_that_only_cleans_up_takes_no_seat() {
    let world = World::started("journey-many");
    let stage = &world.stage;
    let token = stage.agent("release", "operator");
    let names: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
    names.iter().for_each(|name| world.deployment(name));
    let began = Instant::now();
    let call = |name: &str| stage.call(&token, "deployment_scale", &world.scale(name, 5));
    let (answers, going) = std::thread::scope(|scope| {
        let calling: Vec<_> = names.iter().map(|name| scope.spawn(|| call(name))).collect();
        let mut going = Vec::new();
        while !calling.iter().all(|one| one.is_finished()) {
            let found = world.plane.request(
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
    // Other tests have runs of their own.
    let ours: Vec<String> =
        answers.iter().map(|answer| run_prefix(&World::call_of(answer))).collect();
    let is_ours = |name: &&String| ours.iter().any(|own| name.starts_with(own.as_str()));
    let most = going.iter().map(|names| names.iter().filter(is_ours).count()).max().unwrap_or(0);
    println!(
        "{MANY} jobs answered in {took:?}: {:.0} a minute; {most} had a namespace at once",
        60.0 * MANY as f64 / took.as_secs_f64()
    );
    for answer in &answers {
        // On a busy machine some are given back before their end.
        let call = World::call_of(answer);
        assert_eq!(
            (&stage.closed(&call)["view"]["outcome"], world.left_of(&call)),
            (&json!("succeeded"), vec![])
        );
    }
    // One that acts has a seat; the others among them only clean up.
    assert!(most > 2, "no more than the seats had a namespace at once");
    stage.verify_ledger();
}
