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

use super::typed::{amounts, exactly, to_json};
use cofferdam_core::model::operation::{Operation, Program};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, Pod,
    PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
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
const USER: i64 = 65_532;

/// Seconds between being asked to end and being ended: they are on the way of every teardown.
const GRACE_SECONDS: i64 = 5;

/// Seconds a task stays bound to a node that does not answer; Kubernetes' own default is five
/// minutes.
const NODE_SECONDS: i64 = 30;

/// Octal 0444, as JSON has it: the input is read by any user that the image runs as.
const READ_ONLY: i32 = 0o444;

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

fn metadata(task: &Task<'_>, place: &Place<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(task.object()),
        namespace: Some(place.namespace.to_owned()),
        labels: Some(place.labels.clone()),
        // Not a label: a task's name may be longer than a label's value.
        annotations: Some([("cofferdam.dev/task".to_owned(), task.name.to_owned())].into()),
        ..ObjectMeta::default()
    }
}

/// The object with the input. Created before the Pod, and immutable like it.
pub fn input(task: &Task<'_>, place: &Place<'_>) -> Value {
    to_json(&ConfigMap {
        metadata: metadata(task, place),
        immutable: Some(true),
        data: Some([("input".to_owned(), task.input.to_owned())].into()),
        ..ConfigMap::default()
    })
}

/// The Pod of a task. It passes Pod Security `restricted` and the admission policy for workloads of
/// `deploy/`.
pub fn pod(task: &Task<'_>, place: &Place<'_>) -> Value {
    let tolerations = ["unreachable", "not-ready"].map(|state| Toleration {
        key: Some(format!("node.kubernetes.io/{state}")),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(NODE_SECONDS),
        ..Toleration::default()
    });
    let spec = PodSpec {
        service_account_name: Some(SERVICE_ACCOUNT.to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        active_deadline_seconds: Some(i64::from(task.seconds)),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        tolerations: Some(tolerations.into()),
        containers: vec![container(task)],
        volumes: Some(volumes(task)),
        host_users: place.user_namespace.then_some(false),
        runtime_class_name: place.runtime_class.map(str::to_owned),
        ..PodSpec::default()
    };
    to_json(&Pod { metadata: metadata(task, place), spec: Some(spec), ..Pod::default() })
}

fn container(task: &Task<'_>) -> Container {
    let amounts = amounts(&[("cpu", CPU), ("memory", MEMORY), ("ephemeral-storage", STORAGE)]);
    let input = VolumeMount {
        name: "input".to_owned(),
        mount_path: INPUT.to_owned(),
        sub_path: Some("input".to_owned()),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let temporary = VolumeMount {
        name: "temporary".to_owned(),
        mount_path: "/tmp".to_owned(),
        ..VolumeMount::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(task.image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(task.arguments.to_vec()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        resources: Some(exactly(&amounts)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![input, temporary]),
        ..Container::default()
    }
}

fn volumes(task: &Task<'_>) -> Vec<Volume> {
    let input = ConfigMapVolumeSource {
        name: task.object(),
        default_mode: Some(READ_ONLY),
        ..ConfigMapVolumeSource::default()
    };
    let temporary = EmptyDirVolumeSource {
        medium: Some("Memory".to_owned()),
        size_limit: Some(Quantity(TEMPORARY.to_owned())),
    };
    vec![
        Volume { name: "input".to_owned(), config_map: Some(input), ..Volume::default() },
        Volume { name: "temporary".to_owned(), empty_dir: Some(temporary), ..Volume::default() },
    ]
}
