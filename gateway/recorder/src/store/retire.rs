//! Questions that the gateway could not carry out any more: asked under a policy that was replaced, or of a tool that is
//! another component now. Never touches a job that has a permit: its runner judges that by its own trust file.

use super::batch::{Batch, Halt};
use super::change::Done;
use super::expire::end;
use super::row::{JobRow, columns, stored};
use cofferdam_core::id::{ComponentDigest, PolicyDigest};
use cofferdam_core::job::StoredJob;
use cofferdam_core::run::Outcome;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// Ends every question that was asked under other means than are served now.
pub(crate) async fn retire(
    policy: &PolicyDigest,
    tools: &BTreeMap<String, ComponentDigest>,
    batch: &mut Batch,
    connection: &mut SqliteConnection,
) -> Result<Done, Halt> {
    let waiting: Vec<JobRow> = sqlx::query_as(columns!("WHERE phase = 'awaiting_approval' AND phase <> 'closed' ORDER BY seq"))
        .fetch_all(&mut *connection)
        .await?;
    for row in waiting {
        // One that cannot be read is for whoever looks at the store; it keeps no other from its end.
        let Ok(Some(job)) = stored(connection, &row).await else { continue };
        if let Some(why) = replaced(&job, policy, tools) {
            end(&row, Outcome::Refused, &why, batch, connection).await?;
        }
    }
    Ok(Done::Noted)
}

/// Why the question is of another time; none while it can still be answered.
fn replaced(job: &StoredJob, policy: &PolicyDigest, tools: &BTreeMap<String, ComponentDigest>) -> Option<String> {
    if job.policy != *policy {
        return Some("the policy was replaced after a person was asked".to_owned());
    }
    match tools.get(&job.tool) {
        Some(digest) if *digest == job.tool_digest => None,
        Some(_) => Some(format!("the tool was replaced after a person was asked: `{}` is another component now", job.tool)),
        None => Some(format!("the tool was removed after a person was asked: `{}` is not served any more", job.tool)),
    }
}
