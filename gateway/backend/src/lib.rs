//! # One kind of infrastructure, as a runner sees it
//!
//! A backend reads and changes one kind of infrastructure: `cofferdam-backend-directory` a tree of
//! manifests, `cofferdam-backend-kubernetes` a cluster. This crate has the two traits between a
//! runner and a backend, their errors, and the rules that both backends share. It knows neither
//! files nor clusters.
//!
//! | file | content |
//! |---|---|
//! | `error.rs`, `effect_error.rs`, `refusal.rs` | errors and refusals |
//! | `lost.rs` | the job of a lost runner, and the remaining part of a run |
//! | `outcome.rs` | the outcome of a job with its code and text |
//! | `host_values.rs` | values that only the runner knows |
//! | `ceiling_check.rs`, `result_size.rs` | bounds of the viewer: ceiling, bytes |
//! | `delete_summary.rs`, `rest.rs`, `members.rs` | fields that a preview shows and compares |

pub mod ceiling_check;
pub mod delete_summary;
pub mod effect_error;
mod error;
pub mod host_values;
mod lost;
pub mod members;
pub mod outcome;
pub mod refusal;
pub mod rest;
pub mod result_size;

pub use error::{BackendError, InfrastructureError, PreviewError, chain};
pub use lost::{Left, Lost};

use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::operation::{Operation, Step};
use cofferdam_core::model::preview::{Preview, PreviewedOperation};
use cofferdam_core::model::run::JobStep;
use cofferdam_core::protocol::role_guest::Observed;
use cofferdam_core::stage::readmit::LeasedPlan;
use effect_error::{EffectError, Told};
use host_values::Host;
use jiff::Timestamp;
use outcome::Settled;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The infrastructure that a runner changes.
pub trait Backend: Send + Sync {
    /// The work of one lease on this infrastructure.
    type Run: Run;

    /// True if effects become final only in [`Backend::commit`]; until then a job can be cancelled
    /// without a trace, and a later lease removes the run. False if each operation is final.
    const COMMITS: bool;

    /// The changes that these operations would make now. Changes nothing.
    ///
    /// # Errors
    /// An object of the plan is absent or cannot be changed so, or the infrastructure cannot be
    /// read.
    fn preview(
        &self,
        tool: &str,
        steps: &[Step],
    ) -> impl Future<Output = Result<Preview, PreviewError>> + Send;

    /// Checks that this process can still carry out a job.
    ///
    /// # Errors
    /// It cannot; another process has to take its place.
    fn ready(&self) -> Result<(), BackendError>;

    /// Reads ahead, before a job is claimed, what its admission will read. Only saves time: the
    /// admission looks again, and reports every error.
    fn read_ahead(&self) {}

    /// Why no further job should be claimed now; `None` if one may be claimed.
    ///
    /// # Errors
    /// The infrastructure cannot be read.
    fn backpressure(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<String>, BackendError>> + Send;

    /// Removes everything that earlier leases of this job created. Returns the name of the newest
    /// run that was there.
    ///
    /// # Errors
    /// A part of an earlier run remains.
    fn sweep(
        &self,
        lost: &Lost<'_>,
    ) -> impl Future<Output = Result<Option<String>, BackendError>> + Send;

    /// Creates the run of a job under a lease, with the objects and rights that the plan needs and
    /// no others.
    ///
    /// # Errors
    /// The run cannot be created; a part of it may be there.
    fn create_run(
        &self,
        call: &CallId,
        fence: Fence,
        plan: &LeasedPlan,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Run, EffectError>> + Send;

    /// Makes all effects of a run final. Calls `step` when the effects are durable, and again when
    /// all of them are visible.
    ///
    /// # Errors
    /// The lease is lost, or effects are durable and cannot be made visible here.
    fn commit(
        &self,
        call: &CallId,
        fence: Fence,
        run: &mut Self::Run,
        step: &dyn Fn(JobStep),
    ) -> Result<Settled, BackendError>;

    /// Removes a run and its rights in these target namespaces, and checks that they are gone.
    /// Returns the name of the run if there was one.
    ///
    /// # Errors
    /// A part of the run remains.
    fn remove(
        &self,
        call: &CallId,
        left: &Left<'_, Self::Run>,
        targets: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Option<String>, BackendError>> + Send;

    /// Finds the outcome of a job whose runner was lost while it acted. First ensures that the lost
    /// runner can change nothing any more. Returns the name of the run too.
    ///
    /// # Errors
    /// The infrastructure cannot be read, or a part of the run remains.
    fn recover(
        &self,
        lost: &Lost<'_>,
    ) -> impl Future<Output = Result<(Option<String>, Settled), BackendError>> + Send;

    /// The effects that remain of a job that ended early, as text. `in_effect` has the indices of
    /// the operations that were done and not undone.
    fn remaining(&self, in_effect: &BTreeSet<u32>) -> String;
}

/// The work of one lease: a private copy of files, or a run namespace of a cluster.
pub trait Run: Send + Sync {
    /// The name of the private copy or of the run namespace.
    fn name(&self) -> String;

    /// The UID of the run namespace; `None` for a private copy.
    fn uid(&self) -> Option<&str>;

    /// Checks that an operation can still happen: its object is in the approved state.
    ///
    /// # Errors
    /// The object is in another state, or cannot be read.
    fn check(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
    ) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// Changes by others in the job's objects since the admission.
    fn meanwhile(&self) -> &[Difference];

    /// Carries out one operation and compares the result with the approved one. Sends output of a
    /// task to `told` while the task runs. Returns the observed state after it.
    ///
    /// # Errors
    /// The effect did not happen as approved, or may have happened.
    fn perform(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
        told: &Told,
    ) -> impl Future<Output = Result<BTreeMap<String, Value>, EffectError>> + Send;

    /// Restores the state before an operation. Returns the observed state.
    ///
    /// # Errors
    /// The state was not restored, or may have been.
    fn undo(
        &mut self,
        approved: &PreviewedOperation,
    ) -> impl Future<Output = Result<BTreeMap<String, Value>, EffectError>> + Send;

    /// Reads whether the object of a done operation is ready.
    ///
    /// # Errors
    /// The object cannot be read.
    fn observe(
        &self,
        approved: &PreviewedOperation,
    ) -> impl Future<Output = Result<Observed, EffectError>> + Send;
}
