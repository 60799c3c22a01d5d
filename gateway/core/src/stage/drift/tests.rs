//! Differences between two looks at one object: a story for each kind of change.

use super::*;
use crate::model::id::ObjectDigest;
use crate::model::operation::Target;
use crate::model::preview::Rest;
use crate::model::preview::{Origin, Remark, RemarkKind};
use crate::text::difference::sentence;
use serde_json::json;

fn fields(value: &Value) -> Fields {
    BTreeMap::from([("spec.replicas".to_owned(), value.clone())])
}

fn preview(uid: &str, state: &str, before: &Value, after: &Value, place: &str) -> Preview {
    let text = |text: &str| text.to_owned();
    Preview {
        operations: vec![PreviewedOperation {
            index: 0,
            target: Target {
                group: text("apps"),
                version: text("v1"),
                kind: text("Deployment"),
                namespace: text("shop"),
                name: text("web"),
            },
            expect: if uid.is_empty() {
                Expect::Absent
            } else {
                Expect::Present { uid: text(uid), digest: ObjectDigest::of(state.as_bytes()) }
            },
            before: fields(before),
            after: fields(after),
            place: text(place),
            remarks: vec![],
            rest: Rest::default(),
        }],
    }
}

fn compared(approved: &Preview, now: &Preview) -> Result<Option<String>, String> {
    let (text, digest) = approved.seal().unwrap();
    agree(&text, digest, now).map(|outside| sentence(&outside))
}

/// Checks the difference that stops the job, or the one that is named in its outcome.
fn check(now: &Preview, expect: Result<Option<&str>, &str>) {
    let approved = preview("u", "s", &json!(3), &json!(5), "");
    assert_eq!(
        compared(&approved, now),
        expect.map(|named| named.map(str::to_owned)).map_err(str::to_owned)
    );
}

#[test]
fn what_an_approval_is_over_stops_the_job_and_what_is_not_is_named() {
    check(&preview("u", "s", &json!(3), &json!(5), ""), Ok(None));
    check(
        &preview("u", "t", &json!(4), &json!(5), ""),
        Err("`spec.replicas` of Deployment web in namespace shop was 3 and is 4"),
    );
    check(
        &preview("u", "t", &json!(null), &json!(5), ""),
        Err("`spec.replicas` of Deployment web in namespace shop was 3 and is absent"),
    );
    let elsewhere =
        "Deployment web in namespace shop was changed in a field that the plan does not name";
    check(&preview("u", "t", &json!(3), &json!(5), ""), Ok(Some(elsewhere)));
    check(&preview("u", "t", &json!(3), &json!(5), "web.yaml:9"), Ok(Some(elsewhere)));
    check(
        &preview("v", "s", &json!(3), &json!(5), ""),
        Err("Deployment web in namespace shop is another object now"),
    );
    check(
        &preview("", "", &json!(3), &json!(5), ""),
        Err("Deployment web in namespace shop is gone"),
    );
    check(
        &preview("u", "s", &json!(3), &json!(6), ""),
        Err("`spec.replicas` of Deployment web in namespace shop would become 6 instead of 5"),
    );
    check(&preview("u", "s", &json!(3), &json!(5), "web.yaml:4"), Ok(None));
}

#[test]
fn what_another_file_says_since_is_named_and_another_line_is_nothing() {
    let remark = |line| {
        Remark::new(RemarkKind::Overridden, "spec.replicas")
            .by("replicas", format!("prod/k.yaml:{line}"))
    };
    let with = |remarks| {
        let mut shown = preview("u", "s", &json!(3), &json!(5), "");
        shown.operations[0].remarks = remarks;
        shown
    };
    let told = "of Deployment web in namespace shop, `spec.replicas` is set again by `replicas` \
                in prod/k.yaml:7; this change has no effect there";
    check(&with(vec![remark(7)]), Ok(Some(told)));
    assert_eq!(compared(&with(vec![remark(3)]), &with(vec![remark(7)])), Ok(None));
    assert_eq!(compared(&with(vec![remark(3)]), &with(vec![])), Ok(None));
}

#[test]
fn a_file_that_is_not_read_any_more_stops_no_job_about_another() {
    let unread = Remark::new(RemarkKind::Unread, "").by("is UTF-16 or UTF-32", "b.yaml:1");
    let told = "of Deployment web in namespace shop, b.yaml:1 is UTF-16 or UTF-32; a second copy \
                of this object in it would not be seen";
    let shown = |is_delete: bool, remarks: &[&Remark]| {
        let mut shown = preview("u", "s", &json!(3), &json!(5), "");
        if is_delete {
            shown.operations[0].after.clear();
        }
        shown.operations[0].remarks = remarks.iter().copied().cloned().collect();
        shown
    };
    for is_delete in [false, true] {
        assert_eq!(
            compared(&shown(is_delete, &[]), &shown(is_delete, &[&unread])),
            Ok(Some(told.to_owned())),
            "{is_delete}"
        );
    }
    // Any other remark that is new stops a delete.
    let other =
        Remark::new(RemarkKind::Finalized, "metadata.finalizers").with(json!("example.com/keep"));
    assert!(compared(&shown(true, &[]), &shown(true, &[&unread, &other])).is_err());
}

