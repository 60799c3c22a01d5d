//! The list of calls: one row for each call, made from the entries of the ledger in bounded steps
//! behind the writer. A step continues where the last one ended, so that a restart loses nothing,
//! and a store of an earlier version gets its list step by step. The transaction of a call never
//! writes it. Never decides who may read it.

mod draft;

use super::batch::{ChangeError, to_i64, to_u64};
use super::change::Done;
use super::row::parse;
use crate::ledger::leaf::Leaf;
use draft::{Draft, Payloads};
use serde_json::Value;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// The most entries of one step: a few milliseconds of the writer, so that other changes hardly
/// wait.
pub(crate) const STEP: i64 = 256;

/// Adds the next entries to the list.
pub(crate) async fn index(connection: &mut SqliteConnection) -> Result<Done, ChangeError> {
    let first = end(connection).await?;
    let entries: Vec<(i64, String, Option<String>)> = sqlx::query_as(
        "SELECT idx, entry, payloads FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?",
    )
    .bind(first)
    .bind(STEP)
    .fetch_all(&mut *connection)
    .await?;
    let Some(through) = entries.last().map(|(index, ..)| index + 1) else {
        return Ok(Done::Indexed { through: to_u64(first) });
    };
    // An unreadable entry must not keep later calls from the list: `ledger verify` reports it.
    let leaves: Vec<(i64, Leaf, Option<String>)> = entries
        .into_iter()
        .filter_map(|(index, text, own)| Some((index, parse(&text, "ledger entry").ok()?, own)))
        .collect();
    let mut drafts = known(&leaves, connection).await?;
    for (index, leaf, own) in leaves {
        let Some(call) = leaf.call.as_ref().map(ToString::to_string) else { continue };
        if let Some(draft) = drafts.get_mut(&call) {
            draft.add(index, &leaf);
        } else if let Some(draft) = begun(index, &leaf, own, connection).await? {
            drafts.insert(call, draft);
        }
    }
    put(drafts.into_values().filter(Draft::is_changed).collect(), connection).await?;
    sqlx::query("UPDATE calls_end SET entry = ?").bind(through).execute(connection).await?;
    Ok(Done::Indexed { through: to_u64(through) })
}

/// The first entry that the list does not know.
pub(crate) async fn end(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT entry FROM calls_end").fetch_one(connection).await
}

/// The rows of the calls of these entries, as far as the list has them.
async fn known(
    leaves: &[(i64, Leaf, Option<String>)],
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<String, Draft>, ChangeError> {
    let calls: Vec<&str> = leaves
        .iter()
        .filter_map(|(_, leaf, _)| leaf.call.as_ref())
        .map(|call| call.as_str())
        .collect();
    let rows: Vec<Draft> = sqlx::query_as(
        "SELECT seq, call, at, changed, ledger, principal, person, tool, summary, state, final, \
         resolved, code, rule, erased FROM calls WHERE call IN (SELECT value FROM json_each(?))",
    )
    .bind(Value::from(calls).to_string())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|draft| (draft.call.clone(), draft)).collect())
}

/// The row of a call that begins with this entry; `None` for an entry that begins no call.
async fn begun(
    index: i64,
    leaf: &Leaf,
    own: Option<String>,
    connection: &mut SqliteConnection,
) -> Result<Option<Draft>, ChangeError> {
    if !Draft::begins(leaf) {
        return Ok(None);
    }
    let payloads: Payloads = match own {
        Some(own) => parse(&own, "payload").unwrap_or_default(),
        // Entries of an earlier version have rows of their own.
        None => sqlx::query_as("SELECT name, body FROM payloads WHERE leaf = ?")
            .bind(index)
            .fetch_all(connection)
            .await?
            .into_iter()
            .collect(),
    };
    Ok(Some(Draft::begin(index, leaf, &payloads)))
}

/// Writes rows: each table with one statement, whatever their number.
async fn put(drafts: Vec<Draft>, connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let rows: Value = drafts.iter().map(Draft::columns).collect();
    let objects: Value = drafts.iter().flat_map(Draft::object_columns).collect();
    let signers: Value = drafts.iter().flat_map(Draft::signer_columns).collect();
    for (sql, rows) in [
        (
            "INSERT INTO calls (seq, call, at, changed, ledger, principal, person, tool, summary, \
             state, final, resolved, code, rule, erased) SELECT value ->> 0, value ->> 1, value \
             ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, \
             value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14 \
             FROM json_each(?) WHERE true ON CONFLICT (seq) DO UPDATE SET changed = \
             excluded.changed, ledger = excluded.ledger, person = excluded.person, summary = \
             excluded.summary, state = excluded.state, final = excluded.final, resolved = \
             excluded.resolved, code = excluded.code, rule = excluded.rule, erased = \
             excluded.erased",
            rows,
        ),
        (
            "INSERT OR IGNORE INTO call_objects (object, at, seq) SELECT value ->> 0, value ->> \
             1, value ->> 2 FROM json_each(?)",
            objects,
        ),
        (
            "INSERT OR IGNORE INTO call_signers (signer, at, seq, leaf) SELECT value ->> 0, value \
             ->> 1, value ->> 2, value ->> 3 FROM json_each(?)",
            signers,
        ),
    ] {
        if rows.as_array().is_some_and(|rows| !rows.is_empty()) {
            sqlx::query(sql).bind(rows.to_string()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Removes the words of a call that the list has from payloads of entries before `end`.
pub(crate) async fn forget_call(
    call: &str,
    end: i64,
    connection: &mut SqliteConnection,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE calls SET person = NULL, summary = NULL, rule = NULL, erased = 1 WHERE call = ? \
         AND seq < ?",
    )
    .bind(call.to_owned())
    .bind(end)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM call_objects WHERE seq = (SELECT seq FROM calls WHERE call = ? AND seq < ?)",
    )
    .bind(call.to_owned())
    .bind(end)
    .execute(connection)
    .await
    .map(drop)
}

/// Removes the words of calls that begin with these entries, whose payloads are gone.
pub(crate) async fn forget_entries(
    entries: &[i64],
    connection: &mut SqliteConnection,
) -> sqlx::Result<()> {
    let entries = Value::from(entries.to_vec()).to_string();
    for sql in [
        "UPDATE calls SET person = NULL, summary = NULL, rule = NULL, erased = 1 WHERE seq IN \
         (SELECT value FROM json_each(?))",
        "DELETE FROM call_objects WHERE seq IN (SELECT value FROM json_each(?))",
    ] {
        sqlx::query(sql).bind(entries.clone()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A flag as SQLite has it.
fn flag(is: bool) -> i64 {
    to_i64(u64::from(is))
}
