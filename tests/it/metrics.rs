//! A run of the product emits every declared metric, with its true values, and the log has a line for
//! each event that needs an operator. No value is withheld.

use crate::author::javascript;
use crate::cluster::until;
use crate::installation::{TestInstallation, repository, text};
use crate::policies::Workshop;
use serde_json::json;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The samples of `/metrics`.
fn samples(installation: &TestInstallation) -> Vec<String> {
    let text =
        installation.http("GET", "/metrics", "", None).body.as_str().unwrap_or_default().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The single user's policy with a rule that has two values for the agent `clash`: for it, policy
/// decides nothing.
fn clashing() -> Workshop {
    let read = |file: &str| {
        std::fs::read_to_string(repository().join("policies/single").join(file)).unwrap()
    };
    let clash = "package cofferdam.policy\n\nlimit := 1\n\nlimit := 2 if input.subject.id == \
                 \"clash\"\n\ndeny contains {\"id\": \"clash\", \"message\": \"no\", \"remedy\": \
                 \"-\", \"audience\": \"user\"} if limit > 2\n";
    let (rules, tests, data) = (read("single.rego"), read("single_test.rego"), read("data.json"));
    let workshop = Workshop::new(&[
        ("mine.rego", &rules),
        ("mine_test.rego", &tests),
        ("data.json", &data),
        ("clash.rego", clash),
    ]);
    workshop.build().unwrap();
    workshop
}

#[test]
fn a_run_emits_every_declared_metric_and_tells_what_happens() {
    let mut installation = TestInstallation::bare("single");
    // No collector is there: every batch of spans is a failure, and is counted.
    let config = installation.home().join("cofferdam.toml");
    let set = std::fs::read_to_string(&config)
        .unwrap()
        .replace("# otlp = \"http://127.0.0.1:4318\"", "otlp = \"http://127.0.0.1:9\"");
    assert!(set.contains("\notlp = "), "{set}");
    // No receiver is there either: every notification is a failed try, and waits.
    let receiver = "\n[notify.ops]\nkind = \"ntfy\"\nurl = \"http://127.0.0.1:9/ops\"\n";
    std::fs::write(&config, set + receiver).unwrap();
    installation.configure("waits", "1");
    installation.run(&["accept", "--policy", text(&clashing().built())]);
    installation.run(&["accept", text(&javascript())]);
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    let scale =
        |replicas: u8| json!({"namespace": "storefront", "name": "web", "replicas": replicas});
    assert_eq!(installation.call(&token, "deployment_scale", &scale(5)).status, 200);
    let asked =
        installation.http("POST", "/v1/tools/deployment_scale?wait=0", &token, Some(&scale(12)));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    until("the question to be counted", || {
        samples(&installation).contains(&"cofferdam_questions_waiting 1".to_owned()).then_some(())
    });
    // A second request that is held, of an agent that may hold one.
    let follow = |seconds: u8| {
        installation.http("GET", &format!("/v1/jobs/{call}?wait={seconds}"), &token, None)
    };
    // Each of two holds a request again and again, so that one of them comes second.
    let over = AtomicBool::new(false);
    let follow_until_over = || {
        until("a limit of the agent", || {
            over.fetch_or(follow(1).status == 429, SeqCst);
            over.load(SeqCst).then_some(())
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(follow_until_over);
        follow_until_over();
    });
    until("the status to name the agent", || {
        installation
            .run(&["status"])
            .contains("agent `bot` was over its limit `waits`")
            .then_some(())
    });
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
    let denied = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "kube-system", "name": "web", "replicas": 1}),
    );
    assert!((400..500).contains(&denied.status), "{} {:#}", denied.status, denied.body);
    assert_eq!(installation.http("GET", "/v1/tools", "cfd_wrong", None).status, 401);
    let garbage = Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &format!("Authorization: Bearer {token}"),
        ])
        .args(["-H", "Content-Type: application/json", "-d", "{\"a\":1,\"a\":2}"])
        .arg(format!("http://{}/v1/tools/deployment_scale", installation.address()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&garbage.stdout), "400");

    // A client that names two revisions in one request.
    let mixed = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "mixed", "version": "1"},
    }}});
    let status = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(["-H", "Content-Type: application/json"])
        .args(["-H", "Accept: application/json, text/event-stream"])
        .args(["-H", "MCP-Protocol-Version: 2025-11-25", "-d", &mixed.to_string()])
        .arg(format!("http://{}/mcp", installation.address()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&status.stdout), "400");

    // A tool that never returns, and a policy that never returns for this caller.
    let endless = installation.call(
        &token,
        "greet_js",
        &json!({"namespace": "storefront", "name": "web", "value": "loop"}),
    );
    assert!(
        endless.status == 422 && endless.body.to_string().contains("tool-time"),
        "{} {:#}",
        endless.status,
        endless.body
    );
    let clash = installation.agent("clash", "deployer");
    let undecided = installation.call(&clash, "deployment_scale", &scale(5));
    assert!(undecided.status >= 400, "{} {:#}", undecided.status, undecided.body);

    // Work that cannot be recorded: the store's file is elsewhere for a moment.
    let (store, aside) = (
        installation.home().join("store/cofferdam.db"),
        installation.home().join("store/aside.db"),
    );
    std::fs::rename(&store, &aside).unwrap();
    let refused = installation.call(&token, "deployment_scale", &scale(4));
    std::fs::rename(&aside, &store).unwrap();
    assert_eq!(refused.status, 503, "{:#}", refused.body);
    until("the store to take entries again", || {
        (installation.http("GET", "/readyz", "", None).status == 200).then_some(())
    });

    // Each declared metric has its line of help, emitted or not.
    let page =
        installation.http("GET", "/metrics", "", None).body.as_str().unwrap_or_default().to_owned();
    let declared: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(declared.len() > 15, "{page}");
    for name in declared {
        let emitted =
            || samples(&installation).iter().any(|sample| sample.starts_with(name)).then_some(());
        until(&format!("a sample of {name}"), emitted);
    }
    // Counted by several roles, each at its own pace.
    let has = |start: &str| {
        until(&format!("the sample `{start}`"), || {
            samples(&installation).iter().any(|sample| sample.starts_with(start)).then_some(())
        });
    };
    has("cofferdam_decisions_total{effect=\"require_approval\",rule=\"");
    has("cofferdam_decisions_total{effect=\"allow\",rule=\"");
    has("cofferdam_jobs_closed_total{outcome=\"succeeded\"} 2");
    has("cofferdam_approvals_total{answer=\"approve\"} 1");
    has("cofferdam_refused_work_total{cause=\"unavailable\"}");
    has("cofferdam_unauthenticated_total 1");
    has("cofferdam_questions_waiting 0");
    has("cofferdam_tool_errors_total{tool=\"");
    has("cofferdam_policy_errors_total{code=\"");
    has("cofferdam_role_starts_total{role=\"runner\"}");
    has("cofferdam_edge_mixed_revisions_total{client=\"mixed\"} 1");
    has("cofferdam_edge_refusals_total{http_route=\"/v1/tools\",code=\"");
    has("cofferdam_ready 1");
    assert!(
        !samples(&installation).iter().any(|sample| sample.contains("rule=\"\"")),
        "{}",
        samples(&installation).join("\n")
    );

    let log = installation.log();
    let line = |words: &str| {
        let found = log.lines().find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("no line `{words}` in\n{log}")).to_owned()
    };
    let question = line("a person is asked to approve a call");
    assert!(
        question.contains(&call)
            && question.contains("agent=bot")
            && question.contains("tool=deployment_scale"),
        "{question}"
    );
    let unknown = line("a request without a valid token was refused");
    assert!(unknown.contains("peer=127.0.0.1"), "{unknown}");
    assert!(!log.contains("[withheld]"), "{log}");
    let dated = |line: &str| {
        line.as_bytes().first().is_some_and(u8::is_ascii_digit)
            && line.as_bytes().get(10) == Some(&b'T')
    };
    assert!(
        log.lines().filter(|line| line.contains(" INFO ") || line.contains(" WARN ")).all(dated),
        "{log}"
    );
}

#[test]
fn with_json_every_line_of_the_log_is_json() {
    let mut installation = TestInstallation::bare("single");
    installation.configure("log_format", "\"json\"");
    installation.serve(&[]);
    installation.stop();
    let log = installation.log();
    assert!(log.contains("Cofferdam serves the environment"), "{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }
}
