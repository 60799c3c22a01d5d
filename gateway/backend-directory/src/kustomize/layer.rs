//! The content of one kustomization: the files that it includes, and its changes of the objects in
//! them. Plain data with lines; resolves no reference.

use crate::read::Node;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A value and its line in the layer's file, from 1.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value in the file.
    pub value: T,
    /// The line of the value, from 1.
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
    /// A kustomize component.
    Component,
    /// A patch that changes objects.
    Patch,
    /// Its text is a value somewhere.
    Data,
}

/// A path that a layer names.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The use of the reference.
    pub used: Use,
    /// The key that has the reference.
    pub key: &'static str,
    /// As it is written.
    pub text: String,
    /// The line of the reference, from 1.
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
    /// The text after the tag.
    pub suffix: Option<String>,
}

/// An entry of `replicas`.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// Name of the objects that it changes.
    pub name: String,
    /// The number of replicas; `null` if it is not a number.
    pub count: Value,
}

/// The objects that a patch or a replacement changes. An absent field matches every object.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// The API group, as a pattern.
    pub group: Option<String>,
    /// The API version, as a pattern.
    pub version: Option<String>,
    /// The kind, as a pattern.
    pub kind: Option<String>,
    /// The namespace, as a pattern.
    pub namespace: Option<String>,
    /// The name, as a pattern.
    pub name: Option<String>,
    /// The text of `labelSelector`.
    pub labels: Option<String>,
    /// The text of `annotationSelector`.
    pub annotations: Option<String>,
}

/// A patch of a layer, with its place.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The key of the layer, such as `patches`.
    pub key: &'static str,
    /// Which objects; none where the patch names its object itself.
    pub target: Option<Selector>,
    /// The changes of the patch.
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
    /// The key of the layer, such as `commonLabels`.
    pub key: &'static str,
    /// The changed field: `labels` or `annotations`.
    pub field: &'static str,
    /// The pod template gets it too.
    pub template: bool,
    /// The name of the label or annotation.
    pub name: String,
    /// The value of the label or annotation.
    pub value: String,
}

/// A generated ConfigMap that changes one of the same name.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The name of the generated object.
    pub name: String,
    /// True for `behavior: replace`: keys that it does not name are removed.
    pub replaces: bool,
    /// Keys that are known, with their values where they are.
    pub data: Vec<(String, Value)>,
    /// Not all keys are known: it reads files of variables.
    pub open: bool,
}

/// A replacement: fields that get the value of another field.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The objects that the replacement changes.
    pub select: Selector,
    /// Which fields, as they are written.
    pub fields: Vec<String>,
}

/// One kustomization, Flux `Kustomization` or Argo CD `Application`.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The path of the layer's file.
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
    /// The prefix of each name.
    pub prefix: Option<Located<String>>,
    /// The suffix of each name.
    pub suffix: Option<Located<String>>,
    /// The changes of images.
    pub images: Vec<Located<Image>>,
    /// The changes of replicas.
    pub replicas: Vec<Located<Replicas>>,
    /// The patches of the layer.
    pub patches: Vec<Located<Patch>>,
    /// The labels and annotations that the layer adds.
    pub meta: Vec<Located<Meta>>,
    /// Generated ConfigMaps that change others.
    pub generated: Vec<Located<Generated>>,
    /// The replacements of the layer.
    pub replacements: Vec<Located<Replacement>>,
    /// The unread parts that may change any object of the layer: a key, or the reason why the file
    /// is not read.
    pub unread: Vec<Located<String>>,
}

impl Layer {
    /// A layer without content.
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

    /// File and line, for people: `overlays/prod/kustomization.yaml:7`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}
