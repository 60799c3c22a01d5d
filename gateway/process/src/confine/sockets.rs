//! What new sockets a process may still make, and what it may never do, whatever its role: the
//! first of its filters. A call that it denies fails with `EPERM`. What a role may do besides is in
//! `calls.rs`.

use super::ConfineError;
use super::filter::{self, Rules, argument, pointer, rule};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{BpfProgram, SeccompRule};

/// What new sockets a role may still make. Connected pairs are always allowed: both ends are the
/// role's own, and a guest gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSockets {
    /// None at all: it talks over what it was handed.
    None,
    /// TCP alone: for a server that is named by its address.
    Tcp,
    /// TCP and UDP: for a server whose name has to be looked up. Landlock says which TCP ports; UDP
    /// it does not know.
    Internet,
}

/// `AF_UNIX`, `AF_INET`, `AF_INET6` (`bits/socket.h`, the same on both architectures).
const UNIX: u64 = 1;
const INTERNET: [u64; 2] = [2, 10];

/// Types of sockets (`bits/socket_type.h`), and the bits of the argument that hold the type.
const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
const SEQUENCED: u64 = 5;
const TYPES: std::ops::RangeInclusive<u64> = 0..=15;
const TYPE: u64 = 0xf;

/// Protocols: the family's usual one, TCP, UDP (`netinet/in.h`). Others, such as MPTCP, connect
/// past Landlock's rules.
const PROTOCOLS: [u64; 3] = [0, 6, 17];

/// `MSG_FASTOPEN`: it connects while it sends, past Landlock's rules.
const FAST_OPEN: u64 = 0x2000_0000;

/// `TIOCSTI`, `TIOCCONS`, `TIOCLINUX`, `TIOCSETD` (`asm-generic/ioctls.h`): typing into the
/// terminal that standard error leads to.
const TERMINAL: [u64; 4] = [0x5412, 0x541d, 0x541c, 0x5423];

/// `CLONE_NEWNS`, `…NEWCGROUP`, `…NEWUTS`, `…NEWIPC`, `…NEWUSER`, `…NEWPID`, `…NEWNET`
/// (`linux/sched.h`).
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// Calls that reach other processes, make calls past a filter, change what the kernel is, or make
/// other namespaces and mounts. No role needs one of them.
const NEVER: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Calls past the filter, and tools of attacks on the kernel.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_personality,
    libc::SYS_vmsplice,
    // Keys that a session of the user holds.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// The same, of x86-64 alone.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];

/// The same, of this architecture alone.
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// Keeps this thread, and every thread and process it starts later, from making sockets of its own:
/// Landlock does not ask who connects to a Unix path (the operators' socket, a container engine's,
/// a key agent's), or who sends to one. Sockets that it holds already work on. A call that is
/// denied fails with `EPERM`.
///
/// # Errors
/// The kernel takes no filter.
pub fn new_sockets(allowed: NewSockets) -> Result<(), ConfineError> {
    filter::apply(&first(allowed)?)
}

/// The first filter of a process.
pub(super) fn first(allowed: NewSockets) -> Result<BpfProgram, ConfineError> {
    let mut rules: Rules =
        NEVER.iter().chain(NEVER_HERE).map(|number| (*number, Vec::new())).collect();
    match allowed {
        NewSockets::None => {
            let made = [libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen];
            rules.extend(made.map(|number| (number, Vec::new())));
        }
        NewSockets::Tcp => drop(rules.insert(libc::SYS_socket, internet(&[STREAM])?)),
        NewSockets::Internet => {
            drop(rules.insert(libc::SYS_socket, internet(&[STREAM, DATAGRAM])?))
        }
    }
    // A datagram socket takes an address with each message, so there must be none, however it was
    // made.
    let mut pairs = vec![rule([argument(0, Ne, UNIX)?])?];
    pairs.extend(types_but(&[STREAM, SEQUENCED])?);
    rules.insert(libc::SYS_socketpair, pairs);
    rules.insert(libc::SYS_sendto, vec![rule([pointer(4, Ne, 0)?])?, fast_open(3)?]);
    rules.insert(libc::SYS_sendmsg, vec![fast_open(2)?]);
    rules.insert(libc::SYS_sendmmsg, vec![fast_open(3)?]);
    rules.insert(libc::SYS_ioctl, each(TERMINAL, |request| rule([argument(1, Eq, request)?]))?);
    rules.insert(
        libc::SYS_clone,
        each(NAMESPACES, |flag| rule([argument(0, MaskedEq(flag), flag)?]))?,
    );
    filter::all_but(rules)
}

/// What is denied where only TCP and UDP of these types are allowed.
fn internet(allowed: &[u64]) -> Result<Vec<SeccompRule>, ConfineError> {
    let mut denied = types_but(allowed)?;
    denied.push(rule(each(INTERNET, |family| argument(0, Ne, family))?)?);
    denied.push(rule(each(PROTOCOLS, |protocol| argument(2, Ne, protocol))?)?);
    Ok(denied)
}

/// Every other type of socket, in the second argument.
fn types_but(allowed: &[u64]) -> Result<Vec<SeccompRule>, ConfineError> {
    each(TYPES.filter(|kind| !allowed.contains(kind)), |kind| {
        rule([argument(1, MaskedEq(TYPE), kind)?])
    })
}

fn fast_open(flags: u8) -> Result<SeccompRule, ConfineError> {
    rule([argument(flags, MaskedEq(FAST_OPEN), FAST_OPEN)?])
}

fn each<T>(
    values: impl IntoIterator<Item = u64>,
    make: impl FnMut(u64) -> Result<T, ConfineError>,
) -> Result<Vec<T>, ConfineError> {
    values.into_iter().map(make).collect()
}
