//! Write-back: first a durable journal, then one rename per file, under a lock. The rename of the
//! journal is the commit record. If a runner is killed before it, the tree is untouched; after it,
//! the next runner completes the journal. New contents are written beside their places before the
//! commit record, so that a file that cannot be written ends the job before the commit. Knows
//! files, never objects.

mod apply;
mod entry;
#[cfg(test)]
mod tests;

pub use entry::{Commit, CommitError, Recovered};

use super::tree::FILE;
use apply::Stages;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::model::json::strict_into;
use cofferdam_core::model::run::JobStep;
use cofferdam_process::rooted_fs::{Lock, Root};
use cofferdam_process::writable::obstacle;
use entry::{Entry, Hindered, Line, Seen};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a journal: dozens of files of the largest size. Checked before the commit record, so
/// that none is made that could not be read back.
const JOURNAL: u64 = 64 * 1024 * 1024;

/// A journal that is the commit record.
const COMMITTED: &str = "committed";

/// The name of a journal before its commit record. Files that it names may be beside their places.
const WRITING: &str = "writing";

/// A journal all of whose files are in place.
const APPLIED: &str = "applied";

/// A journal whose files were changed outside Cofferdam meanwhile.
const CONFLICT: &str = "conflict";

/// A journal that cannot be read.
const UNREADABLE: &str = "unreadable";

/// A journal that a person gave up.
const GIVEN_UP: &str = "given-up";

/// Where journals lie, and the tree they are for.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    root: Root,
}

impl Journal {
    /// A journal of this tree, in this folder of the runner.
    pub fn new(folder: PathBuf, root: Root) -> Self {
        Self { folder, root }
    }

    /// The folder of the journals.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One runner at a time decides over the tree. Held until the guard is dropped, or its process
    /// dies.
    pub fn lock(&self) -> Result<Lock, Obstacle> {
        Root::open(&self.folder)
            .and_then(|folder| folder.lock())
            .map_err(|error| obstacle(&self.folder, "cannot be used", &error))
    }

    /// Commits the files of a job: all or nothing. Calls `step` when the commit is durable, and
    /// when all of it is visible.
    pub fn commit(
        &self,
        _lock: &Lock,
        commit: Commit<'_>,
        step: &dyn Fn(JobStep),
    ) -> Result<(), CommitError> {
        let Commit { call, fence, namespace, files, touches, moved } = commit;
        if !namespace.is_dir() {
            return Err(CommitError::Fenced);
        }
        // Another job's runner may have been lost half-way: its effects are committed and come
        // first.
        for other in self.pending().map_err(CommitError::Unwritable)? {
            if let Some((entry, obstacle)) = self.complete(&other)
                && let Some(line) = entry.files.iter().find(|line| touches.contains(&line.path))
            {
                return Err(CommitError::Blocked {
                    path: line.path.clone(),
                    call: other,
                    obstacle,
                });
            }
        }
        for file in &files {
            if file.content.as_ref().is_some_and(|content| content.len() as u64 > FILE) {
                return Err(CommitError::Large(file.path.clone()));
            }
            if self.seen(&file.path) != Seen::Is(file.before) {
                return Err(CommitError::Conflict(file.path.clone()));
            }
        }
        if let Some(path) = moved(&files) {
            return Err(CommitError::Conflict(path));
        }
        let lines = files
            .into_iter()
            .map(|file| Line { path: file.path, before: file.before, content: file.content })
            .collect();
        let entry = Entry { call: call.clone(), fence, files: lines };
        let staged =
            self.write(&entry).and_then(|()| self.stage(&entry).map_err(CommitError::Unwritable));
        let staged = staged.and_then(|staged| self.seal(call).map(|()| staged));
        let staged = staged.inspect_err(|_| self.discard(call))?;
        step(JobStep::EffectCommitted);
        match self.apply(&entry, staged) {
            Ok(Recovered::Conflict(path)) => {
                self.torn(call).map_err(CommitError::Committed)?;
                Err(CommitError::Torn(path))
            }
            Ok(_) => {
                step(JobStep::EffectApplied);
                Ok(())
            }
            Err(Hindered { obstacle, untouched: true }) if self.withdraw(call) => {
                Err(CommitError::Unwritable(obstacle))
            }
            Err(Hindered { obstacle, .. }) => Err(CommitError::Committed(obstacle)),
        }
    }

    /// Writes the journal down, not as the commit record yet.
    fn write(&self, entry: &Entry) -> Result<(), CommitError> {
        let path = self.named(&entry.call, WRITING);
        let text = serde_json::to_vec(entry)?;
        if text.len() as u64 > JOURNAL {
            return Err(CommitError::Large(path));
        }
        let written = File::create(&path)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        written
            .map_err(|error| CommitError::Unwritable(obstacle(&path, "cannot be written", &error)))
    }

    /// Makes it the commit record.
    fn seal(&self, call: &CallId) -> Result<(), CommitError> {
        let record = self.record(call);
        let sealed = fs::rename(self.named(call, WRITING), &record).and_then(|()| self.sync());
        sealed.map_err(|error| {
            let obstacle = obstacle(&record, "cannot be written", &error);
            // The commit record decides, and not the result of the system call.
            if self.withdraw(call) {
                CommitError::Unwritable(obstacle)
            } else {
                CommitError::Committed(obstacle)
            }
        })
    }

