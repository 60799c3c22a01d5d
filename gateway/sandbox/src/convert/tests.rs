//! Every size and form that the WIT names, within and beyond the limit.

use super::{definition, draft, refusal};
use crate::bindings::tool::types;
use crate::error::SandboxError;
use serde_json::json;

fn good() -> types::Definition {
    types::Definition {
        name: "deployment_scale".into(),
        version: "1.2.0".into(),
        title: "Scale".into(),
        description: "Scales a Deployment.".into(),
        input_schema: r#"{"type":"object"}"#.into(),
        output_schema: r#"{"type":"object"}"#.into(),
        ceiling: types::Ceiling {
            grants: vec![types::Grant {
                action: types::Action::Patch,
                group: "apps".into(),
                version: "v1".into(),
                kind: "Deployment".into(),
                namespaces: vec!["team-*".into(), "*".into(), "web".into()],
                fields: vec!["spec.replicas".into()],
            }],
            executors: vec!["sequential".into()],
        },
        examples: vec![types::Example {
            title: "Three".into(),
            arguments: "{}".into(),
            draft: "{}".into(),
        }],
    }
}

/// Changes a good definition. Expects a part of the refusal, or the empty text if the definition
/// stays good.
fn check(change: impl FnOnce(&mut types::Definition), expect: &str) {
    let mut said = good();
    change(&mut said);
    told(definition(said).map(drop), expect);
}

fn told(outcome: Result<(), SandboxError>, expect: &str) {
    match outcome {
        Ok(()) => assert_eq!(expect, "", "taken"),
        Err(error) => assert!(
            !expect.is_empty() && error.detail.contains(expect),
            "{error} instead of {expect:?}"
        ),
    }
}

#[test]
fn a_definition_keeps_the_forms_of_the_wit() {
    check(|_| (), "");
    for (name, expect) in [
        ("a", ""),
        ("", "not 1 to 64"),
        ("Scale", "not 1 to 64"),
        ("9lives", "not 1 to 64"),
        ("a-b", "not 1 to 64"),
    ] {
        check(|said| said.name = name.into(), expect);
    }
    check(|said| said.name = "a".repeat(64), "");
    check(|said| said.name = "a".repeat(65), "not 1 to 64");
    for version in ["1.2.0", "0.1.0-rc.1+build.7", "1.0.0+a-b"] {
        check(|said| said.version = version.into(), "");
    }
    for version in ["1.2", "v1.2.0", "1.02.0", "1.2.0-", "1.2.0+", "1.2.0-a..b", "1.2.0 ", ""] {
        check(|said| said.version = version.into(), "not a semantic version");
    }
    check(|said| said.title = "é".repeat(80), "");
    check(|said| said.title = "é".repeat(81), "title: it has 81 characters, at most 80");
    check(|said| said.title = " ".into(), "title: it is empty");
    check(|said| said.description = "x".repeat(2_001), "description: it has 2001 characters");
}

#[test]
fn a_text_has_no_character_that_a_reader_would_not_see() {
    for character in [
        '\u{202e}',
        '\u{200b}',
        '\u{feff}',
        '\u{e0041}',
        '\u{7}',
        '\n',
        '\u{ad}',
        '\u{2066}',
        '\u{3164}',
        '\u{fe0f}',
    ] {
        let name = format!("U+{:04X}", u32::from(character));
        check(|said| said.title.push(character), &name);
        check(|said| said.description.push(character), &name);
        check(|said| said.examples[0].title.push(character), &name);
        check(|said| said.ceiling.grants[0].kind.push(character), &name);
    }
    check(|said| said.description = "Größe → 3, 日本語, emoji 🙂".into(), "");
}

