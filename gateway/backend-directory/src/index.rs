//! The place of each object: every manifest of a tree, read once per request. An object can be the
//! target of an operation if it names itself in full (apiVersion, kind, `metadata.namespace` and
//! `metadata.name`), is in one place only, and that place is clear. Other objects are reported, and
//! never guessed.

mod builds;
mod copy;
mod gap;
mod mention;

pub use gap::phrase;

use super::kustomize::identity::Built;
use super::objects::{self, Identity, Name, Position};
use super::read::{Document, Format, Node, Unclear};
use super::tree::{Manifest, Text, Tree, TreeError};
use builds::Builds;
use cofferdam_core::model::id::{ObjectDigest, hex};
use cofferdam_core::model::left_out::Place;
use cofferdam_core::model::operation::{Operation, Target};
use cofferdam_process::rooted_fs::Root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most objects of a tree. A request keeps their names in memory; the largest clusters have
/// fewer.
pub const OBJECTS: usize = 200_000;

/// A file as it was read.
#[derive(Debug)]
pub struct File {
    /// Its text; empty when it could not be read.
    pub text: String,
    /// How it is written.
    pub format: Format,
    /// Its documents, or why it has none.
    pub documents: Result<Vec<Document>, Unclear>,
    /// Its objects that name themselves.
    objects: Vec<(Position, Identity)>,
    /// Numbers of its documents that hold none of these.
    nameless: Vec<usize>,
}

impl File {
    fn read(path: &Path, text: String) -> Self {
        let format = Format::of(path);
        let documents = format.read(&text);
        let objects = documents.as_deref().map(objects::objects).unwrap_or_default();
        let named: BTreeSet<_> = objects.iter().map(|(position, _)| position.document).collect();
        let nameless =
            (0..documents.as_ref().map_or(0, Vec::len)).filter(|at| !named.contains(at)).collect();
        Self { text, format, documents, objects, nameless }
    }

    /// Its documents of which no object is known by its name.
    fn nameless(&self) -> impl Iterator<Item = &Document> {
        let documents = self.documents.as_deref().unwrap_or_default();
        self.nameless.iter().filter_map(|at| documents.get(*at))
    }

    /// Returns whether the file was read and had this text. The text of a file that was not read is
    /// empty, so an empty text is read again.
    fn is_text(&self, text: &str) -> bool {
        !text.is_empty() && self.text == text
    }

    fn unread(unclear: Unclear) -> Self {
        Self {
            text: String::new(),
            format: Format::Yaml,
            documents: Err(unclear),
            objects: Vec::new(),
            nameless: Vec::new(),
        }
    }
}

/// An object as it was found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The path of its file below the root.
    pub path: &'a Path,
    /// The file that has the object.
    pub file: &'a File,
    /// Where in the file.
    pub position: &'a Position,
    /// The object as its file has it.
    pub object: &'a Node,
    /// The object in the build, if that is another one than in its file.
    built: Option<&'a Built>,
}

impl Found<'_> {
    /// File and line, for people: `shop/web.yaml:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.object.line)
    }

    /// Why it must not be relied on, if so.
    pub fn unclear(&self) -> Option<&Unclear> {
        let document = self.file.documents.as_ref().ok()?.get(self.position.document)?;
        document.unclear_in(self.object)
    }
}

/// Why an object cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The tree has no such object.
    #[error("there is no {0} in this tree")]
    Absent(Target),
    /// The object or its content is uncertain.
    #[error("{target} cannot be told for sure: {reason}")]
    Ambiguous {
        /// The object of the operation.
        target: Box<Target>,
        /// The places, with the reason.
        reason: String,
    },
    /// The build of the files has another object, or several.
    #[error("{target} {reason}")]
    Built {
        /// The object of the operation.
        target: Box<Target>,
        /// Code of the refusal.
        code: &'static str,
        /// The object in the build, and its source.
        reason: String,
        /// The remedy for the agent.
        remedy: &'static str,
    },
}

