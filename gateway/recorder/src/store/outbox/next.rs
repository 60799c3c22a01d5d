//! Reads of the outbox: the next notification of a receiver, and the deliveries so far. The order of
//! the notifications of one call is kept: a later one waits for an earlier one. An outdated
//! notification is not sent.

use super::DUE_TO_TELL;
use crate::store::batch::{ChangeError, to_u64};
use crate::store::read::{Reader, summary};
use crate::store::row::{JobRow, damaged, parse, stored};
use crate::store::sql::{self, Connection};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::notification::{
    Notification, NotifiedCall, NotifyEvent, Receiver, ReceiverState,
};
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::courier_recorder::Delivery;
use cofferdam_core::text::further;
use jiff::Timestamp;

/// The next row of the receiver `?1` at `?2`; with `?3`, the next test alone.
pub(in crate::store) const NEXT: &str = "\
    SELECT id, event, call, detail, made FROM outbox AS next INDEXED BY outbox_receiver
    WHERE receiver = ?1 AND retry_at <= ?2 AND (?3 = 0 OR event = 'test') AND NOT EXISTS (SELECT 1 FROM outbox AS earlier
        INDEXED BY outbox_call WHERE earlier.receiver = ?1 AND earlier.call IS NOT NULL
        AND earlier.call = next.call AND earlier.id < next.id)
    ORDER BY id LIMIT 1";

/// The notifications that a receiver gets now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All of them.
    Everything,
    /// Tests, which a person waits for: the receiver asked for a pause.
    Tests,
}

/// A notification whose turn it is.
#[derive(Debug)]
pub(crate) enum Due {
    /// It is to be sent.
    News(Box<Delivery>),
    /// Number of one that is not to be sent: the question was answered or ended, or the cause was
    /// removed.
    Over(u64),
}

impl Reader {
    /// Returns whether people are to be told of a job now.
    pub async fn due_to_tell(&self, now_ms: i64) -> Result<bool, ChangeError> {
        Ok(sql::query_scalar(DUE_TO_TELL).bind(now_ms).fetch_one(self.readers()?).await?)
    }

    /// The next notification of a receiver, in the words of its job now.
    pub async fn next_delivery(
        &self,
        receiver: &str,
        now_ms: i64,
        turn: Turn,
    ) -> Result<Option<Due>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let found: Option<(i64, String, Option<String>, String, i64)> = sql::query_as(NEXT)
            .bind(receiver.to_owned())
            .bind(now_ms)
            .bind(turn == Turn::Tests)
            .fetch_optional(&mut *connection)
            .await?;
        let Some((number, word, call, detail, made)) = found else { return Ok(None) };
        let event = NotifyEvent::from_word(&word).ok_or_else(|| damaged("outbox"))?;
        let time = Timestamp::from_millisecond(made).map_err(|_| damaged("time"))?;
        let id = match &call {
            Some(call) => format!("{call}.{word}"),
            None => format!("{word}.{made}"),
        };
        let (call, told) = match call {
            Some(call) => match of_job(&call, event, now_ms, &mut connection).await? {
                Words::News(call, detail) => (Some(call), Some(detail)),
                Words::Removed => (None, None),
                Words::Over => return Ok(Some(Due::Over(to_u64(number)))),
            },
            None => (None, None),
        };
        let detail = told.filter(|told| !told.is_empty()).unwrap_or(detail);
        let notification = Notification { id, event, time, call, detail };
        Ok(Some(Due::News(Box::new(Delivery { number: to_u64(number), notification }))))
    }

    /// The deliveries to each of these receivers.
    pub async fn deliveries(
        &self,
        receivers: &[Receiver],
    ) -> Result<Vec<ReceiverState>, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let counts: Vec<(String, String, i64)> =
            sql::query_as("SELECT receiver, word, count FROM outbox_counts")
                .fetch_all(&mut *connection)
                .await?;
        let mut states = Vec::with_capacity(receivers.len());
        for Receiver { name, .. } in receivers {
            let count = |wanted: &str| {
                let own = |(receiver, word, _): &&(String, String, i64)| {
                    receiver == name && word == wanted
                };
                counts.iter().find(own).map_or(0, |(_, _, count)| to_u64(*count))
            };
            let waiting: i64 = sql::query_scalar("SELECT count(*) FROM outbox WHERE receiver = ?")
                .bind(name.clone())
                .fetch_one(&mut *connection)
                .await?;
            let error: Option<String> = sql::query_scalar(
                "SELECT error FROM outbox WHERE receiver = ? AND error IS NOT NULL ORDER BY \
                 retry_at DESC LIMIT 1",
            )
            .bind(name.clone())
            .fetch_optional(&mut *connection)
            .await?;
            states.push(ReceiverState {
                name: name.clone(),
                waiting: to_u64(waiting),
                delivered: count("delivered"),
                failed: count("failed"),
                dropped: count("dropped"),
                over: count("over"),
                error,
            });
        }
        Ok(states)
    }
}

