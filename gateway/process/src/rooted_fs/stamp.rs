//! The state of a file as the file system tells it, to see that a file changed without reading it.
//! The times have the granularity of the kernel's clock, some milliseconds: two changes within it
//! that keep the size may have one stamp. Never follows a link at the end of a path.

use super::{Root, here};
use rustix::fs::{AtFlags, statat};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

/// Place, size and times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    is_linked: bool,
    mode: u32,
    size: i64,
    /// Seconds and nanoseconds of the last change of the content, and of the file itself.
    times: [i128; 2],
}

impl Stamp {
    /// The file itself, whatever its names are.
    pub fn file(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Returns whether the file has more than one name (a hard link).
    pub fn is_linked(&self) -> bool {
        self.is_linked
    }
}

impl Root {
    /// Returns the stamp of the file that has this path beneath the root now.
    /// # Errors
    /// The path has no file, or its folder cannot be entered.
    pub fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let facts = statat(self.directory.as_fd(), here(path), AtFlags::SYMLINK_NOFOLLOW)?;
        let time = |seconds, nanoseconds| i128::from(seconds) << 32 | i128::from(nanoseconds);
        Ok(Stamp {
            device: facts.st_dev,
            inode: facts.st_ino,
            is_linked: facts.st_nlink > 1,
            mode: facts.st_mode,
            size: facts.st_size,
            times: [
                time(facts.st_mtime, facts.st_mtime_nsec),
                time(facts.st_ctime, facts.st_ctime_nsec),
            ],
        })
    }
}
