//! What the kernel keeps from a role: Landlock for files and TCP ports, seccomp for system calls,
//! resource limits for all. Applied while the process has one thread. Where the kernel lacks a part
//! of Landlock the role still starts, says so once, and `doctor` repeats it.
//!
//! | file | what |
//! |---|---|
//! | `sockets.rs` | new sockets, and what no process may ever do |
//! | `calls.rs` | the system calls that each role keeps |
//! | `guest.rs` | the system calls that a guest keeps |
//! | `filter.rs` | how a filter is made and applied |

mod calls;
mod filter;
mod guest;
mod sockets;
#[cfg(test)]
mod tests;

pub use calls::{Calls, calls};
pub use guest::{compile_calls, guest_calls};
pub use sockets::{NewSockets, new_sockets};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The newest Landlock interface this was written against; older kernels enforce what they have.
const LANDLOCK: ABI = ABI::V6;

/// How far the kernel went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confined {
    /// Everything that was asked for.
    Fully,
    /// What this kernel has.
    Partly,
    /// Nothing: the kernel has no Landlock.
    Not,
}

/// A confinement that could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Landlock refused.
    #[error("cannot confine this process to its files")]
    Landlock(#[from] landlock::RulesetError),
    /// A path that must exist does not.
    #[error("cannot confine this process to `{path}`; it must exist")]
    Path {
        /// Which.
        path: String,
        /// Why.
        source: landlock::PathFdError,
    },
    /// Seccomp refused.
    #[error("cannot restrict this process's system calls: {0}")]
    Seccomp(String),
    /// A limit was refused.
    #[error("cannot limit this process's resources")]
    Limit(#[from] rustix::io::Errno),
}

/// Files a role may touch; everything else is denied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// Readable, with everything beneath.
    pub read: &'a [&'a Path],
    /// Readable and writable, with everything beneath.
    pub write: &'a [&'a Path],
    /// Executable (and readable).
    pub execute: &'a [&'a Path],
    /// TCP ports of servers that it may connect to. It may bind none.
    pub connect: &'a [u16],
}

/// Confines this thread, and every thread and process it starts later, to these files and TCP
/// ports. Signals and abstract sockets beyond it are denied too.
///
/// # Errors
/// A path is not there, or the kernel refuses a rule that it knows.
pub fn files(files: Files<'_>) -> Result<Confined, ConfineError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    let mut created = rules.create()?;
    for port in files.connect {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let execute = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    for (paths, access) in [
        (files.read, AccessFs::ReadFile | AccessFs::ReadDir),
        (files.write, AccessFs::from_all(LANDLOCK) & !BitFlags::from(AccessFs::Execute)),
        (files.execute, execute),
    ] {
        for path in paths {
            created = allow(created, path, access)?;
        }
    }
    match created.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Ok(Confined::Fully),
        RulesetStatus::PartiallyEnforced => Ok(Confined::Partly),
        RulesetStatus::NotEnforced => Ok(Confined::Not),
    }
}

fn allow(
    created: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    let descriptor = PathFd::new(path)
        .map_err(|source| ConfineError::Path { path: path.display().to_string(), source })?;
    // Rights that make no sense on a plain file are refused by the kernel as an inconsistent rule.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    Ok(created.add_rule(PathBeneath::new(descriptor, access))?)
}

/// Whether this kernel's Landlock knows TCP ports (Linux 6.7). On an older one a role that connects
/// to a server may connect to any, which it says when it starts.
pub fn knows_ports() -> bool {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::from_all(ABI::V4));
    rules.and_then(Ruleset::create).is_ok()
}

/// What every process of a role does first: nothing of its memory, which holds keys, reaches a core
/// file or another process of the same user.
///
/// # Errors
/// The kernel refuses.
pub fn baseline() -> Result<(), ConfineError> {
    // Where `core_pattern` is a pipe the kernel asks no limit, only whether the process may be
    // dumped.
    limit(Resource::Core, 0)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// The user this process runs as.
pub fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Limits of a guest process: bytes of address space, seconds of processor time.
pub fn guest_limits(address_space: u64, seconds: u64) -> Result<(), ConfineError> {
    baseline()?;
    limit(Resource::As, address_space)?;
    limit(Resource::Cpu, seconds)?;
    // One socket, its duplicate, and what the runtime holds; a guest never opens anything.
    limit(Resource::Nofile, 64)
}

/// Lets this process open so many descriptors at once, as far as its hard limit allows. Many
/// machines start with 1,024.
pub fn descriptors(count: u64) -> Result<(), ConfineError> {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.map_or(count, |most| most.min(count));
    if now.current.is_some_and(|current| current < most) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum })?;
    }
    Ok(())
}

fn limit(resource: Resource, value: u64) -> Result<(), ConfineError> {
    let most = getrlimit(resource).maximum.map_or(value, |most| most.min(value));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}
