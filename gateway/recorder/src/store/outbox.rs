//! The outbox: notifications that wait for the courier, in the store. A notification is stored in the
//! transaction of its event, and removed after its delivery, so a restart loses none. Never sends,
//! and never reads a credential.

mod due;
mod next;

use crate::store::sql::{self, Connection};
pub(super) use due::{DUE_TO_TELL, remind};
#[cfg(test)]
pub(super) use next::NEXT;
pub(crate) use next::{Due, Turn};

use super::batch::{Batch, ChangeError, to_i64};
use super::change::{DeliveryEnd, Done};
use cofferdam_core::model::escape::{line, short};
use cofferdam_core::model::notification::{NotifyEvent, Receiver};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::Outcome;
use cofferdam_core::protocol::courier_recorder::ERROR;

/// The most notifications that wait for one receiver. Further ones are dropped and counted: people
/// do not read so many.
pub(crate) const WAITING: i64 = 10_000;

/// Milliseconds until a failed delivery is tried again; doubled after each further failure.
const RETRY_MS: i64 = 5_000;

/// The longest pause before a retry, in milliseconds: a receiver that works again is told soon.
const LONGEST_RETRY_MS: i64 = 600_000;

/// Milliseconds after which a notification is given up: it is no news any more.
const GIVEN_UP_MS: i64 = 24 * 3_600_000;

/// A notification that a change makes, beside those of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Post {
    /// The event.
    pub event: NotifyEvent,
    /// The id of the call.
    pub call: Option<String>,
    /// The cause and its remedy.
    pub detail: String,
    /// The only receiver; `None` for all that are told of this event.
    pub receiver: Option<String>,
}

impl Post {
    /// The notification of an entry, if people are told about its event.
    pub fn of(entry: &Entry) -> Option<Self> {
        let event = match entry.event {
            Event::Asked => NotifyEvent::ApprovalNeeded,
            Event::Finished { outcome: Outcome::Expired } => NotifyEvent::Expired,
            Event::Finished { outcome: Outcome::Indeterminate } => NotifyEvent::Indeterminate,
            _ => return None,
        };
        let call = Some(entry.call.as_ref()?.to_string());
        Some(Self { event, call, detail: String::new(), receiver: None })
    }
}

/// Stores the notifications of a batch, one row for each receiver.
pub(crate) async fn post(
    receivers: &[Receiver],
    batch: &mut Batch,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    if receivers.is_empty() {
        return Ok(());
    }
    let now = batch.now_ms();
    for post in batch.posts() {
        for receiver in receivers.iter().filter(|receiver| is_for(receiver, &post)) {
            let name = receiver.name.as_str();
            if count_waiting(name, connection).await? >= WAITING {
                count(name, "dropped", connection).await?;
                continue;
            }
            sql::query(
                "INSERT INTO outbox (receiver, event, call, detail, made) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(name.to_owned())
            .bind(post.event.word())
            .bind(post.call.clone())
            .bind(post.detail.clone())
            .bind(now)
            .execute(&mut *connection)
            .await?;
            batch.posted = true;
        }
    }
    Ok(())
}

fn is_for(receiver: &Receiver, post: &Post) -> bool {
    match &post.receiver {
        Some(only) => receiver.name == *only,
        None => receiver.events.contains(&post.event),
    }
}

async fn count_waiting(receiver: &str, connection: &mut Connection) -> sqlx::Result<i64> {
    sql::query_scalar("SELECT count(*) FROM outbox WHERE receiver = ?")
        .bind(receiver.to_owned())
        .fetch_one(connection)
        .await
}

/// Removes the rows of receivers that are not configured any more.
pub(crate) async fn keep_only(
    receivers: &[Receiver],
    connection: &mut Connection,
) -> sqlx::Result<()> {
    let names: Vec<String> = sql::query_scalar("SELECT DISTINCT receiver FROM outbox")
        .fetch_all(&mut *connection)
        .await?;
    for name in names {
        if receivers.iter().all(|receiver| receiver.name != name) {
            sql::query("DELETE FROM outbox WHERE receiver = ?")
                .bind(name)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

/// Stores the end of a try: a delivered or outdated notification, and a test, are removed;
/// another failed one waits for its next try or is given up. An unknown number was settled before.
pub(crate) async fn settle(
    receiver: &str,
    number: u64,
    end: &DeliveryEnd,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let number = to_i64(number);
    let found: Option<(String, i64, i64)> =
        sql::query_as("SELECT event, made, tries FROM outbox WHERE id = ? AND receiver = ?")
            .bind(number)
            .bind(receiver.to_owned())
            .fetch_optional(&mut *connection)
            .await?;
    let Some((event, made, tries)) = found else {
        return Ok(Done::Settled { test: false, dropped: false });
    };
    let test = event == NotifyEvent::Test.word();
    let (error, retry_after) = match end {
        DeliveryEnd::Failed { error, retry_after_ms } => (error, *retry_after_ms),
        DeliveryEnd::Delivered | DeliveryEnd::Over => {
            let word = if *end == DeliveryEnd::Over { "over" } else { "delivered" };
            count(receiver, word, connection).await?;
            remove(number, connection).await?;
            return Ok(Done::Settled { test, dropped: false });
        }
    };
    count(receiver, "failed", connection).await?;
    let dropped = !test && batch.now_ms().saturating_sub(made) >= GIVEN_UP_MS;
    if test || dropped {
        if dropped {
            count(receiver, "dropped", connection).await?;
        }
        remove(number, connection).await?;
        return Ok(Done::Settled { test, dropped });
    }
    let pause = RETRY_MS.saturating_mul(1 << tries.clamp(0, 16)).min(LONGEST_RETRY_MS);
    let pause = pause.max(retry_after);
    sql::query("UPDATE outbox SET tries = tries + 1, retry_at = ?, error = ? WHERE id = ?")
        .bind(batch.now_ms().saturating_add(pause))
        .bind(short(line(error), ERROR))
        .bind(number)
        .execute(&mut *connection)
        .await?;
    Ok(Done::Settled { test, dropped: false })
}

async fn remove(number: i64, connection: &mut Connection) -> sqlx::Result<()> {
    let query = sql::query("DELETE FROM outbox WHERE id = ?").bind(number);
    query.execute(connection).await.map(drop)
}

async fn count(
    receiver: &str,
    word: &'static str,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    sql::query(
        "INSERT INTO outbox_counts (receiver, word, count) VALUES (?, ?, 1) ON CONFLICT (receiver, \
         word) DO UPDATE SET count = outbox_counts.count + 1",
    )
    .bind(receiver.to_owned())
    .bind(word)
    .execute(connection)
    .await
    .map(drop)
}
