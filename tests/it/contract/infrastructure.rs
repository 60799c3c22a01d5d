//! The two kinds of infrastructure under one set of verbs, begun with the same manifests. Never
//! looks through the gateway: what is there is read from the files, or asked of the API server as
//! its administrator.

use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use crate::kubernetes::installation::{ClusterInstallation, policy_for};
use cofferdam_backend_directory::read::read;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The namespace all objects are in.
pub const NAMESPACE: &str = "contract";

const DEPLOYMENTS: [&str; 9] =
    ["scaled", "restarted", "imaged", "deleted", "unfit", "drifted", "rolled", "labelled", "moved"];
const CONFIGS: [&str; 3] = ["set", "grown", "shrunk"];

/// An object.
#[derive(Clone, Copy)]
pub struct Target {
    pub kind: &'static str,
    pub name: &'static str,
}

/// An installation and what it serves.
pub enum Infrastructure {
    Directory { installation: TestInstallation, tree: tempfile::TempDir },
    Cluster(ClusterInstallation),
}

/// Writes the manifests, a file for each object.
fn write(folder: &Path) {
    for name in DEPLOYMENTS {
        // One replica where pods have to become ready.
        let replicas = if name == "rolled" { 1 } else { 3 };
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  namespace: \
             {NAMESPACE}\n  labels: {{app: {name}}}\nspec:\n  replicas: {replicas} # kept\n  \
             selector:\n    matchLabels: {{app: {name}}}\n  template:\n    metadata:\n      \
             labels: {{app: {name}}}\n    spec:\n      containers:\n        - name: web\n          \
             image: registry.example.com/storefront/web:1\n"
        );
        fs::write(folder.join(format!("{name}.yaml")), manifest).unwrap();
    }
    for name in CONFIGS {
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: \
             {NAMESPACE}\ndata:\n  LOG_LEVEL: info\n  TIMEOUT: \"2500\"\n"
        );
        fs::write(folder.join(format!("{name}.yaml")), manifest).unwrap();
    }
}

