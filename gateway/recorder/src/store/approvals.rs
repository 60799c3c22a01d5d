//! Changes to a job by agents, approvers, operators and the gateway: cancel, sign, permit,
//! withdraw, resolve, erase.

use super::again;
use super::batch::{Batch, ChangeError};
use super::change::{Done, Signature};
use super::expire::{end, end_from};
use super::retain::forget;
use super::row::{JobRow, absent, parse, stored};
use crate::ledger::approvals::{DELEGATION, RULE, SIGNED};
use crate::store::sql::{self, Connection};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::{Cancellation, Found, Resolution, StoredJob};
use cofferdam_core::model::limit::REJECTION_SECONDS;
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::person::{people, same_person};
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::record::{CONSOLE, Entry, Event, Recorded};
use cofferdam_core::model::run::{Event as RunEvent, Outcome, Phase};
use cofferdam_core::model::statement::{Statement, Verdict};
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use serde_json::json;

/// Cancels a job: at once if it has no lease, else its runner stops before the next effect.
pub(crate) async fn cancel(
    principal: &str,
    call: &CallId,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = JobRow::owned(&mut *connection, call, principal).await?;
    match old.phase()? {
        Phase::AwaitingApproval | Phase::Queued => {
            end(&old, Outcome::Cancelled, "withdrawn by its agent", batch, connection).await?;
        }
        Phase::Leased | Phase::Prepared | Phase::Acting if !old.cancelled => {
            JobRow { cancelled: true, ..old.clone() }.put(&old, batch, connection).await?;
        }
        Phase::Leased | Phase::Prepared | Phase::Acting | Phase::TearingDown | Phase::Closed => {}
    }
    Ok(Done::Noted)
}

/// Cancels a job for an operator: at once if it has no lease, else its runner stops before the next
/// effect. Refused once the job has its outcome, or was cancelled before.
pub(crate) async fn cancel_by(
    (cancellation, request): (&Cancellation, &str),
    call: &CallId,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = JobRow::load(&mut *connection, call).await?.ok_or_else(|| absent(call))?;
    let ended = |why: &str| Err(RoleError::Refused(format!("the call `{call}` {why}")).into());
    let at_once = match old.phase()? {
        Phase::AwaitingApproval | Phase::Queued => true,
        Phase::Leased | Phase::Prepared | Phase::Acting if old.cancelled => {
            return ended("was cancelled already, and its runner is stopping");
        }
        Phase::Leased | Phase::Prepared | Phase::Acting => false,
        Phase::TearingDown | Phase::Closed => return ended("has its outcome already"),
    };
    let store = |error: serde_json::Error| {
        RoleError::Refused(format!("the cancellation cannot be stored: {error}"))
    };
    let text = serde_json::to_string(cancellation).map_err(store)?;
    let event =
        Event::Administered { what: format!("{CONSOLE}cancel"), by: cancellation.by.clone() };
    let entry = old
        .entry(event)?
        .with("because", json!(cancellation.because).to_string())
        .with("request", request.to_owned());
    let mut row = JobRow { cancellation: Some(text), ..old.clone() };
    row.record(batch, entry);
    if at_once {
        // The row is written once, with its end.
        end_from(&old, row, Outcome::Cancelled, &cancellation.words(), batch, connection).await?;
    } else {
        row.cancelled = true;
        row.put(&old, batch, connection).await?;
    }
    Ok(Done::Cancelled { at_once })
}

/// Loads a job that waits for approvals.
async fn question(call: &CallId, connection: &mut Connection) -> Result<JobRow, ChangeError> {
    let row = JobRow::load(&mut *connection, call).await?.ok_or_else(|| absent(call))?;
    match row.phase()? {
        Phase::AwaitingApproval => Ok(row),
        phase => Err(RoleError::Refused(format!(
            "the call {call} does not wait for a signature: it is {phase}"
        ))
        .into()),
    }
}

