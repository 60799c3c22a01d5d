//! References to a file or an object that a delete removes. A kustomization that names an absent
//! file builds nothing at all.

use super::graph::{Files, Graph, beneath};
use super::layer::{Layer, Patch, Reference};
use super::overrides::{Match, Subject, matches_patch, matches_selector};
use cofferdam_backend::refusal::Refusal;
use std::path::Path;

/// Places that a refusal names.
const TOLD: usize = 4;

/// Code of the refusal of a delete that would leave a kustomization without what it names.
pub const STILL_NAMED: &str = "still-named";

/// The reason why an object cannot be removed; `None` if no layer names it. `whole` is true if its
/// file is removed too.
pub fn refused(
    graph: &Graph,
    files: &Files,
    subject: &Subject<'_>,
    whole: bool,
) -> Option<Refusal> {
    let written = subject.written;
    let mut places = if whole { naming(graph, files, written.path) } else { Vec::new() };
    let file_alone = places.len();
    let ways = graph.ways(written.path);
    for layer in ways.known.iter().flat_map(|way| graph.applied(way)) {
        places.extend(needing(graph, files, layer, subject));
    }
    if whole && let Some((path, unclear)) = graph.unreadable_beside(written.path) {
        let reason = format!(
            "{}:{} cannot be read ({}); it may name `{}`",
            path.display(),
            unclear.line,
            unclear.reason,
            written.path.display()
        );
        return Some(Refusal::new(STILL_NAMED, reason, "a person makes that file readable first"));
    }
    places.sort();
    places.dedup();
    if places.is_empty() {
        return None;
    }
    let what = if file_alone > 0 {
        format!("`{}`", written.path.display())
    } else {
        format!("{} {}", written.kind, written.name)
    };
    let left = places.len().saturating_sub(TOLD);
    let listed = places.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    let more = if left > 0 { format!(" and {left} more places") } else { String::new() };
    let reason = format!(
        "{what} is still named by {listed}{more}; a build from there fails when it is gone"
    );
    Some(Refusal::new(STILL_NAMED, reason, "a person has to take it out of those lines first"))
}

/// Every line that names a file.
fn naming(graph: &Graph, files: &Files, path: &Path) -> Vec<String> {
    // Flux and Argo CD take the files that are there, and need one: git keeps no empty folder.
    let needs = |layer: &Layer| {
        !Graph::is_controller(layer)
            || layer.references.iter().all(|folder| is_last(files, layer, folder, path))
    };
    let named = graph.naming(path).filter(|(link, _)| graph.layer(link.layer).is_some_and(needs));
    named.map(|(link, _)| format!("{} (`{}`)", graph.place(link), graph.key(link))).collect()
}

/// Returns whether a file is the only one below a folder that a layer names.
fn is_last(files: &Files, layer: &Layer, folder: &Reference, path: &Path) -> bool {
    let Some(folder) = beneath(&layer.folder, &folder.text) else { return false };
    path.starts_with(&folder)
        && !files.keys().any(|other| other != path && other.starts_with(&folder))
}

/// The parts of a layer that need the object: `replicas`, and patches that name their object.
fn needing(graph: &Graph, files: &Files, layer: &Layer, subject: &Subject<'_>) -> Vec<String> {
    let place = |key: &str, line| format!("{} (`{key}`)", layer.place(line));
    let replicas = layer
        .replicas
        .iter()
        .filter(|entry| subject.has_name(&entry.value.name))
        .map(|entry| place("replicas", entry.line));
    let patches =
        layer.patches.iter().filter(|patch| needs(graph, files, layer, &patch.value, subject));
    replicas.chain(patches.map(|patch| place(patch.value.key, patch.line))).collect()
}

/// Returns whether a patch fails without the object. A member of `patches` with a target may match
/// no object.
fn needs(
    graph: &Graph,
    files: &Files,
    layer: &Layer,
    patch: &Patch,
    subject: &Subject<'_>,
) -> bool {
    match &patch.target {
        Some(target) => {
            patch.key == "patchesJson6902" && matches_selector(target, subject) == Match::Yes
        }
        None => matches_patch(graph, files, layer, patch, subject),
    }
}
