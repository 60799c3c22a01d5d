//! The rows of a job beside its own: document, operations and signed statements. Never writes.

use super::{JobRow, damaged, parse};
use crate::store::batch::ChangeError;
use crate::store::sql::{self, Connection, Executor};
use cofferdam_core::model::job::{OperationRecord, Planned, StoredJob};
use cofferdam_core::model::statement::SignedStatement;
use cofferdam_core::protocol::RoleError;

/// The recorded operations of a job, in order.
pub(crate) async fn operations(
    executor: impl Executor<'_>,
    call: &str,
) -> Result<Vec<OperationRecord>, ChangeError> {
    let rows: Vec<(i64, bool, String, Option<String>)> = sql::query_as(
        "SELECT operation, undo, before, after FROM operations WHERE call = ? ORDER BY undo, \
         operation",
    )
    .bind(call.to_owned())
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|(index, undo, before, after)| {
            Ok(OperationRecord {
                index: u32::try_from(index).map_err(|_| damaged("operation index"))?,
                undo,
                before: parse(&before, "before-state")?,
                after: after.as_deref().map(|text| parse(text, "after-state")).transpose()?,
            })
        })
        .collect::<Result<_, RoleError>>()
        .map_err(ChangeError::from)
}

/// The operations of a job in words; empty if it was erased.
pub(crate) async fn planned(
    executor: impl Executor<'_>,
    call: &str,
) -> Result<Vec<Planned>, ChangeError> {
    Ok(document(executor, call).await?.as_ref().map(Planned::all).unwrap_or_default())
}

/// The stored document of a job; `None` if it was erased.
pub(crate) async fn document(
    executor: impl Executor<'_>,
    call: &str,
) -> Result<Option<StoredJob>, ChangeError> {
    let document: Option<Option<String>> =
        sql::query_scalar("SELECT document FROM jobs WHERE call = ?")
            .bind(call.to_owned())
            .fetch_optional(executor)
            .await?;
    Ok(document.flatten().map(|document| parse(&document, "job")).transpose()?)
}

/// The signed statements of a job, oldest first.
pub(crate) async fn statements(
    executor: impl Executor<'_>,
    call: &str,
) -> sqlx::Result<Vec<SignedStatement>> {
    let rows: Vec<(String, String)> =
        sql::query_as("SELECT statement, signature FROM statements WHERE call = ? ORDER BY id")
            .bind(call.to_owned())
            .fetch_all(executor)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(statement, signature)| SignedStatement { statement, signature })
        .collect())
}

/// A job with its statements and permit; `None` if it was erased.
pub(crate) async fn stored(
    connection: &mut Connection,
    row: &JobRow,
) -> Result<Option<StoredJob>, ChangeError> {
    let document: Option<String> = sql::query_scalar("SELECT document FROM jobs WHERE call = ?")
        .bind(row.call.clone())
        .fetch_one(&mut *connection)
        .await?;
    let Some(document) = document else { return Ok(None) };
    let mut job: StoredJob = parse(&document, "job")?;
    // Only the answers to a question are signed.
    if row.approval.is_some() {
        job.statements = statements(connection, &row.call).await?;
    }
    job.permit = row.permit.as_deref().map(|text| parse(text, "permit")).transpose()?;
    Ok(Some(job))
}