/// Queues a job after the second decision allowed it.
pub(crate) async fn permit(
    call: &CallId,
    permit: &SignedPermit,
    entry: Entry,
    expires: Timestamp,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = question(call, connection).await?;
    if !old.approved {
        return Err(
            RoleError::Refused(format!("the approvals of `{call}` are not complete")).into()
        );
    }
    let job = stored(connection, &old).await?.ok_or_else(|| super::row::damaged("job"))?;
    let store = |error: serde_json::Error| {
        RoleError::Refused(format!("the permit cannot be stored: {error}"))
    };
    // Signatures name the policy of their question: another policy that allows the plan needs none.
    let replaced = entry.policy.filter(|policy| old.is_reopened() && *policy != job.policy);
    let mut job = StoredJob { statements: Vec::new(), permit: None, expires, ..job };
    if let Some(policy) = replaced {
        (job.policy, job.approval) = (policy, None);
        if let Some(reasons) = entry.payloads.get("reasons") {
            job.reasons = parse(reasons, "reasons")?;
        }
    }
    let document = serde_json::to_string(&job).map_err(store)?;
    let mut row = old.clone();
    row.advance(RunEvent::Approve)?;
    row.permit = Some(serde_json::to_string(permit).map_err(store)?);
    row.expires = expires.as_millisecond();
    let index = row.record(batch, entry);
    row.put(&old, batch, connection).await?;
    sql::query("UPDATE jobs SET document = ? WHERE call = ?")
        .bind(document)
        .bind(old.call.clone())
        .execute(&mut *connection)
        .await?;
    if let Some(policy) = replaced {
        sql::query("UPDATE jobs SET policy = ?, reasons = ?, approval = NULL WHERE call = ?")
            .bind(policy.to_string())
            .bind(serde_json::to_string(&job.reasons).map_err(store)?)
            .bind(old.call.clone())
            .execute(&mut *connection)
            .await?;
        sql::query("DELETE FROM statements WHERE call = ?")
            .bind(old.call)
            .execute(connection)
            .await?;
    }
    batch.claimable += 1;
    Ok(Done::Recorded(Recorded { index }))
}

/// Ends a job after the second decision refused it. The same request again gets the first answer.
pub(crate) async fn withdraw(
    call: &CallId,
    detail: &str,
    entry: Entry,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    if let Some(row) = JobRow::load(&mut *connection, call).await?
        && let Some(index) = again::withdrawn(&row, detail)?
    {
        return Ok(Done::Recorded(Recorded { index }));
    }
    let old = question(call, connection).await?;
    batch.record(entry);
    let index = end(&old, Outcome::Refused, detail, batch, connection).await?;
    Ok(Done::Recorded(Recorded { index }))
}

