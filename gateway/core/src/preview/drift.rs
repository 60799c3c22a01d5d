//! What changed between the state that was approved and the state now, in words for people. Decides nothing: two previews are the same when their
//! digests are.

use super::{Expect, Origin, Preview, PreviewedOperation, Remark, RemarkKind};
use crate::id::PreviewDigest;
use crate::json;
use crate::operation::Target;
use crate::shown::remark_words;
use crate::text::{self, line};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Differences that are told: enough to see what happened, few enough for one line.
const TOLD: usize = 3;

/// Characters of a value that are shown: as many as are kept of it.
const VALUE: usize = 100;

/// Differences that are kept of one job: an outcome is no copy of an object.
const KEPT: usize = 64;

/// One difference between two previews of one plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The object.
    pub target: Target,
    /// What of it.
    pub what: Drifted,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drifted {
    /// It was not there, and is now.
    Appeared,
    /// It was there, and is not any more.
    Gone,
    /// Another object has its name now.
    Replaced,
    /// A field has another value before the change; `null` where it is absent.
    Field {
        /// Field path.
        path: String,
        /// As it was approved over.
        approved: Value,
        /// As it is.
        now: Value,
        /// Who wrote it, or where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
    },
    /// A field that the plan does not name has another value; `null` where it is absent.
    Other {
        /// Field path.
        path: String,
        /// As it was when it was approved.
        approved: Value,
        /// As it is.
        now: Value,
        /// Who wrote it, or where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
    },
    /// The same change would come out otherwise; `null` where the field is absent.
    Result {
        /// Field path.
        path: String,
        /// As it was approved.
        approved: Value,
        /// As it would come out now.
        now: Value,
    },
    /// Another part of the object than the plan names, in an object with too many fields to keep each.
    Elsewhere,
    /// Another file of the tree says of the change what it did not say.
    Remarked(Remark),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = line(&self.target.to_string());
        match &self.what {
            Drifted::Appeared => write!(f, "{target} exists now"),
            Drifted::Gone => write!(f, "{target} is gone"),
            Drifted::Replaced => write!(f, "{target} is another object now"),
            Drifted::Field { path, approved, now, origin } | Drifted::Other { path, approved, now, origin } => {
                write!(f, "`{}` of {target} was {} and is {}", line(path), shown(approved), shown(now))?;
                origin.as_ref().map_or(Ok(()), |origin| write!(f, " ({origin})"))
            }
            Drifted::Result { path, approved, now } => {
                write!(f, "`{}` of {target} would become {} instead of {}", line(path), shown(now), shown(approved))
            }
            Drifted::Elsewhere => write!(f, "{target} was changed in a field that the plan does not name"),
            Drifted::Remarked(remark) => write!(f, "of {target}, {}", remark_words(remark)),
        }
    }
}

/// A value on one line, cut where it is long: two long values that differ at their ends are still said to differ.
fn shown(value: &Value) -> String {
    if value.is_null() {
        return "absent".to_owned();
    }
    text::shown(&value.to_string(), VALUE)
}

impl Difference {
    /// Whether it is outside what an approval of this plan is over: the object's UID, the plan's own fields and, for a delete,
    /// the whole object.
    fn is_outside(&self, now: &PreviewedOperation) -> bool {
        // Of a delete nothing is there afterwards. A file that is not read stops no call about another.
        if self.is_of_another_file() {
            return true;
        }
        matches!(self.what, Drifted::Elsewhere | Drifted::Other { .. } | Drifted::Remarked(_)) && !now.after.is_empty()
    }

    /// Whether it says of the object only that a file beside it is not read.
    pub fn is_of_another_file(&self) -> bool {
        matches!(&self.what, Drifted::Remarked(remark) if remark.kind == RemarkKind::Unread)
    }

