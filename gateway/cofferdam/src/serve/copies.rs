//! Copies of the trust file, the policy and the plugins, which `serve` uses until its next load. So
//! a newly accepted file never takes effect in one role and not in another: each load has a folder,
//! and a link names the folder in use. Never copies a key.

mod copied;
mod differences;
mod removed_approvers;

pub use copied::{Copies, Facts};
pub use differences::{changed_config, differences};
pub use removed_approvers::remove_approvers;

use crate::config::home::{Home, write_private};
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::protocol::role_settings::IN_USE;
use cofferdam_process::writable;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The mode of a folder that only its owner can enter.
const PRIVATE: u32 = 0o700;

/// The time limit for the lock: a command tests it for a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// The extension of an unfinished copy. A finished copy has only a number.
const UNFINISHED: &str = "new";

/// The copies of one start and of its loads, removed at its end. The next start removes the copies
/// of a killed `serve`.
#[derive(Debug)]
pub struct Served {
    copies: Copies,
    /// The folder of all copies.
    folder: PathBuf,
    /// The lock on the folder of the home. It permits one `serve`: a second one would remove the
    /// copies of the first.
    _lock: File,
}

impl Served {
    /// Copies the accepted files. The folder gets its name only when it is complete; older ones are
    /// removed.
    pub fn take(home: &Home) -> Result<Self> {
        let folder = home.served();
        make(&folder)?;
        let lock = lock(home.root())?;
        let number = next_number(&folder);
        clear(&folder)?;
        let copies = copy(home, number, None)?;
        point(&folder, copies.home())?;
        Ok(Self { copies, folder, _lock: lock })
    }

    /// The copies in use.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Notes the state of the copies in use.
    pub fn note(&mut self, copies: Copies) {
        self.copies = copies;
    }

    /// Uses other copies from now on. The earlier ones stay for jobs that use them.
    pub fn replace(&mut self, copies: Copies) -> Result<()> {
        point(&self.folder, copies.home())?;
        self.copies = copies;
        Ok(())
    }
}

/// Copies the accepted files again, beside the copies in use. The configuration is copied from
/// those: it changes at a start alone.
pub fn again(home: &Home, used: &Copies) -> Result<Copies> {
    copy(home, next_number(&home.served()), Some(used.home()))
}

/// The path of the link to the copies in use.
pub fn link(home: &Home) -> PathBuf {
    home.served().join(IN_USE)
}

fn next_number(folder: &Path) -> u64 {
    numbers(folder).into_iter().max().unwrap_or(0).saturating_add(1)
}

fn copy(home: &Home, number: u64, used: Option<&Home>) -> Result<Copies> {
    let folder = home.served();
    let unfinished = folder.join(format!("{number}.{UNFINISHED}"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove the copies `{}`", unfinished.display()))?;
    }
    let names = copy_all(home, &home.beneath(&unfinished), used)?;
    let whole = folder.join(number.to_string());
    fs::rename(&unfinished, &whole)
        .with_context(|| format!("cannot name the copies `{}`", whole.display()))?;
    Copies::note(home.beneath(&whole), names)
}

/// Moves the link to these copies, in one step for every reader.
fn point(folder: &Path, copies: &Home) -> Result<()> {
    let name = copies.root().file_name().context("the copies have no name")?;
    let (link, fresh) = (folder.join(IN_USE), folder.join(format!("{IN_USE}.{UNFINISHED}")));
    // Of a `serve` that was killed.
    let _none = fs::remove_file(&fresh);
    symlink(name, &fresh)
        .and_then(|()| fs::rename(&fresh, &link))
        .with_context(|| format!("cannot move the link `{}`", link.display()))
}

impl Drop for Served {
    fn drop(&mut self) {
        // The next start removes a copy that cannot be removed now.
        let _left = clear(&self.folder);
        let _none = fs::remove_file(self.folder.join(IN_USE));
    }
}

/// Returns whether a `serve` runs on this home.
pub fn running(home: &Home) -> bool {
    let lock = File::open(home.root());
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The copies of the running `serve`, if there is one.
pub fn current(home: &Home) -> Option<Home> {
    let folder = home.served();
    if !running(home) {
        return None;
    }
    Some(home.beneath(&folder.join(fs::read_link(link(home)).ok()?)))
}

/// The copies of every load of the running `serve`: a job uses those of its beginning.
pub fn loads(home: &Home) -> Vec<Home> {
    let folder = home.served();
    let numbers = if running(home) { numbers(&folder) } else { Vec::new() };
    numbers.into_iter().map(|number| home.beneath(&folder.join(number.to_string()))).collect()
}

/// The home with the trust file in use: the copies of the running `serve`, else the home itself.
pub fn in_use(home: &Home) -> Home {
    current(home).filter(|copies| copies.trust().is_file()).unwrap_or_else(|| home.clone())
}

/// The numbers of finished copies.
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
            // A command that tests for a running `serve` holds the lock for a moment.
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

/// Removes every copy in the folder.
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

/// Copies every file that roles read while they serve, and the configuration for a later
/// comparison. Returns the copies, with paths relative to their root.
fn copy_all(
    home: &Home,
    to: &Home,
    used: Option<&Home>,
) -> Result<Vec<(PathBuf, ComponentDigest)>> {
    let folders = [to.tools(), to.executors(), to.commands(), to.policy()];
    for folder in folders.iter().map(PathBuf::as_path).chain(to.trust().parent()) {
        make(folder)?;
    }
    let mut names = Vec::new();
    for (from, copy) in pairs(home, to)? {
        let name = copy.strip_prefix(to.root()).unwrap_or(&copy).to_owned();
        let from = match used {
            Some(used) if from == home.config() => used.config(),
            _ => from,
        };
        // The role that needs a missing file reports it.
        match fs::read(&from) {
            Ok(bytes) => {
                let same = used.map(|used| used.root().join(&name)).filter(|same| {
                    (is_component(same) || *same == from)
                        && fs::read(same).is_ok_and(|known| known == bytes)
                });
                // An equal component needs no room of its own, and the configuration keeps the time
                // of its first copy: a later change of the home's is found by it.
                if same.is_none_or(|same| fs::hard_link(same, &copy).is_err()) {
                    write_private(&copy, &bytes)?;
                }
                names.push((name, ComponentDigest::of(&bytes)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => bail!("{}", writable::unreadable(&from, &error)),
        }
    }
    Ok(names)
}

/// Every file of the home that `serve` copies. Without the files of an unreadable folder.
pub fn originals(home: &Home) -> Vec<PathBuf> {
    pairs(home, home).unwrap_or_default().into_iter().map(|(from, _)| from).collect()
}

fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "wasm")
}

/// Each copied file of the home, with the path of its copy.
fn pairs(home: &Home, copies: &Home) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut pairs = vec![
        (home.config(), copies.config()),
        (home.trust(), copies.trust()),
        (home.policy_module(), copies.policy_module()),
        (home.policy_data(), copies.policy_data()),
    ];
    // A policy may be without its rules.
    if home.policy_rules().exists() {
        pairs.push((home.policy_rules(), copies.policy_rules()));
    }
    let folders = [
        (home.tools(), copies.tools()),
        (home.executors(), copies.executors()),
        (home.commands(), copies.commands()),
    ];
    for (from, to) in folders {
        let entries = match fs::read_dir(&from) {
            Ok(entries) => entries,
            // A home without accepted commands has no folder for them.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => bail!("{}", writable::unreadable(&from, &error)),
        };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list `{}`", from.display()))?.path();
            if let Some(name) = path.file_name().filter(|_| is_component(&path)) {
                pairs.push((path.clone(), to.join(name)));
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests;
