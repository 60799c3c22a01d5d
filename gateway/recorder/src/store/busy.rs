//! The objects of the jobs that wait or run. If two jobs have an object in common, the later one
//! waits: both would start from the same state, and one could only fail. A job that waits for
//! another one is marked as blocked, so that a claim does not read it. Never delays a job that has
//! to be recovered, and a stuck job delays no other.

use super::batch::{Batch, ChangeError};
use super::row::{JobRow, plan_of};
use crate::store::sql::{self, Builder, Connection};
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::document::Document;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::run::Phase;
use std::collections::BTreeSet;

/// The most rows in one statement.
const ROWS: usize = 4_096;

/// Whether another job has an object of the job `?1`: a running one, or an earlier queued one.
pub(super) const BLOCKED: &str = "\
    SELECT EXISTS (SELECT 1 FROM job_objects AS own CROSS JOIN job_objects AS other
                   WHERE own.seq = ?1 AND other.object = own.object AND other.running = 1
                   AND other.seq <> ?1)
        OR EXISTS (SELECT 1 FROM job_objects AS own CROSS JOIN job_objects AS other
                   WHERE own.seq = ?1 AND other.object = own.object AND other.running = 0
                   AND other.seq < ?1)";

/// Marks the new jobs from the number `?1` whose objects an earlier job has.
pub(super) const BLOCK_NEW: &str = "\
    UPDATE jobs SET blocked = 1 WHERE seq IN
        (SELECT own.seq FROM job_objects AS own WHERE own.seq >= ?1 AND EXISTS
            (SELECT 1 FROM job_objects AS other WHERE other.object = own.object
             AND other.running IN (0, 1) AND other.seq < own.seq))";

/// Takes the mark from the first queued job of the object `?1`.
pub(super) const UNBLOCK: &str = "\
    UPDATE jobs SET blocked = 0 WHERE blocked = 1 AND seq =
        (SELECT seq FROM job_objects WHERE object = ?1 AND running = 0 ORDER BY seq LIMIT 1)";

/// Returns whether a job delays others with its objects, and if so, whether it runs.
pub(super) fn holds(row: &JobRow) -> Option<bool> {
    if row.stuck.is_some() {
        return None;
    }
    match row.phase() {
        Ok(Phase::Queued) => Some(false),
        Ok(Phase::Leased | Phase::Prepared | Phase::Acting) => Some(true),
        Ok(Phase::AwaitingApproval | Phase::TearingDown | Phase::Closed) | Err(_) => None,
    }
}

/// The objects of a sealed plan; empty for an unreadable plan, which its runner refuses.
pub(super) fn objects_of(plan: &str) -> BTreeSet<String> {
    let facts = Document::read(plan).ok().and_then(|(plan, _)| facts_of(&plan.operations).ok());
    let lasting = facts.into_iter().flatten().filter(|fact| fact.namespace != EPHEMERAL);
    lasting.map(|fact| [fact.group, fact.kind, fact.namespace, fact.name].join("/")).collect()
}

/// The objects of a stored job.
async fn stored_objects(seq: i64, connection: &mut Connection) -> sqlx::Result<BTreeSet<String>> {
    let document: Option<String> = sql::query_scalar("SELECT document FROM jobs WHERE seq = ?")
        .bind(seq)
        .fetch_one(connection)
        .await?;
    let plan = document.and_then(|document| plan_of(&document));
    Ok(plan.as_deref().map(objects_of).unwrap_or_default())
}

