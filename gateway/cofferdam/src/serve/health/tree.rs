//! Checks that the user of `serve` can change every folder and manifest of the tree. Follows no
//! link, changes nothing.

use super::Findings;
use cofferdam_process::access::can_list;
use cofferdam_process::writable;
use std::path::Path;

/// The depth of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the root: cheap enough for each second.
    Root,
    /// Every folder and manifest.
    Whole,
}

/// The most places in a finding.
const NAMED: usize = 5;

/// Checks the tree to this depth.
pub fn tree(root: &Path, depth: Depth, found: &mut Findings) {
    let shown = root.display();
    let remedy = "put it back, or name the right folder in cofferdam.toml";
    match root.metadata() {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return found.bad("tree", format!("`{shown}` is a file, not a folder"), remedy),
        Err(error) => {
            return found.bad("tree", format!("`{shown}` cannot be reached: {error}"), remedy);
        }
    }
    if let Err(error) = can_list(root) {
        return found.bad(
            "tree",
            format!("this user cannot read `{shown}`: {error}"),
            &writable::remedy(&error),
        );
    }
    let barred = match depth {
        Depth::Root => writable::folder(root).err().into_iter().collect(),
        Depth::Whole => writable::tree(root, NAMED),
    };
    for obstacle in &barred {
        let remedy = format!("{}; nothing has to be restarted", obstacle.remedy);
        found.bad("tree", format!("in `{shown}`: {}", obstacle.cause), &remedy);
    }
    if barred.is_empty() {
        found.good("tree", format!("`{shown}` can be changed by this user"));
    }
}
