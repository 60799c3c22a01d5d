//! # A directory of Kubernetes manifests (a GitOps checkout) as infrastructure
//!
//! Writes files, never git history. Knows no network.
//!
//! | file | what |
//! |---|---|
//! | `tree.rs` | the files beneath the root |
//! | `read.rs` | one file, read in one way only or named |
//! | `objects.rs` | which values of a file are objects |
//! | `index.rs` | which object is where, and what is not certain |
//! | `kustomize.rs` | what builds the files: overlays, Flux, Argo CD |
//! | `preview.rs` | what operations would change |
//! | `kept.rs` | the index that the viewer keeps between looks |
//! | `look.rs` | what the viewer answers |
//! | `origin.rs` | in which line a field is written |
//! | `private_copy.rs` | the private copy of a job; `private_copy/renew.rs` over the present files |
//! | `journal.rs` | write-back, all or nothing; `journal/apply.rs` files, `journal/entry.rs` content |
//! | `edit.rs` | named values changed, every other byte kept |

pub mod edit;
#[cfg(test)]
mod fixture;
pub mod index;
pub mod journal;
mod kept;
pub mod kustomize;
pub mod look;
mod near;
pub mod objects;
mod origin;
pub mod preview;
pub mod private_copy;
pub mod read;
#[cfg(test)]
mod tests;
pub mod tree;

use cofferdam_backend::effect_error::{EffectError, Told};
use cofferdam_backend::host_values::Host;
use cofferdam_backend::outcome::{Ending, Settled, UNWRITABLE};
use cofferdam_backend::refusal::Refusal;
use cofferdam_backend::{Backend, BackendError, Left, Lost, PreviewError, Run};
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::model::operation::{Operation, Step};
use cofferdam_core::model::preview::{Preview, PreviewedOperation};
use cofferdam_core::model::run::{JobStep, Outcome};
use cofferdam_core::protocol::role_guest::Observed;
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_process::rooted_fs::Root;
use cofferdam_process::writable::{self, obstacle};
use index::Index;
use jiff::Timestamp;
use journal::{Commit, CommitError, Journal, Recovered};
use private_copy::renew::RENEWALS;
use private_copy::{ChangedFile, PrivateCopy};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tree::{Tree, TreeError};

/// The text about the effects of a job that changed nothing here.
const UNTOUCHED: &str = "the tree is untouched";

/// Bytes of a tree's manifests that a runner reads ahead. An idle runner keeps them parsed, and
/// each MiB takes about 20 MiB of memory.
const READ_AHEAD: u64 = 512 * 1024;

/// A tree that a runner changes.
#[derive(Debug)]
pub struct Directory {
    root: Root,
    journal: Journal,
    /// Folder of private copies.
    runs: PathBuf,
    /// The tree at the last look: a file with the same text is not parsed again.
    last: Mutex<Arc<Index>>,
    /// The tree as the admission of the present job saw it.
    admitted: Mutex<Option<Arc<Index>>>,
}

impl Directory {
    /// A tree, the journal that writes back to it, and the folder of private copies.
    pub fn new(root: Root, journal: Journal, runs: PathBuf) -> Self {
        Self { root, journal, runs, last: Mutex::default(), admitted: Mutex::default() }
    }

    /// The tree as it is now.
    fn index(&self) -> Result<Arc<Index>, TreeError> {
        let before = Arc::clone(&self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let index = Arc::new(Index::read(&self.root, Some(&before))?);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&index);
        Ok(index)
    }

    /// Removes the copies of earlier leases, and returns the name of the newest.
    fn sweep_copies(&self, call: &CallId, fence: Fence) -> Result<Option<String>, BackendError> {
        let newest = private_copy::sweep(&self.runs, call, fence)?;
        Ok(newest
            .and_then(|folder| folder.file_name().map(|name| name.to_string_lossy().into_owned())))
    }
}

impl Backend for Directory {
    type Run = PrivateCopy;

    const COMMITS: bool = true;

