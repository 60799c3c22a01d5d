//! The bound of the queue: refuses a new job that would wait longer than half of its permit's life.
//! The waiting time is estimated with the measured rate at which runners take jobs; without a
//! measurement, a number of jobs is the bound. Never refuses a job that is stored already.

use cofferdam_core::protocol::RoleError;
use std::collections::VecDeque;

/// The most jobs that wait in the queue: `runner.max_queued` of the configuration, if it is not
/// set. At 200 jobs a second, the queue is empty after about half of a permit's life; the jobs take
/// some hundred megabytes.
pub const QUEUED: u64 = 50_000;

/// The number of claims that a rate is measured with: enough that a burst does not change it much,
/// and few enough that a busy queue forgets a pause soon.
const MEASURED: usize = 64;

/// The time after which a claim no longer counts, in milliseconds of a queue with jobs: half of the
/// longest permit's life.
const FORGOTTEN_MS: i64 = 300_000;

/// The pause before the next try without a measurement, in seconds: runners start within a few.
const UNMEASURED_SECONDS: u64 = 30;

/// The longest pause before the next try, in seconds: half of the longest permit's life.
const LONGEST_SECONDS: u64 = 300;

/// The queued jobs, and the times of the newest first claims. Times of claims are milliseconds in
/// which the queue had a job and no runner waited: an idle queue says nothing about the runners, and
/// the jobs of a queue with an idle runner wait for other jobs, not for a runner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog {
    /// The number of queued jobs.
    length: u64,
    /// The number of runners that wait for a job.
    idle: usize,
    /// The milliseconds with a job in the queue and no idle runner, up to `noted_ms`.
    busy_ms: i64,
    /// The wall clock at the newest change, in milliseconds.
    noted_ms: i64,
    /// The newest first claims, oldest first.
    claims: VecDeque<i64>,
}

impl Backlog {
    /// The backlog of a store with so many queued jobs, without a measurement.
    pub const fn new(length: u64, now_ms: i64) -> Self {
        Self { length, idle: 0, busy_ms: 0, noted_ms: now_ms, claims: VecDeque::new() }
    }

    /// The number of queued jobs.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Replaces the number of queued jobs, for example after a commit with an unknown end.
    pub fn count_again(&mut self, length: u64, now_ms: i64) {
        self.busy_ms = self.busy_at(now_ms);
        self.noted_ms = now_ms;
        self.length = length;
    }

    /// Notes that a runner begins to wait for a job.
    pub fn wait(&mut self, now_ms: i64) {
        self.count_again(self.length, now_ms);
        self.idle = self.idle.saturating_add(1);
    }

    /// Notes that a runner no longer waits for a job.
    pub fn go_on(&mut self, now_ms: i64) {
        self.count_again(self.length, now_ms);
        self.idle = self.idle.saturating_sub(1);
    }

    /// Notes a commit: the change of the number of queued jobs, and the number of jobs that a
    /// runner claimed for the first time.
    pub fn note(&mut self, change: i64, claimed: usize, now_ms: i64) {
        if change == 0 && claimed == 0 {
            return;
        }
        self.count_again(self.length.saturating_add_signed(change), now_ms);
        let kept = claimed.min(MEASURED);
        self.claims.extend(std::iter::repeat_n(self.busy_ms, kept));
        self.claims.drain(..self.claims.len().saturating_sub(MEASURED));
    }

    /// Refuses a new job with this life of its permit if `ahead` jobs are too many.
    ///
    /// # Errors
    /// [`RoleError::Busy`]: no runner waits and the queue is longer than runners empty it in half of
    /// the life, or it has `most` jobs.
    pub fn admit(&self, ahead: u64, most: u64, life_ms: i64, now_ms: i64) -> Result<(), RoleError> {
        let life_ms = life_ms.max(0);
        let rate = self.rate(now_ms);
        if ahead >= most {
            let seconds = rate.map_or(UNMEASURED_SECONDS, |rate| {
                seconds(rate.waiting_ms(ahead.saturating_sub(most).saturating_add(1)))
            });
            let why = format!("{ahead} jobs wait for a runner, and at most {most} may");
            return Err(busy(why, seconds));
        }
        let Some(rate) = rate.filter(|_| self.idle == 0) else { return Ok(()) };
        let waiting_ms = rate.waiting_ms(ahead);
        let over_ms = waiting_ms.saturating_sub(life_ms / 2);
        if over_ms <= 0 {
            return Ok(());
        }
        let why = format!(
            "{ahead} jobs wait for a runner, for about {} seconds, and the permit of this call \
             would be good for {} seconds",
            waiting_ms / 1_000,
            life_ms / 1_000
        );
        Err(busy(why, seconds(over_ms)))
    }

    /// The measured rate; `None` if no job was claimed recently.
    fn rate(&self, now_ms: i64) -> Option<Rate> {
        let busy_ms = self.busy_at(now_ms);
        let since = busy_ms.saturating_sub(FORGOTTEN_MS);
        let mut counted = self.claims.iter().filter(|at| **at > since).peekable();
        let oldest = **counted.peek()?;
        let claims = i64::try_from(counted.count()).unwrap_or(i64::MAX);
        Some(Rate { claims, within_ms: busy_ms.saturating_sub(oldest) })
    }

