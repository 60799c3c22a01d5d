//! Small trees of each kind, and what is asked of them.

mod builds;
mod deletes;
mod names;
mod overridden;

use crate::index::Index;
use crate::preview::preview;
use cofferdam_core::model::operation::Step;
use cofferdam_core::text::remark_words;
use cofferdam_process::rooted_fs::Root;
use serde_json::{Value, json};
use std::fs;

/// A Deployment with one container `web`.
pub fn deployment(name: &str, namespace: &str) -> String {
    let namespace =
        if namespace.is_empty() { String::new() } else { format!("\n  namespace: {namespace}") };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}{namespace}\n  labels: \
         {{app: {name}}}\nspec:\n  replicas: 3\n  template:\n    spec:\n      containers:\n        \
         - name: web\n          image: registry.example.com/web:1.0.0\n"
    )
}

/// A requested change of an object.
pub fn change(namespace: &str, name: &str, path: &str, value: Value) -> Step {
    let target = json!({
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "namespace": namespace,
        "name": name,
    });
    step(json!({"action": "patch", "target": target, "changes": [{"path": path, "value": value}]}))
}

pub fn scale(namespace: &str, name: &str) -> Step {
    change(namespace, name, "spec.replicas", json!(5))
}

pub fn image(namespace: &str, name: &str) -> Step {
    change(
        namespace,
        name,
        "spec.template.spec.containers[name=web].image",
        json!("registry.example.com/web:1.0.1"),
    )
}

pub fn config(namespace: &str, name: &str, key: &str) -> Step {
    let target = json!({
        "group": "",
        "version": "v1",
        "kind": "ConfigMap",
        "namespace": namespace,
        "name": name,
    });
    step(json!({
        "action": "patch",
        "target": target,
        "changes": [{"path": format!("data.{key}"), "value": "debug"}],
    }))
}

pub fn delete(namespace: &str, name: &str) -> Step {
    let target = json!({
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "namespace": namespace,
        "name": name,
    });
    step(json!({"action": "delete", "target": target}))
}

fn step(mut operation: Value) -> Step {
    operation["after"] = json!([]);
    operation["reversible"] = json!(false);
    serde_json::from_value(operation).unwrap()
}

/// A tree of these files.
pub fn tree(files: &[(&str, &str)]) -> Index {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Index::read(&Root::open(folder.path()).unwrap(), None).unwrap()
}

/// The answer to one operation: its place and remarks, or the refusal.
pub fn answer(index: &Index, step: Step) -> String {
    match preview(index, &[step]) {
        Ok(preview) => {
            let shown = &preview.operations[0];
            std::iter::once(shown.place.clone())
                .chain(shown.remarks.iter().map(remark_words))
                .collect::<Vec<_>>()
                .join("\n")
        }
        Err(refusal) => format!("REFUSED {}: {}\n{}", refusal.code, refusal.reason, refusal.remedy),
    }
}
