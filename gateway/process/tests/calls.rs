//! The kernel's treatment of a confined process: a call of no role kills the process, so that its
//! supervisor learns of it, and its memory cannot be dumped. Each role is a process of its own,
//! because the confinement does not end. Every row of every filter is in `src/confine/tests.rs`.

#![cfg(test)]

use cofferdam_process::confine::{
    Calls, NewSockets, baseline, calls, compile_calls, guest_calls, new_sockets,
};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

/// The variable that names the role of the test binary.
const ROLE: &str = "CALLS_ROLE";

/// `SIGSYS`.
const KILLED: i32 = 31;

/// Not a test of its own: a process that plays a role, and then changes its root.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    baseline().unwrap();
    new_sockets(NewSockets::None).unwrap();
    match role.as_str() {
        "gateway" => calls(Calls::Gateway(false)),
        "recorder" => calls(Calls::Recorder(false)),
        "viewer" => calls(Calls::Viewer(false)),
        "runner" => calls(Calls::Runner(false)),
        "reaper" => calls(Calls::Reaper),
        "courier" => calls(Calls::Courier),
        "compiles" => compile_calls(),
        "guest" => guest_calls(),
        // The first filter alone: a denied call fails.
        _ => Ok(()),
    }
    .unwrap();
    // There is no such folder, and a process that may call `chroot` gets that error.
    let denied = rustix::process::chroot("/nowhere/at/all") == Err(rustix::io::Errno::PERM);
    std::process::exit(if denied { 7 } else { 8 });
}

#[test]
fn a_call_of_no_role_ends_a_role_and_fails_in_a_process_that_is_not_one_yet() {
    let ended = |role: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(ROLE, role);
        let status = child.output().unwrap().status;
        status.signal().or(status.code())
    };
    for role in
        ["gateway", "recorder", "viewer", "runner", "reaper", "courier", "compiles", "guest"]
    {
        assert_eq!(ended(role), Some(KILLED), "{role}");
    }
    assert_eq!(ended("first"), Some(7));
}

#[test]
fn nothing_of_a_process_that_holds_keys_can_be_dumped() {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
    baseline().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
}
