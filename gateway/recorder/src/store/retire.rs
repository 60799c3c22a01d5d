//! Ends questions that no served trust file supports. Never changes a job with a permit:
//! `reopen.rs` gives it back to the gateway, or its runner checks it with its own trust file.

use super::batch::{Batch, ChangeError};
use super::change::Done;
use super::expire::end;
use super::row::{JobRow, columns, stored};
use crate::store::sql::{self, Connection};
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::stage::outdated::outdated;
use std::sync::Arc;

/// Ends every question with another tool, policy or executor than those that a gateway serves.
pub(crate) async fn retire(
    trusts: &[Arc<Trust>],
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    // The second condition matches the partial index `jobs_open`: without it, SQLite reads every
    // closed job too.
    let waiting: Vec<JobRow> = sql::query_as(columns!(
        "WHERE phase = 'awaiting_approval' AND phase <> 'closed' ORDER BY seq"
    ))
    .fetch_all(&mut *connection)
    .await?;
    // A job that had a permit is decided once more.
    for row in waiting.into_iter().filter(|row| !row.is_reopened()) {
        // An unreadable job must not keep other ones from their end.
        let Ok(Some(job)) = stored(connection, &row).await else { continue };
        let causes: Option<Vec<String>> =
            trusts.iter().map(|trust| outdated(&job, trust)).collect();
        if let Some(why) = causes.and_then(|mut causes| causes.pop()) {
            end(&row, Outcome::Refused, &why, batch, connection).await?;
        }
    }
    Ok(Done::Noted)
}
