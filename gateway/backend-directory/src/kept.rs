//! The index that the viewer keeps between looks. Each look first takes the changes that the kernel
//! queued, and reads only the changed files again; a change that was complete before a look is in
//! its answer. The files that have the objects of a look are compared with their stamps besides.
//! Reads the whole tree for each look if the kernel does not report every change, and says so once.
//!
//! Three changes have no event: a write through a mapping of memory, a write through a hard link
//! whose own name is no manifest of the tree, and a mount over a folder. The stamps of files that have a hard link are
//! compared for each look. A look shows them in the objects that it names
//! as soon as the stamp of their file changes; a second copy of such an object that came in this
//! way is seen when the whole tree is read again: after [`WHOLE`], or after [`SHARE`] times the
//! time of that reading if it is longer.
//!
//! | file | content |
//! |---|---|
//! | `kept/state.rs` | what is kept, and what a change takes from it |

mod state;
#[cfg(test)]
mod tests;

use super::index::Index;
use super::tree::TreeError;
use cofferdam_core::model::escape;
use cofferdam_core::model::operation::Step;
use cofferdam_process::rooted_fs::Root;
use cofferdam_process::watch::{Change, FolderId, Watch, WatchError};
use state::State;
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest time without a reading of the whole tree, or [`SHARE`] times what that took: it
/// bounds how long a change without an event is not seen.
const WHOLE: Duration = Duration::from_secs(5);

/// Readings of one look: the second is for a file that changed without an event.
const ROUNDS: usize = 2;

/// A reading of the whole tree takes at most this part of the time: a fiftieth.
const SHARE: u32 = 50;

/// Reports changes of folders.
pub trait Changes: Debug + Send {
    /// Watches a folder.
    /// # Errors
    /// The folder cannot be opened or watched.
    fn watch(&mut self, root: &Root, folder: &Path) -> Result<FolderId, WatchError>;

    /// Watches a folder no more.
    fn unwatch(&mut self, folder: FolderId);

    /// Takes the changes since the last call.
    /// # Errors
    /// The changes cannot be had.
    fn take(&mut self) -> io::Result<Vec<Change>>;
}

impl Changes for Watch {
    fn watch(&mut self, root: &Root, folder: &Path) -> Result<FolderId, WatchError> {
        self.add(root, folder)
    }

    fn unwatch(&mut self, folder: FolderId) {
        self.remove(folder);
    }

    fn take(&mut self) -> io::Result<Vec<Change>> {
        self.changes()
    }
}

/// A tree with the index of its last look.
#[derive(Debug)]
pub struct KeptTree {
    root: Root,
    clock: fn() -> Instant,
    state: Mutex<State>,
}

impl KeptTree {
    /// A tree whose changes the kernel reports.
    pub fn watched(root: Root, clock: fn() -> Instant) -> Self {
        match Watch::open() {
            Ok(watch) => Self::new(root, clock, Some(Box::new(watch))),
            Err(error) => {
                unwatched(Path::new(""), &error);
                Self::new(root, clock, None)
            }
        }
    }

    /// A tree with this source of changes. Without one, each look reads the whole tree.
    pub fn new(root: Root, clock: fn() -> Instant, changes: Option<Box<dyn Changes>>) -> Self {
        Self { root, clock, state: Mutex::new(State::new(changes)) }
    }

    /// The tree as it is now, for a look with these steps.
    /// # Errors
    /// The tree cannot be read, or has too many manifests.
    pub fn index(&self, steps: &[Step]) -> Result<Arc<Index>, TreeError> {
        let mut state = self.state();
        if !state.is_watched() {
            let before = state.index();
            drop(state);
            let index = Arc::new(Index::read(&self.root, Some(&before))?);
            self.state().keep(Arc::clone(&index));
            return Ok(index);
        }
        state.take_changes();
        let now = (self.clock)();
        if state.is_old(now) {
            state.forget();
        }
        for _ in 0..ROUNDS {
            if !state.is_settled() {
                state.read(&self.root, self.clock)?;
            }
            if !state.is_stale(&self.root, steps) {
                break;
            }
        }
        Ok(state.index())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs that changes of a folder are not reported.
fn unwatched(folder: &Path, error: &(dyn Error + 'static)) {
    tracing::warn!(
        path = %folder.display(),
        error = %escape::chain(error),
        "the kernel does not report every change of this tree; each look reads all of its files"
    );
}
