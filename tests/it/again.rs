//! Repeated calls, questions of different times and questions at the same time, with all roles:
//! each change happens once, and each text is true.

use crate::installation::{TestInstallation, assets, text};
use crate::kubernetes::installation::policy_with;
use serde_json::{Value, json};
use std::time::Instant;

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

/// The text of a response, a success or an error.
fn said(body: &Value) -> String {
    body["text"]
        .as_str()
        .or(body["error"]["text"].as_str())
        .map_or_else(|| format!("{body:#}"), str::to_owned)
}

/// An installation with the policy for a single user, under which nearly every change needs a
/// person.
fn single() -> TestInstallation {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    installation
}

fn approve(installation: &TestInstallation, call: &str) {
    installation.run(&["approve", call, "--key", text(&installation.key("bob")), "--yes"]);
}

/// Makes a call without waiting for its end. Returns its id.
fn asked(installation: &TestInstallation, token: &str, tool: &str, arguments: &Value) -> String {
    let answer =
        installation.http("POST", &format!("/v1/tools/{tool}?wait=0"), token, Some(arguments));
    answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

/// Rewrites a file of the tree, as a person does.
fn edit(installation: &TestInstallation, file: &str, from: &str, to: &str) {
    let path = installation.tree().join(file);
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{before}");
    std::fs::write(path, before.replace(from, to)).unwrap();
}

#[test]
fn a_restart_that_is_asked_for_again_at_once_is_done_once() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let restart = json!({"namespace": "storefront", "name": "web"});
    let first = installation.call(&token, "deployment_restart", &restart);
    assert!(
        said(&first.body).starts_with("DONE "),
        "{}\n{}",
        said(&first.body),
        installation.log()
    );
    let after = installation.files();
    let again = installation.call(&token, "deployment_restart", &restart);
    let call = first.body["call"].as_str().unwrap();
    let told = said(&again.body);
    assert!(told.starts_with(&format!("ALREADY DONE as {call}, ")), "{told}");
    assert!(told.lines().next().unwrap().ends_with(" ago; nothing was done now"), "{told}");
    assert!(told.contains("patch Deployment web in namespace storefront"), "{told}");
    assert_eq!((again.status, again.body["call"].as_str()), (200, Some(call)));
    assert_eq!(installation.files(), after);
    // A new key is a new request; the same key is the first outcome, with the same ledger entry,
    // also once the job is closed.
    let keyed = |key| installation.keyed_call(&token, "deployment_restart", &restart, key);
    let second = keyed("k1");
    assert!(
        said(&second.body).starts_with("DONE ") && second.body["call"].as_str() != Some(call),
        "{}",
        said(&second.body)
    );
    let done = second.body["call"].as_str().unwrap();
    let replayed = keyed("k1");
    let head = format!(
        "ALREADY DONE as {done}, by the earlier call with this idempotency key; nothing was done \
         now\n"
    );
    assert!(said(&replayed.body).starts_with(&head), "{}", said(&replayed.body));
    assert_eq!(
        (&replayed.body["call"], &replayed.body["ledger"]),
        (&second.body["call"], &second.body["ledger"])
    );
    installation.closed(done);
    assert_eq!(keyed("k1").body, replayed.body);
    assert_eq!(installation.json(&["jobs"])["jobs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_roll_back_that_is_asked_for_again_after_a_person_rolled_forward_is_carried_out() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let arguments = json!({
        "namespace": "storefront", "name": "web", "container": "web",
        "image": "registry.example.com/storefront/web:4.11.9"
    });
    let call = asked(&installation, &token, "image_set", &arguments);
    // The same call again joins the question.
    assert_eq!(asked(&installation, &token, "image_set", &arguments), call);
    approve(&installation, &call);
    installation.closed(&call);
    // Its agent never followed it. A person rolls forward, and the agent rolls back again.
    edit(&installation, "storefront/web.yaml", "web:4.11.9", "web:4.13.0");
    let again = asked(&installation, &token, "image_set", &arguments);
    assert_ne!(again, call);
    approve(&installation, &again);
    assert_eq!(installation.closed(&again)["view"]["outcome"], "succeeded");
    assert!(
        installation
            .files()
            .iter()
            .any(|(path, file)| path.ends_with("web.yaml") && file.contains("web:4.11.9"))
    );
}

#[test]
fn three_keys_of_one_object_asked_at_once_and_signed_all_run() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let set =
        |key: &str| json!({"namespace": "storefront", "name": "web", "key": key, "value": "1"});
    let calls: Vec<String> = ["ONE", "TWO", "THREE"]
        .map(|key| asked(&installation, &token, "config_set", &set(key)))
        .to_vec();
    // Signed in another order than asked, one right after the other.
    for call in [&calls[1], &calls[0], &calls[2]] {
        approve(&installation, call);
    }
    for call in &calls {
        let story = installation.closed(call);
        assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}\n{}", installation.log());
    }
    // Which of them runs first is the gateway's; each names the keys that came before it.
    let named = |call: &String| {
        let told = installation.run(&["show", call]);
        let line = told
            .lines()
            .find_map(|line| line.trim().strip_prefix("meanwhile: ").map(str::to_owned))
            .unwrap_or_default();
        line.matches(
            "` of ConfigMap web in namespace storefront was absent and is \"1\" (at \
             `storefront/web.yaml:",
        )
        .count()
    };
    let mut named: Vec<usize> = calls.iter().map(named).collect();
    named.sort_unstable();
    assert_eq!(named, [0, 1, 2], "field, both values, file and line");
    for key in ["ONE", "TWO", "THREE"] {
        assert!(
            installation.files().values().any(|file| file.contains(&format!("{key}: \"1\""))),
            "{key}"
        );
    }
}

