//! Leases: the oldest claimable job under a new fence, and what happens when its runner is lost. Fences grow over all jobs, strictly.

use super::batch::{Batch, Halt, to_u64};
use super::change::Done;
use super::row::{JobRow, columns, operations, stored};
use crate::settings::LEASE_SECONDS;
use cofferdam_core::exchange::Fault;
use cofferdam_core::id::{CallId, Fence};
use cofferdam_core::job::{LeasedJob, Note, Said};
use cofferdam_core::limit::NOTES_KEPT;
use cofferdam_core::record::Event;
use cofferdam_core::run::{ATTEMPTS, Event as RunEvent, Outcome, Phase};
use sqlx::SqliteConnection;

/// Claims the oldest: jobs whose runner was lost while acting or tearing down before those that wait, since something of theirs is out there.
pub(crate) async fn claim(batch: &mut Batch, connection: &mut SqliteConnection) -> Result<Done, Halt> {
    let candidate: Option<JobRow> = sqlx::query_as(columns!(
        "WHERE leased = 0 AND phase <> 'closed' AND (phase IN ('acting', 'tearing_down') OR (phase = 'queued' AND expires > ?))
         ORDER BY phase = 'queued', seq LIMIT 1"
    ))
    .bind(batch.now_ms())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(old) = candidate else { return Ok(Done::Leased(None)) };
    let Some(job) = stored(connection, &old).await? else { return Err(super::row::damaged("job").into()) };
    let fence: i64 = sqlx::query_scalar("UPDATE fences SET newest = newest + 1 RETURNING newest").fetch_one(&mut *connection).await?;
    let mut row = old.clone();
    let first = row.phase()? == Phase::Queued;
    let phase = row.advance(RunEvent::Lease)?;
    row.attempts += i64::from(first);
    row.fence = fence;
    row.leased = true;
    let entry = row.entry(Event::Leased { fence: Fence(to_u64(fence)) })?;
    row.record(batch, entry);
    let leased = LeasedJob {
        job,
        fence: row.fence(),
        phase,
        outcome: row.outcome()?,
        operations: operations(&mut *connection, &old.call).await?,
        earlier: earlier(&mut *connection, &old.call).await?,
        lease_seconds: LEASE_SECONDS,
    };
    // A runner that takes over makes nothing.
    if first {
        sqlx::query("INSERT INTO leases (call, fence) VALUES (?, ?)").bind(&old.call).bind(fence).execute(&mut *connection).await?;
    }
    // More may be waiting for the next runner.
    batch.queue = true;
    row.put(&old, batch, connection).await?;
    Ok(Done::Leased(Some(Box::new(leased))))
}

/// The leases that a job had before it acted, oldest first.
async fn earlier(connection: &mut SqliteConnection, call: &str) -> sqlx::Result<Vec<Fence>> {
    let fences: Vec<i64> =
        sqlx::query_scalar("SELECT fence FROM leases WHERE call = ? ORDER BY fence").bind(call.to_owned()).fetch_all(connection).await?;
    Ok(fences.into_iter().map(|fence| Fence(to_u64(fence))).collect())
}

/// The job under exactly this lease.
pub(crate) async fn held(call: &CallId, fence: Fence, connection: &mut SqliteConnection) -> Result<JobRow, Halt> {
    JobRow::load(connection, call).await?.filter(|row| row.leased && row.fence() == fence).ok_or(Halt::Fault(Fault::Fenced))
}

/// A lease is lost. Before acting the job goes back to the queue, too often and it is dead, by way of teardown: a namespace may exist that was
/// never recorded. While acting or tearing down it keeps its phase, for a fresh runner to recover.
pub(crate) async fn lose(call: &CallId, fence: Fence, batch: &mut Batch, connection: &mut SqliteConnection) -> Result<Done, Halt> {
    let old = held(call, fence, connection).await?;
    let mut row = old.clone();
    row.leased = false;
    let before_acting = matches!(row.phase()?, Phase::Leased | Phase::Prepared);
    let ended = if before_acting && row.attempts >= i64::from(ATTEMPTS) {
        Some((Outcome::Dead, format!("its runner was lost {ATTEMPTS} times before it could act")))
    } else if before_acting && row.cancelled {
        Some((Outcome::Cancelled, "withdrawn by its agent".to_owned()))
    } else {
        None
    };
    let phase = match &ended {
        Some((outcome, detail)) => {
            row.finish(*outcome, detail)?;
            let entry = row.entry(Event::Finished { outcome: *outcome })?;
            row.record(batch, entry);
            row.advance(RunEvent::Finish)?
        }
        None => row.advance(RunEvent::Lose)?,
    };
    let entry = row.entry(Event::Moved { phase, fence })?;
    row.record(batch, entry);
    batch.queue = true;
    row.put(&old, batch, connection).await?;
    Ok(Done::Noted)
}

/// Words of an executor or of tasks, for whoever waits: numbered, and the newest kept.
pub(crate) async fn progress(
    call: &CallId,
    fence: Fence,
    said: &[Said],
    batch: &mut Batch,
    connection: &mut SqliteConnection,
) -> Result<Done, Halt> {
    let old = held(call, fence, connection).await?;
    let mut notes = old.notes();
    let next = notes.last().map_or(1, |note| note.number.saturating_add(1));
    notes.extend((next..).zip(said).map(|(number, said)| Note { number, said: said.clone() }));
    notes.drain(..notes.len().saturating_sub(NOTES_KEPT));
    let kept = serde_json::to_string(&notes).map_err(|fault| Fault::Refused(format!("the notes cannot be stored: {fault}")))?;
    let row = JobRow { progress: Some(kept), ..old.clone() };
    row.put(&old, batch, connection).await?;
    Ok(Done::Noted)
}
