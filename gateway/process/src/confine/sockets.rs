//! The new sockets that a process may create, and the calls that no role may ever make: the first
//! filter of a process. A denied call fails with `EPERM`. `calls.rs` limits the other calls of a
//! role.

use super::ConfineError;
use super::filter::{self, Rules, argument, pointer, rule};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{BpfProgram, SeccompRule};

/// The new sockets that a role may create. Connected pairs are always allowed: the role owns both
/// ends, and a guest gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSockets {
    /// No socket: the role uses the sockets that it was given.
    None,
    /// TCP alone, for a server that is named by its address.
    Tcp,
    /// TCP and UDP, for a server whose name has to be looked up. Landlock limits TCP ports, but not
    /// UDP.
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

/// Protocols: the default of the family, TCP, UDP (`netinet/in.h`). Others, such as MPTCP, connect
/// past the rules of Landlock.
const PROTOCOLS: [u64; 3] = [0, 6, 17];

/// `MSG_FASTOPEN`: it connects while it sends, past the rules of Landlock.
const FAST_OPEN: u64 = 0x2000_0000;

/// `TIOCSTI`, `TIOCCONS`, `TIOCLINUX`, `TIOCSETD` (`asm-generic/ioctls.h`): input to the terminal
/// of standard error.
const TERMINAL: [u64; 4] = [0x5412, 0x541d, 0x541c, 0x5423];

/// `CLONE_NEWNS`, `…NEWCGROUP`, `…NEWUTS`, `…NEWIPC`, `…NEWUSER`, `…NEWPID`, `…NEWNET`
/// (`linux/sched.h`).
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// Calls that reach other processes, make calls past a filter, change the kernel, or create
/// namespaces and mounts. No role needs them.
const NEVER: &[i64] = &[
    // Calls on other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Calls past the filter, and calls that attacks on the kernel use.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_personality,
    libc::SYS_vmsplice,
    // Keys of a session of the user.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Calls for namespaces and mounts.
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
    // Calls on the whole machine.
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

/// Such calls of x86-64 alone.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];

/// Such calls of this architecture alone.
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// Denies new sockets to this thread, and to every thread and process that it starts later.
/// Landlock does not limit connections to Unix paths (the operators' socket, the socket of a
/// container engine or a key agent), nor datagrams to them. Open sockets go on working. A denied
/// call fails with `EPERM`.
/// # Errors
/// The kernel takes no filter.
pub fn new_sockets(allowed: NewSockets) -> Result<(), ConfineError> {
    filter::apply(&first(allowed)?)
}

/// Builds the first filter of a process.
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
    // A datagram socket takes an address with each message. So there must be no datagram socket,
    // however it was made.
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

/// The denied calls if only TCP and UDP sockets of these types are allowed.
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
