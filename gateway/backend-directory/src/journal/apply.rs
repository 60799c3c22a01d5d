//! Puts the files of a committed journal in place, one rename each, and says how many are. Called
//! under the tree's lock alone.

use super::entry::{Entry, Hindered, Line, Recovered, Seen};
use super::{CONFLICT, GIVEN_UP, Journal};
use crate::tree::FILE;
use cofferdam_core::model::id::{CallId, ObjectDigest};
use cofferdam_core::model::job::Obstacle;
use cofferdam_process::rooted_fs::Staged;
use cofferdam_process::writable::obstacle;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files that lie written beside their places, by path.
pub(super) type Stages = BTreeMap<PathBuf, Staged>;

/// The obstacle of a file of the tree.
pub(super) fn unplaced(path: &Path, error: &io::Error) -> Obstacle {
    obstacle(path, "cannot be replaced", error)
}

impl Journal {
    /// Puts every file in place that is not there yet. Nothing is written before all of them are
    /// known to be as expected.
    pub(super) fn apply(&self, entry: &Entry, mut staged: Stages) -> Result<Recovered, Hindered> {
        let mut todo = Vec::new();
        for line in &entry.files {
            let found = self.seen(&line.path);
            if found == line.after() {
                continue;
            }
            if found != Seen::Is(line.before) {
                return Ok(Recovered::Conflict(line.path.clone()));
            }
            todo.push(line);
        }
        for line in todo {
            let put =
                staged.remove(&line.path).map_or_else(|| self.put(entry, line), Staged::place);
            if let Err(error) = put {
                return Err(self.hindered(entry, unplaced(&line.path, &error)));
            }
        }
        let record = self.record(&entry.call);
        fs::rename(&record, self.applied(&entry.call)).and_then(|()| self.sync()).map_err(
            |error| {
                let Obstacle { cause, remedy } = obstacle(&record, "cannot be renamed", &error);
                Hindered {
                    obstacle: Obstacle {
                        cause: format!("its files are written, and {cause}"),
                        remedy,
                    },
                    untouched: false,
                }
            },
        )?;
        Ok(Recovered::Complete)
    }

    /// How far it came, by a look at each file: an error does not say whether its rename happened.
    fn hindered(&self, entry: &Entry, Obstacle { cause, remedy }: Obstacle) -> Hindered {
        let count = |is: &dyn Fn(&Line) -> bool| entry.files.iter().filter(|line| is(line)).count();
        let (all, written) =
            (entry.files.len(), count(&|line| self.seen(&line.path) == line.after()));
        let untouched = count(&|line| self.seen(&line.path) == Seen::Is(line.before)) == all;
        let cause = format!("it is committed, {written} of {all} files are written, and {cause}");
        Hindered { obstacle: Obstacle { cause, remedy }, untouched }
    }

    fn put(&self, entry: &Entry, line: &Line) -> io::Result<()> {
        match &line.content {
            Some(content) => {
                let suffix = suffix(&entry.call);
                self.sweep(&line.path, &suffix)?;
                self.root.stage(&line.path, content.as_bytes(), &suffix)?.place()
            }
            None => self.root.remove(&line.path),
        }
    }

    /// Writes every new content beside its place, so that only renames remain after the commit
    /// record. Checks first everything that can be checked.
    pub(super) fn stage(&self, entry: &Entry) -> Result<Stages, Obstacle> {
        let mut staged = Stages::new();
        let suffix = suffix(&entry.call);
        for line in &entry.files {
            cofferdam_process::writable::file(&self.root, &line.path)?;
            if let Some(content) = &line.content {
                let stage = self
                    .sweep(&line.path, &suffix)
                    .and_then(|()| self.root.stage(&line.path, content.as_bytes(), &suffix));
                staged.insert(
                    line.path.clone(),
                    stage.map_err(|error| unplaced(&line.path, &error))?,
                );
            }
        }
        Ok(staged)
    }

    /// Removes the files that a runner wrote beside their places before it was killed without a
    /// commit record.
    pub(super) fn unstage(&self, call: &CallId) {
        let Ok(Some(entry)) = self.load(call, super::WRITING) else { return };
        for line in entry.files.iter().filter(|line| line.content.is_some()) {
            if let Err(error) = self.sweep(&line.path, &suffix(call)) {
                tracing::warn!(
                    %call,
                    path = %line.path.display(),
                    error = %error,
                    "a temporary file cannot be removed from the tree"
                );
            }
        }
    }

    /// Ends a journal that a person gave up: it is kept under another name, and its files stay as
    /// they are.
    pub(super) fn give_up(&self, entry: &Entry, obstacle: Obstacle) -> Result<Recovered, Obstacle> {
        let (written, missing): (Vec<_>, Vec<_>) =
            entry.files.iter().partition(|line| self.seen(&line.path) == line.after());
        let paths = |lines: Vec<&Line>| lines.into_iter().map(|line| line.path.clone()).collect();
        let kept = self.set_aside(&entry.call, GIVEN_UP)?;
        Ok(Recovered::GivenUp { obstacle, written: paths(written), missing: paths(missing), kept })
    }

    /// A conflict after the commit record: the journal is kept for a person.
    pub(super) fn torn(&self, call: &CallId) -> Result<(), Obstacle> {
        self.set_aside(call, CONFLICT).map(drop)
    }

    /// Removes the temporary file of a runner that was killed before it could rename it: staging
    /// makes it afresh and never reuses one.
    fn sweep(&self, path: &Path, suffix: &str) -> io::Result<()> {
        let Some(name) = path.file_name() else { return Ok(()) };
        match self
            .root
            .remove(&path.with_file_name(format!(".{}.{suffix}", name.to_string_lossy())))
        {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The state of a path in the tree.
    pub(super) fn seen(&self, path: &Path) -> Seen {
        match self.root.read(path, FILE) {
            Ok(bytes) => Seen::Is(ObjectDigest::of(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::Gone,
            Err(_) => Seen::Else,
        }
    }
}

fn suffix(call: &CallId) -> String {
    format!("cofferdam-{call}")
}
