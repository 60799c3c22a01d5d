//! The state of a call in one word, for lists and filters: its ending without a job, the outcome of
//! its job, or else the phase of its job.

use super::run::{Outcome, PHASES, Phase};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// A tool answered without the infrastructure.
    Answered,
    /// Objects were read.
    Looked,
    /// The agent asked for a preview alone.
    Previewed,
    /// Policy or the floor denied the call.
    Denied,
    /// The host refused the call, or a runner refused its job.
    Refused,
    /// The call could not be decided or carried out, or an operation of its job failed.
    Failed,
    /// The queue was too long for one more job.
    Busy,
    /// A person has to sign, or the gateway has to decide once more.
    AwaitingApproval,
    /// A runner may claim the job.
    Queued,
    /// A runner checks the job.
    Leased,
    /// The place of the job is made.
    Prepared,
    /// Effects may have begun.
    Acting,
    /// The job ended without an outcome so far, and its place is removed.
    TearingDown,
    /// Every operation was done as approved.
    Succeeded,
    /// An approver rejected the call.
    Rejected,
    /// The call was not decided, or not run, in time.
    Expired,
    /// The agent withdrew the call, or an operator cancelled it.
    Cancelled,
    /// Runners were lost too often.
    Dead,
    /// An effect may or may not have happened.
    Indeterminate,
    /// Every operation was asked for, and another client still holds an object that has to go away.
    Held,
}

/// Every state, in the order of lists.
pub const CALL_STATES: [CallState; 20] = [
    CallState::Answered,
    CallState::Looked,
    CallState::Previewed,
    CallState::Denied,
    CallState::Refused,
    CallState::Failed,
    CallState::Busy,
    CallState::AwaitingApproval,
    CallState::Queued,
    CallState::Leased,
    CallState::Prepared,
    CallState::Acting,
    CallState::TearingDown,
    CallState::Succeeded,
    CallState::Rejected,
    CallState::Expired,
    CallState::Cancelled,
    CallState::Dead,
    CallState::Indeterminate,
    CallState::Held,
];

impl CallState {
    /// The word for stores and texts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Looked => "looked",
            Self::Previewed => "previewed",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Prepared => "prepared",
            Self::Acting => "acting",
            Self::TearingDown => "tearing_down",
            Self::Succeeded => "succeeded",
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
        CALL_STATES.into_iter().find(|state| state.word() == word)
    }

    /// The state of a call that ended without a job, by the word of its ending.
    pub fn of_ending(word: &str) -> Option<Self> {
        const ENDINGS: [CallState; 7] = [
            CallState::Answered,
            CallState::Looked,
            CallState::Previewed,
            CallState::Denied,
            CallState::Refused,
            CallState::Failed,
            CallState::Busy,
        ];
        ENDINGS.into_iter().find(|state| state.word() == word)
    }

    /// The state of a call whose job has this phase and no outcome. `None` for a closed job.
    pub fn of_phase(phase: Phase) -> Option<Self> {
        Self::from_word(phase.word())
    }

    /// The state of a call whose job has this outcome.
    pub fn of_outcome(outcome: Outcome) -> Option<Self> {
        Self::from_word(outcome.word())
    }

    /// True if the call may still change its state.
    pub fn is_open(self) -> bool {
        PHASES.iter().any(|phase| Self::of_phase(*phase) == Some(self))
    }
}

impl fmt::Display for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::OUTCOMES;

    #[test]
    fn each_phase_but_the_last_and_each_outcome_is_a_state() {
        for phase in PHASES {
            assert_eq!(CallState::of_phase(phase).is_none(), phase == Phase::Closed, "{phase}");
        }
        for outcome in OUTCOMES {
            let state = CallState::of_outcome(outcome).unwrap();
            assert_eq!(state.word(), outcome.word());
            assert!(!state.is_open(), "{outcome}");
        }
    }

    #[test]
    fn no_ending_is_a_state_of_a_job_that_goes_on_or_succeeded() {
        for state in ["answered", "looked", "previewed", "denied", "refused", "failed", "busy"] {
            assert_eq!(CallState::of_ending(state), CallState::from_word(state));
        }
        for state in ["succeeded", "queued", "awaiting_approval", "cancelled", "held", "other", ""]
        {
            assert_eq!(CallState::of_ending(state), None, "{state}");
        }
    }

    #[test]
    fn words_are_the_same_in_stores_and_in_json() {
        for state in CALL_STATES {
            assert_eq!(CallState::from_word(state.word()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }
}
