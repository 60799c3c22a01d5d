//! An Argo CD `Application` as [`Layer`]s: each source with a path builds that folder. An
//! `ApplicationSet` counts if its path is written out. A source may be another repository; only an
//! existing folder of the tree counts, and never the top of the tree.

use super::{Layer, LayerKind, Located, Reference, Use, common, named, pairs};
use crate::kustomize::view::{at, get, is_kind, items, text};
use crate::read::Node;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The layers of a document.
pub fn layers(path: &Path, node: &Node) -> Vec<Layer> {
    let spec = if is_kind(node, "argoproj.io", "Application") {
        get(node, "spec")
    } else if is_kind(node, "argoproj.io", "ApplicationSet") {
        at(node, &["spec", "template", "spec"])
    } else {
        None
    };
    let Some(spec) = spec else { return Vec::new() };
    let sources = get(spec, "source").into_iter().chain(items(get(spec, "sources")));
    sources.filter_map(|source| layer(path, node, spec, source)).collect()
}

fn layer(path: &Path, node: &Node, spec: &Node, source: &Node) -> Option<Layer> {
    let written = get(source, "path")?;
    let folder = text(written)?;
    let plain = folder.trim_start_matches("./").trim_matches('/');
    if plain.is_empty() || plain == "." || plain.contains("{{") {
        return None;
    }
    let recurse =
        at(source, &["directory", "recurse"]).is_some_and(|node| node.value() == Value::Bool(true));
    let mut layer = Layer::new(path, node.line, LayerKind::Argo { recurse }, PathBuf::new());
    layer.references.push(Reference {
        used: Use::Resource,
        key: "path",
        text: format!("./{plain}"),
        line: written.line,
    });
    layer.fallback = at(spec, &["destination", "namespace"])
        .and_then(|node| named(node, "destination.namespace"));
    if let Some(kustomize) = get(source, "kustomize") {
        layer.namespace = get(kustomize, "namespace").and_then(|node| named(node, "namespace"));
        common(&mut layer, kustomize);
        for item in items(get(kustomize, "components")) {
            let Some(text) = text(item) else { continue };
            let text = format!("./{plain}/{text}");
            layer.references.push(Reference {
                used: Use::Component,
                key: "components",
                text,
                line: item.line,
            });
        }
    }
    let helm = at(source, &["helm"]).filter(|helm| pairs(Some(helm)).next().is_some());
    layer.unread.extend(helm.map(|helm| Located { value: "helm".to_owned(), line: helm.line }));
    Some(layer)
}