/// Objects of one file, each changed by a call of its own.
const BESIDE: usize = 6;

#[test]
fn calls_about_different_objects_of_one_file_all_run_at_once() {
    let mut installation = single();
    let token = installation.agent("release", "operator");
    let object = |at: usize| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{at}\n  namespace: \
             storefront\ndata:\n  LEVEL: info # of c{at}\n"
        )
    };
    std::fs::write(
        installation.tree().join("storefront/many.yaml"),
        (0..BESIDE).map(object).collect::<Vec<_>>().join("---\n"),
    )
    .unwrap();
    let set = |at: usize| {
        json!({"namespace": "storefront", "name": format!("c{at}"),
        "key": "LEVEL", "value": "debug"})
    };
    let calls: Vec<String> =
        (0..BESIDE).map(|at| asked(&installation, &token, "config_set", &set(at))).collect();
    // Signed while nothing runs: after the start all of them are carried out beside each other.
    std::thread::scope(|scope| {
        for call in &calls {
            scope.spawn(|| approve(&installation, call));
        }
    });
    for call in &calls {
        let story = installation.closed(call);
        assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}\n{}", installation.log());
        assert_eq!(
            story["view"]["meanwhile"],
            json!([]),
            "another object of the file is another object"
        );
    }
    let text = std::fs::read_to_string(installation.tree().join("storefront/many.yaml")).unwrap();
    assert_eq!(text.matches("LEVEL: debug # of c").count(), BESIDE, "{text}");
    installation.stop();
    installation.verify_ledger();
}

#[test]
fn a_policy_that_obliges_to_it_stops_a_signed_call_over_any_change_of_the_object() {
    let policy = policy_with(|data| {
        data["protected"] = json!(["storefront"]);
        data["approvals"]["protected"]["approvers"] = json!(["*"]);
    });
    let tree = tempfile::tempdir().unwrap();
    let file = tree.path().join("web.yaml");
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: \
                    storefront\nspec:\n  replicas: 3\n";
    std::fs::write(&file, manifest).unwrap();
    let mut installation =
        TestInstallation::over(&[text(tree.path()), "--name", "shop"], policy.path());
    installation.serve(&[]);
    let token = installation.agent("release", "operator");
    let write = |from: &str, to: &str| {
        let before = std::fs::read_to_string(&file).unwrap();
        assert!(before.contains(from), "{before}");
        std::fs::write(&file, before.replacen(from, to, 1)).unwrap();
    };
    // A comment is no part of the object.
    let call = asked(&installation, &token, "deployment_scale", &scale(5));
    write("replicas: 3", "replicas: 3 # since the sale");
    approve(&installation, &call);
    assert_eq!(
        installation.closed(&call)["view"]["outcome"],
        "succeeded",
        "{}",
        installation.log()
    );
    let call = asked(&installation, &token, "deployment_scale", &scale(4));
    write(
        "kind: Deployment\nmetadata:\n",
        "kind: Deployment\nmetadata:\n  annotations: {owner: me}\n",
    );
    approve(&installation, &call);
    let view = &installation.closed(&call)["view"];
    let detail = view["detail"].as_str().unwrap();
    assert_eq!(view["outcome"], "refused", "{detail}");
    let changed = "`metadata.annotations.owner` of Deployment web in namespace storefront was \
                   absent and is \"me\" (at `web.yaml:4`)";
    assert!(detail.starts_with(changed), "{detail}");
    assert!(
        detail.ends_with("policy obliges to stop over any change of the object; ask again"),
        "{detail}"
    );
    // Asked again, it is about the object as it is.
    let again = asked(&installation, &token, "deployment_scale", &scale(4));
    approve(&installation, &again);
    assert_eq!(
        installation.closed(&again)["view"]["outcome"],
        "succeeded",
        "{}",
        installation.log()
    );
}

#[test]
fn a_question_under_a_policy_that_was_replaced_is_closed_and_never_joined() {
    let mut installation = single();
    let token = installation.agent("release", "operator");
    let set = json!({"namespace": "storefront", "name": "web", "key": "LEVEL", "value": "1"});
    let call = asked(&installation, &token, "config_set", &set);
    let policy = installation.home().join("policy");
    let changed = installation.tree().with_file_name("changed-policy");
    std::fs::create_dir(&changed).unwrap();
    for entry in std::fs::read_dir(&policy).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, changed.join(path.file_name().unwrap())).unwrap();
    }
    let data = std::fs::read_to_string(changed.join("data.json")).unwrap();
    let mut data: Value = serde_json::from_str(&data).unwrap();
    data["unattended"]["replicas"] = json!(9);
    std::fs::write(changed.join("data.json"), data.to_string()).unwrap();
    installation.run(&["accept", "--policy", text(&changed)]);
    installation.stop();
    installation.serve(&[]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "refused");
    let told = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
    assert!(
        said(&told.body).contains("Why: The policy was replaced after a person was asked."),
        "{}",
        said(&told.body)
    );
    let signing =
        installation.fail(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    assert!(signing.contains("the policy was replaced"), "{signing}");
    assert_ne!(asked(&installation, &token, "config_set", &set), call);
}

