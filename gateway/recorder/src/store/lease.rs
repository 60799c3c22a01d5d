//! Leases: gives the oldest claimable job a new lease epoch, and handles lost runners. Lease epochs
//! grow strictly, over all jobs.

use super::batch::{Batch, ChangeError, to_u64};
use super::busy;
use super::change::Done;
use super::row::{JobRow, columns, damaged, operations, stored};
use crate::settings::RETRY_MS;
use crate::store::sql::{self, Builder, Connection};
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{LeasedJob, Note, Obstacle, Said};
use cofferdam_core::model::lease_rules as rules;
use cofferdam_core::model::limit::NOTES_KEPT;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::{ATTEMPTS, Event as RunEvent, Outcome, Phase};
use cofferdam_core::protocol::RoleError;

/// The number of queued jobs, also of those that cannot be claimed yet.
pub(crate) async fn count_queued(connection: &mut Connection) -> sqlx::Result<u64> {
    sql::query_scalar("SELECT count(*) FROM jobs INDEXED BY jobs_counts WHERE phase = 'queued'")
        .fetch_one(connection)
        .await
        .map(to_u64)
}

/// The most jobs that one claim leaves because of their objects, or sets apart as unreadable. Few
/// are left: a new job is marked when it is stored. Then the next claim continues.
const CANDIDATES: usize = 64;

/// The longest time, in milliseconds, that a stuck job waits while other jobs arrive.
const TURN_MS: i64 = 60_000;

/// The next job of a claim at the time `?1`; `?2` is [`TURN_MS`] earlier. Each part reads the
/// beginning of an index.
pub(super) const NEXT: &str = columns!(
    "WHERE seq = (SELECT seq FROM (
        SELECT 1 AS class, seq FROM (SELECT seq FROM jobs INDEXED BY jobs_recover
            WHERE phase IN ('acting', 'tearing_down') AND leased = 0 AND stuck IS NULL
            ORDER BY seq LIMIT 1) AS recovered
        UNION ALL SELECT 2, seq FROM (SELECT seq FROM jobs INDEXED BY jobs_stuck
            WHERE stuck IS NOT NULL AND phase <> 'closed' AND phase IN ('acting', 'tearing_down')
            AND leased = 0 AND retry_at <= ?2 AND NOT EXISTS (SELECT 1 FROM jobs AS other
                INDEXED BY jobs_leased WHERE other.leased = 1 AND other.stuck IS NOT NULL)
            ORDER BY retry_at, seq LIMIT 1) AS overdue
        UNION ALL SELECT 3, seq FROM (SELECT seq FROM jobs INDEXED BY jobs_queue
            WHERE phase = 'queued' AND leased = 0 AND blocked = 0 AND stuck IS NULL
            AND expires > ?1 AND NOT EXISTS (SELECT 1 FROM stops WHERE
            scope = 'all' OR (scope = 'tool' AND name = jobs.tool)
            OR (scope = 'agent' AND name = jobs.principal)) ORDER BY seq LIMIT 1) AS queued
        UNION ALL SELECT CASE WHEN retry_at > ?2 THEN 6 ELSE 4 END, seq FROM (SELECT seq, retry_at FROM jobs
            INDEXED BY jobs_stuck WHERE stuck IS NOT NULL AND phase <> 'closed'
            AND phase = 'queued' AND leased = 0 AND retry_at <= ?1 AND expires > ?1
            AND NOT EXISTS (SELECT 1 FROM stops WHERE
            scope = 'all' OR (scope = 'tool' AND name = jobs.tool)
            OR (scope = 'agent' AND name = jobs.principal)) 
            AND NOT EXISTS (SELECT 1 FROM jobs AS other INDEXED BY jobs_leased
                WHERE other.leased = 1 AND other.stuck IS NOT NULL)
            ORDER BY retry_at, seq LIMIT 1) AS waiting
        UNION ALL SELECT 5, seq FROM (SELECT seq FROM jobs INDEXED BY jobs_stuck
            WHERE stuck IS NOT NULL AND phase <> 'closed' AND phase IN ('acting', 'tearing_down')
            AND leased = 0 AND retry_at <= ?1 AND NOT EXISTS (SELECT 1 FROM jobs AS other
                INDEXED BY jobs_leased WHERE other.leased = 1 AND other.stuck IS NOT NULL)
            ORDER BY retry_at, seq LIMIT 1) AS retried
     ) AS candidates ORDER BY class LIMIT 1)"
);

