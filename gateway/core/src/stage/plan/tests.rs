//! Tests of plan and hash: one accepted draft, and one changed thing at a time.

use super::*;
use crate::model::ceiling::{Ceiling, Grant};
use crate::model::document::Document;
use crate::model::facts::overwrites_code;
use crate::model::id::ComponentDigest;
use crate::model::operation::Action;
use crate::model::path::FieldPath;
use crate::stage::seal::{SealedPlan, seal};
pub(crate) use crate::testing::environment;
use proptest::prelude::*;
use serde_json::{Value, json};

fn grant(action: Action, group: &str, kind: &str, namespaces: &[&str], fields: &[&str]) -> Grant {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Grant {
        action,
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespaces: owned(namespaces),
        fields: owned(fields),
    }
}

/// The fields of a whole Deployment that the tool may write.
const APPLIED: &[&str] = &[
    "spec.replicas",
    "spec.template.spec.containers[*].name",
    "spec.template.spec.containers[*].image",
    "spec.template.spec.containers[*].ports",
    "spec.template.spec.containers[*].volumeMounts",
    "spec.template.spec.containers[*].volumeMounts[*].name",
    "spec.template.spec.containers[*].volumeMounts[*].mountPath",
];

/// One destination, as a ceiling names it.
const WAY_OUT: &str = r#"egress.addresses["203.0.113.0/24 tcp 443"]"#;

pub(crate) fn tool() -> TrustedTool {
    let image = "spec.template.spec.containers[*].image";
    let note = r#"metadata.annotations["example.com/at"]"#;
    TrustedTool {
        name: "deployment_scale".into(),
        version: "0.1.0".into(),
        digest: ComponentDigest::of(b"tool"),
        ceiling: Ceiling {
            grants: vec![
                grant(
                    Action::Patch,
                    "apps",
                    "Deployment",
                    &["team-*", "prod"],
                    &["spec.replicas", "spec.paused", image, note],
                ),
                grant(Action::Patch, "", "ConfigMap", &["team-*"], &["data.*"]),
                grant(Action::Delete, "apps", "Deployment", &["team-*"], &[]),
                grant(Action::Apply, "", "ConfigMap", &["team-*", ""], &["data.*"]),
                grant(Action::Apply, "apps", "Deployment", &[""], APPLIED),
                grant(Action::Task, "", "Pod", &[""], &[]),
                grant(
                    Action::Egress,
                    "networking.k8s.io",
                    "NetworkPolicy",
                    &[""],
                    &["egress.siblings", WAY_OUT, "egress.addresses.*"],
                ),
                grant(Action::Logs, "", "Pod", &["team-*"], &[]),
                grant(
                    Action::List,
                    "apps",
                    "Deployment",
                    &["*"],
                    &["metadata.name", "spec.replicas"],
                ),
            ],
            executors: vec!["sequential".into(), "missing".into()],
        },
    }
}

pub(crate) fn executors() -> Vec<TrustedExecutor> {
    vec![TrustedExecutor { name: "sequential".into(), digest: ComponentDigest::of(b"executor") }]
}

pub(crate) fn step(operation: Value) -> Value {
    let mut value = operation;
    value["after"] = json!([]);
    value["reversible"] = json!(false);
    value
}

pub(crate) fn deployment(namespace: &str, name: &str) -> Value {
    json!({"group": "apps", "version": "v1", "kind": "Deployment", "namespace": namespace,
    "name": name})
}

pub(crate) fn scale(namespace: &str, replicas: u32) -> Value {
    step(json!({"action": "patch", "target": deployment(namespace, "web"),
        "changes": [{"path": "spec.replicas", "value": replicas}]}))
}

pub(crate) fn draft(operations: Vec<Value>) -> Draft {
    let looks = operations
        .iter()
        .all(|operation| matches!(operation["action"].as_str(), Some("read" | "list" | "logs")));
    let executor = if looks { Value::Null } else { json!("sequential") };
    serde_json::from_value(
        json!({"summary": "Scale web", "executor": executor, "operations": operations}),
    )
    .unwrap()
}

