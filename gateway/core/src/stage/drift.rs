//! The differences between the approved state and the state now, in words for people. Decides
//! nothing: two previews are the same when their digests are.

use crate::model::difference::Difference;
use crate::model::difference::Drifted;
use crate::model::escape::legible;
use crate::model::id::PreviewDigest;
use crate::model::json;
use crate::model::preview::Expect;
use crate::model::preview::Preview;
use crate::model::preview::PreviewedOperation;
use crate::model::preview::RemarkKind;
use crate::text::difference::sentence;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Differences that are kept of one job: an outcome is no copy of an object.
const KEPT: usize = 64;

impl Difference {
    /// True if it is outside what an approval of this plan is over: the object's UID, the plan's
    /// own fields and, for a delete, the whole object.
    fn is_outside(&self, now: &PreviewedOperation) -> bool {
        // After a delete the object is absent. A file that is not read stops no call about another
        // file.
        if self.is_of_another_file() {
            return true;
        }
        matches!(self.what, Drifted::Elsewhere | Drifted::Other { .. } | Drifted::Remarked(_))
            && !now.after.is_empty()
    }

    /// True if it says of the object only that a file beside it is not read.
    pub fn is_of_another_file(&self) -> bool {
        matches!(&self.what, Drifted::Remarked(remark) if remark.kind == RemarkKind::Unread)
    }

    /// The path of the field; `None` for a difference that is not of a field.
    fn path(&self) -> Option<&str> {
        match &self.what {
            Drifted::Field { path, .. } | Drifted::Other { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// The differences of one operation, by their effect on an approval.
#[derive(Debug, Default, PartialEq)]
pub struct Compared {
    /// Differences within the approval: the call is not the approved one any more.
    pub inside: Vec<Difference>,
    /// Differences outside the approval: another part of the object changed.
    pub outside: Vec<Difference>,
}

/// Compares a new preview with the approved one. The approved parts have to be the same. Returns
/// the changes elsewhere in the same objects. The error is a sentence.
pub fn agree(
    approved: &str,
    digest: PreviewDigest,
    now: &Preview,
) -> Result<Vec<Difference>, String> {
    let unknown = || "the infrastructure changed since it was approved".to_owned();
    let read = (PreviewDigest::of(approved.as_bytes()) == digest)
        .then(|| json::strict_into::<Preview>(approved.as_bytes()));
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
    if all.inside.is_empty() {
        Ok(all.outside)
    } else {
        Err(sentence(&all.inside).unwrap_or_else(unknown))
    }
}

/// The changes since a person was asked, in a sentence for that person. Not part of what is signed.
pub fn since_asked(approved: &str, digest: PreviewDigest, now: &Preview) -> String {
    match agree(approved, digest, now) {
        Ok(elsewhere) => sentence(&elsewhere).map_or_else(
            || "nothing of it changed".to_owned(),
            |changed| format!("{}; a signature still counts", legible(&changed)),
        ),
        Err(what) => format!(
            "{}. A signature now makes nothing run: deny it, and the agent asks again",
            legible(&what)
        ),
    }
}

/// Compares one operation with how it was approved. Where a file's lines moved, or its comments
/// changed, nothing differs.
pub fn compare(approved: &PreviewedOperation, now: &PreviewedOperation) -> Compared {
    let (outside, inside) =
        of_operation(approved, now).into_iter().partition(|difference| difference.is_outside(now));
    Compared { inside, outside }
}

/// Adds differences that were found later. For a field that changed twice, the approved value and
/// the newest one are kept.
pub fn add(known: &mut Vec<Difference>, later: Vec<Difference>) {
    for mut new in later {
        let same = |old: &Difference| {
            old.target == new.target
                && (old.what == new.what || (old.path().is_some() && old.path() == new.path()))
        };
        if let Some(at) = known.iter().position(same) {
            let old = known.remove(at);
            if let (Drifted::Other { approved: first, .. }, Drifted::Other { approved, .. }) =
                (old.what, &mut new.what)
            {
                *approved = first;
            }
        }
        let back = matches!(&new.what, Drifted::Other { approved, now, .. } if approved == now);
        if !back && known.len() < KEPT {
            known.push(new);
        }
    }
}

/// Every difference of one operation; empty where the two are the same.
fn of_operation(approved: &PreviewedOperation, now: &PreviewedOperation) -> Vec<Difference> {
    let difference = |what| Difference { target: now.target.clone(), what };
    match (&approved.expect, &now.expect) {
        (Expect::Absent, Expect::Present { .. }) => return vec![difference(Drifted::Appeared)],
        (Expect::Present { .. }, Expect::Absent) => return vec![difference(Drifted::Gone)],
        (Expect::Present { uid: then, .. }, Expect::Present { uid, .. }) if then != uid => {
            return vec![difference(Drifted::Replaced)];
        }
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
        .map(|(path, approved, now)| {
            difference(Drifted::Field { origin: origin(&path), path, approved, now })
        })
        .collect();
    if approved.expect != now.expect {
        let kept = approved.rest.fields.as_ref().zip(now.rest.fields.as_ref());
        let rest = kept.map(|(approved, now)| differing(approved, now)).unwrap_or_default();
        if now.after.is_empty() && !rest.is_empty() {
            // Every field of a deleted object is in the rest, by its own path; the fields that
            // describe the object would repeat it.
            found.clear();
        }
        if found.is_empty() && rest.is_empty() {
            found.push(difference(Drifted::Elsewhere));
        }
        found.extend(rest.into_iter().map(|(path, approved, now)| {
            difference(Drifted::Other { origin: origin(&path), path, approved, now })
        }));
    }
    let results = differing(&approved.after, &now.after);
    found.extend(
        results
            .into_iter()
            .map(|(path, approved, now)| difference(Drifted::Result { path, approved, now })),
    );
    let new = now
        .remarks
        .iter()
        .filter(|remark| !approved.remarks.iter().any(|known| known.is_same(remark)));
    found.extend(new.map(|remark| difference(Drifted::Remarked(remark.clone()))));
    found
}

type Fields = BTreeMap<String, Value>;

fn paths<'a>(one: &'a Fields, other: &'a Fields) -> impl Iterator<Item = &'a String> {
    one.keys().chain(other.keys()).collect::<BTreeSet<_>>().into_iter()
}

#[cfg(test)]
mod tests;
