//! The tree of manifests: a folder that the serving user can change, in every part. Follows no
//! link, changes nothing.

use super::Findings;
use cofferdam_process::access::can_list;
use cofferdam_process::writable;
use std::path::Path;

/// How much of it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Its root alone: cheap enough for each second.
    Root,
    /// Every folder and manifest.
    Whole,
}

/// Places named, at most.
const NAMED: usize = 5;

/// Looks at the tree.
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
