//! Reads for agents, the gateway and operators, beside the writer. Never writes. A result of
//! several statements is one transaction, because the writer may commit between any two.

mod approvals;
mod callers;
mod calls;
mod decisions;
mod overview;
mod questions;
mod removed;

use super::batch::{ChangeError, to_u64};
use super::engine::Engine;
use super::open::READERS;
use super::row::{JobRow, columns, document, operations, planned, stored};
use super::same_call::{SameCall, same};
use crate::ledger::leaf::Leaf;
use crate::store::sql::{self, Executor, Pool};
pub(crate) use calls::CallQuery;
#[cfg(test)]
pub(in crate::store) use calls::STATEMENTS;
use cofferdam_core::model::call::{EndedCall, OwnCall, Rejected};
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use cofferdam_core::model::job::{JobView, Planned, StoredJob};
use cofferdam_core::model::json;
use cofferdam_core::model::limit::REJECTION_SECONDS;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{StoredTask, UsedKey};
use cofferdam_core::protocol::operator_recorder::{OwnedJob, Removal, StoryEntry};
use jiff::Timestamp;
pub(crate) use questions::WaitingRow;
use removed::{OwnLeaf, ended_job, own_leaves, removals};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The state of a lease that was not lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseState {
    /// False after the runner's own end of the lease.
    pub leased: bool,
    /// The job was cancelled.
    pub cancelled: bool,
}

/// The most bytes of jobs in one list, as JSON: half of a socket's limit. A client gets more with a
/// further request.
const LIST: usize = 4 * 1024 * 1024;

/// Whether a job is out of time at `?1`.
pub(super) const LATE: &str = "\
    SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_expires
        WHERE phase IN ('awaiting_approval', 'queued') AND expires <= ?1)";

/// Whether a runner could claim a job at `?1`, or retry a stuck one.
pub(super) const DUE: &str = "\
    SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_stuck WHERE stuck IS NOT NULL
        AND phase <> 'closed' AND phase IN ('queued', 'acting', 'tearing_down') AND leased = 0
        AND retry_at <= ?1)
    OR EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_queue WHERE phase = 'queued' AND leased = 0
        AND blocked = 0 AND stuck IS NULL AND expires > ?1)";

/// The newest jobs of the principal `?1`, at most `?2`.
pub(super) const OWN: &str =
    columns!("INDEXED BY jobs_principal WHERE principal = ?1 ORDER BY seq DESC LIMIT ?2");

/// The newest jobs of the principal `?1` without an outcome, at most `?2`.
pub(super) const OWN_OPEN: &str = columns!(
    "INDEXED BY jobs_principal_open WHERE principal = ?1 AND outcome IS NULL ORDER BY seq DESC \
     LIMIT ?2"
);

/// The newest jobs before the number `?1`, at most `?2`.
pub(super) const ALL: &str = columns!("WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");

/// The newest questions before the number `?1`, at most `?2`.
pub(super) const QUESTIONS: &str = columns!(
    "INDEXED BY jobs_open WHERE phase = 'awaiting_approval' AND phase <> 'closed' AND seq < ?1 \
     AND permit IS NULL ORDER BY seq DESC LIMIT ?2"
);

/// The reading connections, and the engine that they read.
#[derive(Clone)]
pub(crate) struct Reader {
    readers: Pool,
    engine: Arc<Engine>,
}

/// Index, hash and text of an entry, and whether its payloads are not there.
pub(crate) type LeafRow = (i64, Vec<u8>, String, bool);

/// Everything stored about one call.
pub(crate) struct Story {
    pub call: CallId,
    pub job: Option<StoredJob>,
    pub view: Option<JobView>,
    pub entries: Vec<StoryEntry>,
    pub removed: Vec<Removal>,
}

impl Reader {
    pub const fn new(readers: Pool, engine: Arc<Engine>) -> Self {
        Self { readers, engine }
    }

