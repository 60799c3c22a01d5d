//! Reads for approvers on other machines: the calls that wait. The caller
//! decides who may see which. Reads no document of a job.

use super::Reader;
use crate::store::batch::ChangeError;
use crate::store::row::{damaged, parse};
use crate::store::sql;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::reason::ApprovalRule;

/// A call that waits for a person, and the rule for its signatures.
pub(crate) struct WaitingRow {
    /// The id of the call.
    pub call: CallId,
    /// The rule.
    pub rule: ApprovalRule,
}

impl Reader {
    /// The calls that wait for a person, newest first, at most `limit`. A call that has its
    /// signatures, and is only decided again, is not among them.
    pub async fn waiting(&self, limit: u32) -> Result<Vec<WaitingRow>, ChangeError> {
        let rows: Vec<(String, String)> = sql::query_as(
            "SELECT call, approval FROM jobs INDEXED BY jobs_open WHERE phase = \
             'awaiting_approval' AND phase <> 'closed' AND permit IS NULL AND approval IS NOT NULL \
             ORDER BY seq DESC LIMIT ?",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers()?)
        .await?;
        let row = |(call, rule): &(String, String)| {
            Ok(WaitingRow {
                call: CallId::parse(call).map_err(|_| damaged("call id"))?,
                rule: parse(rule, "approval rule")?,
            })
        };
        rows.iter().map(row).collect()
    }
}
