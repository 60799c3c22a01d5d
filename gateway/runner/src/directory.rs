//! A directory of Kubernetes manifests (a GitOps checkout) as infrastructure. Writes files, never
//! git history.
//!
//! | file | what |
//! |---|---|
//! | `tree.rs` | the files beneath the root |
//! | `read.rs` | one file, read in one way only or named |
//! | `objects.rs` | which values of a file are objects |
//! | `index.rs` | which object is where, and what is not certain |
//! | `kustomize.rs` | what builds the files: overlays, Flux, Argo CD |
//! | `preview.rs` | what operations would change |
//! | `look.rs` | what the viewer answers |
//! | `origin.rs` | in which line a field is written |
//! | `namespace.rs` | the private copy of a job; `namespace/renew.rs` over the files as they are now |
//! | `journal.rs` | writing back, all or nothing; `journal/apply.rs` the files, `journal/entry.rs` what is written down |
//! | `edit.rs` | named values changed, every other byte kept |

#[cfg(test)]
mod cases;
pub mod edit;
#[cfg(test)]
mod fixture;
pub mod index;
pub mod journal;
pub mod kustomize;
pub mod look;
pub mod namespace;
mod near;
pub mod objects;
mod origin;
pub mod preview;
pub mod read;
pub mod tree;

use crate::backend::{BackendError, PreviewError};
use crate::effect::EffectError;
use crate::ending::{Ending, UNWRITABLE};
use crate::refusal::Refusal;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::model::operation::Step;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::model::run::{JobStep, Outcome};
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_process::beneath::{Lock, Root};
use cofferdam_process::writable::{self, obstacle};
use index::Index;
use journal::{Commit, CommitError, Journal, Recovered};
use namespace::renew::RENEWALS;
use namespace::{ChangedFile, Namespace};
use std::fs;
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

/// An outcome, with the lock under which it came about: no other job commits before it is recorded,
/// so that the ledger's order is the tree's.
#[derive(Debug)]
pub struct Settled {
    /// What became of the job.
    pub ending: Ending,
    /// Held until this is dropped.
    pub lock: Option<Lock>,
}

impl From<Ending> for Settled {
    fn from(ending: Ending) -> Self {
        Self { ending, lock: None }
    }
}

impl Directory {
    /// What these operations would change now.
    pub fn preview(&self, steps: &[Step]) -> Result<Preview, PreviewError> {
        let index =
            Index::read(&self.root, None).map_err(|fault| BackendError::Here(fault.into()))?;
        Ok(preview::preview(&index, steps)?)
    }

    /// A job's private copy of every file that its operations name. A file that is to be changed
    /// and cannot be replaced shows here, before anything is done.
    pub fn make(
        &self,
        call: &CallId,
        fence: Fence,
        plan: &LeasedPlan,
    ) -> Result<Namespace, EffectError> {
        let index = Index::read(&self.root, None).map_err(Obstacle::from)?;
        // A task's own name is in no file.
        let operations: Vec<_> = plan
            .preview()
            .operations
            .iter()
            .filter(|operation| operation.target.namespace != EPHEMERAL)
            .collect();
        for operation in operations.iter().filter(|operation| operation.before != operation.after) {
            writable::file(&self.root, index.find(&operation.target).map_err(Refusal::from)?.path)?;
        }
        let targets: Vec<_> = operations.iter().map(|operation| &operation.target).collect();
        let steps = plan.sealed().operations().iter().zip(&plan.preview().operations);
        let renewed = steps.filter_map(|(step, approved)| {
            preview::renewed(&index, &step.operation, approved).transpose()
        });
        let renewed = renewed.collect::<Result<Vec<_>, _>>()?;
        Ok(Namespace::make(&self.runs, call, fence, &index, &targets)?
            .over(renewed, plan.unchanged()))
    }

    /// Removes the copies of earlier leases, and names the newest.
    pub fn sweep(&self, call: &CallId, fence: Fence) -> Result<Option<String>, BackendError> {
        let newest = namespace::sweep(&self.runs, call, fence)?;
        Ok(newest
            .and_then(|folder| folder.file_name().map(|name| name.to_string_lossy().into_owned())))
    }

    /// Removes a job's copy and its journal, and looks that the copy is gone.
    pub fn remove(&self, call: &CallId, name: Option<&str>) -> Result<(), BackendError> {
        self.journal.forget(call)?;
        if let Some(name) = name {
            namespace::remove(&self.runs.join(name))?;
        }
        Ok(())
    }

