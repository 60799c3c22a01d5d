//! The state of a task's Pod, or the API server's refusal of the Pod, as one word. Text from the
//! cluster is quoted, and read for these words alone.

use crate::error_text::brief;
use serde_json::Value;
use std::time::Duration;

/// Characters that are kept of each message, once all of them can be seen: a paragraph of a
/// terminal.
const DETAIL: usize = 400;

/// How words of the cluster's parts begin.
const CLUSTER: &str = "the cluster says";

/// How words of the task's own program begin.
const TASK: &str = "it says";

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It is on its way to a node, or its image is.
    Waiting,
    /// The container of the task runs.
    Running,
    /// The task ended with exit code 0.
    Succeeded,
    /// It ran, and did not end well.
    Failed {
        /// The reason why it waits.
        reason: Reason,
        /// Its exit code, if it had one.
        code: Option<i32>,
        /// The cluster's text and the end of the task's own output, each quoted.
        detail: String,
    },
    /// It does not come to run. Some of these pass: believe one that lasted for
    /// [`Reason::patience`].
    CannotStart {
        /// The reason of the failure.
        reason: Reason,
        /// The cluster's words, quoted.
        detail: String,
    },
}

/// Why a task did not end well, or never began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The registry does not give the image.
    ImageUnpullable,
    /// The image has no valid name.
    ImageName,
    /// No node has room for it, or may take it.
    Unschedulable,
    /// The run's namespace has no room for it.
    QuotaExceeded,
    /// Pod Security, an admission policy or a limit of the namespace refuses it.
    PolicyViolated,
    /// The container cannot be set up: volumes, users, configuration.
    Unpreparable,
    /// Its program cannot be started.
    StartFailed,
    /// It ended with an exit code other than 0.
    ExitCode,
    /// It used more memory than it has.
    OutOfMemory,
    /// Its time was over.
    Deadline,
    /// Its node put it out: pressure, preemption, shutdown.
    Evicted,
    /// Its node is gone.
    NodeLost,
    /// The Pod was deleted by another client.
    Deleted,
    /// Something the cluster has a word for, and this does not.
    Other,
}

impl Reason {
    /// The stable code of the reason.
    pub fn word(self) -> &'static str {
        match self {
            Self::ImageUnpullable => "image-unpullable",
            Self::ImageName => "image-name",
            Self::Unschedulable => "unschedulable",
            Self::QuotaExceeded => "quota-exceeded",
            Self::PolicyViolated => "policy-violated",
            Self::Unpreparable => "unpreparable",
            Self::StartFailed => "start-failed",
            Self::ExitCode => "exit-code",
            Self::OutOfMemory => "out-of-memory",
            Self::Deadline => "deadline",
            Self::Evicted => "evicted",
            Self::NodeLost => "node-lost",
            Self::Deleted => "deleted",
            Self::Other => "other",
        }
    }

    /// The meaning, as one sentence without a full stop.
    pub fn says(self) -> &'static str {
        match self {
            Self::ImageUnpullable => "its image cannot be pulled",
            Self::ImageName => "its image's name is invalid",
            Self::Unschedulable => "no node can take it",
            Self::QuotaExceeded => "the run's namespace has no room for it",
            Self::PolicyViolated => "the cluster's policies refuse it",
            Self::Unpreparable => "its container cannot be set up",
            Self::StartFailed => "its program cannot be started",
            Self::ExitCode => "it ended with an error",
            Self::OutOfMemory => "it used more memory than it has",
            Self::Deadline => "its time was over",
            Self::Evicted => "its node evicted it",
            Self::NodeLost => "its node is gone",
            Self::Deleted => "it was deleted",
            Self::Other => "the cluster gives a reason of its own",
        }
    }

    /// The time that a reason of [`TaskState::CannotStart`] has to last before it counts. A
    /// registry may fail for a moment, and a node may just be added.
    pub fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::ImageUnpullable | Self::Unschedulable => 10,
            Self::Unpreparable | Self::Other => 20,
            _ => 0,
        })
    }
}

/// The meaning of a Pod's state. `events` are the events about it, in any order. They only add
/// text, except for a container that waits without a reason.
pub fn state(pod: &Value, events: &[Value]) -> TaskState {
    let status = Status(pod.get("status").unwrap_or(&Value::Null));
    match status.text("/phase") {
        "Succeeded" => TaskState::Succeeded,
        "Failed" => failed(status),
        _ if pod.pointer("/metadata/deletionTimestamp").is_some() => {
            let reason =
                if status.disrupted().is_some() { Reason::Evicted } else { Reason::Deleted };
            TaskState::Failed {
                reason,
                code: None,
                detail: detail(&[(CLUSTER, status.disrupted().unwrap_or_default())]),
            }
        }
        // The server does not say that an unknown one ended; its node is given up soon, which then
        // takes it away.
        "Running" | "Unknown" => TaskState::Running,
        _ => pending(status, events),
    }
}

