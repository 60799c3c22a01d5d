//! Finds queued jobs whose objects no running job changes. If two jobs are about one object, the
//! later one waits: both would start from the same state, and one could only fail. Never delays a
//! job that has to be recovered.

use super::batch::ChangeError;
use super::row::{JobRow, plan_of};
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::document::Document;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::run::Phase;
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

/// The objects of a stored plan; empty for an unreadable plan, which its runner refuses.
async fn objects(
    call: &str,
    connection: &mut SqliteConnection,
) -> sqlx::Result<BTreeSet<[String; 4]>> {
    let document: Option<String> = sqlx::query_scalar("SELECT document FROM jobs WHERE call = ?")
        .bind(call.to_owned())
        .fetch_one(connection)
        .await?;
    let facts = document
        .and_then(|document| plan_of(&document))
        .and_then(|plan| Document::read(&plan).ok());
    let facts = facts.and_then(|(plan, _)| facts_of(&plan.operations).ok());
    let lasting = facts.into_iter().flatten().filter(|fact| fact.namespace != EPHEMERAL);
    Ok(lasting.map(|fact| [fact.group, fact.kind, fact.namespace, fact.name]).collect())
}

/// Selects the claimable jobs: those to recover, and queued ones without an object of a running or
/// an earlier queued job. A stuck job delays no other.
pub(crate) async fn free(
    candidates: Vec<JobRow>,
    connection: &mut SqliteConnection,
) -> Result<Vec<JobRow>, ChangeError> {
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let running: Vec<String> = sqlx::query_scalar(
        "SELECT call FROM jobs WHERE phase IN ('leased', 'prepared', 'acting') AND stuck IS NULL",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut busy = BTreeSet::new();
    for call in running {
        busy.extend(objects(&call, connection).await?);
    }
    let mut free = Vec::with_capacity(candidates.len());
    for row in candidates {
        if row.phase != Phase::Queued.word() {
            free.push(row);
            continue;
        }
        let own = objects(&row.call, connection).await?;
        if own.is_disjoint(&busy) {
            free.push(row);
        }
        // A waiting job comes before later ones.
        busy.extend(own);
    }
    Ok(free)
}
