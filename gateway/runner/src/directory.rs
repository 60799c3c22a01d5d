//! A directory of Kubernetes manifests (a GitOps checkout) as infrastructure. Writes files, never git history.
//!
//! | file | what |
//! |---|---|
//! | `tree.rs` | the files beneath the root |
//! | `read.rs` | one file, read in one way only or named |
//! | `index.rs` | which object is where |
//! | `preview.rs` | what operations would change |
//! | `look.rs` | what the viewer answers |
//! | `namespace.rs` | the private copy of a job |
//! | `journal.rs` | writing back, all or nothing |
//! | `edit.rs` | named values changed, every other byte kept |

pub mod edit;
pub mod index;
pub mod journal;
pub mod look;
pub mod namespace;
pub mod preview;
pub mod read;
pub mod tree;

use crate::backend::{BackendFault, PreviewFault};
use crate::effect::EffectFault;
use crate::ending::Ending;
use crate::refusal::Refusal;
use cofferdam_core::ceiling::EPHEMERAL;
use cofferdam_core::decide::readmit::LeasedPlan;
use cofferdam_core::id::{CallId, Fence};
use cofferdam_core::operation::Step;
use cofferdam_core::preview::Preview;
use cofferdam_core::run::{JobStep, Outcome};
use cofferdam_process::beneath::Root;
use index::Index;
use journal::{CommitFault, Journal, Recovered};
use namespace::Namespace;
use std::path::PathBuf;

/// What a job that changed nothing here leaves, in words.
const UNTOUCHED: &str = "the tree is untouched";

/// A tree that a runner changes.
#[derive(Debug)]
pub struct Directory {
    /// The tree.
    pub root: Root,
    /// Writes back to it.
    pub journal: Journal,
    /// Folder of private copies.
    pub runs: PathBuf,
}

impl Directory {
    /// What these operations would change now.
    pub fn preview(&self, steps: &[Step]) -> Result<Preview, PreviewFault> {
        let index = Index::read(&self.root, None).map_err(BackendFault::from)?;
        Ok(preview::preview(&index, steps)?)
    }

    /// A job's private copy of every file that its operations name.
    pub fn make(&self, call: &CallId, fence: Fence, plan: &LeasedPlan) -> Result<Namespace, EffectFault> {
        let index = Index::read(&self.root, None).map_err(|fault| EffectFault::Refused(fault.to_string()))?;
        // A task's own name is in no file.
        let targets = plan.preview().operations.iter().map(|operation| &operation.target).filter(|target| target.namespace != EPHEMERAL);
        let targets: Vec<_> = targets.collect();
        Namespace::make(&self.runs, call, fence, &index, &targets)
    }

    /// Removes the copies of earlier leases, and names the newest.
    pub fn sweep(&self, call: &CallId, fence: Fence) -> Result<Option<String>, BackendFault> {
        let newest = namespace::sweep(&self.runs, call, fence)?;
        Ok(newest.and_then(|folder| folder.file_name().map(|name| name.to_string_lossy().into_owned())))
    }

    /// Removes a job's copy and its journal, and looks that the copy is gone.
    pub fn remove(&self, call: &CallId, name: Option<&str>) -> Result<(), BackendFault> {
        self.journal.forget(call)?;
        if let Some(name) = name {
            namespace::remove(&self.runs.join(name))?;
        }
        Ok(())
    }

    /// Writes back what the executor left in the copy: all or nothing.
    pub fn commit(&self, call: &CallId, fence: Fence, copy: &Namespace, step: &dyn Fn(JobStep)) -> Result<Ending, BackendFault> {
        let files = copy.changed()?;
        let count = files.len();
        let done = || Ending::new(Outcome::Succeeded, "done", format!("every operation was done; files written: {count}"));
        let fault = match self.journal.commit(call, fence, copy.folder(), files, step) {
            Ok(()) => return Ok(done()),
            Err(CommitFault::Fenced) => return Err(BackendFault::Lost),
            Err(fault) => fault,
        };
        // Whether the commit record was made decides what became of it, not where the fault came from.
        let lock = self.journal.lock()?;
        Ok(match self.journal.recover(call, &lock).map_err(BackendFault::Journal)? {
            Recovered::Untouched => {
                let code = if matches!(fault, CommitFault::Large(_)) { "too-large" } else { "conflict" };
                Ending::new(Outcome::Failed, code, format!("{fault}; {UNTOUCHED}"))
            }
            Recovered::Complete => done(),
            Recovered::Conflict(path) => Ending::torn(&path),
            Recovered::SetAside(journal) => Ending::aside(&journal),
        })
    }

    /// Finds out what became of a job whose runner was lost while it acted. Under the tree's lock first the old copies go, so that a runner that is
    /// not dead after all cannot commit any more; then the journal says it.
    pub fn recover(&self, call: &CallId, fence: Fence) -> Result<(Option<String>, Ending), BackendFault> {
        let lock = self.journal.lock()?;
        let name = self.sweep(call, fence)?;
        let ending = match self.journal.recover(call, &lock).map_err(BackendFault::Journal)? {
            Recovered::Complete => Ending::new(
                Outcome::Succeeded,
                "recovered",
                "the runner was lost after the changes were committed; they were completed from the journal",
            ),
            Recovered::Untouched => {
                let detail = format!("the runner was lost before any change was committed; {UNTOUCHED}");
                Ending::new(Outcome::Failed, "runner-lost", detail)
            }
            Recovered::Conflict(path) => Ending::torn(&path),
            Recovered::SetAside(journal) => Ending::aside(&journal),
        };
        Ok((name, ending))
    }

    /// What a job leaves that did not commit, in words.
    pub fn leaves(&self) -> String {
        UNTOUCHED.to_owned()
    }
}

impl From<Refusal> for PreviewFault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
