//! Reads of calls that wait for another decision of the gateway: people signed them, or their policy
//! was replaced while they were queued. Never writes.

use super::Reader;
use crate::store::batch::ChangeError;
use crate::store::row::{JobRow, damaged, stored};
use crate::store::sql;
use cofferdam_core::model::id::{CallId, PolicyDigest};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::run::Phase;

/// The most approved calls of one query: the next one goes on.
const APPROVED: i64 = 64;

impl Reader {
    /// The calls that wait for another decision: first those that people signed, then queued jobs
    /// of a replaced policy, each oldest first.
    pub async fn approved(&self, now_ms: i64) -> Result<Vec<CallId>, ChangeError> {
        let calls: Vec<String> = sql::query_scalar(
            "SELECT call FROM jobs WHERE phase = 'awaiting_approval' AND phase <> 'closed' AND \
             approved = 1 AND expires > ? ORDER BY permit IS NOT NULL, seq LIMIT ?",
        )
        .bind(now_ms)
        .bind(APPROVED)
        .fetch_all(self.readers()?)
        .await?;
        calls
            .iter()
            .map(|call| CallId::parse(call).map_err(|_| damaged("call id").into()))
            .collect()
    }

    /// Returns whether a runner still checks a job of another policy.
    pub async fn admits_other(&self, policy: &PolicyDigest) -> Result<bool, ChangeError> {
        Ok(sql::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_leased WHERE leased = 1 AND phase \
             = 'leased' AND policy <> ?)",
        )
        .bind(policy.to_string())
        .fetch_one(self.readers()?)
        .await?)
    }

    /// The stored job of a call that waits for another decision.
    pub async fn undecided(&self, call: &CallId) -> Result<Option<StoredJob>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let row = JobRow::load(&mut *connection, call).await?;
        let waits = |row: &JobRow| row.approved && row.phase == Phase::AwaitingApproval.word();
        match row.filter(waits) {
            Some(row) => stored(&mut connection, &row).await,
            None => Ok(None),
        }
    }
}