pub(crate) fn sealed(operations: Vec<Value>) -> Result<SealedPlan, PlanError> {
    seal(draft(operations), &tool(), &executors(), &json!({"replicas": 5}), &environment())
}

fn check(operations: Vec<Value>, expect: &str) {
    let got = sealed(operations)
        .map_or_else(|error| format!("{}: {error}", error.code()), |_| "sealed".to_owned());
    assert!(got.contains(expect), "{got}");
}

#[test]
fn a_sealed_plan_reads_as_its_document() {
    let sealed = sealed(vec![scale("team-a", 5)]).unwrap();
    let (document, digest) = Document::read(sealed.text()).unwrap();
    assert_eq!(digest, sealed.digest());
    let executor = sealed.plan().executor().map(|executor| executor.name.clone());
    assert_eq!(document.executor.map(|executor| executor.name), executor);
    assert_eq!(document.tool.name, sealed.plan().tool().name);
    assert_eq!(document.operations, sealed.operations());
    assert_eq!(document.summary, sealed.plan().summary());
    assert_eq!(document.environment, environment());
}

fn patch(path: &str, value: Value) -> Value {
    step(
        json!({"action": "patch", "target": deployment("team-a", "web"), "changes": [{"path": path,
        "value": value}]}),
    )
}

#[test]
fn drafts_beyond_the_ceiling_name_the_missing_line() {
    check(vec![scale("team-a", 5)], "sealed");
    check(
        vec![scale("other", 5)],
        "beyond-ceiling: operation 0 is beyond the tool's ceiling, which lacks the line: patch \
         apps/v1 Deployment in namespace other",
    );
    check(
        vec![patch("spec.strategy", json!({}))],
        "lacks the line: patch apps/v1 Deployment field spec.strategy",
    );
    check(
        vec![step(json!({"action": "delete", "target": deployment("prod", "web")}))],
        "lacks the line: delete apps/v1 Deployment in namespace prod",
    );
    check(
        vec![step(json!({"action": "read", "target": deployment("team-a", "web"),
            "fields": ["spec.replicas"]}))],
        "lacks the line: read apps/v1 Deployment",
    );
}

#[test]
fn what_no_plan_may_have_is_refused_whatever_the_ceiling() {
    check(vec![scale("kube-system", 5)], "protected");
    check(vec![patch("metadata.finalizers", json!([]))], "identity, ownership or status");
    check(vec![patch("metadata", json!({}))], "identity, ownership or status");
    check(vec![patch("metadata.ownerReferences", json!([]))], "identity, ownership or status");
    check(vec![patch("status.replicas", json!(1))], "identity, ownership or status");
    check(vec![patch("spec.replicas", json!({"a": [null]}))], "holds a null");
    check(vec![patch("spec.replicas", json!({"$host": "token"}))], "host value other");
    check(vec![patch("spec.replicas", json!({"$host": "call_id", "x": 1}))], "host value other");
    check(
        vec![patch(r#"metadata.annotations["example.com/at"]"#, json!({"$host": "started_at"}))],
        "sealed",
    );
    check(vec![patch("spec.template.spec.containers[*].image", json!("x"))], "more than one field");
    check(vec![patch("spec.template.spec.containers[name=web].image", json!("x"))], "sealed");
    check(
        vec![step(
            json!({"action": "patch", "target": deployment("team-a", "web"), "changes": []}),
        )],
        "0 changes",
    );
    check(vec![scale("team-a", 5), scale("team-a", 6)], "another operation changes, too");
    let list = json!({"action": "list", "group": "apps", "version": "v1", "kind": "Deployment",
    "namespace": "team-a", "fields": ["metadata.name"], "limit": 10});
    check(vec![step(list.clone())], "sealed");
    check(vec![scale("team-a", 5), step(list.clone())], "both reads and changes");
    let mut many = list;
    many["limit"] = json!(501);
    check(vec![step(many)], "not within 1 to 500");
    let mut late = scale("team-a", 5);
    late["after"] = json!([0]);
    check(vec![late], "waits for itself");
    let object = |metadata: Value| {
        step(json!({"action": "apply", "place": {"namespace": "team-a"},
            "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": {"a": "b"}}}))
    };
    check(vec![object(json!({"name": "c"}))], "sealed");
    check(vec![object(json!({"generateName": "c"}))], "metadata.generateName");
    check(vec![object(json!({"name": "c", "finalizers": []}))], "metadata.finalizers");
    check(vec![object(json!({"name": "c", "namespace": "team-b"}))], "another namespace");
    check(
        vec![object(json!({"name": "c", "labels": {"a": "b"}}))],
        "lacks the line: apply v1 ConfigMap field metadata.labels.a",
    );
    let ours =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cofferdam-task-0"}});
    check(
        vec![step(json!({"action": "apply", "place": "ephemeral", "object": ours}))],
        "as the host's own do",
    );
    check(
        vec![step(json!({"action": "apply", "place": {"namespace": "team-a"}, "object": ours}))],
        "sealed",
    );
    let secret = json!({"action": "apply", "place": {"namespace": "team-a"},
    "object": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}});
    check(vec![step(secret)], "Secrets are never");
}

