//! Adds the new jobs of a batch together. Joining and idempotency are decided inside the
//! transaction, so two proposers cannot both be first.

use super::batch::{Batch, ChangeError, to_i64};
use super::busy;
use super::change::{Answer, Done};
use super::same_call::{SameCall, same};
use super::usage::{Purse, waiting};
use crate::backlog::Backlog;
use crate::store::sql::{self, Builder, Connection};
use cofferdam_core::model::id::{ArgumentsDigest, CallId, PolicyDigest, hex};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::record::{Entry, Recorded};
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::IdempotencyKey;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One proposed job.
pub(crate) struct New {
    pub job: StoredJob,
    pub entry: Entry,
    pub key: Option<IdempotencyKey>,
    pub seen: Option<CallId>,
}

/// The use of a key: call, tool and digest of the arguments.
type Used = (String, String, String);

/// A key of a principal, and its first use.
type NewKey = ((String, String), Used);

/// The stored jobs that new ones may be equal to.
#[derive(Default)]
struct Known {
    keys: BTreeMap<(String, String), Used>,
    /// The jobs of equal calls, without an outcome or recently done.
    same: BTreeMap<SameCall, String>,
    calls: BTreeSet<String>,
    /// The calls of principals that wait for a person.
    waiting: BTreeMap<String, u64>,
}

