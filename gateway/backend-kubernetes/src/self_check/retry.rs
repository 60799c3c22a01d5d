//! Repeats a probe whose policy is applied and not yet in effect: an API server loads admission
//! policies some seconds after a write, and each server for itself. Waits only for policies that
//! exist, at most [`LONGEST`]. A missing policy is reported at once. Writes nothing.

use super::CheckError;
use crate::api::{ApiError, Cluster};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// The most time that one self-check waits in total. API servers look for new policies every
/// second; a busy or new server takes several.
pub(super) const LONGEST: Duration = Duration::from_secs(20);

/// The pause between two probes.
const PAUSE: Duration = Duration::from_millis(500);

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// The state of an admission policy in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applied {
    /// A policy, and a binding of it that denies.
    Yes,
    /// One of them is missing, or only takes note.
    No,
    /// This identity may not look: `deploy/30-self-check.yaml` is an older one.
    Unseen,
}

/// The time that one check has for waiting, and who hears of it.
pub(super) struct RetryWindow<'a, T> {
    looks: &'a Cluster,
    end: Instant,
    tell: Option<T>,
}

impl<'a, T: Fn(&str)> RetryWindow<'a, T> {
    /// Begins now. `looks` is the identity's own connection. `tell` is called once with the reason
    /// of a wait.
    pub fn new(looks: &'a Cluster, tell: T) -> Self {
        Self { looks, end: Instant::now() + LONGEST, tell: Some(tell) }
    }

    /// Tries until it is well, or until waiting is of no use.
    pub async fn until_effective<V, F>(&mut self, attempt: impl Fn() -> F) -> Result<V, CheckError>
    where
        F: Future<Output = Result<V, CheckError>>,
    {
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => self.wait(error).await?,
            }
        }
    }

    /// A pause before the next try; gives the error back where none would help.
    async fn wait(&mut self, error: CheckError) -> Result<(), CheckError> {
        let applied = match &error {
            CheckError::Open { fence, .. } | CheckError::Hidden { fence, .. } => {
                applied(self.looks, fence).await?
            }
            // A missing right, which also takes time and cannot be read.
            CheckError::Shut { .. } => Applied::Unseen,
            _ => return Err(error),
        };
        if applied == Applied::No {
            return Err(error);
        }
        if Instant::now() >= self.end {
            return Err(match error {
                CheckError::Open { fence, probe, file } if applied == Applied::Yes => {
                    CheckError::Idle { fence, probe, file }
                }
                error => error,
            });
        }
        if let Some(tell) = self.tell.take() {
            let seconds = LONGEST.as_secs();
            tell(&format!(
                "waiting up to {seconds} s for policies that are applied and not yet in effect. \
                 So far: {error}"
            ));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Looks for a policy of this name and a binding of it that denies.
async fn applied(cluster: &Cluster, fence: &str) -> Result<Applied, ApiError> {
    let mut found = Vec::new();
    for resource in ["validatingadmissionpolicies", "validatingadmissionpolicybindings"] {
        match cluster.get(&format!("{ADMISSION}/{resource}/{fence}")).await {
            Ok(Some(object)) => found.push(object),
            Ok(None) => return Ok(Applied::No),
            Err(error) if error.is_forbidden() => return Ok(Applied::Unseen),
            Err(error) => return Err(error),
        }
    }
    let actions = found
        .last()
        .and_then(|binding| binding.pointer("/spec/validationActions"))
        .and_then(Value::as_array);
    let denies = actions.is_some_and(|actions| actions.iter().any(|action| action == "Deny"));
    Ok(if denies { Applied::Yes } else { Applied::No })
}