    /// Writes back what the executor left in the copy: all or nothing. A file that was changed
    /// since it was copied is taken as it is now, a bounded number of times. What shows before
    /// the commit record ends the job; after it, it is an obstacle.
    pub fn commit(
        &self,
        call: &CallId,
        fence: Fence,
        copy: &mut Namespace,
        step: &dyn Fn(JobStep),
    ) -> Result<Settled, BackendError> {
        let ready = copy.changed().and_then(|files| Ok((files, self.journal.lock()?)));
        let (mut files, lock) = match ready {
            Ok(ready) => ready,
            // A runner that takes a job over removes its copy first.
            Err(_) if !copy.folder().is_dir() => return Err(BackendError::Lost),
            Err(obstacle) => return Ok(Ending::unable(UNWRITABLE, &obstacle, UNTOUCHED).into()),
        };
        let mut renewals = 0;
        loop {
            let count = files.len();
            let committed = {
                let copy: &Namespace = copy;
                let moved = |written: &[ChangedFile]| copy.moved(&self.root, written);
                let commit = Commit {
                    call,
                    fence,
                    namespace: copy.folder(),
                    files,
                    touches: &copy.touches(),
                    moved: &moved,
                };
                self.journal.commit(&lock, commit, step)
            };
            let ending = match committed {
                Ok(()) => Ending::new(
                    Outcome::Succeeded,
                    "done",
                    format!("every operation was done; files written: {count}"),
                )
                .editing(self.journal.edited(call)),
                Err(CommitError::Conflict(_)) if renewals < RENEWALS => {
                    renewals += 1;
                    match copy.renew(&self.root) {
                        Ok(()) => {
                            files = copy.changed()?;
                            continue;
                        }
                        Err(fault) => Ending::new(
                            Outcome::Failed,
                            "conflict",
                            format!("{fault}; {UNTOUCHED}"),
                        ),
                    }
                }
                Err(CommitError::Fenced) => return Err(BackendError::Lost),
                Err(CommitError::Committed(obstacle)) => return Err(obstacle.into()),
                Err(CommitError::Torn(path)) => Ending::torn(&path),
                Err(fault) => {
                    Ending::new(Outcome::Failed, fault.code(), format!("{fault}; {UNTOUCHED}"))
                }
            };
            return Ok(Settled { ending, lock: Some(lock) });
        }
    }

    /// Finds out what became of a job whose runner was lost while it acted. Under the tree's lock
    /// first the old copies go, so that a runner that is not dead after all cannot commit any
    /// more; then the journal says it. `given_up` is what a person says who does not want to wait
    /// for it.
    pub fn recover(
        &self,
        call: &CallId,
        fence: Fence,
        given_up: Option<&str>,
    ) -> Result<(Option<String>, Settled), BackendError> {
        let lock = self.journal.lock()?;
        let name = self.sweep(call, fence)?;
        let ending = match self.journal.recover(call, &lock, given_up.is_some())? {
            Recovered::Complete => Ending::new(
                Outcome::Succeeded,
                "recovered",
                "the runner was lost after the changes were committed; they were completed from \
                 the journal",
            )
            .editing(self.journal.edited(call)),
            Recovered::Untouched => {
                let detail =
                    format!("the runner was lost before any change was committed; {UNTOUCHED}");
                Ending::new(Outcome::Failed, "runner-lost", detail)
            }
            Recovered::Conflict(path) => Ending::torn(&path),
            Recovered::SetAside(journal) => Ending::aside(&journal),
            Recovered::GivenUp { obstacle, written, missing, kept } => {
                Ending::given_up(&obstacle, &written, &missing, &kept, given_up.unwrap_or_default())
            }
        };
        Ok((name, Settled { ending, lock: Some(lock) }))
    }

    /// Whether the runner's own folders are still there. One that was removed, or removed and made
    /// again, is another to a runner that confined itself to it.
    pub fn ready(&self) -> Result<(), BackendError> {
        for folder in [self.runs.as_path(), self.journal.folder()] {
            fs::read_dir(folder).map_err(|fault| obstacle(folder, "cannot be used", &fault))?;
        }
        Ok(())
    }

    /// What a job leaves that did not commit, in words.
    pub fn leaves(&self) -> String {
        UNTOUCHED.to_owned()
    }
}

impl From<Refusal> for PreviewError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