/// An object by name; the namespace is empty where it names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectName<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// The kind of the object.
    pub kind: &'a str,
    /// The namespace in the build.
    pub namespace: &'a str,
    /// The name in the build.
    pub name: &'a str,
}

/// Objects of one kind in one namespace.
#[derive(Debug)]
pub struct Listing<'a> {
    /// Those that are clear, by name.
    pub found: Vec<Found<'a>>,
    /// Places of those that are not, and places that may have more.
    pub gaps: Vec<Place>,
}

/// A tree as it was at one moment.
#[derive(Debug, Default)]
pub struct Index {
    files: BTreeMap<PathBuf, Arc<File>>,
    objects: BTreeMap<Name, Vec<(PathBuf, usize)>>,
    links: Vec<PathBuf>,
    /// A part of the tree is left out because of its limits.
    is_beyond: bool,
    /// The builds of the files.
    builds: Builds,
}

impl Index {
    /// Reads the files of a tree. A file with the same text as in `before` is not parsed again.
    /// # Errors
    /// The tree cannot be read, or has too many manifests.
    pub fn read(root: &Root, before: Option<&Self>) -> Result<Self, TreeError> {
        let mut root = root;
        Ok(Self::of(Tree::read(&mut root)?, before))
    }

    /// The objects of a tree. A file with the same text as in `before` is not parsed again.
    pub fn of(tree: Tree, before: Option<&Self>) -> Self {
        let Tree { manifests, links, is_beyond } = tree;
        let mut index = Self { links, is_beyond, ..Self::default() };
        let mut left = OBJECTS;
        for Manifest { path, text } in manifests {
            let known = || before.and_then(|before| before.files.get(&path));
            let mut file = match text {
                Ok(Text::Kept(file)) => file,
                Ok(Text::Read(text)) => match known().filter(|file| file.is_text(&text)) {
                    Some(file) => Arc::clone(file),
                    None => Arc::new(File::read(&path, text)),
                },
                Err(unclear) => Arc::new(File::unread(unclear)),
            };
            if let Some(fewer) = left.checked_sub(file.objects.len()) {
                left = fewer;
            } else {
                let reason = format!(
                    "is beyond the {OBJECTS} objects that are read; serve a part of the tree"
                );
                file = Arc::new(File::unread(Unclear::at(1, reason)));
                index.is_beyond = true;
            }
            index.files.insert(path, file);
        }
        index.builds = Builds::of(&index.files);
        for (path, file) in &index.files {
            let ways = index.builds.ways(path);
            for (at, (_, identity)) in file.objects.iter().enumerate() {
                for name in index.builds.names(&ways, path, at, identity.name.clone()) {
                    index.objects.entry(name).or_default().push((path.clone(), at));
                }
            }
        }
        index
    }

    /// A file as it was read.
    pub(super) fn file(&self, path: &Path) -> Option<&Arc<File>> {
        self.files.get(path)
    }

    /// Whether a part of the tree is left out because of its limits.
    pub(super) fn is_beyond(&self) -> bool {
        self.is_beyond
    }

