//! Files beneath one root. They are opened with `openat2`: never through a link, never outside of
//! the root, regular files only. The kernel resolves the path, so there is no time between a check
//! and its use. Never follows `..`.

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, fchmod, flock, fstat,
    fsync, openat2, renameat, unlinkat,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

mod stamp;

pub use stamp::Stamp;

/// A root directory that is held open.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

/// The type of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory of its own.
    Directory,
    /// A symbolic link, which is never followed.
    Link,
    /// Any other type, which is never opened.
    Other,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name in the directory.
    pub name: OsString,
    /// The type of the entry.
    pub kind: Kind,
}

/// Returns whether a file of this name may hold manifests.
pub fn is_manifest(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
        || name == "Kustomization"
}

/// The rules for names: beneath the root, through no link of any type, across no mount that was
/// made later.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl Root {
    /// Opens a directory. The path to it may go through links; paths beneath it may not.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { directory: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Returns the entries of a directory, sorted by name, without `.` and `..`. The empty path is
    /// the root.
    pub fn entries(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let directory = self.at(here(path), OFlags::DIRECTORY | OFlags::RDONLY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Link,
                FileType::Unknown => self.kind(&here(path).join(&name))?,
                _ => Kind::Other,
            };
            entries.push(Entry { name, kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        match self.at(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(descriptor) => Ok(match FileType::from_raw_mode(fstat(&descriptor)?.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            }),
            Err(_) => Ok(Kind::Other),
        }
    }

    /// Returns the target of a symbolic link, as it is written, without following it.
    pub fn target(&self, path: &Path) -> io::Result<PathBuf> {
        let (parent, name) = split(path)?;
        let directory = self.at(here(parent), OFlags::DIRECTORY | OFlags::RDONLY)?;
        let target = rustix::fs::readlinkat(&directory, name, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Reads a regular file. Refuses a file larger than `limit` bytes with
    /// [`io::ErrorKind::FileTooLarge`].
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // Without `O_NONBLOCK`, opening a pipe would wait for its writer.
        let file = File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let size = regular(&file)?;
        if size > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        (&file).take(limit + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// Replaces or creates a regular file: writes a new file beside it, syncs, and renames. The
    /// file is never half written, and keeps its mode. `suffix` makes the temporary name, which is
    /// removed after an error.
    pub fn replace(&self, path: &Path, bytes: &[u8], suffix: &str) -> io::Result<()> {
        self.stage(path, bytes, suffix)?.place()
    }

    /// Does the first half of [`Root::replace`]: writes and syncs the new file beside the old one,
    /// under a temporary name. Dropping the result removes the new file.
    pub fn stage(&self, path: &Path, bytes: &[u8], suffix: &str) -> io::Result<Staged> {
        let (parent, name) = split(path)?;
        let directory = self.folder(parent)?;
        let old_mode = match self.at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(old) => {
                let old = File::from(old);
                regular(&old)?;
                Some(Mode::from_raw_mode(fstat(&old)?.st_mode & 0o777))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let temporary = Path::new(".").join(format!(".{}.{suffix}", name.to_string_lossy()));
        let mode = old_mode.unwrap_or(Mode::from_raw_mode(0o644));
        let made = openat2(
            &directory,
            &temporary,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
            mode,
            RESOLVE,
        )?;
        let mut file = File::from(made);
        // From here on the temporary file is removed, unless it is placed.
        let staged = Staged { directory, temporary, name: name.to_owned(), placed: false };
        // The umask trims the mode of a created file. A replaced file keeps its mode; a new file
        // gets the mode that the umask allows.
        if let Some(mode) = old_mode {
            fchmod(&file, mode)?;
        }
        file.write_all(bytes)?;
        fsync(&file)?;
        Ok(staged)
    }

    /// Removes a regular file and syncs its directory.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let directory = self.at(here(parent), OFlags::DIRECTORY | OFlags::RDONLY)?;
        regular(&File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK)?))?;
        unlinkat(&directory, name, AtFlags::empty())?;
        Ok(fsync(&directory)?)
    }

    /// Takes an exclusive lock on this directory until the guard is dropped. Waits for other
    /// holders.
    pub fn lock(&self) -> io::Result<Lock> {
        let descriptor = self.at(Path::new("."), OFlags::DIRECTORY | OFlags::RDONLY)?;
        flock(&descriptor, FlockOperation::LockExclusive)?;
        Ok(Lock { _descriptor: descriptor })
    }

    /// Opens a folder beneath the root. The empty path is the root.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.at(here(path), OFlags::DIRECTORY | OFlags::RDONLY)
    }

    fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the path `{}` leaves its root", path.display()),
            ));
        }
        Ok(openat2(self.directory.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), RESOLVE)?)
    }
}

