//! The kept entries of folders, the stamps of files, and the last index. A change takes from them
//! what it may concern; a change of a folder takes everything. A file is kept only if its stamp was
//! the same before and after it was read. Decides nothing about objects.

use super::{Changes, SHARE, WHOLE, unwatched};
use crate::index::Index;
use crate::read::Unclear;
use crate::tree::{self, Source, Text, Tree, TreeError};
use cofferdam_core::model::operation::Step;
use cofferdam_process::rooted_fs::{Entry, Root, Stamp, is_manifest};
use cofferdam_process::watch::{Change, FolderId, WatchError};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What is kept of a tree.
#[derive(Debug)]
pub struct State {
    /// `None` if the kernel does not report every change.
    changes: Option<Box<dyn Changes>>,
    /// The paths of each watched folder: one, or more if a mount shows it twice.
    watched: BTreeMap<FolderId, BTreeSet<PathBuf>>,
    folders: BTreeMap<PathBuf, Vec<Entry>>,
    stamps: BTreeMap<PathBuf, Stamp>,
    /// Files with hard links: a change is reported for one name alone.
    linked: BTreeSet<(u64, u64)>,
    index: Arc<Index>,
    /// The index has everything that was reported.
    settled: bool,
    /// The time at which the whole tree is read again; `None` if nothing is kept.
    until: Option<Instant>,
    /// The loss of changes was logged.
    said: bool,
}

impl State {
    /// Keeps nothing yet.
    pub fn new(changes: Option<Box<dyn Changes>>) -> Self {
        Self {
            changes,
            watched: BTreeMap::new(),
            folders: BTreeMap::new(),
            stamps: BTreeMap::new(),
            linked: BTreeSet::new(),
            index: Arc::default(),
            settled: false,
            until: None,
            said: false,
        }
    }

    /// Returns whether changes are reported.
    pub fn is_watched(&self) -> bool {
        self.changes.is_some()
    }

    /// Returns whether the last index has every change that was taken.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Returns whether the whole tree has to be read again.
    pub fn is_old(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// The last index.
    pub fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index)
    }

    /// Keeps an index of the whole tree, so that the same texts are not parsed again.
    pub fn keep(&mut self, index: Arc<Index>) {
        self.index = index;
    }

    /// Forgets everything but the last index, whose texts are compared.
    pub fn forget(&mut self) {
        self.folders.clear();
        self.stamps.clear();
        self.linked.clear();
        self.until = None;
        self.settled = false;
    }

    /// Forgets what was reported as changed.
    pub fn take_changes(&mut self) {
        let Some(changes) = &mut self.changes else { return };
        match changes.take() {
            Ok(changes) => changes.into_iter().for_each(|change| self.take(change)),
            Err(_) => self.take(Change::Lost),
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::File { folder, name, listed } => {
                let is_read = listed || is_manifest(&name.to_string_lossy());
                let Some(paths) = self.watched.get(&folder) else { return };
                if is_hidden(&name) || !is_read {
                    return;
                }
                for path in paths {
                    self.stamps.remove(&path.join(&name));
                    if listed {
                        self.folders.remove(path);
                    }
                }
                self.settled = false;
            }
            Change::Folder { folder, name } => {
                if self.watched.contains_key(&folder) && !is_hidden(&name) {
                    self.forget();
                }
            }
            Change::Lost => {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::warn!(
                        what = "tree",
                        "changes of the tree were lost; it is read as a whole"
                    );
                }
                self.forget();
            }
        }
    }

    /// Returns whether a file of these steps, or a file with a hard link, has another stamp now than
    /// when it was read. Forgets such files.
    pub fn is_stale(&mut self, root: &Root, steps: &[Step]) -> bool {
        // Nothing is kept: the index was read for this look.
        if self.until.is_none() {
            return false;
        }
        let mut used: BTreeSet<_> =
            steps.iter().flat_map(|step| self.index.used(&step.operation)).collect();
        let linked: Vec<_> = if self.linked.is_empty() {
            Vec::new()
        } else {
            let stamps = self.stamps.iter();
            let linked = stamps.filter(|(_, stamp)| self.linked.contains(&stamp.file()));
            linked.map(|(path, _)| path.clone()).collect()
        };
        used.extend(linked.iter().map(PathBuf::as_path));
        let (stamps, mut is_stale) = (&mut self.stamps, false);
        for path in used {
            let now = root.stamp(path).ok();
            if now.is_none() || stamps.get(path) != now.as_ref() {
                stamps.remove(path);
                is_stale = true;
            }
        }
        self.settled &= !is_stale;
        is_stale
    }

    /// Reads what is not kept, and makes the index again.
    /// # Errors
    /// The tree cannot be read, or has too many manifests. Nothing is kept then.
    pub fn read(&mut self, root: &Root, clock: fn() -> Instant) -> Result<(), TreeError> {
        let began = clock();
        let is_whole = self.until.is_none();
        let before = if is_whole { std::mem::take(&mut self.watched) } else { BTreeMap::new() };
        self.settled = true;
        let tree = match Tree::read(&mut Reading { root, state: self }) {
            Ok(tree) => tree,
            Err(error) => {
                self.watched.extend(before);
                self.forget();
                return Err(error);
            }
        };
        for folder in before.keys().filter(|folder| !self.watched.contains_key(folder)) {
            self.changes.iter_mut().for_each(|changes| changes.unwatch(*folder));
        }
        self.index = Arc::new(Index::of(tree, Some(&self.index)));
        if is_whole {
            let now = clock();
            let rest = now.saturating_duration_since(began).saturating_mul(SHARE).max(WHOLE);
            self.until = Some(now.checked_add(rest).unwrap_or(now));
        }
        // The files beyond the limits depend on all others.
        if self.index.is_beyond() || self.changes.is_none() {
            self.forget();
        }
        Ok(())
    }
}

