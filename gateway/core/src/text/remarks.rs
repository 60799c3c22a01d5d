//! Remarks of a preview in words: the same for the agent, for the approver who signs, and after the
//! change. Values and paths of a tree are escaped; every other word is ours.

use crate::model::escape::{legible, legible_json};
use crate::model::preview::{Remark, RemarkKind};
use serde_json::Value;

/// One remark, in one line.
pub fn words(remark: &Remark) -> String {
    let (field, by, place) = (legible(&remark.field), legible(&remark.by), legible(&remark.place));
    let known = (!remark.value.is_null()).then(|| legible_json(&remark.value));
    let to = known.as_ref().map(|value| format!(" (to {value})")).unwrap_or_default();
    let shown = known.clone().unwrap_or_default();
    match remark.kind {
        RemarkKind::Placeholder => {
            format!(
                "`{field}` holds the placeholder {shown}; this change overwrites it, and its \
                 variable has no effect any more"
            )
        }
        RemarkKind::Unread if place.is_empty() => {
            format!(
                "{shown} further places are not read; a second copy of this object in them would \
                 not be seen (`cofferdam doctor` names them)"
            )
        }
        RemarkKind::Unread => {
            format!("{place} {by}; a second copy of this object in it would not be seen")
        }
        RemarkKind::Overridden => {
            format!(
                "`{field}` is set again by `{by}` in {place}{to}; this change has no effect there"
            )
        }
        RemarkKind::Altered => format!("`{field}` is changed again by `{by}` in {place}{to}"),
        RemarkKind::Unseen => {
            format!("{place} (`{by}`) is not read by Cofferdam and may set `{field}` again")
        }
        RemarkKind::Unlisted => {
            format!("{place} does not include this file; this change has no effect there")
        }
        RemarkKind::Given => {
            format!("{field} {} is given by `{by}` in {place}", plain(&remark.value))
        }
        RemarkKind::Shared => {
            format!("{place} includes this file; this change reaches what is built there")
        }
        RemarkKind::Scaled => {
            format!(
                "`{field}` is also set by `{by}`, within {}; it may undo this change at any time",
                plain(&remark.value)
            )
        }
        RemarkKind::Finalized => {
            format!(
                "the finalizer {shown} keeps the object: it goes only once the finalizer's owner \
                 takes that off"
            )
        }
        RemarkKind::More => format!("further remarks that are not shown: {shown}"),
    }
}

/// A name as it is.
fn plain(value: &Value) -> String {
    legible(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_has_its_words_and_no_value_poses_as_ours() {
        let check = |kind, given: Value, expect: &str| {
            let remark = Remark::new(kind, "spec.replicas")
                .by("replicas", "prod/kustomization.yaml:7")
                .with(given);
            assert_eq!(words(&remark), expect);
        };
        check(
            RemarkKind::Placeholder,
            json!("${N:=3}"),
            "`spec.replicas` holds the placeholder \"${N:=3}\"; this change overwrites it, and \
             its variable has no effect any more",
        );
        check(
            RemarkKind::Overridden,
            json!(2),
            "`spec.replicas` is set again by `replicas` in prod/kustomization.yaml:7 (to 2); this \
             change has no effect there",
        );
        check(
            RemarkKind::Overridden,
            Value::Null,
            "`spec.replicas` is set again by `replicas` in prod/kustomization.yaml:7; this change \
             has no effect there",
        );
        check(
            RemarkKind::Altered,
            json!("a:1"),
            "`spec.replicas` is changed again by `replicas` in prod/kustomization.yaml:7 (to \
             \"a:1\")",
        );
        check(
            RemarkKind::Unseen,
            Value::Null,
            "prod/kustomization.yaml:7 (`replicas`) is not read by Cofferdam and may set \
             `spec.replicas` again",
        );
        check(
            RemarkKind::Unlisted,
            Value::Null,
            "prod/kustomization.yaml:7 does not include this file; this change has no effect there",
        );
        check(
            RemarkKind::Shared,
            Value::Null,
            "prod/kustomization.yaml:7 includes this file; this change reaches what is built there",
        );
        let unread = Remark::new(RemarkKind::Unread, "").by("is UTF-16 or UTF-32", "b.yaml:1");
        assert_eq!(
            words(&unread),
            "b.yaml:1 is UTF-16 or UTF-32; a second copy of this object in it would not be seen"
        );
        let further = Remark::new(RemarkKind::Unread, "").with(json!(9));
        let told = "9 further places are not read; a second copy of this object in them would not \
                    be seen (`cofferdam doctor` names them)";
        assert_eq!(words(&further), told);
        check(RemarkKind::More, json!(4), "further remarks that are not shown: 4");
        let given = Remark::new(RemarkKind::Given, "namespace")
            .by("namespace", "k.yaml:3")
            .with(json!("storefront"));
        assert_eq!(words(&given), "namespace storefront is given by `namespace` in k.yaml:3");
        let evil = Remark::new(RemarkKind::Overridden, "a\nPlan: x")
            .by("b\u{202e}", "c\nd")
            .with(json!("e\nf"));
        let text = words(&evil);
        assert!(!text.contains('\n') && !text.contains('\u{202e}'), "{text}");
    }
}
