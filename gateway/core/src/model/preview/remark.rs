//! Remarks on a previewed operation besides its values: another file of the tree or another object
//! of the cluster decides a field, or another program fills in a value. The viewer names the remark
//! and its place; `text/remarks.rs` makes the words. Never a sentence of the viewer's own.

use crate::model::escape;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Remarks of one operation: more than one file of a tree says of one field, and a person reads
/// all.
pub const REMARKS: usize = 16;

/// Characters of each text in a remark: a path in a tree and a line, or an image reference.
pub const REMARK: usize = 512;

/// The sort of a remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// The change replaces a placeholder: `value` is the placeholder, `field` where it is.
    Placeholder,
    /// The file at `place` is not read, for the reason `by`: a second copy of the object in it
    /// would not be seen. Without a place: `value` further places.
    Unread,
    /// `by` at `place` sets `field` again, to `value` where that is known: the change has no effect
    /// there.
    Overridden,
    /// `by` at `place` changes a part of `field`: `value` comes out.
    Altered,
    /// The file that `by` at `place` names is not read here, and may set `field` again.
    Unseen,
    /// The kustomization at `place` does not include the object's file: the change has no effect
    /// there.
    Unlisted,
    /// `by` at `place` makes `field` of the object (its namespace or name): `value` comes out.
    Given,
    /// One of several places that build the object: the change reaches each.
    Shared,
    /// In a cluster the autoscaler `by` sets `field` of the object, within the range of `value`.
    Scaled,
    /// In a cluster the finalizer `value` keeps the object after its deletion was requested.
    Finalized,
    /// `value` further remarks are not shown.
    More,
}

/// One remark. Texts that say nothing are empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// The sort of the remark.
    pub kind: RemarkKind,
    /// Field path of the object.
    pub field: String,
    /// The key of the other file, `images` or `replicas`; in a cluster the other object.
    pub by: String,
    /// The other file and its line.
    pub place: String,
    /// A value that belongs to the remark, or `null`.
    pub value: Value,
}

impl Remark {
    /// A remark of this sort about a field.
    pub fn new(kind: RemarkKind, field: impl Into<String>) -> Self {
        Self {
            kind,
            field: field.into(),
            by: String::new(),
            place: String::new(),
            value: Value::Null,
        }
    }

    /// By a key of the file at a place.
    #[must_use]
    pub fn by(self, by: impl Into<String>, place: impl Into<String>) -> Self {
        Self { by: by.into(), place: place.into(), ..self }
    }

    /// The same remark with a value.
    #[must_use]
    pub fn with(self, value: Value) -> Self {
        Self { value, ..self }
    }

    /// True if it keeps to the bounds.
    fn is_bounded(&self) -> bool {
        let value = self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned);
        [&self.field, &self.by, &self.place, &value]
            .iter()
            .all(|text| text.chars().count() <= REMARK)
    }

    /// True if it says the same; a line of a file may be another.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let file = |place: &str| {
            place.rsplit_once(':').map_or_else(|| place.to_owned(), |(file, _)| file.to_owned())
        };
        // The reason names lines, and the number says nothing of one file.
        if (self.kind, other.kind) == (RemarkKind::Unread, RemarkKind::Unread) {
            return file(&self.place) == file(&other.place);
        }
        (self.kind, &self.field, &self.by, &self.value)
            == (other.kind, &other.field, &other.by, &other.value)
            && file(&self.place) == file(&other.place)
    }
}

/// True if remarks keep to their bounds, in number and length.
pub fn are_bounded(remarks: &[Remark]) -> bool {
    remarks.len() <= REMARKS && remarks.iter().all(Remark::is_bounded)
}

/// Remarks within their number: the least important are left out and counted.
pub fn bounded(mut remarks: Vec<Remark>) -> Vec<Remark> {
    // A remark that counts others comes after those.
    remarks.sort_by(|a, b| {
        (a.kind, &a.field, a.place.is_empty(), &a.place).cmp(&(
            b.kind,
            &b.field,
            b.place.is_empty(),
            &b.place,
        ))
    });
    remarks.dedup();
    remarks.iter_mut().for_each(cut);
    if remarks.len() > REMARKS {
        let more = remarks.len() + 1 - REMARKS;
        remarks.truncate(REMARKS - 1);
        remarks.push(Remark::new(RemarkKind::More, "").with(more.into()));
    }
    remarks
}

/// Cuts what is too long to be shown.
fn cut(remark: &mut Remark) {
    let short = |text: &mut String| *text = escape::short(std::mem::take(text), REMARK);
    [&mut remark.field, &mut remark.by, &mut remark.place].into_iter().for_each(short);
    match &mut remark.value {
        Value::String(text) => short(text),
        value if value.to_string().chars().count() > REMARK => *value = Value::Null,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn remarks_are_bounded_in_number_and_length_and_the_rest_is_counted() {
        let place = |at: usize| format!("overlays/o{at:02}/kustomization.yaml:7");
        let shared =
            (0..40).map(|at| Remark::new(RemarkKind::Shared, "").by("resources", place(at)));
        let long = Remark::new(RemarkKind::Placeholder, "data.x").with(json!("x".repeat(9000)));
        let bounded = bounded(shared.chain([long]).collect());
        assert_eq!(bounded.len(), REMARKS);
        assert_eq!(
            (bounded[0].kind, bounded[1].kind),
            (RemarkKind::Placeholder, RemarkKind::Shared)
        );
        assert_eq!(bounded[REMARKS - 1], Remark::new(RemarkKind::More, "").with(json!(26)));
        assert!(bounded.iter().all(Remark::is_bounded));
    }

    #[test]
    fn an_unread_file_is_the_same_remark_whatever_is_wrong_with_it() {
        let unread = |why: &str, place: &str| Remark::new(RemarkKind::Unread, "").by(why, place);
        assert!(unread("is UTF-16", "b.yaml:1").is_same(&unread("is not valid YAML", "b.yaml:9")));
        assert!(!unread("is UTF-16", "b.yaml:1").is_same(&unread("is UTF-16", "c.yaml:1")));
        assert!(unread("", "").with(json!(2)).is_same(&unread("", "").with(json!(3))));
    }

    #[test]
    fn another_line_is_the_same_remark() {
        let at = |place: &str| {
            Remark::new(RemarkKind::Overridden, "spec.replicas")
                .by("replicas", place)
                .with(json!(2))
        };
        assert!(at("k.yaml:3").is_same(&at("k.yaml:9")));
        assert!(!at("k.yaml:3").is_same(&at("l.yaml:3")));
        assert!(!at("k.yaml:3").is_same(&at("k.yaml:3").with(json!(4))));
    }
}
