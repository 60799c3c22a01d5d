//! The draft of a tool: operations on named objects, as foreign input. Never trusted here, never
//! carried out here.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The action of an operation on its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Reads named fields of one object.
    Read,
    /// Lists objects of one kind.
    List,
    /// Reads the end of a log.
    Logs,
    /// Creates or updates one object.
    Apply,
    /// Changes the named fields.
    Patch,
    /// Deletes one object.
    Delete,
    /// Runs a program in the run namespace.
    Task,
    /// Lets the pods of the run namespace open connections.
    Egress,
}

impl Action {
    /// True for an action that reads and changes nothing.
    pub fn reads(self) -> bool {
        matches!(self, Self::Read | Self::List | Self::Logs)
    }

    /// The word for ceilings, policies and texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Logs => "logs",
            Self::Apply => "apply",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Task => "task",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One object, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// API group, empty for the core group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for Target {
    /// `Deployment web in namespace team-a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", Named(&self.kind, &self.name), Within(&self.namespace))
    }
}

/// A kind and a name: `Deployment web`; the kind alone for a list, whose name is empty.
pub(crate) struct Named<'a>(pub &'a str, pub &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() { f.write_str(self.0) } else { write!(f, "{} {}", self.0, self.1) }
    }
}

/// A namespace as every text names it: `namespace team-a`, or `the ephemeral namespace` where its
/// name is empty.
pub(crate) struct Within<'a>(pub &'a str);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("the ephemeral namespace")
        } else {
            write!(f, "namespace {}", self.0)
        }
    }
}

/// One field to change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Field path, list members by merge key.
    pub path: String,
    /// The new value; `null` removes the field.
    pub value: Option<Value>,
}

/// Where an applied object goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The job's own namespace.
    Ephemeral,
    /// The namespace of this name.
    Namespace(String),
}

/// The program of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// A container image by digest.
    Image {
        /// The image reference, with its digest.
        reference: String,
        /// Arguments to its entry point.
        arguments: Vec<String>,
    },
    /// Digest of an accepted Wasm command.
    Command(String),
}

/// A destination to which the pods of the run namespace may open connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// The other pods of the run.
    Siblings,
    /// The cluster's name service.
    NameService,
    /// A block of addresses on one port.
    Addresses(Addresses),
}

impl fmt::Display for Egress {
    /// `siblings`, `name-service`, `203.0.113.0/24 tcp 443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Siblings => f.write_str("siblings"),
            Self::NameService => f.write_str("name-service"),
            Self::Addresses(Addresses { block, protocol, port }) => {
                write!(f, "{block} {} {port}", protocol.word())
            }
        }
    }
}

/// A block of addresses on one port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// In CIDR notation: `203.0.113.0/24`.
    pub block: String,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port, from 1 to 65535.
    pub port: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The protocol TCP.
    Tcp,
    /// The protocol UDP.
    Udp,
}

impl Protocol {
    /// The word for paths and texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One operation: a read, or a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Operation {
    /// Reads named fields of one object.
    Read {
        /// The object to read.
        target: Target,
        /// The paths of the fields.
        fields: Vec<String>,
    },
    /// Lists objects of one kind in one namespace.
    List {
        /// The API group; empty for the core group.
        group: String,
        /// The API version.
        version: String,
        /// The kind, such as `Deployment`.
        kind: String,
        /// The namespace to list.
        namespace: String,
        /// Field paths of each.
        fields: Vec<String>,
        /// The number of objects, at most.
        limit: u32,
    },
    /// Reads the end of a container's log.
    Logs {
        /// The pod that has the logs.
        target: Target,
        /// The container; may be left out for a pod with one.
        container: Option<String>,
        /// The number of lines, at most.
        lines: u32,
    },
    /// Creates or updates one object.
    Apply {
        /// The namespace of the object.
        place: Place,
        /// The whole object.
        object: Value,
    },
    /// Changes named fields of one object.
    Patch {
        /// The object to change.
        target: Target,
        /// The changes, each to one field.
        changes: Vec<Change>,
    },
    /// Deletes one object.
    Delete {
        /// The object to delete.
        target: Target,
    },
    /// Runs a program in the run namespace.
    Task {
        /// Unique name in the plan.
        name: String,
        /// The program to run.
        program: Program,
        /// The standard input of the program.
        input: String,
        /// Time limit in seconds.
        seconds: u32,
    },
    /// Lets the pods of the run namespace open connections to one destination.
    Egress {
        /// The destination.
        to: Egress,
    },
}

impl Operation {
    /// The action of the operation.
    pub fn action(&self) -> Action {
        match self {
            Self::Read { .. } => Action::Read,
            Self::List { .. } => Action::List,
            Self::Logs { .. } => Action::Logs,
            Self::Apply { .. } => Action::Apply,
            Self::Patch { .. } => Action::Patch,
            Self::Delete { .. } => Action::Delete,
            Self::Task { .. } => Action::Task,
            Self::Egress { .. } => Action::Egress,
        }
    }

    /// The one named object, for those that have one as written. An applied object's target is
    /// derived by `plan`.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Read { target, .. }
            | Self::Logs { target, .. }
            | Self::Patch { target, .. }
            | Self::Delete { target } => Some(target),
            Self::List { .. } | Self::Apply { .. } | Self::Task { .. } | Self::Egress { .. } => {
                None
            }
        }
    }
}

/// One operation with its place in the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The operation itself.
    #[serde(flatten)]
    pub operation: Operation,
    /// Indexes of steps that must be finished before.
    pub after: Vec<u32>,
    /// True if the executor gets a handle that restores the state before.
    pub reversible: bool,
}

/// The draft of a plan, as a tool returns it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// One sentence, the tool's claim.
    pub summary: String,
    /// The executor to use; `None` for a plan that only reads.
    pub executor: Option<String>,
    /// The operations, in plan order.
    pub operations: Vec<Step>,
}

/// The refusal of a tool, in its own words, which are quoted wherever they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRefusal {
    /// The cause of the refusal.
    pub reason: String,
    /// The remedy, for the caller.
    pub remedy: String,
}
