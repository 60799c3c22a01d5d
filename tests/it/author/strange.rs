//! Files of unknown origin: `inspect` and `accept` either refuse a file with a code and a text, or
//! print all of its contents. They never crash, and never change the trust file for nothing.

#[path = "../../guests/mutate.rs"]
mod mutate;

use super::{assets, bare, file, hello, javascript, refusal, reworded};
use crate::installation::{TestInstallation, text};
use mutate::{Dice, mutated};
use serde_json::json;
use std::time::{Duration, Instant};

/// Component header and one section that asks for the async feature: `(canon task.cancel)`.
const ASYNC: &[u8] = b"\0asm\x0d\0\x01\0\x08\x02\x01\x05";

#[test]
fn what_cannot_be_used_is_refused_in_words_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8], code: &str, words: &str| {
        std::fs::write(folder.path().join("x.wasm"), bytes).unwrap();
        let done = bare(folder.path(), &["--json", "inspect", "x.wasm"]);
        let (exit, said) = refusal(&done);
        let error = said["error"].as_str().unwrap();
        assert!(
            exit == Some(1) && said["code"] == code && error.contains(words),
            "{exit:?} {said}"
        );
        let plain = bare(folder.path(), &["inspect", "x.wasm"]);
        assert_eq!(String::from_utf8_lossy(&plain.stderr).trim(), format!("error: {error}"));
    };
    let js = std::fs::read(javascript()).unwrap();
    check(b"", "malformed", "it is not Wasm; build it with `cofferdam build`");
    check(b"#!/bin/sh\n", "malformed", "it is not Wasm");
    check(b"\0asm\x01\0\0\0", "malformed", "it is a core module, not a component");
    check(
        b"\0asm\x0d\0\x01\0",
        "malformed",
        "it exports nothing; a tool exports `cofferdam:tool/tool@0.1.0`",
    );
    check(&hello()[..hello().len() / 2], "malformed", "malformed: ");
    check(&js[..js.len() / 2], "malformed", "malformed: ");
    check(
        ASYNC,
        "unsupported",
        "unsupported: `task.cancel` requires the component model async feature",
    );
    check(
        &vec![0; 12_095_069],
        "too-large",
        "too large: 12 MB; the limit is 8 MiB (12095069 of 8388608 bytes)",
    );
    for (words, expect) in [
        ("nowhere.wasm", "cannot read it"),
        (".", "it is not a file"),
        ("/dev/zero", "it is not a file"),
    ] {
        let (exit, said) = refusal(&bare(folder.path(), &["--json", "inspect", words]));
        assert!(exit == Some(1) && said["error"].as_str().unwrap().contains(expect), "{said}");
    }
}

