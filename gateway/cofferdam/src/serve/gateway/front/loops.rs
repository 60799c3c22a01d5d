//! The work of the gateway beside requests: reports to the recorder, calls that are decided once
//! more, previews for approvers, metrics. Each loop ends with its task. Decides nothing.

use super::Gateway;
use crate::serve::gateway::set::Set;
use cofferdam_core::journey::{self, Resumed};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::Propose;
use cofferdam_telemetry::METRICS_INTERVAL;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds that the recorder holds one request for approved calls.
const RESUME_WAIT_MS: u64 = 20_000;

/// The time between two messages about agents over a limit.
const OVER_LIMITS_INTERVAL: Duration = Duration::from_secs(2);

/// The pause after a failed request to the recorder.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// Sends all metrics to the collector at each interval, if a collector is configured.
pub async fn send_metrics(gateway: Arc<Gateway>) {
    if !gateway.exporter.has_collector() {
        return;
    }
    let mut ticks = tokio::time::interval(METRICS_INTERVAL);
    loop {
        ticks.tick().await;
        gateway.count().await;
        gateway.exporter.send_metrics().await;
    }
}

/// The report of a set to the recorder.
fn serving(set: &Set) -> Propose {
    Propose::Serving {
        digest: set.digest,
        trust: Box::new(set.known.trust.clone()),
        limits: set.limits.as_ref().clone(),
    }
}

/// Reports the set in use to the recorder, which closes questions that it no longer supports. Ends
/// when that is recorded. Between the announcement of another set and its use or its end, which are
/// reported too, it reports nothing: the recorder would take it for the end of the announcement.
pub async fn declare(gateway: Arc<Gateway>) {
    loop {
        let next = gateway.next.lock().await;
        if next.is_some() {
            return;
        }
        let Err(error) = gateway.recorder().call(&serving(&gateway.set())).await else { return };
        drop(next);
        tracing::debug!(%error, "the recorder cannot be told what is served; tried again");
        tokio::time::sleep(RESUME_PAUSE).await;
    }
}

/// Tells the recorder which agents were over a limit, for its status.
pub async fn tell_over_limits(gateway: Arc<Gateway>) {
    let mut ticks = tokio::time::interval(OVER_LIMITS_INTERVAL);
    loop {
        ticks.tick().await;
        let agents = gateway.over_limits.take();
        if !agents.is_empty() {
            let propose = Propose::OverLimit { agents };
            if let Err(error) = gateway.recorder().call(&propose).await {
                tracing::debug!(%error, "the recorder was not told of agents over a limit");
            }
        }
    }
}

/// Reports the set in use to the recorder, and again after the last call of the replaced set: that
/// call may have asked a question under it.
pub(super) async fn declare_both(gateway: Arc<Gateway>, before: Arc<Set>) {
    declare(Arc::clone(&gateway)).await;
    let old = Arc::downgrade(&before);
    drop(before);
    while old.strong_count() > 0 {
        tokio::time::sleep(RESUME_PAUSE).await;
    }
    declare(gateway).await;
}

/// Runs approved calls through the stages again, each with the set in use at that time. Four at
/// once: after a reload, every queued job can be among them.
pub async fn resume(gateway: Arc<Gateway>) {
    tokio::join!(
        resume_all(&gateway),
        resume_all(&gateway),
        resume_all(&gateway),
        resume_all(&gateway)
    );
}

async fn resume_all(gateway: &Gateway) {
    loop {
        if let Err(error) = resume_next(gateway).await {
            tracing::debug!(%error, "approved calls cannot be asked for; tried again");
            tokio::time::sleep(RESUME_PAUSE).await;
        }
    }
}

async fn resume_next(gateway: &Gateway) -> Result<(), RoleError> {
    let recorder = &*gateway.shared.roles;
    let Some(job) = journey::next_approved(recorder, RESUME_WAIT_MS).await? else { return Ok(()) };
    let set = gateway.set();
    if let Resumed::Withdrawn { call, code, .. } =
        journey::resume_job(&set.world, &set.known, job).await?
    {
        tracing::info!(%call, code, "an approved call did not run");
    }
    Ok(())
}

/// Makes the fresh previews that approvers request.
pub async fn look(gateway: Arc<Gateway>) {
    loop {
        if let Err(error) = look_next(&gateway).await {
            tracing::debug!(%error, "looks that approvers ask for cannot be taken; tried again");
            tokio::time::sleep(RESUME_PAUSE).await;
        }
    }
}

async fn look_next(gateway: &Gateway) -> Result<(), RoleError> {
    let recorder = &*gateway.shared.roles;
    let Some(job) = journey::next_preview(recorder, RESUME_WAIT_MS).await? else { return Ok(()) };
    let set = gateway.set();
    journey::fresh_job(&set.world, &set.known, job).await
}