#[test]
fn whole_objects_are_held_against_the_ceiling_leaf_by_leaf() {
    let apply = |place: Value, container: Value| {
        let spec = json!({"replicas": 2, "template": {"spec": {"containers": [container]}}});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web"}, "spec": spec});
        step(json!({"action": "apply", "place": place, "object": object}))
    };
    let plain = || json!({"name": "web", "image": "web:1"});
    check(vec![apply(json!("ephemeral"), plain())], "sealed");
    check(
        vec![apply(json!({"namespace": "team-a"}), plain())],
        "lacks the line: apply apps/v1 Deployment in namespace team-a",
    );
    let with = |key: &str, value: Value| {
        let mut container = plain();
        container[key] = value;
        vec![apply(json!("ephemeral"), container)]
    };
    check(with("ports", json!([{"containerPort": 80}])), "sealed");
    check(with("command", json!(["sh"])), "field spec.template.spec.containers[name=web].command");
    check(
        with("ports", json!([{"name": "http", "containerPort": 80}])),
        "field spec.template.spec.containers[name=web].ports[name=http]",
    );
    let mount = |path: &str| json!({"name": "data", "mountPath": path});
    check(with("volumeMounts", json!([mount("/a")])), "sealed");
    // One volume twice: no path tells the two apart, so the list is one leaf.
    check(with("volumeMounts", json!([mount("/a"), mount("/b")])), "sealed");
    check(
        with("env", json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),
        "field spec.template.spec.containers[name=web].env",
    );
}

