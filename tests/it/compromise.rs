//! The parts of `docs/threat-model.md`, one by one: each test uses the credentials of one role, and
//! is refused.

use crate::installation::{TIME_LIMIT, TestInstallation, binaries, repository, text};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::role_settings::{
    ActorSettings, Infrastructure, LogSettings, RecorderSettings, ViewerSettings,
};
use cofferdam_process::control::{self, Report};
use cofferdam_process::frame::{self, Frame};
use cofferdam_process::spawn::{self, StandardError};
use serde_json::{Value, json};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Runs `scripts/attack.py` on a stopped installation.
pub fn attack(installation: &TestInstallation, words: &[&str]) {
    let python = std::env::var_os("COFFERDAM_PYTHON")
        .expect("COFFERDAM_PYTHON is not set: run `scripts/test`");
    let done = Command::new(python)
        .arg(repository().join("scripts/attack.py"))
        .arg(installation.home())
        .args(words)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn delete(name: &str) -> Value {
    json!({"namespace": "storefront", "name": name})
}

/// A call that waits for a person, left behind by a stopped gateway.
fn pending(installation: &mut TestInstallation, name: &str) -> String {
    let token = installation.agent("release", "operator");
    installation.http("POST", "/v1/tools/deployment_delete?wait=1", &token, Some(&delete(name)));
    let call = installation.waiting();
    installation.stop();
    call
}

/// Expects that the runner refuses a job with this code and this cause, and that the tree is
/// unchanged.
fn refused(installation: &mut TestInstallation, call: &str, code: &str, reason: &str) {
    let before = installation.files();
    installation.serve(&[]);
    let story = installation.closed(call);
    assert_eq!(story["view"]["outcome"], "refused", "{story:#}\n{}", installation.log());
    let told = ending(&story);
    assert_eq!(told["code"], code, "{story:#}");
    assert!(told["detail"].as_str().unwrap().contains(reason), "not `{reason}`: {told:#}");
    assert_eq!(installation.files(), before);
    assert!(installation.namespaces().is_empty());
}

/// The code and the cause that the runner recorded for the end of a job.
fn ending(story: &Value) -> Value {
    let entries = story["entries"].as_array().unwrap();
    let end = entries.iter().find(|entry| entry["event"]["kind"] == "finished");
    end.unwrap_or_else(|| panic!("no end: {story:#}"))["payloads"]["detail"].clone()
}

#[test]
fn gateway_key_cannot_sign_away_a_person() {
    let mut installation = TestInstallation::started();
    let call = pending(&mut installation, "gift-cards-v1");
    attack(&installation, &["permit-without-approval", &call]);
    refused(&mut installation, &call, "approval-missing", "a person's signature is missing");
}

#[test]
fn a_job_put_into_the_store_by_hand_is_refused() {
    let mut installation = TestInstallation::started();
    let call = pending(&mut installation, "gift-cards-v1");
    attack(&installation, &["job-by-hand", &call]);
    refused(&mut installation, &"a".repeat(26), "permit-signature", "is not signed by the gateway");
}

#[test]
fn a_stolen_permit_is_good_for_nothing_else() {
    let mut installation = TestInstallation::started();
    let token = installation.agent("other", "operator");
    let web = installation.tree().join("storefront/web.yaml");
    let before = std::fs::read_to_string(&web).unwrap();
    let done = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    let other = done.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", done.body)).to_owned();
    assert_eq!(installation.closed(&other)["view"]["outcome"], "succeeded");
    installation.stop();
    // The state is as it was, and the permit is for the same plan: only the call is another.
    std::fs::write(&web, before).unwrap();
    attack(&installation, &["second-run", &other]);
    refused(
        &mut installation,
        &"a".repeat(26),
        "permit-differs",
        "the permit is for another call than the job",
    );
}

#[test]
fn a_stolen_approval_is_good_for_nothing_else() {
    let mut installation = TestInstallation::started();
    let token = installation.agent("other", "operator");
    let before = installation.files();
    let approved = std::thread::scope(|scope| {
        let calling = scope
            .spawn(|| installation.call(&token, "deployment_delete", &delete("gift-cards-v1")));
        let call = installation.waiting();
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        calling.join().unwrap();
        call
    });
    assert_eq!(installation.closed(&approved)["view"]["outcome"], "succeeded");
    before
        .iter()
        .for_each(|(path, text)| std::fs::write(installation.tree().join(path), text).unwrap());
    // The same plan over the same state: only the call is another.
    let call = pending(&mut installation, "gift-cards-v1");
    attack(&installation, &["stolen-approval", &call, &approved]);
    refused(&mut installation, &call, "approval-missing", "the approval is for another call");
}

#[test]
fn a_recorder_that_changes_what_was_asked_is_refused() {
    let mut installation = TestInstallation::started();
    let call = pending(&mut installation, "gift-cards-v1");
    attack(&installation, &["other-arguments", &call]);
    refused(&mut installation, &call, "plan-differs", "the tool gives the plan");
}

#[test]
fn a_recorder_that_rewrites_history_is_caught_at_its_next_start() {
    let mut installation = TestInstallation::started();
    pending(&mut installation, "gift-cards-v1");
    attack(&installation, &["rewrite-entry", "1"]);
    let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| installation.serve(&[])));
    assert!(said.is_err(), "it started over a rewritten ledger");
    assert!(
        installation.log().contains("entry") || installation.log().contains("history"),
        "{}",
        installation.log()
    );
}