    /// Closes the connections, after the reads that run.
    pub async fn close(&self) {
        self.readers.close().await;
    }

    /// The connections. A connection that replaces a failed one must not open another file at the
    /// path of the store: SQLite then shortens the shared index that the other connections have
    /// mapped, and the process ends with SIGBUS.
    pub(super) fn readers(&self) -> Result<&Pool, ChangeError> {
        if self.readers.size() < READERS {
            let lost = |why| ChangeError::Lost { why, committed: false };
            self.engine.check_database().map_err(lost)?;
        }
        Ok(&self.readers)
    }

    /// A job of this principal.
    pub async fn view(&self, call: &CallId, principal: &str) -> Result<JobView, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let row = JobRow::owned(&mut *connection, call, principal).await?;
        let planned = planned(&mut *connection, &row.call).await?;
        let operations = operations(&mut *connection, &row.call).await?;
        Ok(row.view(planned, operations)?)
    }

    /// A job of the principal, with its times. `kept_ms`: the retention of closed jobs.
    pub async fn task(
        &self,
        call: &CallId,
        principal: &str,
        kept_ms: Option<u64>,
    ) -> Result<StoredTask, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let row = JobRow::owned(&mut *connection, call, principal).await?;
        let planned = planned(&mut *connection, &row.call).await?;
        let operations = operations(&mut *connection, &row.call).await?;
        let created = created(&mut *connection, &row.call).await?;
        let entry: String = sql::query_scalar("SELECT entry FROM leaves WHERE idx = ?")
            .bind(row.ledger)
            .fetch_one(&mut *connection)
            .await?;
        let leaf: Leaf = super::row::parse(&entry, "ledger entry")?;
        let updated = leaf.time.parse().map_err(|_| super::row::damaged("time"))?;
        let stopping = row.cancelled && row.outcome.is_none();
        let job = row.view(planned, operations)?;
        Ok(StoredTask { job, created, updated, stopping, kept_ms })
    }

    /// The plan of a job of the principal; `None` if it was erased.
    pub async fn plan(
        &self,
        call: &CallId,
        principal: &str,
    ) -> Result<Option<String>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let row = JobRow::owned(&mut *connection, call, principal).await?;
        Ok(document(&mut *connection, &row.call).await?.map(|job| job.plan))
    }

    /// The job of an equal call, with the milliseconds since its end.
    pub async fn same(
        &self,
        of: &SameCall,
        now_ms: i64,
    ) -> Result<Option<(JobView, u64)>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let Some(row) = same(of, now_ms, &mut *connection).await? else { return Ok(None) };
        let ended = row.ended.map_or(0, |ended| to_u64(now_ms.saturating_sub(ended)));
        let planned = planned(&mut *connection, &row.call).await?;
        let operations = operations(&mut *connection, &row.call).await?;
        Ok(Some((row.view(planned, operations)?, ended)))
    }

    /// The end of a call without a job, for this principal.
    pub async fn ended(
        &self,
        call: &CallId,
        principal: &str,
    ) -> Result<Option<EndedCall>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let leaves = own_leaves(call, &mut *connection).await?;
        for OwnLeaf { index, leaf, .. } in &leaves {
            if let (Event::Ended { ending, code }, true) =
                (&leaf.event, leaf.principal == principal)
            {
                let time = leaf.time.parse().map_err(|_| super::row::damaged("time"))?;
                let tool = leaf.tool.clone().map(|(name, _)| name);
                return Ok(Some(EndedCall {
                    ending: ending.clone(),
                    code: code.clone(),
                    tool,
                    plan: leaf.plan,
                    time,
                    ledger: to_u64(*index),
                }));
            }
        }
        if JobRow::load(&mut *connection, call).await?.is_none() {
            return ended_job(principal, &leaves, &mut *connection).await;
        }
        Ok(None)
    }

    /// The jobs of this principal, newest first, and whether there are older ones.
    pub async fn calls(
        &self,
        principal: &str,
        open: bool,
        limit: u32,
    ) -> Result<(Vec<OwnCall>, bool), ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let found: Vec<JobRow> = sql::query_as(if open { OWN_OPEN } else { OWN })
            .bind(principal.to_owned())
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut *connection)
            .await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > most;
        let mut calls = Vec::with_capacity(most.min(found.len()));
        for row in found.into_iter().take(most) {
            let asked = created(&mut *connection, &row.call).await?;
            let job = document(&mut *connection, &row.call).await?;
            calls.push(OwnCall {
                call: row.id()?,
                tool: row.tool.clone(),
                what: job.as_ref().map(Planned::words_of).unwrap_or_default(),
                phase: row.told_phase()?,
                outcome: row.outcome()?,
                asked,
            });
        }
        Ok((calls, more))
    }

    /// The use of an idempotency key.
    pub async fn key(&self, principal: &str, key: &str) -> Result<Option<UsedKey>, ChangeError> {
        let row: Option<(String, String, String)> = sql::query_as(
            "SELECT call, tool, arguments FROM idempotency WHERE principal = ? AND key = ?",
        )
        .bind(principal.to_owned())
        .bind(key.to_owned())
        .fetch_optional(self.readers()?)
        .await?;
        row.map(|(call, tool, arguments)| {
            let damaged = |_| super::row::damaged("idempotency key");
            Ok(UsedKey {
                call: CallId::parse(&call).map_err(damaged)?,
                tool,
                arguments: arguments.try_into().map_err(damaged)?,
            })
        })
        .transpose()
    }

    /// The principals and plans of all denials, also of those that no longer count.
    pub async fn rejections(&self) -> Result<HashSet<(String, String)>, ChangeError> {
        let rows: Vec<(String, String)> = sql::query_as("SELECT principal, plan FROM rejections")
            .fetch_all(self.readers()?)
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// A denial of this plan of this principal by a person, if it still counts.
    pub async fn rejection(
        &self,
        principal: &str,
        plan: &PlanDigest,
        now_ms: i64,
    ) -> Result<Option<Rejected>, ChangeError> {
        let found: Option<(String, String, i64)> = sql::query_as(
            "SELECT approver, reason, until FROM rejections WHERE principal = ? AND plan = ? AND \
             until > ?",
        )
        .bind(principal.to_owned())
        .bind(plan.to_string())
        .bind(now_ms)
        .fetch_optional(self.readers()?)
        .await?;
        let time =
            |ms: i64| Timestamp::from_millisecond(ms).map_err(|_| super::row::damaged("time"));
        let rejected = found.map(|(approver, reason, until)| {
            let at = until.saturating_sub(REJECTION_SECONDS.saturating_mul(1_000));
            Ok::<_, RoleError>(Rejected { approver, reason, at: time(at)?, until: time(until)? })
        });
        Ok(rejected.transpose()?)
    }

    /// The jobs without an end, oldest first, and the number of further ones.
    pub async fn unfinished(&self, most: usize) -> Result<(Vec<CallId>, u64), ChangeError> {
        let calls: Vec<String> = sql::query_scalar(
            "SELECT call FROM jobs WHERE phase <> 'closed' AND (phase <> 'awaiting_approval' OR \
             permit IS NOT NULL) ORDER BY seq",
        )
        .fetch_all(self.readers()?)
        .await?;
        let more = u64::try_from(calls.len().saturating_sub(most)).unwrap_or(u64::MAX);
        let first = calls
            .iter()
            .take(most)
            .map(|call| CallId::parse(call).map_err(|_| super::row::damaged("call id").into()));
        Ok((first.collect::<Result<_, ChangeError>>()?, more))
    }

    /// The entries from the index `first`, before `end`.
    pub async fn leaves(&self, first: i64, end: i64) -> Result<Vec<LeafRow>, ChangeError> {
        Ok(sql::query_as(
            "SELECT idx, hash, entry, (leaves.payloads IS NULL OR leaves.key IS NULL) AND NOT \
             EXISTS (SELECT 1 FROM payloads WHERE leaf = idx) FROM leaves WHERE idx >= ? AND idx \
             < ? ORDER BY idx",
        )
        .bind(first)
        .bind(end)
        .fetch_all(self.readers()?)
        .await?)
    }

    /// The stored job with its phase.
    pub async fn job(&self, call: &CallId) -> Result<Option<(StoredJob, Phase)>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let Some(row) = JobRow::load(&mut *connection, call).await? else { return Ok(None) };
        let phase = row.told_phase()?;
        Ok(stored(&mut connection, &row).await?.map(|job| (job, phase)))
    }

    /// The state of a lease; an error if it was lost. With a token, also if it is another claim's.
    pub async fn lease(
        &self,
        call: &CallId,
        fence: Fence,
        token: Option<&ClaimToken>,
    ) -> Result<LeaseState, ChangeError> {
        let row = JobRow::load(self.readers()?, call).await?;
        let same =
            |row: &JobRow| token.is_none_or(|token| row.claim.as_deref() == Some(token.as_str()));
        // After the runner's own end of the lease, the token stays: it may ask for that answer again.
        row.filter(|row| row.fence() == fence && (row.leased || row.claim.is_some()) && same(row))
            .map(|row| LeaseState { leased: row.leased, cancelled: row.leased && row.cancelled })
            .ok_or(ChangeError::Error(RoleError::Fenced))
    }

    /// Returns whether a sweep has a job to end.
    pub async fn late(&self, now_ms: i64) -> Result<bool, ChangeError> {
        Ok(sql::query_scalar(LATE).bind(now_ms).fetch_one(self.readers()?).await?)
    }

    /// Returns whether a runner could claim a job, or retry a stuck one.
    pub async fn due(&self, now_ms: i64) -> Result<bool, ChangeError> {
        Ok(sql::query_scalar(DUE).bind(now_ms).fetch_one(self.readers()?).await?)
    }

    /// The jobs without their operations, newest first, up to the limits of one response. `before`
    /// is a call id or its beginning.
    pub async fn jobs(
        &self,
        waiting: bool,
        limit: u32,
        before: Option<&str>,
    ) -> Result<Vec<OwnedJob>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let before = match before {
            None => i64::MAX,
            Some(beginning) => {
                let found: Vec<i64> =
                    sql::query_scalar("SELECT seq FROM jobs WHERE call >= ? AND call < ? LIMIT 2")
                        .bind(beginning.to_owned())
                        .bind(format!("{beginning}~"))
                        .fetch_all(&mut *connection)
                        .await?;
                match found.as_slice() {
                    [seq] => *seq,
                    [] => return Err(RoleError::NotFound(format!("no job `{beginning}`")).into()),
                    _ => {
                        return Err(RoleError::Refused(format!(
                            "`{beginning}` begins several jobs; give more of the id"
                        ))
                        .into());
                    }
                }
            }
        };
        let rows: Vec<JobRow> = sql::query_as(if waiting { QUESTIONS } else { ALL })
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let mut jobs = Vec::with_capacity(rows.len());
        let mut size = 0;
        for row in rows {
            let job = stored(&mut connection, &row).await?;
            let created = created(&mut *connection, &row.call).await?;
            let planned = job.as_ref().map(Planned::all).unwrap_or_default();
            let owned = OwnedJob {
                principal: row.principal.clone(),
                person: job.as_ref().and_then(|job| job.principal.person.clone()),
                created,
                summary: job.map(|job| summary(&job.plan)).unwrap_or_default(),
                // Without operations: only the history of one job has them.
                job: row.view(planned, Vec::new())?,
            };
            size += serde_json::to_vec(&owned).map_or(usize::MAX, |text| text.len());
            if size > LIST && !jobs.is_empty() {
                break;
            }
            jobs.push(owned);
        }
        Ok(jobs)
    }

    /// Finds a call by its id or a unique beginning.
    pub async fn story(&self, beginning: &str) -> Result<Story, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        // `~` sorts after every character of an id.
        let calls: Vec<String> = sql::query_scalar(
            "SELECT DISTINCT call FROM leaves WHERE call >= ? AND call < ? LIMIT 2",
        )
        .bind(beginning.to_owned())
        .bind(format!("{beginning}~"))
        .fetch_all(&mut *connection)
        .await?;
        let call = match calls.as_slice() {
            [call] => call.clone(),
            [] => return Err(RoleError::NotFound(format!("no call `{beginning}`")).into()),
            _ => {
                return Err(RoleError::Refused(format!(
                    "`{beginning}` begins several calls; give more of the id"
                ))
                .into());
            }
        };
        let id = CallId::parse(&call).map_err(|_| super::row::damaged("call id"))?;
        let leaves: Vec<(i64, String, Option<String>)> =
            sql::query_as("SELECT idx, entry, payloads FROM leaves WHERE call = ? ORDER BY idx")
                .bind(call.clone())
                .fetch_all(&mut *connection)
                .await?;
        let mut payloads: BTreeMap<i64, BTreeMap<String, Value>> = BTreeMap::new();
        let bodies: Vec<(i64, String, String)> = sql::query_as(
            "SELECT leaf, name, body FROM payloads WHERE leaf IN (SELECT idx FROM leaves WHERE \
             call = ?)",
        )
        .bind(call.clone())
        .fetch_all(&mut *connection)
        .await?;
        let mut add = |leaf, name, body: String| {
            let value = json::strict(body.as_bytes()).unwrap_or(Value::String(body));
            payloads.entry(leaf).or_default().insert(name, value);
        };
        for (leaf, name, body) in bodies {
            add(leaf, name, body);
        }
        for (leaf, _, own) in &leaves {
            let Some(own) = own else { continue };
            let bodies: BTreeMap<String, String> = super::row::parse(own, "payload")?;
            bodies.into_iter().for_each(|(name, body)| add(*leaf, name, body));
        }
        let entries = leaves
            .into_iter()
            .map(|(index, text, _)| {
                let leaf: Leaf = super::row::parse(&text, "ledger entry")?;
                let time = leaf.time.parse().map_err(|_| super::row::damaged("time"))?;
                Ok(StoryEntry {
                    index: to_u64(index),
                    time,
                    event: leaf.event,
                    payloads: payloads.remove(&index).unwrap_or_default(),
                })
            })
            .collect::<Result<_, RoleError>>()?;
        let (job, view) = match JobRow::load(&mut *connection, &id).await? {
            Some(row) => {
                let job = stored(&mut connection, &row).await?;
                let planned = job.as_ref().map(Planned::all).unwrap_or_default();
                let view = row.view(planned, operations(&mut *connection, &row.call).await?)?;
                (job, Some(view))
            }
            None => (None, None),
        };
        let own = own_leaves(&id, &mut *connection).await?;
        let removed = removals(&own, view.is_some(), &mut connection).await?;
        Ok(Story { call: id, job, view, entries, removed })
    }
}

/// The arrival time of a job's call.
async fn created(executor: impl Executor<'_>, call: &str) -> Result<jiff::Timestamp, ChangeError> {
    let query = sql::query_scalar("SELECT created FROM jobs WHERE call = ?").bind(call.to_owned());
    let created: i64 = query.fetch_one(executor).await?;
    Ok(jiff::Timestamp::from_millisecond(created).map_err(|_| super::row::damaged("time"))?)
}

/// The summary in a sealed plan; empty without one.
pub(crate) fn summary(plan: &str) -> String {
    let plan = json::strict(plan.as_bytes()).unwrap_or_default();
    plan.get("summary").and_then(Value::as_str).unwrap_or_default().to_owned()
}