/// Adds a checked signature. A denial ends the job and is remembered; a complete quorum makes the
/// job ready for the second decision.
pub(crate) async fn sign(
    signature: &Signature,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = question(&signature.call, connection).await?;
    if old.is_reopened() {
        return Err(RoleError::Refused(format!(
            "the call {} waits for no signature: it is decided once more by a new policy",
            signature.call
        ))
        .into());
    }
    if old.expires <= batch.now_ms() {
        return Err(RoleError::Refused(
            "the question has run out; the agent has to ask again".to_owned(),
        )
        .into());
    }
    let rule: ApprovalRule = parse(old.approval.as_deref().unwrap_or_default(), "approval rule")?;
    drop_void(&old.call, &signature.void, connection).await?;
    for (known, voice) in signers(&old.call, connection).await? {
        if same_person(&known, &signature.approver) {
            return Err(RoleError::Refused(signed_already(&signature.approver, &known)).into());
        }
        // One voice, whether by its own person or in their place. A denial is always taken.
        if signature.verdict == Verdict::Approve && same_person(&voice, &signature.voice) {
            return Err(RoleError::Refused(format!(
                "`{known}` has signed this already as `{voice}`, whose voice counts once"
            ))
            .into());
        }
    }
    let fresh = sql::query_scalar::<i64>(
        "INSERT INTO statements (call, approver, verdict, statement, signature) VALUES (?, ?, ?, \
         ?, ?) ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(old.call.clone())
    .bind(signature.approver.clone())
    .bind(word(signature.verdict))
    .bind(signature.signed.statement.clone())
    .bind(signature.signed.signature.clone())
    .fetch_optional(&mut *connection)
    .await?;
    if fresh.is_none() {
        return Err(
            RoleError::Refused(signed_already(&signature.approver, &signature.approver)).into()
        );
    }
    let event = Event::Signed {
        statement: signature.digest,
        approver: signature.approver.clone(),
        verdict: word(signature.verdict).to_owned(),
        stands_for: signature.delegation.as_ref().map(|_| signature.voice.clone()),
    };
    let handed_in = json!({ "by": signature.by, "statement": signature.signed.statement,
    "signature": signature.signed.signature });
    let mut row = old.clone();
    // With the rule beside it, a reader without the store knows how many signatures were needed.
    let rule_text = old.approval.clone().unwrap_or_default();
    let mut entry = row.entry(event)?.with(SIGNED, handed_in.to_string()).with(RULE, rule_text);
    if let Some(delegation) = &signature.delegation {
        entry = entry.with(DELEGATION, json!(delegation).to_string());
    }
    entry.trust = Some(signature.trust);
    row.record(batch, entry);
    if signature.verdict == Verdict::Reject {
        remember(&row, signature, batch, connection).await?;
        end(&old, Outcome::Rejected, &signature.reason, batch, connection).await?;
        return Ok(Done::Signed(0));
    }
    let signed = approvals(&old.call, connection).await?;
    let missing = u32::try_from(i64::from(rule.quorum) - signed).unwrap_or(0);
    row.approved = missing == 0;
    batch.approved |= row.approved;
    row.put(&old, batch, connection).await?;
    Ok(Done::Signed(missing))
}

/// Removes signatures that no longer count. The ledger keeps them.
async fn drop_void(call: &str, void: &[String], connection: &mut Connection) -> sqlx::Result<()> {
    for signature in void {
        sql::query("DELETE FROM statements WHERE call = ? AND signature = ?")
            .bind(call.to_owned())
            .bind(signature.clone())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The number of different people who approved.
pub(crate) async fn approvals(call: &str, connection: &mut Connection) -> sqlx::Result<i64> {
    let names: Vec<String> =
        sql::query_scalar("SELECT approver FROM statements WHERE call = ? AND verdict = 'approve'")
            .bind(call.to_owned())
            .fetch_all(connection)
            .await?;
    Ok(i64::try_from(people(names.iter().map(String::as_str)).len()).unwrap_or(i64::MAX))
}

/// The signers so far, each with the person in whose place they signed.
async fn signers(call: &str, connection: &mut Connection) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sql::query_as::<(String, String)>(
        "SELECT approver, statement FROM statements WHERE call = ?",
    )
    .bind(call.to_owned())
    .fetch_all(connection)
    .await?;
    let with_voice = |(approver, statement): (String, String)| {
        let read = serde_json::from_str::<Statement>(&statement).ok();
        let voice = read.and_then(|read| read.stands_for).unwrap_or_else(|| approver.clone());
        (approver, voice)
    };
    Ok(rows.into_iter().map(with_voice).collect())
}

fn signed_already(name: &str, known: &str) -> String {
    if name == known {
        return format!("`{name}` has signed this already");
    }
    format!("`{name}` has signed this already, as `{known}`: both names count as one person")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approve",
        Verdict::Reject => "reject",
    }
}

async fn remember(
    row: &JobRow,
    signature: &Signature,
    batch: &mut Batch,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    batch.rejected.push((row.principal.clone(), row.plan.clone()));
    sql::query(
        "INSERT INTO rejections (principal, plan, until, reason, approver) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (principal, plan) DO UPDATE SET until = excluded.until, reason = \
         excluded.reason, approver = excluded.approver",
    )
    .bind(row.principal.clone())
    .bind(row.plan.clone())
    .bind(batch.now_ms().saturating_add(REJECTION_SECONDS.saturating_mul(1_000)))
    .bind(signature.reason.clone())
    .bind(signature.approver.clone())
    .execute(connection)
    .await
    .map(drop)
}

/// Records a person's finding about an indeterminate job. Written once, beside the recorded
/// outcome.
pub(crate) async fn resolve(
    call: &CallId,
    found: Found,
    (because, by): (&str, &str),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = JobRow::load(&mut *connection, call)
        .await?
        .ok_or_else(|| RoleError::NotFound(format!("no job `{call}`")))?;
    match (old.outcome()?, &old.resolution) {
        (Some(Outcome::Indeterminate), None) => {}
        (Some(Outcome::Indeterminate), Some(_)) => {
            return Err(RoleError::Refused(format!(
                "the job `{call}` was resolved already; `cofferdam show {call}` says by whom"
            ))
            .into());
        }
        (Some(outcome), _) => {
            return Err(RoleError::Refused(format!(
                "the job `{call}` {outcome}: only what is indeterminate can be resolved"
            ))
            .into());
        }
        (None, _) => give_up(call, found, &old)?,
    }
    let store = |error: serde_json::Error| {
        RoleError::Refused(format!("the resolution cannot be stored: {error}"))
    };
    let mut row = old.clone();
    let resolution =
        Resolution { found, because: because.to_owned(), by: by.to_owned(), at: batch.now };
    row.resolution = Some(serde_json::to_string(&resolution).map_err(store)?);
    // The next runner ends a job that was given up, at once.
    row.retry_at = 0;
    batch.claimable += 1;
    let entry = row
        .entry(Event::Resolved { found, by: by.to_owned() })?
        .with("because", json!(because).to_string());
    row.record(batch, entry);
    row.put(&old, batch, connection).await?;
    Ok(Done::Noted)
}

/// Checks that a person may give up a job: it is stuck after its commit, in a directory. In a
/// cluster every effect is visible, and the API server shows the result.
fn give_up(call: &CallId, found: Found, row: &JobRow) -> Result<(), RoleError> {
    let phase = row.phase()?;
    let environment: Environment = parse(&row.environment, "environment")?;
    let problem = if row.resolution.is_some() {
        format!("the job `{call}` was given up already; the next runner ends it")
    } else if row.stuck.is_none() || phase != Phase::Acting || environment.is_cluster() {
        format!("the job `{call}` has no outcome yet: it is {phase}")
    } else if found != Found::Failed {
        format!(
            "the job `{call}` is not finished: it goes on by itself once its cause is gone; `--as \
             failed` gives it up"
        )
    } else {
        return Ok(());
    };
    Err(RoleError::Refused(problem))
}

/// Erases payloads and their keys, also those of the job. Leaves and proofs remain. An open job is
/// refused, because it still needs its payloads.
pub(crate) async fn erase(
    call: &CallId,
    by: &str,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let old = JobRow::load(&mut *connection, call).await?;
    if let Some(row) = old.as_ref().filter(|row| row.phase != Phase::Closed.word()) {
        return Err(RoleError::Refused(format!(
            "the job `{call}` is {}; its payloads can be erased once it is closed",
            row.phase
        ))
        .into());
    }
    let known: i64 = sql::query_scalar("SELECT count(*) FROM leaves WHERE call = ?")
        .bind(call.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if known == 0 {
        return Err(RoleError::NotFound(format!("no call `{call}`")).into());
    }
    forget(call.as_str(), i64::MAX, connection).await?;
    let entry = Entry::of(
        Event::Administered { what: "erase".to_owned(), by: by.to_owned() },
        Some(call.clone()),
        "",
    );
    batch.record(entry);
    Ok(Done::Noted)
}
