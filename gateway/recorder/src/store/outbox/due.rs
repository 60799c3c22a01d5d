//! Notifications that time makes: further people may sign a question, a question ends soon, a job is
//! stuck for about a minute. Each job is told once of each.

use super::Post;
use crate::store::batch::{Batch, ChangeError};
use crate::store::change::Done;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::notification::NotifyEvent;

/// The most jobs of one sweep; the next one goes on.
const SWEEP: i64 = 256;

/// The condition of a question that ends soon at `?1`: a fifth of its time is left, and at most a
/// quarter of an hour.
macro_rules! expiring {
    () => {
        "INDEXED BY jobs_expiring WHERE phase = 'awaiting_approval' AND told_expiring = 0 AND \
         approved = 0 AND expires > ?1 AND expires <= ?1 + 900000 AND (expires - ?1) * 5 <= \
         expires - created"
    };
}

/// The condition of a question that further people may sign at `?1`.
macro_rules! escalating {
    () => {
        "INDEXED BY jobs_escalating WHERE phase = 'awaiting_approval' AND escalates IS NOT NULL AND \
         approved = 0 AND escalates <= ?1 AND expires > ?1"
    };
}

/// The condition of a stuck job: the pauses between eight tries are about a minute together.
macro_rules! stuck {
    () => {
        "INDEXED BY jobs_stuck WHERE stuck IS NOT NULL AND phase <> 'closed' AND told_stuck = \
         0 AND phase IN ('acting', 'tearing_down') AND CAST(json_extract(stuck, '$.tries') AS BIGINT) \
         >= 8"
    };
}

/// Whether people are to be told of a job at `?1`.
pub(in crate::store) const DUE_TO_TELL: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM jobs ",
    expiring!(),
    ") OR EXISTS (SELECT 1 FROM jobs ",
    escalating!(),
    ") OR EXISTS (SELECT 1 FROM jobs ",
    stuck!(),
    ")"
);

/// Makes the notifications that are due.
pub(crate) async fn remind(
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let now = batch.now_ms();
    let escalating: Vec<String> =
        sql::query_scalar(concat!("SELECT call FROM jobs ", escalating!(), " LIMIT ?2"))
            .bind(now)
            .bind(SWEEP)
            .fetch_all(&mut *connection)
            .await?;
    let expiring: Vec<String> =
        sql::query_scalar(concat!("SELECT call FROM jobs ", expiring!(), " LIMIT ?2"))
            .bind(now)
            .bind(SWEEP)
            .fetch_all(&mut *connection)
            .await?;
    let stuck: Vec<String> =
        sql::query_scalar(concat!("SELECT call FROM jobs ", stuck!(), " LIMIT ?1"))
            .bind(SWEEP)
            .fetch_all(&mut *connection)
            .await?;
    for call in escalating {
        sql::query("UPDATE jobs SET escalates = NULL WHERE call = ?")
            .bind(call.clone())
            .execute(&mut *connection)
            .await?;
        batch.tell(post(NotifyEvent::Escalated, call));
    }
    for call in expiring {
        sql::query("UPDATE jobs SET told_expiring = 1 WHERE call = ?")
            .bind(call.clone())
            .execute(&mut *connection)
            .await?;
        batch.tell(post(NotifyEvent::ApprovalExpiring, call));
    }
    for call in stuck {
        sql::query("UPDATE jobs SET told_stuck = 1 WHERE call = ?")
            .bind(call.clone())
            .execute(&mut *connection)
            .await?;
        batch.tell(post(NotifyEvent::JobStuck, call));
    }
    Ok(Done::Noted)
}

fn post(event: NotifyEvent, call: String) -> Post {
    Post { event, call: Some(call), detail: String::new(), receiver: None }
}
