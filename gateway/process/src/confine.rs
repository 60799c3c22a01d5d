//! What the kernel keeps from a role: Landlock for files, seccomp for sockets and guests, resource limits for all. Applied while the process has one thread.
//! Where the kernel lacks a part the role still starts, says so once, and `doctor` repeats it.

use crate::syscall::number;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
pub enum ConfineFault {
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
    /// Whether it may connect and listen on TCP.
    pub network: bool,
}

/// Confines this thread, and every thread and process it starts later, to these files. Signals and abstract sockets beyond it are denied too.
pub fn files(files: Files<'_>) -> Result<Confined, ConfineFault> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    if !files.network {
        rules = rules.handle_access(AccessNet::from_all(LANDLOCK))?;
    }
    let mut created = rules.create()?;
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

fn allow(created: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, ConfineFault> {
    let descriptor = PathFd::new(path).map_err(|source| ConfineFault::Path { path: path.display().to_string(), source })?;
    // Rights that make no sense on a plain file are refused by the kernel as an inconsistent rule.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    Ok(created.add_rule(PathBeneath::new(descriptor, access))?)
}

/// Limits every process has: no core file (it would hold keys), and a bounded number of descriptors.
pub fn baseline() -> Result<(), ConfineFault> {
    limit(Resource::Core, 0)?;
    Ok(())
}

/// The user this process runs as.
pub fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Limits of a guest process: bytes of address space, seconds of processor time.
pub fn guest_limits(address_space: u64, seconds: u64) -> Result<(), ConfineFault> {
    baseline()?;
    limit(Resource::As, address_space)?;
    limit(Resource::Cpu, seconds)?;
    // One socket, its duplicate, and what the runtime holds; a guest never opens anything.
    limit(Resource::Nofile, 64)
}

/// Lets this process open so many descriptors at once, as far as its hard limit allows. Many
/// machines start with 1,024.
pub fn descriptors(count: u64) -> Result<(), ConfineFault> {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.map_or(count, |most| most.min(count));
    if now.current.is_some_and(|current| current < most) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum })?;
    }
    Ok(())
}

fn limit(resource: Resource, value: u64) -> Result<(), ConfineFault> {
    let most = getrlimit(resource).maximum.map_or(value, |most| most.min(value));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}

/// System calls a guest needs once its artefact is loaded: memory, its one socket, time, and ending.
const GUEST_CALLS: [i64; 33] = [
    number::MMAP,
    number::MUNMAP,
    number::MADVISE,
    number::MREMAP,
    number::BRK,
    number::FUTEX,
    number::READ,
    number::WRITE,
    number::WRITEV,
    number::SENDTO,
    number::RECVFROM,
    number::SENDMSG,
    number::RECVMSG,
    number::SIGALTSTACK,
    number::RT_SIGRETURN,
    number::RT_SIGPROCMASK,
    number::CLOCK_NANOSLEEP,
    number::CLOCK_GETTIME,
    number::NANOSLEEP,
    number::SCHED_YIELD,
    number::SCHED_GETAFFINITY,
    number::EXIT,
    number::EXIT_GROUP,
    number::EPOLL_WAIT,
    number::EPOLL_PWAIT,
    number::POLL,
    number::PPOLL,
    number::CLOSE,
    number::GETTID,
    number::GETRANDOM,
    number::RSEQ,
    number::SHUTDOWN,
    number::RESTART_SYSCALL,
];

/// `PROT_EXEC` (`bits/mman-linux.h`), the same on both architectures.
const PROT_EXEC: u64 = 4;

/// Leaves every thread of this process the calls a guest needs; any other kills it. Artefacts must be loaded and threads be running by now:
/// memory can no longer be made executable.
pub fn guest_calls() -> Result<(), ConfineFault> {
    let fault = |fault: &dyn std::fmt::Display| ConfineFault::Seccomp(fault.to_string());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = GUEST_CALLS.into_iter().map(|number| (number, Vec::new())).collect();
    for number in [number::MMAP, number::MPROTECT] {
        let not_executable =
            SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(PROT_EXEC), 0).map_err(|error| fault(&error))?;
        rules.insert(number, vec![SeccompRule::new(vec![not_executable]).map_err(|error| fault(&error))?]);
    }
    let program = program(rules, SeccompAction::KillProcess, SeccompAction::Allow)?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| fault(&error))
}

/// A filter of the kernel's: calls that fit a rule get `fits`, all others `other`.
fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, other: SeccompAction, fits: SeccompAction) -> Result<BpfProgram, ConfineFault> {
    let fault = |fault: &dyn std::fmt::Display| ConfineFault::Seccomp(fault.to_string());
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| fault(&error))?;
    let filter = SeccompFilter::new(rules, other, fits, architecture).map_err(|error| fault(&error))?;
    filter.try_into().map_err(|error| fault(&error))
}

/// What new sockets a role may still make. Pairs are always allowed: both ends are the role's own, and a guest gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSockets {
    /// None at all: it talks over what it was handed.
    None,
    /// To the network (Landlock says how), for what has a collector elsewhere; never to a path of this machine, the kernel's tables or raw packets.
    Internet,
}

/// Address families (`bits/socket.h`, the same on both architectures) that reach something of this machine without its files being asked.
const LOCAL_FAMILIES: [u64; 4] = [1 /* AF_UNIX */, 16 /* AF_NETLINK */, 17 /* AF_PACKET */, 40 /* AF_VSOCK */];

/// Calls that reach another process's memory, or that make other calls past this filter.
const AROUND: [i64; 4] = [number::IO_URING_SETUP, number::PTRACE, number::PROCESS_VM_READV, number::PROCESS_VM_WRITEV];

/// `EPERM` (`asm-generic/errno-base.h`).
const EPERM: u32 = 1;

/// Keeps this thread, and every thread and process it starts later, from making sockets of its own: Landlock does not ask who connects to a Unix
/// path (the operators' socket, a container engine's, a key agent's). Sockets that it holds already work on. A call that is denied fails with
/// `EPERM`.
pub fn new_sockets(allowed: NewSockets) -> Result<(), ConfineFault> {
    let fault = |fault: &dyn std::fmt::Display| ConfineFault::Seccomp(fault.to_string());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = AROUND.into_iter().map(|number| (number, Vec::new())).collect();
    match allowed {
        NewSockets::None => rules.extend([number::SOCKET, number::CONNECT, number::BIND].map(|number| (number, Vec::new()))),
        NewSockets::Internet => {
            let mut families = Vec::new();
            for family in LOCAL_FAMILIES {
                let is_it = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family).map_err(|error| fault(&error))?;
                families.push(SeccompRule::new(vec![is_it]).map_err(|error| fault(&error))?);
            }
            rules.insert(number::SOCKET, families);
        }
    }
    let program = program(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM))?;
    seccompiler::apply_filter(&program).map_err(|error| fault(&error))
}
