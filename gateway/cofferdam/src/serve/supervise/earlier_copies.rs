//! The copies of earlier loads. A job uses the copies of its beginning, so they stay until no runner
//! can use them. Never removes the copies in use.

use super::Supervisor;
use super::copies::remove;
use crate::serve::copies::Copies;
use std::time::Duration;
use tokio::time::Instant;

/// The time for which the copies of a load stay after it, in any case: calls that began before end
/// with them, and a runner's report of its job may be late.
const KEPT: Duration = Duration::from_secs(60);

/// Copies that were in use until this time.
pub(super) struct Earlier {
    pub copies: Copies,
    pub ended: Instant,
}

/// Returns whether a call or a job may use copies that were in use until `ended`. `jobs`: the times
/// at which the runners started that have a job.
fn may_be_used(ended: Instant, now: Instant, jobs: &[Instant]) -> bool {
    now.duration_since(ended) < KEPT || jobs.iter().any(|begun| *begun <= ended)
}

impl Supervisor<'_> {
    /// Removes the copies of earlier loads that no call and no job can use.
    pub(super) fn remove_earlier_copies(&mut self) {
        let runners = self.roles.iter().filter(|(name, child)| name.is_runner() && child.has_job);
        let jobs: Vec<Instant> = runners.map(|(_, child)| Instant::from_std(child.begun)).collect();
        let now = Instant::now();
        let (kept, gone): (Vec<Earlier>, Vec<Earlier>) = std::mem::take(&mut self.earlier)
            .into_iter()
            .partition(|earlier| may_be_used(earlier.ended, now, &jobs));
        self.earlier = kept;
        // A slow disk must not block the supervisor.
        tokio::task::spawn_blocking(move || {
            gone.iter().for_each(|earlier| remove(&earlier.copies));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_for_a_moment_and_as_long_as_a_job_of_their_time() {
        let second = Duration::from_secs(1);
        let ended = Instant::now() + KEPT;
        let later = ended + KEPT;
        let table: [(Instant, &[Instant], bool); 5] = [
            (ended + second, &[], true),
            (later, &[], false),
            (later, &[ended - second], true),
            (later, &[ended + second], false),
            (later, &[ended + second, ended], true),
        ];
        for (now, jobs, used) in table {
            assert_eq!(may_be_used(ended, now, jobs), used, "{jobs:?}");
        }
    }
}
