//! The system calls that each role keeps: the last filter of a role. The lists come from traces of
//! whole journeys (`strace -f` over the tests of both backends), and from the equivalent calls of
//! other kernels and C libraries. Any other call kills the role with `SIGSYS`, and the supervisor
//! reports it: the error of a call that only fails would reach the attacker alone. Calls newer than
//! the lists fail as missing, so that a newer C library uses older ones.

use super::ConfineError;
use super::filter::{self, Rules, argument, pointer, rule};
use seccompiler::BpfProgram;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};

/// The role of a process, as far as the kernel can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// The gateway: accepts connections, and runs tools and policies in its own process. `true` if
    /// it connects to a collector.
    Gateway(bool),
    /// The recorder: accepts connections of operators, and writes the store. `true` if it connects to a
    /// database.
    Recorder(bool),
    /// The viewer. `true` if it connects to an API server; if not, it watches the folders of a tree.
    Viewer(bool),
    /// A runner: writes files, and starts guests. `true` if it connects to an API server.
    Runner(bool),
    /// The reaper, which connects to an API server.
    Reaper,
    /// The courier, which connects to the issuers of tokens.
    Courier,
    /// The link: accepts connections of other hosts, if the first is true, and connects to them, if
    /// the second is.
    Link(bool, bool),
}

/// Calls of every role: memory, threads, time, signals to itself, waiting, and the sockets and
/// files that it may use.
const EVERY: &[i64] = &[
    // Memory. `mseal` and `map_shadow_stack`, which newer C libraries use, are in `NEWER`.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_mincore,
    libc::SYS_msync,
    // Calls for threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // Calls for time and randomness.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrandom,
    // Calls for signals of the process.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_sigaltstack,
    // Facts about the process itself.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_umask,
    libc::SYS_getcwd,
    // Calls for waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_pipe2,
    // Calls on open descriptors.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_socketpair,
    // Files, within the Landlock rules.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_flock,
    libc::SYS_memfd_create,
];

/// The older forms of these calls, which x86-64 alone has.
#[cfg(target_arch = "x86_64")]
const EVERY_HERE: &[i64] = &[
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
];

/// This architecture has no older forms.
#[cfg(not(target_arch = "x86_64"))]
const EVERY_HERE: &[i64] = &[];

/// `map_shadow_stack`, `futex_wake`, `futex_wait`, `futex_requeue`, `mseal`, `futex_waitv`, by
/// number, which is the same on every architecture. Newer C libraries use them for memory and
/// threads of the process itself.
const NEWER: &[i64] = &[453, 454, 455, 456, 462, 449];

/// Roles that accept connections on an inherited socket.
const ACCEPTS: &[i64] = &[libc::SYS_accept4, libc::SYS_accept];

/// Roles that connect to a server. The filter of `sockets.rs` limits the sockets, and Landlock the
/// ports.
const CONNECTS: &[i64] = &[libc::SYS_socket, libc::SYS_connect];

/// The role that watches the folders of a tree: their ids only, on the queue that it opened before
/// its confinement.
const WATCHES: &[i64] = &[libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch];

/// Roles that change files, within the Landlock rules. No links, devices or extended attributes.
const WRITES: &[i64] = &[
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
];

/// The older forms of these calls, which x86-64 alone has.
#[cfg(target_arch = "x86_64")]
const WRITES_HERE: &[i64] = &[
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_utimes,
    libc::SYS_sync_file_range,
];

/// This architecture has no older forms.
#[cfg(not(target_arch = "x86_64"))]
const WRITES_HERE: &[i64] = &[];

/// A role that starts guests. A guest inherits this filter, so the list has its calls before its
/// own filters.
const STARTS: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_chdir,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

/// The older forms of these calls, which x86-64 alone has.
#[cfg(target_arch = "x86_64")]
const STARTS_HERE: &[i64] = &[libc::SYS_vfork, libc::SYS_fork];

/// This architecture has no older forms.
#[cfg(not(target_arch = "x86_64"))]
const STARTS_HERE: &[i64] = &[];

/// `CLONE_THREAD` (`linux/sched.h`): the new task is a thread of the same process.
pub(super) const THREAD: u64 = 0x0001_0000;

/// `prctl`s that change nothing for others and take nothing back: `PR_GET_DUMPABLE`, `PR_SET_NAME`,
/// `PR_GET_NAME`, `PR_GET_SECCOMP`, `PR_CAPBSET_READ`, `PR_SET_NO_NEW_PRIVS`,
/// `PR_GET_NO_NEW_PRIVS`, `PR_GET_THP_DISABLE`, `PR_GET_TAGGED_ADDR_CTRL`, `PR_SET_VMA`
/// (`linux/prctl.h`).
const PRCTL: [u64; 10] = [3, 15, 16, 21, 23, 38, 39, 42, 56, 0x5356_4d41];

/// `PR_SET_DUMPABLE`, which may only be switched off.
const DUMPABLE: u64 = 4;

/// Limits this thread, and every thread and process that it starts later, to the calls of its role.
/// # Errors
/// The kernel takes no filter.
pub fn calls(role: Calls) -> Result<(), ConfineError> {
    filter::apply(&of(role)?)
}

/// Builds the last filter of a role.
pub(super) fn of(role: Calls) -> Result<BpfProgram, ConfineError> {
    let mut lists = vec![EVERY, EVERY_HERE, NEWER];
    let (accepts, connects, writes, starts) = match role {
        Calls::Gateway(connects) => (true, connects, false, false),
        Calls::Recorder(connects) => (true, connects, true, false),
        Calls::Viewer(connects) => (false, connects, false, false),
        Calls::Runner(connects) => (false, connects, true, true),
        Calls::Reaper | Calls::Courier => (false, true, false, false),
        Calls::Link(accepts, connects) => (accepts, connects, false, false),
    };
    lists.extend(accepts.then_some(ACCEPTS));
    lists.extend(connects.then_some(CONNECTS));
    lists.extend((role == Calls::Viewer(false)).then_some(WATCHES));
    lists.extend(writes.then_some([WRITES, WRITES_HERE]).into_iter().flatten());
    lists.extend(starts.then_some([STARTS, STARTS_HERE]).into_iter().flatten());
    let mut rules: Rules =
        lists.into_iter().flatten().map(|number| (*number, Vec::new())).collect();
    // Its own limits, never those of another process.
    rules.insert(libc::SYS_prlimit64, vec![rule([argument(0, Eq, 0)?])?]);
    let mut harmless = PRCTL
        .iter()
        .map(|option| rule([argument(0, Eq, *option)?]))
        .collect::<Result<Vec<_>, _>>()?;
    harmless.push(rule([argument(0, Eq, DUMPABLE)?, pointer(1, Eq, 0)?])?);
    rules.insert(libc::SYS_prctl, harmless);
    if starts {
        rules.insert(libc::SYS_clone, Vec::new());
    } else {
        rules.insert(libc::SYS_clone, vec![rule([argument(0, MaskedEq(THREAD), THREAD)?])?]);
        // A signal to itself is how a process aborts.
        rules.insert(libc::SYS_tgkill, vec![rule([argument(0, Eq, std::process::id().into())?])?]);
    }
    filter::only(rules)
}
