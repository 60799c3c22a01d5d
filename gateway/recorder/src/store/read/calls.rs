//! Pages and changes of the list of calls. A page reads calls in order along one index, looks at a
//! bounded number of them, and says where the next page begins. The caller decides who may read
//! which calls.

mod along;
mod line;

#[cfg(test)]
pub(in crate::store) use along::STATEMENTS;

use super::Reader;
use crate::store::batch::{ChangeError, to_i64, to_u64};
use crate::store::sql::{self, Connection};
use along::Along;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::{CallChanges, CallCursor, CallPage, CallRow};
use cofferdam_core::model::id::CallId;
use jiff::Timestamp;
use line::{CallLine, rows_of};

/// The most calls that one page looks at: with a filter that few calls match, a page is empty, and
/// the next one continues.
const LOOKED_AT: usize = 20_000;

/// The calls that are read at once.
const CHUNK: usize = 1_000;

/// The most changed calls in one answer.
const CHANGED: usize = 200;

/// The calls that are wanted.
#[derive(Clone, Copy)]
pub(crate) struct CallQuery<'a> {
    /// The filter of the request.
    pub filter: &'a CallFilter,
    /// Only calls that this person signed; `None` for all.
    pub signer: Option<&'a str>,
    /// The name of the environment, for the rows.
    pub environment: &'a str,
}

/// A place in the list: time in milliseconds, and first entry.
type Place = (i64, i64);

impl Reader {
    /// A page of calls, newest first. `entries`: the length of the ledger.
    pub async fn call_page(
        &self,
        query: CallQuery<'_>,
        before: Option<&CallCursor>,
        limit: u32,
        entries: u64,
    ) -> Result<CallPage, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let connection = &mut *connection;
        let through = to_u64(crate::store::calls::end(connection).await?);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (since, mut place) = bounds(query.filter, before);
        let along = Along::choose(query, (since, place.0), connection).await?;
        let (mut lines, mut looked_at) = (Vec::new(), 0);
        let before = 'pages: loop {
            let chunk = if looked_at == 0 { limit.saturating_add(1).min(CHUNK) } else { CHUNK };
            let read = along.read(since, place, chunk, connection).await?;
            let is_last = read.len() < chunk;
            for line in read {
                let at = line.place();
                if line.matches(query, &along, connection).await? {
                    if lines.len() >= limit {
                        break 'pages Some(place);
                    }
                    lines.push(line);
                }
                (place, looked_at) = (at, looked_at + 1);
            }
            if is_last {
                break None;
            }
            if looked_at >= LOOKED_AT {
                break Some(place);
            }
        };
        let (rows, cut) = rows_of(lines, query.environment, connection).await?;
        let before = if cut { rows.last().map(end_of) } else { before.map(cursor) };
        Ok(CallPage { rows, before, through, entries })
    }

    /// The calls with an entry from the index `beyond`, the oldest change first.
    pub async fn call_changes(
        &self,
        query: CallQuery<'_>,
        beyond: u64,
    ) -> Result<CallChanges, ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let connection = &mut *connection;
        let mut through = to_u64(crate::store::calls::end(connection).await?);
        let read = line::changed(to_i64(beyond), CHUNK, connection).await?;
        if read.len() >= CHUNK {
            through = read.last().map_or(through, CallLine::beyond);
        }
        let (since, (until, _)) = bounds(query.filter, None);
        let (mut lines, mut left) = (Vec::new(), Vec::new());
        for line in read {
            let in_time = (since..=until).contains(&line.place().0);
            if !in_time || !line.matches_but_state(query, &Along::Changes, connection).await? {
                continue;
            }
            let next = line.beyond();
            if line.has_state(query.filter) {
                lines.push(line);
            } else {
                left.push(line.id()?);
            }
            if lines.len() + left.len() >= CHANGED {
                through = next;
                break;
            }
        }
        let (rows, cut) = rows_of(lines, query.environment, connection).await?;
        if cut {
            through = rows.last().map_or(through, |row| row.ledger + 1);
        }
        Ok(CallChanges { rows, left, through })
    }

    /// True if this person signed the call, by the entries of the ledger.
    pub async fn has_signed(&self, signer: &str, call: &CallId) -> Result<bool, ChangeError> {
        let entries = super::removed::own_leaves(call, self.readers()?).await?;
        Ok(entries.iter().any(|own| {
            matches!(&own.leaf.event, cofferdam_core::model::record::Event::Signed { approver, .. }
                if approver == signer)
        }))
    }

    /// The indexes of the entries of a call, oldest first, at most `most`.
    pub async fn entry_indexes(&self, call: &CallId, most: usize) -> Result<Vec<u64>, ChangeError> {
        let indexes: Vec<i64> =
            sql::query_scalar("SELECT idx FROM leaves WHERE call = ? ORDER BY idx LIMIT ?")
                .bind(call.to_string())
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .fetch_all(self.readers()?)
                .await?;
        Ok(indexes.into_iter().map(to_u64).collect())
    }

    /// The number of entries that the list knows.
    pub async fn indexed(&self) -> Result<u64, ChangeError> {
        let mut connection = self.readers()?.acquire().await?;
        Ok(to_u64(crate::store::calls::end(&mut connection).await?))
    }
}

/// The earliest time in milliseconds, and the place before which the page begins.
fn bounds(filter: &CallFilter, before: Option<&CallCursor>) -> (i64, Place) {
    let since = filter.since.map_or(i64::MIN, whole_ms);
    let until = filter.until.map_or(i64::MAX, |until| whole_ms(until).saturating_sub(1));
    let end = (until, i64::MAX);
    let place = before.map_or(end, |cursor| {
        let (at, first) = cursor.place();
        end.min((at, to_i64(first)))
    });
    (since, place)
}

/// The first whole millisecond at or after a time. Entries have whole milliseconds.
fn whole_ms(time: Timestamp) -> i64 {
    let ms = time.as_millisecond();
    let is_earlier = Timestamp::from_millisecond(ms).is_ok_and(|whole| whole < time);
    ms.saturating_add(i64::from(is_earlier))
}

fn cursor((at, first): Place) -> CallCursor {
    CallCursor::after(at, to_u64(first))
}

/// The place of a row. The next page begins after it.
fn end_of(row: &CallRow) -> CallCursor {
    CallCursor::after(row.at.as_millisecond(), row.first)
}

/// Returns whether the list has this object for the call at this place.
async fn has_object(
    object: &str,
    (at, seq): Place,
    connection: &mut Connection,
) -> sqlx::Result<bool> {
    sql::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM call_objects WHERE object = ? AND at = ? AND seq = ?)",
    )
    .bind(object.to_owned())
    .bind(at)
    .bind(seq)
    .fetch_one(connection)
    .await
}

/// Returns whether this person signed the call at this place.
async fn has_signer(
    signer: &str,
    (at, seq): Place,
    connection: &mut Connection,
) -> sqlx::Result<bool> {
    sql::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM call_signers WHERE signer = ? AND at = ? AND seq = ?)",
    )
    .bind(signer.to_owned())
    .bind(at)
    .bind(seq)
    .fetch_one(connection)
    .await
}
