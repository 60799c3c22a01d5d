//! The state of one lease: its end by the runner's own clock, the connection on which it is held,
//! and its way to the next connection. A lease that was lost stays lost.

use super::{ClaimedBy, Recorder, Stopped};
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Seconds a lease lasts at most, whatever the recorder says: so long a runner that is cut off may
/// believe that it holds one.
const LEASE_MOST: u64 = 300;

/// The part of a lease that a runner leaves unused at its end, as a divisor: its clock may run
/// slower than the recorder's, and the answer that gave the lease took a while.
const MARGIN: u32 = 6;

/// The pause before a recorder that cannot take a lease over at present is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The pause between two looks at the connection.
const LOOK: Duration = Duration::from_millis(250);

const HELD: u8 = 0;
const CANCELLED: u8 = 1;
const LOST: u8 = 2;

/// No connection: the numbers of connections begin with 1.
const NONE: u64 = 0;

/// A lease, shared by its job and its heartbeats.
pub(super) struct Held<R> {
    recorder: Arc<R>,
    pub(super) call: CallId,
    pub(super) fence: Fence,
    token: Option<ClaimToken>,
    lease: Duration,
    state: AtomicU8,
    /// The end of the lease by the runner's own clock.
    until: Mutex<Instant>,
    /// The connection on which the recorder knows the lease.
    on: AtomicU64,
    /// One request for the lease at a time.
    resuming: tokio::sync::Mutex<()>,
}

impl<R: Recorder> Held<R> {
    /// A lease that was just given.
    pub(super) fn new(
        recorder: Arc<R>,
        (call, fence): (CallId, Fence),
        ClaimedBy { token, connection }: ClaimedBy,
        seconds: u64,
    ) -> Self {
        let lease = Duration::from_secs(seconds.clamp(1, LEASE_MOST));
        Self {
            recorder,
            call,
            fence,
            token,
            lease,
            state: AtomicU8::new(HELD),
            until: Mutex::new(end(Instant::now(), lease)),
            on: AtomicU64::new(connection.unwrap_or(NONE)),
            resuming: tokio::sync::Mutex::default(),
        }
    }

    /// Returns whether the lease can be taken over to another connection.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The known reason to stop. A lease whose end passed is lost, also before its next heartbeat
    /// finds out: the process may have been paused.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        if Instant::now() >= self.until() {
            self.lose();
        }
        match self.state.load(Ordering::Acquire) {
            HELD => None,
            CANCELLED => Some(Stopped::Cancelled),
            _ => Some(Stopped::Lost),
        }
    }

    /// Notes a cancellation. A lease that was lost stays lost.
    pub(super) fn cancel(&self) {
        let _was_lost =
            self.state.compare_exchange(HELD, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Notes the loss of the lease.
    pub(super) fn lose(&self) {
        self.state.store(LOST, Ordering::Release);
    }

    /// The present connection, if the recorder knows the lease on it.
    fn present(&self) -> Option<u64> {
        let on = self.on.load(Ordering::Acquire);
        self.recorder.connection().filter(|connection| *connection == on)
    }

    /// The end of the lease by the runner's own clock.
    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the recorder renewed the lease, by a request that was sent at this time.
    fn renewed(&self, sent: Instant) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(end(sent, self.lease));
    }

    /// The connection on which the lease is held. After a lost one, waits for the next one and takes
    /// the lease over to it. `None` if the lease is lost.
    pub(super) async fn connection(&self) -> Option<u64> {
        loop {
            if self.stopped() == Some(Stopped::Lost) {
                return None;
            }
            if let Some(present) = self.present() {
                return Some(present);
            }
            let _turn = self.resuming.lock().await;
            if self.present().is_some() {
                continue;
            }
            match timeout_at(self.until(), self.resume()).await {
                Ok(true) => {}
                Ok(false) | Err(_) => {
                    self.lose();
                    return None;
                }
            }
        }
    }

    /// Takes the lease over to the next connection. False if the recorder does not give it.
    async fn resume(&self) -> bool {
        let Some(token) = self.token.clone() else { return false };
        let resume = Claim::Resume { call: self.call.clone(), fence: self.fence, token };
        loop {
            let connection = self.recorder.next_connection().await;
            let sent = Instant::now();
            match self.recorder.claim_on(connection, &resume).await {
                Ok(Some(Claimed::Lease { cancelled })) => {
                    self.renewed(sent);
                    if cancelled {
                        self.cancel();
                    }
                    self.on.store(connection, Ordering::Release);
                    tracing::info!(call = %self.call, fence = %self.fence,
                    "the recorder is connected again; the job goes on");
                    return true;
                }
                Ok(None) => {}
                Err(RoleError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    }

    /// Sends a request that may be repeated: after a lost connection, over the next one. An answer
    /// after the end of the lease does not count: what it allows would begin without a lease.
    /// # Errors
    /// The recorder's error; [`RoleError::Fenced`] if the lease is lost.
    pub(super) async fn ask(&self, claim: &Claim) -> Result<Claimed, RoleError> {
        loop {
            let connection = self.connection().await.ok_or(RoleError::Fenced)?;
            let asked = self.recorder.claim_on(connection, claim);
            // A heartbeat of another task may renew the lease meanwhile.
            let answer = tokio::select! {
                answer = asked => answer?,
                () = self.ended() => None,
            };
            if self.stopped() == Some(Stopped::Lost) {
                return Err(RoleError::Fenced);
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Waits for the end of the lease, however often it is renewed.
    async fn ended(&self) {
        while self.stopped() != Some(Stopped::Lost) {
            tokio::time::sleep_until(self.until()).await;
        }
    }

    /// Waits until the lease is not on the present connection.
    async fn is_displaced(&self) {
        while self.present().is_some() || !self.has_token() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sends a request once, if there is a connection, and notes a cancellation.
    pub(super) async fn tell(&self, claim: &Claim) {
        let Some(connection) = self.present() else { return };
        let told = self.recorder.claim_on(connection, claim).await;
        if let Ok(Some(Claimed::Lease { cancelled: true })) = told {
            self.cancel();
        }
    }

    /// Renews the lease, before its end.
    /// # Errors
    /// The recorder's error; [`RoleError::Fenced`] if the lease is lost.
    pub(super) async fn heartbeat(&self) -> Result<Claimed, RoleError> {
        let claim = Claim::Heartbeat { call: self.call.clone(), fence: self.fence };
        let sent = Instant::now();
        // A recorder that is there and silent is as good as none: waiting for it, the lease would
        // run out unnoticed.
        let told = timeout_at(self.until(), self.ask(&claim)).await;
        let told = told.unwrap_or(Err(RoleError::Fenced))?;
        if let Claimed::Lease { cancelled } = told {
            self.renewed(sent);
            if cancelled {
                self.cancel();
            }
        }
        Ok(told)
    }
}

/// The end of a lease that was given or renewed by a request of this time.
fn end(sent: Instant, lease: Duration) -> Instant {
    sent + (lease - lease / MARGIN)
}

/// Keeps the lease until it is lost. After a lost connection it asks at once, over the next one: the
/// recorder keeps the lease for seconds then, whatever its length.
pub(super) async fn beat<R: Recorder>(held: Arc<Held<R>>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(held.lease / 3) => {}
            () = held.is_displaced() => {}
        }
        match held.heartbeat().await {
            Ok(_) => {}
            Err(RoleError::Fenced) => break,
            Err(_) if Instant::now() >= held.until() => break,
            Err(_) => {}
        }
    }
    held.lose();
}
