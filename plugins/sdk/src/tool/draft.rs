//! Builders of a draft: a summary, an executor and steps. A draft is a proposal. None of it happens
//! before it is approved exactly as written.

use super::{Draft, Listing, Operation, Patch, Read, Refusal, Step};

/// The largest number of characters of a summary, as in `tool.wit`.
const SUMMARY: usize = 200;

/// The default executor: performs the operations in order, and stops at the first failure.
pub const SEQUENTIAL: &str = "sequential";

/// The executor for changes that must work: waits until each object is ready, and undoes all
/// operations if one is not.
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

    /// A draft that only reads. Without steps it is a plain reply.
    pub fn look(summary: impl Into<String>) -> Self {
        Self { summary: cut(summary.into()), executor: None, operations: Vec::new() }
    }

    /// Names another executor.
    pub fn executor(mut self, name: impl Into<String>) -> Self {
        self.executor = Some(name.into());
        self
    }

    /// Adds a step. A draft has either reads (`read`, `list`, `logs`) or changes, never both.
    pub fn step(mut self, step: impl Into<Step>) -> Self {
        self.operations.push(step.into());
        self
    }
}

fn cut(mut summary: String) -> String {
    // The position of the last character that may stay, if another one follows.
    let mut ends = summary.char_indices().skip(SUMMARY - 1);
    if let (Some((end, _)), Some(_)) = (ends.next(), ends.next()) {
        summary.truncate(end);
        summary.push('…');
    }
    summary
}

impl Step {
    /// A step that waits for no other step and cannot be undone.
    pub fn new(operation: Operation) -> Self {
        Self { operation, after: Vec::new(), reversible: false }
    }

    /// Waits until the steps with these indexes (from 0, each smaller than this step's own) are
    /// finished.
    pub fn after(mut self, steps: impl IntoIterator<Item = u32>) -> Self {
        self.after.extend(steps);
        self
    }

    /// Adds `others` to the indexes that this step waits for, if that many steps come before it.
    pub fn behind(mut self, others: u32) -> Self {
        self.after.iter_mut().for_each(|index| *index += others);
        self
    }

    /// Gives the executor a handle that restores the state before. The approver sees that the
    /// executor may use it.
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
    /// The cause and the remedy for the caller, one sentence each. For rules that a schema cannot
    /// express.
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
