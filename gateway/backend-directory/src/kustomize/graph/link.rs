//! Builds a [`Graph`] from the files of a tree: finds the layers and their references.

use super::{Files, Graph, Link};
use crate::kustomize::layer::{Layer, LayerKind, Use};
use crate::kustomize::parse::{self, argo, flux, is_kustomization};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};

/// The graph of these files.
pub fn graph(files: &Files) -> Graph {
    let mut graph = Graph::default();
    for (path, file) in files {
        let documents = match &file.documents {
            Ok(documents) => documents,
            Err(unclear) => {
                if is_kustomization(path) {
                    graph.unreadable.insert(path.clone(), unclear.clone());
                }
                continue;
            }
        };
        if is_kustomization(path) {
            let Some(document) = documents.first() else { continue };
            if let Some(unclear) = document.unclear.as_ref().filter(|_| document.is_broken()) {
                graph.unreadable.insert(path.clone(), unclear.clone());
                continue;
            }
            let layer = parse::file(path, document);
            graph.folders.insert(layer.folder.clone(), graph.layers.len());
            graph.layers.push(layer);
            continue;
        }
        for document in documents.iter().filter(|document| document.doubt().is_none()) {
            graph.layers.extend(flux::layer(path, &document.root));
            graph.layers.extend(argo::layers(path, &document.root));
        }
    }
    graph.above.resize(graph.layers.len(), Vec::new());
    graph.components.resize(graph.layers.len(), Vec::new());
    for at in 0..graph.layers.len() {
        link(&mut graph, files, at);
    }
    graph
}

/// Joins a layer with what it names.
fn link(graph: &mut Graph, files: &Files, at: usize) {
    let Some(layer) = graph.layers.get(at).cloned() else { return };
    for (number, reference) in layer.references.iter().enumerate() {
        let link = Link { layer: at, reference: number };
        let Some(path) =
            beneath(&layer.folder, &reference.text).filter(|_| !is_remote(&reference.text))
        else {
            graph.unseen.push(link);
            continue;
        };
        if files.contains_key(&path) {
            graph.named.entry(path).or_default().push(link);
        } else if let Some(below) = graph.folders.get(&path).copied() {
            match reference.used {
                Use::Component => {
                    graph.components.get_mut(at).into_iter().for_each(|all| all.push(below))
                }
                Use::Resource | Use::Patch | Use::Data => {}
            }
            graph.above.get_mut(below).into_iter().for_each(|all| all.push(link));
        } else if !whole(graph, files, &layer, &path, link)
            && matches!(reference.used, Use::Resource | Use::Component | Use::Patch)
        {
            graph.unseen.push(link);
        }
    }
}

/// Joins a controller's layer with all files of a folder without a kustomization; folders in it
/// that have one are built by it. Answers whether there are any.
fn whole(graph: &mut Graph, files: &Files, layer: &Layer, folder: &Path, link: Link) -> bool {
    let deep = match layer.kind {
        LayerKind::Flux => true,
        LayerKind::Argo { recurse } => recurse,
        LayerKind::File | LayerKind::Component => return false,
    };
    // A chart's files are no objects before Helm fills them in.
    if files.contains_key(&folder.join("Chart.yaml")) {
        return false;
    }
    let mut found = BTreeSet::new();
    let mut named = Vec::new();
    for path in
        files.range::<Path, _>((Bound::Included(folder), Bound::Unbounded)).map(|(path, _)| path)
    {
        if !path.starts_with(folder) {
            break;
        }
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(folder));
        match above.filter_map(|above| graph.folders.get(above)).last() {
            _ if !deep && path.parent() != Some(folder) => {}
            Some(own) => drop(found.insert(*own)),
            None => named.push(path.clone()),
        }
    }
    let any = !found.is_empty() || !named.is_empty();
    for below in found {
        graph.above.get_mut(below).into_iter().for_each(|all| all.push(link));
    }
    for path in named {
        graph.named.entry(path).or_default().push(link);
    }
    any
}

/// A path that a layer names, beneath the tree; none where it leads out of it.
pub fn beneath(folder: &Path, text: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for component in Path::new(text).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Returns whether a reference is to another repository.
fn is_remote(text: &str) -> bool {
    text.contains("://")
        || text.contains("?ref=")
        || text.starts_with("git@")
        || text.starts_with("git::")
}
