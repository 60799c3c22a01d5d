//! The requests of this executor to its host, as a trait, so that a test can check the order
//! without a host.

use cofferdam_sdk::executor::{self, Failure, Observation, Operation, Outcome, Readiness};

/// The host's side of a job.
pub(crate) trait Host {
    /// The right to perform one operation, once.
    type Handle;
    /// The right to wait for the object of an operation that is done.
    type Sight;
    /// The index of the operation in the plan.
    fn index(&self, handle: &Self::Handle) -> u32;
    /// The indexes of the operations that must be done before.
    fn after(&self, handle: &Self::Handle) -> Vec<u32>;
    /// Performs the operation. Returns the handle that undoes it, if there is one.
    fn perform(&mut self, handle: Self::Handle) -> Result<Option<Self::Handle>, Failure>;
    /// The observation of an operation that is done, if the host gives one.
    fn observe(&mut self, index: u32) -> Option<Self::Sight>;
    /// Waits until the object is ready, at most this number of seconds.
    fn ready(&mut self, sight: &Self::Sight, seconds: u32) -> Readiness;
    /// Sends a progress note, at most 200 characters.
    fn report(&mut self, note: &str);
}

/// The real host: the imports of the component.
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
