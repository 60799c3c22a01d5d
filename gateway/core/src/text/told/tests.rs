//! Text and structure of every kind of answer are held against each other: each fact of a line
//! stands in the structure too.

use super::super::{
    accepted, already_done, calls, job_reply, pending, read_results, replayed, succeeded,
    withdrawal,
};
use crate::journey::ports::no_progress;
use crate::journey::{Mode, Wait, ask, cancel, resume};
use crate::model::answer::{Proof, Reply, Success};
use crate::model::call::OwnCall;
use crate::model::id::{CallId, PlanDigest};
use crate::model::job::{JobView, Note, OperationRecord, Planned, Said};
use crate::model::left_out::{LeftOut, Place};
use crate::model::reason::{ApprovalRule, Audience, Reason};
use crate::model::run::{Outcome, Phase};
use crate::model::statement::Verdict;
use crate::testing::*;
use proptest::prelude::{Strategy as _, any, prop};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The words of the frame: everything else in a text is a fact.
const FRAME: [&str; 33] = [
    "Left",
    "out",
    "in",
    "as",
    "Environment",
    "Compared",
    "Meanwhile",
    "Why",
    "Allowed",
    "Needed",
    "until",
    "Next",
    "Plan",
    "Ledger",
    "Tool",
    "Would",
    "Changed",
    "Decision",
    "Summary",
    "the",
    "tool's",
    "words",
    "Operations",
    "Rights",
    "viewer's",
    "no",
    "job",
    "gets",
    "any",
    "at",
    "asked",
    "operation",
    "result",
];

/// Characters of a fact that could be within any word.
const SHORT: usize = 4;

