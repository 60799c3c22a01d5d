//! The requests of a runner: one job at a time, under its lease epoch. When the socket of the seat
//! closes, the lease is lost at once.

use super::{Recorder, misplaced_answer};
use crate::settings::LONGEST_WAIT_MS;
use crate::store::change::{Change, Done};
use crate::waiters::locked;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::limit::{NOTE, NOTES_AT_ONCE, OBSTACLE};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The seat of a runner: its socket and its lease.
pub struct RunnerSeat {
    recorder: Recorder,
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
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, held: Mutex::new(None) }
    }

    /// The leased job of this runner.
    pub fn holds(&self) -> Option<(CallId, Fence)> {
        locked(&self.held).clone()
    }

    /// Handles one request. Dropping the future is safe: a claimed job goes to the next runner.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, RoleError> {
        match claim {
            Claim::Next { wait_ms } => self.next(wait_ms).await,
            Claim::Heartbeat { call, fence } => {
                self.own(&call, fence)?;
                self.lease(call, fence).await
            }
            Claim::Move { call, fence, events } => {
                self.own(&call, fence)?;
                self.move_job(call, fence, events).await
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

    async fn next(&self, wait_ms: u64) -> Result<Claimed, RoleError> {
        if let Some((call, _)) = self.holds() {
            return Err(RoleError::Refused(format!(
                "this runner holds the job `{call}`; one runner, one job"
            )));
        }
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut draining = self.recorder.inner.shared.draining.subscribe();
        loop {
            match self.recorder.submit(Change::Claim).await? {
                Done::Leased(Some(job)) => {
                    *locked(&self.held) = Some((job.job.call.clone(), job.fence));
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

    async fn lease(&self, call: CallId, fence: Fence) -> Result<Claimed, RoleError> {
        let cancelled = self.recorder.inner.reader.cancelled(&call, fence).await?;
        self.recorder.inner.shared.leased(call, fence, self.recorder.now());
        Ok(Claimed::Lease { cancelled })
    }

    async fn move_job(
        &self,
        call: CallId,
        fence: Fence,
        events: Vec<RunnerEvent>,
    ) -> Result<Claimed, RoleError> {
        let gone = matches!(events.last(), Some(RunnerEvent::Gone { .. }));
        let done = self.recorder.submit(Change::Move { call: call.clone(), fence, events }).await?;
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
        if let Some((call, fence)) = locked(&self.held).take() {
            self.recorder.inner.shared.lost(call, fence);
        }
    }
}
