//! The signals that the supervisor obeys. Roles ignore them: how a role ends is the supervisor's
//! matter alone.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// INT or TERM: to end.
    Stop,
    /// HUP: what many programs reload at, and what a closed terminal sends.
    Hangup,
    /// Another one, by its name: it would end a program that does not listen to it.
    Other(&'static str),
}

/// Signals without a meaning here whose default is to end the program, with their numbers on Linux.
/// QUIT is not among them: it ends the supervisor at once, and its roles with it.
const OTHERS: [(&str, SignalKind); 7] = [
    ("SIGUSR1", SignalKind::user_defined1()),
    ("SIGUSR2", SignalKind::user_defined2()),
    ("SIGALRM", SignalKind::alarm()),
    ("SIGIO", SignalKind::io()),
    ("SIGVTALRM", SignalKind::from_raw(26)),
    ("SIGPROF", SignalKind::from_raw(27)),
    ("SIGPWR", SignalKind::from_raw(30)),
];

/// Listens from when it is made, for the rest of the process's life.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    others: Vec<(&'static str, Signal)>,
}

impl Signals {
    /// Listens. Must be called within the runtime.
    pub fn listen() -> io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        let others = OTHERS
            .into_iter()
            .map(|(name, kind)| Ok((name, signal(kind)?)))
            .collect::<io::Result<_>>()?;
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup?, others })
    }

    /// The next one. Dropping this loses none.
    pub async fn next(&mut self) -> Sign {
        let others = &mut self.others;
        let other = poll_fn(|cx| {
            let came = others
                .iter_mut()
                .find_map(|(name, signal)| signal.poll_recv(cx).is_ready().then_some(*name));
            came.map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            _ = self.terminate.recv() => Sign::Stop,
            _ = self.interrupt.recv() => Sign::Stop,
            _ = self.hangup.recv() => Sign::Hangup,
            name = other => Sign::Other(name),
        }
    }
}
