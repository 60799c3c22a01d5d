//! The requests of a runner: one job at a time, under its lease epoch. When the connection of the
//! seat ends, the lease is lost at once, or kept for a while if it was a link. Its runner can take it
//! over with another connection, by its claim token.

use super::{Recorder, misplaced_answer};
use crate::leases::Via;
use crate::settings::LONGEST_WAIT_MS;
use crate::store::change::{Change, Done};
use crate::waiters::locked;
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::limit::{NOTE, NOTES_AT_ONCE, OBSTACLE};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The seat of a runner: its connection and its lease.
pub struct RunnerSeat {
    recorder: Recorder,
    via: Via,
    number: u64,
    held: Mutex<Option<(CallId, Fence)>>,
}

/// A runner that waits for a job, until this is dropped.
struct Idle<'a>(&'a Recorder);

impl<'a> Idle<'a> {
    fn begin(recorder: &'a Recorder) -> Self {
        locked(&recorder.inner.shared.backlog).wait(recorder.now().as_millisecond());
        Self(recorder)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        locked(&self.0.inner.shared.backlog).go_on(self.0.now().as_millisecond());
    }
}

impl RunnerSeat {
    pub(super) fn new(recorder: Recorder, via: Via) -> Self {
        let number = locked(&recorder.inner.shared.leases).seat();
        Self { recorder, via, number, held: Mutex::new(None) }
    }

    /// The leased job of this runner.
    pub fn holds(&self) -> Option<(CallId, Fence)> {
        locked(&self.held).clone()
    }

    /// Handles one request. Dropping the future is safe: a claimed job goes to the next runner.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, RoleError> {
        match claim {
            Claim::Next { wait_ms, token } => self.next(wait_ms, token).await,
            Claim::Resume { call, fence, token } => self.resume(call, fence, &token).await,
            Claim::Heartbeat { call, fence } => {
                self.own(&call, fence)?;
                self.lease(call, fence).await
            }
            Claim::Move { call, fence, events, number } => {
                self.own(&call, fence)?;
                self.move_job(call, fence, (events, number)).await
            }
            Claim::LetGo { call, fence, obstacle } => {
                self.own(&call, fence)?;
                if [&obstacle.cause, &obstacle.remedy]
                    .iter()
                    .any(|words| words.chars().count() > OBSTACLE)
                {
                    let problem = format!(
                        "an obstacle is told in at most {OBSTACLE} characters each of cause and \
                         remedy"
                    );
                    return Err(RoleError::Refused(problem));
                }
                tracing::debug!(%call,
                "a job cannot go on at present and is tried again: {obstacle}");
                self.recorder
                    .submit(Change::Lose { call: call.clone(), fence, obstacle: Some(obstacle) })
                    .await?;
                self.recorder.inner.shared.released(&call, fence);
                *locked(&self.held) = None;
                Ok(Claimed::Released)
            }
            Claim::Progress { call, fence, said } => {
                self.own(&call, fence)?;
                if said.len() > NOTES_AT_ONCE
                    || said.iter().any(|said| said.text.chars().count() > NOTE)
                {
                    let problem = format!(
                        "a runner passes on at most {NOTES_AT_ONCE} notes at once, each of at \
                         most {NOTE} characters"
                    );
                    return Err(RoleError::Refused(problem));
                }
                self.recorder.submit(Change::Progress { call: call.clone(), fence, said }).await?;
                self.lease(call, fence).await
            }
        }
    }

    /// Checks that the request is about the runner's own job and lease.
    fn own(&self, call: &CallId, fence: Fence) -> Result<(), RoleError> {
        let held = locked(&self.held);
        if held.as_ref().is_some_and(|(own, under)| own == call && *under == fence) {
            Ok(())
        } else {
            Err(RoleError::Fenced)
        }
    }

    async fn next(&self, wait_ms: u64, token: Option<ClaimToken>) -> Result<Claimed, RoleError> {
        if let Some((call, _)) = self.holds() {
            return Err(RoleError::Refused(format!(
                "this runner holds the job `{call}`; one runner, one job"
            )));
        }
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut draining = self.recorder.inner.shared.draining.subscribe();
        loop {
            let claim = Change::Claim { token: token.clone(), via: self.via };
            match self.recorder.submit(claim).await? {
                Done::Leased(Some(job)) => {
                    self.take(job.job.call.clone(), job.fence)?;
                    return Ok(Claimed::Leased { job: Some(job) });
                }
                Done::Leased(None) => {}
                _ => return Err(misplaced_answer()),
            }
            if *draining.borrow() {
                return Ok(Claimed::Leased { job: None });
            }
            let news = async {
                // A job that came before this wait left its notice. The sender exists as long as the
                // recorder.
                tokio::select! {
                    () = self.recorder.inner.shared.queue.notified() => {}
                    _ = draining.changed() => {}
                }
            };
            let idle = Idle::begin(&self.recorder);
            let told = timeout_at(until, news).await;
            drop(idle);
            if told.is_err() {
                return Ok(Claimed::Leased { job: None });
            }
        }
    }

    /// Takes a lease over from another connection of its runner.
    async fn resume(
        &self,
        call: CallId,
        fence: Fence,
        token: &ClaimToken,
    ) -> Result<Claimed, RoleError> {
        if let Some(held) = self.holds().filter(|held| *held != (call.clone(), fence)) {
            return Err(RoleError::Refused(format!(
                "this runner holds the job `{}`; one runner, one job",
                held.0
            )));
        }
        let lease = self.recorder.inner.reader.lease(&call, fence, Some(token)).await?;
        if lease.leased {
            self.recorder.inner.shared.leased(call.clone(), fence, self.recorder.now());
        }
        self.take(call, fence)?;
        Ok(Claimed::Lease { cancelled: lease.cancelled })
    }

    /// Holds this lease from now on.
    ///
    /// # Errors
    /// [`RoleError::Fenced`]: its runner has it on a later connection.
    fn take(&self, call: CallId, fence: Fence) -> Result<(), RoleError> {
        if !locked(&self.recorder.inner.shared.leases).take(&call, fence, self.number) {
            return Err(RoleError::Fenced);
        }
        *locked(&self.held) = Some((call, fence));
        Ok(())
    }

    async fn lease(&self, call: CallId, fence: Fence) -> Result<Claimed, RoleError> {
        let lease = self.recorder.inner.reader.lease(&call, fence, None).await?;
        if lease.leased {
            self.recorder.inner.shared.leased(call, fence, self.recorder.now());
        }
        Ok(Claimed::Lease { cancelled: lease.cancelled })
    }

    async fn move_job(
        &self,
        call: CallId,
        fence: Fence,
        (events, number): (Vec<RunnerEvent>, Option<u64>),
    ) -> Result<Claimed, RoleError> {
        let gone = matches!(events.last(), Some(RunnerEvent::Gone { .. }));
        let moved = Change::Move { call: call.clone(), fence, events, number };
        let done = self.recorder.submit(moved).await?;
        let Done::Recorded(recorded) = done else { return Err(misplaced_answer()) };
        if gone {
            self.recorder.inner.shared.released(&call, fence);
            *locked(&self.held) = None;
        } else {
            self.recorder.inner.shared.leased(call, fence, self.recorder.now());
        }
        Ok(Claimed::Recorded(recorded))
    }
}

impl Drop for RunnerSeat {
    fn drop(&mut self) {
        if let Some(lease) = locked(&self.held).take() {
            let (seat, now) = ((self.number, self.via), self.recorder.now());
            self.recorder.inner.shared.left(lease, seat, now);
        }
    }
}
