//! Gives queued jobs back to the gateways whose permits are of another policy than those that
//! decide from now on. The gateway decides each once more. Never touches a job that a runner has:
//! the runner admitted it with the set before, or refuses its permit by name.

use super::batch::{Batch, ChangeError};
use super::change::Done;
use super::row::{JobRow, columns};
use crate::store::sql::{self, Builder, Connection};
use cofferdam_core::model::id::{CallId, PolicyDigest};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::Event as RunEvent;
use cofferdam_core::protocol::RoleError;
use std::collections::BTreeSet;

/// The most jobs of one change: other changes come between.
const REOPENED: i64 = 256;

/// Takes the oldest of these jobs from the queue. Returns whether there may be more.
pub(crate) async fn reopen(
    policies: &BTreeSet<PolicyDigest>,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let mut query =
        Builder::new(columns!("WHERE phase = 'queued' AND leased = 0 AND policy NOT IN ("));
    query.push_list(policies.iter().map(PolicyDigest::to_string));
    query.push(") ORDER BY seq LIMIT ").push_bind(REOPENED);
    let jobs: Vec<JobRow> = query.build_query_as().fetch_all(&mut *connection).await?;
    let taken = take(&jobs, batch, connection).await?;
    Ok(Done::Reopened {
        more: taken > 0 && i64::try_from(jobs.len()).is_ok_and(|it| it == REOPENED),
    })
}

/// Takes one job from the queue if its policy is another one than these.
pub(crate) async fn reopen_one(
    call: &CallId,
    policies: &BTreeSet<PolicyDigest>,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<(), ChangeError> {
    let mut query = Builder::new(columns!("WHERE phase = 'queued' AND leased = 0 AND call = "));
    query.push_bind(call.to_string()).push(" AND policy NOT IN (");
    query.push_list(policies.iter().map(PolicyDigest::to_string)).push(")");
    let jobs: Vec<JobRow> = query.build_query_as().fetch_all(&mut *connection).await?;
    take(&jobs, batch, connection).await.map(drop)
}

/// Takes these jobs from the queue, and returns their number.
async fn take(
    jobs: &[JobRow],
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<usize, ChangeError> {
    // A claim sets an unreadable job apart.
    let readable: Vec<_> = jobs.iter().filter_map(|old| Some((old, reopened(old).ok()?))).collect();
    let taken = readable.len();
    for (old, (mut row, entry)) in readable {
        row.record(batch, entry);
        // It no longer waits for the objects of another job.
        sql::query("UPDATE jobs SET blocked = 0 WHERE seq = ?")
            .bind(old.seq)
            .execute(&mut *connection)
            .await?;
        row.put(old, batch, connection).await?;
        batch.approved = true;
    }
    Ok(taken)
}

/// The row of a job that is taken from the queue, and the entry about it.
fn reopened(old: &JobRow) -> Result<(JobRow, Entry), RoleError> {
    let mut row = old.clone();
    let phase = row.advance(RunEvent::Reopen)?;
    row.approved = true;
    row.freed();
    let entry = row.entry(Event::Moved { phase, fence: row.fence() })?;
    Ok((row, entry))
}
