//! The guest processes that runners share, one after the other: each for one tool or one policy. The
//! supervisor starts them, and passes their sockets on. It never writes to a guest, and never reads
//! from one.

use cofferdam_process::control::{LOADED_GUEST, Lent, NEW_GUEST, Order};
use cofferdam_process::spawn::{self, StandardError};
use cofferdam_process::tether::Parcel;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Most guests at once: a few for each of the most runners. Beyond it, runners start their own.
const MOST: usize = 64;

/// How long a guest is lent. It ends after ten seconds, and a runner that got one right before would
/// have to start another.
const FRESH: Duration = Duration::from_secs(9);

/// The guests that wait for a runner.
#[derive(Debug)]
pub(super) struct Guests {
    program: PathBuf,
    waiting: Vec<Waiting>,
    /// The guest of each runner that has one, with the time of its start.
    lent: BTreeMap<u64, (Lent, Instant)>,
    /// A task for each process. Dropping it kills the process.
    running: JoinSet<()>,
}

#[derive(Debug)]
struct Waiting {
    guest: Lent,
    socket: OwnedFd,
    /// The time of its start.
    begun: Instant,
}

impl Guests {
    /// Guests of this program, none of them started.
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program, waiting: Vec::new(), lent: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Lends a guest to the runner with this number: one that has loaded the component, or a new
    /// one. A runner has one at a time.
    pub(super) fn lend(&mut self, runner: u64, guest: Lent) -> Parcel {
        self.waiting.retain(|waiting| waiting.begun.elapsed() < FRESH);
        while self.running.try_join_next().is_some() {}
        let found = self.waiting.iter().rposition(|waiting| waiting.guest == guest);
        if let Some(found) = found {
            let Waiting { guest, socket, begun } = self.waiting.swap_remove(found);
            self.lent.insert(runner, (guest, begun));
            return Parcel::Socket(LOADED_GUEST, socket);
        }
        if self.running.len() >= MOST {
            return Parcel::Order(Order::NoGuest);
        }
        match self.start() {
            Ok(socket) => {
                self.lent.insert(runner, (guest, Instant::now()));
                Parcel::stream(NEW_GUEST, socket)
            }
            // The runner starts its own, and reports the cause with its job.
            Err(error) => {
                tracing::debug!(error = %error, "a guest cannot be started");
                Parcel::Order(Order::NoGuest)
            }
        }
    }

    /// Takes a guest back from the runner that it was lent to. A socket of any other kind is
    /// closed: a runner cannot bring a guest of its own.
    pub(super) fn take_back(&mut self, runner: u64, guest: Lent, socket: Option<OwnedFd>) {
        if let (Some((lent, begun)), Some(socket)) = (self.lent.remove(&runner), socket)
            && lent == guest
        {
            self.waiting.push(Waiting { guest, socket, begun });
        }
    }

    /// Forgets the guest of a runner that ended. The guest ends with its socket.
    pub(super) fn forget(&mut self, runner: u64) {
        self.lent.remove(&runner);
    }

    fn start(&mut self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let command = spawn::command(&self.program, &[], theirs.into(), StandardError::Discarded);
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        self.running.spawn(async move {
            let _status = child.wait().await;
        });
        Ok(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::id::ComponentDigest;
    use cofferdam_core::protocol::role_guest::GuestKind;

    fn guest(kind: GuestKind, component: &[u8]) -> Lent {
        Lent { kind, component: ComponentDigest::of(component) }
    }

    fn socket() -> Option<OwnedFd> {
        Some(UnixStream::pair().unwrap().0.into())
    }

    fn check(parcel: &Parcel, expect: &str) {
        let seen = match parcel {
            Parcel::Socket(name, _) => *name,
            Parcel::Order(Order::NoGuest) => "none",
            Parcel::Order(_) => "another order",
        };
        assert_eq!(seen, expect);
    }

    #[tokio::test]
    async fn a_guest_serves_one_component_and_one_runner_at_a_time() {
        let mut guests = Guests::new("/bin/cat".into());
        let (tool, policy) = (guest(GuestKind::Tool, b"a"), guest(GuestKind::Policy, b"a"));
        check(&guests.lend(1, tool.clone()), NEW_GUEST);
        // While one runner has it, another one gets its own.
        check(&guests.lend(2, tool.clone()), NEW_GUEST);
        guests.take_back(1, tool.clone(), socket());
        check(&guests.lend(3, policy.clone()), NEW_GUEST);
        check(&guests.lend(4, guest(GuestKind::Tool, b"b")), NEW_GUEST);
        check(&guests.lend(5, tool.clone()), LOADED_GUEST);
        check(&guests.lend(6, tool.clone()), NEW_GUEST);
        // Only what was lent comes back: no second guest, and none for another component.
        guests.take_back(5, tool.clone(), socket());
        guests.take_back(5, tool.clone(), socket());
        guests.take_back(9, tool.clone(), socket());
        guests.take_back(3, tool.clone(), socket());
        guests.take_back(4, policy.clone(), socket());
        check(&guests.lend(7, tool.clone()), LOADED_GUEST);
        check(&guests.lend(8, tool), NEW_GUEST);
        check(&guests.lend(9, policy), NEW_GUEST);
    }

    #[tokio::test]
    async fn too_many_guests_and_a_missing_program_are_no_guest() {
        let mut guests = Guests::new("/bin/cat".into());
        let tool = guest(GuestKind::Tool, b"a");
        let parcels: Vec<_> = (0..70).map(|runner| guests.lend(runner, tool.clone())).collect();
        let lent = parcels.iter().filter(|parcel| matches!(parcel, Parcel::Socket(..))).count();
        assert_eq!(lent, MOST);
        check(&Guests::new("/nowhere/guest".into()).lend(1, tool), "none");
    }
}
