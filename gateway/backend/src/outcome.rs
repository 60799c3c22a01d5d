//! The outcome of a job, as the recorder stores it. Does not record it.

use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::escape::quoted;
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::model::run::Outcome;
use cofferdam_process::rooted_fs::Lock;
use std::path::{Path, PathBuf};

/// The code of a job whose files cannot be written here.
pub const UNWRITABLE: &str = "unwritable";

/// An outcome with its code and one sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The outcome that the recorder stores.
    pub outcome: Outcome,
    /// The stable code of the outcome.
    pub code: String,
    /// The text, as one sentence.
    pub detail: String,
    /// Files of a directory that the job edited: relative to the tree, sorted.
    pub files: Vec<String>,
    /// Changes by others in the same objects between decision and effect.
    pub meanwhile: Vec<Difference>,
}

/// An outcome, with the lock of the tree. No other job commits before the outcome is recorded, so
/// that the ledger has the order of the tree.
#[derive(Debug)]
pub struct Settled {
    /// The outcome of the job.
    pub ending: Ending,
    /// Dropped once the outcome is recorded; `None` for a cluster.
    pub lock: Option<Lock>,
}

impl From<Ending> for Settled {
    fn from(ending: Ending) -> Self {
        Self { ending, lock: None }
    }
}

impl Ending {
    /// With a code and one sentence.
    pub fn new(outcome: Outcome, code: &str, detail: impl ToString) -> Self {
        Self {
            outcome,
            code: code.to_owned(),
            detail: detail.to_string(),
            files: Vec::new(),
            meanwhile: Vec::new(),
        }
    }

    /// These files of a directory were edited.
    #[must_use]
    pub fn editing(self, files: Vec<String>) -> Self {
        Self { files, ..self }
    }

    /// A resource of this machine cannot be used, and nothing was changed yet. One text for every
    /// such cause.
    pub fn unable(code: &str, obstacle: &Obstacle, left: &str) -> Self {
        Self::new(Outcome::Failed, code, format!("{obstacle}; {left}"))
    }

    /// A person gave up a job that could not be finished. `because` is what they say.
    pub fn given_up(
        obstacle: &Obstacle,
        written: &[PathBuf],
        missing: &[PathBuf],
        kept: &Path,
        because: &str,
    ) -> Self {
        let list = |paths: &[PathBuf]| {
            paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
        };
        let (because, cause, kept) = (quoted(because), &obstacle.cause, kept.display());
        if written.is_empty() {
            let detail = format!(
                "an operator gave it up ({because}): {cause}; none of its files was written, its \
                 journal is kept as `{kept}`"
            );
            return Self::new(Outcome::Failed, "given-up", detail);
        }
        let detail = format!(
            "an operator gave it up half written ({because}): {cause}; written: {}; not written: \
             {}; its journal is kept as `{kept}`",
            list(written),
            list(missing)
        );
        Self::new(Outcome::Indeterminate, "given-up", detail)
    }

    /// Adds the changes by others in the same objects since the decision.
    #[must_use]
    pub fn meanwhile(self, changed: &[Difference]) -> Self {
        Self { meanwhile: changed.to_vec(), ..self }
    }

    /// A file is neither as it was before nor as it should be after.
    pub fn torn(path: &Path) -> Self {
        let detail = format!(
            "`{}` was changed outside Cofferdam while the job was written back; a person has to \
             compare the files",
            path.display()
        );
        Self::new(Outcome::Indeterminate, "write-back-conflict", detail)
    }

    /// The journal of a committed job could not be completed.
    pub fn aside(journal: &Path) -> Self {
        let detail = format!(
            "the job was committed, but its journal was set aside as `{}`; a person has to \
             compare the files",
            journal.display()
        );
        Self::new(Outcome::Indeterminate, "write-back-conflict", detail)
    }
}
