//! What this executor asks of its host, apart from what a handle is: so that the order can be tried
//! without one.

use cofferdam_sdk::executor::{self, Failure, Observation, Operation, Outcome, Readiness};

/// The host's side of a job.
pub(crate) trait Host {
    /// An operation that may be performed, once.
    type Handle;
    /// A look at a done operation.
    type Sight;
    /// Its place in the plan.
    fn index(&self, handle: &Self::Handle) -> u32;
    /// What must be done before it.
    fn after(&self, handle: &Self::Handle) -> Vec<u32>;
    /// Does it; gives the handle that undoes it, where there is one.
    fn perform(&mut self, handle: Self::Handle) -> Result<Option<Self::Handle>, Failure>;
    /// A look at what was done.
    fn observe(&mut self, index: u32) -> Option<Self::Sight>;
    /// Waits at most so long until it is ready.
    fn ready(&mut self, sight: &Self::Sight, seconds: u32) -> Readiness;
    /// A word to callers that wait.
    fn report(&mut self, note: &str);
}

/// The host itself: what the component imports.
pub(crate) struct Imports;

impl Host for Imports {
    type Handle = Operation;
    type Sight = Observation;

    fn index(&self, handle: &Operation) -> u32 {
        handle.index()
    }

    fn after(&self, handle: &Operation) -> Vec<u32> {
        handle.after()
    }

    fn perform(&mut self, handle: Operation) -> Result<Option<Operation>, Failure> {
        match Operation::perform(handle) {
            Outcome::Done(undo) => Ok(undo),
            Outcome::Failed(failure) => Err(failure),
        }
    }

    fn observe(&mut self, index: u32) -> Option<Observation> {
        executor::observe(index)
    }

    fn ready(&mut self, sight: &Observation, seconds: u32) -> Readiness {
        sight.ready(seconds)
    }

    fn report(&mut self, note: &str) {
        executor::report(note);
    }
}
