//! Reads of what retention removed: for the status, the metrics, and the history of a call.

use super::Reader;
use crate::ledger::leaf::Leaf;
use crate::store::batch::{ChangeError, to_u64};
use crate::store::row::{damaged, parse};
use crate::store::sql::{self, Connection, Executor};
use cofferdam_core::model::call::EndedCall;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::retention::Retained;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::Removal;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A leaf of one call, and whether its payloads are gone.
pub(super) struct OwnLeaf {
    pub index: i64,
    pub leaf: Leaf,
    pub bare: bool,
}

impl Reader {
    /// The number of removed rows of each kind, and the newest time.
    pub async fn removed(&self) -> Result<BTreeMap<Retained, (u64, Timestamp)>, ChangeError> {
        let rows: Vec<(String, i64, i64)> = sql::query_as(
            "SELECT what, CAST(sum(count) AS BIGINT), max(at) FROM removed GROUP BY what",
        )
        .fetch_all(self.readers()?)
        .await?;
        rows.into_iter()
            .map(|(what, count, at)| {
                let what = Retained::parse(&what).ok_or_else(|| damaged("removed rows"))?;
                Ok((what, (to_u64(count), time(at)?)))
            })
            .collect::<Result<_, RoleError>>()
            .map_err(ChangeError::from)
    }

    /// The number of removed rows with each word: outcomes of jobs, or verdicts of signatures.
    pub(super) async fn removed_counts(
        &self,
        kind: &str,
    ) -> Result<Vec<(String, i64)>, ChangeError> {
        Ok(sql::query_as("SELECT word, count FROM removed_counts WHERE kind = ?")
            .bind(kind.to_owned())
            .fetch_all(self.readers()?)
            .await?)
    }
}

/// What retention removed of a call, from its own entries. An erasure by an operator is an entry of
/// the call, and is no removal.
pub(super) async fn removals(
    leaves: &[OwnLeaf],
    has_job: bool,
    connection: &mut Connection,
) -> Result<Vec<Removal>, ChangeError> {
    let mut removals = Vec::new();
    let erased = leaves
        .iter()
        .any(|own| matches!(&own.leaf.event, Event::Administered { what, .. } if what == "erase"));
    let lacks = leaves.iter().any(|own| own.bare && !own.leaf.commitments.is_empty());
    if let Some(last) = leaves.iter().rfind(|own| own.bare && lacks && !erased)
        && let Some(at) = removed_at(Retained::Payloads, last.index, &mut *connection).await?
    {
        removals.push(Removal { what: Retained::Payloads, at });
    }
    if !has_job && let Some((_, at)) = removed_job(leaves, connection).await? {
        removals.push(Removal { what: Retained::ClosedJobs, at });
    }
    Ok(removals)
}

/// The entry of the outcome of a removed job, and the time of the removal. `None` if the call had no
/// job.
async fn removed_job<'a>(
    leaves: &'a [OwnLeaf],
    executor: impl Executor<'_>,
) -> Result<Option<(&'a OwnLeaf, Timestamp)>, ChangeError> {
    let decides =
        |own: &&OwnLeaf| matches!(own.leaf.event, Event::Finished { .. } | Event::Resolved { .. });
    let Some(last) = leaves.iter().rfind(decides) else { return Ok(None) };
    let ended: Timestamp = last.leaf.time.parse().map_err(|_| damaged("time"))?;
    let at = removed_at(Retained::ClosedJobs, ended.as_millisecond(), executor).await?;
    Ok(at.map(|at| (last, at)))
}

/// The end of a call whose job was removed, for this principal.
pub(super) async fn ended_job(
    principal: &str,
    leaves: &[OwnLeaf],
    executor: impl Executor<'_>,
) -> Result<Option<EndedCall>, ChangeError> {
    let own = leaves.iter().any(|own| own.leaf.principal == principal);
    let finished = leaves.iter().find_map(|own| match &own.leaf.event {
        Event::Finished { outcome } => Some(*outcome),
        _ => None,
    });
    let (true, Some(outcome)) = (own, finished) else { return Ok(None) };
    let Some((last, time)) = removed_job(leaves, executor).await? else { return Ok(None) };
    Ok(Some(EndedCall {
        ending: "removed".to_owned(),
        code: outcome.word().to_owned(),
        tool: leaves.iter().find_map(|own| own.leaf.tool.clone()).map(|(name, _)| name),
        plan: leaves.iter().find_map(|own| own.leaf.plan),
        time,
        ledger: to_u64(last.index),
    }))
}

/// The entries of a call, oldest first.
pub(super) async fn own_leaves(
    call: &CallId,
    executor: impl Executor<'_>,
) -> Result<Vec<OwnLeaf>, ChangeError> {
    let rows: Vec<(i64, String, bool)> = sql::query_as(
        "SELECT idx, entry, leaves.payloads IS NULL AND leaves.key IS NULL AND NOT EXISTS (SELECT \
         1 FROM payloads WHERE leaf = idx) FROM leaves WHERE call = ? ORDER BY idx",
    )
    .bind(call.to_string())
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|(index, text, bare)| Ok(OwnLeaf { index, leaf: parse(&text, "ledger entry")?, bare }))
        .collect::<Result<_, RoleError>>()
        .map_err(ChangeError::from)
}

/// The day on which rows up to `until` were removed first.
async fn removed_at(
    what: Retained,
    until: i64,
    executor: impl Executor<'_>,
) -> Result<Option<Timestamp>, ChangeError> {
    let at: Option<i64> = sql::query_scalar(
        "SELECT at FROM removed WHERE what = ? AND until >= ? ORDER BY day LIMIT 1",
    )
    .bind(what.word())
    .bind(until)
    .fetch_optional(executor)
    .await?;
    Ok(at.map(time).transpose()?)
}

fn time(ms: i64) -> Result<Timestamp, RoleError> {
    Timestamp::from_millisecond(ms).map_err(|_| damaged("time"))
}
