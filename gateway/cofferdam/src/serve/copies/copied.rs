//! The copies of one start, with their digests, and the changes to them since. Reads copies and
//! originals; changes neither.

use super::is_component;
use crate::config::home::Home;
use anyhow::{Result, anyhow};
use cofferdam_core::model::id::ComponentDigest;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// All copies of one start.
#[derive(Debug, Clone)]
pub struct Copies {
    home: Home,
    files: Vec<Copied>,
    /// The trust files of home and copies, when removed approvers were last applied.
    applied: Option<[Option<Facts>; 2]>,
}

/// One copied file.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The path relative to the home, and to the folder of copies.
    pub name: PathBuf,
    digest: ComponentDigest,
    facts: Facts,
}

/// The metadata that shows a changed file without reading it: an edit, a replacement and a restore
/// each change a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Facts {
    /// Reads the metadata of a path; `None` if it is missing or cannot be reached.
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
    /// Notes new copies with their digests, and reads their metadata.
    pub fn note(home: Home, files: Vec<(PathBuf, ComponentDigest)>) -> Result<Self> {
        let note = |(name, digest): (PathBuf, ComponentDigest)| -> Result<Copied> {
            let facts = Facts::of(&home.root().join(&name))
                .ok_or_else(|| anyhow!("cannot read the copy of `{}`", name.display()))?;
            Ok(Copied { name, digest, facts })
        };
        let files = files.into_iter().map(note).collect::<Result<_>>()?;
        Ok(Self { home, files, applied: None })
    }

    /// Updates digest and metadata of one copy; returns whether the path is a copy.
    pub(super) fn note_again(&mut self, path: &Path) -> bool {
        let Ok(name) = path.strip_prefix(self.home.root()) else { return false };
        let Some(copied) = self.files.iter_mut().find(|copied| copied.name == name) else {
            return false;
        };
        // The metadata first: a change between the two is found by the next check.
        let (Some(facts), Ok(bytes)) = (Facts::of(path), fs::read(path)) else { return false };
        (copied.digest, copied.facts) = (ComponentDigest::of(&bytes), facts);
        true
    }

    /// The metadata of both trust files, if one changed since approvers were last applied.
    pub(super) fn changed_trust(&self, home: &Home) -> Option<[Option<Facts>; 2]> {
        let now = [home, &self.home].map(|home| Facts::of(&home.trust()));
        (self.applied != Some(now)).then_some(now)
    }

    /// Notes that removed approvers were applied when the trust files had this metadata.
    pub(super) fn note_applied(&mut self, facts: [Option<Facts>; 2]) {
        self.applied = Some(facts);
    }

    /// The folder of the copies, with the layout of a home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// All copied files.
    pub fn files(&self) -> &[Copied] {
        &self.files
    }

    /// The damaged copies, each with the damage in words.
    pub fn damaged(&self) -> Vec<(&Path, String)> {
        let happened = |copied: &Copied| {
            let path = self.home.root().join(&copied.name);
            if Facts::of(&path).is_some_and(|now| copied.is_untouched(now)) {
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
    /// Returns whether these are the metadata of the noted copy. A component is one file with the
    /// copies of other loads: each further name, and each removed one, changes its `ctime`.
    fn is_untouched(&self, now: Facts) -> bool {
        let same = Facts { changed: self.facts.changed, ..now } == self.facts;
        same && (is_component(&self.name) || now.changed == self.facts.changed)
    }

    /// Returns whether the original differs from the copy. A file that was not touched since is not
    /// read.
    pub fn differs(&self, original: &Path) -> bool {
        let Ok(now) = fs::metadata(original) else { return true };
        let touched = (now.ctime(), now.ctime_nsec()) >= self.facts.modified;
        let other =
            || !fs::read(original).is_ok_and(|bytes| ComponentDigest::of(&bytes) == self.digest);
        now.len() != self.facts.bytes || (touched && other())
    }
}
