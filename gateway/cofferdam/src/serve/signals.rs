//! The signals that the supervisor obeys. Roles ignore them: how a role ends is the supervisor's matter alone.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// INT or TERM: to end.
    Stop,
    /// HUP: what many programs reload at, and what a closed terminal sends.
    Hangup,
}

/// Listens from when it is made, for the rest of the process's life.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens. Must be called within the runtime.
    pub fn listen() -> io::Result<Self> {
        let [terminate, interrupt, hangup] = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }

    /// The next one. Dropping this loses none.
    pub async fn next(&mut self) -> Sign {
        tokio::select! {
            _ = self.terminate.recv() => Sign::Stop,
            _ = self.interrupt.recv() => Sign::Stop,
            _ = self.hangup.recv() => Sign::Hangup,
        }
    }
}