/// The content of a notification about the event of a job.
enum Words {
    /// The call, and a detail.
    News(NotifiedCall, String),
    /// Nothing: retention removed the job.
    Removed,
    /// Nothing: it is outdated.
    Over,
}

/// True if an event of a job is outdated at this time.
fn is_over(event: NotifyEvent, row: &JobRow, now_ms: i64) -> Result<bool, ChangeError> {
    Ok(match event {
        // An answered question needs no signature.
        NotifyEvent::ApprovalNeeded | NotifyEvent::Escalated | NotifyEvent::ApprovalExpiring => {
            row.approved || row.phase()? != Phase::AwaitingApproval || row.expires <= now_ms
        }
        NotifyEvent::Indeterminate => row.resolution.is_some(),
        NotifyEvent::JobStuck => row.stuck.is_none() || row.phase()? == Phase::Closed,
        NotifyEvent::Expired
        | NotifyEvent::LedgerUnwritable
        | NotifyEvent::FenceMissing
        | NotifyEvent::Test => false,
    })
}

async fn of_job(
    call: &str,
    event: NotifyEvent,
    now_ms: i64,
    connection: &mut Connection,
) -> Result<Words, ChangeError> {
    let id = CallId::parse(call).map_err(|_| damaged("call id"))?;
    let Some(row) = JobRow::load(&mut *connection, &id).await? else { return Ok(Words::Removed) };
    if is_over(event, &row, now_ms)? {
        return Ok(Words::Over);
    }
    let job = stored(connection, &row).await?;
    let rule: Option<ApprovalRule> =
        row.approval.as_deref().map(|text| parse(text, "approval rule")).transpose()?;
    let detail = match event {
        NotifyEvent::Expired | NotifyEvent::Indeterminate => row.detail.clone(),
        NotifyEvent::JobStuck => {
            row.stuck().map(|stuck| stuck.obstacle.to_string()).unwrap_or_default()
        }
        // The reasons of policy, for which a person is asked.
        // The people who may sign from now on, in the words of policy.
        NotifyEvent::Escalated => rule.as_ref().and_then(further).unwrap_or_default(),
        NotifyEvent::ApprovalNeeded | NotifyEvent::ApprovalExpiring => {
            let reasons = job.as_ref().map(|job| job.reasons.as_slice()).unwrap_or_default();
            let texts: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
            texts.join("; ")
        }
        NotifyEvent::LedgerUnwritable | NotifyEvent::FenceMissing | NotifyEvent::Test => {
            String::new()
        }
    };
    let told = NotifiedCall {
        call: id,
        agent: row.principal.clone(),
        person: job.as_ref().and_then(|job| job.principal.person.clone()),
        tool: row.tool.clone(),
        summary: job.map(|job| summary(&job.plan)).unwrap_or_default(),
        quorum: rule.map(|rule| rule.quorum),
        expires: Timestamp::from_millisecond(row.expires).map_err(|_| damaged("expiry"))?,
    };
    Ok(Words::News(told, detail))
}