/// A new file beside the file that it is to replace.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    directory: OwnedFd,
    temporary: PathBuf,
    name: OsString,
    placed: bool,
}

impl Staged {
    /// Renames the new file to its final name, and syncs the directory.
    pub fn place(mut self) -> io::Result<()> {
        renameat(&self.directory, &self.temporary, &self.directory, &self.name)?;
        self.placed = true;
        Ok(fsync(&self.directory)?)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            let _nothing_else_to_do = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// An exclusive lock. It ends when it is dropped or when its process dies.
#[derive(Debug)]
pub struct Lock {
    _descriptor: OwnedFd,
}

fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

pub(crate) fn split(path: &Path) -> io::Result<(&Path, &std::ffi::OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the path `{}` names no file", path.display()),
        )),
    }
}

fn regular(file: &File) -> io::Result<u64> {
    let facts = file.metadata()?;
    if facts.is_file() {
        Ok(facts.len())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The size above which a disk counts as this size. The reserve is for outcomes and teardown of
/// running jobs, and a larger disk does not make these larger.
const LARGE_DISK: u64 = 20 << 30;

/// The reserve is the size of the disk divided by this: a tenth.
const RESERVE: u64 = 10;

/// Returns the free bytes of a file system that this process may write, and the bytes of its
/// reserve: a tenth, or a tenth of the first 20 GiB.
pub fn room(path: &Path) -> io::Result<(u64, u64)> {
    let facts = rustix::fs::statvfs(path)?;
    let total = facts.f_blocks.saturating_mul(facts.f_frsize);
    Ok((facts.f_bavail.saturating_mul(facts.f_frsize), total.min(LARGE_DISK) / RESERVE))
}

/// Returns the absolute path, with every link resolved, to compare places before the start.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_and_nothing_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("tree")).unwrap();
        std::fs::write(place.path().join("secret"), "x").unwrap();
        std::fs::write(place.path().join("tree/a.yaml"), "a: 1\n").unwrap();
        std::os::unix::fs::symlink("../secret", place.path().join("tree/link")).unwrap();
        let root = Root::open(&place.path().join("tree")).unwrap();
        assert_eq!(root.read(Path::new("a.yaml"), 100).unwrap(), b"a: 1\n");
        assert_eq!(
            root.read(Path::new("a.yaml"), 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        for bad in ["link", "../secret", "/etc/passwd", "."] {
            assert!(root.read(Path::new(bad), 100).is_err(), "{bad}");
        }
        assert!(root.replace(Path::new("link"), b"y", "t").is_err());
        root.replace(Path::new("a.yaml"), b"a: 2\n", "t").unwrap();
        assert_eq!(root.read(Path::new("a.yaml"), 100).unwrap(), b"a: 2\n");
        let names: Vec<_> = root
            .entries(Path::new(""))
            .unwrap()
            .into_iter()
            .map(|entry| (entry.name, entry.kind))
            .collect();
        assert_eq!(names, [("a.yaml".into(), Kind::File), ("link".into(), Kind::Link)]);
        root.remove(Path::new("a.yaml")).unwrap();
        assert!(root.read(Path::new("a.yaml"), 100).is_err());
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_whatever_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.yaml");
        std::fs::write(&file, "a: 1\n").unwrap();
        // Every usual umask (022, 027, 077) takes rights from the first two modes.
        for mode in [0o666, 0o777, 0o640, 0o600] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            Root::open(place.path()).unwrap().replace(Path::new("a.yaml"), b"a: 2\n", "t").unwrap();
            assert_eq!(
                std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                mode,
                "{mode:o}"
            );
        }
    }
}
