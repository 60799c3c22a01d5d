//! The files that are not read and may have a second copy of an object, for a preview. Never opens
//! a file, and fails no operation.

use super::gap::{LINK, phrase};
use super::mention::{Wanted, may_hold_copy};
use super::{File, Index};
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::preview::{Remark, RemarkKind};

/// The number of places that one preview names, enough to see the problem of a tree. The rest is
/// counted.
const NAMED: usize = 3;

impl Index {
    /// The places where a second copy of an object would not be seen: at most [`NAMED`], and the
    /// number of the others.
    pub(super) fn unseen_copies(&self, target: &Target) -> Vec<Remark> {
        let wanted =
            Wanted { kind: &target.kind, namespace: &target.namespace, name: Some(&target.name) };
        let (mut named, mut count) = (Vec::new(), 0_usize);
        let unread = self.files().filter_map(|(path, file)| Some((path, unread(file, &wanted)?)));
        let links = self.links.iter().map(|path| (path.as_path(), (0, LINK.to_owned())));
        for (path, (line, reason)) in unread.chain(links) {
            count += 1;
            if count <= NAMED {
                let path = path.display();
                let place = if line == 0 { path.to_string() } else { format!("{path}:{line}") };
                named.push(Remark::new(RemarkKind::Unread, "").by(reason, place));
            }
        }
        if let Some(more) = count.checked_sub(NAMED).filter(|more| *more > 0) {
            named.push(Remark::new(RemarkKind::Unread, "").with(more.into()));
        }
        named
    }
}

/// The line of a file from which on it is not read, and why, as a part of a sentence.
fn unread(file: &File, wanted: &Wanted<'_>) -> Option<(usize, String)> {
    let unclear = match &file.documents {
        Err(unclear) => Some((unclear, "has")),
        Ok(_) => file.nameless().find_map(|document| {
            let unclear = document.unclear.as_ref()?;
            let text = file.text.get(document.range.clone()).unwrap_or_default();
            let verb = if document.is_broken() { "is" } else { "has" };
            may_hold_copy(text, wanted).then_some((unclear, verb))
        }),
    };
    unclear.map(|(unclear, verb)| (unclear.line, phrase(verb, &unclear.reason)))
}
