//! Writing back: a durable journal first, then a rename per file, under a lock. The journal's own rename is the commit record and the effect: a runner
//! killed before it leaves the tree untouched, after it the next one completes what is written there. Knows files, never objects.

#[cfg(test)]
mod tests;

use super::namespace::ChangedFile;
use super::tree::FILE;
use cofferdam_core::id::{CallId, Fence, ObjectDigest};
use cofferdam_core::json::strict_into;
use cofferdam_core::run::JobStep;
use cofferdam_process::beneath::{Lock, Root};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a journal: dozens of files of the largest size. Checked before the commit record, so that none is made that could not be read back.
const JOURNAL: u64 = 64 * 1024 * 1024;

/// A journal whose files somebody else changed meanwhile.
const CONFLICT: &str = "conflict";

/// A journal that cannot be read.
const UNREADABLE: &str = "unreadable";

/// A job's journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    call: CallId,
    fence: Fence,
    files: Vec<Line>,
}

/// One file of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: PathBuf,
    before: ObjectDigest,
    /// None: the file goes.
    content: Option<String>,
}

impl Line {
    fn after(&self) -> Seen {
        self.content.as_ref().map_or(Seen::Gone, |content| Seen::Is(ObjectDigest::of(content.as_bytes())))
    }
}

/// What is in the tree at a path.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Gone,
    Is(ObjectDigest),
    /// A link, a folder, too large, or not to be read at all: never what a job left or expects, so a conflict and no reason to try for ever.
    Else,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitFault {
    /// A newer lease removed this one's namespace.
    #[error("another runner has taken the job over")]
    Fenced,
    /// The tree was changed meanwhile.
    #[error("`{}` was changed by somebody else meanwhile", .0.display())]
    Conflict(PathBuf),
    /// The journal or the tree cannot be written.
    #[error("cannot write back")]
    Io(#[from] io::Error),
    /// A file would be larger than what is read, or all of them together; nobody could find out later what became of them.
    #[error("`{}` would be too large; change less at once", .0.display())]
    Large(PathBuf),
    /// The journal cannot be written down.
    #[error("the journal has no JSON form: {0}")]
    Journal(#[from] serde_json::Error),
}

/// What became of a job whose runner was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing was committed: the tree was never touched.
    Untouched,
    /// Everything that was committed is in place.
    Complete,
    /// A file is neither as it was before nor as it should be after.
    Conflict(PathBuf),
    /// The journal lies under this name for a person: it was unreadable, or in conflict before.
    SetAside(PathBuf),
}

/// Where journals lie, and the tree they are for.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    root: Root,
}

impl Journal {
    /// Of a tree, in a folder of the runner's own.
    pub fn new(folder: PathBuf, root: Root) -> Self {
        Self { folder, root }
    }

    /// One runner at a time decides over the tree. Held until the guard is dropped, or its process dies.
    pub fn lock(&self) -> io::Result<Lock> {
        Root::open(&self.folder)?.lock()
    }

