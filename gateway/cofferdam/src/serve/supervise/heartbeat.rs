//! Signs of life: each role is asked for them, and one that owes too many is killed. Never decides
//! what follows: a role that was killed has ended.

use super::{Name, State, Supervisor, seconds};
use std::time::Duration;

/// Signs of life that a role may owe. Its answer comes from a thread that does nothing else, but a
/// machine that compiles, swaps or is a paused guest itself may give that thread no time for many
/// seconds; with the interval above a role is killed after twenty.
const MISSED: u32 = 4;

/// How long a role may take until it is ready: a gateway compiles every tool at its first start, a
/// recorder reads its whole ledger, a cluster is asked for a lot.
const READY: Duration = Duration::from_secs(300);

/// The same for a role that reads some small files: a thousand times what it takes, for a machine
/// under load.
const READY_SMALL: Duration = Duration::from_secs(60);

impl Supervisor<'_> {
    /// Asks every role for a sign of life, and kills those that owe too many: their end is seen to
    /// as any other.
    pub(super) fn ping(&mut self) {
        let (every, cluster) = (self.heartbeat.period(), self.has_cluster());
        let roles = self.roles.iter_mut().map(|(name, sibling)| (*name, sibling));
        let leaving = self.leaving.iter_mut().map(|sibling| (Name::Runner(0), sibling));
        for (name, sibling) in roles.chain(leaving).filter(|(_, sibling)| sibling.killed.is_none())
        {
            let silence = match sibling.state {
                State::Starting => {
                    let most = if !cluster && (name.is_runner() || name == Name::Viewer) {
                        READY_SMALL
                    } else {
                        READY
                    };
                    (sibling.begun.elapsed() > most)
                        .then(|| format!("it was not ready within {}", seconds(most)))
                }
                State::Ready | State::Leaving => (sibling.ping() >= MISSED)
                    .then(|| format!("it gave no sign of life for {}", seconds(every * MISSED))),
            };
            if let Some(silence) = silence {
                sibling.kill(format!("{silence} and was killed"));
            }
        }
    }
}
