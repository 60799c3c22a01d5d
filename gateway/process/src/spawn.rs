//! The start of a role: one socket on descriptor 0, an empty environment, the root as working
//! directory. A role inherits nothing else but standard error, for its log lines. Never passes a
//! secret on the command line.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The destination of a role's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardError {
    /// The same destination as the supervisor's.
    Inherited,
    /// Discarded; for guests.
    Discarded,
}

/// Starts a process with this socket and nothing else.
pub fn spawn(
    program: &Path,
    arguments: &[&str],
    socket: OwnedFd,
    words: StandardError,
) -> io::Result<Child> {
    command(program, arguments, socket, words).spawn()
}

/// Prepares the command without a start, for a runtime that waits for its own children.
pub fn command(
    program: &Path,
    arguments: &[&str],
    socket: OwnedFd,
    words: StandardError,
) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(match words {
            StandardError::Inherited => Stdio::inherit(),
            StandardError::Discarded => Stdio::null(),
        });
    command
}

/// Ends this process as `kill -9` does, without destructors and without a flush. Drills use it.
pub fn kill_self() {
    // A process may always signal itself. If it could not, an abort is the nearest.
    if rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .is_err()
    {
        std::process::abort();
    }
}