/// Names that the tree does not have.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

/// Reads what is not kept, and keeps it.
struct Reading<'a> {
    root: &'a Root,
    state: &'a mut State,
}

impl Reading<'_> {
    /// Watches a folder before it is read, so that no change after the reading is missed.
    fn watch(&mut self, folder: &Path) {
        let Some(changes) = &mut self.state.changes else { return };
        match changes.watch(self.root, folder) {
            Ok(id) => {
                self.state.watched.entry(id).or_default().insert(folder.to_owned());
            }
            // The reading of the folder has the same error.
            Err(WatchError::Folder(_)) => self.state.settled = false,
            Err(error) => {
                unwatched(folder, &error);
                self.state.changes = None;
            }
        }
    }
}

impl Source for Reading<'_> {
    fn entries(&mut self, folder: &Path) -> io::Result<Vec<Entry>> {
        if let Some(entries) = self.state.folders.get(folder) {
            return Ok(entries.clone());
        }
        self.watch(folder);
        let entries = self.root.entries(folder);
        match &entries {
            Ok(entries) => {
                self.state.folders.insert(folder.to_owned(), entries.clone());
            }
            Err(_) => self.state.settled = false,
        }
        entries
    }

    fn target(&mut self, link: &Path) -> io::Result<PathBuf> {
        self.root.target(link)
    }

    fn text(&mut self, path: &Path) -> io::Result<Result<Text, Unclear>> {
        if self.state.stamps.contains_key(path)
            && let Some(file) = self.state.index.file(path)
        {
            return Ok(Ok(Text::Kept(Arc::clone(file))));
        }
        let before = self.root.stamp(path).ok();
        let text = tree::text(self.root, path);
        let after = self.root.stamp(path).ok();
        match before.filter(|_| text.is_ok() && before == after) {
            Some(stamp) => {
                if stamp.is_linked() {
                    self.state.linked.insert(stamp.file());
                }
                self.state.stamps.insert(path.to_owned(), stamp);
            }
            None => self.state.settled = false,
        }
        Ok(text?.map(Text::Read))
    }
}
