//! A decision in a copy of the prepared memory is the decision of an instance that reads the data
//! document itself: for the shipped policies, over the inputs of their tests and generated worlds.

use super::{artefact, counted};
use crate::policy::Policy;
use crate::tests::encode::Built;
use cofferdam_core::protocol::role_guest::GuestKind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const DECISION: &str = "cofferdam/call/decision";
const LIST: &str = "cofferdam/list/visible";

/// Generated worlds for each policy.
const WORLDS: usize = 800;

fn shipped(name: &str) -> Option<(wasmtime::Engine, crate::engine::Ticker, Policy)> {
    let Some(folder) = std::env::var_os("COFFERDAM_ASSETS").map(PathBuf::from) else {
        eprintln!("skipped: set COFFERDAM_ASSETS to the folder of the built policies");
        return None;
    };
    let folder = folder.join(format!("policy-{name}"));
    let wasm = std::fs::read(folder.join("policy.wasm")).unwrap();
    let data = std::fs::read_to_string(folder.join("data.json")).unwrap();
    let (engine, ticker) = counted(GuestKind::Policy);
    let made = artefact(Built { kind: GuestKind::Policy, wasm }).unwrap();
    let policy = Policy::load(&engine, &made, &data).unwrap();
    Some((engine, ticker, policy))
}

/// The inputs of the Rego tests of `policies/example`.
fn inputs() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/example/testdata");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// A sequence of choices that is the same each time.
struct Choices(u64);

impl Choices {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

fn operation(choices: &mut Choices, index: usize) -> Value {
    let actions = ["patch", "apply", "delete", "read", "list", "logs", "task", "egress", "other"];
    let kinds = ["Deployment", "StatefulSet", "ConfigMap", "Service", "Pod", "Secret", "Job"];
    let paths = [
        "spec.replicas",
        "spec.template.spec.containers[name=web].image",
        "data.LOG_LEVEL",
        "spec.type",
        "spec.template.spec",
    ];
    let values = [
        json!(3),
        json!(40),
        json!(0),
        json!(null),
        json!(-1.5),
        json!("registry.example.com/web:2"),
        json!("nginx"),
        json!({"containers": [{"image": "nginx", "ports": [{"hostPort": 80}]}]}),
        json!(["\u{e9}\u{1f600}", {"secretRef": {"name": "s"}}]),
    ];
    let namespaces = ["storefront", "payments", "platform", "elsewhere", ""];
    let action = *choices.of(&actions);
    let changes: Vec<Value> = (0..choices.below(3))
        .map(|_| json!({"path": choices.of(&paths), "value": choices.of(&values).clone()}))
        .collect();
    json!({
        "index": index, "action": action, "group": choices.of(&["apps", "", "batch"]),
        "version": "v1", "kind": choices.of(&kinds), "resource": "things",
        "namespace": choices.of(&namespaces), "name": "web",
        "fields": if choices.below(3) == 0 { vec![*choices.of(&paths)] } else { vec![] },
        "changes": changes, "destructive": action == "delete",
        "executes_code": choices.below(3) == 0, "discloses": matches!(action, "read" | "list"),
        "removes_field": choices.below(4) == 0, "reversible": true,
    })
}

/// Changes the plan, the caller and the time of a question.
fn world(choices: &mut Choices, question: &Value) -> Value {
    let mut question = question.clone();
    let roles = ["viewer", "deployer", "operator", "no-such-role"];
    question["subject"]["properties"]["roles"] = json!([choices.of(&roles)]);
    let people = [json!("alice@example.com"), json!("carol@example.com"), json!("x"), json!(null)];
    question["subject"]["properties"]["for"] = choices.of(&people).clone();
    question["subject"]["type"] = json!(choices.of(&["agent", "anonymous"]));
    question["context"]["weekday"] = json!(choices.of(&["Tuesday", "Saturday"]));
    question["context"]["minute"] = json!(choices.below(1_440));
    if question.get("plan").is_some() {
        let count = choices.below(6);
        let operations: Vec<Value> = (0..count).map(|at| operation(choices, at)).collect();
        question["plan"]["operations"] = json!(operations);
    }
    if let Some(tools) = question.get_mut("tools").and_then(Value::as_array_mut) {
        tools.truncate(1 + choices.below(3));
    }
    // Now and then a question that is not whole.
    if choices.below(20) == 0 {
        let member = *choices.of(&["plan", "subject", "context", "preview", "tools"]);
        question.as_object_mut().unwrap().remove(member);
    }
    question
}

#[test]
fn a_prepared_decision_is_the_decision_of_a_plain_instance() {
    for name in ["example", "single"] {
        let Some((_engine, _ticker, policy)) = shipped(name) else { return };
        let first = policy.first_memory().expect("the shipped policies are prepared");
        let (inputs, mut choices) = (inputs(), Choices(12));
        let mut seen = std::collections::BTreeSet::new();
        let mut check = |file: &str, question: &Value| {
            let text = question.to_string();
            let entry = if file.starts_with("list") { LIST } else { DECISION };
            let decided = policy.evaluate(entry, &text);
            assert_eq!(decided, policy.evaluate_plainly(entry, &text), "{name} {file}: {text}");
            seen.insert(decided.unwrap());
        };
        inputs.iter().for_each(|(file, question)| check(file, question));
        for _ in 0..WORLDS {
            let (file, question) = choices.of(&inputs);
            check(file, &world(&mut choices, question));
        }
        assert!(seen.len() > 100, "{name}: only {} different answers", seen.len());
        // A decision leaves nothing for the next one.
        assert!(policy.first_memory() == Some(first), "{name}");
    }
}

#[test]
fn an_error_of_a_prepared_decision_is_that_of_a_plain_instance() {
    for name in ["example", "single"] {
        let Some((_engine, _ticker, policy)) = shipped(name) else { return };
        for text in ["", "{", "[1,2", "\u{0}", "{\"a\":\"\\ud800\"}", "nonsense"] {
            let plain = policy.evaluate_plainly(DECISION, text);
            assert_eq!(policy.evaluate(DECISION, text), plain, "{name}: {text:?}");
        }
    }
}