    /// The files that have the objects of an operation.
    pub(super) fn used<'a>(&'a self, operation: &Operation) -> Vec<&'a Path> {
        let paths =
            |places: &'a Vec<(PathBuf, usize)>| places.iter().map(|(path, _)| path.as_path());
        match operation {
            Operation::List { group, kind, namespace, .. } => {
                let first = Name::first(group, kind, namespace);
                self.named(&first).flat_map(|(_, places)| paths(places)).collect()
            }
            other => {
                let places = other.target().and_then(|target| self.objects.get(&Name::of(target)));
                places.into_iter().flat_map(paths).collect()
            }
        }
    }

    /// The one object of this name.
    pub fn find(&self, target: &Target) -> Result<Found<'_>, FindError> {
        let name = Name::of(target);
        let ambiguous =
            |reason: String| FindError::Ambiguous { target: Box::new(target.clone()), reason };
        let places = self.places(&name);
        let (found, version) = match places.as_slice() {
            [] if let Some(error) = self.otherwise(target) => return Err(error),
            [] => {
                return Err(self
                    .hint(target)
                    .map_or_else(|| FindError::Absent(target.clone()), ambiguous));
            }
            [found] => *found,
            [(first, _), (second, _), ..] => {
                return Err(ambiguous(format!(
                    "it is in `{}` and in `{}`",
                    first.place(),
                    second.place()
                )));
            }
        };
        if let Some(error) = builds::several(target, &found) {
            return Err(error);
        }
        if let Some(unclear) = found.unclear() {
            return Err(ambiguous(format!(
                "`{}:{}` {}",
                found.path.display(),
                unclear.line,
                phrase("has", &unclear.reason)
            )));
        }
        if version == target.version { Ok(found) } else { Err(FindError::Absent(target.clone())) }
    }

    /// Every clear object of a kind in a namespace, by name; and the places of those that are left
    /// out.
    pub fn list(&self, group: &str, version: &str, kind: &str, namespace: &str) -> Listing<'_> {
        let first = Name::first(group, kind, namespace);
        let (mut found, mut gaps) = (Vec::new(), Vec::new());
        for (name, _) in self.named(&first) {
            match self.places(name).as_slice() {
                [(one, own)] => match one.unclear() {
                    _ if *own != version => {}
                    None if let Some(reason) = builds::as_several(one) => {
                        gaps.push(gap::several(one, name, &reason))
                    }
                    None => found.push(*one),
                    Some(unclear) => gaps.push(gap::unclear(one, name, unclear)),
                },
                places => gaps.extend(places.iter().map(|(one, _)| gap::twice(one, name, places))),
            }
        }
        gaps.extend(self.gaps(group, kind, namespace));
        Listing { found, gaps }
    }

    /// Objects of the group, kind and namespace of a name.
    fn named<'a>(
        &'a self,
        first: &Name,
    ) -> impl Iterator<Item = (&'a Name, &'a Vec<(PathBuf, usize)>)> {
        let same = move |name: &Name| {
            (&name.group, &name.kind, &name.namespace)
                == (&first.group, &first.kind, &first.namespace)
        };
        self.objects.range(first..).take_while(move |(name, _)| same(name))
    }

    /// Every object that names itself, whether or not it is clear.
    pub fn names(&self) -> impl Iterator<Item = ObjectName<'_>> {
        self.objects.keys().map(|name| ObjectName {
            group: &name.group,
            kind: &name.kind,
            namespace: &name.namespace,
            name: &name.name,
        })
    }

    /// Every file that was read, by path.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &File)> {
        self.files.iter().map(|(path, file)| (path.as_path(), file.as_ref()))
    }

    /// Where the objects of this name are, with their versions.
    fn places(&self, name: &Name) -> Vec<(Found<'_>, &str)> {
        let places = self.objects.get(name).into_iter().flatten();
        places.filter_map(|(path, at)| self.at(path, *at)).collect()
    }

    fn at(&self, path: &Path, index: usize) -> Option<(Found<'_>, &str)> {
        let (path, file) = self.files.get_key_value(path)?;
        let (position, identity) = file.objects.get(index)?;
        let object = position.object(file.documents.as_ref().ok()?)?;
        let built = self.builds.get(path, index);
        Some((Found { path, file, position, object, built }, &identity.version))
    }
}

/// The object's UID, made from its place: another file, another object.
pub fn uid(path: &Path, target: &Target) -> String {
    let place = [
        &path.to_string_lossy(),
        target.group.as_str(),
        target.kind.as_str(),
        target.namespace.as_str(),
        target.name.as_str(),
    ]
    .join("\0");
    let digest = hex(ObjectDigest::of(place.as_bytes()).as_bytes());
    format!("file-{}", digest.get(..32).unwrap_or(&digest))
}

/// Digest of an object without status and managed fields, so that a heartbeat is no drift.
pub fn digest(object: &Value) -> Result<ObjectDigest, cofferdam_core::model::json::JsonError> {
    Ok(ObjectDigest::of(cofferdam_core::model::json::canonical(&bare(object))?.as_bytes()))
}

/// An object without status and managed fields.
pub fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    object
}
