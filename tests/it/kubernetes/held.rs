//! Finalizers of others: on a run namespace one delays only the end of that job, and an object with
//! one is not reported as deleted. Both are named, and end without help.

use super::client::namespace_path;
use super::installation::{ClusterInstallation, run_prefix};
use crate::cluster::until;
use crate::installation::text;
use serde_json::{Value, json};

const FOREIGN: &str = "controller.example.com/namespace-auth";

/// The text of a call for the agent.
fn told(cluster: &ClusterInstallation, token: &str, call: &str) -> String {
    let body = cluster.installation.http("GET", &format!("/v1/jobs/{call}"), token, None).body;
    body["text"]
        .as_str()
        .or(body["error"]["text"].as_str())
        .unwrap_or_else(|| panic!("{body:#}"))
        .to_owned()
}

/// Adds a finalizer to the first run namespace that has rights in this namespace. Returns its name.
fn hold_first(cluster: &ClusterInstallation) -> String {
    until("a run's namespace", || {
        let runs = cluster
            .plane
            .request("GET", "/api/v1/namespaces?labelSelector=cofferdam.dev/managed%3Dtrue", None)
            .body;
        let own = |run: &&Value| {
            run["metadata"]["annotations"]["cofferdam.dev/targets"] == cluster.namespace.as_str()
        };
        let name =
            runs["items"].as_array()?.iter().find(own)?["metadata"]["name"].as_str()?.to_owned();
        finalize(cluster, &namespace_path(&name), &json!([FOREIGN])).then_some(name)
    })
}

fn finalize(cluster: &ClusterInstallation, at: &str, finalizers: &Value) -> bool {
    cluster
        .plane
        .request("PATCH", at, Some(&json!({"metadata": {"finalizers": finalizers}})))
        .status
        == 200
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_run_that_others_hold_is_named_and_stops_no_other_job() {
    let cluster = ClusterInstallation::started("held-run");
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");
    let (answer, run) = std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| installation.call(&token, "deployment_scale", &cluster.scale("web", 5)));
        let run = hold_first(&cluster);
        (calling.join().unwrap(), run)
    });
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    let call = ClusterInstallation::call_of(&answer);
    assert!(run.starts_with(&run_prefix(&call)), "{run}");

    // Every view names the finalizer, the time, and the command to inspect it.
    let cause =
        format!("the namespace `{run}` is held by the finalizer `{FOREIGN}`, going since 20");
    let shown = until("the story to name it", || {
        Some(installation.run(&["show", &call])).filter(|shown| shown.contains(&cause))
    });
    assert!(shown.contains(&format!("look at `kubectl get namespace {run} -o yaml`")), "{shown}");
    assert!(!cluster.bound(&run), "its rights are gone all the same");
    let own = told(&cluster, &token, &call);
    assert!(
        own.starts_with("DONE ") && own.contains("Cleanup: Not finished: ") && own.contains(&cause),
        "{own}"
    );
    let status = installation.run(&["status"]);
    assert!(status.contains(&cause), "{status}");
    let ready = installation.http("GET", "/readyz", &token, None);
    assert!(ready.status == 200 && ready.body.to_string().contains(FOREIGN), "{:#}", ready.body);
    installation
        .until_logged(&format!("the namespace `{run}` is held by the finalizer `{FOREIGN}`"));
    assert!(cluster.reap()["stuck"].to_string().contains(FOREIGN), "{}", cluster.reap());

    // The other jobs run, on all places, and close.
    for replicas in [4, 3, 5] {
        let answer = installation.call(&token, "deployment_scale", &cluster.scale("web", replicas));
        assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
        let other = ClusterInstallation::call_of(&answer);
        assert_eq!(
            (&installation.closed(&other)["view"]["outcome"], cluster.left_of(&other)),
            (&json!("succeeded"), vec![])
        );
    }

    // The job closes without help after the finalizer is removed.
    assert!(finalize(&cluster, &namespace_path(&run), &Value::Null));
    let story = installation.closed(&call);
    assert_eq!((&story["view"]["outcome"], cluster.left_of(&call)), (&json!("succeeded"), vec![]));
    let shown = installation.run(&["show", &call]);
    assert!(shown.contains(&format!("the namespace {run} was observed gone")), "{shown}");
    installation.verify_ledger();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_delete_that_others_hold_is_told_as_asked_for_and_held() {
    let cluster = ClusterInstallation::started("held-delete");
    cluster.deployment("old");
    assert!(finalize(&cluster, &cluster.path("/old"), &json!(["example.com/keep"])));
    let installation = &cluster.installation;
    let token = installation.agent("release", "operator");
    let call = std::thread::scope(|scope| {
        let calling =
            scope.spawn(|| installation.call(&token, "deployment_delete", &cluster.target("old")));
        let call = installation.waiting();
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        let answer = calling.join().unwrap();
        assert_eq!(ClusterInstallation::call_of(&answer), call);
        call
    });
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "held", "{story:#}\n{}", installation.log());
    let finished = story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["event"]["kind"] == "finished")
        .unwrap();
    assert_eq!(finished["event"]["outcome"], "held");
    let own = told(&cluster, &token, &call);
    let held = "Deployment old in namespace held-delete was asked to be deleted, and is held by \
                the finalizer `example.com/keep`, going since 20";
    assert!(own.starts_with("HELD ") && own.contains(held), "{own}");
    let shown = installation.run(&["show", &call]);
    assert!(
        shown.contains("metadata.deletionTimestamp")
            && shown.contains(held)
            && !shown.contains("spec.replicas"),
        "{shown}"
    );
    assert_eq!(cluster.live("old")["metadata"]["finalizers"], json!(["example.com/keep"]));
    assert_eq!(cluster.left_of(&call), Vec::<String>::new());
    assert!(finalize(&cluster, &cluster.path("/old"), &Value::Null));
    installation.verify_ledger();
}