    /// The field, where it is one.
    fn path(&self) -> Option<&str> {
        match &self.what {
            Drifted::Field { path, .. } | Drifted::Other { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// What differs of one operation, by what that means.
#[derive(Debug, Default, PartialEq)]
pub struct Compared {
    /// It is not what was approved any more.
    pub inside: Vec<Difference>,
    /// It is what was approved, and something else of the object changed.
    pub outside: Vec<Difference>,
}

/// Compares a fresh look with what was approved. What an approval is over has to be the same; answers what of the same objects
/// was changed elsewhere. The error is a sentence.
pub fn agree(approved: &str, digest: PreviewDigest, now: &Preview) -> Result<Vec<Difference>, String> {
    let unknown = || "the infrastructure changed since it was approved".to_owned();
    let read = (PreviewDigest::of(approved.as_bytes()) == digest).then(|| json::strict_into::<Preview>(approved.as_bytes()));
    let approved = read.and_then(Result::ok).ok_or_else(unknown)?;
    if approved.operations.len() != now.operations.len() {
        return Err(unknown());
    }
    let mut all = Compared::default();
    for (approved, now) in approved.operations.iter().zip(&now.operations) {
        let Compared { inside, outside } = compare(approved, now);
        all.inside.extend(inside);
        all.outside.extend(outside);
    }
    all.outside.truncate(KEPT);
    if all.inside.is_empty() { Ok(all.outside) } else { Err(sentence(&all.inside).unwrap_or_else(unknown)) }
}

/// Compares one operation with how it was approved. Where a file's lines moved, or its comments changed, nothing differs.
pub fn compare(approved: &PreviewedOperation, now: &PreviewedOperation) -> Compared {
    let (outside, inside) = of_operation(approved, now).into_iter().partition(|difference| difference.is_outside(now));
    Compared { inside, outside }
}

/// Adds what was found later: of a field that changed twice, the value that was approved and the newest one are told.
pub fn add(known: &mut Vec<Difference>, later: Vec<Difference>) {
    for mut new in later {
        let same =
            |old: &Difference| old.target == new.target && (old.what == new.what || (old.path().is_some() && old.path() == new.path()));
        if let Some(at) = known.iter().position(same) {
            let old = known.remove(at);
            if let (Drifted::Other { approved: first, .. }, Drifted::Other { approved, .. }) = (old.what, &mut new.what) {
                *approved = first;
            }
        }
        let back = matches!(&new.what, Drifted::Other { approved, now, .. } if approved == now);
        if !back && known.len() < KEPT {
            known.push(new);
        }
    }
}

/// Every difference of one operation. Nothing where the two are the same.
fn of_operation(approved: &PreviewedOperation, now: &PreviewedOperation) -> Vec<Difference> {
    let difference = |what| Difference { target: now.target.clone(), what };
    match (&approved.expect, &now.expect) {
        (Expect::Absent, Expect::Present { .. }) => return vec![difference(Drifted::Appeared)],
        (Expect::Present { .. }, Expect::Absent) => return vec![difference(Drifted::Gone)],
        (Expect::Present { uid: then, .. }, Expect::Present { uid, .. }) if then != uid => return vec![difference(Drifted::Replaced)],
        _ => {}
    }
    let value = |fields: &Fields, path: &str| fields.get(path).cloned().unwrap_or_default();
    let origin = |path: &str| now.rest.origins.get(path).cloned();
    let differing = |then: &Fields, now: &Fields| {
        let all = paths(then, now).map(|path| (path.clone(), value(then, path), value(now, path)));
        all.filter(|(_, approved, now)| approved != now).collect::<Vec<_>>()
    };
    let mut found: Vec<_> = differing(&approved.before, &now.before)
        .into_iter()
        .map(|(path, approved, now)| difference(Drifted::Field { origin: origin(&path), path, approved, now }))
        .collect();
    if approved.expect != now.expect {
        let kept = approved.rest.fields.as_ref().zip(now.rest.fields.as_ref());
        let rest = kept.map(|(approved, now)| differing(approved, now)).unwrap_or_default();
        if now.after.is_empty() && !rest.is_empty() {
            // Of a delete every field is in the rest, by its own path; what describes the object says the same once more.
            found.clear();
        }
        if found.is_empty() && rest.is_empty() {
            found.push(difference(Drifted::Elsewhere));
        }
        found.extend(
            rest.into_iter().map(|(path, approved, now)| difference(Drifted::Other { origin: origin(&path), path, approved, now })),
        );
    }
    let results = differing(&approved.after, &now.after);
    found.extend(results.into_iter().map(|(path, approved, now)| difference(Drifted::Result { path, approved, now })));
    let new = now.remarks.iter().filter(|remark| !approved.remarks.iter().any(|known| known.is_same(remark)));
    found.extend(new.map(|remark| difference(Drifted::Remarked(remark.clone()))));
    found
}

type Fields = BTreeMap<String, Value>;

fn paths<'a>(one: &'a Fields, other: &'a Fields) -> impl Iterator<Item = &'a String> {
    one.keys().chain(other.keys()).collect::<BTreeSet<_>>().into_iter()
}

/// Differences as one sentence; none where there are none to name.
pub fn sentence(all: &[Difference]) -> Option<String> {
    let told: Vec<_> = all.iter().take(TOLD).map(ToString::to_string).collect();
    let more = match all.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!told.is_empty()).then(|| told.join("; ") + &more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ObjectDigest;
    use crate::preview::Rest;
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

    /// What stops the job, or what is named besides.
    fn check(now: &Preview, expect: Result<Option<&str>, &str>) {
        let approved = preview("u", "s", &json!(3), &json!(5), "");
        assert_eq!(compared(&approved, now), expect.map(|named| named.map(str::to_owned)).map_err(str::to_owned));
    }

    #[test]
    fn what_an_approval_is_over_stops_the_job_and_what_is_not_is_named() {
        check(&preview("u", "s", &json!(3), &json!(5), ""), Ok(None));
        check(&preview("u", "t", &json!(4), &json!(5), ""), Err("`spec.replicas` of Deployment web in namespace shop was 3 and is 4"));
        check(
            &preview("u", "t", &json!(null), &json!(5), ""),
            Err("`spec.replicas` of Deployment web in namespace shop was 3 and is absent"),
        );
        let elsewhere = "Deployment web in namespace shop was changed in a field that the plan does not name";
        check(&preview("u", "t", &json!(3), &json!(5), ""), Ok(Some(elsewhere)));
        check(&preview("u", "t", &json!(3), &json!(5), "web.yaml:9"), Ok(Some(elsewhere)));
        check(&preview("v", "s", &json!(3), &json!(5), ""), Err("Deployment web in namespace shop is another object now"));
        check(&preview("", "", &json!(3), &json!(5), ""), Err("Deployment web in namespace shop is gone"));
        check(
            &preview("u", "s", &json!(3), &json!(6), ""),
            Err("`spec.replicas` of Deployment web in namespace shop would become 6 instead of 5"),
        );
        check(&preview("u", "s", &json!(3), &json!(5), "web.yaml:4"), Ok(None));
    }

    #[test]
    fn what_another_file_says_since_is_named_and_another_line_is_nothing() {
        let remark = |line| Remark::new(RemarkKind::Overridden, "spec.replicas").by("replicas", format!("prod/k.yaml:{line}"));
        let with = |remarks| {
            let mut shown = preview("u", "s", &json!(3), &json!(5), "");
            shown.operations[0].remarks = remarks;
            shown
        };
        let told = "of Deployment web in namespace shop, `spec.replicas` is set again by `replicas` in prod/k.yaml:7; this change has no effect there";
        check(&with(vec![remark(7)]), Ok(Some(told)));
        assert_eq!(compared(&with(vec![remark(3)]), &with(vec![remark(7)])), Ok(None));
        assert_eq!(compared(&with(vec![remark(3)]), &with(vec![])), Ok(None));
    }

    #[test]
    fn a_file_that_is_not_read_any_more_stops_no_job_about_another() {
        let unread = Remark::new(RemarkKind::Unread, "").by("is UTF-16 or UTF-32", "b.yaml:1");
        let told =
            "of Deployment web in namespace shop, b.yaml:1 is UTF-16 or UTF-32; a second copy of this object in it would not be seen";
        let shown = |is_delete: bool, remarks: &[&Remark]| {
            let mut shown = preview("u", "s", &json!(3), &json!(5), "");
            if is_delete {
                shown.operations[0].after.clear();
            }
            shown.operations[0].remarks = remarks.iter().copied().cloned().collect();
            shown
        };
        for is_delete in [false, true] {
            assert_eq!(compared(&shown(is_delete, &[]), &shown(is_delete, &[&unread])), Ok(Some(told.to_owned())), "{is_delete}");
        }
        // Any other remark that is new stops a delete.
        let other = Remark::new(RemarkKind::Finalized, "metadata.finalizers").with(json!("example.com/keep"));
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
        let elsewhere = "Deployment web in namespace shop was changed in a field that the plan does not name";
        assert_eq!(compared(&delete("s"), &delete("t")), Err(elsewhere.to_owned()));
    }

    /// The same with fields elsewhere.
    fn beside(state: &str, rest: &[(&str, Value)], origins: &[(&str, Origin)]) -> Preview {
        let mut shown = preview("u", state, &json!(3), &json!(5), "");
        let fields = rest.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
        let origins = origins.iter().map(|(path, origin)| ((*path).to_owned(), origin.clone())).collect();
        shown.operations[0].rest = Rest { fields: Some(fields), origins };
        shown
    }

    #[test]
    fn changes_elsewhere_are_told_with_field_values_and_origin() {
        let approved = beside("s", &[("spec.paused", json!(false)), ("metadata.labels.app", json!("web"))], &[]);
        let by = |name: &str| Origin::Manager(name.to_owned());
        let now = beside(
            "t",
            &[("spec.paused", json!(true)), ("metadata.annotations.seen", json!("x"))],
            &[("spec.paused", by("kubectl-edit")), ("metadata.annotations.seen", by("re`load\u{202e}er"))],
        );
        let told = compared(&approved, &now).unwrap().unwrap();
        assert_eq!(
            told,
            "`metadata.annotations.seen` of Deployment web in namespace shop was absent and is \"x\" (by `re`load\\u{202e}er`); \
             `metadata.labels.app` of Deployment web in namespace shop was \"web\" and is absent; \
             `spec.paused` of Deployment web in namespace shop was false and is true (by `kubectl-edit`)"
        );
        // The same for a delete, where it stops the job; and for a field of the plan.
        let deleted = |mut preview: Preview| {
            preview.operations[0].after.clear();
            preview
        };
        let stopped = compared(&deleted(approved.clone()), &deleted(now.clone())).unwrap_err();
        assert_eq!(stopped, told);
        let mut own = beside("t", &[("spec.paused", json!(false)), ("metadata.labels.app", json!("web"))], &[]);
        own.operations[0].before = fields(&json!(4));
        own.operations[0].rest.origins.insert("spec.replicas".to_owned(), Origin::Line("shop/web.yaml:12".to_owned()));
        assert_eq!(
            compared(&approved, &own).unwrap_err(),
            "`spec.replicas` of Deployment web in namespace shop was 3 and is 4 (at `shop/web.yaml:12`)"
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
            let what = Drifted::Other { path: "spec.replicas".to_owned(), approved: json!(from), now: json!(to), origin: None };
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
}
