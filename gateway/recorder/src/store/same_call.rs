//! Which job the same call led to: one without an outcome, else one that succeeded a moment ago.
//! Never another principal's, and never one of another policy.

use super::row::{JobRow, columns};
use cofferdam_core::model::limit::ALREADY_MS;
use sqlx::SqliteExecutor;

/// What makes two calls the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SameCall {
    /// Whose.
    pub principal: String,
    /// The plan's digest.
    pub plan: String,
    /// The policy's digest.
    pub policy: String,
}

/// The job that this same call led to. A question or a permit that has run out is none: the next
/// sweep ends it.
pub(crate) async fn same(
    of: &SameCall,
    now_ms: i64,
    executor: impl SqliteExecutor<'_>,
) -> sqlx::Result<Option<JobRow>> {
    let since = now_ms.saturating_sub(i64::try_from(ALREADY_MS).unwrap_or(i64::MAX));
    sqlx::query_as(columns!(
        "WHERE principal = ? AND plan = ? AND policy = ? AND
         (outcome IS NULL AND (phase NOT IN ('awaiting_approval', 'queued') OR expires > ?) OR \
         outcome = 'succeeded' AND ended >= ?)
         ORDER BY outcome IS NULL DESC, seq DESC LIMIT 1"
    ))
    .bind(of.principal.clone())
    .bind(of.plan.clone())
    .bind(of.policy.clone())
    .bind(now_ms)
    .bind(since)
    .fetch_optional(executor)
    .await
}
