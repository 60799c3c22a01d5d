//! The system calls of a guest: some while it compiles, fewer while foreign code runs. Any other
//! call kills the guest.

use super::ConfineError;
use super::calls::THREAD;
use super::filter::{self, Rules, argument, rule};
use seccompiler::BpfProgram;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};

/// Calls for memory, the one socket, time, and the end.
const EVERY: &[i64] = &[
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_close,
    libc::SYS_gettid,
    libc::SYS_getrandom,
    libc::SYS_rseq,
    libc::SYS_shutdown,
    libc::SYS_restart_syscall,
];

/// The older forms of these calls, which x86-64 alone has.
#[cfg(target_arch = "x86_64")]
const EVERY_HERE: &[i64] = &[libc::SYS_epoll_wait, libc::SYS_poll];

/// This architecture has no older forms.
#[cfg(not(target_arch = "x86_64"))]
const EVERY_HERE: &[i64] = &[];

/// Further calls for compiling: machine code is memory that becomes executable, the first memory of
/// a component is a file in memory, and later steps confine the guest further and count its time on
/// a thread.
const COMPILES: &[i64] = &[
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_fcntl,
    libc::SYS_sysinfo,
    libc::SYS_rt_sigaction,
    libc::SYS_set_robust_list,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_prlimit64,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_getpid,
];

/// `PROT_EXEC` (`bits/mman-linux.h`), the same on both architectures.
const PROT_EXEC: u64 = 4;

/// Limits this thread, and every thread that it starts later, to the calls for compiling.
/// # Errors
/// The kernel takes no filter.
pub fn compile_calls() -> Result<(), ConfineError> {
    filter::apply(&compiling()?)
}

pub(super) fn compiling() -> Result<BpfProgram, ConfineError> {
    let lists = [EVERY, EVERY_HERE, COMPILES];
    let mut rules: Rules =
        lists.into_iter().flatten().map(|number| (*number, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![rule([argument(0, MaskedEq(THREAD), THREAD)?])?]);
    // A signal to itself is how a process aborts.
    rules.insert(libc::SYS_tgkill, vec![rule([argument(0, Eq, std::process::id().into())?])?]);
    filter::only(rules)
}

/// Limits every thread of this process to the calls of a guest; any other call kills it. Load
/// artefacts and start threads before: memory cannot become executable afterwards.
/// # Errors
/// The kernel takes no filter.
pub fn guest_calls() -> Result<(), ConfineError> {
    filter::apply_to_all(&running()?)
}

pub(super) fn running() -> Result<BpfProgram, ConfineError> {
    let mut rules: Rules =
        EVERY.iter().chain(EVERY_HERE).map(|number| (*number, Vec::new())).collect();
    for number in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(number, vec![rule([argument(2, MaskedEq(PROT_EXEC), 0)?])?]);
    }
    filter::only(rules)
}
