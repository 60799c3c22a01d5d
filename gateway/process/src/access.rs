//! Room of a file system, and whether a folder can be listed, asked without doing anything. Never
//! writes. Whether files could be replaced is in `writable.rs`.

use crate::rooted_fs::room;
use rustix::fs::{Access, access, statvfs};
use std::io;
use std::path::Path;

/// Whether this folder can be listed and entered.
pub fn can_list(folder: &Path) -> io::Result<()> {
    Ok(access(folder, Access::READ_OK | Access::EXEC_OK)?)
}

/// Room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process could still write.
    pub free: u64,
    /// Bytes below which no new work is taken: a tenth of the file system, or of its first 20 GiB.
    pub reserve: u64,
    /// Files that could still be made; none where the file system does not count them.
    pub files: Option<u64>,
}

/// Room of the file system that this path is on.
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
