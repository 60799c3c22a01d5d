//! The files of a tree: regular ones beneath its root, never through a link, dot-paths skipped. What is too large, no
//! text or not readable is named, not read, and keeps no call about other files from its answer.

use super::read::Unclear;
use cofferdam_core::job::Obstacle;
use cofferdam_process::beneath::{Kind, Root};
use cofferdam_process::writable::{remedy, remedy_of_reading};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of one manifest: the largest generated ones have a few hundred KiB, and all of it is parsed.
pub const FILE: u64 = 1024 * 1024;

/// Manifests of a tree: read at every look, so beyond this a tree is better served in parts.
pub const FILES: usize = 10_000;

/// `EIO` of Linux: the disk does not give these bytes.
const EIO: i32 = 5;

/// Folders within folders.
const DEPTH: usize = 32;

/// A tree that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TreeFault {
    /// The tree cannot be read.
    #[error("cannot read `{path}` in the tree")]
    Read {
        /// Which path, beneath the root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too many manifests.
    #[error("the tree has more than {FILES} manifests; serve a part of it")]
    Many,
}

impl From<TreeFault> for Obstacle {
    fn from(fault: TreeFault) -> Self {
        match &fault {
            TreeFault::Read { source, .. } => Self::new(format!("{fault}: {source}"), remedy(source)),
            TreeFault::Many => Self::new(fault.to_string(), "serve a part of it"),
        }
    }
}

/// One manifest file: its path beneath the root, and its text or why it has none.
#[derive(Debug)]
pub struct Manifest {
    /// Beneath the root.
    pub path: PathBuf,
    /// Its text.
    pub text: Result<String, Unclear>,
}

/// Every `.yaml` and `.yml` file, and every `Kustomization`, sorted by path.
pub fn manifests(root: &Root) -> Result<Vec<Manifest>, TreeFault> {
    let mut found = Vec::new();
    walk(root, Path::new(""), 0, &mut found)?;
    Ok(found)
}

fn walk(root: &Root, folder: &Path, depth: usize, found: &mut Vec<Manifest>) -> Result<(), TreeFault> {
    if depth > DEPTH {
        return Ok(());
    }
    let entries = match root.entries(folder) {
        Ok(entries) => entries,
        // Below the root a folder is passed over, as one file is: calls about other objects go on.
        Err(fault) if depth > 0 && is_local(&fault) => {
            found.push(Manifest { path: folder.to_owned(), text: Err(unreadable(&fault)) });
            return Ok(());
        }
        Err(source) => return Err(TreeFault::Read { path: folder.to_owned(), source }),
    };
    for entry in entries {
        // A name that is not UTF-8 could not be shown to anybody as it is.
        let Some(name) = entry.name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = folder.join(name);
        match entry.kind {
            Kind::Directory => walk(root, &path, depth + 1, found)?,
            Kind::File if name.ends_with(".yaml") || name.ends_with(".yml") || name == "Kustomization" => {
                if found.len() >= FILES {
                    return Err(TreeFault::Many);
                }
                match text(root, &path) {
                    Ok(text) => found.push(Manifest { path, text }),
                    // Gone or replaced since it was listed: as if it had not been there.
                    Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                    Err(fault) if is_local(&fault) => found.push(Manifest { text: Err(unreadable(&fault)), path }),
                    Err(source) => return Err(TreeFault::Read { path, source }),
                }
            }
            Kind::File | Kind::Other => {}
        }
    }
    Ok(())
}

/// Whether a fault is of one file or folder alone: its rights, or the disk beneath it.
fn is_local(fault: &io::Error) -> bool {
    fault.kind() == io::ErrorKind::PermissionDenied || fault.raw_os_error() == Some(EIO)
}

fn unreadable(fault: &io::Error) -> Unclear {
    Unclear { line: 1, reason: format!("cannot be read: {fault}; {}", remedy_of_reading(fault)) }
}

/// One manifest's text.
pub fn text(root: &Root, path: &Path) -> io::Result<Result<String, Unclear>> {
    let unclear = |reason: String| Ok(Err(Unclear { line: 1, reason }));
    match root.read(path, FILE) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Ok(text)),
            Err(_) => unclear("not UTF-8".to_owned()),
        },
        Err(fault) if fault.kind() == io::ErrorKind::FileTooLarge => unclear(format!("larger than {FILE} bytes")),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_cannot_be_read_has_the_cause_and_the_remedy_of_its_own_error() {
        let table = [(13, "the right to read it"), (1, "the right to read it"), (EIO, "look at the disk")];
        for (errno, words) in table {
            let fault = io::Error::from_raw_os_error(errno);
            assert!(is_local(&fault), "{errno}");
            let Unclear { reason, .. } = unreadable(&fault);
            let cause = format!("cannot be read: {fault}; ");
            assert!(reason.starts_with(&cause) && reason.contains(words), "{errno}: {reason}");
        }
    }
}
