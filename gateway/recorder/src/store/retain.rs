//! Retention: removes rows that are older than their time, a bounded number in one change, and
//! records the number in the ledger. Never removes a ledger entry, a row of an open job, or an
//! indeterminate outcome that no person resolved.

mod payloads;

use crate::store::sql::{self, Builder, Connection};
pub(crate) use payloads::forget;

use super::batch::{Batch, ChangeError, to_i64};
use super::change::Done;
use cofferdam_core::model::limit::REJECTION_SECONDS;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::retention::Retained;
use jiff::Timestamp;

/// The most rows of one change: a few milliseconds of the writer, so that other changes hardly wait.
const ROWS: i64 = 256;

const DAY_MS: i64 = 24 * 3_600_000;

/// The result of one change.
struct Gone {
    count: u64,
    /// The newest entry whose payloads may be gone, or the newest end of a job that may be gone.
    until: i64,
    /// The end of the removed entries, for payloads.
    end: Option<u64>,
    /// More rows may be old.
    more: bool,
}

/// Removes old rows of one kind.
pub(crate) async fn retain(
    what: Retained,
    keep_seconds: u64,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let before = batch.now_ms().saturating_sub(to_i64(keep_seconds).saturating_mul(1_000));
    let gone = match what {
        Retained::IdempotencyKeys => keys(before, connection).await?,
        Retained::Rejections => rejections(before, batch, connection).await?,
        Retained::Payloads => payloads::payloads(before, connection).await?,
        Retained::ClosedJobs => closed_jobs(before, connection).await?,
    };
    let Gone { count, until, end, more } = gone;
    if count > 0 {
        let before = Timestamp::from_millisecond(before).unwrap_or(Timestamp::UNIX_EPOCH);
        batch.record(Entry::of(Event::Removed { what, count, before, end }, None, ""));
        note(what, count, until, batch.now_ms(), connection).await?;
    }
    Ok(Done::Removed { what, count, more })
}

/// Adds to the row of the day.
async fn note(
    what: Retained,
    count: u64,
    until: i64,
    now_ms: i64,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    sql::query(
        "INSERT INTO removed (what, day, at, until, count) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (what, day) DO UPDATE SET at = excluded.at,
         until = CASE WHEN removed.until > excluded.until THEN removed.until ELSE excluded.until END,
         count = removed.count + excluded.count",
    )
    .bind(what.word())
    .bind(now_ms / DAY_MS)
    .bind(now_ms)
    .bind(until)
    .bind(to_i64(count))
    .execute(connection)
    .await
    .map(drop)
}

/// Removes keys whose call has no open job, and whose job did not close in the time of a key: an
/// agent may try a call again after its end.
async fn keys(before: i64, connection: &mut Connection) -> sqlx::Result<Gone> {
    let removed = sql::query(
        "DELETE FROM idempotency WHERE (principal, key) IN (
            SELECT principal, key FROM idempotency INDEXED BY idempotency_made WHERE made <= ?1
            AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.call = idempotency.call
                AND (jobs.phase <> 'closed' OR jobs.ended > ?1))
            ORDER BY made LIMIT ?2)",
    )
    .bind(before)
    .bind(ROWS)
    .execute(connection)
    .await?;
    let count = removed.rows_affected();
    Ok(Gone { count, until: before, end: None, more: count >= ROWS.unsigned_abs() })
}

/// Removes rejections that are no longer in effect.
async fn rejections(
    before: i64,
    batch: &mut Batch,
    connection: &mut Connection,
) -> sqlx::Result<Gone> {
    let until = before.saturating_add(REJECTION_SECONDS.saturating_mul(1_000)).min(batch.now_ms());
    let removed: Vec<(String, String)> = sql::query_as(
        "DELETE FROM rejections WHERE (principal, plan) IN (SELECT principal, plan FROM rejections \
         WHERE until <= ? LIMIT ?) RETURNING principal, plan",
    )
    .bind(until)
    .bind(ROWS)
    .fetch_all(connection)
    .await?;
    let count = removed.len() as u64;
    batch.forgotten.extend(removed);
    Ok(Gone { count, until: before, end: None, more: count >= ROWS.unsigned_abs() })
}

/// Removes closed jobs with their statements, operations and leases.
async fn closed_jobs(before: i64, connection: &mut Connection) -> sqlx::Result<Gone> {
    let rows: Vec<(String, i64)> = sql::query_as(
        "SELECT call, ended FROM jobs INDEXED BY jobs_ended WHERE phase = 'closed' AND ended <= ?1
         AND (outcome <> 'indeterminate'
              OR substr(json_extract(resolution, '$.at'), 1, 19) <= ?3)
         ORDER BY ended LIMIT ?2",
    )
    .bind(before)
    .bind(ROWS)
    .bind(whole_second(before))
    .fetch_all(&mut *connection)
    .await?;
    let count = rows.len() as u64;
    let more = count >= ROWS.unsigned_abs();
    let until = rows.last().filter(|_| more).map_or(before, |(_, ended)| *ended);
    let calls: Vec<String> = rows.into_iter().map(|(call, _)| call).collect();
    if !calls.is_empty() {
        count_verdicts(&calls, connection).await?;
        let counted = "INSERT INTO removed_counts (kind, word, count) SELECT 'outcome', outcome, \
                       count(*) FROM jobs WHERE outcome IS NOT NULL AND call IN (";
        of_calls(
            counted,
            &calls,
            ") GROUP BY outcome ON CONFLICT (kind, word) DO UPDATE SET count = \
             removed_counts.count + excluded.count",
            connection,
        )
        .await?;
        for table in ["statements", "operations", "leases", "jobs"] {
            let delete = format!("DELETE FROM {table} WHERE call IN (");
            of_calls(&delete, &calls, ")", connection).await?;
        }
    }
    Ok(Gone { count, until, end: None, more })
}

/// The second of a time, as the beginning of its text in a stored document.
fn whole_second(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN);
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Counts the verdicts of signatures that are removed now.
pub(super) async fn count_verdicts(
    calls: &[String],
    connection: &mut Connection,
) -> sqlx::Result<()> {
    let counted = "INSERT INTO removed_counts (kind, word, count) SELECT 'verdict', verdict, \
                   count(*) FROM statements WHERE call IN (";
    let merged = ") GROUP BY verdict ON CONFLICT (kind, word) DO UPDATE SET count = \
                  removed_counts.count + excluded.count";
    of_calls(counted, calls, merged, connection).await
}

/// Executes a statement about some calls, whose ids come between its two parts.
async fn of_calls(
    begin: &str,
    calls: &[String],
    end: &str,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    let mut query = Builder::new(begin);
    query.push_list(calls);
    query.push(end).build().execute(connection).await.map(drop)
}
