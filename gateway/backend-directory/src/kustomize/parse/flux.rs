//! A Flux `Kustomization` (`kustomize.toolkit.fluxcd.io`) as a [`Layer`]: it builds the folder
//! `spec.path` of its source. A source may be another repository; only an existing folder of the
//! tree counts.

use super::{Layer, LayerKind, Located, Meta, Reference, Use, common, named};
use crate::kustomize::view::{at, get, is_kind, items, pairs, text, text_of};
use crate::read::Node;
use std::path::{Path, PathBuf};

/// The source that `flux bootstrap` makes of the repository itself.
const OWN_SOURCE: &str = "flux-system";

/// The layer, where a document is one.
pub fn layer(path: &Path, node: &Node) -> Option<Layer> {
    if !is_kind(node, "kustomize.toolkit.fluxcd.io", "Kustomization") {
        return None;
    }
    let spec = get(node, "spec")?;
    let line = get(spec, "path").map_or(node.line, |path| path.line);
    let folder = text_of(spec, "path").unwrap_or_default();
    let top = folder.trim_start_matches("./").trim_matches('/').is_empty() || folder == ".";
    let source = at(spec, &["sourceRef", "name"]).and_then(text);
    // The top of another repository is not the top of this tree.
    if top && source.as_deref() != Some(OWN_SOURCE) {
        return None;
    }
    let folder = PathBuf::from(folder.trim_start_matches("./").trim_matches('/'));
    let mut layer = Layer::new(path, node.line, LayerKind::Flux, PathBuf::new());
    layer.references.push(Reference {
        used: Use::Resource,
        key: "path",
        text: format!("./{}", folder.display()),
        line,
    });
    for item in items(get(spec, "components")) {
        let Some(text) = text(item) else { continue };
        let text = format!("./{}", folder.join(text).display());
        layer.references.push(Reference {
            used: Use::Component,
            key: "components",
            text,
            line: item.line,
        });
    }
    layer.namespace = get(spec, "targetNamespace").and_then(|node| named(node, "targetNamespace"));
    common(&mut layer, spec);
    for field in ["labels", "annotations"] {
        for (name, node) in pairs(at(spec, &["commonMetadata", field])) {
            let value = Meta {
                key: "commonMetadata",
                field,
                template: false,
                name: name.to_owned(),
                value: text(node).unwrap_or_default(),
            };
            layer.meta.push(Located { value, line: node.line });
        }
    }
    Some(layer)
}