    async fn preview(&self, _tool: &str, steps: &[Step]) -> Result<Preview, PreviewError> {
        let index = self.index().map_err(|error| BackendError::Here(error.into()))?;
        *self.admitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&index));
        Ok(preview::preview(&index, steps)?)
    }

    /// Creates a private copy of every file that the operations name, as the admission saw them. The
    /// commit finds a change since then, as it finds one while the executor works. A file that
    /// cannot be replaced ends the job here, before anything is done.
    async fn create_run(
        &self,
        call: &CallId,
        fence: Fence,
        plan: &LeasedPlan,
        _now: Timestamp,
    ) -> Result<PrivateCopy, EffectError> {
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let index = admitted.map_or_else(|| self.index().map_err(Obstacle::from), Ok)?;
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
        Ok(PrivateCopy::make(&self.runs, call, fence, &index, &targets)?
            .over(renewed, plan.unchanged()))
    }

    async fn sweep(&self, lost: &Lost<'_>) -> Result<Option<String>, BackendError> {
        self.sweep_copies(&lost.job.call, lost.fence)
    }

    /// Removes the copy and the journal of a job, and checks that the copy is gone.
    async fn remove(
        &self,
        call: &CallId,
        left: &Left<'_, PrivateCopy>,
        _targets: &BTreeSet<String>,
    ) -> Result<Option<String>, BackendError> {
        self.journal.forget(call)?;
        let name = left.name();
        if let Some(name) = &name {
            private_copy::remove(&self.runs.join(name))?;
        }
        Ok(name)
    }

    /// Writes the changes in the copy back: all or nothing. Takes a file that changed since it was
    /// copied as it is now, a limited number of times. An error before the commit record ends the
    /// job; after it, the error is an obstacle.
    fn commit(
        &self,
        call: &CallId,
        fence: Fence,
        copy: &mut PrivateCopy,
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
                let copy: &PrivateCopy = copy;
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
                        Err(error) => Ending::new(
                            Outcome::Failed,
                            "conflict",
                            format!("{error}; {UNTOUCHED}"),
                        ),
                    }
                }
                Err(CommitError::Fenced) => return Err(BackendError::Lost),
                Err(CommitError::Committed(obstacle)) => return Err(obstacle.into()),
                Err(CommitError::Torn(path)) => Ending::torn(&path),
                Err(error) => {
                    Ending::new(Outcome::Failed, error.code(), format!("{error}; {UNTOUCHED}"))
                }
            };
            return Ok(Settled { ending, lock: Some(lock) });
        }
    }

    /// Finds the outcome of a job whose runner was lost while it acted. Under the tree's lock it
    /// first removes the old copies, so that a runner that is still alive cannot commit any more.
    /// Then it reads the journal. `given_up` is an operator's reason for not waiting longer.
    async fn recover(&self, lost: &Lost<'_>) -> Result<(Option<String>, Settled), BackendError> {
        let Lost { fence, given_up, .. } = *lost;
        let call = &lost.job.call;
        let lock = self.journal.lock()?;
        let name = self.sweep_copies(call, fence)?;
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

    /// Checks that the runner's own folders exist. A folder that was removed and created again is
    /// another one to a runner that confined itself to it.
    fn ready(&self) -> Result<(), BackendError> {
        for folder in [self.runs.as_path(), self.journal.folder()] {
            fs::read_dir(folder).map_err(|error| obstacle(folder, "cannot be used", &error))?;
        }
        Ok(())
    }

    fn read_ahead(&self) {
        let Ok(tree) = Tree::read(&mut &self.root) else { return };
        if tree.size() <= READ_AHEAD {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Arc::new(Index::of(tree, None));
        }
    }

    /// A private copy needs no time of another process to be removed.
    async fn backpressure(&self, _now: Timestamp) -> Result<Option<String>, BackendError> {
        Ok(None)
    }

    fn remaining(&self, _in_effect: &BTreeSet<u32>) -> String {
        UNTOUCHED.to_owned()
    }
}

impl Run for PrivateCopy {
    fn name(&self) -> String {
        let name = self.folder().file_name();
        name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn uid(&self) -> Option<&str> {
        None
    }

    async fn check(
        &mut self,
        _operation: &Operation,
        approved: &PreviewedOperation,
    ) -> Result<(), EffectError> {
        Self::check(self, approved)
    }

    fn meanwhile(&self) -> &[Difference] {
        Self::meanwhile(self)
    }

    async fn perform(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
        _told: &Told,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        Self::perform(self, operation, approved, host)
    }

    async fn undo(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        Self::undo(self, approved)
    }

    /// A directory has no workload: a written object is ready.
    async fn observe(&self, _approved: &PreviewedOperation) -> Result<Observed, EffectError> {
        Ok(Observed::Ready)
    }
}