/// Adds the jobs; returns their results in order. A job for the queue that would wait too long is
/// refused; one that joins another job is not.
pub(crate) async fn enqueue(
    news: Vec<New>,
    random: impl Fn() -> Result<[u8; 32], String>,
    ((backlog, most), policy, purse): ((&Backlog, u64), Option<PolicyDigest>, Purse<'_>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Vec<Answer>, ChangeError> {
    let mut known = known(&news, batch.now_ms(), connection).await?;
    let (mut jobs, mut keys, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for mut new in news {
        let answer = known.place(&new).and_then(|found| {
            let job = &new.job;
            if found.is_none() && job.permit.is_some() {
                let ahead = backlog.length().saturating_add_signed(batch.queued);
                let life = job.expires.as_millisecond() - job.created.as_millisecond();
                backlog.admit(ahead, most, life, batch.now_ms())?;
            }
            if found.is_none() {
                let waiting = known.waiting.get(&new.entry.principal).copied().unwrap_or(0);
                if job.permit.is_none() {
                    purse.ask(&job.principal.roles, waiting)?;
                }
                purse.charge(&new.entry, &job.principal.roles, 1, batch)?;
            }
            Ok(found)
        });
        if let (Some((key, false)), Ok(call)) = (
            known.keyed(&new),
            answer.as_ref().map(|found| found.as_ref().unwrap_or(&new.job.call)),
        ) {
            let used = (
                call.to_string(),
                new.job.tool.clone(),
                ArgumentsDigest::of(new.job.arguments.as_bytes()).to_string(),
            );
            keys.push((key.clone(), used.clone()));
            known.keys.insert(key, used);
        }
        answers.push(match answer {
            Err(error) => Err(error),
            Ok(Some(call)) => Ok(Done::Joined(call)),
            Ok(None) => {
                // The recorder makes the nonce of a question: a statement for another question
                // cannot match it.
                let bits = random()
                    .map_err(|error| RoleError::Unavailable(format!("no randomness: {error}")))?;
                new.job.nonce = hex(bits.get(..16).unwrap_or_default());
                known.calls.insert(new.job.call.to_string());
                known.same.insert(sameness(&new), new.job.call.to_string());
                if new.job.permit.is_none() {
                    *known.waiting.entry(new.entry.principal.clone()).or_default() += 1;
                }
                let decided = new.job.permit.is_some();
                let queued = decided && !is_replaced(&new.job, policy);
                batch.claimable += usize::from(queued);
                batch.queued += i64::from(queued);
                batch.approved |= decided && !queued;
                let index = batch.record(new.entry);
                jobs.push((new.job, index));
                Ok(Done::Recorded(Recorded { index }))
            }
        });
    }
    insert(jobs, policy, (keys, batch.now_ms()), connection).await?;
    Ok(answers)
}

/// Returns whether a job was decided by another policy than the one whose jobs runners claim: the
/// call began before a reload. The gateway decides it once more.
fn is_replaced(job: &StoredJob, policy: Option<PolicyDigest>) -> bool {
    policy.is_some_and(|policy| policy != job.policy)
}

impl Known {
    /// The key of a new job, and whether it is already used.
    fn keyed(&self, new: &New) -> Option<((String, String), bool)> {
        let key = (new.job.principal.name.clone(), new.key.as_ref()?.key.clone());
        let used = self.keys.contains_key(&key);
        Some((key, used))
    }

    /// The stored job that a new one is equal to; `None` if it is new.
    fn place(&self, new: &New) -> Result<Option<CallId>, RoleError> {
        let read = |call: &String| CallId::parse(call).map_err(|_| super::row::damaged("call id"));
        if let Some((call, tool, arguments)) =
            self.keyed(new).and_then(|(key, _)| self.keys.get(&key))
        {
            let same = *tool == new.job.tool
                && *arguments == ArgumentsDigest::of(new.job.arguments.as_bytes()).to_string();
            let other = || {
                RoleError::Refused(format!(
                    "the idempotency key was used for other arguments, by the call `{call}`; use \
                     a new key"
                ))
            };
            return if same { read(call).map(Some) } else { Err(other()) };
        }
        // A call with a key joins only by that key.
        if new.key.is_none()
            && let Some(call) = self.same.get(&sameness(new))
            && new.seen.as_ref().is_none_or(|seen| seen.as_str() != call)
        {
            return read(call).map(Some);
        }
        if self.calls.contains(new.job.call.as_str()) {
            return Err(RoleError::Refused(format!("the call id `{}` is taken", new.job.call)));
        }
        Ok(None)
    }
}

/// The identity of a call, to find equal ones.
fn sameness(new: &New) -> SameCall {
    let job = &new.job;
    SameCall {
        principal: job.principal.name.clone(),
        plan: job.plan_digest.to_string(),
        policy: job.policy.to_string(),
    }
}

async fn known(news: &[New], now_ms: i64, connection: &mut Connection) -> sqlx::Result<Known> {
    let mut known = Known::default();
    let keys: Vec<_> = news
        .iter()
        .filter_map(|new| Some((&new.job.principal.name, &new.key.as_ref()?.key)))
        .collect();
    if !keys.is_empty() {
        let mut query = Builder::new(
            "SELECT principal, key, call, tool, arguments FROM idempotency WHERE (principal, key) \
             IN (",
        );
        query.push_values(keys, |mut row, (principal, key)| {
            row.push_bind(principal.clone()).push_bind(key.clone());
        });
        let rows: Vec<(String, String, String, String, String)> =
            query.push(")").build_query_as().fetch_all(&mut *connection).await?;
        known.keys = rows
            .into_iter()
            .map(|(principal, key, call, tool, arguments)| {
                ((principal, key), (call, tool, arguments))
            })
            .collect();
    }
    for of in news.iter().filter(|new| new.key.is_none()).map(sameness).collect::<BTreeSet<_>>() {
        if let Some(row) = same(&of, now_ms, &mut *connection).await? {
            known.same.insert(of, row.call);
        }
    }
    let asking = news.iter().filter(|new| new.job.permit.is_none());
    for principal in asking.map(|new| &new.entry.principal).collect::<BTreeSet<_>>() {
        let count = waiting(principal, &mut *connection).await?;
        known.waiting.insert(principal.clone(), count);
    }
    // Every job has an entry, and so has a call that ended without one: its id names no job later.
    let mut query = Builder::new("SELECT DISTINCT call FROM leaves WHERE call IN (");
    query.push_list(news.iter().map(|new| new.job.call.to_string())).push(")");
    known.calls =
        query.build_query_scalar::<String>().fetch_all(connection).await?.into_iter().collect();
    Ok(known)
}

/// The document of a job, without statements and permit, which have tables of their own.
fn document(job: &StoredJob) -> Result<String, RoleError> {
    let bare = StoredJob { statements: Vec::new(), permit: None, ..job.clone() };
    serde_json::to_string(&bare)
        .map_err(|error| RoleError::Refused(format!("the job cannot be stored: {error}")))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, RoleError> {
    serde_json::to_string(value)
        .map_err(|error| RoleError::Refused(format!("the job cannot be stored: {error}")))
}

async fn insert(
    jobs: Vec<(StoredJob, u64)>,
    policy: Option<PolicyDigest>,
    (keys, now_ms): (Vec<NewKey>, i64),
    connection: &mut Connection,
) -> Result<(), ChangeError> {
    if !keys.is_empty() {
        Builder::new("INSERT INTO idempotency (principal, key, call, tool, arguments, made) ")
            .push_values(keys, |mut row, ((principal, key), (call, tool, arguments))| {
                row.push_bind(principal)
                    .push_bind(key)
                    .push_bind(call)
                    .push_bind(tool)
                    .push_bind(arguments)
                    .push_bind(now_ms);
            })
            .build()
            .execute(&mut *connection)
            .await?;
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(jobs.len());
    let mut objects = BTreeMap::new();
    for (job, index) in jobs {
        let replaced = is_replaced(&job, policy);
        if job.permit.is_some() && !replaced {
            objects.insert(job.call.to_string(), busy::objects_of(&job.plan));
        }
        let texts = (
            document(&job)?,
            job.approval.as_ref().map(json).transpose()?,
            json(&job.reasons)?,
            json(&job.environment)?,
            job.permit.as_ref().map(json).transpose()?,
        );
        rows.push((job, index, replaced, texts));
    }
    let mut query = Builder::new(
        "INSERT INTO jobs (call, principal, tool, plan, policy, arguments, phase, approval, \
         reasons, environment, permit, created, expires, ledger, document, approved, \
         escalates) ",
    );
    query.push_values(
        rows,
        |mut row, (job, index, replaced, (document, approval, reasons, environment, permit))| {
            let phase =
                if permit.is_some() && !replaced { Phase::Queued } else { Phase::AwaitingApproval };
            let approved = permit.is_some() && replaced;
            let escalates = job.approval.as_ref().and_then(|rule| rule.escalates(job.created));
            row.push_bind(job.call.to_string())
                .push_bind(job.principal.name)
                .push_bind(job.tool)
                .push_bind(job.plan_digest.to_string())
                .push_bind(job.policy.to_string())
                .push_bind(ArgumentsDigest::of(job.arguments.as_bytes()).to_string())
                .push_bind(phase.word())
                .push_bind(approval)
                .push_bind(reasons)
                .push_bind(environment)
                .push_bind(permit)
                .push_bind(job.created.as_millisecond())
                .push_bind(job.expires.as_millisecond())
                .push_bind(to_i64(index))
                .push_bind(document)
                .push_bind(approved)
                .push_bind(escalates.map(Timestamp::as_millisecond));
        },
    );
    let stored: Vec<(i64, String)> =
        query.push(" RETURNING seq, call").build_query_as().fetch_all(&mut *connection).await?;
    let first = stored.iter().map(|(seq, _)| *seq).min().unwrap_or(i64::MAX);
    let objects: Vec<(i64, String)> = stored
        .into_iter()
        .filter_map(|(seq, call)| Some((seq, objects.remove(&call)?)))
        .flat_map(|(seq, objects)| objects.into_iter().map(move |object| (seq, object)))
        .collect();
    if !objects.is_empty() {
        busy::insert(&objects, false, connection).await?;
        sql::query(busy::BLOCK_NEW).bind(first).execute(connection).await?;
    }
    Ok(())
}
