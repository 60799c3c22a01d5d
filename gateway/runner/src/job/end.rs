//! The end of a job, for every outcome: records the outcome, removes the run, checks that it is
//! gone, closes the job. Never changes an outcome.

use super::{ActError, Runner};
use crate::guest_process::Start;
use crate::lease::{Lease, Recorder};
use cofferdam_backend::outcome::{Ending, Settled, UNWRITABLE};
use cofferdam_backend::{Backend, Left};
use cofferdam_core::model::run::JobStep;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use std::collections::BTreeSet;
use tracing::Instrument as _;

impl<R: Recorder, S: Start, B: Backend> Runner<R, S, B> {
    /// Records the outcome, removes the run and its rights in the target namespaces, checks that
    /// they are gone, and closes the job.
    pub(super) async fn finish(
        &self,
        lease: &Lease<R>,
        settled: Settled,
        left: Left<'_, B::Run>,
        targets: &BTreeSet<String>,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActError> {
        self.record(lease, settled, step).await?;
        self.close(lease, left, targets, step)
            .instrument(tracing::info_span!("tear down", cofferdam.stage = "teardown"))
            .await
    }

    /// Records the outcome; only then the tree's lock goes.
    pub(super) async fn record(
        &self,
        lease: &Lease<R>,
        settled: Settled,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActError> {
        let Settled { ending: Ending { outcome, code, detail, files, meanwhile }, lock } = settled;
        tracing::info!(call = %lease.call(), %outcome, code, detail, "a job ended");
        if code == UNWRITABLE {
            // The text of this outcome has paths, errors and remedies alone, and an operator needs
            // all of it.
            tracing::warn!(call = %lease.call(), "a job could not be written: {detail}");
        }
        let finished = RunnerEvent::Finished { outcome, code, detail, files, meanwhile };
        let acts = lease.defers_acting();
        match lease.report(finished.clone()).await {
            // Cancelled before its first operation: the end is recorded without the use of the
            // permit.
            Err(RoleError::Refused(_)) if acts => lease.report(finished).await?,
            recorded => recorded?,
        };
        drop(lock);
        step(JobStep::OutcomeRecorded);
        Ok(())
    }

    pub(super) async fn close(
        &self,
        lease: &Lease<R>,
        left: Left<'_, B::Run>,
        targets: &BTreeSet<String>,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActError> {
        (self.leaving)();
        let namespace = self.backend.remove(lease.call(), &left, targets).await?;
        step(JobStep::NamespaceRemoved);
        let _none = std::fs::remove_file(self.mark(lease.call()));
        lease.report(RunnerEvent::Gone { namespace: namespace.unwrap_or_default() }).await?;
        step(JobStep::ClosedRecorded);
        Ok(())
    }
}
