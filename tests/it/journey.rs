//! Whole journeys over plain HTTP: the agent's side, the operator's side, and what is left in the
//! tree.

use crate::installation::TestInstallation;
use serde_json::{Value, json};

fn changed_lines(
    before: &TestInstallation,
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
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let before = installation.files();
    let answer = installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    assert_eq!(
        changed_lines(&installation, &before),
        ["  replicas: 3 # before the autumn sale: 5, see the runbook =>   replicas: 5 # before \
          the autumn sale: 5, see the runbook"]
    );
    let call = answer.body["call"].as_str().unwrap();
    let story = installation.closed(call);
    assert_eq!(story["view"]["outcome"], "succeeded");
    assert!(installation.namespaces().is_empty());
    installation.verify_ledger();
}

#[test]
fn a_preview_shows_and_changes_nothing() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let before = installation.files();
    let answer =
        installation.http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&scale(5)));
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert!(answer.body.to_string().contains("spec.replicas"), "{:#}", answer.body);
    assert_eq!(installation.files(), before);
    assert_eq!(installation.json(&["jobs"])["jobs"], json!([]));
}

#[test]
fn a_denial_has_five_lines_and_leaves_no_job() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let before = installation.files();
    let answer = installation.call(&token, "deployment_scale", &scale(40));
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
    assert_eq!(installation.files(), before);
    assert_eq!(installation.json(&["jobs"])["jobs"], json!([]));
}

#[test]
fn the_same_request_gives_the_same_digest_and_a_key_runs_once() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let preview = |arguments: &str| {
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        installation
            .http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&arguments))
            .body["plan"]
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
    let installation = TestInstallation::started();
    let (few, many) =
        (installation.agent("triage", "viewer"), installation.agent("release", "operator"));
    let names = |token: &str| installation.http("GET", "/v1/tools", token, None).body.to_string();
    assert!(
        !names(&few).contains("deployment_delete") && names(&many).contains("deployment_delete")
    );
    let answer = installation.call(
        &few,
        "deployment_delete",
        &json!({"namespace": "storefront", "name": "web"}),
    );
    assert_eq!(answer.status, 404, "{:#}", answer.body);
    let unknown = installation.call(&few, "no_such_tool", &json!({}));
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_delete_waits_for_another_person_and_runs_once() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            installation.call(
                &token,
                "deployment_delete",
                &json!({"namespace": "storefront", "name": "gift-cards-v1"}),
            )
        });
        let call = installation.waiting();
        let own = installation.fail(&[
            "approve",
            &call,
            "--key",
            installation.key("alice").to_str().unwrap(),
            "--yes",
        ]);
        assert!(own.contains("`alice@example.com` asked for this and cannot approve it"), "{own}");
        assert!(!own.contains("Preview:"), "refused before the question is shown: {own}");
        assert!(installation.tree().join("storefront/gift-cards-v1.yaml").exists());
        installation.run(&[
            "approve",
            &call,
            "--key",
            installation.key("bob").to_str().unwrap(),
            "--yes",
        ]);
        calling.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    assert!(!installation.tree().join("storefront/gift-cards-v1.yaml").exists());
    let story = installation.closed(answer.body["call"].as_str().unwrap());
    assert_eq!(story["view"]["outcome"], "succeeded");
}

#[test]
fn a_rejection_is_told_with_its_reason_and_stands() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let target = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| installation.call(&token, "deployment_delete", &target));
        let call = installation.waiting();
        installation.run(&[
            "deny",
            &call,
            "--reason",
            "Support still needs it",
            "--key",
            installation.key("bob").to_str().unwrap(),
        ]);
        calling.join().unwrap()
    });
    assert!(answer.body.to_string().contains("Support still needs it"), "{:#}", answer.body);
    let again = installation.call(&token, "deployment_delete", &target);
    assert!(
        again.status == 403 && again.body.to_string().contains("Support still needs it"),
        "{} {:#}",
        again.status,
        again.body
    );
    assert!(installation.tree().join("storefront/gift-cards-v1.yaml").exists());
}

#[test]
fn without_agents_anyone_here_looks_and_every_change_needs_a_person() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    installation.until_logged("No agent is configured");
    let look = installation.call("", "workloads_list", &json!({"namespace": "storefront"}));
    assert_eq!(look.status, 200, "{:#}", look.body);
    let before = installation.files();
    let change =
        installation.http("POST", "/v1/tools/deployment_scale?wait=1", "", Some(&scale(4)));
    assert!(change.body.to_string().contains("approv"), "{} {:#}", change.status, change.body);
    assert_eq!(installation.files(), before);
    assert!(!installation.waiting().is_empty());
}

#[test]
fn an_agent_that_was_just_added_works_and_one_that_was_removed_does_not() {
    let installation = TestInstallation::started();
    let token = installation.agent("late", "viewer");
    assert_eq!(installation.http("GET", "/v1/tools", &token, None).status, 200);
    installation.run(&["agents", "remove", "late"]);
    assert_eq!(installation.http("GET", "/v1/tools", &token, None).status, 401);
}
