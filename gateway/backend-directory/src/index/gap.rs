//! The unreliable parts of a tree: files and documents that are not read, objects that are unclear,
//! in two places or without a namespace, and links. Never opens a link.

use super::mention::{self, Wanted};
use super::{File, Found, Index, Name};
use crate::kustomize::placeholder::placeholder;
use crate::read::{TEMPLATE, Unclear};
use cofferdam_core::model::left_out::Place;
use cofferdam_core::model::operation::Target;
use std::path::Path;

/// The consequence of a file that is not read.
const COPY: &str = "a second copy of an object in it would not be seen";

/// The consequence of a link, with the remedy.
pub(super) const LINK: &str =
    "is a link, and links are not followed; serve the folder that holds what it points to";

/// The reason for an object without a name.
const NAMELESS: &str = "has no `metadata.name` that is a text; write it there";

/// The reason for an object without a namespace.
pub(super) const NOWHERE: &str = "has no `metadata.namespace`; write it there";

/// A reason as a part of a sentence whose subject is the place.
pub fn phrase(verb: &str, reason: &str) -> String {
    let verb = if reason == TEMPLATE { "is" } else { verb };
    let is_phrase = ["is ", "has ", "cannot "].iter().any(|start| reason.starts_with(start));
    if is_phrase { reason.to_owned() } else { format!("{verb} {reason}") }
}

fn place(path: &Path, line: usize, reason: impl Into<String>) -> Place {
    Place::new(path.to_string_lossy(), line, reason)
}

/// An object that must not be relied on.
pub(super) fn unclear(found: &Found<'_>, name: &Name, unclear: &Unclear) -> Place {
    place(found.path, unclear.line, format!("({name}) {}", phrase("has", &unclear.reason)))
}

/// An object that is built as several.
pub(super) fn several(found: &Found<'_>, name: &Name, reason: &str) -> Place {
    place(found.path, found.object.line, format!("({name}) {reason}"))
}

/// One of several places of an object.
pub(super) fn twice(found: &Found<'_>, name: &Name, places: &[(Found<'_>, &str)]) -> Place {
    let other = places
        .iter()
        .map(|(place, _)| place.place())
        .find(|other| *other != found.place())
        .unwrap_or_default();
    place(
        found.path,
        found.object.line,
        format!("has {name}, which is also in `{other}`; remove one"),
    )
}

/// Documents of a file that name no object, and may mean one that is wanted: why, as a part of a
/// sentence.
fn nameless<'a>(file: &'a File, wanted: &'a Wanted<'a>) -> impl Iterator<Item = Unclear> + 'a {
    file.nameless().filter_map(move |document| {
        let is_wanted =
            || mention::may_hold(file.text.get(document.range.clone()).unwrap_or_default(), wanted);
        let is_object =
            || document.root.get("apiVersion").is_some() && document.root.get("items").is_none();
        match &document.unclear {
            Some(unclear) if is_wanted() => {
                let verb = if document.is_broken() { "is" } else { "has" };
                Some(Unclear::at(unclear.line, phrase(verb, &unclear.reason)))
            }
            None if is_object() && is_wanted() => Some(Unclear::at(document.root.line, NAMELESS)),
            _ => None,
        }
    })
}

impl Index {
    /// Places that may have objects of a group and kind in a namespace, besides those that are
    /// found by name.
    pub fn gaps(&self, group: &str, kind: &str, namespace: &str) -> Vec<Place> {
        let wanted = Wanted { kind, namespace, name: None };
        let mut places = self.unsure_of_namespace(group, kind);
        for (path, file) in self.files() {
            places.extend(
                nameless(file, &wanted).map(|unclear| place(path, unclear.line, unclear.reason)),
            );
        }
        places.extend(self.unread());
        places.extend(self.links.iter().map(|path| place(path, 0, LINK)));
        places
    }

    /// Files and folders of which nothing was read.
    pub fn unread(&self) -> impl Iterator<Item = Place> {
        self.files().filter_map(|(path, file)| {
            let unclear = file.documents.as_ref().err()?;
            Some(place(path, unclear.line, format!("{}; {COPY}", phrase("has", &unclear.reason))))
        })
    }

    /// Links that were passed over.
    pub fn links(&self) -> &[std::path::PathBuf] {
        &self.links
    }

    /// Objects of the kind without a namespace, or with one that another program fills in.
    fn unsure_of_namespace(&self, group: &str, kind: &str) -> Vec<Place> {
        let of_kind = |name: &&Name| (name.group.as_str(), name.kind.as_str()) == (group, kind);
        let [group, kind, namespace, name] = [group, kind, "", ""].map(str::to_owned);
        let start = Name { group, kind, namespace, name };
        let names = self.objects.range(&start..).map(|(name, _)| name).take_while(of_kind);
        let reason = |name: &Name| match name.namespace.as_str() {
            "" => Some(format!("({name}) {NOWHERE}")),
            namespace if placeholder(namespace).is_some() => Some(format!(
                "({name}) has the namespace `{namespace}`, which another program fills in"
            )),
            _ => None,
        };
        let each = names.filter_map(|name| Some((reason(name)?, name)));
        each.flat_map(|(reason, name)| {
            self.places(name)
                .into_iter()
                .map(move |(found, _)| place(found.path, found.object.line, reason.clone()))
        })
        .collect()
    }

    /// All that was read and cannot be relied on, or was not read at all.
    pub fn survey(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (path, file) in self.files() {
            for document in file.documents.iter().flatten() {
                let verb = if document.is_broken() { "is" } else { "has" };
                places.extend(
                    document
                        .unclear
                        .iter()
                        .map(|unclear| place(path, unclear.line, phrase(verb, &unclear.reason))),
                );
            }
        }
        for name in self.objects.keys() {
            if let places_of @ [_, _, ..] = self.places(name).as_slice() {
                places.extend(places_of.iter().map(|(found, _)| twice(found, name, places_of)));
            }
        }
        places.extend(self.unread());
        places.extend(self.links.iter().map(|path| place(path, 0, LINK)));
        places.extend(
            self.builds.unseen().into_iter().map(|(file, reason)| Place::new(file, 0, reason)),
        );
        places
    }

    /// Where an object that is not there might be meant: an object without a namespace, or a
    /// document that could not be read.
    pub(super) fn hint(&self, target: &Target) -> Option<String> {
        let nowhere = Name { namespace: String::new(), ..Name::of(target) };
        if let Some((found, _)) = self.places(&nowhere).first() {
            return Some(format!("`{}` {NOWHERE}", found.place()));
        }
        let wanted =
            Wanted { kind: &target.kind, namespace: &target.namespace, name: Some(&target.name) };
        self.files().find_map(|(path, file)| {
            let unclear = nameless(file, &wanted).next()?;
            Some(format!("`{}:{}` {}", path.display(), unclear.line, unclear.reason))
        })
    }
}
