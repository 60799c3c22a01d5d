//! The lease of a job: kept by heartbeats, checked before every effect. A runner that cannot be
//! sure of its lease stops by itself.

use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{Obstacle, Said};
use cofferdam_core::model::limit::OBSTACLE;
use cofferdam_core::model::record::Recorded;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_process::rpc::Client;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The runner's socket to the recorder.
pub trait Recorder: Send + Sync + 'static {
    /// Sends one request to the recorder.
    fn claim(&self, claim: &Claim) -> impl Future<Output = Result<Claimed, RoleError>> + Send;
    /// Returns whether the other side is connected at present.
    fn connected(&self) -> bool;
}

impl Recorder for Client<Claim, Claimed> {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, RoleError> {
        self.call(claim).await
    }

    fn connected(&self) -> bool {
        self.connected()
    }
}

/// Seconds a lease lasts at most, whatever the recorder says: so long a runner that is cut off may
/// believe that it holds one.
const LEASE_MOST: u64 = 300;

/// Why nothing further may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The job was cancelled.
    Cancelled,
    /// Another runner has the lease, it expired, or the recorder does not respond.
    Lost,
}

const HELD: u8 = 0;
const CANCELLED: u8 = 1;
const LOST: u8 = 2;

/// A lease that is kept by heartbeats.
pub struct Lease<R> {
    recorder: Arc<R>,
    call: CallId,
    fence: Fence,
    state: Arc<AtomicU8>,
    heart: JoinHandle<()>,
    /// Events that are reported together with the next one.
    deferred: Mutex<Vec<RunnerEvent>>,
}

impl<R: Recorder> Lease<R> {
    /// Begins to keep a lease of this many seconds, three heartbeats to each.
    pub fn keep(recorder: Arc<R>, call: CallId, fence: Fence, seconds: u64) -> Self {
        let state = Arc::new(AtomicU8::new(HELD));
        let lease = Duration::from_secs(seconds.clamp(1, LEASE_MOST));
        let heart = tokio::spawn(beat(
            Arc::clone(&recorder),
            call.clone(),
            fence,
            lease,
            Arc::clone(&state),
        ));
        Self { recorder, call, fence, state, heart, deferred: Mutex::default() }
    }

    /// The call of the job.
    pub fn call(&self) -> &CallId {
        &self.call
    }

    /// The lease epoch of the job.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The reason to stop before the next effect; `None` to go on.
    pub fn stopped(&self) -> Option<Stopped> {
        match self.state.load(Ordering::Acquire) {
            HELD if self.recorder.connected() => None,
            CANCELLED => Some(Stopped::Cancelled),
            _ => Some(Stopped::Lost),
        }
    }

    /// Asks the recorder itself whether the lease is valid, right before an effect that cannot be
    /// undone.
    pub async fn confirm(&self) -> Option<Stopped> {
        match self
            .recorder
            .claim(&Claim::Heartbeat { call: self.call.clone(), fence: self.fence })
            .await
        {
            Ok(Claimed::Lease { cancelled: false }) => self.stopped(),
            Ok(Claimed::Lease { cancelled: true }) => Some(Stopped::Cancelled),
            _ => Some(Stopped::Lost),
        }
    }

