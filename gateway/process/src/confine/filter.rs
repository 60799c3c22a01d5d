//! A filter of system calls as the kernel runs it: how every filter begins, and how it is applied.
//! Names no role.

use super::ConfineError;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};
use std::collections::BTreeMap;

/// Rules by the number of a call. No rule: the call fits always.
pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// `EPERM` (`asm-generic/errno-base.h`): it is denied.
const EPERM: u32 = 1;

/// `ENOSYS` (`asm-generic/errno.h`): this kernel has no such call. A C library then uses an older
/// one.
const ENOSYS: u32 = 38;

/// The newest number that was known when the lists were written (Linux 6.19, `listns`). A newer C
/// library asks for newer calls, and is told that there are none, as by an older kernel.
const NEWEST: u32 = 470;

/// The x32 calls of x86-64: the same calls under other numbers, which no list names.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// What becomes of a call that a filter does not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It fails with `EPERM`: libraries try it and do without it.
    Fails,
    /// It kills the process by `SIGSYS`: no honest role makes it, so the supervisor has to hear of
    /// it.
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

/// Lets through what fits no rule.
pub(super) fn all_but(rules: Rules) -> Result<BpfProgram, ConfineError> {
    let rest = compiled(rules, SeccompAction::Allow, Denied::Fails.action())?;
    Ok([beginning(Denied::Fails), clone3(), rest].concat())
}

/// Lets through what fits a rule. What a C library does without is told as missing, all else kills.
pub(super) fn only(rules: Rules) -> Result<BpfProgram, ConfineError> {
    let rest = compiled(rules, Denied::Kills.action(), SeccompAction::Allow)?;
    Ok([beginning(Denied::Kills), newer(), clone3(), rest].concat())
}

fn compiled(
    rules: Rules,
    other: SeccompAction,
    fits: SeccompAction,
) -> Result<BpfProgram, ConfineError> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| fault(&error))?;
    // It begins with a check of the architecture: a call of another one kills.
    let filter =
        SeccompFilter::new(rules, other, fits, architecture).map_err(|error| fault(&error))?;
    filter.try_into().map_err(|error| fault(&error))
}

/// Applies a filter to this thread, and to every thread and process that it starts later.
pub(super) fn apply(program: &BpfProgram) -> Result<(), ConfineError> {
    seccompiler::apply_filter(program).map_err(|error| fault(&error))
}

/// Applies a filter to every thread of this process.
pub(super) fn apply_to_all(program: &BpfProgram) -> Result<(), ConfineError> {
    seccompiler::apply_filter_all_threads(program).map_err(|error| fault(&error))
}

fn fault(fault: &dyn std::fmt::Display) -> ConfineError {
    ConfineError::Seccomp(fault.to_string())
}

/// A rule that fits if all these conditions hold.
pub(super) fn rule(
    conditions: impl IntoIterator<Item = SeccompCondition>,
) -> Result<SeccompRule, ConfineError> {
    SeccompRule::new(conditions.into_iter().collect()).map_err(|error| fault(&error))
}

/// A condition on the lower half of an argument.
pub(super) fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, ConfineError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
        .map_err(|error| fault(&error))
}

/// A condition on a whole argument: pointers.
pub(super) fn pointer(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, ConfineError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value)
        .map_err(|error| fault(&error))
}

// Instructions, as `linux/filter.h` and `linux/bpf_common.h` number them.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_ABOVE: u16 = 0x25;
#[cfg(target_arch = "x86_64")]
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Where the number of the call lies in what a filter sees (`struct seccomp_data`).
const NUMBER: u32 = 0;

fn does(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Where the test holds the next instruction follows, otherwise the one after it.
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

/// Tells calls that are newer than the lists as missing.
fn newer() -> BpfProgram {
    vec![does(LOAD, NUMBER), tests(IF_ABOVE, NEWEST), missing()]
}

/// Tells `clone3` as missing, whose flags a filter cannot see: a C library then uses `clone`, whose
/// flags it can.
fn clone3() -> BpfProgram {
    // The number is the same on both architectures.
    const CLONE3: u32 = 435;
    vec![does(LOAD, NUMBER), tests(IF_EQUAL, CLONE3), missing()]
}

fn missing() -> sock_filter {
    does(RETURN, u32::from(SeccompAction::Errno(ENOSYS)))
}