#[test]
fn an_agent_sees_and_ends_only_its_own() {
    let installation = TestInstallation::started();
    let (one, other) =
        (installation.agent("one", "operator"), installation.agent("other", "operator"));
    let done = installation.call(
        &one,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    let call = done.body["call"].as_str().unwrap();
    assert_eq!(installation.http("GET", &format!("/v1/jobs/{call}"), &one, None).status, 200);
    assert_eq!(installation.http("GET", &format!("/v1/jobs/{call}"), &other, None).status, 404);
    assert_eq!(installation.http("DELETE", &format!("/v1/jobs/{call}"), &other, None).status, 404);
    assert_eq!(installation.http("GET", "/v1/tools", "cfd_guess", None).status, 401);
}

#[test]
fn a_policy_that_allows_everything_does_not_lift_the_floor() {
    let mut installation = TestInstallation::bare("example");
    let policy = tempfile::tempdir().unwrap();
    std::fs::write(
        policy.path().join("all.rego"),
        "package cofferdam.policy\n\nallow contains {\n\t\"id\": \"all\",\n\t\"message\": \
         \"all\",\n\t\"remedy\": \"none\",\n\t\"audience\": \"user\",\n\t\"covers\": \
         [object.union(operation, {\"namespaces\": [\"*\"], \"fields\": [\"*\"], \"accepts\": \
         [\"destructive\", \"executes_code\", \"discloses\", \"removes_field\"]}) | some \
         operation in [{\"action\": \"delete\", \"group\": \"apps\", \"kind\": \
         \"Deployment\"}]],\n}\n",
    )
    .unwrap();
    std::fs::write(policy.path().join("data.json"), "{}\n").unwrap();
    let built = tempfile::tempdir().unwrap();
    // Without tests of its own the build script would refuse it; the compiler is what an attacker
    // would use, too.
    let opa =
        std::env::var_os("COFFERDAM_OPA").expect("COFFERDAM_OPA is not set: run `scripts/test`");
    let bundle = built.path().join("bundle.tar.gz");
    let done = Command::new(opa)
        .args([
            "build",
            "-t",
            "wasm",
            "--prune-unused",
            "--ignore",
            "*_test.rego",
            "-e",
            "cofferdam/call/decision",
            "-e",
            "cofferdam/list/visible",
            "-o",
        ])
        .arg(&bundle)
        .arg(repository().join("policies/lib"))
        .arg(policy.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let unpacked = Command::new("tar")
        .args(["-xzf", text(&bundle), "-C", text(built.path())])
        .output()
        .unwrap();
    assert!(unpacked.status.success());
    installation.run(&["accept", "--policy", text(built.path())]);
    let token = installation.agent("release", "operator");
    installation.serve(&[]);
    let answer = installation.http(
        "POST",
        "/v1/tools/deployment_delete?wait=1",
        &token,
        Some(&delete("gift-cards-v1")),
    );
    assert!(!installation.waiting().is_empty(), "{:#}", answer.body);
    assert!(installation.tree().join("storefront/gift-cards-v1.yaml").exists());
}

#[test]
fn a_socket_answers_only_what_its_holder_may_ask() {
    let installation = TestInstallation::bare("example");
    let home = installation.home();
    let trust =
        Trust::parse(&std::fs::read_to_string(home.join("trust/trust.toml")).unwrap()).unwrap();
    let settings = RecorderSettings {
        voice: LogSettings { level: "error".to_owned(), json: false, spans: false },
        environment: trust.environment,
        trust_file: home.join("trust/trust.toml"),
        copies: home.join("trust"),
        store: home.join("store"),
        database: None,
        ledger: home.join("ledger"),
        checkpoint_key: home.join("keys/recorder"),
        operator_socket: home.join("run/operator.sock"),
        lease_seconds: 30,
        keeps_leases: false,
        links: false,
        max_queued: 50_000,
        budgets: cofferdam_core::model::budget::Budgets::usual(),
        retention: cofferdam_core::model::retention::Retention::usual(),
        receivers: Vec::new(),
        oidc_roles: Vec::new(),
    };
    let (supervisor, theirs) = control::pair().unwrap();
    let mut recorder = spawn::spawn(
        &binaries().join("cofferdam"),
        &["role", "recorder"],
        theirs,
        StandardError::Inherited,
    )
    .unwrap();
    supervisor.settings(&settings).unwrap();
    assert!(matches!(supervisor.report().unwrap(), Some(Report::Ready { .. })));
    // Of a process that cannot be dumped root alone may read it.
    let environment = std::fs::read(format!("/proc/{}/environ", recorder.id())).unwrap_or_default();
    assert!(
        environment.is_empty(),
        "a role starts with a cleared environment: {}",
        String::from_utf8_lossy(&environment)
    );
    let claim = json!({"id": 1, "ask": {"ask": "next", "wait_ms": 0}});
    let propose = json!({"id": 1, "ask": "head"});
    let operate = json!({"id": 1, "ask": {"ask": "jobs", "waiting": false, "limit": 10}});
    for (holder, own, foreign) in
        [("gateway", &propose, [&claim, &operate]), ("runner", &claim, [&propose, &operate])]
    {
        assert!(asked(&supervisor, holder, own).is_some(), "{holder} may ask {own}");
        for ask in foreign {
            assert!(asked(&supervisor, holder, ask).is_none(), "{holder} was answered {ask}");
        }
    }
    drop(supervisor);
    recorder.wait().unwrap();
}

#[test]
fn a_gateway_looks_no_further_than_the_ceilings() {
    let installation = TestInstallation::bare("example");
    let trust = Trust::parse(
        &std::fs::read_to_string(installation.home().join("trust/trust.toml")).unwrap(),
    )
    .unwrap();
    let tool = trust.tool("workload_status").unwrap().clone();
    let settings = ActorSettings::Viewer(ViewerSettings {
        voice: LogSettings { level: "error".to_owned(), json: false, spans: false },
        environment: trust.environment.clone(),
        trust_file: installation.home().join("trust/trust.toml"),
        copies: installation.home().join("trust"),
        infrastructure: Infrastructure::Directory { tree: installation.tree() },
        links: false,
    });
    let (supervisor, theirs) = control::pair().unwrap();
    let mut viewer =
        spawn::spawn(&binaries().join("cofferdam-runner"), &[], theirs, StandardError::Inherited)
            .unwrap();
    supervisor.settings(&settings).unwrap();
    assert!(matches!(supervisor.report().unwrap(), Some(Report::Ready { .. })));
    let read = |kind: &str, group: &str, fields: Value, digest: String| {
        let target = json!({"group": group, "version": "v1", "kind": kind,
            "namespace": "storefront", "name": "web"});
        let step = json!({"action": "read", "target": target, "fields": fields, "after": [],
            "reversible": false});
        json!({"id": 1, "ask": {"ask": "read", "tool": "workload_status", "digest": digest,
            "operations": [step]}})
    };
    let own = tool.digest.to_string();
    let within = asked(
        &supervisor,
        "gateway",
        &read("Deployment", "apps", json!(["spec.replicas"]), own.clone()),
    )
    .unwrap();
    assert_eq!(within["results"][0]["fields"]["spec.replicas"], 3, "{within:#}");
    let beyond = [
        read("Deployment", "apps", json!(["spec.template.spec.containers[*].env"]), own.clone()),
        read("ConfigMap", "", json!(["data.LOG_LEVEL"]), own.clone()),
        read("Secret", "", json!(["data.password"]), own),
        read("Deployment", "apps", json!(["spec.replicas"]), format!("sha256:{}", "0".repeat(64))),
    ];
    for ask in beyond {
        let answer = asked(&supervisor, "gateway", &ask);
        assert!(
            answer.as_ref().is_none_or(|answer| answer["answer"] == "refused"),
            "{ask}: {answer:#?}"
        );
    }
    drop(supervisor);
    viewer.wait().unwrap();
}

/// Gives a role a socket of this name and sends a request on it. `None` if the role closes the
/// socket or replies with an error.
fn asked(supervisor: &control::Control, name: &str, ask: &Value) -> Option<Value> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    supervisor.give(name, &theirs.as_fd()).unwrap();
    drop(theirs);
    ours.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    frame::write(&mut &ours, &Frame::of(ask.to_string().into_bytes())).unwrap();
    let answer: Value = serde_json::from_slice(&frame::read(&mut &ours).ok()??.header).unwrap();
    answer.get("ok").cloned()
}