fn failed(status: Status<'_>) -> TaskState {
    let ended = "/containerStatuses/0/state/terminated";
    let code = status
        .0
        .pointer(&format!("{ended}/exitCode"))
        .and_then(Value::as_i64)
        .and_then(|code| i32::try_from(code).ok());
    let reason = match (status.text("/reason"), status.text(&format!("{ended}/reason"))) {
        ("DeadlineExceeded", _) => Reason::Deadline,
        ("Evicted" | "Preempting" | "Terminated" | "NodeShutdown" | "Shutdown", _) => {
            Reason::Evicted
        }
        ("NodeLost", _) => Reason::NodeLost,
        ("UnexpectedAdmissionError" | "NodeAffinity", _) => Reason::Unschedulable,
        (reason, _) if reason.starts_with("OutOf") => Reason::Unschedulable,
        _ if status.disrupted().is_some() => Reason::Evicted,
        (_, "OOMKilled") => Reason::OutOfMemory,
        (_, "StartError" | "ContainerCannotRun") => Reason::StartFailed,
        (_, "DeadlineExceeded") => Reason::Deadline,
        (_, "ContainerStatusUnknown") => Reason::NodeLost,
        _ if code.is_some() => Reason::ExitCode,
        _ => Reason::Other,
    };
    let said = status.text(&format!("{ended}/message"));
    // A container that never ran has no output: the text is the node's.
    let who = if reason == Reason::StartFailed { CLUSTER } else { TASK };
    let words = [
        (CLUSTER, status.text("/message")),
        (CLUSTER, status.disrupted().unwrap_or_default()),
        (who, said),
    ];
    TaskState::Failed { reason, code, detail: detail(&words) }
}

fn pending(status: Status<'_>, events: &[Value]) -> TaskState {
    let waits = |key: &str| status.text(&format!("/containerStatuses/0/state/waiting/{key}"));
    let message = waits("message");
    match waits("reason") {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "RegistryUnavailable"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "SignatureValidationFailed" => {
            // A back-off has no reason; the event before it had it.
            let words = if message.starts_with("Back-off") {
                warned(events, &["Failed"]).unwrap_or(message)
            } else {
                message
            };
            cannot(Reason::ImageUnpullable, words)
        }
        "InvalidImageName" => cannot(Reason::ImageName, message),
        "CreateContainerConfigError" | "CreateContainerError" => {
            cannot(Reason::Unpreparable, message)
        }
        "RunContainerError" | "PreStartHookError" | "PostStartHookError" | "CrashLoopBackOff" => {
            cannot(Reason::StartFailed, message)
        }
        _ => match status.condition("PodScheduled", "False") {
            Some(unbound) if text_at(unbound, "/reason") == "SchedulingGated" => TaskState::Waiting,
            Some(unbound) => cannot(Reason::Unschedulable, text_at(unbound, "/message")),
            None => match warned(
                events,
                &["FailedMount", "FailedCreatePodSandBox", "FailedAttachVolume"],
            ) {
                Some(words) => cannot(Reason::Unpreparable, words),
                None => TaskState::Waiting,
            },
        },
    }
}

/// The meaning of the API server's refusal of a Pod, in a dry run as in the write itself: quota,
/// Pod Security, admission policies and webhooks, limits of the namespace. Another refusal (no
/// right, a terminating namespace) is not about the task.
pub fn refused(message: &str) -> TaskState {
    let reason = if message.contains("exceeded quota") || message.contains("failed quota") {
        Reason::QuotaExceeded
    } else if [
        "violates PodSecurity",
        "ValidatingAdmissionPolicy",
        "denied the request",
        "usage per",
    ]
    .iter()
    .any(|word| message.contains(word))
    {
        Reason::PolicyViolated
    } else {
        Reason::Other
    };
    cannot(reason, message)
}

fn cannot(reason: Reason, words: &str) -> TaskState {
    TaskState::CannotStart { reason, detail: detail(&[(CLUSTER, words)]) }
}

/// The words there are, each once, quoted and bounded: they are of others, and an agent reads them.
fn detail(words: &[(&str, &str)]) -> String {
    let mut said: Vec<String> = Vec::new();
    for (who, word) in words.iter().filter(|(_, word)| !word.trim().is_empty()) {
        let quote = brief(word, DETAIL);
        if !said.iter().any(|known| known.ends_with(&quote)) {
            said.push(format!("{who} {quote}"));
        }
    }
    said.join("; ")
}

/// The newest warning of one of these reasons.
fn warned<'a>(events: &'a [Value], reasons: &[&str]) -> Option<&'a str> {
    let at = |event: &'a Value| {
        ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
            .iter()
            .map(|key| text_at(event, key))
            .find(|at| !at.is_empty())
    };
    let warnings = events.iter().filter(|event| {
        text_at(event, "/type") == "Warning" && reasons.contains(&text_at(event, "/reason"))
    });
    warnings.max_by_key(|event| at(event)).map(|event| text_at(event, "/message"))
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The status of a Pod.
#[derive(Clone, Copy)]
struct Status<'a>(&'a Value);

impl<'a> Status<'a> {
    fn text(self, pointer: &str) -> &'a str {
        text_at(self.0, pointer)
    }

    fn condition(self, kind: &str, state: &str) -> Option<&'a Value> {
        let conditions = self.0.get("conditions").and_then(Value::as_array)?;
        conditions.iter().find(|condition| {
            text_at(condition, "/type") == kind && text_at(condition, "/status") == state
        })
    }

    /// Why the cluster takes it away, if it does.
    fn disrupted(self) -> Option<&'a str> {
        self.condition("DisruptionTarget", "True").map(|condition| text_at(condition, "/message"))
    }
}
