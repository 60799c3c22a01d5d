//! A kustomization file as a [`Layer`], after the reference of kubectl's kustomize (v5). Skips
//! unknown keys. Keys that run programs or read outside the tree are listed as unread.

pub mod argo;
pub mod flux;

use super::layer::{
    Body, Generated, Image, Layer, LayerKind, Located, Meta, Patch, Reference, Replacement,
    Replicas, Selector, Use,
};
use super::view::{at, get, items, pairs, text, text_of};
use crate::read::{Document, Node};
use serde_json::Value;
use std::path::Path;

/// Names of a kustomization file.
pub const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A namespace that may be given by what is not read: no namespace has this name.
const UNKNOWN: &str = "(not read)";

/// Keys that change objects by programs, or by files of another form.
const UNREAD: [&str; 2] = ["transformers", "configurations"];

/// Returns whether a path is of a kustomization file.
pub fn is_kustomization(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| FILES.contains(&name))
}

/// Reads a kustomization file as a layer.
pub fn file(path: &Path, document: &Document) -> Layer {
    let node = &document.root;
    let kind = if text_of(node, "kind").as_deref() == Some("Component") {
        LayerKind::Component
    } else {
        LayerKind::File
    };
    let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let mut layer = Layer::new(path, node.line, kind, folder);
    if let Some(unclear) = document.doubt() {
        layer.unread.push(Located { value: unclear.reason, line: unclear.line });
    }
    references(&mut layer, node);
    common(&mut layer, node);
    layer.namespace = get(node, "namespace").and_then(|node| named(node, "namespace"));
    if let Some(hidden) =
        get(node, "namespace").filter(|_| layer.namespace.is_none() && document.doubt().is_some())
    {
        layer.namespace =
            Some(Located { value: ("namespace", UNKNOWN.to_owned()), line: hidden.line });
    }
    // A merge key may bring one.
    if let Some(merged) = node.borrowed().filter(|_| layer.namespace.is_none()) {
        layer.namespace =
            Some(Located { value: ("namespace", UNKNOWN.to_owned()), line: merged.line });
    }
    for key in UNREAD {
        let written = items(get(node, key))
            .first()
            .map(|first| Located { value: key.to_owned(), line: first.line });
        layer.unread.extend(written);
    }
    layer
}

/// A value under a key that gives it.
pub fn named(node: &Node, key: &'static str) -> Option<Located<(&'static str, String)>> {
    text(node)
        .filter(|text| !text.is_empty())
        .map(|text| Located { value: (key, text), line: node.line })
}

/// Everything that kustomization files, Flux and Argo CD spell the same way.
pub fn common(layer: &mut Layer, node: &Node) {
    let scalar = |key: &str| {
        let node = get(node, key)?;
        text(node).filter(|text| !text.is_empty()).map(|value| Located { value, line: node.line })
    };
    layer.prefix = scalar("namePrefix");
    layer.suffix = scalar("nameSuffix");
    for item in items(get(node, "images")) {
        if let Some(image) = image(item) {
            layer.images.push(Located { value: image, line: item.line });
        }
    }
    for item in items(get(node, "replicas")) {
        if let Some(name) = text_of(item, "name") {
            let count =
                get(item, "count").map(Node::value).filter(Value::is_number).unwrap_or_default();
            layer.replicas.push(Located { value: Replicas { name, count }, line: item.line });
        }
    }
    patches(layer, node);
    let whole = [("commonLabels", "labels", true), ("commonAnnotations", "annotations", true)];
    for (key, field, template) in whole {
        meta(layer, get(node, key), (key, field, template));
    }
    for item in items(get(node, "labels")) {
        let on = |key| get(item, key).is_some_and(|node| node.value() == Value::Bool(true));
        meta(
            layer,
            get(item, "pairs"),
            ("labels", "labels", on("includeTemplates") || on("includeSelectors")),
        );
    }
}

fn meta(
    layer: &mut Layer,
    node: Option<&Node>,
    (key, field, template): (&'static str, &'static str, bool),
) {
    for (name, node) in pairs(node) {
        let value = Meta {
            key,
            field,
            template,
            name: name.to_owned(),
            value: text(node).unwrap_or_default(),
        };
        layer.meta.push(Located { value, line: node.line });
    }
}

/// An entry of `images`: a map, or Argo CD's `name=new:tag`.
fn image(item: &Node) -> Option<Image> {
    let Some(written) = text(item) else {
        let field = |key| text_of(item, key).filter(|text| !text.is_empty());
        let (new_name, new_tag) = (field("newName"), field("newTag"));
        return Some(Image {
            name: field("name")?,
            new_name,
            new_tag,
            digest: field("digest"),
            suffix: field("tagSuffix"),
        });
    };
    let (name, new) = match written.split_once('=') {
        Some((name, new)) => (Some(name.to_owned()), new.to_owned()),
        None => (None, written),
    };
    let (base, tag, digest) = super::overrides::reference(&new);
    let other = name.as_ref().is_some_and(|name| name != base);
    Some(Image {
        name: name.unwrap_or_else(|| base.to_owned()),
        new_name: other.then(|| base.to_owned()),
        new_tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
        suffix: None,
    })
}

