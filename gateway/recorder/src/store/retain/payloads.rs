//! The payloads of entries: removed in the order of the ledger, with the keys of their
//! commitments. The entries of an open job, and of a job with an unknown outcome that no person
//! resolved, are left out; the last entry of the job takes them along.

use super::super::batch::{ChangeError, to_u64};
use super::super::calls::{forget_call, forget_entries};
use super::super::row::{damaged, parse};
use super::{Gone, ROWS, count_verdicts};
use crate::ledger::leaf::Leaf;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::record::Event;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Whether a job is open, or a person has to resolve it.
macro_rules! needed {
    () => {
        "(jobs.phase <> 'closed' OR (jobs.outcome = 'indeterminate' AND jobs.resolution IS NULL))"
    };
}

/// Whether the call of an entry has no job that still needs its payloads.
macro_rules! closed {
    ($leaves:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.call = ",
            $leaves,
            ".call AND ",
            needed!(),
            ")"
        )
    };
}

/// Removes the payloads of the next entries that are older than `before`.
pub(super) async fn payloads(
    before: i64,
    connection: &mut Connection,
) -> Result<Gone, ChangeError> {
    let first: i64 =
        sql::query_scalar("SELECT entry FROM payloads_end").fetch_one(&mut *connection).await?;
    let rows: Vec<(i64, String)> =
        sql::query_as("SELECT idx, entry FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?")
            .bind(first)
            .bind(ROWS)
            .fetch_all(&mut *connection)
            .await?;
    let (mut end, mut ended, mut looked) = (first, BTreeSet::new(), 0);
    for (index, text) in rows {
        let leaf: Leaf = parse(&text, "ledger entry")?;
        let time: Timestamp = leaf.time.parse().map_err(|_| damaged("time"))?;
        if time.as_millisecond() > before {
            break;
        }
        if let (Event::Closed { .. } | Event::Resolved { .. }, Some(call)) = (leaf.event, leaf.call)
        {
            ended.insert(call.to_string());
        }
        end = index + 1;
        looked += 1;
    }
    let mut count = range(first, end, connection).await?;
    for call in ended {
        let closed: Option<i64> =
            sql::query_scalar(concat!("SELECT 1 FROM jobs WHERE call = ? AND NOT ", needed!()))
                .bind(call.clone())
                .fetch_optional(&mut *connection)
                .await?;
        if closed.is_some() {
            count += forget(&call, end, &mut *connection).await?;
        }
    }
    if end > first {
        sql::query("UPDATE payloads_end SET entry = ?").bind(end).execute(&mut *connection).await?;
    }
    Ok(Gone { count, until: end - 1, end: Some(to_u64(end)), more: looked >= ROWS })
}

/// Removes the payloads of a range of entries. Returns the number of entries that had any.
async fn range(first: i64, end: i64, connection: &mut Connection) -> sqlx::Result<u64> {
    let older: Vec<i64> = sql::query_scalar(concat!(
        "DELETE FROM payloads WHERE leaf IN (SELECT idx FROM leaves WHERE idx >= ? AND idx < ? AND ",
        closed!("leaves"),
        ") RETURNING leaf"
    ))
    .bind(first)
    .bind(end)
    .fetch_all(&mut *connection)
    .await?;
    let newer: Vec<i64> = sql::query_scalar(concat!(
        "UPDATE leaves SET payloads = NULL WHERE idx >= ? AND idx < ? AND payloads IS NOT NULL AND ",
        closed!("leaves"),
        " RETURNING idx"
    ))
    .bind(first)
    .bind(end)
    .fetch_all(&mut *connection)
    .await?;
    sql::query(concat!(
        "UPDATE leaves SET key = NULL WHERE idx >= ? AND idx < ? AND key IS NOT NULL AND ",
        closed!("leaves")
    ))
    .bind(first)
    .bind(end)
    .execute(&mut *connection)
    .await?;
    let gone: BTreeSet<i64> = older.into_iter().chain(newer).collect();
    forget_entries(&gone.iter().copied().collect::<Vec<_>>(), connection).await?;
    Ok(gone.len() as u64)
}

/// Removes the payloads of a call's entries before `end`, and those of its job. Returns the number
/// of entries that had any.
pub(crate) async fn forget(call: &str, end: i64, connection: &mut Connection) -> sqlx::Result<u64> {
    let older: Vec<i64> = sql::query_scalar(
        "DELETE FROM payloads WHERE leaf IN (SELECT idx FROM leaves WHERE call = ? AND idx < ?) \
         RETURNING leaf",
    )
    .bind(call.to_owned())
    .bind(end)
    .fetch_all(&mut *connection)
    .await?;
    let newer = sql::query(
        "UPDATE leaves SET payloads = NULL WHERE call = ? AND idx < ? AND payloads IS NOT NULL",
    )
    .bind(call.to_owned())
    .bind(end)
    .execute(&mut *connection)
    .await?;
    sql::query("UPDATE leaves SET key = NULL WHERE call = ? AND idx < ?")
        .bind(call.to_owned())
        .bind(end)
        .execute(&mut *connection)
        .await?;
    forget_call(call, end, &mut *connection).await?;
    count_verdicts(&[call.to_owned()], connection).await?;
    sql::query("DELETE FROM statements WHERE call = ?")
        .bind(call.to_owned())
        .execute(&mut *connection)
        .await?;
    sql::query("DELETE FROM operations WHERE call = ?")
        .bind(call.to_owned())
        .execute(&mut *connection)
        .await?;
    let told: Option<(Option<String>, Option<String>)> =
        sql::query_as("SELECT resolution, cancellation FROM jobs WHERE call = ?")
            .bind(call)
            .fetch_optional(&mut *connection)
            .await?;
    let (resolution, cancellation) = told.unwrap_or_default();
    sql::query(
        "UPDATE jobs SET document = NULL, permit = NULL, progress = NULL, detail = '', files = \
         NULL, resolution = ?, cancellation = ?, version = version + 1 WHERE call = ?",
    )
    .bind(resolution.and_then(|text| without_reason(&text)))
    .bind(cancellation.and_then(|text| without_reason(&text)))
    .bind(call)
    .execute(connection)
    .await?;
    let older: BTreeSet<i64> = older.into_iter().collect();
    Ok(newer.rows_affected() + older.len() as u64)
}

/// A person's finding or cancellation without its words; `None` for one that is not readable.
fn without_reason(text: &str) -> Option<String> {
    let mut told: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    told.insert("because".to_owned(), "".into());
    serde_json::to_string(&told).ok()
}
