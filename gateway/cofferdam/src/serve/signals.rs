//! The signals of the supervisor. Roles ignore signals: only the supervisor ends a role.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// INT or TERM: stop.
    Stop,
    /// HUP: many programs reload; a closed terminal sends it.
    Hangup,
    /// Another signal, by name: its default would end the program.
    Other(&'static str),
}

/// Signals without a meaning here whose default is to end the program, with their numbers on Linux.
/// Without QUIT: it ends the supervisor and all roles at once.
const OTHERS: [(&str, SignalKind); 7] = [
    ("SIGUSR1", SignalKind::user_defined1()),
    ("SIGUSR2", SignalKind::user_defined2()),
    ("SIGALRM", SignalKind::alarm()),
    ("SIGIO", SignalKind::io()),
    ("SIGVTALRM", SignalKind::from_raw(26)),
    ("SIGPROF", SignalKind::from_raw(27)),
    ("SIGPWR", SignalKind::from_raw(30)),
];

/// A listener for signals, for the rest of the process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    others: Vec<(&'static str, Signal)>,
}

impl Signals {
    /// Begins to listen. Must be called within the runtime.
    pub fn listen() -> io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        let others = OTHERS
            .into_iter()
            .map(|(name, kind)| Ok((name, signal(kind)?)))
            .collect::<io::Result<_>>()?;
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup?, others })
    }

    /// The next signal. Dropping the future loses none.
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
