//! What `serve` uses until its next start: copies of the trust file, the policy and the plugins, in
//! a folder of the home. So nothing that is accepted meanwhile takes effect in one role and not in
//! another. Never holds a key.

mod copied;
mod differences;
mod removed_approvers;

pub use copied::{Copies, Facts};
pub use differences::differences;
pub use removed_approvers::remove_approvers;

use crate::config::home::{Home, write_private};
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_process::writable;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A folder only its owner may enter.
const PRIVATE: u32 = 0o700;

/// How long another's look at the lock may be in the way.
const MOMENT: Duration = Duration::from_secs(1);

/// What is being made ends in this; only a whole copy has a bare number.
const UNFINISHED: &str = "new";

/// The copies of one start. Removed at a clean end; what a killed `serve` left is removed by the
/// next start.
#[derive(Debug)]
pub struct Served {
    copies: Copies,
    /// The home's own folder, locked: it cannot be lost without everything else. One `serve` at a
    /// time: a second one would remove the copies of the first.
    _lock: File,
}

impl Served {
    /// Copies what the home has now. The folder appears at once and whole; older ones are removed.
    pub fn take(home: &Home) -> Result<Self> {
        let folder = home.served();
        make(&folder)?;
        let lock = lock(home.root())?;
        let number = numbers(&folder).into_iter().max().unwrap_or(0).saturating_add(1);
        let unfinished = folder.join(format!("{number}.{UNFINISHED}"));
        clear(&folder)?;
        let names = copy_all(home, &home.beneath(&unfinished))?;
        let whole = folder.join(number.to_string());
        fs::rename(&unfinished, &whole)
            .with_context(|| format!("cannot name the copies `{}`", whole.display()))?;
        Ok(Self { copies: Copies::note(home.beneath(&whole), names)?, _lock: lock })
    }

    /// What was copied.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The next start removes what cannot be removed now.
        let _left = fs::remove_dir_all(self.copies.home().root());
    }
}

/// Returns whether a `serve` holds this home now.
pub fn running(home: &Home) -> bool {
    let lock = File::open(home.root());
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The copies of the `serve` that runs now, if one does.
pub fn current(home: &Home) -> Option<Home> {
    let folder = home.served();
    if !running(home) {
        return None;
    }
    let newest = numbers(&folder).into_iter().max()?;
    Some(home.beneath(&folder.join(newest.to_string())))
}

/// Where the trust file in use lies: the running `serve`'s copy, or the home's own if there is
/// none.
pub fn in_use(home: &Home) -> Home {
    current(home).filter(|copies| copies.trust().is_file()).unwrap_or_else(|| home.clone())
}

/// Numbers of whole copies.
fn numbers(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn make(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE)
        .create(folder)
        .map_err(|error| anyhow!("{}", writable::obstacle(folder, "cannot be made", &error)))
}

fn lock(path: &Path) -> Result<File> {
    let shown = path.display();
    let file =
        File::open(path).map_err(|error| anyhow!("{}", writable::unreadable(path, &error)))?;
    let until = Instant::now() + MOMENT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A command that looks whether one runs holds it for a moment.
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(MOMENT / 20)
            }
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `cofferdam serve` serves this home (it has locked `{shown}`); end it \
                     first"
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock `{shown}`"));
            }
        }
    }
}

/// Removes every older copy.
fn clear(folder: &Path) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove the old copies `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Copies every file that a role may read while it serves, and the configuration, to compare it
/// with later. Gives the paths of the copies, from their root on.
fn copy_all(home: &Home, to: &Home) -> Result<Vec<PathBuf>> {
    let folders = [to.tools(), to.executors(), to.commands(), to.policy()];
    for folder in folders.iter().map(PathBuf::as_path).chain(to.trust().parent()) {
        make(folder)?;
    }
    let mut names = Vec::new();
    for (from, copy) in pairs(home, to)? {
        // Whether one that is missing matters is for the role to say that needs it.
        match fs::read(&from) {
            Ok(bytes) => {
                write_private(&copy, &bytes)?;
                names.push(copy.strip_prefix(to.root()).unwrap_or(&copy).to_owned());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => bail!("{}", writable::unreadable(&from, &error)),
        }
    }
    Ok(names)
}

/// Every file of the home of which there is a copy while it serves. Of a folder that cannot be
/// listed, none.
pub fn originals(home: &Home) -> Vec<PathBuf> {
    pairs(home, home).unwrap_or_default().into_iter().map(|(from, _)| from).collect()
}

/// Each file of the home that is copied, with its copy.
fn pairs(home: &Home, copies: &Home) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut pairs = vec![
        (home.config(), copies.config()),
        (home.trust(), copies.trust()),
        (home.policy_module(), copies.policy_module()),
        (home.policy_data(), copies.policy_data()),
    ];
    let folders = [
        (home.tools(), copies.tools()),
        (home.executors(), copies.executors()),
        (home.commands(), copies.commands()),
    ];
    for (from, to) in folders {
        let entries = match fs::read_dir(&from) {
            Ok(entries) => entries,
            // An installation that never accepted a command has no folder for them.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => bail!("{}", writable::unreadable(&from, &error)),
        };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list `{}`", from.display()))?.path();
            if let Some(name) =
                path.file_name().filter(|_| path.extension().is_some_and(|ending| ending == "wasm"))
            {
                pairs.push((path.clone(), to.join(name)));
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests;
