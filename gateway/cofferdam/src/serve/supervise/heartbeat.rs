//! Heartbeats: each role is asked for them, and a role that owes too many is killed. Never restarts
//! a role: its end is an event.

use super::{Name, State, Supervisor, seconds};
use std::time::Duration;

/// The most heartbeats that a role may owe. The response comes from a thread of its own, but a busy
/// or paused machine may give this thread no time for many seconds. With the usual interval, a role
/// is killed after 20 seconds.
const MISSED: u32 = 4;

/// The time limit of a role's start: a gateway compiles every tool, a recorder reads its whole
/// ledger, and a self-check makes many requests.
const READY: Duration = Duration::from_secs(300);

/// The time limit of the start of a role that reads only small files: far more than it needs.
const READY_SMALL: Duration = Duration::from_secs(60);

impl Supervisor<'_> {
    /// Sends a heartbeat request to every role, and kills those that owe too many.
    pub(super) fn ping(&mut self) {
        let (every, cluster) = (self.heartbeat.period(), self.has_cluster());
        let roles = self.roles.iter_mut().map(|(name, child)| (*name, child));
        let leaving = self.leaving.iter_mut().map(|child| (Name::Runner(0), child));
        for (name, child) in roles.chain(leaving).filter(|(_, child)| child.killed.is_none()) {
            let silence = match child.state {
                State::Starting => {
                    let small = matches!(name, Name::Courier | Name::Link)
                        || (!cluster && (name.is_runner() || name == Name::Viewer));
                    let most = if small { READY_SMALL } else { READY };
                    (child.begun.elapsed() > most)
                        .then(|| format!("it was not ready within {}", seconds(most)))
                }
                State::StandsBy | State::Ready | State::Leaving => (child.ping() >= MISSED)
                    .then(|| format!("it gave no sign of life for {}", seconds(every * MISSED))),
            };
            if let Some(silence) = silence {
                child.kill(format!("{silence} and was killed"));
            }
        }
    }
}