    /// Keeps an event for the next report: for events after which nothing can have happened to the
    /// infrastructure before that report.
    pub fn defer(&self, event: RunnerEvent) {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Returns whether the use of the permit waits for the next report.
    pub fn defers_acting(&self) -> bool {
        let deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        deferred.contains(&RunnerEvent::Acting)
    }

    /// Reports an event of the job, after those that wait for it. Returns once all are durable. The
    /// recorder refuses the use of a permit after a cancellation: that event is dropped then, and
    /// those before it wait for the next report.
    pub async fn report(&self, event: RunnerEvent) -> Result<Recorded, RoleError> {
        let mut events =
            std::mem::take(&mut *self.deferred.lock().unwrap_or_else(PoisonError::into_inner));
        let acting = events.iter().position(|event| *event == RunnerEvent::Acting);
        let before = acting.and_then(|at| events.get(..at)).map(<[_]>::to_vec);
        events.push(event);
        let moved = self
            .recorder
            .claim(&Claim::Move { call: self.call.clone(), fence: self.fence, events })
            .await;
        if let (Err(RoleError::Refused(_)), Some(before)) = (&moved, before) {
            cancel(&self.state);
            *self.deferred.lock().unwrap_or_else(PoisonError::into_inner) = before;
        }
        match moved {
            Ok(Claimed::Recorded(recorded)) => Ok(recorded),
            Ok(_) => {
                Err(RoleError::Unavailable("the recorder sent an unexpected response".to_owned()))
            }
            Err(error) => {
                if error == RoleError::Fenced {
                    self.state.store(LOST, Ordering::Release);
                }
                Err(error)
            }
        }
    }

    /// Gives the job up because of an obstacle. The recorder offers it again after a pause.
    pub async fn let_go(&self, obstacle: Obstacle) -> Result<(), RoleError> {
        let last = self.deferred.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(last) = last {
            self.report(last).await?;
        }
        let bounded = |words: String| words.chars().take(OBSTACLE).collect::<String>();
        let obstacle =
            Obstacle { cause: bounded(obstacle.cause), remedy: bounded(obstacle.remedy) };
        match self
            .recorder
            .claim(&Claim::LetGo { call: self.call.clone(), fence: self.fence, obstacle })
            .await?
        {
            Claimed::Released => Ok(()),
            _ => Err(RoleError::Unavailable("the recorder sent an unexpected response".to_owned())),
        }
    }

    /// Passes output of the executor or of tasks on. An error here does not stop the job.
    pub async fn progress(&self, said: Vec<Said>) {
        if said.is_empty() {
            return;
        }
        let passed = self
            .recorder
            .claim(&Claim::Progress { call: self.call.clone(), fence: self.fence, said })
            .await;
        if let Ok(Claimed::Lease { cancelled: true }) = passed {
            cancel(&self.state);
        }
    }
}

impl<R> Drop for Lease<R> {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

/// A lease that was lost stays lost.
fn cancel(state: &AtomicU8) {
    let _was_lost = state.compare_exchange(HELD, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
}

async fn beat<R: Recorder>(
    recorder: Arc<R>,
    call: CallId,
    fence: Fence,
    lease: Duration,
    state: Arc<AtomicU8>,
) {
    let mut held = Instant::now();
    loop {
        tokio::time::sleep(lease / 3).await;
        let claim = Claim::Heartbeat { call: call.clone(), fence };
        // A recorder that is there and silent is as good as none: waiting for it, the lease would
        // run out unnoticed.
        let Ok(answer) = tokio::time::timeout(lease / 3, recorder.claim(&claim)).await else {
            break;
        };
        match answer {
            Ok(Claimed::Lease { cancelled }) => {
                held = Instant::now();
                if cancelled {
                    cancel(&state);
                }
            }
            Err(RoleError::Fenced) => break,
            _ if held.elapsed() > lease => break,
            _ => {}
        }
    }
    state.store(LOST, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recorder that is connected and never responds.
    struct Silent;

    impl Recorder for Silent {
        async fn claim(&self, _: &Claim) -> Result<Claimed, RoleError> {
            std::future::pending().await
        }

        fn connected(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn a_heartbeat_without_an_answer_loses_the_lease() {
        let lease = Lease::keep(Arc::new(Silent), CallId::from_random(1), Fence(1), 0);
        assert_eq!(lease.stopped(), None);
        let lost = async {
            while lease.stopped().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), lost)
            .await
            .expect("it holds the lease for ever");
        assert_eq!(lease.stopped(), Some(Stopped::Lost));
    }
}
