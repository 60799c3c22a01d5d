//! Effects in a history: a runner asks the infrastructure for one, requests arrive late, and others
//! change objects. Each effect is checked when it happens. Never repeats one, but by a wrong rule.

use super::History;
use crate::store::writer::simulation::cluster::Request;
use crate::store::writer::simulation::planted::Planted;
use crate::store::writer::simulation::runner::Place;
use cofferdam_core::model::run::{JobStep, Outcome};

impl History<'_> {
    /// A runner asks the infrastructure for an effect.
    pub(super) async fn effect(&mut self, at: usize) {
        if self.fails(12) {
            // The runner ends while its request is underway.
            return self.end_runner(at);
        }
        let runner = &self.runners[at];
        let Some(job) = &runner.job else { return };
        let place = runner.place;
        let request = (job.job.call.clone(), runner.operation, job.fence);
        let next = if self.fails(12) {
            // No answer, and nothing can be read back.
            self.cluster.underway.push(request);
            if self.planted == Planted::Repeats {
                place
            } else {
                Place::Ending(Outcome::Indeterminate)
            }
        } else if self.arrive(request).await {
            Place::After(JobStep::OperationEffected)
        } else {
            Place::Ending(Outcome::Failed)
        };
        self.runners[at].place = next;
    }

    /// A request arrives. True if its effect happens; then its promises are checked.
    pub(super) async fn arrive(&mut self, request: Request) -> bool {
        let compares = self.planted != Planted::Repeats;
        if !self.cluster.permits(&request, compares) {
            return false;
        }
        let (call, operation, _) = &request;
        let durable = self.store.has_started(call, *operation).await;
        assert!(durable, "an effect without a durable intent: {request:?}");
        assert!(!self.cluster.is_outdated(&request), "an effect under an older lease: {request:?}");
        assert!(!self.cluster.applied(call).contains(operation), "a second effect: {request:?}");
        assert!(self.call(call).signed, "an effect before the signatures: {request:?}");
        self.note(&request);
        self.counts.effects += 1;
        self.cluster.apply(request);
        true
    }

    /// Requests that were underway arrive, and others change objects.
    pub(super) async fn others(&mut self) {
        if !self.cluster.underway.is_empty() && self.numbers.once_in(5) {
            let at = self.numbers.below(self.cluster.underway.len());
            let request = self.cluster.underway.remove(at);
            self.arrive(request).await;
        }
        if self.fails(60) {
            let at = self.numbers.below(self.calls.len());
            let call = self.calls[at].job.call.clone();
            self.cluster.interfere(&call, 0);
        }
    }
}