    /// The milliseconds with a job in the queue and no idle runner, up to now.
    fn busy_at(&self, now_ms: i64) -> i64 {
        let passed = if self.length > 0 && self.idle == 0 {
            now_ms.saturating_sub(self.noted_ms).max(0)
        } else {
            0
        };
        self.busy_ms.saturating_add(passed)
    }
}

/// So many claims in so many milliseconds.
#[derive(Debug, Clone, Copy)]
struct Rate {
    claims: i64,
    within_ms: i64,
}

impl Rate {
    /// The milliseconds until so many jobs are claimed.
    fn waiting_ms(self, jobs: u64) -> i64 {
        let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
        jobs.saturating_mul(self.within_ms) / self.claims.max(1)
    }
}

/// Whole seconds, rounded up, from 1 to [`LONGEST_SECONDS`].
fn seconds(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).div_ceil(1_000).clamp(1, LONGEST_SECONDS)
}

fn busy(why: String, retry_after_seconds: u64) -> RoleError {
    RoleError::Busy { why, retry_after_seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of the refusal; `None` for an accepted job.
    fn refused(backlog: &Backlog, ahead: u64, life_ms: i64, now_ms: i64) -> Option<u64> {
        match backlog.admit(ahead, 1_000, life_ms, now_ms) {
            Ok(()) => None,
            Err(RoleError::Busy { retry_after_seconds, .. }) => Some(retry_after_seconds),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_job_that_would_wait_for_half_of_its_permit_is_refused() {
        // One claim in `every` milliseconds, over a queue that is never empty.
        for (every, ahead, life_ms, expected) in [
            (1_000, 100, 600_000, None),
            (1_000, 300, 600_000, None),
            (1_000, 310, 600_000, Some(6)),
            (1_000, 310, 700_000, None),
            (1_000, 100, 100_000, Some(49)),
            (100, 999, 600_000, None),
            (100, 999, 60_000, Some(69)),
            (10_000, 20, 600_000, None),
            (10_000, 40, 600_000, Some(87)),
            (10_000, 999, 600_000, Some(300)),
            (1_000, 10, 0, Some(10)),
        ] {
            let mut backlog = Backlog::new(1_000, 0);
            (1..=64).for_each(|claim| backlog.note(-1, 1, claim * every));
            let told = refused(&backlog, ahead, life_ms, 64 * every);
            assert_eq!(told, expected, "{ahead} jobs, one each {every} ms, life {life_ms} ms");
        }
    }

    #[test]
    fn without_a_measurement_a_number_of_jobs_is_the_bound() {
        let backlog = Backlog::new(999, 0);
        // No runner comes: the time does not refuse a job.
        assert_eq!(refused(&backlog, 999, 600_000, 3_600_000), None);
        assert_eq!(refused(&backlog, 1_000, 600_000, 0), Some(UNMEASURED_SECONDS));
        let mut measured = Backlog::new(1_100, 0);
        (1..=64).for_each(|claim| measured.note(-1, 1, claim * 100));
        assert_eq!(refused(&measured, 1_036, 6_000_000, 6_400), Some(4), "both bounds hold");
    }

    #[test]
    fn an_idle_time_does_not_count_and_a_stop_of_the_runners_does() {
        let mut backlog = Backlog::new(0, 0);
        backlog.note(1, 0, 0);
        backlog.note(-1, 1, 20);
        // An hour later, many jobs come at once.
        backlog.note(900, 0, 3_600_000);
        assert_eq!(refused(&backlog, 900, 600_000, 3_600_000), None);
        (1..=64).for_each(|claim| backlog.note(-1, 1, 3_600_000 + claim * 100));
        assert_eq!(refused(&backlog, 836, 600_000, 3_606_400), None, "ten jobs a second");
        // The runners stop: the estimate grows with the time that passes.
        assert_eq!(refused(&backlog, 836, 600_000, 3_636_400), Some(175));
        // Much later the claims say nothing any more.
        assert_eq!(refused(&backlog, 836, 600_000, 3_606_400 + FORGOTTEN_MS), None);
    }

    /// Twenty jobs about one object of a slow agent: three of four runners wait all the time.
    #[test]
    fn jobs_that_wait_for_other_jobs_refuse_no_job_while_a_runner_waits() {
        let mut backlog = Backlog::new(20, 0);
        (0..3).for_each(|_| backlog.wait(0));
        (1..=5).for_each(|claim| backlog.note(-1, 1, claim * 60_000));
        assert_eq!(refused(&backlog, 15, 600_000, 300_000), None);
        assert_eq!(refused(&backlog, 1_000, 600_000, 300_000), Some(1), "the number still holds");
        // All runners have a job now. The time in which one waited says nothing about them.
        (0..3).for_each(|_| backlog.go_on(300_000));
        assert_eq!(refused(&backlog, 900, 600_000, 300_000), None);
        assert_eq!(refused(&backlog, 900, 600_000, 301_000), None);
        assert_eq!(refused(&backlog, 900, 600_000, 310_000), Some(300));
    }

    #[test]
    fn a_clock_that_goes_back_refuses_nothing() {
        let mut backlog = Backlog::new(10, 1_000_000);
        backlog.note(-1, 1, 500_000);
        assert_eq!(refused(&backlog, 900, 600_000, 400_000), None);
        assert_eq!(backlog.length(), 9);
    }
}