/// Leases the oldest claimable job. Jobs of lost runners come first, because they may have effects.
/// One runner at a time retries one stuck job, after its pause and when no other job waits; after
/// [`TURN_MS`] it comes before the others. An unreadable job is quarantined. A lease with the same
/// token is the answer again: its first answer was lost.
pub(crate) async fn claim(
    (lease_seconds, token): (u64, Option<&ClaimToken>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    if let Some(token) = token
        && let Some(leased) = leased_before(token, lease_seconds, connection).await?
    {
        return Ok(Done::Leased(Some(Box::new(leased))));
    }
    let now = batch.now_ms();
    for _ in 0..CANDIDATES {
        let next: Option<JobRow> = sql::query_as(NEXT)
            .bind(now)
            .bind(now.saturating_sub(TURN_MS))
            .fetch_optional(&mut *connection)
            .await?;
        let Some(old) = next else { return Ok(Done::Leased(None)) };
        let later = now.saturating_add(RETRY_MS);
        if old.phase == Phase::Queued.word() && busy::leave(&old, later, connection).await? {
            continue;
        }
        match lease(&old, (lease_seconds, token), batch, connection).await {
            Ok(leased) => return Ok(Done::Leased(Some(Box::new(leased)))),
            Err(ChangeError::Error(error)) => set_apart(old, &error, batch, connection).await?,
            Err(store) => return Err(store),
        }
    }
    batch.claimable += 1;
    Ok(Done::Leased(None))
}

/// The lease that has this token, as it was first answered.
async fn leased_before(
    token: &ClaimToken,
    lease_seconds: u64,
    connection: &mut Connection,
) -> Result<Option<LeasedJob>, ChangeError> {
    let row: Option<JobRow> =
        sql::query_as(columns!("INDEXED BY jobs_leased WHERE leased = 1 AND claim = ?"))
            .bind(token.as_str().to_owned())
            .fetch_optional(&mut *connection)
            .await?;
    let Some(row) = row else { return Ok(None) };
    let job = stored(connection, &row).await?.ok_or_else(|| damaged("job"))?;
    let operations = operations(&mut *connection, &row.call).await?;
    let mut earlier = earlier(&mut *connection, &row.call).await?;
    earlier.retain(|fence| *fence < row.fence());
    let outcome = row.outcome()?;
    Ok(Some(LeasedJob {
        job,
        fence: row.fence(),
        phase: row.phase()?,
        outcome,
        operations,
        earlier,
        given_up: row.resolution()?.filter(|_| outcome.is_none()),
        lease_seconds,
    }))
}

/// Leases one job with a new lease epoch. Reads the whole job before any write.
async fn lease(
    old: &JobRow,
    (lease_seconds, token): (u64, Option<&ClaimToken>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<LeasedJob, ChangeError> {
    let job = stored(connection, old).await?.ok_or_else(|| damaged("job"))?;
    // A job without a lease epoch was never leased, so nothing was done for it.
    let (operations, earlier) = if old.fence > 0 {
        let done = operations(&mut *connection, &old.call).await?;
        (done, earlier(&mut *connection, &old.call).await?)
    } else {
        (Vec::new(), Vec::new())
    };
    let fence: i64 =
        sql::query_scalar("SELECT newest + 1 FROM fences").fetch_one(&mut *connection).await?;
    let mut row = old.clone();
    let first = row.phase()? == Phase::Queued;
    let phase = row.advance(RunEvent::Lease)?;
    row.attempts += i64::from(first);
    row.fence = fence;
    row.leased = true;
    row.claim = token.map(|token| token.as_str().to_owned());
    (row.moved, row.moved_entry) = (0, 0);
    let outcome = row.outcome()?;
    let given_up = row.resolution()?.filter(|_| outcome.is_none());
    let entry = row.entry(Event::Leased { fence: Fence(to_u64(fence)) })?;
    if first {
        row.freed();
    }
    // A retry of a stuck job gets its entry when it makes progress.
    if row.stuck.is_none() {
        row.record(batch, entry);
    }
    // A runner that recovers a job creates no namespace.
    let mut written = Builder::new("UPDATE fences SET newest = ");
    written.push_bind(fence);
    if first {
        written.then("INSERT INTO leases (call, fence) VALUES (");
        written.separated(", ").push_bind(old.call.clone()).push_bind(fence);
        written.push(")");
    }
    written.run(&mut *connection).await?;
    // More jobs may wait for the next runner.
    batch.claimable = batch.claimable.max(1);
    let leased = LeasedJob {
        job,
        fence: row.fence(),
        phase,
        outcome,
        operations,
        earlier,
        given_up,
        lease_seconds,
    };
    row.put(old, batch, connection).await?;
    Ok(leased)
}

/// Quarantines a job with an unreadable row or document: a runner cannot correct it, and it must
/// not block other jobs.
async fn set_apart(
    old: JobRow,
    error: &RoleError,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<(), ChangeError> {
    let call = old.call.clone();
    tracing::error!(call, %error, "a job cannot be handed to a runner; the others go on");
    let remedy = "stop `cofferdam serve` and restore `store/` and `ledger/` together from a copy; \
                  the log of the recorder says more";
    let mut row = old;
    row.meet(Some(&Obstacle::new(error.to_string(), remedy)), batch.now)?;
    // A plain statement: the guarded update would read the damaged row.
    sql::query("UPDATE jobs SET stuck = ?, retry_at = ?, version = version + 1 WHERE call = ?")
        .bind(row.stuck)
        .bind(row.retry_at)
        .bind(&call)
        .execute(&mut *connection)
        .await?;
    busy::release(row.seq, batch, connection).await?;
    batch.touched.extend(CallId::parse(&call));
    Ok(())
}

/// The leases of a job before it acted, oldest first.
async fn earlier(connection: &mut Connection, call: &str) -> sqlx::Result<Vec<Fence>> {
    let fences: Vec<i64> =
        sql::query_scalar("SELECT fence FROM leases WHERE call = ? ORDER BY fence")
            .bind(call.to_owned())
            .fetch_all(connection)
            .await?;
    Ok(fences.into_iter().map(|fence| Fence(to_u64(fence))).collect())
}

/// Loads the job under exactly this lease.
pub(crate) async fn held(
    call: &CallId,
    fence: Fence,
    connection: &mut Connection,
) -> Result<JobRow, ChangeError> {
    JobRow::load(connection, call)
        .await?
        .filter(|row| rules::is_held(row.leased, row.fence(), fence))
        .ok_or(ChangeError::Error(RoleError::Fenced))
}

/// Ends a lease: it is lost, or its runner gives the job back because of an obstacle. A lost lease
/// cannot be resumed; a runner that gave its job back may say so again. Before
/// acting, the job returns to the queue; after too many leases it is dead, by way of teardown,
/// because an unrecorded namespace may exist. While acting or tearing down, it keeps its phase for
/// a new runner. The first obstacle is a ledger entry; later ones are only stored with the job.
pub(crate) async fn lose(
    call: &CallId,
    fence: Fence,
    obstacle: Option<&Obstacle>,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let row = JobRow::load(&mut *connection, call).await?;
    let old = row.filter(|row| row.fence() == fence).ok_or(RoleError::Fenced)?;
    if !old.leased && old.claim.is_some() && obstacle.is_some() {
        return Ok(Done::Noted);
    }
    let old = Some(old).filter(|row| row.leased).ok_or(RoleError::Fenced)?;
    let mut row = old.clone();
    row.leased = false;
    row.claim = row.claim.filter(|_| obstacle.is_some());
    row.meet(obstacle, batch.now)?;
    if old.stuck.is_some() {
        row.put(&old, batch, connection).await?;
        return Ok(Done::Noted);
    }
    let (phase, ends) = rules::lost(row.phase()?, row.attempts(), row.cancelled)
        .map_err(|illegal| RoleError::Refused(illegal.to_string()))?;
    if let Some(outcome) = ends {
        let detail = if outcome == Outcome::Dead {
            let why = obstacle.map(|obstacle| format!("; the last one says: {obstacle}"));
            let why = why.unwrap_or_default();
            format!("its runner was lost {ATTEMPTS} times before it could act{why}")
        } else {
            "withdrawn by its agent".to_owned()
        };
        row.finish(outcome, &detail, batch.now_ms())?;
        let entry = row.entry(Event::Finished { outcome })?;
        row.record(batch, entry);
    }
    row.enter(phase);
    let mut entry = row.entry(Event::Moved { phase, fence })?;
    if let Some(obstacle) = obstacle {
        let problem = |error: serde_json::Error| {
            RoleError::Refused(format!("the obstacle cannot be stored: {error}"))
        };
        entry = entry.with("obstacle", serde_json::to_string(obstacle).map_err(problem)?);
    }
    row.record(batch, entry);
    batch.claimable += 1;
    row.put(&old, batch, connection).await?;
    Ok(Done::Noted)
}

/// Stores progress notes for waiting callers: numbered, and only the newest.
pub(crate) async fn progress(
    call: &CallId,
    fence: Fence,
    said: &[Said],
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = held(call, fence, connection).await?;
    let mut notes = old.notes();
    let next = notes.last().map_or(1, |note| note.number.saturating_add(1));
    notes.extend((next..).zip(said).map(|(number, said)| Note { number, said: said.clone() }));
    notes.drain(..notes.len().saturating_sub(NOTES_KEPT));
    let kept = serde_json::to_string(&notes)
        .map_err(|error| RoleError::Refused(format!("the notes cannot be stored: {error}")))?;
    let row = JobRow { progress: Some(kept), ..old.clone() };
    row.put(&old, batch, connection).await?;
    Ok(Done::Noted)
}