#[test]
fn a_delete_is_over_the_whole_object() {
    let delete = |state| {
        let mut shown = preview("u", state, &json!(3), &json!(null), "");
        shown.operations[0].after.clear();
        shown
    };
    assert_eq!(compared(&delete("s"), &delete("s")), Ok(None));
    let elsewhere =
        "Deployment web in namespace shop was changed in a field that the plan does not name";
    assert_eq!(compared(&delete("s"), &delete("t")), Err(elsewhere.to_owned()));
}

/// The same with fields elsewhere.
fn beside(state: &str, rest: &[(&str, Value)], origins: &[(&str, Origin)]) -> Preview {
    let mut shown = preview("u", state, &json!(3), &json!(5), "");
    let fields = rest.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
    let origins =
        origins.iter().map(|(path, origin)| ((*path).to_owned(), origin.clone())).collect();
    shown.operations[0].rest = Rest { fields: Some(fields), origins };
    shown
}

#[test]
fn changes_elsewhere_are_told_with_field_values_and_origin() {
    let approved =
        beside("s", &[("spec.paused", json!(false)), ("metadata.labels.app", json!("web"))], &[]);
    let by = |name: &str| Origin::Manager(name.to_owned());
    let now = beside(
        "t",
        &[("spec.paused", json!(true)), ("metadata.annotations.seen", json!("x"))],
        &[
            ("spec.paused", by("kubectl-edit")),
            ("metadata.annotations.seen", by("re`load\u{202e}er")),
        ],
    );
    let told = compared(&approved, &now).unwrap().unwrap();
    assert_eq!(
        told,
        "`metadata.annotations.seen` of Deployment web in namespace shop was absent and is \"x\" \
         (by `re`load\\u{202e}er`); `metadata.labels.app` of Deployment web in namespace shop was \
         \"web\" and is absent; `spec.paused` of Deployment web in namespace shop was false and \
         is true (by `kubectl-edit`)"
    );
    // The same for a delete, where it stops the job; and for a field of the plan.
    let deleted = |mut preview: Preview| {
        preview.operations[0].after.clear();
        preview
    };
    let stopped = compared(&deleted(approved.clone()), &deleted(now.clone())).unwrap_err();
    assert_eq!(stopped, told);
    let mut own =
        beside("t", &[("spec.paused", json!(false)), ("metadata.labels.app", json!("web"))], &[]);
    own.operations[0].before = fields(&json!(4));
    own.operations[0]
        .rest
        .origins
        .insert("spec.replicas".to_owned(), Origin::Line("shop/web.yaml:12".to_owned()));
    assert_eq!(
        compared(&approved, &own).unwrap_err(),
        "`spec.replicas` of Deployment web in namespace shop was 3 and is 4 (at \
         `shop/web.yaml:12`)"
    );
}

#[test]
fn where_a_file_moved_a_delete_stays_as_approved() {
    let delete = |place| {
        let mut shown = preview("u", "s", &json!(3), &json!(null), place);
        shown.operations[0].after.clear();
        shown
    };
    assert_eq!(compared(&delete("web.yaml:4"), &delete("web.yaml:9")), Ok(None));
}

#[test]
fn of_a_field_that_changed_twice_the_first_and_the_newest_value_are_told() {
    let found = |from: i64, to: i64| {
        let target = preview("u", "s", &json!(3), &json!(5), "").operations[0].target.clone();
        let what = Drifted::Other {
            path: "spec.replicas".to_owned(),
            approved: json!(from),
            now: json!(to),
            origin: None,
        };
        vec![Difference { target, what }]
    };
    let mut known = found(3, 4);
    add(&mut known, found(4, 6));
    assert_eq!(known, found(3, 6));
    add(&mut known, found(6, 3));
    assert_eq!(known, vec![], "it is as it was approved again");
}

#[test]
fn who_wrote_a_field_is_no_part_of_what_is_approved() {
    let by = Origin::Manager("kubectl".to_owned());
    let one = beside("s", &[("spec.paused", json!(false))], &[("spec.paused", by)]);
    let other = beside("s", &[("spec.paused", json!(false))], &[]);
    assert_eq!(one.seal().unwrap(), other.seal().unwrap());
    assert_eq!(compared(&other, &one), Ok(None));
}

#[test]
fn long_values_are_cut_and_many_differences_counted() {
    let mut approved = preview("u", "s", &json!("x".repeat(200)), &json!(5), "");
    let mut now = preview("u", "t", &json!("y\u{202e}"), &json!(5), "");
    let text = compared(&approved, &now).unwrap_err();
    assert!(text.contains("…") && text.contains("\\u{202e}") && text.len() < 300, "{text}");
    for at in 0..9 {
        approved.operations[0].before.insert(format!("data.k{at}"), json!(1));
        now.operations[0].before.insert(format!("data.k{at}"), json!(2));
    }
    assert!(compared(&approved, &now).unwrap_err().ends_with("; and 7 more"));
}

#[test]
fn only_what_was_approved_is_compared() {
    let now = preview("u", "t", &json!(4), &json!(5), "");
    let (text, digest) = preview("u", "s", &json!(3), &json!(5), "").seal().unwrap();
    let changed = "the infrastructure changed since it was approved";
    assert_eq!(agree(&text.replace('3', "9"), digest, &now).unwrap_err(), changed);
    assert_eq!(agree(&text, digest, &Preview { operations: vec![] }).unwrap_err(), changed);
}
