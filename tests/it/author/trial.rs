//! `cofferdam try`: checks a tool that is not accepted against schema, ceiling, policy and the real
//! tree. It changes and records nothing.

use super::{bare, file, hello, javascript, reworded};
use crate::installation::{TestInstallation, text};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ARGUMENTS: &str = r#"{"namespace": "storefront", "name": "web", "greeting": "Ahoy"}"#;

/// Every file below a folder with its bytes.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else if path.is_file() {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_trial_shows_draft_decision_and_change_and_leaves_nothing() {
    let installation = TestInstallation::bare("example");
    installation.agent("release", "operator");
    let (home, tree) = (everything(&installation.home()), installation.files());
    // Another component than the accepted one.
    let path = file(
        &installation,
        "other.wasm",
        &reworded(&hello(), "the change is harmless", "the change is little"),
    );
    let said = installation.run(&["try", &path, "--args", ARGUMENTS]);
    for words in [
        "\"summary\": \"Greet Deployment storefront/web with \\\"Ahoy\\\"\"",
        "Ceiling: the draft lies within it",
        "What `release` would be told if this tool were accepted",
        "PREVIEW ",
        "metadata.annotations[\"cofferdam.dev/greeting\"]: (absent) → \"Ahoy\"",
        "Decision: allowed by role-deployer",
    ] {
        assert!(said.contains(words), "not `{words}`:\n{said}");
    }
    assert!(!said.contains("Ledger:"), "{said}");
    let told = installation.json(&[
        "try",
        text(&javascript()),
        "--args",
        r#"{"namespace": "storefront", "name": "web", "value": "a"}"#,
    ]);
    assert_eq!(
        (&told["answer"]["decision"], &told["agent"]),
        (&json!("allow"), &json!("release")),
        "{told:#}"
    );
    // A look is done: it changes nothing.
    let list = crate::installation::assets().join("tools/workloads_list.wasm");
    let said = installation.run(&["try", text(&list), "--args", r#"{"namespace": "storefront"}"#]);
    assert!(said.contains("LOOKED ") && said.contains("web"), "{said}");
    assert_eq!((everything(&installation.home()), installation.files()), (home, tree));
}

#[test]
fn a_trial_tells_each_fault_as_an_agent_would_read_it() {
    let installation = TestInstallation::bare("example");
    let path = file(&installation, "hello.wasm", &hello());
    let check = |words: &[&str], expect: &[&str]| {
        let said = installation.fail(&[&["try", path.as_str()], words].concat());
        assert!(expect.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    };
    check(&["--args", ARGUMENTS, "--agent", "stranger"], &["there is no agent `stranger`"]);
    check(&["--args", "{"], &["`--args` is not a JSON object"]);
    check(&["--args", "[]"], &["`--args` is not a JSON object: it is another value"]);
    installation.agent("triage", "viewer");
    // What policy does not show to a role does not exist for it.
    check(
        &["--args", ARGUMENTS],
        &[
            "Ceiling: the draft lies within it",
            "unknown tool: hello; policy does not show it to `triage` (roles: viewer)",
        ],
    );
    installation.agent("release", "operator");
    check(&["--args", ARGUMENTS], &["say which agent asks, with `--agent`: `triage`, `release`"]);
    let release = |arguments: &'static str, expect: &[&str]| {
        check(&["--agent", "release", "--args", arguments], expect)
    };
    release(
        r#"{"namespace": "storefront", "name": "web"}"#,
        &["Error: the arguments do not fit the schema", "BAD ARGUMENTS"],
    );
    release(
        r#"{"namespace": "storefront", "name": "web", "greeting": " "}"#,
        &["the tool refuses: the greeting is blank", "DECLINED ", "by hello in shop"],
    );
    release(
        r#"{"namespace": "storefront", "name": "nothing", "greeting": "Ahoy"}"#,
        &["DECLINED ", "nothing"],
    );
}

#[test]
fn without_an_installation_a_trial_shows_draft_and_ceiling() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.wasm"), hello()).unwrap();
    let done = bare(folder.path(), &["--json", "try", "hello.wasm", "--args", ARGUMENTS]);
    assert!(done.status.success(), "{done:?}");
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&told["draft"]["operations"][0]["action"], &told["fault"]),
        (&json!("patch"), &json!(null)),
        "{told:#}"
    );
    assert!(told.get("answer").is_none(), "{told:#}");
    let done = bare(folder.path(), &["try", "hello.wasm", "--args", r#"{"namespace": "a"}"#]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
}