impl Infrastructure {
    /// A tree of manifests, served.
    pub fn directory() -> Self {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path());
        let policy = policy_for(NAMESPACE);
        let mut installation =
            TestInstallation::over(&[text(tree.path()), "--name", "lab"], policy.path());
        installation.serve(&[]);
        Self::Directory { installation, tree }
    }

    /// A namespace of the real cluster, served.
    pub fn cluster() -> Self {
        // With the same objects as the tree, and no others: an answer may name what there is.
        let mut cluster = ClusterInstallation::empty(NAMESPACE);
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        cluster.plane.apply(&[folder.path()]);
        for name in DEPLOYMENTS {
            cluster.seen_by_its_controller(name);
        }
        cluster.installation.serve(&[]);
        Self::Cluster(cluster)
    }

    pub fn installation(&self) -> &TestInstallation {
        match self {
            Self::Directory { installation, .. } => installation,
            Self::Cluster(cluster) => &cluster.installation,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "a directory",
            Self::Cluster(_) => "a cluster",
        }
    }

    fn file(tree: &tempfile::TempDir, name: &str) -> PathBuf {
        tree.path().join(format!("{name}.yaml"))
    }

    /// An object as it is now; none when it is gone.
    fn object(&self, target: Target) -> Option<Value> {
        match self {
            Self::Directory { tree, .. } => {
                let text = fs::read_to_string(Self::file(tree, target.name)).ok()?;
                Some(read(&text).unwrap()[0].root.value())
            }
            Self::Cluster(cluster) => {
                let kinds = if target.kind == "ConfigMap" { "/api/v1" } else { "/apis/apps/v1" };
                let path = format!(
                    "{kinds}/namespaces/{NAMESPACE}/{}s/{}",
                    target.kind.to_lowercase(),
                    target.name
                );
                let answer = cluster.plane.request("GET", &path, None);
                (answer.status == 200).then_some(answer.body)
            }
        }
    }

    /// What the manifests say of an object, and what was added to it; what an API server fills in
    /// by itself is left out.
    pub fn spec(&self, target: Target) -> Value {
        let Some(object) = self.object(target) else { return Value::Null };
        let template = &object["spec"]["template"];
        let containers: Vec<Value> = template["spec"]["containers"]
            .as_array()
            .map(|list| {
                list.iter()
                    .map(|container| json!([container["name"], container["image"]]))
                    .collect()
            })
            .unwrap_or_default();
        let annotated: Option<Vec<&String>> =
            template["metadata"]["annotations"].as_object().map(|map| map.keys().collect());
        json!({
            "kind": object["kind"], "name": object["metadata"]["name"], "labels": object["metadata"]["labels"], "data": object["data"],
            "replicas": object["spec"]["replicas"], "containers": containers, "annotated": annotated,
        })
    }

    /// Somebody else wants seven replicas.
    pub fn change(&self, name: &str) {
        match self {
            Self::Directory { tree, .. } => {
                let file = Self::file(tree, name);
                let text = fs::read_to_string(&file).unwrap();
                let other = text.replace("replicas: 3", "replicas: 7");
                assert_ne!(text, other);
                fs::write(file, other).unwrap();
            }
            Self::Cluster(cluster) => {
                let changed = cluster.plane.request(
                    "PATCH",
                    &cluster.path(&format!("/{name}")),
                    Some(&json!({"spec": {"replicas": 7}})),
                );
                assert_eq!(changed.status, 200, "{}", changed.body);
            }
        }
    }

    /// Somebody else adds a label.
    pub fn label(&self, name: &str) {
        match self {
            Self::Directory { tree, .. } => {
                let file = Self::file(tree, name);
                let text = fs::read_to_string(&file).unwrap();
                let other = text.replacen(
                    &format!("labels: {{app: {name}}}"),
                    &format!("labels: {{app: {name}, touched: \"yes\"}}"),
                    1,
                );
                assert_ne!(text, other);
                fs::write(file, other).unwrap();
            }
            Self::Cluster(cluster) => {
                let label = json!({"metadata": {"labels": {"touched": "yes"}}});
                let changed = cluster.plane.request(
                    "PATCH",
                    &cluster.path(&format!("/{name}")),
                    Some(&label),
                );
                assert_eq!(changed.status, 200, "{}", changed.body);
            }
        }
    }

    /// Says of a Deployment's pods that they are ready, as their node would, until its new version
    /// is all there is. In a directory there are none.
    pub fn become_ready(&self, name: &str) {
        let Self::Cluster(cluster) = self else { return };
        let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        until("the Deployment's new version", || {
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": now});
            let status = json!({"status": {"phase": "Running", "conditions": [condition]}});
            let found =
                cluster.plane.request("GET", &format!("{pods}?labelSelector=app%3D{name}"), None);
            for pod in found.body["items"].as_array().unwrap() {
                if pod["status"]["phase"] != "Running" {
                    // Gone meanwhile, perhaps.
                    cluster.plane.request(
                        "PATCH",
                        &format!("{pods}/{}/status", pod["metadata"]["name"].as_str().unwrap()),
                        Some(&status),
                    );
                }
            }
            let live = cluster.live(name);
            let changed = live["metadata"]["generation"].as_u64() > Some(1)
                && live["status"]["observedGeneration"] == live["metadata"]["generation"];
            let all = |field: &str| live["status"][field] == live["spec"]["replicas"];
            (changed && all("updatedReplicas") && all("availableReplicas") && all("replicas"))
                .then_some(())
        });
    }

    /// What is left of a call's namespace and rights.
    pub fn left_of(&self, call: &str) -> Vec<String> {
        match self {
            Self::Directory { installation, .. } => installation.namespaces(),
            Self::Cluster(cluster) => cluster.left_of(call),
        }
    }
}
