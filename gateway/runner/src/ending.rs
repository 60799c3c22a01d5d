//! What became of a job, in the words that are recorded. Says nothing about how it is recorded.

use cofferdam_core::run::Outcome;
use std::path::Path;

/// An outcome with its code and one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What became of it.
    pub outcome: Outcome,
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub detail: String,
}

impl Ending {
    /// With a code and one sentence.
    pub fn new(outcome: Outcome, code: &str, detail: impl ToString) -> Self {
        Self { outcome, code: code.to_owned(), detail: detail.to_string() }
    }

    /// A file is neither as it was before nor as it should be after.
    pub fn torn(path: &Path) -> Self {
        let detail =
            format!("`{}` was changed by somebody else while the job was written back; a person has to compare the files", path.display());
        Self::new(Outcome::Indeterminate, "write-back-conflict", detail)
    }

    /// The journal of a committed job could not be completed.
    pub fn aside(journal: &Path) -> Self {
        let detail =
            format!("the job was committed, but its journal was set aside as `{}`; a person has to compare the files", journal.display());
        Self::new(Outcome::Indeterminate, "write-back-conflict", detail)
    }
}
