//! Which object is where: every manifest of a tree, read once per look. An object is addressable when it names itself in full (apiVersion, kind,
//! `metadata.namespace` and `metadata.name`), stands in one place only, and that place is clear; otherwise it is named, never guessed at.

mod builds;

use super::kustomize::identity::Built;
use super::read::{Document, Unclear, read};
use super::tree::{self, Manifest, TreeFault};
use builds::Builds;
use cofferdam_core::id::{ObjectDigest, hex};
use cofferdam_core::operation::Target;
use cofferdam_process::beneath::Root;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file as it was read.
#[derive(Debug)]
pub struct File {
    /// Its text; empty when it could not be read.
    pub text: String,
    /// Its documents, or why it has none.
    pub documents: Result<Vec<Document>, Unclear>,
}

/// An object as it was found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Beneath the root.
    pub path: &'a Path,
    /// The file.
    pub file: &'a File,
    /// Index among the file's documents.
    pub index: usize,
    /// The document.
    pub document: &'a Document,
    /// What it is in what is built, where that is another than its file says.
    built: Option<&'a Built>,
}

impl Found<'_> {
    /// For people: `shop/web.yaml:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.document.root.line)
    }
}

/// Why an object cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindFault {
    /// There is none.
    #[error("there is no {0} in this tree")]
    Absent(Target),
    /// It cannot be told for sure which it is, or what it says.
    #[error("{target} cannot be told for sure: {reason}")]
    Ambiguous {
        /// The object.
        target: Box<Target>,
        /// Where and why.
        reason: String,
    },
    /// What is built of the files is another object, or several.
    #[error("{target} {reason}")]
    Built {
        /// The object.
        target: Box<Target>,
        /// Code of the refusal.
        code: &'static str,
        /// What it is, and who says so.
        reason: String,
        /// What to do instead.
        remedy: &'static str,
    },
}

/// Group, kind, namespace and name: two versions of one API are one object.
type Name = (String, String, String, String);

/// An object by name; the namespace is empty where it names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectName<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
}

/// A tree as it was at one moment.
#[derive(Debug, Default)]
pub struct Index {
    files: BTreeMap<PathBuf, Arc<File>>,
    objects: BTreeMap<Name, Vec<(PathBuf, usize)>>,
    /// What builds the files.
    builds: Builds,
}

impl Index {
    /// Reads a tree. Files whose text is the same as `before` are not parsed again.
    pub fn read(root: &Root, before: Option<&Self>) -> Result<Self, TreeFault> {
        let mut index = Self::default();
        for Manifest { path, text } in tree::manifests(root)? {
            let known = before.and_then(|before| before.files.get(&path)).filter(|file| text.as_deref() == Ok(file.text.as_str()));
            let file = match (known, text) {
                (Some(file), _) => Arc::clone(file),
                (None, Ok(text)) => Arc::new(File { documents: read(&text), text }),
                (None, Err(unclear)) => Arc::new(File { text: String::new(), documents: Err(unclear) }),
            };
            index.files.insert(path, file);
        }
        index.builds = Builds::of(&index.files);
        for (path, file) in &index.files {
            let ways = index.builds.ways(path);
            for (at, document) in file.documents.iter().flatten().enumerate() {
                let Some((_, name)) = identity(&document.root.value()) else { continue };
                for name in index.builds.names(&ways, path, at, name) {
                    index.objects.entry(name).or_default().push((path.clone(), at));
                }
            }
        }
        Ok(index)
    }

