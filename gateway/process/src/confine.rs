//! The confinement of a role by the kernel: Landlock for files and TCP ports, seccomp for system
//! calls, and resource limits. It is applied while the process has one thread. If the kernel lacks
//! a part of Landlock, the role starts all the same and logs it once, and `doctor` repeats it.
//! | file | content |
//! |---|---|
//! | `sockets.rs` | new sockets, and the calls that no process may ever make |
//! | `calls.rs` | the system calls that each role keeps |
//! | `guest.rs` | the system calls that a guest keeps |
//! | `filter.rs` | how a filter is built and applied |

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

/// The newest Landlock interface in use. Older kernels enforce the part that they support.
const LANDLOCK: ABI = ABI::V6;

/// The extent to which the kernel confines the process to its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confined {
    /// The kernel enforces every rule.
    Fully,
    /// The kernel enforces the rules that it supports.
    Partly,
    /// The kernel has no Landlock, and enforces no rule.
    Not,
}

/// Errors of applying a confinement.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel refused the Landlock rules.
    #[error("cannot confine this process to its files")]
    Landlock(#[from] landlock::RulesetError),
    /// A path of the rules does not exist. Create it, or correct the configuration.
    #[error("cannot confine this process to `{path}`; it must exist")]
    Path {
        /// The path that does not exist.
        path: String,
        /// The error of opening the path.
        source: landlock::PathFdError,
    },
    /// The kernel refused the seccomp filter.
    #[error("cannot restrict this process's system calls: {0}")]
    Seccomp(String),
    /// The kernel refused a resource limit.
    #[error("cannot limit this process's resources")]
    Limit(#[from] rustix::io::Errno),
}

/// The files and ports that a role may use. Everything else is denied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// Paths that the role may read, with everything beneath.
    pub read: &'a [&'a Path],
    /// Paths that the role may read and write, with everything beneath.
    pub write: &'a [&'a Path],
    /// Paths that the role may execute and read.
    pub execute: &'a [&'a Path],
    /// TCP ports of servers that the role may connect to. It may bind no port.
    pub connect: &'a [u16],
}

/// Confines this thread, and every thread and process that it starts later, to these files and TCP
/// ports. Also denies signals to processes outside of the confinement, and abstract sockets of
/// others.
/// # Errors
/// A path does not exist, or the kernel refuses a rule that it supports.
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
    // The kernel refuses directory rights on a plain file as an inconsistent rule.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    Ok(created.add_rule(PathBeneath::new(descriptor, access))?)
}

/// Returns whether the Landlock of this kernel knows TCP ports (Linux 6.7). On an older kernel a
/// role that connects to a server may connect to any port; the role logs this at its start.
pub fn knows_ports() -> bool {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::from_all(ABI::V4));
    rules.and_then(Ruleset::create).is_ok()
}

/// Keeps the memory of this process, which has keys, out of core files and away from other
/// processes of the same user. Every role calls this first.
/// # Errors
/// The kernel refuses.
pub fn baseline() -> Result<(), ConfineError> {
    // If `core_pattern` is a pipe, the kernel ignores the limit and asks only whether the process
    // may be dumped.
    limit(Resource::Core, 0)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Returns the user id of this process.
pub fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Limits a guest process: address space in bytes, processor time in seconds.
pub fn guest_limits(address_space: u64, seconds: u64) -> Result<(), ConfineError> {
    baseline()?;
    limit(Resource::As, address_space)?;
    limit(Resource::Cpu, seconds)?;
    // One socket, its duplicate, and the descriptors of the runtime. A guest opens no file.
    limit(Resource::Nofile, 64)
}

/// Lets this process have `count` descriptors open, within its hard limit. Many machines start with
/// 1,024.
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
