//! Trees as people have them: line ends, comments, lists, JSON, anchors, braces, links and large
//! files. Each test asks as tools do, writes what came out, and compares the bytes of the tree.

mod kept;
mod left_out;
mod lists;

use super::index::Index;
use super::look::Looker;
use super::preview::preview;
use super::private_copy::PrivateCopy;
use cofferdam_backend::host_values::Host;
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::ceiling::Grant;
use cofferdam_core::model::id::{CallId, ComponentDigest, Fence};
use cofferdam_core::model::left_out::LeftOut;
use cofferdam_core::model::operation::{Action, Change, Operation, Step, Target};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_process::rooted_fs::Root;
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs;
use std::path::Path;

/// A Deployment of one container.
pub fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  namespace: \
         storefront\nspec:\n  replicas: 3\n  selector:\n    matchLabels: {{app: {name}}}\n  \
         template:\n    metadata:\n      labels: {{app: {name}}}\n    spec:\n      \
         containers:\n        - name: web\n          image: \
         registry.example.com/storefront/{name}:1.0.0\n"
    )
}

/// A tree, with all that tools ask of it.
struct Desk {
    place: tempfile::TempDir,
    calls: Cell<u128>,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("tree")).unwrap();
        let desk = Self { place, calls: Cell::new(1) };
        files.iter().for_each(|(path, text)| desk.write(path, text));
        desk
    }

    fn tree(&self) -> std::path::PathBuf {
        self.place.path().join("tree")
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let at = self.tree().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.tree().join(path)).unwrap()
    }

    fn root(&self) -> Root {
        Root::open(&self.tree()).unwrap()
    }

    /// Previews an operation, does it in a private copy, and writes what came out.
    fn done(&self, operation: Operation) -> Result<(), Refusal> {
        let root = self.root();
        let index = Index::read(&root, None).unwrap();
        let approved = preview(&index, &[step(operation.clone())])?.operations.remove(0);
        self.calls.set(self.calls.get() + 1);
        let call = CallId::from_random(self.calls.get());
        let mut copy =
            PrivateCopy::make(self.place.path(), &call, Fence(1), &index, &[&approved.target])
                .unwrap();
        copy.perform(&operation, &approved, &Host::sample()).unwrap();
        for file in copy.changed().unwrap() {
            match file.content {
                Some(content) => fs::write(self.tree().join(&file.path), content).unwrap(),
                None => fs::remove_file(self.tree().join(&file.path)).unwrap(),
            }
        }
        Ok(())
    }

    fn set(
        &self,
        kind: &str,
        name: &str,
        path: &str,
        value: impl Into<Value>,
    ) -> Result<(), Refusal> {
        let value = Some(value.into()).filter(|value| !value.is_null());
        self.done(Operation::Patch {
            target: target(kind, name),
            changes: vec![Change { path: path.into(), value }],
        })
    }

    fn scale(&self, name: &str, replicas: i32) -> Result<(), Refusal> {
        self.set("Deployment", name, "spec.replicas", replicas)
    }

    fn restart(&self, name: &str) -> Result<(), Refusal> {
        self.set(
            "Deployment",
            name,
            r#"spec.template.metadata.annotations["example.com/at"]"#,
            "now",
        )
    }

    fn image(&self, name: &str, container: &str, image: &str) -> Result<(), Refusal> {
        self.set(
            "Deployment",
            name,
            &format!("spec.template.spec.containers[name={container}].image"),
            image,
        )
    }

    fn config(&self, name: &str, key: &str, value: impl Into<Value>) -> Result<(), Refusal> {
        let path = if key.contains('.') { format!("data[{key:?}]") } else { format!("data.{key}") };
        self.set("ConfigMap", name, &path, value)
    }

    fn delete(&self, name: &str) -> Result<(), Refusal> {
        self.done(Operation::Delete { target: target("Deployment", name) })
    }

    fn look(&self, operation: Operation) -> ReadResponse {
        let looker = Looker::new(self.root(), std::time::Instant::now);
        let (tool, digest, operations) =
            ("t".to_owned(), ComponentDigest::of(b"t"), vec![step(operation)]);
        let looks = operations[0].operation.action().reads();
        let look = if looks {
            ReadRequest::Read { tool, digest, operations }
        } else {
            ReadRequest::Preview { tool, digest, operations }
        };
        looker.look(&look, &trust()).unwrap()
    }

    /// Names with replicas, and what is left out.
    fn list(&self) -> (Vec<(String, Value)>, LeftOut) {
        let operation = Operation::List {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            namespace: "storefront".into(),
            fields: vec!["metadata.name".into(), "spec.replicas".into()],
            limit: 100,
        };
        match self.look(operation) {
            ReadResponse::Results { results, left_out, .. } => {
                let items = results[0]["items"].as_array().unwrap().iter();
                let items = items.map(|item| {
                    (
                        item["metadata.name"].as_str().unwrap().to_owned(),
                        item["spec.replicas"].clone(),
                    )
                });
                (items.collect(), left_out)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The text of a refused look.
    fn refused(&self, operation: Operation) -> String {
        match self.look(operation) {
            ReadResponse::Refused { code, reason, .. } => format!("{code}: {reason}"),
            other => panic!("{other:?}"),
        }
    }

    /// Lines that an edit changed, with their line ends.
    fn changed(&self, path: &str, edit: impl FnOnce(&Self) -> Result<(), Refusal>) -> Vec<String> {
        let before = self.text(path);
        edit(self).unwrap();
        difference(&before, &self.text(path))
    }
}

/// `-` and `+` before each line that differs, with its line end.
fn difference(before: &str, after: &str) -> Vec<String> {
    use similar::ChangeTag;
    let changes = similar::TextDiff::from_lines(before, after);
    let sign = |tag| match tag {
        ChangeTag::Equal => None,
        ChangeTag::Delete => Some('-'),
        ChangeTag::Insert => Some('+'),
    };
    changes
        .iter_all_changes()
        .filter_map(|change| Some(format!("{}{}", sign(change.tag())?, change.value())))
        .collect()
}

fn step(operation: Operation) -> Step {
    Step { operation, after: vec![], reversible: false }
}

fn target(kind: &str, name: &str) -> Target {
    let group = if kind == "Deployment" { "apps" } else { "" };
    Target {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespace: "storefront".into(),
        name: name.into(),
    }
}

fn replicas(name: &str) -> Operation {
    Operation::Patch {
        target: target("Deployment", name),
        changes: vec![Change { path: "spec.replicas".into(), value: Some(json!(5)) }],
    }
}

fn trust() -> Trust {
    let grant = |action, fields: &[&str]| Grant {
        action,
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespaces: vec!["*".into()],
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let grants = vec![
        grant(Action::List, &["metadata.name", "spec.replicas"]),
        grant(Action::Read, &["spec.replicas"]),
        grant(Action::Patch, &["spec.replicas"]),
    ];
    super::fixture::trust(grants)
}

fn link(target: &str, at: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(target, at).unwrap();
}
