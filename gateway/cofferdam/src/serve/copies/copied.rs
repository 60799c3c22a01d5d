//! The copies of one start, as they were made, and what became of them since. Reads copies and
//! originals; changes neither.

use crate::config::home::Home;
use anyhow::{Context as _, Result};
use cofferdam_core::model::id::ComponentDigest;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Every copy of one start.
#[derive(Debug, Clone)]
pub struct Copies {
    home: Home,
    files: Vec<Copied>,
}

/// One copy.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Its path within the home, and within the copies.
    pub name: PathBuf,
    digest: ComponentDigest,
    facts: Facts,
}

/// What tells, without a read, that a file is as it was: an edit, a replacement and a restore each
/// change one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Facts {
    /// Of the file at this path; none where there is none or it cannot be reached.
    pub fn of(path: &Path) -> Option<Self> {
        path.symlink_metadata().ok().map(|facts| Self::from(&facts))
    }
}

impl From<&Metadata> for Facts {
    fn from(facts: &Metadata) -> Self {
        Self {
            inode: (facts.dev(), facts.ino()),
            bytes: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

impl Copies {
    /// The copies with these names, which were just made in this folder.
    pub fn note(home: Home, names: Vec<PathBuf>) -> Result<Self> {
        let note = |name: PathBuf| -> Result<Copied> {
            let path = home.root().join(&name);
            let read = || -> std::io::Result<(Vec<u8>, Metadata)> {
                Ok((fs::read(&path)?, path.symlink_metadata()?))
            };
            let (bytes, facts) =
                read().with_context(|| format!("cannot read the copy of `{}`", name.display()))?;
            Ok(Copied { digest: ComponentDigest::of(&bytes), facts: Facts::from(&facts), name })
        };
        let files = names.into_iter().map(note).collect::<Result<_>>()?;
        Ok(Self { home, files })
    }

    /// Takes note of one copy as it is now; says whether there is one of this path.
    pub(super) fn note_again(&mut self, path: &Path) -> bool {
        let Ok(name) = path.strip_prefix(self.home.root()).map(Path::to_owned) else {
            return false;
        };
        let Ok(Self { files: mut fresh, .. }) = Self::note(self.home.clone(), vec![name.clone()])
        else {
            return false;
        };
        match (self.files.iter_mut().find(|copied| copied.name == name), fresh.pop()) {
            (Some(old), Some(new)) => {
                *old = new;
                true
            }
            _ => false,
        }
    }

    /// Where they lie, with the same layout as a home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Each of them.
    pub fn files(&self) -> &[Copied] {
        &self.files
    }

    /// The copies that are not what was copied any more, each with what happened to it.
    pub fn damaged(&self) -> Vec<(&Path, String)> {
        let happened = |copied: &Copied| {
            let path = self.home.root().join(&copied.name);
            if Facts::of(&path) == Some(copied.facts) {
                return None;
            }
            match fs::read(&path) {
                Ok(bytes) if ComponentDigest::of(&bytes) == copied.digest => None,
                Ok(_) => Some("was changed".to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Some("is gone".to_owned())
                }
                Err(error) => Some(format!("cannot be read ({error})")),
            }
        };
        self.files
            .iter()
            .filter_map(|copied| Some((copied.name.as_path(), happened(copied)?)))
            .collect()
    }
}

impl Copied {
    /// Returns whether the original at this path is another file than was copied. One that was not
    /// touched since is not read.
    pub fn differs(&self, original: &Path) -> bool {
        let Ok(now) = fs::metadata(original) else { return true };
        let touched = (now.ctime(), now.ctime_nsec()) >= self.facts.modified;
        let other =
            || !fs::read(original).is_ok_and(|bytes| ComponentDigest::of(&bytes) == self.digest);
        now.len() != self.facts.bytes || (touched && other())
    }
}
