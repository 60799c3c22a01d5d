//! Ends jobs without a lease: withdrawn, rejected or expired. Never changes a job under a lease.

use super::approvals::approvals;
use super::batch::{Batch, ChangeError};
use super::change::Done;
use super::row::{JobRow, columns, parse};
use crate::store::sql::{self, Connection};
use cofferdam_core::model::lease_rules as rules;
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::RoleError;

/// The most jobs that one sweep ends; the next sweep ends the rest.
const SWEEP: i64 = 256;

/// The jobs that are out of time at `?1`, at most `?2`.
pub(super) const OUT_OF_TIME: &str = columns!(
    "INDEXED BY jobs_expires WHERE phase IN ('awaiting_approval', 'queued') AND expires <= ?1 \
     ORDER BY expires, seq LIMIT ?2"
);

/// Ends a job without a lease. A job that was never claimed is closed; any other one may have a
/// namespace, and goes through teardown. Returns the index of its newest entry.
pub(crate) async fn end(
    old: &JobRow,
    outcome: Outcome,
    detail: &str,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<u64, ChangeError> {
    end_from(old, old.clone(), outcome, detail, batch, connection).await
}

/// The same with a row that has changes already. Nothing is written if the row cannot end.
pub(crate) async fn end_from(
    old: &JobRow,
    mut row: JobRow,
    outcome: Outcome,
    detail: &str,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<u64, ChangeError> {
    row.finish(outcome, detail, batch.now_ms())?;
    let entry = row.entry(Event::Finished { outcome })?;
    row.record(batch, entry);
    let phase = rules::ended(row.phase()?, row.attempts())
        .map_err(|illegal| RoleError::Refused(illegal.to_string()))?;
    row.enter(phase);
    let entry = if phase == Phase::Closed {
        row.entry(Event::Closed { namespace: String::new() })?
    } else {
        // Taken back from the queue: it still may have a namespace.
        batch.claimable += 1;
        row.entry(Event::Moved { phase, fence: row.fence() })?
    };
    let index = row.record(batch, entry);
    row.put(old, batch, connection).await?;
    Ok(index)
}

/// Ends jobs that were not decided or not run in time.
pub(crate) async fn expire(
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let late: Vec<JobRow> = sql::query_as(OUT_OF_TIME)
        .bind(batch.now_ms())
        .bind(SWEEP)
        .fetch_all(&mut *connection)
        .await?;
    for row in late {
        let detail = if row.phase()? == Phase::Queued {
            "no runner took it before its permit ran out".to_owned()
        } else if row.is_reopened() {
            "it was not decided again before its permit ran out".to_owned()
        } else if row.approved {
            "it was approved, but not decided again before the question ran out".to_owned()
        } else {
            let rule: ApprovalRule =
                parse(row.approval.as_deref().unwrap_or_default(), "approval rule")?;
            let signed = approvals(&row.call, connection).await?;
            let unit = if rule.quorum == 1 { "signature" } else { "signatures" };
            format!("it was not approved in time ({signed} of {} {unit})", rule.quorum)
        };
        end(&row, Outcome::Expired, &detail, batch, connection).await?;
    }
    Ok(Done::Noted)
}
