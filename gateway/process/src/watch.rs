//! Changes of folders as the kernel reports them (inotify). The kernel queues a change before the
//! call that made it returns, so [`Watch::changes`] has every change that was complete before it.
//! Watches folders that were opened beneath a root, on file systems whose changes are all made by
//! this kernel. Never follows a link, and opens no file.
//!
//! Not reported: a write through a mapping of memory, a write through a hard link in a folder that
//! is not watched, and a mount over a watched folder.

use crate::rooted_fs::Root;
use rustix::fs::fstatfs;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Bytes that one read takes: some hundred changes. The kernel needs room for one with the longest
/// name, about 280 bytes.
const READ: usize = 16 * 1024;

/// The most changes of one look: twice the usual queue of the kernel (`max_queued_events`). More
/// count as lost, so that a busy writer cannot hold a reader.
const CHANGES: usize = 32 * 1024;

/// File systems whose changes are all made by this kernel (`linux/magic.h`, `statfs(2)`): ext,
/// XFS, Btrfs, tmpfs, F2FS, ZFS, bcachefs. On others, as of a network or of overlays, a change may
/// be made where this kernel sees nothing.
const LOCAL: [u64; 7] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E];

/// A watched folder. Two paths of one folder have the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId(pub i32);

/// A change since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file or a link of a watched folder. `listed` is true if the entries of the folder changed,
    /// false if the content or the rights of the file did.
    File {
        /// The folder.
        folder: FolderId,
        /// The name in the folder.
        name: OsString,
        /// The entries of the folder changed.
        listed: bool,
    },
    /// A folder in a watched folder, or the watched folder itself if there is no name.
    Folder {
        /// The watched folder.
        folder: FolderId,
        /// The name in the folder, or nothing.
        name: OsString,
    },
    /// Changes that the kernel did not keep.
    Lost,
}

/// Why a folder is not watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder cannot be opened.
    #[error(transparent)]
    Folder(io::Error),
    /// The file system of the folder may change where this kernel sees nothing.
    #[error("its file system (type {0:#x}) does not report every change")]
    FileSystem(u64),
    /// The kernel watches no more.
    #[error("the kernel gives no events of it; a higher `fs.inotify.max_user_watches` may help")]
    Kernel(#[source] io::Error),
}

/// The queue of changes.
#[derive(Debug)]
pub struct Watch {
    queue: OwnedFd,
}

impl Watch {
    /// Opens an empty queue.
    /// # Errors
    /// The kernel has no more queues for this user (`fs.inotify.max_user_instances`).
    pub fn open() -> io::Result<Self> {
        Ok(Self { queue: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)? })
    }

    /// Watches a folder beneath a root, not what is in its folders. A folder that is watched
    /// already keeps its id.
    /// # Errors
    /// The folder cannot be opened, or not be watched.
    pub fn add(&self, root: &Root, path: &Path) -> Result<FolderId, WatchError> {
        let folder = root.folder(path).map_err(WatchError::Folder)?;
        let system = fstatfs(&folder).map_err(|error| WatchError::Folder(error.into()))?;
        // The sign of the kernel's field differs between architectures.
        let kind = u64::try_from(system.f_type & 0xffff_ffff).unwrap_or_default();
        if !LOCAL.contains(&kind) {
            return Err(WatchError::FileSystem(kind));
        }
        let flags = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // The call takes a path alone. This one is the folder that was opened, and no other.
        let opened = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let id = inotify::add_watch(&self.queue, opened, flags);
        id.map(FolderId).map_err(|error| WatchError::Kernel(error.into()))
    }

    /// Watches a folder no more. Does nothing if the kernel ended the watch before.
    pub fn remove(&self, folder: FolderId) {
        let _ended_before = inotify::remove_watch(&self.queue, folder.0);
    }

    /// Takes the changes since the last call, in order. Never waits.
    /// # Errors
    /// The queue cannot be read.
    pub fn changes(&self) -> io::Result<Vec<Change>> {
        let mut buffer = [MaybeUninit::uninit(); READ];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        let mut changes = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(changes),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if changes.len() >= CHANGES {
                changes.push(Change::Lost);
                return Ok(changes);
            }
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            changes.push(change(FolderId(event.wd()), event.events(), name));
        }
    }
}

fn change(folder: FolderId, events: ReadFlags, name: Option<&OsStr>) -> Change {
    let listed =
        ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
    match name {
        _ if events.contains(ReadFlags::QUEUE_OVERFLOW) => Change::Lost,
        Some(name) if !events.contains(ReadFlags::ISDIR) => {
            Change::File { folder, name: name.to_owned(), listed: events.intersects(listed) }
        }
        name => Change::Folder { folder, name: name.unwrap_or_default().to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_is_there_when_the_call_that_made_it_returned() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("shop")).unwrap();
        let (root, watch) = (Root::open(place.path()).unwrap(), Watch::open().unwrap());
        let shop = match watch.add(&root, Path::new("shop")) {
            Ok(shop) => shop,
            // The temporary folder of this machine is on a file system without all events.
            Err(WatchError::FileSystem(_)) => return,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(watch.add(&root, Path::new("shop")).unwrap(), shop);
        assert_eq!(watch.changes().unwrap(), []);
        let at = |name: &str| place.path().join("shop").join(name);
        let file = |name: &str, listed| Change::File { folder: shop, name: name.into(), listed };
        fs::write(at("a.yaml"), "a: 1\n").unwrap();
        assert_eq!(watch.changes().unwrap(), [file("a.yaml", true), file("a.yaml", false)]);
        fs::rename(at("a.yaml"), at("b.yaml")).unwrap();
        assert_eq!(watch.changes().unwrap(), [file("a.yaml", true), file("b.yaml", true)]);
        fs::create_dir(at("deep")).unwrap();
        assert_eq!(
            watch.changes().unwrap(),
            [Change::Folder { folder: shop, name: "deep".into() }]
        );
        watch.remove(shop);
        assert_eq!(
            watch.changes().unwrap(),
            [Change::Folder { folder: shop, name: OsString::new() }]
        );
        fs::write(at("b.yaml"), "a: 2\n").unwrap();
        assert_eq!(watch.changes().unwrap(), []);
    }

    #[test]
    fn a_file_or_a_folder_outside_is_not_watched() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("tree")).unwrap();
        fs::write(place.path().join("tree/a.yaml"), "").unwrap();
        std::os::unix::fs::symlink("..", place.path().join("tree/up")).unwrap();
        let root = Root::open(&place.path().join("tree")).unwrap();
        let watch = Watch::open().unwrap();
        for path in ["a.yaml", "up", "..", "none"] {
            let refused = watch.add(&root, Path::new(path));
            assert!(matches!(refused, Err(WatchError::Folder(_))), "{path}: {refused:?}");
        }
    }
}
