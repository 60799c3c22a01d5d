//! The answer of each filter to each system call. The tests run the filters that the kernel gets,
//! over calls in the form of the kernel. `tests/calls.rs` and `tests/sockets.rs` show that the
//! kernel answers the same.

use super::sockets::{NewSockets, first};
use super::{Calls, calls, guest};
use seccompiler::sock_filter;

/// The call is allowed.
const DONE: u32 = 0x7fff_0000;
/// The call kills the process with `SIGSYS`.
const KILLED: u32 = 0x8000_0000;
/// The call fails with `EPERM`.
const DENIED: u32 = 0x0005_0001;
/// The call fails with `ENOSYS`.
const MISSING: u32 = 0x0005_0026;

/// The kernel's number of the calling convention (`linux/audit.h`).
#[cfg(target_arch = "x86_64")]
const OWN: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OWN: u32 = 0xc000_00b7;

/// Runs a filter as the kernel does, over `struct seccomp_data`.
fn run(program: &[sock_filter], convention: u32, number: u32, arguments: &[i64]) -> u32 {
    let mut data = vec![number, convention, 0, 0];
    for at in 0..6 {
        let argument = arguments.get(at).copied().unwrap_or(0);
        data.extend([argument as u32, (argument >> 32) as u32]);
    }
    let (mut at, mut value) = (0, 0_u32);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => value = data[k as usize / 4],
            0x54 => value &= k,
            0x05 => at += k as usize,
            0x15 => jump(value == k),
            0x25 => jump(value > k),
            0x35 => jump(value >= k),
            0x06 => return k,
            other => panic!("an instruction that no filter has: {other:#x}"),
        }
    }
}

/// The last filter of a role, or the first of a process.
fn filter(role: &str) -> Vec<sock_filter> {
    match role {
        "first" => first(NewSockets::None),
        "gateway" => calls::of(Calls::Gateway(false)),
        "gateway+" => calls::of(Calls::Gateway(true)),
        "recorder" => calls::of(Calls::Recorder(false)),
        "recorder+" => calls::of(Calls::Recorder(true)),
        "viewer" => calls::of(Calls::Viewer(false)),
        "viewer+" => calls::of(Calls::Viewer(true)),
        "runner" => calls::of(Calls::Runner(false)),
        "runner+" => calls::of(Calls::Runner(true)),
        "reaper" => calls::of(Calls::Reaper),
        "courier" => calls::of(Calls::Courier),
        "link" => calls::of(Calls::Link(true, false)),
        "link+" => calls::of(Calls::Link(true, true)),
        "compiles" => guest::compiling(),
        "guest" => guest::running(),
        other => panic!("{other}"),
    }
    .unwrap()
}

/// Checks the answer of a filter to one call.
fn check(role: &str, number: i64, arguments: &[i64], expect: u32) {
    let said = run(&filter(role), OWN, number.try_into().unwrap(), arguments);
    assert_eq!(said, expect, "{role}: call {number} {arguments:?}: {said:#x}, not {expect:#x}");
}

/// Every role, with and without a server.
const ROLES: [&str; 12] = [
    "gateway",
    "gateway+",
    "recorder",
    "recorder+",
    "viewer",
    "viewer+",
    "runner",
    "runner+",
    "reaper",
    "courier",
    "link",
    "link+",
];

/// The roles that connect to a server.
const CONNECTING: [&str; 7] =
    ["gateway+", "recorder+", "viewer+", "runner+", "reaper", "courier", "link+"];

