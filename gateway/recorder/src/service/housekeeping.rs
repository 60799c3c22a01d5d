//! Housekeeping: ends lost leases, and jobs after their time. Never ends a lease that was renewed
//! meanwhile: the lease epoch decides.

use super::Recorder;
use crate::leases::Via;
use crate::settings::{RETENTION_MS, RETENTION_ROUNDS, SWEEP_MS};
use crate::store::change::{Change, Done};
use crate::store::open::OpenError;
use crate::store::{ChangeError, StoredLease, described};
use crate::waiters::{Shared, locked};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::retention::Retained;
use cofferdam_core::protocol::RoleError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The most commits of one sweep that end jobs out of time: a queue whose permits end together is
/// empty after a few seconds, and other changes come between.
const ROUNDS: usize = 16;

/// Records the start, with the digest of its trust file.
pub(super) async fn note_start(recorder: &Recorder) -> Result<(), OpenError> {
    let event = Event::Administered { what: "start".to_owned(), by: "recorder".to_owned() };
    let mut entry = Entry::of(event, None, "");
    match (recorder.inner.settings.trust)() {
        Ok(now) => {
            entry.trust = Some(now.digest);
            locked(&recorder.inner.shared.gateways).begin(
                now.digest,
                now.trust.policy,
                recorder.now().as_millisecond(),
            );
        }
        Err(error) => {
            tracing::warn!(what = "trust file", %error,
            "the trust file cannot be read; no approval counts until it can")
        }
    }
    recorder
        .submit(Change::End(entry.into()))
        .await
        .map(drop)
        .map_err(|error| unrecorded(recorder, &error))
}

/// The error of the first entries: the store's own error if there is one, with path and remedy.
fn unrecorded(recorder: &Recorder, error: &RoleError) -> OpenError {
    OpenError::Start(recorder.refuses().unwrap_or_else(|| error.to_string()))
}

/// Reads the denials of people, so that a call without one needs no read.
pub(super) async fn know_rejections(recorder: &Recorder) -> Result<(), OpenError> {
    let known = recorder.inner.reader.rejections().await;
    let known = known.map_err(|error| unread(recorder, error))?;
    *locked(&recorder.inner.shared.rejected) = Some(known);
    Ok(())
}

/// Ends the leases of the last run. If runners of that run may go on, a lease with a token is kept
/// for [`KEPT_MS`](crate::KEPT_MS): a runner that is there resumes it within that time.
pub(super) async fn write_off(recorder: &Recorder) -> Result<(), OpenError> {
    let leases = recorder.inner.reader.standing().await.map_err(|error| unread(recorder, error))?;
    for StoredLease { call, fence, has_token } in leases {
        if has_token && recorder.inner.settings.keeps_leases {
            recorder.inner.shared.kept(call, fence, recorder.now());
            continue;
        }
        recorder
            .submit(Change::Lose { call, fence, obstacle: None })
            .await
            .map_err(|error| unrecorded(recorder, &error))?;
    }
    Ok(())
}

/// Takes jobs from the queue that were decided by another policy than that of the trust file. If
/// gateways of a recorder before this one may go on, their sets count first.
pub(super) async fn reopen(recorder: &Recorder) -> Result<(), OpenError> {
    let via = if recorder.inner.settings.keeps_leases { Via::Link } else { Via::Local };
    recorder.reopen(via).await.map_err(|error| unrecorded(recorder, &error))
}

/// Removes the notifications of receivers that are not configured any more.
pub(super) async fn keep_receivers(recorder: &Recorder) -> Result<(), OpenError> {
    let kept = recorder.submit(Change::KeepReceivers).await;
    kept.map(drop).map_err(|error| unrecorded(recorder, &error))
}

/// The error of unreadable leases.
fn unread(recorder: &Recorder, error: ChangeError) -> OpenError {
    match error {
        ChangeError::Store(error) => {
            OpenError::Store(described(&recorder.inner.settings.store, "cannot be read", &error))
        }
        other => OpenError::Store(format!(
            "the store `{}`: {}",
            recorder.inner.settings.store.display(),
            RoleError::from(other)
        )),
    }
}

/// Runs until the last handle of the recorder is dropped.
pub(super) fn spawn(recorder: &Recorder, mut losses: mpsc::UnboundedReceiver<(CallId, Fence)>) {
    let weak = Arc::downgrade(&recorder.inner);
    tokio::spawn(async move {
        let mut sweep = tokio::time::interval(Duration::from_millis(SWEEP_MS));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let lost = tokio::select! {
                lost = losses.recv() => lost,
                _ = sweep.tick() => None,
            };
            let Some(inner) = weak.upgrade() else { return };
            let recorder = Recorder { inner };
            match lost {
                Some((call, fence)) => lose(&recorder, call, fence).await,
                None => recorder.sweep().await,
            }
        }
    });
}

async fn lose(recorder: &Recorder, call: CallId, fence: Fence) {
    let shared: &Shared = &recorder.inner.shared;
    match recorder.submit(Change::Lose { call: call.clone(), fence, obstacle: None }).await {
        // The lease was lost or closed before.
        Ok(_) | Err(RoleError::Fenced) => shared.released(&call, fence),
        Err(error) => {
            tracing::error!(%call, %error, "a lost lease could not be recorded; tried again")
        }
    }
}

impl Recorder {
    /// Ends expired leases, and jobs after their time. Runs every second.
    pub async fn sweep(&self) {
        let now = self.now();
        self.look_after().await;
        if self.refuses_all() {
            // The error was logged once; the next sweep retries.
            return;
        }
        for (call, fence) in self.inner.shared.overdue(now) {
            lose(self, call, fence).await;
        }
        let left = locked(&self.inner.shared.gateways).expire(now.as_millisecond());
        self.end_sets(left).await;
        match self.inner.reader.due(now.as_millisecond()).await {
            Ok(false) => {}
            // A job waits, or a stuck one is due: a waiting runner tries it.
            Ok(true) => {
                self.inner.shared.queue.notify_one();
            }
            Err(error) => {
                tracing::error!(what = "store", error = %RoleError::from(error),
                "the store cannot be read")
            }
        }
        for _ in 0..ROUNDS {
            match self.inner.reader.late(now.as_millisecond()).await {
                Ok(false) => break,
                Ok(true) => {
                    if let Err(error) = self.submit(Change::Expire).await {
                        tracing::error!(what = "jobs out of time", %error,
                        "jobs out of time could not be ended; tried again");
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(what = "store", error = %RoleError::from(error),
                    "the store cannot be read");
                    break;
                }
            }
        }
        self.remind().await;
        self.retain().await;
    }

    /// Removes rows that are older than their retention, once an hour, in small changes: others
    /// come between. The next sweep goes on.
    async fn retain(&self) {
        let now = self.now().as_millisecond();
        if *locked(&self.inner.shared.retain_at) > now {
            return;
        }
        let mut rounds = RETENTION_ROUNDS;
        for what in Retained::ALL {
            let Some(keep_seconds) = self.inner.settings.retention.seconds(what) else { continue };
            loop {
                if rounds == 0 {
                    return;
                }
                rounds -= 1;
                match self.submit(Change::Retain { what, keep_seconds }).await {
                    Ok(Done::Removed { more: true, .. }) => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::error!(what = "retention", %error,
                        "old rows could not be removed; tried again in an hour");
                        break;
                    }
                }
            }
        }
        *locked(&self.inner.shared.retain_at) = now.saturating_add(RETENTION_MS);
    }
}