/// Starts the gateway again after a change. Returns the cause with which a question was closed.
fn closed_at_the_next_start(
    installation: &mut TestInstallation,
    token: &str,
    call: &str,
) -> String {
    installation.stop();
    installation.serve(&[]);
    assert_eq!(installation.closed(call)["view"]["outcome"], "refused");
    let told = said(&installation.http("GET", &format!("/v1/jobs/{call}"), token, None).body);
    told.lines().find(|line| line.starts_with("Why: ")).unwrap_or(&told).to_owned()
}

#[test]
fn a_question_that_a_narrower_ceiling_or_another_executor_cannot_carry_out_is_closed() {
    let mut installation = single();
    let token = installation.agent("release", "operator");
    let set = |namespace: &str| {
        json!({"namespace": namespace, "name": "web", "key": "LEVEL",
        "value": "1"})
    };
    let call = asked(&installation, &token, "config_set", &set("storefront"));
    let config_set = assets().join("tools/config_set.wasm");
    // A ceiling that still covers the plan closes nothing.
    installation.run(&[
        "accept",
        text(&config_set),
        "--namespace",
        "storefront",
        "--namespace",
        "payments",
    ]);
    installation.stop();
    installation.serve(&[]);
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
    installation.run(&["accept", text(&config_set), "--namespace", "payments"]);
    let why = closed_at_the_next_start(&mut installation, &token, &call);
    assert!(why.contains("The ceiling of the tool was narrowed after a person was asked"), "{why}");
    assert!(why.contains("patch v1 ConfigMap in namespace storefront"), "{why}");

    installation.run(&["accept", text(&config_set), "--wider"]);
    installation.stop();
    installation.serve(&[]);
    let call = asked(&installation, &token, "config_set", &set("storefront"));
    let other = installation.tree().with_file_name("sequential.wasm");
    std::fs::copy(assets().join("executors/rollout.wasm"), &other).unwrap();
    installation.run(&["accept", "--executor", text(&other)]);
    let why = closed_at_the_next_start(&mut installation, &token, &call);
    assert!(
        why.contains(
            "The executor was replaced after a person was asked: `sequential` is another \
             component now."
        ),
        "{why}"
    );
}

#[test]
fn a_question_that_too_few_people_may_answer_since_is_closed() {
    let mut installation = single();
    let token = installation.agent("release", "operator");
    let call = asked(
        &installation,
        &token,
        "config_set",
        &json!({"namespace": "storefront", "name": "web", "key": "LEVEL", "value": "1"}),
    );
    for person in installation.json(&["approver", "list"])["approvers"].as_array().unwrap() {
        installation.run(&["approver", "remove", person["name"].as_str().unwrap()]);
    }
    let why = closed_at_the_next_start(&mut installation, &token, &call);
    assert!(
        why.contains(
            "The approvers were changed after a person was asked: a signature is needed, and 0 \
             enrolled"
        ),
        "{why}"
    );
}

#[test]
fn a_question_that_no_enrolled_person_may_answer_is_refused_at_once() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    installation.run(&["approver", "remove", "bob@example.com"]);
    let mut installation = installation;
    installation.stop();
    installation.serve(&[]);
    let began = Instant::now();
    let answer = installation.call(
        &token,
        "deployment_delete",
        &json!({"namespace": "storefront", "name": "web"}),
    );
    let told = said(&answer.body);
    assert_eq!(answer.status, 403, "{told}");
    assert!(
        told.contains(" by approval-impossible in shop\n")
            && told.contains("`cofferdam approver add`"),
        "{told}"
    );
    assert!(began.elapsed().as_secs() < 40, "it was not held");
    assert_eq!(installation.json(&["jobs"])["jobs"], json!([]));
}

#[test]
fn the_id_of_a_look_a_preview_and_a_denial_says_what_it_was() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let look = installation.call(&token, "workloads_list", &json!({"namespace": "storefront"}));
    let preview =
        installation.http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&scale(5)));
    let denied = installation.call(&token, "deployment_scale", &scale(40));
    let id = |body: &Value| said(body).split_whitespace().nth(1).unwrap().to_owned();
    for (answer, what) in [
        (&look, "A read by `workloads_list`"),
        (&preview, "A preview of"),
        (&denied, "denied by `replicas-limit`"),
    ] {
        let told =
            installation.http("GET", &format!("/v1/jobs/{}", id(&answer.body)), &token, None);
        assert!(told.status == 200 && said(&told.body).contains(what), "{}", said(&told.body));
    }
}
