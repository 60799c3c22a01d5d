//! Tasks as Pods: their form, and the meaning of their state. Pure: sends nothing, and decides
//! nothing about the job.
//!
//! A task is one bare Pod of a fixed name. Names are unique in the store of the API server, so a
//! task starts at most once, and no controller starts it again. It has no rights and no token,
//! reads its input from a file, and writes its result to standard output.

mod log;
mod state;
#[cfg(test)]
mod tests;

pub use log::Log;
pub use state::{Reason, TaskState, refused, state};

use cofferdam_core::model::operation::{Operation, Program};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The ServiceAccount of tasks. It has no binding and no token.
pub const SERVICE_ACCOUNT: &str = "task";

/// Where the input lies: a process's standard input can only be given by attaching to it, and a
/// container of a run cannot be entered.
pub const INPUT: &str = "/cofferdam/input";

/// The one container's name.
pub const CONTAINER: &str = "task";

/// CPU of a task, as request and as limit, so that a node that accepts a task has it. Enough for a
/// probe, a migration or a renderer.
pub const CPU: &str = "500m";
/// Memory, the temporary folder's included.
pub const MEMORY: &str = "512Mi";
/// Disk of the node: its log, and nothing else it could write to.
pub const STORAGE: &str = "64Mi";

/// The one writable folder, in memory.
const TEMPORARY: &str = "64Mi";

/// Any user but root; the number that images without a shell use.
const USER: u32 = 65_532;

/// Seconds between being asked to end and being ended: they are on the way of every teardown.
const GRACE_SECONDS: u32 = 5;

/// Seconds a task stays bound to a node that does not answer; Kubernetes' own default is five
/// minutes.
const NODE_SECONDS: u32 = 30;

/// Octal 0444, as JSON has it: the input is read by any user that the image runs as.
const READ_ONLY: u32 = 0o444;

/// A `task` operation whose program is an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task<'a> {
    /// Index of the operation.
    pub index: u32,
    /// The name of the operation.
    pub name: &'a str,
    /// The image reference with its digest.
    pub image: &'a str,
    /// Arguments to its entry point.
    pub arguments: &'a [String],
    /// The input of the task.
    pub input: &'a str,
    /// It is ended after this many, from when a node took it.
    pub seconds: u32,
}

/// The run namespace and cluster settings of tasks.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The name of the run namespace.
    pub namespace: &'a str,
    /// Labels of everything in it.
    pub labels: &'a BTreeMap<String, String>,
    /// True if the container gets its own user namespace. The runtime of every node has to support
    /// that.
    pub user_namespace: bool,
    /// A runtime of the cluster's that isolates more than its own.
    pub runtime_class: Option<&'a str>,
}

impl<'a> Task<'a> {
    /// The operation, if it runs an image.
    pub fn of(operation: &'a Operation, index: u32) -> Option<Self> {
        match operation {
            Operation::Task {
                name,
                program: Program::Image { reference, arguments },
                input,
                seconds,
            } => Some(Self { index, name, image: reference, arguments, input, seconds: *seconds }),
            _ => None,
        }
    }

    /// The name of the Pod and of the object with its input. It derives from the operation's index,
    /// because the runner may read these names alone.
    pub fn object(&self) -> String {
        format!("cofferdam-task-{}", self.index)
    }
}

fn metadata(task: &Task<'_>, place: &Place<'_>) -> Value {
    json!({
        "name": task.object(),
        "namespace": place.namespace,
        "labels": place.labels,
        // Not a label: a task's name may be longer than a label's value.
        "annotations": {"cofferdam.dev/task": task.name},
    })
}

/// The object with the input. Created before the Pod, and immutable like it.
pub fn input(task: &Task<'_>, place: &Place<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(task, place),
        "immutable": true,
        "data": {"input": task.input},
    })
}

/// The Pod of a task. It passes Pod Security `restricted` and the admission policy for workloads of
/// `deploy/`.
pub fn pod(task: &Task<'_>, place: &Place<'_>) -> Value {
    let resources = json!({"cpu": CPU, "memory": MEMORY, "ephemeral-storage": STORAGE});
    let tolerations: Vec<Value> = ["unreachable", "not-ready"]
        .iter()
        .map(|state| {
            let key = format!("node.kubernetes.io/{state}");
            json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": NODE_SECONDS,
            })
        })
        .collect();
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(task, place),
        "spec": {
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": task.seconds,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": tolerations,
            "containers": [{
                "name": CONTAINER,
                "image": task.image,
                "imagePullPolicy": "IfNotPresent",
                "args": task.arguments,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {"requests": resources, "limits": resources},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "input", "mountPath": INPUT, "subPath": "input", "readOnly": true},
                    {"name": "temporary", "mountPath": "/tmp"},
                ],
            }],
            "volumes": [
                {"name": "input", "configMap": {"name": task.object(), "defaultMode": READ_ONLY}},
                {"name": "temporary", "emptyDir": {"medium": "Memory", "sizeLimit": TEMPORARY}},
            ],
        },
    });
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        if place.user_namespace {
            spec.insert("hostUsers".to_owned(), false.into());
        }
        if let Some(class) = place.runtime_class {
            spec.insert("runtimeClassName".to_owned(), class.into());
        }
    }
    pod
}
