//! What others hold: a run's namespace that a foreign finalizer keeps stops nothing but its own
//! end, and an object that one keeps is not told as deleted. Both are named, and end by themselves.

use super::actor::namespace_path;
use super::world::{World, run_prefix};
use crate::cluster::until;
use crate::stage::text;
use serde_json::{Value, json};

const FOREIGN: &str = "controller.example.com/namespace-auth";

/// The text that an agent reads of a call.
fn told(world: &World, token: &str, call: &str) -> String {
    let body = world.stage.http("GET", &format!("/v1/jobs/{call}"), token, None).body;
    body["text"]
        .as_str()
        .or(body["error"]["text"].as_str())
        .unwrap_or_else(|| panic!("{body:#}"))
        .to_owned()
}

/// Puts a finalizer on the first run's namespace that is there with rights in this one; its name.
fn hold_first(world: &World) -> String {
    until("a run's namespace", || {
        let runs = world
            .plane
            .request("GET", "/api/v1/namespaces?labelSelector=cofferdam.dev/managed%3Dtrue", None)
            .body;
        let own = |run: &&Value| {
            run["metadata"]["annotations"]["cofferdam.dev/targets"] == world.namespace.as_str()
        };
        let name =
            runs["items"].as_array()?.iter().find(own)?["metadata"]["name"].as_str()?.to_owned();
        finalize(world, &namespace_path(&name), &json!([FOREIGN])).then_some(name)
    })
}

fn finalize(world: &World, at: &str, finalizers: &Value) -> bool {
    world.plane.request("PATCH", at, Some(&json!({"metadata": {"finalizers": finalizers}}))).status
        == 200
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_run_that_others_hold_is_named_and_stops_no_other_job() {
    let world = World::started("held-run");
    let stage = &world.stage;
    let token = stage.agent("release", "operator");
    let (answer, run) = std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| stage.call(&token, "deployment_scale", &world.scale("web", 5)));
        let run = hold_first(&world);
        (calling.join().unwrap(), run)
    });
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
    let call = World::call_of(&answer);
    assert!(run.starts_with(&run_prefix(&call)), "{run}");

    // Everyone who asks is told what holds it, since when, and where to look.
    let cause =
        format!("the namespace `{run}` is held by the finalizer `{FOREIGN}`, going since 20");
    let shown = until("the story to name it", || {
        Some(stage.run(&["show", &call])).filter(|shown| shown.contains(&cause))
    });
    assert!(shown.contains(&format!("look at `kubectl get namespace {run} -o yaml`")), "{shown}");
    assert!(!world.bound(&run), "its rights are gone all the same");
    let own = told(&world, &token, &call);
    assert!(
        own.starts_with("DONE ") && own.contains("Cleanup: Not finished: ") && own.contains(&cause),
        "{own}"
    );
    let status = stage.run(&["status"]);
    assert!(status.contains(&cause), "{status}");
    let ready = stage.http("GET", "/readyz", &token, None);
    assert!(ready.status == 200 && ready.body.to_string().contains(FOREIGN), "{:#}", ready.body);
    stage.until_logged(&format!("the namespace `{run}` is held by the finalizer `{FOREIGN}`"));
    assert!(world.reap()["stuck"].to_string().contains(FOREIGN), "{}", world.reap());

    // The others go on, with all places, and close.
    for replicas in [4, 3, 5] {
        let answer = stage.call(&token, "deployment_scale", &world.scale("web", replicas));
        assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
        let other = World::call_of(&answer);
        assert_eq!(
            (&stage.closed(&other)["view"]["outcome"], world.left_of(&other)),
            (&json!("succeeded"), vec![])
        );
    }

    // It closes by itself once the finalizer goes.
    assert!(finalize(&world, &namespace_path(&run), &Value::Null));
    let story = stage.closed(&call);
    assert_eq!((&story["view"]["outcome"], world.left_of(&call)), (&json!("succeeded"), vec![]));
    let shown = stage.run(&["show", &call]);
    assert!(shown.contains(&format!("the namespace {run} was observed gone")), "{shown}");
    stage.verify_ledger();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_delete_that_others_hold_is_told_as_asked_for_and_held() {
    let world = World::started("held-delete");
    world.deployment("old");
    assert!(finalize(&world, &world.path("/old"), &json!(["example.com/keep"])));
    let stage = &world.stage;
    let token = stage.agent("release", "operator");
    let call = std::thread::scope(|scope| {
        let calling = scope.spawn(|| stage.call(&token, "deployment_delete", &world.target("old")));
        let call = stage.waiting();
        stage.run(&["approve", &call, "--key", text(&stage.key("bob")), "--yes"]);
        let answer = calling.join().unwrap();
        assert_eq!(World::call_of(&answer), call);
        call
    });
    let story = stage.closed(&call);
    assert_eq!(story["view"]["outcome"], "held", "{story:#}\n{}", stage.log());
    let finished = story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["event"]["kind"] == "finished")
        .unwrap();
    assert_eq!(finished["event"]["outcome"], "held");
    let own = told(&world, &token, &call);
    let held = "Deployment old in namespace held-delete was asked to be deleted, and is held by \
                the finalizer `example.com/keep`, going since 20";
    assert!(own.starts_with("HELD ") && own.contains(held), "{own}");
    let shown = stage.run(&["show", &call]);
    assert!(
        shown.contains("metadata.deletionTimestamp")
            && shown.contains(held)
            && !shown.contains("spec.replicas"),
        "{shown}"
    );
    assert_eq!(world.live("old")["metadata"]["finalizers"], json!(["example.com/keep"]));
    assert_eq!(world.left_of(&call), Vec::<String>::new());
    assert!(finalize(&world, &world.path("/old"), &Value::Null));
    stage.verify_ledger();
}