/// Calls that no role may make: other processes, other memory, namespaces, mounts, keys, the
/// kernel, the machine.
const NEVER: &[(i64, &[i64])] = &[
    (libc::SYS_ptrace, &[0]),
    (libc::SYS_process_vm_readv, &[1]),
    (libc::SYS_process_vm_writev, &[1]),
    (libc::SYS_process_madvise, &[-1]),
    (libc::SYS_pidfd_getfd, &[-1]),
    (libc::SYS_kcmp, &[1, 1]),
    (libc::SYS_io_uring_setup, &[0]),
    (libc::SYS_io_uring_enter, &[-1]),
    (libc::SYS_bpf, &[-1]),
    (libc::SYS_perf_event_open, &[0]),
    (libc::SYS_userfaultfd, &[0]),
    (libc::SYS_personality, &[0xffff_ffff]),
    (libc::SYS_keyctl, &[-1]),
    (libc::SYS_add_key, &[0]),
    (libc::SYS_request_key, &[0]),
    (libc::SYS_unshare, &[0x1000_0000]),
    (libc::SYS_setns, &[-1]),
    (libc::SYS_clone, &[0x1000_0011]),
    (libc::SYS_mount, &[0]),
    (libc::SYS_umount2, &[0]),
    (libc::SYS_pivot_root, &[0]),
    (libc::SYS_chroot, &[0]),
    (libc::SYS_fsopen, &[0]),
    (libc::SYS_open_tree, &[-1]),
    (libc::SYS_move_mount, &[-1]),
    (libc::SYS_open_by_handle_at, &[-1]),
    (libc::SYS_fanotify_init, &[0]),
    (libc::SYS_kexec_load, &[0]),
    (libc::SYS_init_module, &[0]),
    (libc::SYS_finit_module, &[-1]),
    (libc::SYS_reboot, &[0]),
    (libc::SYS_swapon, &[0]),
    (libc::SYS_syslog, &[-1]),
    (libc::SYS_clock_settime, &[-1]),
    (libc::SYS_sethostname, &[0]),
];

#[test]
fn the_first_filter_of_every_process_denies_what_no_role_may_do() {
    for (number, arguments) in NEVER {
        check("first", *number, arguments, DENIED);
    }
    check("first", libc::SYS_clone3, &[], MISSING);
    // `MSG_FASTOPEN`; an address; `TIOCSTI`.
    check("first", libc::SYS_sendto, &[-1, 0, 0, 0x2000_0000], DENIED);
    check("first", libc::SYS_sendmsg, &[-1, 0, 0x2000_0000], DENIED);
    check("first", libc::SYS_sendmmsg, &[-1, 0, 0, 0x2000_0000], DENIED);
    check("first", libc::SYS_sendto, &[-1, 0, 0, 0, 1], DENIED);
    check("first", libc::SYS_sendto, &[-1], DONE);
    check("first", libc::SYS_ioctl, &[-1, 0x5412], DENIED);
    check("first", libc::SYS_ioctl, &[-1, 0x5421], DONE);
    check("first", libc::SYS_bind, &[-1], DENIED);
    check("first", libc::SYS_listen, &[-1], DENIED);
}

#[test]
fn no_role_does_what_no_role_may_do_and_none_goes_on_after_it() {
    for (number, arguments) in NEVER {
        // The first filter denies namespaces: a runner starts processes.
        for role in
            ROLES.iter().filter(|role| *number != libc::SYS_clone || !role.starts_with("runner"))
        {
            check(role, *number, arguments, KILLED);
        }
    }
}

