//! Tests of a lost job's fate: what was recorded against what is there.

use super::*;
use cofferdam_core::model::id::ObjectDigest;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::preview::Rest;
use serde_json::json;

fn previewed(index: u32, expect: Expect, before: Value, after: Value) -> PreviewedOperation {
    let text = |text: &str| text.to_owned();
    PreviewedOperation {
        index,
        target: Target {
            group: text("apps"),
            version: text("v1"),
            kind: text("Deployment"),
            namespace: text("shop"),
            name: text("web"),
        },
        expect,
        before: serde_json::from_value(before).unwrap(),
        after: serde_json::from_value(after).unwrap(),
        place: String::new(),
        remarks: vec![],
        rest: Rest::default(),
    }
}

fn present() -> Expect {
    Expect::Present { uid: "u1".to_owned(), digest: ObjectDigest::of(b"") }
}

fn patch() -> PreviewedOperation {
    previewed(0, present(), json!({"spec.replicas": 3}), json!({"spec.replicas": 5}))
}

fn record(undo: bool, done: bool) -> OperationRecord {
    OperationRecord { index: 0, undo, before: BTreeMap::new(), after: done.then(BTreeMap::new) }
}

fn web(uid: &str, replicas: i64) -> Option<Value> {
    Some(json!({"metadata": {"uid": uid, "name": "web"}, "spec": {"replicas": replicas}}))
}

/// The state of one operation, as text.
#[track_caller]
fn check(
    operation: PreviewedOperation,
    recorded: &[OperationRecord],
    live: Option<Value>,
    expect: &str,
) {
    let preview = Preview { operations: vec![operation] };
    let is_open = !open(&preview, recorded).is_empty();
    let live = if is_open { BTreeMap::from([(0, live)]) } else { BTreeMap::new() };
    let fate = fate(&preview, recorded, &live);
    assert_eq!(fate.words(&preview), expect);
    let begun_undo = recorded.iter().any(|record| record.undo);
    assert_eq!(fate.is_complete(), expect.starts_with("in effect") && !begun_undo);
}

const NONE: &str = "nothing is in effect";
const DONE: &str = "in effect: operation 0 (Deployment web in namespace shop)";
const UNKNOWN: &str =
    "nothing is in effect; not known: operation 0 (Deployment web in namespace shop): ";

#[test]
fn a_patch_is_what_the_object_says() {
    check(patch(), &[], web("u1", 9), NONE);
    check(patch(), &[record(false, true)], None, DONE);
    let begun = [record(false, false)];
    check(patch(), &begun, web("u1", 3), NONE);
    check(patch(), &begun, web("u1", 5), DONE);
    check(
        patch(),
        &begun,
        web("u1", 4),
        &format!("{UNKNOWN}it is neither as before nor as approved"),
    );
    check(patch(), &begun, web("u2", 5), &format!("{UNKNOWN}another object has its name now"));
    check(patch(), &begun, None, &format!("{UNKNOWN}it is not there any more"));
}

#[test]
fn an_undo_takes_back_what_was_done() {
    check(patch(), &[record(false, true), record(true, true)], None, NONE);
    let begun = [record(false, true), record(true, false)];
    check(patch(), &begun, web("u1", 3), NONE);
    check(patch(), &begun, web("u1", 5), DONE);
    check(
        patch(),
        &begun,
        web("u1", 4),
        &format!("{UNKNOWN}it is neither as before nor as approved"),
    );
}

#[test]
fn deletes_and_applies() {
    let delete = || previewed(0, present(), json!({"spec.replicas": 3}), json!({}));
    let begun = [record(false, false)];
    check(delete(), &begun, None, DONE);
    check(delete(), &begun, web("u1", 3), NONE);
    check(delete(), &begun, web("u2", 3), &format!("{UNKNOWN}another object has its name now"));
    let create = || {
        previewed(0, Expect::Absent, json!({"spec.replicas": null}), json!({"spec.replicas": 5}))
    };
    check(create(), &begun, None, NONE);
    check(create(), &begun, web("u7", 5), DONE);
    check(
        create(),
        &begun,
        web("u7", 4),
        &format!("{UNKNOWN}it is neither as before nor as approved"),
    );
}

#[test]
fn values_that_only_the_lost_runner_knew_are_known_by_their_form() {
    let restart = || {
        let at = "spec.template.metadata.annotations[\"kubectl.kubernetes.io/restartedAt\"]";
        previewed(0, present(), json!({at: null}), json!({at: {"$host": "started_at"}}))
    };
    let live = |value: Value| {
        let annotations = json!({"kubectl.kubernetes.io/restartedAt": value});
        Some(json!({
            "metadata": {"uid": "u1"},
            "spec": {"template": {"metadata": {"annotations": annotations}}},
        }))
    };
    let begun = [record(false, false)];
    check(restart(), &begun, live(json!("2026-11-23T12:00:00Z")), DONE);
    check(restart(), &begun, live(json!(null)), NONE);
    check(
        restart(),
        &begun,
        live(json!("yesterday")),
        &format!("{UNKNOWN}it is neither as before nor as approved"),
    );
}

#[test]
fn what_does_not_show_may_still_come() {
    #[track_caller]
    fn check(recorded: &[OperationRecord], live: Option<Value>, expect: bool) {
        let preview = Preview { operations: vec![patch()] };
        assert_eq!(!fate(&preview, recorded, &BTreeMap::from([(0, live)])).open.is_empty(), expect);
    }
    let begun = [record(false, false)];
    check(&begun, web("u1", 3), true);
    check(&begun, web("u1", 4), true);
    check(&begun, None, true);
    check(&begun, web("u1", 5), false);
    // An undo that was begun is what may come.
    let undoing = [record(false, true), record(true, false)];
    check(&undoing, web("u1", 5), true);
    check(&undoing, web("u1", 3), false);
    // What is recorded has an answer.
    check(&[record(false, true)], web("u1", 3), false);
    check(&[record(false, true), record(true, true)], web("u1", 5), false);
    check(&[], web("u1", 3), false);
}

#[test]
fn what_went_into_the_runs_own_namespace_is_gone_with_it() {
    let mut task = previewed(0, Expect::Absent, json!({}), json!({"task.seconds": 5}));
    task.target.namespace = String::new();
    let preview = Preview { operations: vec![task] };
    // Nothing of it is left either way; done is done all the same.
    for (done, complete) in [(true, true), (false, false)] {
        let fate = fate(&preview, &[record(false, done)], &BTreeMap::new());
        assert_eq!((fate.words(&preview).as_str(), fate.is_complete()), (NONE, complete));
    }
}
