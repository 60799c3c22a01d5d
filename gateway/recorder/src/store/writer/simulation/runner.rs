//! A runner process of a history: it follows the numbered steps of the runner's protocol. Never
//! repeats an effect.

use crate::store::change::Change;
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::job::LeasedJob;
use cofferdam_core::model::run::{JobStep, Outcome};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use std::collections::{BTreeMap, BTreeSet};

/// The place of a runner in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It has no job.
    Idle,
    /// This step of its job is done.
    After(JobStep),
    /// It recovers a job: it removes what is left of earlier runners.
    Sweep,
    /// It recovers a job: it reads the infrastructure.
    Look,
    /// It reports this outcome.
    Ending(Outcome),
}

/// A runner with its memory.
pub(super) struct Runner {
    pub place: Place,
    pub job: Option<Box<LeasedJob>>,
    /// Its claim token: the same until the claim has its answer.
    pub token: Option<u64>,
    /// The number of its next report.
    pub number: u64,
    /// The operation that it carries out.
    pub operation: u32,
    /// Operations in effect, as it knows.
    pub effects: BTreeSet<u32>,
    /// A request has no answer yet.
    pub waits: bool,
    pub connected: bool,
    /// It runs again at this time, in milliseconds.
    pub paused_until: i64,
    /// It knows that its job was cancelled.
    pub cancelled: bool,
    /// It knows that its lease is over.
    pub lost: bool,
}

impl Runner {
    /// A new process.
    pub fn new() -> Self {
        Self {
            place: Place::Idle,
            job: None,
            token: None,
            number: 1,
            operation: 0,
            effects: BTreeSet::new(),
            waits: false,
            connected: false,
            paused_until: 0,
            cancelled: false,
            lost: false,
        }
    }

    /// The name of its run.
    fn name(&self) -> String {
        let fence = self.job.as_ref().map(|job| job.fence.0).unwrap_or_default();
        format!("cofferdam-run-{fence}")
    }

    /// The report that is due; `None` if it has another thing to do.
    pub fn due(&self) -> Option<RunnerEvent> {
        let operation = self.operation;
        Some(match self.place {
            Place::After(JobStep::NamespaceMade) => {
                RunnerEvent::Prepared { namespace: self.name(), uid: "1".to_owned() }
            }
            Place::After(JobStep::NamespaceRecorded) => RunnerEvent::Acting,
            Place::After(JobStep::ActingRecorded | JobStep::OperationRecorded) => {
                RunnerEvent::Started { operation, undo: false, before: BTreeMap::new() }
            }
            Place::After(JobStep::OperationEffected) => {
                RunnerEvent::Done { operation, undo: false, after: BTreeMap::new() }
            }
            Place::Ending(outcome) => RunnerEvent::Finished {
                outcome,
                code: "done".to_owned(),
                detail: format!("in effect: {:?}", self.effects),
                files: vec![],
                meanwhile: vec![],
            },
            Place::After(JobStep::NamespaceRemoved) => RunnerEvent::Gone { namespace: self.name() },
            _ => return None,
        })
    }

    /// The change of the report that is due.
    pub fn report(&self) -> Option<Change> {
        let job = self.job.as_ref()?;
        let (call, fence) = (job.job.call.clone(), job.fence);
        Some(Change::Move { call, fence, events: vec![self.due()?], number: Some(self.number) })
    }

    /// The claim of a job.
    pub fn claim(&self) -> Change {
        let token = self.token.map(|token| ClaimToken::from_random(u128::from(token)));
        Change::Claim { token, via: crate::leases::Via::Link }
    }

    /// The place after a report, given the number of operations.
    pub fn after(&mut self, event: &RunnerEvent, operations: u32) -> Place {
        self.number += 1;
        match event {
            RunnerEvent::Prepared { .. } => Place::After(JobStep::NamespaceRecorded),
            RunnerEvent::Acting => Place::After(JobStep::ActingRecorded),
            RunnerEvent::Started { .. } => Place::After(JobStep::OperationStarted),
            RunnerEvent::Done { operation, .. } => {
                self.effects.insert(*operation);
                self.operation += 1;
                if self.operation == operations {
                    Place::Ending(Outcome::Succeeded)
                } else {
                    Place::After(JobStep::OperationRecorded)
                }
            }
            RunnerEvent::Finished { .. } => Place::After(JobStep::OutcomeRecorded),
            RunnerEvent::Gone { .. } => Place::Idle,
        }
    }
}
