//! A filter of system calls in the form of the kernel: the instructions that start every filter,
//! and its application. Names no role.

use super::ConfineError;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};
use std::collections::BTreeMap;

/// Rules by the number of a call. A call with an empty list of rules always matches.
pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// `EPERM` (`asm-generic/errno-base.h`): the call is denied.
const EPERM: u32 = 1;

/// `ENOSYS` (`asm-generic/errno.h`): this kernel has no such call. A C library then uses an older
/// one.
const ENOSYS: u32 = 38;

/// The newest known number when the lists were written (Linux 6.19, `listns`). A newer C library
/// tries newer calls, and gets the answer of an older kernel: no such call.
const NEWEST: u32 = 470;

/// The x32 calls of x86-64: the same calls under other numbers, which are on no list.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// The effect of a filter on a denied call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The call fails with `EPERM`. Libraries try such calls and go on without them.
    Fails,
    /// The call kills the process with `SIGSYS`. No honest role makes it, so the supervisor has to
    /// learn of it.
    Kills,
}

impl Denied {
    fn action(self) -> SeccompAction {
        match self {
            Self::Fails => SeccompAction::Errno(EPERM),
            Self::Kills => SeccompAction::KillProcess,
        }
    }
}

/// Allows every call that matches no rule.
pub(super) fn all_but(rules: Rules) -> Result<BpfProgram, ConfineError> {
    let rest = compiled(rules, SeccompAction::Allow, Denied::Fails.action())?;
    Ok([beginning(Denied::Fails), clone3(), rest].concat())
}

/// Allows only calls that match a rule. A call that a C library can do without fails as missing;
/// any other call kills.
pub(super) fn only(rules: Rules) -> Result<BpfProgram, ConfineError> {
    let rest = compiled(rules, Denied::Kills.action(), SeccompAction::Allow)?;
    Ok([beginning(Denied::Kills), newer(), clone3(), rest].concat())
}

fn compiled(
    rules: Rules,
    other: SeccompAction,
    fits: SeccompAction,
) -> Result<BpfProgram, ConfineError> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| filter_error(&error))?;
    // The library starts the filter with a check of the architecture: a call of another one kills.
    let filter = SeccompFilter::new(rules, other, fits, architecture)
        .map_err(|error| filter_error(&error))?;
    filter.try_into().map_err(|error| filter_error(&error))
}

/// Applies a filter to this thread, and to every thread and process that it starts later.
pub(super) fn apply(program: &BpfProgram) -> Result<(), ConfineError> {
    seccompiler::apply_filter(program).map_err(|error| filter_error(&error))
}

/// Applies a filter to every thread of this process.
pub(super) fn apply_to_all(program: &BpfProgram) -> Result<(), ConfineError> {
    seccompiler::apply_filter_all_threads(program).map_err(|error| filter_error(&error))
}

fn filter_error(error: &dyn std::fmt::Display) -> ConfineError {
    ConfineError::Seccomp(error.to_string())
}

/// A rule that matches if all these conditions hold.
pub(super) fn rule(
    conditions: impl IntoIterator<Item = SeccompCondition>,
) -> Result<SeccompRule, ConfineError> {
    SeccompRule::new(conditions.into_iter().collect()).map_err(|error| filter_error(&error))
}

/// A condition on the lower half of an argument.
pub(super) fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, ConfineError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
        .map_err(|error| filter_error(&error))
}

/// A condition on a whole argument, for pointers.
pub(super) fn pointer(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, ConfineError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value)
        .map_err(|error| filter_error(&error))
}

// Instructions, as `linux/filter.h` and `linux/bpf_common.h` number them.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_ABOVE: u16 = 0x25;
#[cfg(target_arch = "x86_64")]
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// The offset of the call's number in the data that a filter sees (`struct seccomp_data`).
const NUMBER: u32 = 0;

fn does(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// A test: if it holds, the next instruction follows, otherwise the one after that.
fn tests(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 1, k }
}

/// Denies the numbers of another calling convention.
#[cfg(target_arch = "x86_64")]
fn beginning(denied: Denied) -> BpfProgram {
    vec![does(LOAD, NUMBER), tests(IF_AT_LEAST, X32), does(RETURN, u32::from(denied.action()))]
}

/// This architecture has one calling convention.
#[cfg(not(target_arch = "x86_64"))]
fn beginning(_: Denied) -> BpfProgram {
    Vec::new()
}

/// Reports calls newer than the lists as missing.
fn newer() -> BpfProgram {
    vec![does(LOAD, NUMBER), tests(IF_ABOVE, NEWEST), missing()]
}

/// Reports `clone3` as missing, because a filter cannot see its flags. A C library then uses
/// `clone`, whose flags a filter can see.
fn clone3() -> BpfProgram {
    // The number is the same on both architectures.
    const CLONE3: u32 = 435;
    vec![does(LOAD, NUMBER), tests(IF_EQUAL, CLONE3), missing()]
}

fn missing() -> sock_filter {
    does(RETURN, u32::from(SeccompAction::Errno(ENOSYS)))
}
