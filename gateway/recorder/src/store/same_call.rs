//! Finds the job of an equal call: one without an outcome, else one that recently succeeded. Never
//! one of another principal, and no question under another policy.

use super::row::{JobRow, columns};
use crate::store::sql::{self, Executor};
use cofferdam_core::model::limit::ALREADY_MS;

/// The identity of a call: equal ones join.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SameCall {
    /// The principal of the job.
    pub principal: String,
    /// The digest of the plan.
    pub plan: String,
    /// The digest of the policy. A job with a permit of another one is the same call: a client that
    /// repeats its call after a reload gets no second effect.
    pub policy: String,
}

/// Finds the job of an equal call. An expired question or permit does not count: the next sweep
/// ends it.
pub(crate) async fn same(
    of: &SameCall,
    now_ms: i64,
    executor: impl Executor<'_>,
) -> sqlx::Result<Option<JobRow>> {
    let since = now_ms.saturating_sub(i64::try_from(ALREADY_MS).unwrap_or(i64::MAX));
    sql::query_as(columns!(
        "WHERE principal = ? AND plan = ? AND (policy = ? OR permit IS NOT NULL) AND
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
