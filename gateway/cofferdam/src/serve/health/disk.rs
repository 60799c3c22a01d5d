//! Checks the free bytes of a disk, and the reserve for outcomes and cleanup of running jobs.

use super::Findings;
use cofferdam_process::access::space;
use std::path::Path;

/// Checks the file system of a path; for a missing path, that of its nearest folder.
pub fn disk(what: &'static str, path: &Path, found: &mut Findings) {
    let nearest = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let shown = nearest.display();
    match space(nearest) {
        Ok(space) if space.free < space.reserve => {
            let detail = format!(
                "{} free under `{shown}`, below the reserve of {}: new work is refused",
                bytes(space.free),
                bytes(space.reserve)
            );
            found.bad(what, detail, "free some space; nothing has to be restarted");
        }
        Ok(space) if space.files == Some(0) => {
            let detail = format!("no inode is free under `{shown}`: no file can be made");
            found.bad(what, detail, "remove files there; nothing has to be restarted");
        }
        Ok(space) => {
            let (free, reserve) = (bytes(space.free), bytes(space.reserve));
            found.good(what, format!("{free} free under `{shown}`; new work needs {reserve}"));
        }
        Err(error) => {
            let detail = format!("the free space under `{shown}` is not known: {error}");
            found.bad(what, detail, "see that the path can be reached");
        }
    }
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = count;
    let mut tenths = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        tenths = scaled % 1024 * 10 / 1024;
        scaled /= 1024;
        unit += 1;
    }
    let word = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{scaled} {word}") } else { format!("{scaled}.{tenths} {word}") }
}
