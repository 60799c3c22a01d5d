//! The folder of a private copy: its name, and its removal. Never writes a file of the tree.

use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::Obstacle;
use cofferdam_process::writable::obstacle;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The prefix of the name of a private copy.
const PREFIX: &str = "cofferdam-run-";

/// The name of a job's namespace under a lease.
pub fn name(call: &CallId, fence: Fence) -> String {
    format!("{PREFIX}{call}-{fence}")
}

/// Removes every private copy of this job from an earlier lease. Returns the newest one; `None` if
/// there was no copy or no folder of copies.
pub fn sweep(runs: &Path, call: &CallId, fence: Fence) -> Result<Option<PathBuf>, Obstacle> {
    let unread = |error: io::Error| obstacle(runs, "cannot be read", &error);
    let own = format!("{PREFIX}{call}-");
    let mut newest = None;
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(unread)?,
    };
    for entry in entries {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name();
        let earlier = name
            .to_str()
            .and_then(|name| name.strip_prefix(&own))
            .and_then(|rest| rest.parse::<u64>().ok());
        if let Some(earlier) = earlier.filter(|earlier| *earlier < fence.0) {
            remove(&entry.path())?;
            newest = newest.max(Some((earlier, entry.path())));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Removes the folder of a private copy and checks that it is gone.
pub fn remove(folder: &Path) -> Result<(), Obstacle> {
    let kept = |error: io::Error| obstacle(folder, "cannot be removed", &error);
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(kept(error)),
    }
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(kept(error)),
        Ok(_) => Err(kept(io::Error::other("it is still there after it was removed"))),
    }
}
