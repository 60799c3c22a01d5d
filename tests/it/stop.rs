//! The emergency stop: new calls are denied with the reason, leased jobs end, queued ones wait, and all
//! of it outlives a restart.

use crate::cluster::until;
use crate::installation::{Answer, TestInstallation, text};
use crate::supervise::processes::kill;
use crate::supervise::runners;
use serde_json::{Value, json};

fn scale(namespace: &str, replicas: u32) -> Value {
    json!({"namespace": namespace, "name": "web", "replicas": replicas})
}

/// A call that is answered at once with its id.
fn begin(installation: &TestInstallation, token: &str, namespace: &str, replicas: u32) -> String {
    let asked = scale(namespace, replicas);
    let answer =
        installation.http("POST", "/v1/tools/deployment_scale?wait=0", token, Some(&asked));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    answer.body["call"].as_str().unwrap().to_owned()
}

fn view(installation: &TestInstallation, call: &str) -> Value {
    installation.json(&["show", call])["view"].clone()
}

fn list(installation: &TestInstallation, token: &str) -> Answer {
    installation.call(token, "workloads_list", &json!({"namespace": "storefront"}))
}

/// The rule of a denial and its text.
fn denied(answer: &Answer) -> (u16, String, String) {
    let error = &answer.body["error"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (answer.status, word(&error["rule"]), word(&error["text"]))
}

fn words_of_operators(installation: &TestInstallation) -> Vec<String> {
    let entries = installation.entries_since(0);
    let what = entries.iter().filter(|entry| entry["call"].is_null());
    let what = what.filter_map(|entry| entry["event"]["what"].as_str());
    what.filter(|what| ["operator stop", "operator resume"].contains(what))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_stop_denies_new_calls_ends_leased_jobs_and_holds_queued_ones_across_a_restart() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&["--heartbeat-ms", "600000"]);
    let token = installation.agent("bot", "deployer");
    let before = installation.files();
    let stopped = runners(&installation);
    kill("STOP", &stopped);
    let leased = ["storefront", "storefront-staging"]
        .map(|namespace| begin(&installation, &token, namespace, 2));
    for call in &leased {
        until("the job to be claimed", || {
            (view(&installation, call)["phase"] == "leased").then_some(())
        });
    }
    let queued = begin(&installation, &token, "storefront", 3);

    let said = installation.json(&["stop", "--all", "--because", "a drill"]);
    assert_eq!((&said["ended"], &said["held"]), (&json!(2), &json!(1)), "{said:#}");
    let (status, rule, text) =
        denied(&installation.call(&token, "deployment_scale", &scale("storefront", 4)));
    assert_eq!((status, rule.as_str()), (403, "stopped"), "{text}");
    assert!(text.contains("An operator stopped every call: a drill"), "{text}");
    let (status, rule, text) = denied(&list(&installation, &token));
    assert_eq!((status, rule.as_str()), (403, "stopped"), "{text}");
    let status = installation.run(&["status"]);
    assert!(status.contains("every call is stopped since"), "{status}");
    let ready = installation.http("GET", "/readyz", "", None);
    assert_eq!(ready.status, 200, "{:#}", ready.body);
    assert!(ready.body.to_string().contains("every call is stopped since"), "{:#}", ready.body);
    kill("CONT", &stopped);
    for call in &leased {
        let story = installation.closed(call);
        assert_eq!(story["view"]["outcome"], "cancelled", "{story:#}");
        assert!(story["view"]["detail"].as_str().unwrap().contains("a drill"), "{story:#}");
    }
    assert_eq!(view(&installation, &queued)["phase"], "queued");
    assert_eq!(installation.files(), before);

    installation.stop();
    installation.serve(&[]);
    assert_eq!(denied(&list(&installation, &token)).1, "stopped");
    assert_eq!(view(&installation, &queued)["phase"], "queued");

    let said = installation.json(&["resume", "--all"]);
    assert_eq!(said["stops"], json!([]), "{said:#}");
    assert_eq!(installation.closed(&queued)["view"]["outcome"], "succeeded");
    assert_eq!(list(&installation, &token).status, 200);
    let done = installation.call(&token, "deployment_scale", &scale("storefront", 4));
    assert_eq!(done.status, 200, "{:#}", done.body);
    until("both entries to be published", || {
        (words_of_operators(&installation) == ["operator stop", "operator resume"]).then_some(())
    });
    installation.verify_ledger();
}

#[test]
fn a_stop_of_one_tool_or_one_agent_stops_no_other() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let bot = installation.agent("bot", "deployer");
    let other = installation.agent("other", "deployer");
    let change = |token: &str, replicas| {
        installation.call(token, "deployment_scale", &scale("storefront", replicas)).status
    };
    let statuses = |replicas| {
        [change(&bot, replicas), list(&installation, &bot).status, change(&other, replicas)]
    };
    for (scope, expected) in [
        (&["--tool", "deployment_scale"], [403, 200, 403]),
        (&["--agent", "bot"], [403, 403, 200]),
        (&["--agent", "absent"], [200, 200, 200]),
    ] {
        installation.run(&[&["stop"][..], scope, &["--because", "a drill"]].concat());
        assert_eq!(statuses(3), expected, "{scope:?}");
        installation.run(&[&["resume"][..], scope].concat());
        assert_eq!(statuses(2), [200, 200, 200], "{scope:?}");
    }
}

#[test]
fn what_people_approved_waits_for_the_end_of_a_stop() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    let asked = json!({"namespace": "storefront", "name": "web"});
    let tool = "deployment_delete";
    let answer =
        installation.http("POST", &format!("/v1/tools/{tool}?wait=0"), &token, Some(&asked));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    let call = installation.waiting();
    installation.run(&["stop", "--tool", tool, "--because", "a drill"]);
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    // A call of another tool passes meanwhile: the gateway looks for approved calls all the time.
    assert_eq!(list(&installation, &token).status, 200);
    assert_eq!(view(&installation, &call)["phase"], "awaiting_approval");
    installation.run(&["resume", "--tool", tool]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
}

#[test]
fn a_stop_names_its_calls_and_its_reason_and_is_made_once() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    assert_eq!(installation.run(&["stop", "--list"]).trim(), "No call is stopped.");
    let long = "x".repeat(301);
    for (words, why) in [
        (&["stop", "--because", "a drill"][..], "name the calls"),
        (&["stop", "--all"], "give your reason with `--because TEXT`"),
        (&["stop", "--all", "--because", &long], "in 1 to 300 visible characters"),
        (&["stop", "--all", "--tool", "hello", "--because", "a"], "cannot be used with"),
        (&["resume", "--all"], "every call is not stopped; `cofferdam stop --list`"),
        (&["resume"], "name the calls"),
    ] {
        let said = installation.fail(words);
        assert!(said.contains(why), "{words:?}: {said}");
    }
    let said = installation.run(&["stop", "--tool", "hello", "--because", "a drill"]);
    assert!(said.starts_with("Stopped the tool `hello`.\n"), "{said}");
    assert!(said.contains("`cofferdam resume --tool hello` lifts the stop"), "{said}");
    let again = installation.fail(&["stop", "--tool", "hello", "--because", "a drill"]);
    assert!(again.contains("it is stopped already: the tool `hello`"), "{again}");
}
