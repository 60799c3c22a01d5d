//! The outcome of a job whose executor ended, with the text for people. Does nothing itself.

use super::{Execution, failed};
use crate::guest_process::Start;
use crate::job::ActError;
use crate::lease::{Recorder, Stopped};
use cofferdam_backend::Backend;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::outcome::Ending;
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::run::Outcome;
use cofferdam_core::protocol::role_guest::{Performed, Stop};

/// An operation that did not come about as approved.
pub(super) struct Failure {
    pub index: u32,
    pub undo: bool,
    pub why: String,
    /// It may have happened, or something else did.
    pub unknown: bool,
}

impl<R: Recorder, S: Start, B: Backend> Execution<'_, R, S, B> {
    pub(super) fn fail(&mut self, index: u32, undo: bool, error: &EffectError) -> Performed {
        if matches!(error, EffectError::Differs(_)) {
            self.differing.insert(index);
        }
        let unknown = matches!(error, EffectError::Unknown(_));
        // A person has to look at the first operation with an unknown result.
        if !self.failure.as_ref().is_some_and(|failure| failure.unknown) {
            self.failure = Some(Failure { index, undo, why: error.to_string(), unknown });
        }
        failed(if matches!(error, EffectError::Conflict(_) | EffectError::Changed(_)) {
            "conflict"
        } else {
            "refused"
        })
    }

    /// The operations that were done and not undone, as text.
    pub(super) fn left(&self) -> String {
        let effects = self.done.difference(&self.undone).chain(&self.differing);
        self.runner.backend.remaining(&effects.copied().collect())
    }

    pub(super) fn trouble(&self, error: &GuestError) -> Ending {
        if let Some(failure) = self.failure.as_ref().filter(|failure| failure.unknown) {
            return self.unknown(failure);
        }
        Ending::new(
            Outcome::Failed,
            "executor-failed",
            format!("the executor failed: {error}; {}", self.left()),
        )
    }

    pub(super) fn unknown(&self, failure: &Failure) -> Ending {
        let what = if failure.undo { "the undo of operation" } else { "operation" };
        let detail = format!(
            "{what} {} may or may not have happened: {}; {}",
            failure.index,
            failure.why,
            self.left()
        );
        Ending::new(Outcome::Indeterminate, "effect-unknown", detail)
    }

    pub(super) fn ending(
        self,
        stop: Option<Stop>,
        operations: usize,
    ) -> Result<Option<Ending>, ActError> {
        if let Some(failure) = self.failure.as_ref().filter(|failure| failure.unknown) {
            return Ok(Some(self.unknown(failure)));
        }
        let left = self.left();
        match self.stopped {
            Some(Stopped::Cancelled)
                if self.done.len() != operations || !self.undone.is_empty() =>
            {
                return Ok(Some(Ending::new(
                    Outcome::Cancelled,
                    "cancelled",
                    format!("the job was cancelled; {left}"),
                )));
            }
            Some(Stopped::Lost) => return Err(ActError::Lost),
            Some(Stopped::Cancelled) | None => {}
        }
        let said = stop
            .map(|stop| {
                format!(
                    "; the executor stopped at operation {} and says {:?}",
                    stop.index, stop.note
                )
            })
            .unwrap_or_default();
        if let Some(Failure { index, undo, why, .. }) = self.failure {
            let what = if undo { "the undo of operation" } else { "operation" };
            let detail = format!("{what} {index} was not done: {why}{said}; {left}");
            return Ok(Some(Ending::new(Outcome::Failed, "operation-failed", detail)));
        }
        if !self.held.is_empty() {
            let rest = match operations.saturating_sub(self.done.len()) {
                0 if self.undone.is_empty() => {
                    "it is removed once no finalizer holds it".to_owned()
                }
                _ => format!(
                    "{} of {operations} operations were done and {} undone; {left}",
                    self.done.len(),
                    self.undone.len()
                ),
            };
            let outcome = if self.done.len() == operations && self.undone.is_empty() {
                Outcome::Held
            } else {
                Outcome::Failed
            };
            return Ok(Some(Ending::new(
                outcome,
                "held",
                format!("{}; {rest}", self.held.join("; ")),
            )));
        }
        if !said.is_empty() || self.done.len() != operations || !self.undone.is_empty() {
            let detail = format!(
                "{} of {operations} operations were done and {} undone{said}; {left}",
                self.done.len(),
                self.undone.len()
            );
            return Ok(Some(Ending::new(Outcome::Failed, "operation-skipped", detail)));
        }
        Ok(None)
    }
}
