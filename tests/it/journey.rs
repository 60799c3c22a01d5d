//! Whole journeys over plain HTTP: the agent's side, the operator's side, and what is left in the
//! tree.

use crate::stage::Stage;
use serde_json::{Value, json};

fn changed_lines(
    before: &Stage,
    then: &std::collections::BTreeMap<std::path::PathBuf, String>,
) -> Vec<String> {
    let now = before.files();
    assert_eq!(
        now.keys().collect::<Vec<_>>(),
        then.keys().collect::<Vec<_>>(),
        "files came or went"
    );
    let mut lines = Vec::new();
    for (path, text) in &now {
        let old = &then[path];
        assert_eq!(
            old.lines().count(),
            text.lines().count(),
            "{} has another length",
            path.display()
        );
        lines.extend(
            old.lines()
                .zip(text.lines())
                .filter(|(old, new)| old != new)
                .map(|(old, new)| format!("{old} => {new}")),
        );
    }
    lines
}

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

#[test]
fn an_allowed_change_changes_one_line_and_is_proven() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let before = stage.files();
    let answer = stage.call(&token, "deployment_scale", &scale(5));
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
    assert_eq!(
        changed_lines(&stage, &before),
        ["  replicas: 3 # before the autumn sale: 5, see the runbook =>   replicas: 5 # before \
          the autumn sale: 5, see the runbook"]
    );
    let call = answer.body["call"].as_str().unwrap();
    let story = stage.closed(call);
    assert_eq!(story["view"]["outcome"], "succeeded");
    assert!(stage.namespaces().is_empty());
    stage.verify_ledger();
}

#[test]
fn a_preview_shows_and_changes_nothing() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let before = stage.files();
    let answer = stage.http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&scale(5)));
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert!(answer.body.to_string().contains("spec.replicas"), "{:#}", answer.body);
    assert_eq!(stage.files(), before);
    assert_eq!(stage.json(&["jobs"])["jobs"], json!([]));
}

#[test]
fn a_denial_has_five_lines_and_leaves_no_job() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let before = stage.files();
    let answer = stage.call(&token, "deployment_scale", &scale(40));
    assert_eq!(answer.status, 403, "{:#}", answer.body);
    let text = answer.body["error"]["text"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[0].starts_with("DENIED ") && lines[0].ends_with(" by replicas-limit in shop"),
        "{text}"
    );
    assert_eq!(lines[1], "Nothing was changed.");
    assert!(lines[3].starts_with("Allowed: ") && lines[3].contains("20"), "{text}");
    assert_eq!(stage.files(), before);
    assert_eq!(stage.json(&["jobs"])["jobs"], json!([]));
}

#[test]
fn the_same_request_gives_the_same_digest_and_a_key_runs_once() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let preview = |arguments: &str| {
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        stage.http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&arguments)).body
            ["plan"]
            .clone()
    };
    let one = preview(r#"{"namespace":"storefront","name":"web","replicas":5}"#);
    let other = preview(r#"{"replicas":5,"name":"web","namespace":"storefront","purpose":"why"}"#);
    assert!(one.is_string());
    assert_eq!(one, other);
    assert_ne!(one, preview(r#"{"namespace":"storefront","name":"web","replicas":6}"#));
}

#[test]
fn lists_differ_by_role_and_a_hidden_tool_does_not_exist() {
    let stage = Stage::started();
    let (few, many) = (stage.agent("triage", "viewer"), stage.agent("release", "operator"));
    let names = |token: &str| stage.http("GET", "/v1/tools", token, None).body.to_string();
    assert!(
        !names(&few).contains("deployment_delete") && names(&many).contains("deployment_delete")
    );
    let answer =
        stage.call(&few, "deployment_delete", &json!({"namespace": "storefront", "name": "web"}));
    assert_eq!(answer.status, 404, "{:#}", answer.body);
    let unknown = stage.call(&few, "no_such_tool", &json!({}));
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_delete_waits_for_another_person_and_runs_once() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            stage.call(
                &token,
                "deployment_delete",
                &json!({"namespace": "storefront", "name": "gift-cards-v1"}),
            )
        });
        let call = stage.waiting();
        let own =
            stage.fail(&["approve", &call, "--key", stage.key("alice").to_str().unwrap(), "--yes"]);
        assert!(own.contains("`alice@example.com` asked for this and cannot approve it"), "{own}");
        assert!(!own.contains("Preview:"), "refused before the question is shown: {own}");
        assert!(stage.tree().join("storefront/gift-cards-v1.yaml").exists());
        stage.run(&["approve", &call, "--key", stage.key("bob").to_str().unwrap(), "--yes"]);
        calling.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
    assert!(!stage.tree().join("storefront/gift-cards-v1.yaml").exists());
    let story = stage.closed(answer.body["call"].as_str().unwrap());
    assert_eq!(story["view"]["outcome"], "succeeded");
}

#[test]
fn a_rejection_is_told_with_its_reason_and_stands() {
    let stage = Stage::started();
    let token = stage.agent("release", "operator");
    let target = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| stage.call(&token, "deployment_delete", &target));
        let call = stage.waiting();
        stage.run(&[
            "deny",
            &call,
            "--reason",
            "Support still needs it",
            "--key",
            stage.key("bob").to_str().unwrap(),
        ]);
        calling.join().unwrap()
    });
    assert!(answer.body.to_string().contains("Support still needs it"), "{:#}", answer.body);
    let again = stage.call(&token, "deployment_delete", &target);
    assert!(
        again.status == 403 && again.body.to_string().contains("Support still needs it"),
        "{} {:#}",
        again.status,
        again.body
    );
    assert!(stage.tree().join("storefront/gift-cards-v1.yaml").exists());
}

#[test]
fn without_agents_anyone_here_looks_and_every_change_needs_a_person() {
    let mut stage = Stage::bare("single");
    stage.serve(&[]);
    stage.until_logged("No agent is configured");
    let look = stage.call("", "workloads_list", &json!({"namespace": "storefront"}));
    assert_eq!(look.status, 200, "{:#}", look.body);
    let before = stage.files();
    let change = stage.http("POST", "/v1/tools/deployment_scale?wait=1", "", Some(&scale(4)));
    assert!(change.body.to_string().contains("approv"), "{} {:#}", change.status, change.body);
    assert_eq!(stage.files(), before);
    assert!(!stage.waiting().is_empty());
}

#[test]
fn an_agent_that_was_just_added_works_and_one_that_was_removed_does_not() {
    let stage = Stage::started();
    let token = stage.agent("late", "viewer");
    assert_eq!(stage.http("GET", "/v1/tools", &token, None).status, 200);
    stage.run(&["agents", "remove", "late"]);
    assert_eq!(stage.http("GET", "/v1/tools", &token, None).status, 401);
}
