//! Kinds of objects, and the operations on them. The host refuses a kind that it does not know.

use super::{Listing, Logs, Operation, Patch, Read, Step, Target};

/// A kind of object with its group and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The API group. Empty for the core group.
    pub group: &'static str,
    /// Version of the API group.
    pub version: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
}

/// `apps/v1` Deployment.
pub const DEPLOYMENT: Kind = Kind { group: "apps", version: "v1", kind: "Deployment" };
/// `apps/v1` StatefulSet.
pub const STATEFUL_SET: Kind = Kind { group: "apps", version: "v1", kind: "StatefulSet" };
/// `apps/v1` DaemonSet.
pub const DAEMON_SET: Kind = Kind { group: "apps", version: "v1", kind: "DaemonSet" };
/// `batch/v1` Job.
pub const JOB: Kind = Kind { group: "batch", version: "v1", kind: "Job" };
/// `v1` ConfigMap.
pub const CONFIG_MAP: Kind = Kind { group: "", version: "v1", kind: "ConfigMap" };
/// `v1` Service.
pub const SERVICE: Kind = Kind { group: "", version: "v1", kind: "Service" };
/// `v1` Pod.
pub const POD: Kind = Kind { group: "", version: "v1", kind: "Pod" };
/// `networking.k8s.io/v1` NetworkPolicy, the kind of an `egress`.
pub const NETWORK_POLICY: Kind =
    Kind { group: "networking.k8s.io", version: "v1", kind: "NetworkPolicy" };
/// `v1` Event.
pub const EVENT: Kind = Kind { group: "", version: "v1", kind: "Event" };

impl Kind {
    /// One named object of this kind.
    pub fn target(self, namespace: impl Into<String>, name: impl Into<String>) -> Target {
        Target {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Reads these fields of one object.
    pub fn read(
        self,
        namespace: impl Into<String>,
        name: impl Into<String>,
        fields: &[&str],
    ) -> Read {
        Read { target: self.target(namespace, name), fields: owned(fields) }
    }

    /// Lists the objects in one namespace with these fields of each, at most `limit` of them (1 to
    /// 500).
    pub fn list(self, namespace: impl Into<String>, fields: &[&str], limit: u32) -> Listing {
        Listing {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            namespace: namespace.into(),
            fields: owned(fields),
            limit,
        }
    }

    /// Reads the end of the log of one container of a pod, at most `lines` lines (1 to 1,000). The
    /// container may be left out if the pod has only one.
    pub fn logs(
        self,
        namespace: impl Into<String>,
        name: impl Into<String>,
        container: Option<String>,
        lines: u32,
    ) -> Step {
        Step::new(Operation::Logs(Logs { target: self.target(namespace, name), container, lines }))
    }

    /// Changes fields of one object. Add the fields with [`Patch::set`], [`Patch::remove`] and
    /// [`Patch::fill`].
    pub fn patch(self, namespace: impl Into<String>, name: impl Into<String>) -> Patch {
        Patch { target: self.target(namespace, name), changes: Vec::new() }
    }

    /// Deletes one object.
    pub fn delete(self, namespace: impl Into<String>, name: impl Into<String>) -> Step {
        Step::new(Operation::Delete(self.target(namespace, name)))
    }
}

fn owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).into()).collect()
}
