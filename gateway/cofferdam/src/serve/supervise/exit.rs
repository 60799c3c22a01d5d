//! Describes the end of a role's process. Reads nothing.

use super::State;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// The number of `SIGSYS` (`asm-generic/signal.h`, equal on both architectures): the kernel ends a
/// process that makes a system call outside of its role's list.
const BAD_CALL: i32 = 31;

/// The cause of the end of a role that reported none.
pub(super) fn describe_exit(status: Option<ExitStatus>, state: State) -> String {
    if status.and_then(|status| status.signal()) == Some(BAD_CALL) {
        return "it made a system call that its role may not make. Either it was attacked, or \
                this is a fault of Cofferdam. The kernel's log (`journalctl -k`, `type=1326`) \
                has the number of the call; report it"
            .to_owned();
    }
    let status = status.map_or_else(|| "how is not known".to_owned(), |status| status.to_string());
    match state {
        State::Starting => format!("it ended before it was ready ({status})"),
        State::StandsBy | State::Ready | State::Leaving => format!("it ended ({status})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_the_kernel_ended_for_a_system_call_is_told_so() {
        let check = |signal: i32, state: State, expect: &str| {
            let told = describe_exit(Some(ExitStatus::from_raw(signal)), state);
            assert!(told.starts_with(expect), "{told}");
        };
        check(31, State::Ready, "it made a system call that its role may not make");
        check(31, State::Starting, "it made a system call that its role may not make");
        check(9, State::Ready, "it ended (signal: 9 (SIGKILL))");
        check(9, State::Starting, "it ended before it was ready (signal: 9 (SIGKILL))");
    }
}