#[test]
fn a_role_keeps_what_it_needs_and_nothing_of_the_others() {
    let rows: &[(i64, &[i64], &[&str])] = &[
        (libc::SYS_getpid, &[], &ROLES),
        (libc::SYS_openat, &[-1], &ROLES),
        (libc::SYS_futex, &[], &ROLES),
        (
            libc::SYS_accept4,
            &[-1],
            &["gateway", "gateway+", "recorder", "recorder+", "link", "link+"],
        ),
        (libc::SYS_socket, &[2, 1], &CONNECTING),
        (libc::SYS_connect, &[-1], &CONNECTING),
        (libc::SYS_bind, &[-1], &[]),
        (libc::SYS_listen, &[-1], &[]),
        (libc::SYS_fsync, &[-1], &["recorder", "recorder+", "runner", "runner+"]),
        (libc::SYS_unlinkat, &[-1], &["recorder", "recorder+", "runner", "runner+"]),
        (libc::SYS_execve, &[], &["runner", "runner+"]),
        (libc::SYS_kill, &[0x7fff_ffff], &["runner", "runner+"]),
        (libc::SYS_tgkill, &[1, 1], &["runner", "runner+"]),
        (libc::SYS_wait4, &[-1, 0, 1], &["runner", "runner+"]),
        // A new process; `PR_SET_DUMPABLE` back to 1; a limit of another process.
        (libc::SYS_clone, &[0x4000], &["runner", "runner+"]),
        (libc::SYS_prctl, &[4, 1], &[]),
        (libc::SYS_prctl, &[4, 0], &ROLES),
        (libc::SYS_prlimit64, &[1, 7], &[]),
        (libc::SYS_prlimit64, &[0, 7], &ROLES),
        (libc::SYS_linkat, &[-1], &[]),
        (libc::SYS_symlinkat, &[], &[]),
        (libc::SYS_mknodat, &[-1], &[]),
        (libc::SYS_setxattr, &[], &[]),
        (libc::SYS_setuid, &[-1], &[]),
        (libc::SYS_shmget, &[], &[]),
        (libc::SYS_msgget, &[], &[]),
        (libc::SYS_mq_open, &[], &[]),
        (libc::SYS_inotify_init1, &[0], &[]),
        (libc::SYS_inotify_add_watch, &[-1], &["viewer"]),
        (libc::SYS_inotify_rm_watch, &[-1], &["viewer"]),
    ];
    for (number, arguments, allowed) in rows {
        for role in ROLES {
            if allowed.contains(&role) {
                check(role, *number, arguments, DONE);
            } else {
                check(role, *number, arguments, KILLED);
            }
        }
    }
}

#[test]
fn what_a_newer_c_library_tries_is_told_as_missing_and_what_it_uses_goes_on() {
    for role in ["gateway", "recorder", "viewer", "runner", "reaper", "compiles", "guest"] {
        check(role, libc::SYS_clone3, &[], MISSING);
        for newer in [471, 500, 1_000_000] {
            check(role, newer, &[], MISSING);
        }
    }
    for harmless in [
        libc::SYS_rseq,
        libc::SYS_statx,
        libc::SYS_getrandom,
        libc::SYS_faccessat2,
        libc::SYS_close_range,
        libc::SYS_futex_waitv,
    ] {
        check("viewer", harmless, &[-1, -1, -1, -1, -1, -1], DONE);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_by_its_x32_number_is_denied_like_one_that_is_in_no_list() {
    let getpid = 0x4000_0000 | libc::SYS_getpid;
    check("first", getpid, &[], DENIED);
    for role in ["gateway", "recorder", "viewer", "runner", "reaper", "compiles", "guest"] {
        check(role, getpid, &[], KILLED);
    }
}

#[test]
fn a_guest_keeps_fewer_calls_when_it_has_compiled() {
    for (number, arguments) in NEVER {
        check("compiles", *number, arguments, KILLED);
    }
    for number in [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_execve,
        libc::SYS_kill,
        libc::SYS_unlinkat,
    ] {
        check("compiles", number, &[], KILLED);
        check("guest", number, &[], KILLED);
    }
    // Executable memory, and files.
    for (number, arguments) in [
        (libc::SYS_mprotect, &[0, 0, 4][..]),
        (libc::SYS_openat, &[-1][..]),
        (libc::SYS_prctl, &[4, 0][..]),
    ] {
        check("compiles", number, arguments, DONE);
        check("guest", number, arguments, KILLED);
    }
}

#[test]
fn a_call_of_another_convention_kills() {
    // 32-bit x86, and the other architecture that these filters know.
    for convention in [0x4000_0003, if OWN == 0xc000_003e { 0xc000_00b7 } else { 0xc000_003e }] {
        for role in ROLES.into_iter().chain(["first", "compiles", "guest"]) {
            assert_eq!(run(&filter(role), convention, 1, &[]), KILLED, "{role}");
        }
    }
}
