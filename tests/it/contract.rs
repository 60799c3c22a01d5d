//! One contract for both backends: the same manifests, calls and people, over a directory and over
//! a real API server, must have the same outcomes. Each kind of infrastructure is served once, by
//! the real gateway with all its roles. Each scenario has its own objects.

mod infrastructure;

use crate::cluster::until;
use crate::installation::{Answer, TestInstallation, assets, text};
use crate::kubernetes::installation::ClusterInstallation;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::json::canonical;
use cofferdam_core::model::trust::Trust;
use infrastructure::{Infrastructure, NAMESPACE, Target};
use serde_json::{Value, json};
use std::fs;
use std::sync::OnceLock;

/// The event between the question and the result.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Nothing happens.
    Nothing,
    /// Bob signs.
    Signed,
    /// Another client changes the replicas, then Bob signs.
    Changed,
    /// Another client adds a label, then Bob signs.
    Labelled,
    /// The object's pods become ready, where there are any.
    Ready,
}

/// A call with its expected outcome, the same for both backends.
struct Scenario {
    name: &'static str,
    tool: &'static str,
    arguments: Value,
    /// The object of the call, which the test reads afterwards.
    target: Option<Target>,
    then: Then,
    /// The end: HTTP status, the first word of the text for the agent, and the outcome of the job
    /// if there is one.
    ends: (u16, &'static str, Option<&'static str>),
    /// Parts of the text for the agent.
    told: &'static [&'static str],
}

fn deployment(name: &'static str) -> Option<Target> {
    Some(Target { kind: "Deployment", name })
}

fn config(name: &'static str) -> Option<Target> {
    Some(Target { kind: "ConfigMap", name })
}

fn scenarios() -> Vec<Scenario> {
    let of = |name: &str, more: Value| {
        let mut arguments = json!({"namespace": NAMESPACE, "name": name});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let image = "registry.example.com/storefront/web:2";
    let lint = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {}}])
    .to_string();
    let row = |name, tool, arguments, target, then, ends, told| Scenario {
        name,
        tool,
        arguments,
        target,
        then,
        ends,
        told,
    };
    let done = (200, "DONE", Some("succeeded"));
    vec![
        row(
            "scale",
            "deployment_scale",
            of("scaled", json!({"replicas": 5})),
            deployment("scaled"),
            Then::Nothing,
            done,
            &["spec.replicas: 3 → 5"],
        ),
        row(
            "restart",
            "deployment_restart",
            of("restarted", json!({})),
            deployment("restarted"),
            Then::Nothing,
            done,
            &["spec.template.metadata.annotations[\"kubectl.kubernetes.io/restartedAt\"]: \
               (absent) → \"TIME\""],
        ),
        row(
            "image_set",
            "image_set",
            of("imaged", json!({"container": "web", "image": image})),
            deployment("imaged"),
            Then::Nothing,
            done,
            &["spec.template.spec.containers[name=web].image: \
               \"registry.example.com/storefront/web:1\" → \
               \"registry.example.com/storefront/web:2\""],
        ),
        row(
            "config_set",
            "config_set",
            of("set", json!({"key": "LOG_LEVEL", "value": "debug"})),
            config("set"),
            Then::Nothing,
            done,
            &["data.LOG_LEVEL: \"info\" → \"debug\""],
        ),
        row(
            "config_set: a new key",
            "config_set",
            of("grown", json!({"key": "COLOUR", "value": "blue"})),
            config("grown"),
            Then::Nothing,
            done,
            &["data.COLOUR: (absent) → \"blue\""],
        ),
        row(
            "config_set: a key goes",
            "config_set",
            of("shrunk", json!({"key": "TIMEOUT", "value": null})),
            config("shrunk"),
            Then::Nothing,
            done,
            &["data.TIMEOUT: \"2500\" → (absent)"],
        ),
        row(
            "delete",
            "deployment_delete",
            of("deleted", json!({})),
            deployment("deleted"),
            Then::Signed,
            done,
            &[],
        ),
        row(
            "rollout",
            "deployment_rollout",
            of("rolled", json!({"container": "web", "image": image})),
            deployment("rolled"),
            Then::Ready,
            done,
            &["→ \"registry.example.com/storefront/web:2\""],
        ),
        row(
            "not found",
            "deployment_scale",
            of("nowhere", json!({"replicas": 5})),
            None,
            Then::Nothing,
            (422, "DECLINED", None),
            &["Nothing was changed."],
        ),
        row(
            "a container that is not there",
            "image_set",
            of("unfit", json!({"container": "sidecar", "image": image})),
            deployment("unfit"),
            Then::Nothing,
            (422, "DECLINED", None),
            &["Nothing was changed."],
        ),
        row(
            "denied on sight",
            "deployment_scale",
            of("unfit", json!({"replicas": 40})),
            deployment("unfit"),
            Then::Nothing,
            (403, "DENIED", None),
            &["by replicas-limit in lab", "Nothing was changed."],
        ),
        row(
            "changed behind an approval",
            "deployment_delete",
            of("drifted", json!({})),
            deployment("drifted"),
            Then::Changed,
            (200, "REFUSED", Some("refused")),
            &["`spec.replicas`", "was 3 and is 7"],
        ),
        row(
            "changed elsewhere behind an approval",
            "deployment_scale",
            of("labelled", json!({"replicas": 0})),
            deployment("labelled"),
            Then::Labelled,
            done,
            &[
                "Meanwhile: `metadata.labels.touched` of Deployment labelled in namespace \
                 contract was absent and is \"yes\" (ORIGIN).",
                "spec.replicas: 3 → 0",
            ],
        ),
        row(
            "changed where it was approved",
            "deployment_scale",
            of("moved", json!({"replicas": 0})),
            deployment("moved"),
            Then::Changed,
            (200, "REFUSED", Some("refused")),
            &["Why: `spec.replicas` of Deployment moved in namespace contract was 3 and is 7 \
               (ORIGIN); ask again."],
        ),
        row(
            "a Wasm command",
            "task_run",
            json!({"name": "lint", "command": lint_digest().to_string(), "input": lint}),
            None,
            Then::Signed,
            done,
            &["exit_code: (absent) → 0", r#"result: "{\"checked\":1,"#],
        ),
        row(
            "a Wasm command that fails",
            "task_run",
            json!({"name": "lint", "command": lint_digest().to_string(), "input": "no manifest"}),
            None,
            Then::Signed,
            (200, "FAILED", Some("failed")),
            &["exit code"],
        ),
        row(
            "a Wasm command that nobody accepted",
            "task_run",
            json!({"name": "lint", "command": format!("sha256:{}", "0".repeat(64))}),
            None,
            Then::Nothing,
            (422, "REFUSED", None),
            &["by command-unknown in lab", "Nothing was changed."],
        ),
    ]
}

