//! The next runners of busy seats: when each is started. Only in a directory: on a cluster a seat is
//! busy for long, and a start makes requests. Never gives a runner a seat.

use super::{Name, State, Supervisor};
use tokio::time::Instant;

/// A seat, as far as this decision needs it.
#[derive(Debug, Clone, Copy)]
struct Seat {
    number: u8,
    /// True if its runner has a job, or only cleans up.
    is_busy: bool,
    /// True if its next runner is started already.
    has_next: bool,
}

/// The seats whose next runner is to be started: none while another runner is free for the next
/// job, because a start would compete with the job that runs for the processors.
fn due(seats: &[Seat]) -> impl Iterator<Item = u8> {
    let all_busy = seats.iter().all(|seat| seat.is_busy);
    seats.iter().filter(move |seat| all_busy && !seat.has_next).map(|seat| seat.number)
}

impl Supervisor<'_> {
    /// Notes that this runner has a job, and starts the next runners that are due.
    pub(super) fn start_next_runners(&mut self, name: Name) {
        if let Some(child) = self.roles.get_mut(&name) {
            child.has_job = true;
        }
        if self.ending.is_some() || self.has_cluster() {
            return;
        }
        let seats: Vec<Seat> = self
            .roles
            .iter()
            .filter_map(|(name, child)| match name {
                Name::Runner(number) => Some(Seat {
                    number: *number,
                    is_busy: child.has_job || child.state == State::Leaving,
                    has_next: self.roles.contains_key(&Name::Next(*number)),
                }),
                _ => None,
            })
            .collect();
        for number in due(&seats) {
            self.due.entry(Name::Next(number)).or_insert_with(Instant::now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_runners_start_once_no_other_runner_is_free() {
        let check = |seats: &[(bool, bool)], expect: &[u8]| {
            let seats: Vec<_> = (0..)
                .zip(seats)
                .map(|(number, (is_busy, has_next))| Seat {
                    number,
                    is_busy: *is_busy,
                    has_next: *has_next,
                })
                .collect();
            assert_eq!(due(&seats).collect::<Vec<_>>(), expect, "{seats:?}");
        };
        check(&[(true, false)], &[0]);
        check(&[(true, false), (false, false)], &[]);
        check(&[(true, false), (true, false)], &[0, 1]);
        check(&[(true, true), (true, false)], &[1]);
        check(&[(true, true), (true, true)], &[]);
        check(&[(true, false), (true, false), (false, false)], &[]);
    }
}
