//! The free room of a file system, and the right to list a folder. Writes nothing. The checks for
//! writable files are in `writable.rs`.

use crate::rooted_fs::room;
use rustix::fs::{Access, access, statvfs};
use std::io;
use std::path::Path;

/// Checks that this process can list and enter a folder.
pub fn can_list(folder: &Path) -> io::Result<()> {
    Ok(access(folder, Access::READ_OK | Access::EXEC_OK)?)
}

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free bytes that this process may still write.
    pub free: u64,
    /// The recorder takes no new work below this number of free bytes: a tenth of the file system,
    /// or of its first 20 GiB.
    pub reserve: u64,
    /// The number of files that can still be created, or `None` if the file system does not count
    /// them.
    pub files: Option<u64>,
}

/// Returns the room of the file system that has this path.
pub fn space(path: &Path) -> io::Result<Space> {
    let (free, reserve) = room(path)?;
    let facts = statvfs(path)?;
    Ok(Space { free, reserve, files: (facts.f_files > 0).then_some(facts.f_favail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_there_has_room_and_can_be_listed() {
        let place = tempfile::tempdir().unwrap();
        can_list(place.path()).unwrap();
        assert!(can_list(&place.path().join("none")).is_err());
        let space = space(place.path()).unwrap();
        assert!(space.free > 0 && space.reserve > 0, "{space:?}");
    }
}
