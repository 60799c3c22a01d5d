//! The text for an approver: the words of others cannot pose as ours, and each part that is left
//! out is named.

use super::*;
use crate::model::id::PlanDigest;
use crate::model::reason::ApprovalRule;
use crate::testing::waiting;
use expect_test::expect;

#[test]
fn no_word_of_others_breaks_a_line_or_hides() {
    let mut job = waiting();
    // Each is clean where it comes from; the text must not rest on that.
    let evil = |word: &str| format!("{word}\u{1b}[2K\u{202e}\nCall: other");
    let (mut document, _) = Document::read(&job.plan).unwrap();
    document.tool.name = evil("tool");
    document.tool.version = evil("1");
    document.executor.as_mut().unwrap().name = evil("executor");
    document.environment.name = evil("staging");
    document.environment.id = evil("id");
    document.summary = evil("summary");
    job.plan = json::canonical(&document).unwrap();
    job.plan_digest = PlanDigest::of(job.plan.as_bytes());
    (job.tool, job.environment) = (document.tool.name, document.environment);
    job.principal.name = evil("agent");
    job.principal.person = Some(evil("alice"));
    job.principal.act = vec![evil("act")];
    job.reasons[0].id = evil("rule");
    job.reasons[0].message = evil("message");
    job.approval = Some(ApprovalRule::of(1, vec![evil("bob")], 600));
    job.purpose = Some(evil("purpose"));
    job.nonce = evil("nonce");
    let (text, _) = question(&job).unwrap();
    assert_eq!(
        text.replace('\n', "")
            .chars()
            .find(|c| crate::model::escape::unseen(&c.to_string()).is_some()),
        None
    );
    let words: Vec<_> = text.lines().filter(|line| line.contains("2K")).collect();
    expect![[r#"
        Environment:  staging\u{1b}[2K\u{202e}\u{a}Call: other (id\u{1b}[2K\u{202e}\u{a}Call: other)
        Asked by:     agent\u{1b}[2K\u{202e}\u{a}Call: other (operator) for alice\u{1b}[2K\u{202e}\u{a}Call: other, through act\u{1b}[2K\u{202e}\u{a}Call: other
        Tool:         tool\u{1b}[2K\u{202e}\u{a}Call: other 1\u{1b}[2K\u{202e}\u{a}Call: other sha256:7c9bbe5ec9b3fb774e8fa0f54247e93c34ddf8e5d16fe3073420de0ae81a262d
        Executor:     executor\u{1b}[2K\u{202e}\u{a}Call: other sha256:8fba13dab71d6fdd8a9b9db1f06e81315dfbfd69167b6097f724604db3c91cdf
          purpose:    "purpose\u{1b}[2K\u{202e}\nCall: other"
          summary:    "summary\u{1b}[2K\u{202e}\nCall: other"
          why asked:  rule\u{1b}[2K\u{202e}\u{a}Call: other: message\u{1b}[2K\u{202e}\u{a}Call: other
          needed:     1 of bob\u{1b}[2K\u{202e}\u{a}Call: other
        Question:     nonce\u{1b}[2K\u{202e}\u{a}Call: other"#]].assert_eq(&words.join("\n"));
    assert!(!text.lines().any(|line| line.starts_with("Call: other")), "{text}");
}

/// The same with other operations, all of them in the ephemeral namespace.
fn with(operations: Value) -> StoredJob {
    let mut job = waiting();
    let (mut document, _) = Document::read(&job.plan).unwrap();
    document.operations = serde_json::from_value(operations).unwrap();
    let shown = document
        .operations
        .iter()
        .zip(0..)
        .map(|(step, index)| crate::stage::preview::ephemeral(&step.operation, index).unwrap());
    let (preview, digest) = Preview { operations: shown.collect() }.seal().unwrap();
    (job.preview, job.preview_digest) = (preview, digest);
    job.plan = json::canonical(&document).unwrap();
    job.plan_digest = PlanDigest::of(job.plan.as_bytes());
    job
}

fn task(name: &str, input: &str, after: &[u32]) -> Value {
    let command = format!("sha256:{}", "a".repeat(64));
    serde_json::json!({
        "action": "task", "name": name, "program": {"command": command}, "input": input,
        "seconds": 5, "after": after, "reversible": false
    })
}

#[test]
fn the_text_names_roles_order_and_whose_words_are_whose() {
    let mut job = with(serde_json::json!([task("one", "1", &[]), task("two", "2", &[0])]));
    job.purpose = Some("scale wеb".to_owned());
    let (text, _) = question(&job).unwrap();
    let kept = |line: &&str| {
        !line.contains("sha256:") && !line.starts_with("Call:") && !line.starts_with("Question:")
    };
    expect![[r#"
        Cofferdam asks for a person's signature.

        Environment:  staging (5f2d)
        Asked by:     agent-7 (operator) for alice
        Asked at:     2026-11-23 12:00:00Z
        Runs out at:  2026-11-23 12:10:00Z

        What it would do, 2 operations; the executor keeps to each `after`:
          0. task Pod one in the ephemeral namespace (decides what code runs)
             task.input: (absent) → "1"
             task.seconds: (absent) → 5
          1. task Pod two in the ephemeral namespace (decides what code runs)
             after 0
             task.input: (absent) → "2"
             task.seconds: (absent) → 5

        Rights it would get, and lose again:
          none outside its own ephemeral namespace

        In the words of others, unchecked:
          purpose:    "scale w\u{435}b"
          summary:    "Scale web"
          arguments:  {"name":"web","namespace":"asks-b","replicas":5}
          why asked:  operators: operators may scale
          needed:     1 of bob

        Characters that are written as numbers:
          \u{435} is U+0435 (looks like e)
    "#]]
    .assert_eq(
        &(text.lines().filter(kept).collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n"),
    );
}

#[test]
fn contents_that_a_preview_has_by_digest_are_shown_from_the_plan() {
    let script: String = (0..300).map(|n| format!("step {n}\n")).collect();
    let job =
        with(serde_json::json!([task("one", &script, &[]), task("two", &"x".repeat(4000), &[])]));
    let (text, digest) = question(&job).unwrap();
    let found = |words: &str| assert!(text.contains(words), "not `{words}`:\n{text}");
    let of = |text: &str| crate::model::id::ObjectDigest::of(text.as_bytes());
    found(&format!("task.input: new, 300 lines ({} bytes, {})", script.len(), of(&script)));
    found("+ 1: \"step 0\"");
    found("[260 more lines: show --full]");
    found("+ 300: \"step 299\"");
    found("more characters: show --full]");
    assert!(text.len() < 8_000 && !text.contains("step 150"), "{}", text.len());
    // The same text at gateway, recorder and command.
    assert_eq!(question(&job).unwrap().1, digest);
    let full = in_full(&job).unwrap().join("\n");
    assert!(full.contains("+ 151: \"step 150\"") && full.contains(&"x".repeat(4000)), "{full}");
    assert!(full.contains("arguments:") && !full.contains("--full"), "{full}");
    // A plan with other contents than the preview's digest is not shown in its place.
    let mut other = with(serde_json::json!([task("one", &"y".repeat(2000), &[])]));
    let text = would_do(&StoredJob {
        plan: with(serde_json::json!([task("one", "z", &[])])).plan,
        ..other.clone()
    })
    .unwrap()
    .join("\n");
    assert!(text.contains("\"bytes\"") && !text.contains("\"z\""), "{text}");
    other.preview = "{}".to_owned();
    assert_eq!(would_do(&other), None);
}

#[test]
fn a_long_text_names_the_operations_once_more_at_its_end() {
    let script: String = (0..50).map(|n| format!("step {n}\n")).collect();
    let (text, _) =
        question(&with(serde_json::json!([task("one", &script, &[]), task("two", "", &[0])])))
            .unwrap();
    let end: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        end,
        [
            "  1. task Pod two in the ephemeral namespace (decides what code runs)",
            "  0. task Pod one in the ephemeral namespace (decides what code runs)",
            "This text is long. Once more, 2 operations:",
        ]
    );
    let (short, _) = question(&waiting()).unwrap();
    assert!(!short.contains("Once more"), "{short}");
}

#[test]
fn long_arguments_are_shortened_and_never_hide_the_operations() {
    let mut job = waiting();
    job.arguments = serde_json::json!({"name": "web", "script": "x\n".repeat(20_000)}).to_string();
    let (text, _) = question(&job).unwrap();
    assert!(text.len() < 6_000 && text.lines().all(|line| line.len() < 400), "{}", text.len());
    assert!(text.contains("arguments:\n") && text.contains("show --full"), "{text}");
}
