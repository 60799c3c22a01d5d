//! Writing a draft: a sentence, an executor, and steps. It is a wish; nothing of it happens before
//! it was approved exactly as written.

use super::{Draft, Listing, Operation, Patch, Read, Refusal, Step};

/// Characters of a summary that the host accepts, as in `tool.wit`.
const SUMMARY: usize = 200;

/// The executor that comes with Cofferdam: in the order given, stopping at the first failure.
pub const SEQUENTIAL: &str = "sequential";

/// The executor that comes with Cofferdam for work that must hold: waits until each operation is
/// ready, and undoes all of it when one is not.
pub const ROLLOUT: &str = "rollout";

impl Draft {
    /// A draft that changes something, carried out by [`SEQUENTIAL`]. The summary is one sentence
    /// for the approver; beyond 200 characters it is cut and ends in `…`, since long names
    /// alone must not make a call impossible.
    pub fn change(summary: impl Into<String>) -> Self {
        Self {
            summary: cut(summary.into()),
            executor: Some(SEQUENTIAL.into()),
            operations: Vec::new(),
        }
    }

    /// A draft that only looks; without any step it is an answer.
    pub fn look(summary: impl Into<String>) -> Self {
        Self { summary: cut(summary.into()), executor: None, operations: Vec::new() }
    }

    /// Names another executor.
    pub fn executor(mut self, name: impl Into<String>) -> Self {
        self.executor = Some(name.into());
        self
    }

    /// Adds a step. Looks (`read`, `list`, `logs`) and changes never stand in one draft.
    pub fn step(mut self, step: impl Into<Step>) -> Self {
        self.operations.push(step.into());
        self
    }
}

fn cut(mut summary: String) -> String {
    // The place of the last character that may stay, when there is one more behind it.
    let mut ends = summary.char_indices().skip(SUMMARY - 1);
    if let (Some((end, _)), Some(_)) = (ends.next(), ends.next()) {
        summary.truncate(end);
        summary.push('…');
    }
    summary
}

impl Step {
    /// A step that waits for none and cannot be undone.
    pub fn new(operation: Operation) -> Self {
        Self { operation, after: Vec::new(), reversible: false }
    }

    /// Waits until the steps with these indexes (from 0, each smaller than this step's own) are
    /// finished.
    pub fn after(mut self, steps: impl IntoIterator<Item = u32>) -> Self {
        self.after.extend(steps);
        self
    }

    /// Moves a step that was numbered from 0 behind so many others.
    pub fn behind(mut self, others: u32) -> Self {
        self.after.iter_mut().for_each(|index| *index += others);
        self
    }

    /// Asks the host for a handle that restores the state before, for executors that undo. The
    /// approver sees that it may be used.
    pub fn reversible(mut self) -> Self {
        self.reversible = true;
        self
    }
}

impl From<Patch> for Step {
    fn from(patch: Patch) -> Self {
        Self::new(Operation::Patch(patch))
    }
}

impl From<Read> for Step {
    fn from(read: Read) -> Self {
        Self::new(Operation::Read(read))
    }
}

impl From<Listing> for Step {
    fn from(listing: Listing) -> Self {
        Self::new(Operation::List(listing))
    }
}

impl Refusal {
    /// Why there is no plan, and what the caller can do about it; one sentence each. For what a
    /// schema cannot say.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    fn check(characters: usize, expect: usize) {
        let found = cut("é".repeat(characters));
        assert_eq!((found.chars().count(), found.ends_with('…')), (expect, characters > expect));
    }

    #[test]
    fn summaries_fit() {
        check(0, 0);
        check(199, 199);
        check(200, 200);
        check(201, 200);
        check(500, 200);
    }
}