    /// Commits a job's files: everything or nothing. `namespace` must still be there: whoever takes the job over removes it first, under the same
    /// lock. Says when the commit is durable and when all of it is visible.
    pub fn commit(
        &self,
        call: &CallId,
        fence: Fence,
        namespace: &Path,
        files: Vec<ChangedFile>,
        step: &dyn Fn(JobStep),
    ) -> Result<(), CommitFault> {
        let _lock = self.lock()?;
        if !namespace.is_dir() {
            return Err(CommitFault::Fenced);
        }
        // Another job's runner may have been lost half-way: its effects are committed and come first.
        for other in self.pending()? {
            self.complete(&other);
        }
        for file in &files {
            if file.content.as_ref().is_some_and(|content| content.len() as u64 > FILE) {
                return Err(CommitFault::Large(file.path.clone()));
            }
            if self.seen(&file.path) != Seen::Is(file.before) {
                return Err(CommitFault::Conflict(file.path.clone()));
            }
        }
        let lines = files.into_iter().map(|file| Line { path: file.path, before: file.before, content: file.content }).collect();
        let entry = Entry { call: call.clone(), fence, files: lines };
        let written = self.folder.join(format!("{call}.writing"));
        let text = serde_json::to_vec(&entry)?;
        if text.len() as u64 > JOURNAL {
            return Err(CommitFault::Large(written));
        }
        let mut file = File::create(&written)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&written, self.record(call))?;
        self.sync()?;
        step(JobStep::EffectCommitted);
        if let Recovered::Conflict(path) = self.apply(&entry)? {
            return Err(CommitFault::Conflict(path));
        }
        step(JobStep::EffectApplied);
        Ok(())
    }

    /// Finds out what became of a job whose runner was lost, and completes what it had committed. The caller holds the lock.
    pub fn recover(&self, call: &CallId, _lock: &Lock) -> Result<Recovered, CommitFault> {
        if self.applied(call).exists() {
            return Ok(Recovered::Complete);
        }
        for aside in [CONFLICT, UNREADABLE] {
            let aside = self.named(call, aside);
            if fs::symlink_metadata(&aside).is_ok() {
                return Ok(Recovered::SetAside(aside));
            }
        }
        match self.load(call) {
            Ok(Some(entry)) => {
                let recovered = self.apply(&entry)?;
                if let Recovered::Conflict(_) = recovered {
                    self.set_aside(call, CONFLICT)?;
                }
                Ok(recovered)
            }
            Ok(None) => Ok(Recovered::Untouched),
            Err(why) => {
                tracing::error!(%call, why, "a journal is unreadable and is set aside");
                Ok(Recovered::SetAside(self.set_aside(call, UNREADABLE)?))
            }
        }
    }

    /// Forgets a job whose outcome is recorded. What was set aside stays: a person compares the files with it.
    pub fn forget(&self, call: &CallId) -> io::Result<()> {
        if fs::symlink_metadata(self.record(call)).is_ok() {
            self.set_aside(call, CONFLICT)?;
        }
        for path in [self.applied(call), self.named(call, "writing")] {
            match fs::remove_file(path) {
                Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    /// Under another name nobody applies a journal any more.
    fn set_aside(&self, call: &CallId, extension: &str) -> io::Result<PathBuf> {
        let aside = self.named(call, extension);
        fs::rename(self.record(call), &aside)?;
        self.sync()?;
        Ok(aside)
    }

    /// A committed journal, none where there is none, or why it cannot be read.
    fn load(&self, call: &CallId) -> Result<Option<Entry>, String> {
        let read = Root::open(&self.folder).and_then(|folder| folder.read(Path::new(&format!("{call}.committed")), JOURNAL));
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault.to_string()),
        };
        let entry: Entry = strict_into(&bytes).map_err(|fault| fault.to_string())?;
        if entry.call == *call { Ok(Some(entry)) } else { Err("it is another job's".to_owned()) }
    }

    fn named(&self, call: &CallId, extension: &str) -> PathBuf {
        self.folder.join(format!("{call}.{extension}"))
    }

    fn record(&self, call: &CallId) -> PathBuf {
        self.named(call, "committed")
    }

    fn applied(&self, call: &CallId) -> PathBuf {
        self.named(call, "applied")
    }

    fn pending(&self) -> io::Result<Vec<CallId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "committed")
                && let Some(call) = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| CallId::parse(stem).ok())
            {
                found.push(call);
            }
        }
        Ok(found)
    }

    /// Completes another job's journal; its own recovery says what came of it. One that is damaged is its own matter and hinders nobody else.
    fn complete(&self, call: &CallId) {
        let applied = match self.load(call) {
            Ok(Some(entry)) => self.apply(&entry),
            Ok(None) => return,
            Err(why) => return tracing::warn!(%call, why, "a committed job's journal is unreadable; its own recovery will say so"),
        };
        match applied {
            Ok(Recovered::Conflict(path)) => {
                tracing::warn!(%call, path = %path.display(), "a committed job cannot be completed; its own recovery will say so");
            }
            Ok(_) => {}
            Err(fault) => tracing::warn!(%call, error = %fault, "a committed job cannot be completed now"),
        }
    }

    /// Puts every file in place that is not there yet. Nothing is written before all of them are known to be as expected.
    fn apply(&self, entry: &Entry) -> Result<Recovered, CommitFault> {
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
            match &line.content {
                Some(content) => {
                    let suffix = format!("cofferdam-{}", entry.call);
                    if self.sweep(&line.path, &suffix).is_err() {
                        return Ok(Recovered::Conflict(line.path.clone()));
                    }
                    self.root.replace(&line.path, content.as_bytes(), &suffix)?;
                }
                None => self.root.remove(&line.path)?,
            }
        }
        fs::rename(self.record(&entry.call), self.applied(&entry.call))?;
        self.sync()?;
        Ok(Recovered::Complete)
    }

    /// Removes the temporary file of a runner that was killed before it could rename it: [`Root::replace`] makes it anew and never reuses one.
    fn sweep(&self, path: &Path, suffix: &str) -> io::Result<()> {
        let Some(name) = path.file_name() else { return Ok(()) };
        match self.root.remove(&path.with_file_name(format!(".{}.{suffix}", name.to_string_lossy()))) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }

    /// What is in the tree at a path.
    fn seen(&self, path: &Path) -> Seen {
        match self.root.read(path, FILE) {
            Ok(bytes) => Seen::Is(ObjectDigest::of(&bytes)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Seen::Gone,
            Err(_) => Seen::Else,
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}
