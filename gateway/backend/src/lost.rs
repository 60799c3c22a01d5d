//! A job whose earlier runners may have been lost: the facts that a backend needs to clean up and
//! to recover. Decides nothing itself.

use cofferdam_core::model::id::Fence;
use cofferdam_core::model::job::{LeasedJob, OperationRecord, StoredJob};
use cofferdam_core::model::json::strict_into;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::model::{kind, limit};
use std::collections::BTreeSet;

/// A job that earlier runners may have left unfinished.
pub struct Lost<'a> {
    /// The job as the recorder stores it.
    pub job: &'a StoredJob,
    /// The operations that earlier runners recorded.
    pub operations: &'a [OperationRecord],
    /// The present lease epoch.
    pub fence: Fence,
    /// Earlier lease epochs whose runners may have created something.
    pub earlier: &'a [Fence],
    /// An operator's reason for giving the job up; `None` if no operator did.
    pub given_up: Option<&'a str>,
}

impl Lost<'_> {
    /// The facts of a leased job.
    pub fn of(leased: &LeasedJob) -> Lost<'_> {
        let given_up = leased.given_up.as_ref().map(|resolution| resolution.because.as_str());
        Lost {
            job: &leased.job,
            operations: &leased.operations,
            fence: leased.fence,
            earlier: &leased.earlier,
            given_up,
        }
    }

    /// Target namespaces where the job may have derived rights, according to the stored preview.
    /// The set is empty if the preview cannot be read. The store is not trusted: a backend removes
    /// only objects of Cofferdam there.
    pub fn targets(&self) -> BTreeSet<String> {
        let preview = strict_into::<Preview>(self.job.preview.as_bytes());
        let places = preview
            .into_iter()
            .flat_map(|preview| preview.operations)
            .map(|operation| operation.target.namespace);
        // No plan may name other namespaces, nor have more operations.
        places
            .filter(|place| kind::check_namespace(place).is_ok())
            .take(limit::OPERATIONS)
            .collect()
    }
}

/// The part of a run that may still be there.
pub enum Left<'a, R> {
    /// No run was created.
    Nothing,
    /// Creation of the run with this name began.
    Perhaps(&'a str),
    /// A sweep found the run with this name, or the recorder has it.
    Found(&'a str),
    /// This runner created the run.
    Own(&'a R),
}

impl<R: crate::Run> Left<'_, R> {
    /// The name of the run; `None` if no run was created.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Perhaps(name) | Self::Found(name) => Some((*name).to_owned()),
            Self::Own(run) => Some(run.name()),
        }
    }

    /// The name to record as removed. `was_there` says whether the backend found the run. A run
    /// that is known to have been created counts as removed also if another process removed it.
    pub fn removed(&self, was_there: bool) -> Option<String> {
        self.name().filter(|_| was_there || !matches!(self, Self::Perhaps(_)))
    }
}
