//! Adds the new jobs of a batch together. Joining and idempotency are decided inside the
//! transaction, so two proposers cannot both be first.

use super::again::{StoredBefore, stored_before};
use super::batch::{Batch, ChangeError, to_i64};
use super::busy;
use super::change::{Answer, Done};
use super::same_call::{SameCall, same};
use super::usage::{Purse, waiting};
use crate::backlog::Backlog;
use crate::gateways::Policies;
use crate::store::sql::{self, Builder, Connection};
use cofferdam_core::model::id::{ArgumentsDigest, CallId, hex};
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
    /// The jobs of calls that were stored before: the same request comes again.
    before: BTreeMap<String, StoredBefore>,
    /// The calls of principals that wait for a person.
    waiting: BTreeMap<String, u64>,
}

/// The place of a proposed job.
enum Place {
    /// It is new.
    New,
    /// It is equal to the job of this call.
    Joined(CallId),
    /// It was stored by the same request before, with this first entry.
    Before(u64),
}

/// Adds the jobs; returns their results in order. A job for the queue that would wait too long is
/// refused; one that joins another job is not.
pub(crate) async fn enqueue(
    news: Vec<New>,
    random: impl Fn() -> Result<[u8; 32], String>,
    ((backlog, most), policies, purse): ((&Backlog, u64), &Policies, Purse<'_>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Vec<Answer>, ChangeError> {
    let mut known = known(&news, batch.now_ms(), connection).await?;
    let (mut jobs, mut keys, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for mut new in news {
        let answer = known.place(&new).and_then(|found| {
            let job = &new.job;
            let is_new = matches!(found, Place::New);
            if is_new && job.permit.is_some() {
                let ahead = backlog.length().saturating_add_signed(batch.queued);
                let life = job.expires.as_millisecond() - job.created.as_millisecond();
                backlog.admit(ahead, most, life, batch.now_ms())?;
            }
            if is_new {
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
            answer.as_ref().map(|found| match found {
                Place::Joined(call) => call,
                Place::New | Place::Before(_) => &new.job.call,
            }),
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
            Ok(Place::Joined(call)) => Ok(Done::Joined(call)),
            Ok(Place::Before(index)) => Ok(Done::Recorded(Recorded { index })),
            Ok(Place::New) => {
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
                let queued = decided && !is_replaced(&new.job, policies);
                batch.claimable += usize::from(queued);
                batch.queued += i64::from(queued);
                batch.approved |= decided && !queued;
                let request = request(&new.job);
                let index = batch.record(new.entry);
                let before = StoredBefore { request, index };
                known.before.insert(new.job.call.to_string(), before);
                jobs.push((new.job, index));
                Ok(Done::Recorded(Recorded { index }))
            }
        });
    }
    insert(jobs, policies, (keys, batch.now_ms()), connection).await?;
    Ok(answers)
}

/// Returns whether a job was decided by another policy than those whose jobs runners claim: the
/// call began before a reload. The gateway decides it once more.
fn is_replaced(job: &StoredJob, policies: &Policies) -> bool {
    policies.as_ref().is_some_and(|policies| !policies.contains(&job.policy))
}

impl Known {
    /// The key of a new job, and whether it is already used.
    fn keyed(&self, new: &New) -> Option<((String, String), bool)> {
        let key = (new.job.principal.name.clone(), new.key.as_ref()?.key.clone());
        let used = self.keys.contains_key(&key);
        Some((key, used))
    }

    /// The place of a proposed job among the stored ones.
    fn place(&self, new: &New) -> Result<Place, RoleError> {
        let taken = || RoleError::Refused(format!("the call id `{}` is taken", new.job.call));
        if let Some(before) = self.before.get(new.job.call.as_str()) {
            let same = before.request == request(&new.job);
            return if same { Ok(Place::Before(before.index)) } else { Err(taken()) };
        }
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
            return if same { read(call).map(Place::Joined) } else { Err(other()) };
        }
        // A call with a key joins only by that key.
        if new.key.is_none()
            && let Some(call) = self.same.get(&sameness(new))
            && new.seen.as_ref().is_none_or(|seen| seen.as_str() != call)
        {
            return read(call).map(Place::Joined);
        }
        if self.calls.contains(new.job.call.as_str()) {
            return Err(taken());
        }
        Ok(Place::New)
    }
}

/// The parts of a job that tell one request from another.
fn request(job: &StoredJob) -> [String; 4] {
    [
        job.principal.name.clone(),
        job.tool.clone(),
        job.plan_digest.to_string(),
        ArgumentsDigest::of(job.arguments.as_bytes()).to_string(),
    ]
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

async fn known(
    news: &[New],
    now_ms: i64,
    connection: &mut Connection,
) -> Result<Known, ChangeError> {
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
    known.calls = query
        .build_query_scalar::<String>()
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .collect();
    for call in &known.calls {
        if let Some(before) = stored_before(call, &mut *connection).await? {
            known.before.insert(call.clone(), before);
        }
    }
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
    policies: &Policies,
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
        let replaced = is_replaced(&job, policies);
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
