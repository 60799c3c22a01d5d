//! Signals that a role ignores. The supervisor alone ends a role: a signal that a terminal or a
//! service manager sends to every process at once would end runners in the middle of a job. Never
//! handles a signal, and never blocks one that kills.

/// Ignores INT, TERM, HUP, USR1 and USR2 in this process and in every process that it starts. The
/// end of the control socket ends a role. QUIT and KILL still end it.
pub fn ignore() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2] {
        #[expect(
            unsafe_code,
            reason = "no safe call ignores a signal so that a program started later ignores it \
                      too, and a guest must not die at its birth"
        )]
        // SAFETY: `SIG_IGN` is not a handler: no code runs when the signal comes. The numbers are
        // those of signals that may be ignored.
        let _before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