#[test]
fn policy_sees_what_an_applied_object_says() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
    "data": {"a.b": "x", "c": "y"}});
    let sealed =
        sealed(vec![step(json!({"action": "apply", "place": "ephemeral", "object": object}))])
            .unwrap();
    let fact = &sealed.facts()[0];
    let changes: Vec<_> = fact
        .changes
        .iter()
        .map(|change| (change.path.as_str(), change.value.clone().unwrap()))
        .collect();
    assert_eq!(changes, [(r#"data["a.b"]"#, json!("x")), ("data.c", json!("y"))]);
    assert!(fact.fields.is_empty() && !fact.removes_field && fact.namespace.is_empty());
}

#[test]
fn tasks_and_logs_are_a_pods() {
    let image = format!("registry.example.com/check@sha256:{}", "0a".repeat(32));
    let task = |name: &str, program: Value, seconds: u32| {
        step(json!({"action": "task", "name": name, "program": program, "input": "",
            "seconds": seconds}))
    };
    let by_image = || json!({"image": {"reference": image.clone(), "arguments": []}});
    check(vec![task("check", by_image(), 60)], "sealed");
    check(
        vec![task("check", json!({"image": {"reference": "check:1", "arguments": []}}), 60)],
        "not named by digest",
    );
    check(vec![task("check", by_image(), 0)], "not within 1 to 3600");
    check(vec![task("Check", by_image(), 60)], "not an object's name");
    check(
        vec![task("check", by_image(), 60), task("check", by_image(), 60)],
        "names Pod check in the ephemeral namespace, which another",
    );
    let facts = sealed(vec![task("check", by_image(), 60)]).unwrap().facts()[0].clone();
    assert!(facts.executes_code && facts.kind == "Pod" && facts.namespace.is_empty());
    let changes: Vec<_> = facts
        .changes
        .iter()
        .map(|change| (change.path.as_str(), change.value.clone().unwrap()))
        .collect();
    assert_eq!(
        changes,
        [
            ("task.image", json!(image)),
            ("task.arguments", json!([])),
            ("task.input", json!("")),
            ("task.seconds", json!(60))
        ]
    );
    let logs = |namespace: &str, kind: &str, lines: u32| {
        let group = if kind == "Pod" { "" } else { "apps" };
        let target = json!({"group": group, "version": "v1", "kind": kind, "namespace": namespace,
        "name": "web-1"});
        vec![step(json!({"action": "logs", "target": target, "container": "web", "lines": lines}))]
    };
    check(logs("team-a", "Pod", 10), "sealed");
    check(logs("other", "Pod", 10), "lacks the line: logs v1 Pod in namespace other");
    check(logs("team-a", "Deployment", 10), "logs are a Pod's");
    check(logs("team-a", "Pod", 1_001), "not within 1 to 1000");
}

#[test]
fn ways_out_are_named_one_by_one() {
    let to = |to: Value| step(json!({"action": "egress", "to": to}));
    let block =
        |block: &str| to(json!({"addresses": {"block": block, "protocol": "tcp", "port": 443}}));
    check(vec![to(json!("siblings")), block("203.0.113.0/24"), block("198.51.100.7/32")], "sealed");
    check(
        vec![to(json!("name-service"))],
        "lacks the line: egress networking.k8s.io/v1 NetworkPolicy field egress.name-service",
    );
    check(vec![to(json!("siblings")), to(json!("siblings"))], "another operation changes, too");
    check(vec![block("0.0.0.0/0")], "as good as everything");
    let mut undone = block("203.0.113.0/24");
    undone["reversible"] = json!(true);
    check(vec![undone], "cannot be reversible");
    let fact = sealed(vec![block("203.0.113.0/24")]).unwrap().facts()[0].clone();
    assert_eq!((fact.namespace.as_str(), fact.name.as_str()), ("", "203.0.113.0/24 tcp 443"));
    assert!(!fact.executes_code && !fact.discloses && !fact.destructive);
    let value = json!({"block": "203.0.113.0/24", "protocol": "tcp", "port": 443});
    assert_eq!(
        fact.changes,
        [crate::model::operation::Change { path: WAY_OUT.to_owned(), value: Some(value) }]
    );
    assert_eq!(
        crate::text::operation(&fact),
        "0. egress to 203.0.113.0/24 tcp 443 from the ephemeral namespace"
    );
}

fn task(program: Value) -> Value {
    step(json!({"action": "task", "name": "probe", "program": program, "input": "{}",
        "seconds": 30}))
}

#[test]
fn tasks_run_images_by_digest_and_accepted_commands_alone() {
    let image =
        |reference: &str| task(json!({"image": {"reference": reference, "arguments": ["-v"]}}));
    let digest = ComponentDigest::of(b"command");
    check(vec![image(&format!("registry.example:5000/a/probe@{digest}"))], "sealed");
    check(vec![image(&format!("registry.example/probe:1.2@{digest}"))], "sealed");
    for odd in ["probe:1.2", "@DIGEST", "a b@DIGEST", "a\n@DIGEST", "a@DIGEST@DIGEST"] {
        let odd = odd.replace("DIGEST", &digest.to_string());
        check(
            vec![image(&odd)],
            "operation-refused: operation 0: its program is not named by digest",
        );
    }
    check(
        vec![task(json!({"image": {"reference": format!("a@{digest}"), "arguments": ["\0"]}}))],
        "no process can be given",
    );
    check(
        vec![task(
            json!({"image": {"reference": format!("a@{digest}"), "arguments": vec!["a"; 65]}}),
        )],
        "more than 64 arguments",
    );
    check(vec![task(json!({"command": "lint"}))], "not named by digest");
    let mut long = task(json!({"command": digest}));
    long["seconds"] = json!(3_601);
    check(vec![long], "not within 1 to 3600");
    check(
        vec![task(json!({"command": digest}))],
        "command-unknown: operation 0 runs the command `sha256:",
    );

    let commands =
        |name: &str, digest: ComponentDigest| vec![TrustedCommand { name: name.into(), digest }];
    let sealed = |commands: &[TrustedCommand]| {
        let accepted = Accepted { executors: &executors(), commands };
        seal(
            draft(vec![task(json!({"command": digest}))]),
            &tool(),
            accepted,
            &json!({}),
            &environment(),
        )
        .map(drop)
    };
    assert_eq!(sealed(&commands("lint", digest)), Ok(()));
    assert_eq!(
        sealed(&commands("lint", ComponentDigest::of(b"other"))).unwrap_err().code(),
        "command-unknown"
    );
}

#[test]
fn executors_and_summaries_are_checked() {
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut changed = draft(vec![scale("team-a", 5)]);
        change(&mut changed);
        seal(changed, &tool(), &executors(), &json!({}), &environment())
            .map_or_else(|error| error.to_string(), |_| "sealed".to_owned())
    };
    assert!(with(&|draft| draft.executor = None).contains("names no executor"));
    assert!(
        with(&|draft| draft.executor = Some("other".into())).contains("not in the tool's ceiling")
    );
    assert!(
        with(&|draft| draft.executor = Some("missing".into())).contains("no operator has accepted")
    );
    assert!(with(&|draft| draft.summary = "a\u{202e}b".into()).contains("U+202E"));
    assert!(with(&|draft| draft.summary = "x".repeat(201)).contains("201 characters"));
    assert!(
        with(&|draft| draft.operations = vec![draft.operations[0].clone(); 65])
            .contains("65 operations")
    );
}

#[test]
fn facts_are_the_hosts_own() {
    let facts = |operation: Value| sealed(vec![operation]).unwrap().facts()[0].clone();
    let scale = facts(scale("team-a", 5));
    assert!(!scale.destructive && !scale.executes_code && !scale.discloses && !scale.removes_field);
    assert_eq!((scale.resource.as_str(), scale.changes.len()), ("deployments", 1));
    assert!(
        facts(patch("spec.template.spec.containers[name=web].image", json!("x"))).executes_code
    );
    assert!(facts(patch("spec.paused", Value::Null)).removes_field);
    assert!(
        facts(step(json!({"action": "delete", "target": deployment("team-a", "web")}))).destructive
    );
}

#[test]
fn code_is_more_than_images() {
    let template = &["spec", "template", "spec"][..];
    let check = |path: &str, expect: bool| {
        assert_eq!(overwrites_code(template, &FieldPath::parse(path).unwrap()), expect, "{path}")
    };
    for code in [
        "spec",
        "spec.template",
        "spec.template.spec",
        "spec.template.spec.volumes",
        "spec.template.spec.containers[name=a].env[name=LD_PRELOAD].value",
        "spec.template.spec.initContainers[name=a]",
        "spec.template.spec.serviceAccountName",
    ] {
        check(code, true);
    }
    for plain in [
        "spec.replicas",
        "spec.template.metadata",
        "spec.template.spec.containers[name=a].resources.limits.cpu",
        "spec.template.spec.nodeSelector.zone",
    ] {
        check(plain, false);
    }
}

proptest! {
    #[test]
    fn same_request_same_digest_and_another_is_another(a in 0u32..1000, b in 0u32..1000) {
        let digest = |replicas: u32| sealed(vec![scale("team-a", replicas)]).unwrap().digest();
        prop_assert_eq!(digest(a), digest(a));
        prop_assert_eq!(digest(a) == digest(b), a == b);
    }

    #[test]
    fn the_order_of_keys_is_no_difference(entries in prop::collection::btree_map("[a-z]{1,5}",
    0u32..9, 1..6)) {
        let text = |order: Vec<(&String, &u32)>| {
            let members: Vec<_> = order.into_iter().map(|(key,
            value)| format!("{key:?}: {value}")).collect();
            crate::model::json::strict(format!("{{{}}}", members.join(", ")).as_bytes()).unwrap()
        };
        let digest = |arguments: &Value| seal(draft(vec![scale("team-a", 1)]), &tool(),
        &executors(), arguments, &environment()).unwrap().digest();
        prop_assert_eq!(digest(&text(entries.iter().collect())),
        digest(&text(entries.iter().rev().collect())));
    }

    #[test]
    fn a_sealed_plan_lies_under_its_ceiling(namespace in "[a-z]{1,4}(-[a-z]{1,3})?",
    field in "spec\\.[a-z]{1,8}") {
        let operation = step(json!({"action": "patch", "target": deployment(&namespace, "web"),
        "changes": [{"path": field, "value": 1}]}));
        if let Ok(plan) = sealed(vec![operation]) {
            let fact = &plan.facts()[0];
            prop_assert!(fact.namespace.starts_with("team-") || fact.namespace == "prod");
            prop_assert!(["spec.replicas", "spec.paused"].contains(&fact.changes[0].path.as_str()));
        }
    }
}

#[test]
fn a_members_name_is_no_part_of_the_path_language() {
    let mut tool = tool();
    let fields = [
        "spec.template.spec.containers[*].name",
        "spec.template.spec.containers[*].command",
        "spec.template.spec.containers[*].resources.limits.*",
    ];
    let tried = |fields: &[&str], tool: &mut TrustedTool, name: &str, key: &str| {
        tool.ceiling.grants = vec![grant(Action::Apply, "apps", "Deployment", &[""], fields)];
        let containers = json!([{"name": name, key: ["sh"]}]);
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web"},
            "spec": {"template": {"spec": {"containers": containers}}}});
        let operation = step(json!({"action": "apply", "place": "ephemeral", "object": object}));
        seal(draft(vec![operation]), tool, &executors(), &json!({}), &environment())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let odd = [
        "x].resources[\"limits\"",
        "x].resources.limits.y[name=z",
        "x]",
        "[name=x]",
        "*",
        "a b",
        "a=b",
        "",
        "x\u{202e}",
        "x\"",
        "x\n",
    ];
    // Within the ceiling by its plain name, and refused for the name alone.
    tried(&fields, &mut tool, "x", "command").unwrap();
    tried(&[fields[0], fields[2]], &mut tool, "x", "command").unwrap_err();
    for name in odd {
        for fields in [&fields[..], &[fields[0], fields[2]]] {
            let refused = tried(fields, &mut tool, name, "command").unwrap_err();
            assert!(refused.contains("has no spelling"), "{name:?}: {refused}");
        }
    }
    // A key of a map may be anything: it is quoted.
    for key in ["a.b", "*", "x]", "[name=x]", "a\"b", ""] {
        let path = FieldPath::of(
            ["data", key].map(|key| crate::model::path::Segment::Key(key.to_owned())).to_vec(),
        )
        .unwrap();
        assert_eq!(FieldPath::parse(&path.to_string()), Ok(path));
    }
}
