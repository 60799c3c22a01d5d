//! The cluster as a runner's [`Backend`], a run namespace as its [`Run`], and the remedies of their
//! errors. Each operation is final at once; there is nothing to commit.

use super::api::ApiError;
use super::look_error::LookError;
use super::namespace::{Namespace, Wanted};
use super::self_check::CheckError;
use super::teardown::{TeardownError, Traces};
use super::{Kubernetes, pressure, preview};
use cofferdam_backend::effect_error::{EffectError, Told};
use cofferdam_backend::host_values::Host;
use cofferdam_backend::outcome::{Ending, Settled};
use cofferdam_backend::{
    Backend, BackendError, InfrastructureError, Left, Lost, PreviewError, Run,
};
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::json::strict_into;
use cofferdam_core::model::operation::{Operation, Step};
use cofferdam_core::model::preview::{Preview, PreviewedOperation};
use cofferdam_core::model::run::{JobStep, Outcome};
use cofferdam_core::protocol::role_guest::Observed;
use cofferdam_core::stage::readmit::LeasedPlan;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The remedy of an error that the API server explains best.
const DOCTOR: &str = "run `cofferdam doctor`, which asks the API server";

impl From<ApiError> for BackendError {
    fn from(error: ApiError) -> Self {
        InfrastructureError::new(error, DOCTOR).into()
    }
}

impl From<CheckError> for BackendError {
    fn from(error: CheckError) -> Self {
        InfrastructureError::new(error, DOCTOR).into()
    }
}

impl From<TeardownError> for BackendError {
    fn from(error: TeardownError) -> Self {
        let remedy = match &error {
            TeardownError::Held { what, .. } => format!(
                "look at `kubectl get namespace {what} -o yaml`, and have the owner of the \
                 finalizer take it off"
            ),
            TeardownError::Stuck { what, .. } if what.starts_with("cofferdam-run-") => {
                format!("look at `kubectl get namespace {what} -o yaml`")
            }
            _ => DOCTOR.to_owned(),
        };
        InfrastructureError::new(error, remedy).into()
    }
}

impl From<LookError> for PreviewError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Refused(refusal) => Self::Refused(refusal),
            LookError::Unavailable(error) => Self::Backend(error.into()),
        }
    }
}

impl<'a> Traces<'a> {
    /// The traces of a lost runner, in these target namespaces too.
    pub fn of(lost: &'a Lost<'_>, targets: &'a BTreeSet<String>) -> Self {
        Self { call: &lost.job.call, fence: lost.fence, earlier: lost.earlier, targets }
    }
}

impl Backend for Kubernetes {
    type Run = Namespace;

    const COMMITS: bool = false;

    /// Dry runs as the provisioner. The admission policies reject its other writes in a target
    /// namespace.
    async fn preview(&self, tool: &str, steps: &[Step]) -> Result<Preview, PreviewError> {
        Ok(preview::preview(self.cluster(), tool, steps).await?)
    }

    fn ready(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// The cluster removes namespaces at its own speed: more of them at once would pile up. A
    /// runner also claims no job if its check of the admission policies is too old.
    async fn backpressure(&self, now: Timestamp) -> Result<Option<String>, BackendError> {
        self.check_fences().await?;
        Ok(pressure::going(self.cluster(), now).await?.too_much())
    }

    async fn sweep(&self, lost: &Lost<'_>) -> Result<Option<String>, BackendError> {
        Ok(Self::sweep(self, Traces::of(lost, &lost.targets())).await?)
    }

    async fn create_run(
        &self,
        call: &CallId,
        fence: Fence,
        plan: &LeasedPlan,
        now: Timestamp,
    ) -> Result<Namespace, EffectError> {
        self.make_for(&Wanted::of(call, fence, plan, now), true).await
    }

    fn commit(
        &self,
        _call: &CallId,
        _fence: Fence,
        _run: &mut Namespace,
        step: &dyn Fn(JobStep),
    ) -> Result<Settled, BackendError> {
        step(JobStep::EffectCommitted);
        step(JobStep::EffectApplied);
        let done = "every operation was done, and observed as approved";
        Ok(Ending::new(Outcome::Succeeded, "done", done).into())
    }

    async fn remove(
        &self,
        _call: &CallId,
        left: &Left<'_, Namespace>,
        targets: &BTreeSet<String>,
    ) -> Result<Option<String>, BackendError> {
        let was_there = match left {
            Left::Nothing => false,
            Left::Own(own) => self.remove_own(own, targets).await?,
            Left::Perhaps(name) | Left::Found(name) => Self::remove(self, name, targets).await?,
        };
        Ok(left.removed(was_there))
    }

    /// Removes the rights of the job first, and checks that they are gone.
    async fn recover(&self, lost: &Lost<'_>) -> Result<(Option<String>, Settled), BackendError> {
        let run = Self::sweep(self, Traces::of(lost, &lost.targets())).await?;
        let Ok(preview) = strict_into::<Preview>(lost.job.preview.as_bytes()) else {
            let detail = "the runner was lost while it acted, and the job's preview cannot be \
                          read; a person has to look";
            let ending = Ending::new(Outcome::Indeterminate, "effect-unknown", detail);
            return Ok((run, ending.into()));
        };
        let fate = self.fate(&preview, lost.operations).await?;
        let words = fate.words(&preview);
        let (outcome, code, when) = if fate.is_complete() && !fate.held.is_empty() {
            (Outcome::Held, "held", "after every operation had been asked for")
        } else if fate.is_complete() {
            (Outcome::Succeeded, "recovered", "after every operation had been done")
        } else if fate.unclear.is_empty() {
            (Outcome::Failed, "runner-lost", "while it acted")
        } else {
            (Outcome::Indeterminate, "effect-unknown", "while it acted")
        };
        let detail = format!("the runner was lost {when}; {words}");
        Ok((run, Ending::new(outcome, code, detail).into()))
    }

    fn remaining(&self, in_effect: &BTreeSet<u32>) -> String {
        if in_effect.is_empty() {
            return "nothing of it is in effect".to_owned();
        }
        let list: Vec<_> = in_effect.iter().map(u32::to_string).collect();
        format!("still in effect: operation {}", list.join(", "))
    }
}

impl Run for Namespace {
    fn name(&self) -> String {
        Namespace::name(self).to_owned()
    }

    fn uid(&self) -> Option<&str> {
        Some(Namespace::uid(self))
    }

    async fn check(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
    ) -> Result<(), EffectError> {
        Namespace::check(self, operation, approved).await
    }

    fn meanwhile(&self) -> &[Difference] {
        Namespace::meanwhile(self)
    }

    async fn perform(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
        told: &Told,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        Namespace::perform(self, operation, approved, host, told).await
    }

    async fn undo(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        Namespace::undo(self, approved).await
    }

    async fn observe(&self, approved: &PreviewedOperation) -> Result<Observed, EffectError> {
        Namespace::observe(self, approved).await
    }
}