    /// The one object of this name.
    pub fn find(&self, target: &Target) -> Result<Found<'_>, FindFault> {
        let ambiguous = |reason: String| FindFault::Ambiguous { target: Box::new(target.clone()), reason };
        let places: Vec<_> = self.objects.get(&name(target)).into_iter().flatten().filter_map(|(path, at)| self.at(path, *at)).collect();
        let found = match places.as_slice() {
            [] if let Some(fault) = self.otherwise(target) => return Err(fault),
            [] => return Err(self.hint(target).map_or_else(|| FindFault::Absent(target.clone()), ambiguous)),
            [found] => *found,
            [first, second, ..] => return Err(ambiguous(format!("it stands in `{}` and in `{}`", first.place(), second.place()))),
        };
        if let Some(fault) = builds::several(target, &found) {
            return Err(fault);
        }
        if let Some(unclear) = &found.document.unclear {
            return Err(ambiguous(format!("`{}:{}` has {}", found.path.display(), unclear.line, unclear.reason)));
        }
        match identity(&found.document.root.value()) {
            Some((version, _)) if version == target.version => Ok(found),
            _ => Err(FindFault::Absent(target.clone())),
        }
    }

    /// Every clear object of a kind in a namespace, by name; and the places of unclear ones.
    pub fn list(&self, group: &str, version: &str, kind: &str, namespace: &str) -> (Vec<Found<'_>>, Vec<String>) {
        let (mut clear, mut unclear) = (Vec::new(), Vec::new());
        for (name, places) in &self.objects {
            if (name.0.as_str(), name.1.as_str(), name.2.as_str()) != (group, kind, namespace) {
                continue;
            }
            let target = Target {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.3.clone(),
            };
            match self.find(&target) {
                Ok(found) => clear.push(found),
                Err(FindFault::Absent(_)) => {}
                Err(FindFault::Ambiguous { .. } | FindFault::Built { .. }) => {
                    unclear.extend(places.iter().filter_map(|(path, at)| self.at(path, *at)).map(|found| found.place()));
                }
            }
        }
        (clear, unclear)
    }

    /// Every object that names itself, whether or not it is clear.
    pub fn names(&self) -> impl Iterator<Item = ObjectName<'_>> {
        self.objects.keys().map(|(group, kind, namespace, name)| ObjectName { group, kind, namespace, name })
    }

    /// Everything that was read but cannot be relied on, for people: place and reason.
    pub fn unclear(&self) -> Vec<(String, String)> {
        let whole = |path: &Path, unclear: &Unclear| (format!("{}:{}", path.display(), unclear.line), unclear.reason.clone());
        self.files
            .iter()
            .flat_map(|(path, file)| match &file.documents {
                Err(unclear) => vec![whole(path, unclear)],
                Ok(documents) => {
                    documents.iter().filter_map(|document| document.unclear.as_ref()).map(|unclear| whole(path, unclear)).collect()
                }
            })
            .chain(self.builds.unseen())
            .collect()
    }

    fn at(&self, path: &Path, index: usize) -> Option<Found<'_>> {
        let (path, file) = self.files.get_key_value(path)?;
        let document = file.documents.as_ref().ok()?.get(index)?;
        let built = self.builds.get(path, index);
        Some(Found { path, file, index, document, built })
    }

    /// Where an object that is not there might be meant: an object without a namespace, or a file that could not be read as a whole.
    fn hint(&self, target: &Target) -> Option<String> {
        let nowhere = (target.group.clone(), target.kind.clone(), String::new(), target.name.clone());
        if let Some(found) = self.objects.get(&nowhere).and_then(|places| places.first()).and_then(|(path, at)| self.at(path, *at)) {
            return Some(format!("`{}` has no `metadata.namespace`; write it there", found.place()));
        }
        let line = |text: &str, key: &str, value: &str| {
            text.lines().any(|line| {
                let rest = line.trim().trim_start_matches("- ").strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
                rest.is_some_and(|rest| rest.trim().trim_matches(['"', '\'']) == value)
            })
        };
        self.files.iter().find_map(|(path, file)| {
            let unclear = file.documents.as_ref().err()?;
            (line(&file.text, "kind", &target.kind) && line(&file.text, "name", &target.name))
                .then(|| format!("`{}:{}` is {}", path.display(), unclear.line, unclear.reason))
        })
    }
}

fn name(target: &Target) -> Name {
    (target.group.clone(), target.kind.clone(), target.namespace.clone(), target.name.clone())
}

/// API version, and group, kind, namespace (empty where none is written) and name; none for what is no object.
fn identity(object: &Value) -> Option<(String, Name)> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let api = object.get("apiVersion")?.as_str()?;
    let (group, version) = api.rsplit_once('/').unwrap_or(("", api));
    let metadata = object.get("metadata")?;
    let name = text(metadata.get("name"))?;
    Some((version.to_owned(), (group.to_owned(), text(object.get("kind"))?, text(metadata.get("namespace")).unwrap_or_default(), name)))
}

/// The object's UID, made from its place: another file, another object.
pub fn uid(path: &Path, target: &Target) -> String {
    let place =
        [&path.to_string_lossy(), target.group.as_str(), target.kind.as_str(), target.namespace.as_str(), target.name.as_str()].join("\0");
    let digest = hex(ObjectDigest::of(place.as_bytes()).as_bytes());
    format!("file-{}", digest.get(..32).unwrap_or(&digest))
}

/// Digest of an object without status and managed fields, so that a heartbeat is no drift.
pub fn digest(object: &Value) -> Result<ObjectDigest, cofferdam_core::json::JsonFault> {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    Ok(ObjectDigest::of(cofferdam_core::json::canonical(&object)?.as_bytes()))
}

/// Whether an object is the one named.
pub fn is(object: &Value, target: &Target) -> bool {
    identity(object).is_some_and(|(version, found)| version == target.version && found == name(target))
}
