//! Applies changes inside the writer's transaction. Never commits and never replies to a caller.

use crate::backlog::Backlog;
use crate::gateways::Policies;
use crate::settings::RecorderContext;
use crate::store::batch::{Batch, ChangeError};
use crate::store::change::{Answer, Change, Done};
use crate::store::enqueue::{New, enqueue};
use crate::store::outbox::{self, Post};
use crate::store::sql::{self, Connection};
use crate::store::usage::Purse;
use crate::store::{
    again, approvals, callers, calls, expire, invitations, lease, reopen, retain, retire, run,
    stops, usage,
};
use cofferdam_core::model::record::{Entry, Recorded};
use std::sync::Arc;

/// The part of the bound of the queue that is kept free for calls with all their signatures, as a
/// divisor. Such a call may also wait for the whole life of its permit, a new one for half of it: new
/// calls take no place from work that people signed.
const RESERVE: u64 = 10;

/// Applies a batch's changes: new jobs together, the others in order of arrival.
pub(super) async fn apply_all(
    changes: &[Change],
    settings: &RecorderContext,
    (backlog, policies, purse): (&Backlog, &Policies, Purse<'_>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Vec<Answer>, ChangeError> {
    let news: Vec<New> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Enqueue { job, entry, key, seen } => Some(New {
                job: job.as_ref().clone(),
                entry: entry.as_ref().clone(),
                key: key.clone(),
                seen: seen.clone(),
            }),
            _ => None,
        })
        .collect();
    let mut enqueued = if news.is_empty() {
        Vec::new()
    } else {
        let bounds = ((backlog, settings.max_queued), policies, purse);
        enqueue(news, || (settings.random)(), bounds, batch, connection).await?
    }
    .into_iter();
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        if matches!(change, Change::Enqueue { .. }) {
            answers.push(enqueued.next().unwrap_or(Ok(Done::Noted)));
            continue;
        }
        let mark = batch.mark();
        answers.push(match apply(change, (settings, backlog, purse), batch, connection).await {
            Ok(done) => {
                // A job of a replaced policy may be in the queue again.
                if let (Change::Lose { call, .. } | Change::Permit { call, .. }, Some(policies)) =
                    (change, policies)
                {
                    reopen::reopen_one(call, policies, batch, connection).await?;
                }
                Ok(done)
            }
            Err(ChangeError::Error(error)) => {
                batch.rewind(mark);
                Err(error)
            }
            Err(store) => return Err(store),
        });
    }
    Ok(answers)
}

/// Records the entries of changes that are ends of calls, which need no other row. `None` if there
/// is another change; nothing is recorded then.
pub(super) fn record_ends(
    changes: &[Change],
    purse: Purse<'_>,
    batch: &mut Batch,
) -> Option<Vec<Answer>> {
    let ends: Option<Vec<_>> = changes
        .iter()
        .map(|change| match change {
            Change::End(entry) => Some(entry),
            _ => None,
        })
        .collect();
    let recorded = |entry: &Arc<Entry>| {
        purse.charge_end(entry, batch)?;
        Ok(Done::Recorded(Recorded { index: batch.record(Arc::clone(entry)) }))
    };
    Some(ends?.into_iter().map(recorded).collect())
}

/// INVARIANT: a change that returns an error has written nothing; each checks everything before its
/// first write.
async fn apply(
    change: &Change,
    (settings, backlog, purse): (&RecorderContext, &Backlog, Purse<'_>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    match change {
        Change::End(entry) => {
            purse.charge_end(entry, batch)?;
            Ok(Done::Recorded(Recorded { index: batch.record(Arc::clone(entry)) }))
        }
        // Already applied together.
        Change::Enqueue { .. } => Ok(Done::Noted),
        Change::EndAgain(entry) => again::end(entry, purse, batch, connection).await,
        Change::Claim { token, .. } => {
            lease::claim((settings.lease_seconds, token.as_ref()), batch, connection).await
        }
        Change::Move { call, fence, events, number } => {
            run::move_job(call, *fence, (events.clone(), *number), batch, connection).await
        }
        Change::Progress { call, fence, said } => {
            lease::progress(call, *fence, said, batch, connection).await
        }
        Change::Lose { call, fence, obstacle } => {
            lease::lose(call, *fence, obstacle.as_ref(), batch, connection).await
        }
        Change::Cancel { principal, call } => {
            approvals::cancel(principal, call, batch, connection).await
        }
        Change::CancelBy { cancellation, request, call } => {
            approvals::cancel_by((cancellation, request), call, batch, connection).await
        }
        Change::Permit { call, permit, entry, expires } => {
            if let Some(index) = again::permitted(call, permit, connection).await? {
                return Ok(Done::Recorded(Recorded { index }));
            }
            purse.check_stops(entry)?;
            let ahead = backlog.length().saturating_add_signed(batch.queued);
            let life = expires.as_millisecond() - batch.now_ms();
            let most = settings.max_queued.saturating_add(settings.max_queued / RESERVE);
            backlog.admit(ahead, most, life.saturating_mul(2), batch.now_ms())?;
            approvals::permit(call, permit, entry.as_ref().clone(), *expires, batch, connection)
                .await
        }
        Change::Withdraw { call, detail, entry } => {
            approvals::withdraw(call, detail, entry.as_ref().clone(), batch, connection).await
        }
        Change::Sign(signature) => approvals::sign(signature, batch, connection).await,
        Change::Invite(change) => invitations::invite(change, batch, connection).await,
        Change::Resolve { call, found, because, by } => {
            approvals::resolve(call, *found, (because, by), batch, connection).await
        }
        Change::Tokens { given, ended, only } => {
            callers::register_tokens(given, (ended, *only), batch, connection).await
        }
        Change::Served(served) => callers::register_uses(served, connection).await,
        Change::Stop { stop, how } => stops::stop((stop, how), batch, connection).await,
        Change::LiftStop { calls, by, how } => {
            stops::lift((calls, by, how), batch, connection).await
        }
        Change::Probe => {
            sql::query("UPDATE fences SET newest = newest").execute(connection).await?;
            Ok(Done::Noted)
        }
        Change::Retire(trusts, reloaded) => {
            if let Some(entry) = reloaded {
                batch.record(Arc::clone(entry));
            }
            retire::retire(trusts, batch, connection).await
        }
        Change::Reopen(policies) => reopen::reopen(policies, batch, connection).await,
        Change::Expire => {
            usage::remove_old(batch.now, connection).await?;
            expire::expire(batch, connection).await
        }
        Change::Remind => outbox::remind(batch, connection).await,
        Change::Tell { event, detail, receiver } => {
            let (detail, receiver) = (detail.clone(), receiver.clone());
            batch.tell(Post { event: *event, call: None, detail, receiver });
            Ok(Done::Noted)
        }
        Change::Settle { receiver, delivery, end } => {
            outbox::settle(receiver, *delivery, end, batch, connection).await
        }
        Change::KeepReceivers => {
            outbox::keep_only(&settings.receivers, connection).await?;
            Ok(Done::Noted)
        }
        Change::Retain { what, keep_seconds } => {
            retain::retain(*what, *keep_seconds, batch, connection).await
        }
        Change::Index => calls::index(connection).await,
        Change::Erase { call, by } => approvals::erase(call, by, batch, connection).await,
    }
}
