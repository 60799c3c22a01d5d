//! The list of calls: one row for each call, made from the entries of the ledger in bounded steps
//! behind the writer. A step continues where the last one ended, so that a restart loses nothing,
//! and a store of an earlier version gets its list step by step. The transaction of a call never
//! writes it. Never decides who may read it.

mod draft;

use super::batch::{ChangeError, to_u64};
use super::change::Done;
use super::row::parse;
use crate::ledger::leaf::Leaf;
use crate::store::sql::{self, Builder, Connection, Value};
use draft::{Draft, Payloads};
use std::collections::BTreeMap;

/// The most entries of one step: a few milliseconds of the writer, so that other changes hardly
/// wait.
pub(crate) const STEP: i64 = 256;

/// The most rows in one statement.
const ROWS: usize = 1_024;

/// Adds the next entries to the list.
pub(crate) async fn index(connection: &mut Connection) -> Result<Done, ChangeError> {
    let first = end(connection).await?;
    let entries: Vec<(i64, String, Option<String>)> = sql::query_as(
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
    sql::query("UPDATE calls_end SET entry = ?").bind(through).execute(connection).await?;
    Ok(Done::Indexed { through: to_u64(through) })
}

/// The first entry that the list does not know.
pub(crate) async fn end(connection: &mut Connection) -> sqlx::Result<i64> {
    sql::query_scalar("SELECT entry FROM calls_end").fetch_one(connection).await
}

/// The rows of the calls of these entries, as far as the list has them.
async fn known(
    leaves: &[(i64, Leaf, Option<String>)],
    connection: &mut Connection,
) -> Result<BTreeMap<String, Draft>, ChangeError> {
    let calls: Vec<&str> = leaves
        .iter()
        .filter_map(|(_, leaf, _)| leaf.call.as_ref())
        .map(|call| call.as_str())
        .collect();
    if calls.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut query = Builder::new(
        "SELECT seq, call, at, changed, ledger, principal, person, tool, summary, state, final, \
         resolved, code, rule, erased FROM calls WHERE call IN (",
    );
    let query = query.push_list(calls).push(")");
    let rows: Vec<Draft> = query.build_query_as().fetch_all(connection).await?;
    Ok(rows.into_iter().map(|draft| (draft.call.clone(), draft)).collect())
}

/// The row of a call that begins with this entry; `None` for an entry that begins no call.
async fn begun(
    index: i64,
    leaf: &Leaf,
    own: Option<String>,
    connection: &mut Connection,
) -> Result<Option<Draft>, ChangeError> {
    if !Draft::begins(leaf) {
        return Ok(None);
    }
    let payloads: Payloads = match own {
        Some(own) => parse(&own, "payload").unwrap_or_default(),
        // Entries of an earlier version have rows of their own.
        None => sql::query_as("SELECT name, body FROM payloads WHERE leaf = ?")
            .bind(index)
            .fetch_all(connection)
            .await?
            .into_iter()
            .collect(),
    };
    Ok(Some(Draft::begin(index, leaf, &payloads)))
}

/// Writes rows: each table with one statement, up to a large number of rows.
async fn put(drafts: Vec<Draft>, connection: &mut Connection) -> sqlx::Result<()> {
    let calls: Vec<Vec<Value>> = drafts.iter().map(Draft::columns).collect();
    let objects: Vec<Vec<Value>> = drafts.iter().flat_map(Draft::object_columns).collect();
    let signers: Vec<Vec<Value>> = drafts.iter().flat_map(Draft::signer_columns).collect();
    let changed = "ON CONFLICT (seq) DO UPDATE SET changed = excluded.changed, ledger = \
                   excluded.ledger, person = excluded.person, summary = excluded.summary, state = \
                   excluded.state, final = excluded.final, resolved = excluded.resolved, code = \
                   excluded.code, rule = excluded.rule, erased = excluded.erased";
    for (columns, rows, end) in [
        (
            "calls (seq, call, at, changed, ledger, principal, person, tool, summary, state, \
             final, resolved, code, rule, erased)",
            calls,
            changed,
        ),
        ("call_objects (object, at, seq)", objects, "ON CONFLICT DO NOTHING"),
        ("call_signers (signer, at, seq, leaf)", signers, "ON CONFLICT DO NOTHING"),
    ] {
        for rows in rows.chunks(ROWS) {
            let mut query = Builder::new(format!("INSERT INTO {columns} SELECT * FROM ("));
            query.push_rows(rows.to_vec());
            query.push(") AS filled WHERE column1 IS NOT NULL ").push(end);
            query.run(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Removes the words of a call that the list has from payloads of entries before `end`.
pub(crate) async fn forget_call(
    call: &str,
    end: i64,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    sql::query(
        "UPDATE calls SET person = NULL, summary = NULL, rule = NULL, erased = 1 WHERE call = ? \
         AND seq < ?",
    )
    .bind(call.to_owned())
    .bind(end)
    .execute(&mut *connection)
    .await?;
    sql::query(
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
    connection: &mut Connection,
) -> sqlx::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    for begin in [
        "UPDATE calls SET person = NULL, summary = NULL, rule = NULL, erased = 1 WHERE seq IN (",
        "DELETE FROM call_objects WHERE seq IN (",
    ] {
        let mut query = Builder::new(begin);
        query.push_list(entries.iter().copied()).push(")");
        query.run(&mut *connection).await?;
    }
    Ok(())
}