/// Stores the objects of jobs.
pub(super) async fn insert(
    rows: &[(i64, String)],
    running: bool,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    for rows in rows.chunks(ROWS) {
        Builder::new("INSERT INTO job_objects (object, running, seq) ")
            .push_values(rows, |mut row, (seq, object)| {
                row.push_bind(object.clone()).push_bind(running).push_bind(*seq);
            })
            .push(" ON CONFLICT DO NOTHING")
            .build()
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Follows a change of a job: it begins or ceases to delay others.
pub(super) async fn follow(
    old: &JobRow,
    now: Option<bool>,
    batch: &mut Batch,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    match (holds(old), now) {
        (before, now) if before == now => Ok(()),
        (Some(true), Some(false)) => {
            run(old.seq, false, connection).await?;
            unblock(&held(old.seq, connection).await?, batch, connection).await
        }
        (Some(_), Some(running)) => run(old.seq, running, connection).await,
        (Some(_), None) => release(old.seq, batch, connection).await,
        (None, Some(running)) => {
            let objects = stored_objects(old.seq, connection).await?;
            let rows: Vec<_> = objects.into_iter().map(|object| (old.seq, object)).collect();
            insert(&rows, running, connection).await
        }
        (None, None) => Ok(()),
    }
}

async fn run(seq: i64, running: bool, connection: &mut Connection) -> sqlx::Result<()> {
    sql::query("UPDATE job_objects SET running = ? WHERE seq = ?")
        .bind(running)
        .bind(seq)
        .execute(connection)
        .await
        .map(drop)
}

async fn held(seq: i64, connection: &mut Connection) -> sqlx::Result<Vec<String>> {
    sql::query_scalar("SELECT object FROM job_objects WHERE seq = ?")
        .bind(seq)
        .fetch_all(connection)
        .await
}

/// Removes the objects of a job, and lets the next job of each continue.
pub(super) async fn release(
    seq: i64,
    batch: &mut Batch,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    let objects: Vec<String> =
        sql::query_scalar("DELETE FROM job_objects WHERE seq = ? RETURNING object")
            .bind(seq)
            .fetch_all(&mut *connection)
            .await?;
    unblock(&objects, batch, connection).await
}

async fn unblock(
    objects: &[String],
    batch: &mut Batch,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    for object in objects {
        let freed = sql::query(UNBLOCK).bind(object.clone()).execute(&mut *connection).await?;
        batch.claimable += usize::from(freed.rows_affected() > 0);
    }
    Ok(())
}

/// Returns whether a claim has to leave this queued job. A job that is not stuck is marked then, so
/// that the next claim does not read it; a stuck one is tried again at `later`.
pub(super) async fn leave(
    row: &JobRow,
    later: i64,
    connection: &mut Connection,
) -> Result<bool, ChangeError> {
    if row.stuck.is_none() {
        let blocked: bool =
            sql::query_scalar(BLOCKED).bind(row.seq).fetch_one(&mut *connection).await?;
        if blocked {
            sql::query("UPDATE jobs SET blocked = 1 WHERE seq = ?")
                .bind(row.seq)
                .execute(connection)
                .await?;
        }
        return Ok(blocked);
    }
    for object in stored_objects(row.seq, connection).await? {
        let busy: bool = sql::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM job_objects WHERE object = ?1 AND running = 1)
                 OR EXISTS (SELECT 1 FROM job_objects WHERE object = ?1 AND running = 0 AND seq < ?2)",
        )
        .bind(object)
        .bind(row.seq)
        .fetch_one(&mut *connection)
        .await?;
        if busy {
            sql::query("UPDATE jobs SET retry_at = ? WHERE seq = ?")
                .bind(later)
                .bind(row.seq)
                .execute(connection)
                .await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Computes the objects of the jobs of a store that had no table of them.
pub(super) async fn compute(connection: &mut Connection) -> sqlx::Result<()> {
    for (phases, running) in
        [("phase = 'queued'", false), ("phase IN ('leased', 'prepared', 'acting')", true)]
    {
        let jobs: Vec<i64> = Builder::new("SELECT seq FROM jobs WHERE stuck IS NULL AND ")
            .push(phases)
            .build_query_scalar()
            .fetch_all(&mut *connection)
            .await?;
        for seq in jobs {
            let objects = stored_objects(seq, connection).await?;
            let rows: Vec<_> = objects.into_iter().map(|object| (seq, object)).collect();
            insert(&rows, running, connection).await?;
        }
    }
    sql::query(BLOCK_NEW).bind(0_i64).execute(connection).await.map(drop)
}