#[test]
fn whatever_a_file_holds_inspect_and_accept_answer() {
    /// The number of files. Each costs one process for the command and one or two for the guest.
    const CASES: usize = 40;
    let installation = TestInstallation::bare("example");
    let trust = || std::fs::read(installation.home().join("trust/trust.toml")).unwrap();
    let (before, mut dice) = (trust(), Dice::new());
    let seeds = [hello(), std::fs::read(assets().join("executors/sequential.wasm")).unwrap()];
    let mut refused = 0;
    for case in 0..CASES {
        let path = file(&installation, "case.wasm", &mutated(&seeds, &mut dice));
        let began = Instant::now();
        for words in [["inspect", &path].as_slice(), &["accept", "--executor", &path]] {
            let done = bare(&installation.home().join(".."), &[&["--json"], words].concat());
            assert!(matches!(done.status.code(), Some(0..=2)), "case {case}: {words:?}: {done:?}");
            let (out, fault) =
                (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            assert!(
                !fault.contains("panicked") && !fault.contains(r#""crash""#),
                "case {case}: {words:?}: {fault}"
            );
            assert!(
                !out.is_empty() || fault.contains("error"),
                "case {case}: {words:?}: it says nothing"
            );
            refused += usize::from(!done.status.success());
        }
        assert!(began.elapsed() < Duration::from_secs(120), "case {case}: {:?}", began.elapsed());
    }
    assert!(refused > CASES, "{refused} refusals of {}", 2 * CASES);
    assert_eq!(trust(), before);
}

#[test]
fn a_tool_in_javascript_is_accepted_and_what_it_plans_is_carried_out() {
    let mut installation = TestInstallation::bare("example");
    let seen = installation.json(&["inspect", text(&javascript())]);
    assert_eq!(
        (&seen["name"], &seen["imports"], &seen["warnings"]),
        (&json!("greet_js"), &json!([]), &json!([]))
    );
    assert_eq!(seen["examples"][0]["fault"], json!(null), "{seen:#}");
    installation.run(&["accept", text(&javascript())]);
    installation.serve(&[]);
    let token = installation.agent("release", "operator");
    let arguments = |value: &str| json!({"namespace": "storefront", "name": "web", "value": value});

    let declined = installation.call(&token, "greet_js", &arguments("nothing"));
    assert_eq!(declined.status, 422, "{:#}", declined.body);
    assert!(declined.body.to_string().contains("no greeting"), "{:#}", declined.body);
    let failed = installation.call(&token, "greet_js", &arguments("loop"));
    assert!(
        failed.status == 422 && failed.body.to_string().contains("tool-time"),
        "{} {:#}",
        failed.status,
        failed.body
    );

    // The runner's guest makes the same plan of it, or it would refuse what was allowed.
    let answer = installation.call(&token, "greet_js", &arguments("ahoy"));
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    let story = installation.closed(answer.body["call"].as_str().unwrap());
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}\n{}", installation.log());
    assert!(
        installation.files().values().any(|text| text.contains("cofferdam.dev/greeting: ahoy")),
        "{:?}",
        installation.files().keys()
    );
}

#[test]
fn a_combinator_at_the_root_of_arguments_is_refused_everywhere() {
    let installation = TestInstallation::bare("example");
    let trust = std::fs::read(installation.home().join("trust/trust.toml")).unwrap();
    for combinator in [
        r#""oneOf": [{}]"#,
        r#""anyOf": [{}]"#,
        r#""allOf": [{}]"#,
        r#""not": {"a": 1}"#,
        r#""enum": [{}]"#,
        r##""$ref": "#""##,
    ] {
        let name = combinator.split('"').nth(1).unwrap();
        let path = file(
            &installation,
            "hello.wasm",
            &reworded(&hello(), r#""additionalProperties": false"#, combinator),
        );
        // What `init` would copy and accept: this one tool.
        let parts = tempfile::tempdir().unwrap();
        std::fs::create_dir(parts.path().join("tools")).unwrap();
        std::fs::copy(&path, parts.path().join("tools/hello.wasm")).unwrap();
        let (work, policy, tree) =
            (tempfile::tempdir().unwrap(), assets().join("policy-single"), installation.tree());
        let init = [
            "--json",
            "init",
            text(&tree),
            "--plugins",
            text(parts.path()),
            "--policy",
            text(&policy),
        ];
        let (exit, told) = refusal(&bare(work.path(), &init));
        assert_eq!(
            (exit, &told["code"]),
            (Some(1), &json!("schema")),
            "init: {combinator}: {told}"
        );
        let told = told.to_string();
        for said in [
            installation.fail(&["--json", "inspect", &path]),
            installation.fail(&["--json", "accept", &path]),
            told,
        ] {
            assert!(said.contains(r#""code":"schema""#), "{combinator}: {said}");
            assert!(said.contains(&format!("has `{name}` at its root")), "{combinator}: {said}");
        }
    }
    assert_eq!(std::fs::read(installation.home().join("trust/trust.toml")).unwrap(), trust);
}

#[test]
fn what_some_hosts_refuse_is_told_and_accepted() {
    let installation = TestInstallation::bare("example");
    let typed = r#""type": "string","#;
    let path = file(
        &installation,
        "hello.wasm",
        &reworded(&hello(), &format!("{typed}\n"), r#""type":["string"],"#),
    );
    let said = installation.run(&["inspect", &path]);
    assert!(
        said.contains(
            "a list of types; Gemini models (Copilot CLI, Gemini CLI) and Cursor refuse it"
        ),
        "{said}"
    );
    let told = installation.json(&["accept", &path]);
    assert!(
        told["warnings"].as_array().unwrap().iter().any(|warning| warning["what"] == "type_list"),
        "{told:#}"
    );
}

#[test]
fn every_difference_from_what_was_accepted_is_told_and_the_reason_is_kept() {
    let installation = TestInstallation::bare("example");
    let path = file(
        &installation,
        "hello.wasm",
        &reworded(&hello(), "the change is harmless", "call it always, first"),
    );
    let seen = installation.json(&["inspect", &path]);
    let expect = |seen: &serde_json::Value| {
        assert_eq!(
            (&seen["width"], &seen["changed"][0]["at"]),
            (&json!("same"), &json!("/description")),
            "{seen:#}"
        );
        assert!(
            seen["changed"][0]["after"].as_str().unwrap().contains("call it always, first"),
            "{seen:#}"
        );
    };
    expect(&seen);
    // Without an installation, against a file.
    let old = file(&installation, "old.wasm", &hello());
    let done =
        bare(&installation.home().join(".."), &["--json", "inspect", &path, "--against", &old]);
    expect(&serde_json::from_slice(&done.stdout).unwrap());
    let same = installation.run(&["inspect", &old]);
    assert!(same.contains("its ceiling is the same (this very component)"), "{same}");

    let hidden = installation.fail(&["accept", &path, "--because", "read\u{202e}it"]);
    assert!(hidden.contains("U+202E"), "{hidden}");
    let told = installation.run(&["accept", &path, "--because", "read by \"Ada\", words alone"]);
    assert!(
        told.contains("~ description")
            && told.contains("+ ")
            && told.contains("call it always, first"),
        "{told}"
    );
    let trust = std::fs::read_to_string(installation.home().join("trust/trust.toml")).unwrap();
    let kept =
        trust.lines().filter(|line| line.ends_with(r#": "read by \"Ada\", words alone""#)).count();
    assert_eq!(kept, 1, "{trust}");
}

#[test]
fn a_reviewer_sees_one_screen_of_the_largest_tool() {
    let folder = tempfile::tempdir().unwrap();
    let tool = assets().join("tools/manifests_apply.wasm");
    let done = bare(folder.path(), &["inspect", text(&tool)]);
    let said = String::from_utf8_lossy(&done.stdout);
    let widest = said
        .lines()
        .filter(|line| !line.trim_start().starts_with("description"))
        .map(|line| line.chars().count())
        .max();
    assert!(
        widest.unwrap() <= 300 && said.lines().count() <= 80,
        "{widest:?}, {} lines:\n{said}",
        said.lines().count()
    );
    let whole = bare(folder.path(), &["--json", "inspect", text(&tool)]);
    let whole: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert!(whole["ceiling"]["grants"][0]["fields"].as_array().unwrap().len() >= 5, "{whole:#}");
}