/// Reads a selector of objects.
fn selector(node: &Node) -> Selector {
    let field = |key| text_of(node, key).filter(|text| !text.is_empty());
    Selector {
        group: field("group"),
        version: field("version"),
        kind: field("kind"),
        namespace: field("namespace"),
        name: field("name"),
        labels: field("labelSelector"),
        annotations: field("annotationSelector"),
    }
}

fn patches(layer: &mut Layer, node: &Node) {
    for key in ["patches", "patchesJson6902"] {
        for item in items(get(node, key)) {
            let body = match (get(item, "path"), get(item, "patch")) {
                (Some(path), _) => {
                    let Some(path) = text(path) else { continue };
                    layer.references.push(Reference {
                        used: Use::Patch,
                        key,
                        text: path.clone(),
                        line: item.line,
                    });
                    Body::File(path)
                }
                (None, Some(patch)) => {
                    text(patch).map_or_else(|| Body::Node(Box::new(patch.clone())), Body::Text)
                }
                (None, None) => continue,
            };
            let target = get(item, "target").map(selector);
            layer.patches.push(Located { value: Patch { key, target, body }, line: item.line });
        }
    }
    let key = "patchesStrategicMerge";
    for item in items(get(node, key)) {
        let body = match text(item) {
            Some(inline) if inline.contains('\n') || inline.contains(": ") => Body::Text(inline),
            Some(path) => {
                layer.references.push(Reference {
                    used: Use::Patch,
                    key,
                    text: path.clone(),
                    line: item.line,
                });
                Body::File(path)
            }
            None => Body::Node(Box::new(item.clone())),
        };
        layer.patches.push(Located { value: Patch { key, target: None, body }, line: item.line });
    }
}

fn references(layer: &mut Layer, node: &Node) {
    let lists = [
        ("resources", Use::Resource),
        ("bases", Use::Resource),
        ("components", Use::Component),
        ("crds", Use::Data),
        ("configurations", Use::Data),
        ("generators", Use::Data),
        ("transformers", Use::Data),
        ("validators", Use::Data),
    ];
    for (key, used) in lists {
        for item in items(get(node, key)) {
            let Some(text) = text(item) else { continue };
            layer.references.push(Reference { used, key, text, line: item.line });
        }
    }
    for key in ["configMapGenerator", "secretGenerator"] {
        for item in items(get(node, key)) {
            generator(layer, key, item);
        }
    }
    for item in items(get(node, "replacements")) {
        replacement(layer, item);
    }
    for item in items(get(node, "helmCharts")) {
        let files =
            get(item, "valuesFile").into_iter().chain(items(get(item, "additionalValuesFiles")));
        for file in files {
            let Some(text) = text(file) else { continue };
            layer.references.push(Reference {
                used: Use::Data,
                key: "helmCharts",
                text,
                line: file.line,
            });
        }
    }
    if let Some(file) = at(node, &["openapi", "path"])
        && let Some(text) = text(file)
    {
        layer.references.push(Reference { used: Use::Data, key: "openapi", text, line: file.line });
    }
}

fn generator(layer: &mut Layer, key: &'static str, item: &Node) {
    let mut data = Vec::new();
    for file in items(get(item, "files")) {
        let Some(written) = text(file) else { continue };
        let (name, path) = match written.split_once('=') {
            Some((name, path)) => (name.to_owned(), path.to_owned()),
            None => (written.rsplit('/').next().unwrap_or_default().to_owned(), written.clone()),
        };
        layer.references.push(Reference { used: Use::Data, key, text: path, line: file.line });
        data.push((name, Value::Null));
    }
    let variables: Vec<&Node> =
        get(item, "env").into_iter().chain(items(get(item, "envs"))).collect();
    for file in &variables {
        let Some(text) = text(file) else { continue };
        layer.references.push(Reference { used: Use::Data, key, text, line: file.line });
    }
    for literal in items(get(item, "literals")).iter().filter_map(text) {
        if let Some((name, value)) = literal.split_once('=') {
            data.push((name.to_owned(), Value::String(value.trim_matches(['"', '\'']).to_owned())));
        }
    }
    let behavior = text_of(item, "behavior").unwrap_or_default();
    if let (Some(name), "configMapGenerator", "merge" | "replace") =
        (text_of(item, "name"), key, behavior.as_str())
    {
        let value =
            Generated { name, replaces: behavior == "replace", data, open: !variables.is_empty() };
        layer.generated.push(Located { value, line: item.line });
    }
}

fn replacement(layer: &mut Layer, item: &Node) {
    let key = "replacements";
    if let Some(path) = text_of(item, "path") {
        layer.references.push(Reference { used: Use::Data, key, text: path, line: item.line });
        layer.unread.push(Located { value: key.to_owned(), line: item.line });
    }
    for target in items(get(item, "targets")) {
        let select = get(target, "select").map(selector).unwrap_or_default();
        let mut fields: Vec<String> =
            items(get(target, "fieldPaths")).iter().filter_map(text).collect();
        if fields.is_empty() {
            fields.push("metadata.name".to_owned());
        }
        layer
            .replacements
            .push(Located { value: Replacement { select, fields }, line: target.line });
    }
}