/// Collects the values of the structure, in the words of the text.
fn facts(value: &Value, into: &mut Vec<String>) {
    into.push(crate::text::value(Some(value)));
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| facts(item, into)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            into.push(name.clone());
            into.push(crate::model::escape::line(name));
            facts(member, into);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the parts of a text that are in no member of the structure.
fn missing(text: &str, structured: &Value) -> Vec<String> {
    let mut known = Vec::new();
    facts(structured, &mut known);
    if let Some(state) = structured["state"].as_str() {
        known.push(state.to_uppercase());
    }
    // A field that one of both states lacks.
    known.push("(absent)".to_owned());
    known.retain(|fact| !fact.is_empty());
    known.sort_by_key(|fact| std::cmp::Reverse(fact.len()));
    let unknown = |line: &str| {
        let mut rest = line.to_owned();
        if let Ok(Value::Object(shown)) = serde_json::from_str::<Value>(line) {
            return shown
                .iter()
                .filter(|(name, value)| structured.get(name) != Some(value))
                .map(|(name, _)| name.clone())
                .collect();
        }
        // A short fact is taken as a word of its own: the letter `e` is in every word.
        for fact in known.iter().filter(|fact| fact.chars().count() > SHORT) {
            rest = rest.replace(fact.as_str(), " ");
        }
        let words = |text: &str| {
            let split = text
                .split(|c: char| c.is_whitespace() || ":;,.()→".contains(c))
                .filter(|word| !word.is_empty());
            split.map(str::to_owned).collect::<Vec<_>>()
        };
        let short: Vec<String> = known
            .iter()
            .filter(|fact| fact.chars().count() <= SHORT)
            .flat_map(|fact| words(fact))
            .collect();
        words(&rest)
            .into_iter()
            .filter(|word| !FRAME.contains(&word.as_str()) && !short.contains(word))
            .collect::<Vec<_>>()
    };
    text.lines().flat_map(unknown).collect()
}

fn check(text: &str, structured: &Value) {
    let missing = missing(text, structured);
    assert!(missing.is_empty(), "not in the structure: {missing:?}\n{text}\n{structured:#}");
}

fn check_success(success: &Success) {
    check(&success.text, &success.structured);
    for name in ["state", "call", "environment", "plan", "ledger"] {
        assert!(success.structured.get(name).is_some(), "{name}: {:#}", success.structured);
    }
}

fn check_reply(reply: &Reply) {
    match reply {
        Reply::Success(success) => check_success(success),
        Reply::Listed(listed) => check(&listed.text, &listed.structured),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_comparison_sees_what_is_missing() {
    let told = json!({"state": "done", "call": "abc", "environment": "shop"});
    assert_eq!(missing("DONE abc in shop", &told), Vec::<String>::new());
    assert_eq!(
        missing("DONE abc in shop\nspec.replicas: 3 → 5", &told),
        ["spec", "replicas", "3", "5"]
    );
    assert_eq!(missing("DONE abd in shop", &told), ["abd"]);
}

#[test]
fn whole_journeys_say_the_same_in_both() {
    let host = Bench::new();
    let call = |arguments, mode| {
        now_or_never(ask(&host, &world(), raw(&host, arguments), mode, &no_progress))
    };
    for (arguments, mode) in [
        (scale("team-a", 5), Mode::Call),
        (scale("team-a", READS), Mode::Call),
        (scale("asks-b", 5), Mode::Call),
        (scale("team-a", DELETES), Mode::Preview),
        (scale("asks-b", 7), Mode::Preview),
        (scale("team-a", 7), Mode::Preview),
        (scale("team-a", READS), Mode::Preview),
    ] {
        check_reply(&call(arguments, mode));
    }
    let waiting = call(scale("asks-b", 6), Mode::Call);
    let Reply::Success(Success { structured, complete: false, .. }) = &waiting else {
        panic!("{waiting:?}")
    };
    assert_eq!(structured["state"], "waiting");
    assert_eq!(structured["what"], "patch Deployment web in namespace asks-b");
    assert_eq!(
        (&structured["needed"], &structured["until"]),
        (&json!("1 of bob"), &json!("2026-11-23T12:10:00Z"))
    );
    for name in ["tool", "why", "allowed", "next", "changed"] {
        assert!(structured[name].is_string(), "{name}: {structured:#}");
    }
    let job = host.jobs.lock().unwrap().last().unwrap().0.clone();
    let statement = host.sign(&job, "bob", Verdict::Approve);
    host.jobs.lock().unwrap().last_mut().unwrap().0.statements.push(statement);
    now_or_never(resume(&host, &world(), 0)).unwrap();
    let wait = Wait { ms: 0, person_ms: 0, progress: &no_progress };
    let done = now_or_never(crate::journey::job(&host, &world(), &agent(), &job.call, wait));
    check_reply(&done);
    let Reply::Success(Success { structured, text, .. }) = &done else { panic!("{done:?}") };
    assert_eq!(
        structured["operations"][0]["what"], "patch Deployment web in namespace asks-b",
        "named after an approval too"
    );
    assert_eq!(structured["edited"], json!(["team/web.yaml"]));
    assert!(
        text.contains("\nChanged: edited team/web.yaml; not committed, not rolled out\n"),
        "{text}"
    );
    assert!(
        matches!(now_or_never(cancel(&host, &world(), &agent(), &job.call)), Reply::Refused(_)),
        "too late"
    );
    check_reply(&now_or_never(crate::journey::calls(&host, &world(), &agent(), false, 2)));
}

#[test]
fn a_preview_that_is_denied_says_why() {
    let host = Bench::new();
    let mut deep = raw(&host, scale("asks-b", 5));
    deep.caller.principal.person = None;
    check_reply(&now_or_never(ask(&host, &world(), deep, Mode::Preview, &no_progress)));
}

#[test]
fn generated_answers_say_the_same_in_both() {
    // Words of every kind: with the frame's own, with quotes, line ends and what cannot be seen.
    let word = || prop::string::string_regex("[a-zA-Z0-9 :.;→\"\n\u{202e}ä-]{1,24}").unwrap();
    let value = || {
        proptest::prop_oneof![
            word().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            proptest::strategy::Just(Value::Null),
        ]
    };
    let fields = move || prop::collection::btree_map("k[0-9]{1,6}(\\.k[0-9]{1,6})?", value(), 0..4);
    let record = (any::<bool>(), fields(), fields());
    let strategy = (
        prop::collection::vec((record, word(), word()), 0..4),
        word(),
        word(),
        any::<bool>(),
        0..6_usize,
    );
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    runner
        .run(&strategy, |(steps, one, other, cluster, phase)| {
            let mut job = generated(steps, &one, &other, cluster);
            let done = JobView { outcome: Some(Outcome::Succeeded), ..job.clone() };
            check_success(&succeeded(&done));
            check_success(&already_done(&done, 12_000));
            check_reply(&replayed(&done));
            check_reply(&withdrawal(&JobView {
                outcome: Some(Outcome::Cancelled),
                operations: Vec::new(),
                ..job.clone()
            }));
            job.phase = [
                Phase::AwaitingApproval,
                Phase::Queued,
                Phase::Leased,
                Phase::Prepared,
                Phase::Acting,
                Phase::TearingDown,
            ][phase];
            check_success(&pending(&job));
            check_reply(&withdrawal(&job));
            check_reply(&job_reply(&job));
            Ok(())
        })
        .unwrap();
}

type Fields = BTreeMap<String, Value>;

/// True if the runner was lost, before and after; what it is called; and where it is.
type Step = ((bool, Fields, Fields), String, String);

fn generated(steps: Vec<Step>, one: &str, other: &str, cluster: bool) -> JobView {
    let index = |at: usize| u32::try_from(at).unwrap();
    let planned = steps.iter().enumerate().map(|(at, (_, words, _))| Planned {
        index: index(at),
        words: words.clone(),
        ephemeral: false,
        executes_code: false,
        remarks: vec![],
    });
    let operations =
        steps.iter().enumerate().map(|(at, ((lost, before, after), ..))| OperationRecord {
            index: index(at),
            undo: false,
            before: before.clone(),
            after: (!lost).then(|| after.clone()),
        });
    let mut environment = some_view().environment;
    if cluster {
        environment.id = "0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d".to_owned();
    }
    let reason = Reason {
        id: "r".to_owned(),
        message: one.to_owned(),
        remedy: other.to_owned(),
        audience: Audience::User,
    };
    let said = Said { operation: Some(0), text: one.to_owned(), skipped: 2 };
    JobView {
        files: steps.iter().map(|(_, _, place)| place.clone()).collect(),
        planned: planned.collect(),
        operations: operations.collect(),
        environment,
        tool: other.to_owned(),
        reasons: vec![reason],
        approval: Some(ApprovalRule::of(2, vec![one.to_owned(), other.to_owned()], 60)),
        progress: vec![Note { number: 3, said }],
        ..some_view()
    }
}

#[test]
fn looks_lists_and_the_unreadable_say_the_same_in_both() {
    let proof =
        || Proof { call: some_view().call, plan: Some(PlanDigest::of(b"plan")), ledger: Some(7) };
    check_success(&read_results(
        vec![json!({"items": [{"metadata.name": "web \u{202e}"}], "truncated": false})],
        (
            &LeftOut::default(),
            vec!["namespace shop is given by `namespace` in prod/kustomization.yaml:2".to_owned()],
        ),
        None,
        proof(),
        &environment(),
    ));
    let left_out: LeftOut =
        (0..30).map(|at| Place::new(format!("{at}.yaml"), at, "is a link")).collect();
    check_success(&read_results(
        vec![json!({"items": []})],
        (&left_out, vec![]),
        None,
        proof(),
        &environment(),
    ));
    check_success(&read_results(
        Vec::new(),
        (&LeftOut::default(), vec![]),
        Some("It is noon."),
        proof(),
        &environment(),
    ));
    check_success(&accepted(&some_view().call, &environment()));
    let own = |number: u128, phase, outcome| OwnCall {
        call: CallId::from_random(number),
        tool: "deployment_scale".to_owned(),
        what: vec!["patch Deployment web in namespace team-a".to_owned()],
        phase,
        outcome,
        asked: noon(),
    };
    let some = [
        own(1, Phase::AwaitingApproval, None),
        own(2, Phase::Acting, None),
        own(3, Phase::Closed, Some(Outcome::Succeeded)),
        own(4, Phase::Closed, Some(Outcome::Failed)),
    ];
    for (listed, more, open) in
        [(&some[..], true, false), (&some[..2], false, true), (&[], false, true)]
    {
        let listed = calls(listed, more, open, &environment());
        check(&listed.text, &listed.structured);
    }
}
