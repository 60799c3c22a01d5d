//! The readiness of an object: has its controller seen the change, and does it run? Pure; reads the
//! status that controllers write.

use super::object;
use cofferdam_core::model::preview::{Expect, PreviewedOperation};
use cofferdam_core::protocol::role_guest::Observed;
use serde_json::Value;

/// How far the object of an operation is that was done; none when it is not there.
pub fn readiness(live: Option<&Value>, approved: &PreviewedOperation) -> Observed {
    let deleted = approved.after.is_empty() && matches!(approved.expect, Expect::Present { .. });
    match (live, &approved.expect) {
        (None, _) if deleted => Observed::Ready,
        (Some(live), Expect::Present { uid, .. }) if deleted => {
            if object::uid(live) == Some(uid.as_str()) {
                Observed::progressing("it is being deleted")
            } else {
                Observed::Ready
            }
        }
        (None, _) => Observed::failed("it is not there any more"),
        (Some(live), _) if object::is_terminating(live) => Observed::failed("it is being deleted"),
        (Some(live), Expect::Present { uid, .. }) if object::uid(live) != Some(uid.as_str()) => {
            Observed::failed("it was replaced by another of its name")
        }
        (Some(live), _) => of(live),
    }
}

/// How far an object is by its kind.
fn of(live: &Value) -> Observed {
    let seen = Seen(live);
    match live.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Deployment" => seen.deployment(),
        "StatefulSet" => seen.stateful_set(),
        "DaemonSet" => seen.daemon_set(),
        "Pod" => seen.pod(),
        "Job" => seen.job(),
        _ => Observed::Ready,
    }
}

#[derive(Clone, Copy)]
struct Seen<'a>(&'a Value);

impl<'a> Seen<'a> {
    fn number(self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer).and_then(Value::as_i64)
    }

    fn count(self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    fn text(self, pointer: &str) -> &'a str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A condition's status, and its reason and message.
    fn condition(self, kind: &str) -> Option<(&'a str, String)> {
        let conditions = self.0.pointer("/status/conditions").and_then(Value::as_array)?;
        let found = conditions
            .iter()
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))?;
        let word = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
        Some((word("status"), format!("{}: {}", word("reason"), word("message"))))
    }

    /// Status is of an older version of the object: its controller has not seen this one yet.
    fn is_stale(self) -> bool {
        self.count("/status/observedGeneration") < self.count("/metadata/generation")
    }

    fn deployment(self) -> Observed {
        if self.is_stale() {
            return Observed::progressing("its controller has not seen the change yet");
        }
        // Its own deadline (`progressDeadlineSeconds`), by its own controller's clock.
        if let Some(("False", why)) = self.condition("Progressing") {
            return Observed::failed(&why);
        }
        if let Some(("True", why)) = self.condition("ReplicaFailure") {
            return Observed::failed(&why);
        }
        let wanted = self.number("/spec/replicas").unwrap_or(1);
        if self.0.pointer("/spec/paused") == Some(&Value::Bool(true)) {
            return Observed::failed("it is paused: nothing is rolled out");
        }
        self.counted(
            wanted,
            "/status/updatedReplicas",
            "/status/availableReplicas",
            Some("/status/replicas"),
        )
    }

    fn stateful_set(self) -> Observed {
        if self.is_stale() {
            return Observed::progressing("its controller has not seen the change yet");
        }
        let wanted = self.number("/spec/replicas").unwrap_or(1);
        if self.text("/spec/updateStrategy/type") == "OnDelete" {
            return self.counted(wanted, "/status/readyReplicas", "/status/readyReplicas", None);
        }
        // Objects below the partition are not updated, as the specification says.
        let partition = self.count("/spec/updateStrategy/rollingUpdate/partition");
        let updated = self.count("/status/updatedReplicas");
        if self.text("/status/updateRevision") != self.text("/status/currentRevision")
            && updated < (wanted - partition).max(0)
        {
            return Observed::progressing(&format!("{updated} of {wanted} are updated"));
        }
        self.counted(wanted, "/status/replicas", "/status/availableReplicas", None)
    }

    fn daemon_set(self) -> Observed {
        if self.is_stale() {
            return Observed::progressing("its controller has not seen the change yet");
        }
        let wanted = self.count("/status/desiredNumberScheduled");
        let updated = if self.text("/spec/updateStrategy/type") == "OnDelete" {
            "/status/numberAvailable"
        } else {
            "/status/updatedNumberScheduled"
        };
        self.counted(wanted, updated, "/status/numberAvailable", None)
    }

    /// Compares wanted, updated and available replicas, and requires that no old one remains.
    fn counted(self, wanted: i64, updated: &str, available: &str, all: Option<&str>) -> Observed {
        let (updated, available) = (self.count(updated), self.count(available));
        if updated < wanted {
            return Observed::progressing(&format!("{updated} of {wanted} are updated"));
        }
        if let Some(left) = all.map(|all| self.count(all) - updated).filter(|left| *left > 0) {
            return Observed::progressing(&format!("{left} of the old ones are still there"));
        }
        if available < wanted {
            return Observed::progressing(&format!("{available} of {wanted} are available"));
        }
        Observed::Ready
    }

    fn pod(self) -> Observed {
        match self.text("/status/phase") {
            "Succeeded" => Observed::Ready,
            "Failed" => Observed::failed(&format!(
                "it failed: {} {}",
                self.text("/status/reason"),
                self.text("/status/message")
            )),
            phase => match self.condition("Ready") {
                Some(("True", _)) => Observed::Ready,
                Some((_, why)) => Observed::progressing(&format!("{phase}: {why}")),
                None => Observed::progressing(phase),
            },
        }
    }

    fn job(self) -> Observed {
        if let Some(("True", _)) = self.condition("Complete") {
            return Observed::Ready;
        }
        if let Some(("True", why)) = self.condition("Failed") {
            return Observed::failed(&why);
        }
        Observed::progressing(&format!(
            "{} are done, {} run",
            self.count("/status/succeeded"),
            self.count("/status/active")
        ))
    }
}

#[cfg(test)]
mod tests;
