//! The layers that set a field again after an operation changes it: `images`, `replicas`, patches,
//! labels, annotations, generated ConfigMaps and replacements, in the order in which they apply. An
//! uncertain case is reported as uncertain. Changes nothing.

mod image;
mod patch;
mod replace;
mod select;

pub use image::reference;
pub use select::{Match, Subject, matches_patch, matches_selector};

use super::graph::{Files, Graph, Way};
use super::layer::{Layer, Use};
use super::placeholder;
use cofferdam_core::model::path::{FieldPath, Segment};
use cofferdam_core::model::preview::{Remark, RemarkKind};
use serde_json::Value;
use std::collections::BTreeSet;

/// One change of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'a> {
    /// The field that the edit sets.
    pub path: &'a FieldPath,
    /// The object before the operation.
    pub before: &'a Value,
    /// The object after it.
    pub after: &'a Value,
}

/// Remarks on the changes of one object.
pub fn remarks(
    graph: &Graph,
    files: &Files,
    subject: &Subject<'_>,
    edits: &[Edit<'_>],
) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = edits.iter().filter_map(overwritten).collect();
    let path = subject.written.path;
    let ways = graph.ways(path);
    for way in &ways.known {
        // Each way has names of its own.
        let mut subject = subject.clone();
        for layer in graph.applied(way) {
            for edit in edits {
                remarks.extend(of_layer(graph, files, layer, &subject, edit));
            }
            subject.pass(layer);
        }
    }
    remarks.extend(shared(graph, &ways.known));
    if let Some(layer) = graph.passed_over(path) {
        remarks
            .push(Remark::new(RemarkKind::Unlisted, "").by("resources", layer.place(layer.line)));
    }
    if let Some((file, unclear)) = graph.unreadable_beside(path) {
        let place = format!("{}:{}", file.display(), unclear.line);
        let field = edits.first().map(|edit| edit.path.to_string()).unwrap_or_default();
        remarks.push(Remark::new(RemarkKind::Unseen, field).by(unclear.reason.clone(), place));
    }
    remarks
}

/// A placeholder that goes.
fn overwritten(edit: &Edit<'_>) -> Option<Remark> {
    let value = |object| edit.path.get(object).ok().flatten().unwrap_or_default();
    let kept = placeholder::all(&value(edit.after));
    let gone =
        placeholder::all(&value(edit.before)).into_iter().find(|found| !kept.contains(found))?;
    Some(Remark::new(RemarkKind::Placeholder, edit.path.to_string()).with(gone.into()))
}

/// The places that build a file, where there are several.
fn shared(graph: &Graph, ways: &[Way]) -> Vec<Remark> {
    let tops: BTreeSet<_> = ways.iter().filter_map(|way| way.last()).collect();
    if tops.len() < 2 {
        return Vec::new();
    }
    tops.iter()
        .map(|link| Remark::new(RemarkKind::Shared, "").by(graph.key(**link), graph.place(**link)))
        .collect()
}

fn of_layer(
    graph: &Graph,
    files: &Files,
    layer: &Layer,
    subject: &Subject<'_>,
    edit: &Edit<'_>,
) -> Vec<Remark> {
    let field = edit.path.to_string();
    let mut found = Vec::new();
    let set = |by: &str, line: usize, value: Value| {
        Remark::new(RemarkKind::Overridden, &*field).by(by, layer.place(line)).with(value)
    };
    for replicas in layer.replicas.iter().filter(|entry| subject.has_name(&entry.value.name)) {
        if reaches(edit.path, &["spec", "replicas"]) {
            found.push(set("replicas", replicas.line, replicas.value.count.clone()));
        }
    }
    found.extend(image::remarks(layer, subject, edit));
    for meta in &layer.meta {
        let mut keys = vec!["metadata", meta.value.field, &meta.value.name];
        let own = reaches(edit.path, &keys);
        keys.splice(0..0, ["spec", "template"]);
        if own || (meta.value.template && reaches(edit.path, &keys)) {
            found.push(set(meta.value.key, meta.line, meta.value.value.clone().into()));
        }
    }
    if subject.written.kind == "ConfigMap" {
        found.extend(generated(layer, subject, edit));
    }
    for patch in &layer.patches {
        found.extend(patch::remark(graph, files, layer, subject, edit, patch));
    }
    found.extend(replace::remarks(layer, subject, edit));
    let unseen =
        graph.unseen_of(layer).filter(|(used, ..)| matches!(used, Use::Component | Use::Patch));
    let unseen: Vec<_> = unseen.map(|(_, key, _, line)| (key.to_owned(), line)).collect();
    let unread = layer.unread.iter().map(|unread| (unread.value.clone(), unread.line));
    found.extend(
        unseen
            .into_iter()
            .chain(unread)
            .map(|(by, line)| Remark::new(RemarkKind::Unseen, &*field).by(by, layer.place(line))),
    );
    found
}

/// Values of a generated ConfigMap of the same name.
fn generated(layer: &Layer, subject: &Subject<'_>, edit: &Edit<'_>) -> Vec<Remark> {
    let field = edit.path.to_string();
    let mut found = Vec::new();
    for generated in
        layer.generated.iter().filter(|generated| subject.has_name(&generated.value.name))
    {
        let place = layer.place(generated.line);
        let by = |kind| Remark::new(kind, &*field).by("configMapGenerator", &*place);
        let known = generated.value.data.iter().find(|(key, _)| reaches(edit.path, &["data", key]));
        match known {
            Some((_, value)) => found.push(by(RemarkKind::Overridden).with(value.clone())),
            None if generated.value.replaces && reaches(edit.path, &["data"]) => {
                found.push(by(RemarkKind::Overridden))
            }
            None if generated.value.open && reaches(edit.path, &["data"]) => {
                found.push(by(RemarkKind::Unseen))
            }
            None => {}
        }
    }
    found
}

/// Returns whether a field is at, above or below these keys.
fn reaches(path: &FieldPath, keys: &[&str]) -> bool {
    path.segments()
        .iter()
        .zip(keys)
        .all(|(segment, key)| matches!(segment, Segment::Key(name) if name == key))
}