fn lint_digest() -> ComponentDigest {
    ComponentDigest::of(&fs::read(assets().join("commands/manifest_lint.wasm")).unwrap())
}

fn said(body: &Value) -> String {
    body["text"]
        .as_str()
        .or(body["error"]["text"].as_str())
        .map_or_else(|| format!("{body:#}"), str::to_owned)
}

/// Texts for files alone, and the texts of a cluster in their place.
const TREE_ONLY: [(&str, &str); 3] = [
    (" in this tree", ""),
    (", or have a person rewrite that part of the file", ""),
    ("the tree is untouched", "nothing of it is in effect"),
];

/// A directory names the line of a field, a cluster its writer.
fn without_origins(line: &str) -> String {
    let mut parts = line.split(" (at `").flat_map(|part| part.split(" (by `"));
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| {
        line + " (ORIGIN)" + part.split_once("`)").map_or("", |(_, rest)| rest)
    })
}

/// Replaces the values that differ between calls and places by names: the call's id, digests of
/// plans (they include the environment), indexes of ledger entries, the file of an object, and the
/// time.
fn same(words: &str, call: &str) -> String {
    let words =
        TREE_ONLY.iter().fold(words.to_owned(), |words, (own, other)| words.replace(own, other));
    // Only a directory has files: the place of an object, and an edit without commit and rollout.
    let of_files =
        |line: &str| line.trim_start().starts_with("at ") || line.starts_with("Changed: edited ");
    let lines = words.lines().filter(|line| !of_files(line)).map(|line| {
        let line = if call.is_empty() { line.to_owned() } else { line.replace(call, "CALL") };
        let line = without_origins(&line);
        for head in ["Plan: ", "Ledger: "] {
            if line.starts_with(head) {
                return format!("{head}…");
            }
        }
        line.split('"')
            .map(|part| if part.parse::<jiff::Timestamp>().is_ok() { "TIME" } else { part })
            .collect::<Vec<_>>()
            .join("\"")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs a scenario. Returns all values that must be the same for both backends.
fn play(infrastructure: &Infrastructure, token: &str, scenario: &Scenario) -> Value {
    let installation = infrastructure.installation();
    let path = format!("/v1/tools/{}/preview", scenario.tool);
    let [one, two] =
        [(); 2].map(|()| installation.http("POST", &path, token, Some(&scenario.arguments)));
    assert_eq!(
        one.body["plan"], two.body["plan"],
        "{}: the same request, another digest",
        scenario.name
    );
    let call = ClusterInstallation::call_of(&one);
    let preview = same(&said(&one.body), &call);

    let answer = std::thread::scope(|scope| {
        let calling = scope.spawn(|| installation.call(token, scenario.tool, &scenario.arguments));
        match scenario.then {
            Then::Nothing => {}
            Then::Ready => infrastructure.become_ready(scenario.target.unwrap().name),
            Then::Signed | Then::Changed | Then::Labelled => {
                // A call that has a result waits for no person.
                let question = || {
                    installation.json(&["jobs", "--waiting"])["jobs"][0]["job"]["call"]
                        .as_str()
                        .map(str::to_owned)
                };
                let Some(call) = until("a question", || {
                    question().map(Some).or_else(|| calling.is_finished().then_some(None))
                }) else {
                    panic!(
                        "{} over {}: nobody was asked: {:#?}",
                        scenario.name,
                        infrastructure.name(),
                        calling.join().unwrap()
                    );
                };
                match scenario.then {
                    Then::Changed => infrastructure.change(scenario.target.unwrap().name),
                    Then::Labelled => infrastructure.label(scenario.target.unwrap().name),
                    _ => {}
                }
                installation.run(&[
                    "approve",
                    &call,
                    "--key",
                    text(&installation.key("bob")),
                    "--yes",
                ]);
            }
        }
        calling.join().unwrap()
    });
    let told = said(&answer.body);
    let call = ClusterInstallation::call_of(&answer);
    let (status, word, outcome) = scenario.ends;
    let context = || {
        format!(
            "{} over {}: {} {told}\n{}",
            scenario.name,
            infrastructure.name(),
            answer.status,
            installation.log()
        )
    };
    assert_eq!(answer.status, status, "{}", context());
    assert!(told.starts_with(&format!("{word} ")), "{}", context());
    let plain = same(&told, &call);
    for words in scenario.told {
        assert!(plain.contains(words), "not `{words}`: {}", context());
    }
    let view = outcome.map(|outcome| {
        let story = installation.closed(&call);
        assert_eq!(story["view"]["outcome"], outcome, "{}", context());
        assert_eq!(infrastructure.left_of(&call), Vec::<String>::new(), "{}", context());
        story
    });
    if outcome == Some("succeeded") {
        assert!(answer.body["result"]["operations"][0]["after"].is_object(), "{}", context());
    }
    json!({
        "preview": [one.status, preview],
        "answer": [answer.status, plain],
        "done": operations(&answer),
        "plan": view.as_ref().map(|story| plan(story, &one.body["plan"])),
        "events": view.as_ref().map(kinds),
        "object": scenario.target.map(|target| infrastructure.spec(target)),
    })
}

/// The effects, with the values before and after. The time is left out.
fn operations(answer: &Answer) -> Value {
    let found = answer.body["result"]["operations"].to_string();
    serde_json::from_str(&same(&found, "")).unwrap()
}

/// The plan in the ledger with the digest that the agent got, and its digest in one fixed
/// environment.
fn plan(story: &Value, told: &Value) -> Value {
    let mut plan = story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["payloads"]["plan"].clone())
        .find(Value::is_object)
        .unwrap();
    let digest = |plan: &Value| json!(ComponentDigest::of(canonical(plan).unwrap().as_bytes()));
    assert_eq!(digest(&plan), *told);
    assert_ne!(plan["environment"]["id"], Value::Null);
    plan["environment"] = Value::Null;
    json!([digest(&plan), plan])
}

/// The ledger entries of the call, in order.
fn kinds(story: &Value) -> Vec<Value> {
    story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"]["kind"].clone())
        .collect()
}

fn play_all(infrastructure: &Infrastructure) -> Vec<Value> {
    let token = infrastructure.installation().agent("release", "operator");
    let seen = scenarios()
        .iter()
        .map(|scenario| {
            let began = std::time::Instant::now();
            let seen = play(infrastructure, &token, scenario);
            println!("{} over {}: {:.1?}", scenario.name, infrastructure.name(), began.elapsed());
            seen
        })
        .collect();
    infrastructure.installation().verify_ledger();
    seen
}

/// The outcomes of all scenarios over a directory, made once for both tests.
fn over_a_directory() -> &'static Vec<Value> {
    static PLAYED: OnceLock<Vec<Value>> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let infrastructure = Infrastructure::directory();
        knows_the_command(infrastructure.installation());
        play_all(&infrastructure)
    })
}

/// The Wasm command that `init` accepted is the one that was built.
fn knows_the_command(installation: &TestInstallation) {
    let trust =
        Trust::parse(&fs::read_to_string(installation.home().join("trust/trust.toml")).unwrap())
            .unwrap();
    let command = trust.command(lint_digest()).unwrap();
    assert_eq!(command.name, "manifest_lint");
    let again = installation.home().join("plugins/commands/manifest_lint.wasm");
    assert_eq!(ComponentDigest::of(&fs::read(again).unwrap()), lint_digest());
}

#[test]
fn a_directory_keeps_the_contract() {
    over_a_directory();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_cluster_keeps_the_same_contract_as_a_directory() {
    let (directory, cluster) = std::thread::scope(|scope| {
        let one = scope.spawn(over_a_directory);
        let other = play_all(&Infrastructure::cluster());
        (one.join().unwrap(), other)
    });
    let mut differ = Vec::new();
    for ((scenario, one), other) in scenarios().iter().zip(directory).zip(&cluster) {
        if one != other {
            differ.push(format!("{}\n  directory: {one:#}\n  cluster: {other:#}", scenario.name));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
}
