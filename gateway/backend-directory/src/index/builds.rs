//! The builds of an index's files: the name of each object in a build, the objects that a file
//! names and a build names differently, and remarks on a change. Never changes a file.

use super::{FindError, Found, Index, Name};
use crate::kustomize::graph::{Files, Graph, Ways};
use crate::kustomize::identity::{Built, Written, built};
use crate::kustomize::overrides::{Edit, Subject, remarks};
use crate::kustomize::{autoscaler, delete, view};
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::preview::{Remark, bounded};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The builds of a tree's files, with the objects in them.
#[derive(Debug, Default)]
pub struct Builds {
    graph: Graph,
    /// Objects that are built otherwise than their file says, by file and number.
    built: BTreeMap<(PathBuf, usize), Built>,
    /// The same by the name that their file says.
    otherwise: BTreeMap<Name, (PathBuf, usize)>,
}

impl Builds {
    /// Reads the builds from these files.
    pub fn of(files: &Files) -> Self {
        Self { graph: Graph::of(files), ..Self::default() }
    }

    /// From a file up to the layers that nothing includes.
    pub fn ways(&self, path: &Path) -> Ways {
        self.graph.ways(path)
    }

    /// The names of an object of a file: its own, or those in its builds.
    pub fn names(&mut self, ways: &Ways, path: &Path, at: usize, name: Name) -> Vec<Name> {
        let written =
            Written { path, kind: &name.kind, namespace: &name.namespace, name: &name.name };
        let built = built(&self.graph, ways, &written);
        let objects = match &built {
            Built::AsWritten => return vec![name],
            Built::As { namespace, name, .. } => vec![(namespace.clone(), name.clone())],
            Built::Several { objects, .. } => objects.clone(),
            Built::Not { .. } => Vec::new(),
        };
        let names = objects
            .into_iter()
            .map(|(namespace, own)| Name { namespace, name: own, ..name.clone() })
            .collect();
        let place = (path.to_owned(), at);
        self.otherwise.entry(name).or_insert_with(|| place.clone());
        self.built.insert(place, built);
        names
    }

    /// The object in a build; `None` if it is as in its file.
    pub fn get(&self, path: &Path, at: usize) -> Option<&Built> {
        if self.built.is_empty() { None } else { self.built.get(&(path.to_owned(), at)) }
    }

    /// The named files that the tree does not have: place and reason, for people.
    pub fn unseen(&self) -> Vec<(String, String)> {
        self.graph.unseen()
    }
}

impl Found<'_> {
    /// The object as its own file names it.
    pub fn written(&self, target: &Target) -> Target {
        let metadata = |key: &str| view::at(self.object, &["metadata", key]).and_then(view::text);
        let (namespace, name) =
            (metadata("namespace").unwrap_or_default(), metadata("name").unwrap_or_default());
        Target { namespace, name, ..target.clone() }
    }

    /// The sources of a namespace or a name that the file does not have.
    pub fn given(&self) -> &[Remark] {
        match self.built {
            Some(Built::As { given, .. }) => given,
            _ => &[],
        }
    }
}

impl Index {
    /// Remarks on changes of an object: the source of its name, and the places that set the same
    /// fields again.
    pub fn remarks(&self, found: &Found<'_>, target: &Target, edits: &[Edit<'_>]) -> Vec<Remark> {
        let (written, object) = (found.written(target), found.object.value());
        let subject = subject(found, &written, &object);
        let of_layers = remarks(&self.builds.graph, &self.files, &subject, edits);
        let others =
            self.scaled(target, &written, edits).into_iter().chain(self.unseen_copies(target));
        bounded(found.given().iter().cloned().chain(of_layers).chain(others).collect())
    }

    /// Why an object cannot be removed: something names it, or its file where `whole`.
    pub fn still_named(&self, found: &Found<'_>, target: &Target, whole: bool) -> Option<Refusal> {
        let (written, object) = (found.written(target), found.object.value());
        delete::refused(&self.builds.graph, &self.files, &subject(found, &written, &object), whole)
    }

    /// Objects of the tree that set the replicas of another at run time.
    fn scaled(&self, target: &Target, written: &Target, edits: &[Edit<'_>]) -> Vec<Remark> {
        let Some(edit) = edits.iter().find(|edit| edit.path.starts_with(&["spec", "replicas"]))
        else {
            return Vec::new();
        };
        let scalers = self.objects.iter().filter(|(name, _)| {
            name.namespace == target.namespace && autoscaler::is_one(&name.group, &name.kind)
        });
        let places =
            scalers.flat_map(|(name, places)| places.iter().map(move |place| (name, place)));
        let remark = |(name, (path, at)): (&Name, &(PathBuf, usize))| {
            let (found, _) = self.at(path, *at)?;
            let own = [target, written].iter().any(|named| autoscaler::scales(found.object, named));
            own.then(|| autoscaler::remark(edit.path, (&name.kind, &name.name), found.place()))
        };
        places.filter_map(remark).collect()
    }

    /// Why nothing is built under a name: its file is built as something else, or is no object.
    pub(super) fn otherwise(&self, target: &Target) -> Option<FindError> {
        let nowhere = Target { namespace: String::new(), ..target.clone() };
        let place = |target: &Target| self.builds.otherwise.get(&Name::of(target));
        let exact = place(target);
        let found = exact
            .or_else(|| place(&nowhere))
            .and_then(|(path, at)| self.at(path, *at))
            .map(|(found, _)| found)?;
        let error = |code, reason, remedy| FindError::Built {
            target: Box::new(target.clone()),
            code,
            reason,
            remedy,
        };
        match found.built? {
            Built::As { namespace, name, given }
                if exact.is_some() || *namespace == target.namespace =>
            {
                let by = given
                    .iter()
                    .map(|remark| format!("`{}` in {}", remark.by, remark.place))
                    .collect::<Vec<_>>()
                    .join(", ");
                let reason = format!(
                    "is not built: `{}` gives {name} in namespace {namespace}, by {by}",
                    found.place()
                );
                Some(error("built-otherwise", reason, "name it as it is built"))
            }
            Built::Several { .. } => exact.and_then(|_| several(target, &found)),
            Built::Not { what, key, place } => {
                let reason = format!(
                    "is in `{}`, which is {what} and no object: `{key}` in {place} names it",
                    found.place()
                );
                Some(error(
                    "not-an-object",
                    reason,
                    "name the object that is built, or have a person edit that file",
                ))
            }
            Built::AsWritten | Built::As { .. } => None,
        }
    }
}

/// Why an object cannot be had that is built as several.
pub fn several(target: &Target, found: &Found<'_>) -> Option<FindError> {
    let told = as_several(found)?;
    let place = found.place();
    Some(FindError::Built {
        target: Box::new(target.clone()),
        code: "built-as-several",
        reason: format!("comes from `{place}`, which {told}"),
        remedy: "a person changes that file for all of them, or adds a patch where one of them is \
                 built",
    })
}

/// Text that an object is built as several, with the sources. The subject of the text is the
/// object's place.
pub fn as_several(found: &Found<'_>) -> Option<String> {
    let Some(Built::Several { told, .. }) = found.built else { return None };
    Some(format!("is built as several objects; one change would reach all of them: {told}"))
}

fn subject<'a>(found: &Found<'a>, written: &'a Target, object: &'a Value) -> Subject<'a> {
    let of = Written {
        path: found.path,
        kind: &written.kind,
        namespace: &written.namespace,
        name: &written.name,
    };
    Subject::new(of, &written.group, &written.version, object)
}
