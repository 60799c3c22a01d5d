//! The job of a lost runner: finds its outcome, completes a commit, cleans up. Never starts an
//! operation.

use super::{ActError, Lost, Runner};
use crate::guest_process::Start;
use crate::lease::{Lease, Recorder, Stopped};
use cofferdam_backend::{Backend, Left};
use cofferdam_core::model::job::LeasedJob;
use cofferdam_core::model::run::{JobStep, Phase};

impl<R: Recorder, S: Start, B: Backend> Runner<R, S, B> {
    /// Ensures first that the lost runner can change nothing any more. Then the infrastructure
    /// shows the outcome.
    pub(super) async fn recover(
        &self,
        lease: &Lease<R>,
        leased: &LeasedJob,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActError> {
        // The recovery changes the infrastructure: not without a lease.
        if lease.confirm().await == Some(Stopped::Lost) {
            return Err(ActError::Lost);
        }
        let lost = Lost::of(leased);
        if leased.phase == Phase::TearingDown && leased.outcome.is_some() {
            let namespace = self.backend.sweep(&lost).await?;
            return self.close(lease, swept(namespace.as_deref()), &lost.targets(), step).await;
        }
        let (namespace, ending) = self.backend.recover(&lost).await?;
        self.finish(lease, ending, swept(namespace.as_deref()), &lost.targets(), step).await
    }
}

/// The run that a sweep found and removed.
pub(super) fn swept<R>(namespace: Option<&str>) -> Left<'_, R> {
    namespace.map_or(Left::Nothing, Left::Found)
}