#[test]
fn a_schema_is_small_strict_and_whole() {
    let filled =
        |bytes: usize| format!(r#"{{"type":"object","title":"{}"}}"#, "x".repeat(bytes - 28));
    for (schema, expect) in [
        (filled(32 * 1024), ""),
        (filled(32 * 1024 + 1), "at most 32768"),
        (r#"{"type":"string"}"#.into(), "needs `\"type\": \"object\"`"),
        (r#"{"type":"object","type":"object"}"#.into(), "is there twice"),
        (
            r#"{"type":"object","properties":{"a":{"$ref":"https://example.com/a"}}}"#.into(),
            "leads outside it",
        ),
        (
            r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{}}}"##
                .into(),
            "",
        ),
        (
            r#"{"type":"object","properties":{"token":{"type":"string","writeOnly":true}}}"#.into(),
            "`writeOnly`",
        ),
    ] {
        check(|said| said.input_schema.clone_from(&schema), expect);
        check(|said| said.output_schema = schema, expect);
    }
}

#[test]
fn a_ceiling_names_what_it_permits() {
    check(
        |said| said.ceiling.grants[0].namespaces.push("team*s".into()),
        "neither a name nor a prefix",
    );
    check(
        |said| said.ceiling.grants[0].namespaces.push("Team".into()),
        "neither a name nor a prefix",
    );
    // The namespace of the run.
    check(|said| said.ceiling.grants[0].namespaces.push(String::new()), "");
    check(|said| said.ceiling.grants[0].action = types::Action::Delete, "leave `fields` empty");
    check(|said| said.ceiling.grants[0].group = String::new(), "");
    check(|said| said.ceiling.grants[0].kind = String::new(), "it is empty");
    check(
        |said| said.ceiling.grants = vec![said.ceiling.grants[0].clone(); 65],
        "65 grants, at most 64",
    );
    check(|said| said.examples[0].draft = "{".into(), "not strict JSON");
}

fn target() -> types::Target {
    types::Target {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespace: "team-a".into(),
        name: "web".into(),
    }
}

fn patch(path: &str, value: Option<&str>) -> types::Operation {
    let change = types::Change { path: path.into(), value: value.map(str::to_owned) };
    types::Operation::Patch(types::Patch { target: target(), changes: vec![change] })
}

fn step(operation: types::Operation, after: Vec<u32>) -> types::Step {
    types::Step { operation, after, reversible: true }
}

fn plan(operations: Vec<types::Step>, expect: &str) {
    let said = types::Draft {
        summary: "Scale web.".into(),
        executor: Some("sequential".into()),
        operations,
    };
    told(draft(said).map(drop), expect);
}

#[test]
fn a_draft_reads_as_the_json_that_examples_hold() {
    let said = types::Draft {
        summary: "Scale web.".into(),
        executor: Some("sequential".into()),
        operations: vec![
            step(patch("spec.replicas", Some("3")), vec![]),
            step(patch("spec.paused", None), vec![0]),
        ],
    };
    let target = json!({"group": "apps", "version": "v1", "kind": "Deployment",
    "namespace": "team-a", "name": "web"});
    let expect = json!({"summary": "Scale web.", "executor": "sequential", "operations": [
        {"action": "patch", "target": target, "changes": [{"path": "spec.replicas", "value": 3}],
        "after": [], "reversible": true},
        {"action": "patch", "target": target, "changes": [{"path": "spec.paused", "value": null}],
        "after": [0], "reversible": true},
    ]});
    assert_eq!(serde_json::to_value(draft(said).unwrap()).unwrap(), expect);
}

#[test]
fn a_draft_keeps_the_sizes_and_forms_of_the_wit() {
    plan(vec![], "");
    plan(vec![step(patch("a", Some("null")), vec![])], "leave the value out");
    plan(vec![step(patch("a", Some("{\"a\":1,\"a\":2}")), vec![])], "is there twice");
    plan(vec![step(patch("a", Some("9007199254740993")), vec![])], "beyond 2^53");
    plan(vec![step(patch("a", None), vec![0])], "waits for itself");
    plan(
        vec![step(patch("a", None), vec![]), step(patch("a", None), vec![0, 0])],
        "names an operation twice",
    );
    plan((0..65).map(|_| step(patch("a", None), vec![])).collect(), "65 operations, at most 64");
    let change = types::Change { path: "a".into(), value: None };
    plan(
        vec![step(
            types::Operation::Patch(types::Patch { target: target(), changes: vec![change; 33] }),
            vec![],
        )],
        "33 changes, at most 32",
    );
    plan(
        vec![step(patch("a", Some(&format!("\"{}\"", "x".repeat(262_144)))), vec![])],
        "at most 262144",
    );
    let cluster = types::Target { namespace: String::new(), ..target() };
    plan(vec![step(types::Operation::Delete(cluster), vec![])], "cluster-scoped kinds are refused");
    for (lines, expect) in
        [(0, "`lines` is 0; 1 to 1000"), (1, ""), (1_000, ""), (1_001, "`lines` is 1001")]
    {
        plan(
            vec![step(
                types::Operation::Logs(types::Logs { target: target(), container: None, lines }),
                vec![],
            )],
            expect,
        );
    }
    let apply = |object: &str| {
        types::Operation::Apply(types::Apply {
            place: types::Place::Ephemeral,
            object: object.into(),
        })
    };
    plan(vec![step(apply("{}"), vec![])], "");
    plan(vec![step(apply("[]"), vec![])], "not a JSON object");
    let task = |reference: String| {
        let program = types::Program::Image(types::Image { reference, arguments: vec![] });
        types::Operation::Task(types::Task {
            name: "a".into(),
            program,
            input: String::new(),
            seconds: 1,
        })
    };
    plan(vec![step(task(format!("a/b@sha256:{}", "0".repeat(64))), vec![])], "");
    plan(vec![step(task("a/b:latest".into()), vec![])], "no digest");
}

#[test]
fn a_refusal_is_two_short_sentences() {
    let said = |reason: &str| {
        refusal(types::Refusal { reason: reason.into(), remedy: "Name another.".into() }).map(drop)
    };
    told(said("No such thing."), "");
    told(said(""), "it is empty");
    told(said(&"x".repeat(501)), "at most 500");
    told(said("hid\u{202e}den"), "U+202E");
}