    /// Takes a commit record back of which no file is in place yet; false when it is still there.
    fn withdraw(&self, call: &CallId) -> bool {
        let gone = match fs::remove_file(self.record(call)) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(()) => true,
        };
        gone && self.sync().is_ok()
    }

    /// Removes a journal that never became the record.
    fn discard(&self, call: &CallId) {
        if let Err(error) = remove(&self.named(call, WRITING)) {
            tracing::warn!(
                %call,
                error = %error,
                "a journal that was not committed cannot be removed now; its job's end removes it"
            );
        }
    }

    /// Finds the outcome of a job whose runner was lost, and completes its commit. A job that a
    /// person gave up is tried once more, and its journal is set aside if it still cannot be
    /// completed.
    pub fn recover(
        &self,
        call: &CallId,
        _lock: &Lock,
        given_up: bool,
    ) -> Result<Recovered, Obstacle> {
        if self.applied(call).exists() {
            return Ok(Recovered::Complete);
        }
        for aside in [CONFLICT, UNREADABLE, GIVEN_UP] {
            let aside = self.named(call, aside);
            if fs::symlink_metadata(&aside).is_ok() {
                return Ok(Recovered::SetAside(aside));
            }
        }
        match self.load(call, COMMITTED) {
            Ok(Some(entry)) => match self.apply(&entry, Stages::new()) {
                Ok(recovered) => {
                    if let Recovered::Conflict(_) = recovered {
                        self.torn(call)?;
                    }
                    Ok(recovered)
                }
                Err(Hindered { obstacle, .. }) if given_up => self.give_up(&entry, obstacle),
                Err(Hindered { obstacle, .. }) => Err(obstacle),
            },
            Ok(None) => {
                self.unstage(call);
                Ok(Recovered::Untouched)
            }
            Err(why) => {
                tracing::error!(%call, error = why, "a journal is unreadable and is set aside");
                Ok(Recovered::SetAside(self.set_aside(call, UNREADABLE)?))
            }
        }
    }

    /// Files that a job edited, once all of them are in place: relative to the tree, sorted.
    pub fn edited(&self, call: &CallId) -> Vec<String> {
        let entry = self.load(call, APPLIED).ok().flatten();
        let paths = entry
            .into_iter()
            .flat_map(|entry| entry.files)
            .map(|line| line.path.display().to_string());
        let mut paths: Vec<String> = paths.collect();
        paths.sort();
        paths
    }

    /// Removes the journal of a job whose outcome is recorded. A journal that was set aside stays:
    /// a person compares the files with it.
    pub fn forget(&self, call: &CallId) -> Result<(), Obstacle> {
        if fs::symlink_metadata(self.record(call)).is_ok() {
            self.set_aside(call, CONFLICT)?;
        }
        for path in [self.applied(call), self.named(call, WRITING)] {
            remove(&path).map_err(|error| obstacle(&path, "cannot be removed", &error))?;
        }
        Ok(())
    }

    /// Under another name no runner applies a journal any more.
    fn set_aside(&self, call: &CallId, extension: &str) -> Result<PathBuf, Obstacle> {
        let (record, aside) = (self.record(call), self.named(call, extension));
        let renamed = fs::rename(&record, &aside).and_then(|()| self.sync());
        renamed.map_err(|error| obstacle(&record, "cannot be renamed", &error))?;
        Ok(aside)
    }

    /// Reads a journal of this state. Returns `None` if there is no such journal, and the cause if
    /// it cannot be read.
    fn load(&self, call: &CallId, state: &str) -> Result<Option<Entry>, String> {
        let read = Root::open(&self.folder)
            .and_then(|folder| folder.read(Path::new(&format!("{call}.{state}")), JOURNAL));
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let entry: Entry = strict_into(&bytes).map_err(|error| error.to_string())?;
        if entry.call == *call { Ok(Some(entry)) } else { Err("it is another job's".to_owned()) }
    }

    fn named(&self, call: &CallId, extension: &str) -> PathBuf {
        self.folder.join(format!("{call}.{extension}"))
    }

    fn record(&self, call: &CallId) -> PathBuf {
        self.named(call, COMMITTED)
    }

    fn applied(&self, call: &CallId) -> PathBuf {
        self.named(call, APPLIED)
    }

    fn pending(&self) -> Result<Vec<CallId>, Obstacle> {
        let unread = |error: io::Error| obstacle(&self.folder, "cannot be read", &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            if path.extension().is_some_and(|extension| extension == COMMITTED)
                && let Some(call) = path
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .and_then(|stem| CallId::parse(stem).ok())
            {
                found.push(call);
            }
        }
        Ok(found)
    }

    /// Completes the journal of another job, or returns it with the obstacle. The recovery of that
    /// job reports the rest. A damaged journal hinders no other job.
    fn complete(&self, call: &CallId) -> Option<(Entry, Obstacle)> {
        let entry = match self.load(call, COMMITTED) {
            Ok(entry) => entry?,
            Err(why) => {
                tracing::warn!(
                    %call,
                    error = why,
                    "a committed job's journal is unreadable; its own recovery will say so"
                );
                return None;
            }
        };
        match self.apply(&entry, Stages::new()) {
            Ok(Recovered::Conflict(path)) => {
                tracing::warn!(
                    %call,
                    path = %path.display(),
                    "a committed job cannot be completed; its own recovery will say so"
                );
                None
            }
            Ok(_) => None,
            Err(Hindered { obstacle, .. }) => {
                tracing::debug!(%call, "a committed job cannot be completed now: {obstacle}");
                Some((entry, obstacle))
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
