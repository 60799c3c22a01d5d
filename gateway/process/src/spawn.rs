//! Starting a role: one socket on descriptor 0, an empty environment, the root as working
//! directory, and nothing else inherited but standard error for its log lines. Never passes a
//! secret on the command line.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What becomes of a role's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Its log lines go where the supervisor's go.
    Heard,
    /// It is discarded: guests.
    Unheard,
}

/// Starts a process with this socket and nothing else.
pub fn spawn(
    program: &Path,
    arguments: &[&str],
    socket: OwnedFd,
    words: Words,
) -> io::Result<Child> {
    command(program, arguments, socket, words).spawn()
}

/// The same, not started yet: for a runtime that reaps its own children.
pub fn command(program: &Path, arguments: &[&str], socket: OwnedFd, words: Words) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(match words {
            Words::Heard => Stdio::inherit(),
            Words::Unheard => Stdio::null(),
        });
    command
}

/// Ends this process as `kill -9` does: no destructor, no flush, no goodbye. What a drill
/// rehearses.
pub fn kill_self() {
    // A process may always signal itself; were it not so, ending the plain way is the nearest.
    if rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .is_err()
    {
        std::process::abort();
    }
}
