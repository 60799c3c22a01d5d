//! The first answers of repeated requests: their own rows and entries have them, so no table of
//! answers is kept. Changes nothing that is recorded already.

use super::batch::{Batch, ChangeError, to_u64};
use super::change::Done;
use super::row::{JobRow, damaged, parse};
use super::usage::Purse;
use crate::ledger::leaf::Leaf;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry, Event, Recorded};
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use std::sync::Arc;

/// Adds an entry about the end of a call, unless the call has one of the same event already: then
/// that one is the answer.
pub(crate) async fn end(
    entry: &Arc<Entry>,
    purse: Purse<'_>,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    if let Some(call) = &entry.call {
        let same = |event: &Event| *event == entry.event;
        let before = match batch.index_of(call, same) {
            Some(index) => Some(index),
            None => newest(call, same, connection).await?,
        };
        if let Some(index) = before {
            return Ok(Done::Recorded(Recorded { index }));
        }
    }
    purse.charge_end(entry, batch)?;
    Ok(Done::Recorded(Recorded { index: batch.record(Arc::clone(entry)) }))
}

/// The index of the entry that queued the call with this permit; `None` if it was not queued with
/// it.
pub(crate) async fn permitted(
    call: &CallId,
    permit: &SignedPermit,
    connection: &mut Connection,
) -> Result<Option<u64>, ChangeError> {
    let Some(row) = JobRow::load(&mut *connection, call).await? else { return Ok(None) };
    let stored = row.permit.as_deref().map(|text| parse::<SignedPermit>(text, "permit"));
    if row.phase()? == Phase::AwaitingApproval || stored.transpose()?.as_ref() != Some(permit) {
        return Ok(None);
    }
    let first = newest(call, |event| *event == Event::Intended, connection).await?;
    // In the same transaction, the row alone names the entry.
    Ok(Some(first.unwrap_or(to_u64(row.ledger))))
}

/// The index of the entry that withdrew this job with this cause; `None` if it was not withdrawn so.
pub(crate) fn withdrawn(row: &JobRow, detail: &str) -> Result<Option<u64>, RoleError> {
    let same = matches!(row.phase()?, Phase::TearingDown | Phase::Closed)
        && row.outcome()? == Some(Outcome::Refused)
        && row.detail == detail;
    // The entry after that of the outcome ends the job, or gives it to a runner for its teardown.
    Ok(same.then_some(to_u64(row.ledger).saturating_add(1)))
}

/// The index of the first entry of a call.
pub(crate) async fn first(call: &str, connection: &mut Connection) -> sqlx::Result<Option<u64>> {
    let first: Option<i64> = sql::query_scalar("SELECT min(idx) FROM leaves WHERE call = ?")
        .bind(call.to_owned())
        .fetch_one(connection)
        .await?;
    Ok(first.map(to_u64))
}

/// The index of the newest stored entry of a call with such an event.
async fn newest(
    call: &CallId,
    fits: impl Fn(&Event) -> bool,
    connection: &mut Connection,
) -> Result<Option<u64>, ChangeError> {
    let rows: Vec<(i64, String)> =
        sql::query_as("SELECT idx, entry FROM leaves WHERE call = ? ORDER BY idx DESC")
            .bind(call.to_string())
            .fetch_all(connection)
            .await?;
    for (index, text) in rows {
        let leaf: Leaf = serde_json::from_str(&text).map_err(|_| damaged("ledger entry"))?;
        if fits(&leaf.event) {
            return Ok(Some(to_u64(index)));
        }
    }
    Ok(None)
}

/// The job of a call that a request wants to store again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBefore {
    /// The parts that tell one request from another: principal, tool, plan and arguments.
    pub request: [String; 4],
    /// The index of its first entry.
    pub index: u64,
}

/// The stored job of a call.
pub(crate) async fn stored_before(
    call: &str,
    connection: &mut Connection,
) -> Result<Option<StoredBefore>, ChangeError> {
    let row: Option<(String, String, String, String)> =
        sql::query_as("SELECT principal, tool, plan, arguments FROM jobs WHERE call = ?")
            .bind(call.to_owned())
            .fetch_optional(&mut *connection)
            .await?;
    let (Some((principal, tool, plan, arguments)), Some(index)) =
        (row, first(call, connection).await?)
    else {
        return Ok(None);
    };
    Ok(Some(StoredBefore { request: [principal, tool, plan, arguments], index }))
}

impl Batch {
    /// The index of an entry of this transaction about this call with such an event.
    fn index_of(&self, call: &CallId, fits: impl Fn(&Event) -> bool) -> Option<u64> {
        let found = |entry: &Arc<Entry>| entry.call.as_ref() == Some(call) && fits(&entry.event);
        let at = self.entries().iter().position(found)?;
        Some(self.first().saturating_add(at as u64))
    }
}
