//! The two kinds of infrastructure with the same operations and the same manifests at the start.
//! Reads files, or asks the API server as its administrator, and never asks the gateway.

use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use crate::kubernetes::installation::{ClusterInstallation, policy_for};
use cofferdam_backend_directory::read::read;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The namespace of all objects.
pub const NAMESPACE: &str = "contract";

const DEPLOYMENTS: [&str; 9] =
    ["scaled", "restarted", "imaged", "deleted", "unfit", "drifted", "rolled", "labelled", "moved"];
const CONFIGS: [&str; 3] = ["set", "grown", "shrunk"];

/// Kind and name of an object.
#[derive(Clone, Copy)]
pub struct Target {
    pub kind: &'static str,
    pub name: &'static str,
}

/// An installation with its infrastructure.
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
        // The same objects as in the directory and no others: a result may list them.
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

    /// An object as it is now. `None` if there is none.
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

    /// The fields of the manifests and the fields that were added. The defaults of an API server
    /// are left out.
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
            "kind": object["kind"], "name": object["metadata"]["name"],
            "labels": object["metadata"]["labels"], "data": object["data"],
            "replicas": object["spec"]["replicas"], "containers": containers,
            "annotated": annotated,
        })
    }

    /// Another client sets seven replicas.
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

    /// Another client adds a label.
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

    /// Sets the status of a Deployment's pods to ready, as their node would, until only its new
    /// version runs. A directory has no pods.
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
                    // The pod may be gone.
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

    /// The run namespace and the derived rights of a call that still exist.
    pub fn left_of(&self, call: &str) -> Vec<String> {
        match self {
            Self::Directory { installation, .. } => installation.namespaces(),
            Self::Cluster(cluster) => cluster.left_of(call),
        }
    }
}
