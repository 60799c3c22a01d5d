//! The content of one kustomization: the files that it includes, and its changes of the objects in
//! them. Plain data with lines; resolves no reference.

use crate::read::Node;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A value and its line in the layer's file, from 1.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The line.
    pub line: usize,
}

/// The use of a folder or a file of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// A kustomization file: paths are relative to its folder.
    File,
    /// A component: its changes are those of each layer that names it.
    Component,
    /// A Flux `Kustomization`: a folder without a kustomization file is built with all folders in
    /// it.
    Flux,
    /// An Argo CD `Application`. `recurse`: a folder without a kustomization file is built with all
    /// folders in it.
    Argo {
        /// `spec.source.directory.recurse`.
        recurse: bool,
    },
}

/// For what a file is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Its objects are built.
    Resource,
    /// A component.
    Component,
    /// It changes objects.
    Patch,
    /// Its text is a value somewhere.
    Data,
}

/// A path that a layer names.
#[derive(Debug, Clone)]
pub struct Reference {
    /// For what.
    pub used: Use,
    /// Under which key.
    pub key: &'static str,
    /// As it is written.
    pub text: String,
    /// Where.
    pub line: usize,
}

/// An entry of `images`.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Name of the images that it changes.
    pub name: String,
    /// Instead of the name.
    pub new_name: Option<String>,
    /// Instead of tag and digest.
    pub new_tag: Option<String>,
    /// Instead of tag and digest.
    pub digest: Option<String>,
    /// Behind the tag.
    pub suffix: Option<String>,
}

/// An entry of `replicas`.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// Name of the objects that it changes.
    pub name: String,
    /// How many; `null` where it is no number.
    pub count: Value,
}

/// Which objects a patch or a replacement changes. None matches all.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// API group.
    pub group: Option<String>,
    /// API version.
    pub version: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// `labelSelector`.
    pub labels: Option<String>,
    /// `annotationSelector`.
    pub annotations: Option<String>,
}

/// A patch.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Its key: `patches`.
    pub key: &'static str,
    /// Which objects; none where the patch names its object itself.
    pub target: Option<Selector>,
    /// The changes.
    pub body: Body,
}

/// Where a patch is.
#[derive(Debug, Clone)]
pub enum Body {
    /// In a text of the layer.
    Text(String),
    /// In the layer itself.
    Node(Box<Node>),
    /// In a file, as it is named.
    File(String),
}

/// Labels or annotations that a layer sets.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Its key: `commonLabels`.
    pub key: &'static str,
    /// `labels` or `annotations`.
    pub field: &'static str,
    /// The pod template gets it too.
    pub template: bool,
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A generated ConfigMap that changes one of the same name.
#[derive(Debug, Clone)]
pub struct Generated {
    /// Its name.
    pub name: String,
    /// `behavior: replace`: what it does not name goes.
    pub replaces: bool,
    /// Keys that are known, with their values where they are.
    pub data: Vec<(String, Value)>,
    /// Not all keys are known: it reads files of variables.
    pub open: bool,
}

/// A replacement: fields that get the value of another field.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// Which objects.
    pub select: Selector,
    /// Which fields, as they are written.
    pub fields: Vec<String>,
}

/// One kustomization, Flux `Kustomization` or Argo CD `Application`.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its file.
    pub path: PathBuf,
    /// The line of its document.
    pub line: usize,
    /// The kind of the layer.
    pub kind: LayerKind,
    /// The folder that relative paths begin at.
    pub folder: PathBuf,
    /// The files and folders that the layer names.
    pub references: Vec<Reference>,
    /// The namespace of all its objects.
    pub namespace: Option<Located<(&'static str, String)>>,
    /// The namespace of objects that have none.
    pub fallback: Option<Located<(&'static str, String)>>,
    /// Before each name.
    pub prefix: Option<Located<String>>,
    /// Behind each name.
    pub suffix: Option<Located<String>>,
    /// Changes of images.
    pub images: Vec<Located<Image>>,
    /// Changes of replicas.
    pub replicas: Vec<Located<Replicas>>,
    /// Patches.
    pub patches: Vec<Located<Patch>>,
    /// Labels and annotations.
    pub meta: Vec<Located<Meta>>,
    /// Generated ConfigMaps that change others.
    pub generated: Vec<Located<Generated>>,
    /// Replacements.
    pub replacements: Vec<Located<Replacement>>,
    /// The unread parts that may change any object of the layer: a key, or the reason why the file
    /// is not read.
    pub unread: Vec<Located<String>>,
}

impl Layer {
    /// One that says nothing yet.
    pub fn new(path: &Path, line: usize, kind: LayerKind, folder: PathBuf) -> Self {
        Self {
            path: path.to_owned(),
            line,
            kind,
            folder,
            references: Vec::new(),
            namespace: None,
            fallback: None,
            prefix: None,
            suffix: None,
            images: Vec::new(),
            replicas: Vec::new(),
            patches: Vec::new(),
            meta: Vec::new(),
            generated: Vec::new(),
            replacements: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// For people: `overlays/prod/kustomization.yaml:7`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}
