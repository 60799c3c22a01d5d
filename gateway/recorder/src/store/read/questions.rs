//! Reads for approvers on other machines: the jobs that wait, and the people who approved. The caller
//! decides who may see which.

use super::{QUESTIONS, Reader};
use crate::store::batch::ChangeError;
use crate::store::row::{JobRow, stored};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::StoredJob;

impl Reader {
    /// The jobs that wait for a person, newest first, at most `limit`.
    pub async fn questions(&self, limit: u32) -> Result<Vec<StoredJob>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let rows: Vec<JobRow> = sqlx::query_as(QUESTIONS)
            .bind(i64::MAX)
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in rows {
            jobs.extend(stored(&mut connection, &row).await?);
        }
        Ok(jobs)
    }

    /// The names of the people who approved a call, sorted.
    pub async fn signers(&self, call: &CallId) -> Result<Vec<String>, ChangeError> {
        Ok(sqlx::query_scalar(
            "SELECT approver FROM statements WHERE call = ? AND verdict = 'approve' ORDER BY \
             approver",
        )
        .bind(call.to_string())
        .fetch_all(self.readers()?)
        .await?)
    }
}
