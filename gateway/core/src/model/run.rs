//! A job's life as one pure table: `(phase, event) → phase`, used when recording and when
//! recovering. Knows nothing of stores or clocks.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The phase of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A person has to sign, or the gateway has to decide once more.
    AwaitingApproval,
    /// Decided; a runner may claim it.
    Queued,
    /// A runner holds it and checks it.
    Leased,
    /// The run namespace or the private copy exists.
    Prepared,
    /// The permit is consumed; effects may have begun.
    Acting,
    /// Its namespace is being removed.
    TearingDown,
    /// The run namespace was observed to be deleted, or never existed. Final.
    Closed,
}

/// The outcome of a job: written once, apart from the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every operation was done as approved.
    Succeeded,
    /// An operation failed; the operations after it were not done.
    Failed,
    /// A check of the runner refused the job.
    Refused,
    /// An approver rejected the job.
    Rejected,
    /// It was not decided, or not run, in time.
    Expired,
    /// Its agent withdrew it.
    Cancelled,
    /// Runners were lost too often.
    Dead,
    /// An effect may or may not have happened; an operator has to look at the infrastructure.
    Indeterminate,
    /// Every operation was asked for as approved, and an object that has to go is still held by
    /// others.
    Held,
}

/// An event that moves a job on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Approved by a person and decided again.
    Approve,
    /// Its policy was replaced before it was claimed: it is decided once more.
    Reopen,
    /// A runner claimed it.
    Lease,
    /// The namespace was made and recorded.
    Prepare,
    /// The permit is consumed.
    Act,
    /// The effects are over; or the runner's checks refused the job.
    Finish,
    /// The lease ran out, or the runner went away.
    Lose,
    /// Its agent, a person or time ended it before it was claimed.
    Withdraw,
    /// The run namespace was observed to be deleted.
    Gone,
}

/// Every phase, for tables and tests.
pub const PHASES: [Phase; 7] = [
    Phase::AwaitingApproval,
    Phase::Queued,
    Phase::Leased,
    Phase::Prepared,
    Phase::Acting,
    Phase::TearingDown,
    Phase::Closed,
];

/// Every event, for tables and tests.
pub const EVENTS: [Event; 9] = [
    Event::Approve,
    Event::Reopen,
    Event::Lease,
    Event::Prepare,
    Event::Act,
    Event::Finish,
    Event::Lose,
    Event::Withdraw,
    Event::Gone,
];

/// Lost runners before the job acted, at most. After that many the job is dead, because it seems to
/// kill its runners.
pub const ATTEMPTS: u32 = 5;

/// An event a phase does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {phase} cannot take the event `{event:?}`")]
pub struct IllegalEvent {
    /// The phase of the job.
    pub phase: Phase,
    /// The event that was attempted.
    pub event: Event,
}

impl Phase {
    /// The next phase. `Lose` before acting tears down and requeues, because an unrecorded
    /// namespace may exist: the runner of the next lease removes it first. `Lose` while acting or
    /// tearing down keeps the phase: a new runner with a higher lease epoch recovers.
    pub fn next(self, event: Event) -> Result<Self, IllegalEvent> {
        match (self, event) {
            (Self::AwaitingApproval, Event::Approve) => Ok(Self::Queued),
            (Self::AwaitingApproval | Self::Queued, Event::Withdraw) => Ok(Self::Closed),
            (Self::Queued, Event::Reopen) => Ok(Self::AwaitingApproval),
            (Self::Queued, Event::Lease) => Ok(Self::Leased),
            (Self::Leased, Event::Prepare) => Ok(Self::Prepared),
            (Self::Prepared, Event::Act) => Ok(Self::Acting),
            (Self::Leased | Self::Prepared | Self::Acting, Event::Finish) => Ok(Self::TearingDown),
            (Self::Leased | Self::Prepared, Event::Lose) => Ok(Self::Queued),
            (Self::Acting, Event::Lose | Event::Lease) => Ok(Self::Acting),
            (Self::TearingDown, Event::Lose | Event::Lease) => Ok(Self::TearingDown),
            (Self::TearingDown, Event::Gone) => Ok(Self::Closed),
            (phase, event) => Err(IllegalEvent { phase, event }),
        }
    }

    /// The word for stores and texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Prepared => "prepared",
            Self::Acting => "acting",
            Self::TearingDown => "tearing_down",
            Self::Closed => "closed",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        PHASES.into_iter().find(|phase| phase.word() == word)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Every outcome, for tables and tests.
pub const OUTCOMES: [Outcome; 9] = [
    Outcome::Succeeded,
    Outcome::Failed,
    Outcome::Refused,
    Outcome::Rejected,
    Outcome::Expired,
    Outcome::Cancelled,
    Outcome::Dead,
    Outcome::Indeterminate,
    Outcome::Held,
];

impl Outcome {
    /// The word for stores and texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
            Self::Indeterminate => "indeterminate",
            Self::Held => "held",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        OUTCOMES.into_iter().find(|outcome| outcome.word() == word)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The numbered steps of a job, in a runner's order. Error drills and tests iterate over them. If a
/// runner is killed right *after* any of them, then after the next start no namespace is left, no
/// effect ran twice, and the outcome is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobStep {
    /// 1: the lease is held.
    Claimed,
    /// 2: everything was checked again.
    Admitted,
    /// 3: the namespace exists, not yet recorded.
    NamespaceMade,
    /// 4: the recorder knows it (for a directory: its name says which job it is of, and it is
    /// recorded with step 6).
    NamespaceRecorded,
    /// 5: the permit is consumed (for a directory: recorded with step 6).
    ActingRecorded,
    /// 6: the first operation's `started` is durable.
    OperationStarted,
    /// 7: its effect happened (for a directory: in the private copy).
    OperationEffected,
    /// 8: its `done` is durable (for a directory: recorded with the next event).
    OperationRecorded,
    /// 9: the executor returned.
    ExecutorFinished,
    /// 10: the effects are committed (for a directory: the journal is durable, nothing renamed
    /// yet).
    EffectCommitted,
    /// 11: the effects are visible in full.
    EffectApplied,
    /// 12: the outcome is recorded.
    OutcomeRecorded,
    /// 13: the namespace was removed, not yet recorded.
    NamespaceRemoved,
    /// 14: the job is closed.
    ClosedRecorded,
}

/// Every step in order.
pub const JOB_STEPS: [JobStep; 14] = [
    JobStep::Claimed,
    JobStep::Admitted,
    JobStep::NamespaceMade,
    JobStep::NamespaceRecorded,
    JobStep::ActingRecorded,
    JobStep::OperationStarted,
    JobStep::OperationEffected,
    JobStep::OperationRecorded,
    JobStep::ExecutorFinished,
    JobStep::EffectCommitted,
    JobStep::EffectApplied,
    JobStep::OutcomeRecorded,
    JobStep::NamespaceRemoved,
    JobStep::ClosedRecorded,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_claimed_is_torn_down_before_it_is_closed() {
        for phase in PHASES {
            for event in EVENTS {
                if phase.next(event) == Ok(Phase::Closed) {
                    let never_claimed = matches!(phase, Phase::AwaitingApproval | Phase::Queued)
                        && event == Event::Withdraw;
                    assert!(never_claimed || phase == Phase::TearingDown, "{phase} {event:?}");
                }
            }
            assert_eq!(Phase::from_word(phase.word()), Some(phase));
            assert!(Phase::Closed.next(Event::Lease).is_err());
        }
    }
}
