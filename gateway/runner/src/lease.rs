//! The lease of a job: kept by heartbeats, checked before every effect. After a lost connection the
//! runner keeps its job while the lease lasts by its own clock, takes the lease over to the next
//! connection, and repeats the request in progress. A runner that cannot be sure of its lease stops
//! by itself. Starts nothing while it is not connected.

mod held;

use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{Obstacle, Said};
use cofferdam_core::model::limit::OBSTACLE;
use cofferdam_core::model::record::Recorded;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_process::rpc::Client;
use held::{Held, beat};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// The runner's socket to the recorder.
pub trait Recorder: Send + Sync + 'static {
    /// Sends one request over this connection and no other; `None` if the connection is lost.
    fn claim_on(
        &self,
        connection: u64,
        claim: &Claim,
    ) -> impl Future<Output = Result<Option<Claimed>, RoleError>> + Send;
    /// The number of the present connection; `None` without one.
    fn connection(&self) -> Option<u64>;
    /// Waits for a connection; returns its number.
    fn next_connection(&self) -> impl Future<Output = u64> + Send;
}

impl Recorder for Client<Claim, Claimed> {
    async fn claim_on(&self, connection: u64, claim: &Claim) -> Result<Option<Claimed>, RoleError> {
        self.call_on(connection, claim).await
    }

    fn connection(&self) -> Option<u64> {
        self.connection()
    }

    async fn next_connection(&self) -> u64 {
        self.next_connection().await
    }
}

/// Why nothing further may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The job was cancelled.
    Cancelled,
    /// Another runner has the lease, it expired, or the recorder does not respond.
    Lost,
}

/// The claim behind a lease.
#[derive(Debug, Clone)]
pub struct ClaimedBy {
    /// The token of the claim; `None` if the recorder knows none, so that a lost connection ends the
    /// lease.
    pub token: Option<ClaimToken>,
    /// The connection on which the recorder gave the lease; `None` if it was lost since.
    pub connection: Option<u64>,
}

/// A lease that is kept by heartbeats.
pub struct Lease<R> {
    held: Arc<Held<R>>,
    heart: JoinHandle<()>,
    /// Events that are reported together with the next one.
    deferred: Mutex<Vec<RunnerEvent>>,
    /// The number of the newest report.
    number: AtomicU64,
    /// One report at a time: the recorder knows the newest one again, and no other.
    reporting: tokio::sync::Mutex<()>,
}

impl<R: Recorder> Lease<R> {
    /// Begins to keep a lease of this many seconds, three heartbeats to each.
    pub fn keep(recorder: Arc<R>, job: (CallId, Fence), claim: ClaimedBy, seconds: u64) -> Self {
        let held = Arc::new(Held::new(recorder, job, claim, seconds));
        let heart = tokio::spawn(beat(Arc::clone(&held)));
        Self {
            held,
            heart,
            deferred: Mutex::default(),
            number: AtomicU64::new(0),
            reporting: tokio::sync::Mutex::default(),
        }
    }

    /// The call of the job.
    pub fn call(&self) -> &CallId {
        &self.held.call
    }

    /// The lease epoch of the job.
    pub fn fence(&self) -> Fence {
        self.held.fence
    }

    /// The reason to stop before the next effect; `None` to go on. Waits for a connection while the
    /// lease lasts.
    pub async fn stopped(&self) -> Option<Stopped> {
        match self.held.stopped() {
            Some(stopped) => Some(stopped),
            None => match self.held.connection().await {
                Some(_) => self.held.stopped(),
                None => Some(Stopped::Lost),
            },
        }
    }

    /// Returns whether there is a reason to stop that is known already.
    pub fn is_stopped(&self) -> bool {
        self.held.stopped().is_some()
    }

    /// Asks the recorder itself whether the lease is valid, right before an effect that cannot be
    /// undone.
    pub async fn confirm(&self) -> Option<Stopped> {
        match self.held.heartbeat().await {
            Ok(Claimed::Lease { cancelled: false }) => self.stopped().await,
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
        let _turn = self.reporting.lock().await;
        let mut events =
            std::mem::take(&mut *self.deferred.lock().unwrap_or_else(PoisonError::into_inner));
        let acting = events.iter().position(|event| *event == RunnerEvent::Acting);
        let before = acting.and_then(|at| events.get(..at)).map(<[_]>::to_vec);
        events.push(event);
        let number = 1 + self.number.fetch_add(1, Ordering::Relaxed);
        let number = self.held.has_token().then_some(number);
        let (call, fence) = (self.call().clone(), self.fence());
        let moved = self.held.ask(&Claim::Move { call, fence, events, number }).await;
        if let (Err(RoleError::Refused(_)), Some(before)) = (&moved, before) {
            self.held.cancel();
            *self.deferred.lock().unwrap_or_else(PoisonError::into_inner) = before;
        }
        match moved {
            Ok(Claimed::Recorded(recorded)) => Ok(recorded),
            Ok(_) => {
                Err(RoleError::Unavailable("the recorder sent an unexpected response".to_owned()))
            }
            Err(error) => {
                if error == RoleError::Fenced {
                    self.held.lose();
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
        let (call, fence) = (self.call().clone(), self.fence());
        match self.held.ask(&Claim::LetGo { call, fence, obstacle }).await? {
            Claimed::Released => Ok(()),
            _ => Err(RoleError::Unavailable("the recorder sent an unexpected response".to_owned())),
        }
    }

    /// Passes output of the executor or of tasks on, if there is a connection. An error here does not
    /// stop the job.
    pub async fn progress(&self, said: Vec<Said>) {
        if said.is_empty() {
            return;
        }
        let (call, fence) = (self.call().clone(), self.fence());
        self.held.tell(&Claim::Progress { call, fence, said }).await;
    }
}

impl<R> Drop for Lease<R> {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

#[cfg(test)]
mod tests;
