//! The objects that a selector or a patch is about. An uncertain match counts as a possible one.

use crate::kustomize::graph::{Files, Graph};
use crate::kustomize::identity::Written;
use crate::kustomize::layer::{Body, Image, Layer, Patch, Selector};
use crate::kustomize::view::{at, get, text, text_of};
use crate::read::{Node, Shape, read};
use serde_json::Value;

/// The certainty that a selector or a patch is about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It is not about the object.
    No,
    /// It may be about the object.
    Maybe,
    /// It is about the object.
    Yes,
}

/// An object on its way through the layers: it keeps every name it had.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// As its file says it.
    pub written: Written<'a>,
    group: &'a str,
    version: &'a str,
    object: &'a Value,
    names: Vec<String>,
    namespaces: Vec<String>,
    images: Vec<Image>,
}

impl<'a> Subject<'a> {
    /// An object as its file says it.
    pub fn new(written: Written<'a>, group: &'a str, version: &'a str, object: &'a Value) -> Self {
        let (names, namespaces) =
            (vec![written.name.to_owned()], vec![written.namespace.to_owned()]);
        Self { written, group, version, object, names, namespaces, images: Vec::new() }
    }

    /// Behind one more layer.
    pub fn pass(&mut self, layer: &Layer) {
        let name = self.names.last().cloned().unwrap_or_default();
        let prefix = layer.prefix.as_ref().map(|prefix| prefix.value.as_str()).unwrap_or_default();
        let suffix = layer.suffix.as_ref().map(|suffix| suffix.value.as_str()).unwrap_or_default();
        self.names.push(format!("{prefix}{name}{suffix}"));
        if let Some(namespace) = &layer.namespace {
            self.namespaces.push(namespace.value.1.clone());
        }
        self.images.extend(layer.images.iter().map(|image| image.value.clone()));
    }

    /// Returns whether the object has or had this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// An image as the layers so far make it.
    pub fn image_of(&self, text: &str) -> String {
        self.images.iter().fold(text.to_owned(), |text, image| {
            super::image::changed(image, &text).unwrap_or(text)
        })
    }
}

/// Compares a selector with an object.
pub fn matches_selector(selector: &Selector, subject: &Subject<'_>) -> Match {
    let field = |pattern: &Option<String>, values: &[&str]| {
        let Some(pattern) = pattern else { return Match::Yes };
        values.iter().map(|value| matches_pattern(pattern, value)).max().unwrap_or(Match::No)
    };
    let names: Vec<&str> = subject.names.iter().map(String::as_str).collect();
    let namespaces: Vec<&str> = subject.namespaces.iter().map(String::as_str).collect();
    let pairs = |pattern: &Option<String>, kind: &str| {
        let Some(pattern) = pattern else { return Match::Yes };
        labelled(pattern, subject.object.get("metadata").and_then(|metadata| metadata.get(kind)))
    };
    [
        field(&selector.group, &[subject.group]),
        field(&selector.version, &[subject.version]),
        field(&selector.kind, &[subject.written.kind]),
        field(&selector.name, &names),
        field(&selector.namespace, &namespaces),
        pairs(&selector.labels, "labels"),
        pairs(&selector.annotations, "annotations"),
    ]
    .into_iter()
    .min()
    .unwrap_or(Match::Yes)
}

/// An anchored regular expression of kustomize: plain names, alternatives, `.*` at an end. Any
/// other may match.
fn matches_pattern(pattern: &str, text: &str) -> Match {
    let whole = pattern.trim_start_matches('^').trim_end_matches('$');
    let inner = whole.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(whole);
    let plain = |part: &str| {
        part.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '/')
        })
    };
    let one = |part: &str| {
        let (begin, end) = (part.strip_prefix(".*"), part.strip_suffix(".*"));
        match (begin, end) {
            _ if part == ".*" => Match::Yes,
            (None, None) if plain(part) => {
                if part == text {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            (None, Some(start)) if plain(start) => {
                if text.starts_with(start) {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            (Some(tail), None) if plain(tail) => {
                if text.ends_with(tail) {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            _ => Match::Maybe,
        }
    };
    inner.split('|').map(one).max().unwrap_or(Match::No)
}

/// Equality alone is read: `app=web,tier!=db`. Any other selector may match.
fn labelled(selector: &str, labels: Option<&Value>) -> Match {
    let value =
        |key: &str| labels.and_then(|labels| labels.get(key.trim())).and_then(Value::as_str);
    let all = selector.split(',').map(|part| {
        let (key, wanted, equal) = match (part.split_once("!="), part.split_once("=")) {
            (Some((key, wanted)), _) => (key, wanted, false),
            (None, Some((key, wanted))) => (key, wanted.trim_start_matches('='), true),
            (None, None) => return Match::Maybe,
        };
        if (value(key) == Some(wanted.trim())) == equal { Match::Yes } else { Match::No }
    });
    all.min().unwrap_or(Match::Maybe)
}

/// Compares a patch without a target with an object.
pub fn matches_patch(
    graph: &Graph,
    files: &Files,
    layer: &Layer,
    patch: &Patch,
    subject: &Subject<'_>,
) -> bool {
    documents(graph, files, layer, &patch.body)
        .is_some_and(|all| all.iter().any(|node| names(node, subject)))
}

/// Returns whether a strategic patch is about this object.
pub fn names(node: &Node, subject: &Subject<'_>) -> bool {
    let api = text_of(node, "apiVersion").unwrap_or_default();
    let group = api.rsplit_once('/').map_or("", |(group, _)| group);
    let name = at(node, &["metadata", "name"]).and_then(text).unwrap_or_default();
    let namespace = at(node, &["metadata", "namespace"]).and_then(text);
    let same_namespace = namespace.is_none_or(|namespace| {
        subject.namespaces.contains(&namespace) || subject.namespaces.iter().all(String::is_empty)
    });
    group == subject.group
        && text_of(node, "kind").as_deref() == Some(subject.written.kind)
        && subject.has_name(&name)
        && same_namespace
}

/// The documents of a patch; none where it cannot be read.
pub fn documents(graph: &Graph, files: &Files, layer: &Layer, body: &Body) -> Option<Vec<Node>> {
    let roots = |documents: &[crate::read::Document]| -> Option<Vec<Node>> {
        documents
            .iter()
            .map(|document| document.doubt().is_none().then(|| document.root.clone()))
            .collect()
    };
    match body {
        Body::Node(node) => Some(vec![(**node).clone()]),
        Body::Text(text) => roots(&read(text).ok()?),
        Body::File(text) => roots(graph.file(files, layer, text)?.1),
    }
}

/// Returns whether a document is a list of operations (RFC 6902) and not a strategic patch.
pub fn is_operations(node: &Node) -> bool {
    let Shape::List { items, .. } = &node.shape else { return false };
    items.iter().all(|item| get(item, "op").is_some())
}
