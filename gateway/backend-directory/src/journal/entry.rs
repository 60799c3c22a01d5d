//! The content of a journal and its outcomes: plain data, without the files themselves.

use crate::private_copy::ChangedFile;
use cofferdam_backend::outcome::UNWRITABLE;
use cofferdam_core::model::id::{CallId, Fence, ObjectDigest};
use cofferdam_core::model::job::Obstacle;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The journal of one job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub call: CallId,
    pub fence: Fence,
    pub files: Vec<Line>,
}

/// One file of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub path: PathBuf,
    pub before: ObjectDigest,
    /// None: the file goes.
    pub content: Option<String>,
}

impl Line {
    pub fn after(&self) -> Seen {
        self.content
            .as_ref()
            .map_or(Seen::Gone, |content| Seen::Is(ObjectDigest::of(content.as_bytes())))
    }
}

/// The state of a path in the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Gone,
    Is(ObjectDigest),
    /// A link, a folder, too large, or not to be read at all: never what a job left or expects, so
    /// a conflict and no reason to try for ever.
    Else,
}

/// The commit of a job.
pub struct Commit<'a> {
    /// The call of the job.
    pub call: &'a CallId,
    /// The lease epoch of the runner.
    pub fence: Fence,
    /// The private copy. It must still exist: a runner that takes the job over removes it first,
    /// under the same lock.
    pub namespace: &'a Path,
    /// The files to write, with their content.
    pub files: Vec<ChangedFile>,
    /// Every file that holds one of its objects, written or not.
    pub touches: &'a BTreeSet<PathBuf>,
    /// The first file that is not to be written and in which an object is no longer as it was
    /// approved.
    pub moved: &'a dyn Fn(&[ChangedFile]) -> Option<PathBuf>,
}

/// Why a commit did not come about. Unless it says so, nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A newer lease removed this one's namespace.
    #[error("another runner has taken the job over")]
    Fenced,
    /// The tree was changed meanwhile.
    #[error("`{}` was changed outside Cofferdam meanwhile", .0.display())]
    Conflict(PathBuf),
    /// Another job is committed over the same file and cannot be finished.
    #[error(
        "`{}` waits for the call {call}, which is committed and cannot be finished at present: \
         {obstacle}",
        path.display()
    )]
    Blocked {
        /// The file that both jobs write.
        path: PathBuf,
        /// The call of the other job.
        call: CallId,
        /// The obstacle, with its remedy.
        obstacle: Obstacle,
    },
    /// The tree or the journal cannot be written.
    #[error("{0}")]
    Unwritable(Obstacle),
    /// A file would be larger than what is read, or all of them together; their state could not be
    /// found out later.
    #[error("`{}` would be too large; change less at once", .0.display())]
    Large(PathBuf),
    /// The journal cannot be written down.
    #[error("the journal has no JSON form: {0}")]
    Journal(#[from] serde_json::Error),
    /// The commit is durable, and cannot be completed at present. It is tried again.
    #[error("{0}")]
    Committed(Obstacle),
    /// It is committed, and a file is neither as it was before nor as it should be after.
    #[error("`{}` was changed outside Cofferdam while it was written back", .0.display())]
    Torn(PathBuf),
}

impl CommitError {
    /// The stable code of the outcome.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unwritable(_) | Self::Committed(_) => UNWRITABLE,
            Self::Large(_) => "too-large",
            Self::Blocked { .. } => "blocked",
            Self::Journal(_) | Self::Fenced | Self::Conflict(_) | Self::Torn(_) => "conflict",
        }
    }
}

/// The outcome of a job whose runner was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing was committed: the tree was never touched.
    Untouched,
    /// Everything that was committed is in place.
    Complete,
    /// A file is neither as it was before nor as it should be after.
    Conflict(PathBuf),
    /// The journal lies under this name for a person: it was unreadable, in conflict before, or
    /// given up.
    SetAside(PathBuf),
    /// A person gave it up; its journal is kept for them.
    GivenUp {
        /// The obstacle, with its remedy.
        obstacle: Obstacle,
        /// Files that are as they should be after.
        written: Vec<PathBuf>,
        /// Files that are as they were before.
        missing: Vec<PathBuf>,
        /// Where the journal is kept.
        kept: PathBuf,
    },
}

/// A journal that cannot be completed at present.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hindered {
    pub obstacle: Obstacle,
    /// True if no file of the job is in place. The commit can still be taken back.
    pub untouched: bool,
}
