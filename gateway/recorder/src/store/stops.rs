//! The emergency stops: made and lifted by operators, with a ledger entry each. A stop holds queued
//! jobs and ends leased ones before their next effect. Never ends the cleanup of a job.

use super::batch::{Batch, ChangeError, to_u64};
use super::change::Done;
use super::read::Reader;
use super::row::{JobRow, columns};
use crate::store::sql::{self, Connection};
use cofferdam_core::model::job::Cancellation;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::stop::{STOPS, Stop, StopScope};
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use serde_json::json;

/// The runners that look for a job after a stop is lifted.
const LOOK: usize = 64;

/// The stops, oldest first.
const ALL: &str =
    "SELECT scope, name, because, by_whom, since FROM stops ORDER BY since, scope, name";

type Row = (String, String, String, String, i64);

fn read((word, name, because, by, since): Row) -> Option<Stop> {
    let calls = StopScope::of(&word, name)?;
    Some(Stop { calls, because, by, since: Timestamp::from_millisecond(since).ok()? })
}

/// The stops of the store, oldest first.
pub(crate) async fn stops(connection: &mut Connection) -> sqlx::Result<Vec<Stop>> {
    let rows: Vec<Row> = sql::query_as(ALL).fetch_all(connection).await?;
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Stops calls, and cancels the leased jobs among them: their runners end before the next effect.
pub(crate) async fn stop(
    (stop, how): (&Stop, &str),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let known = stops(connection).await?;
    if let Some(stop) = known.iter().find(|known| known.calls == stop.calls) {
        return Err(RoleError::Refused(format!("it is stopped already: {}", stop.warning())).into());
    }
    if known.len() >= STOPS {
        let why = format!("there are {STOPS} stops; lift one, or stop every call with `--all`");
        return Err(RoleError::Refused(why).into());
    }
    let (word, name) = stop.calls.columns();
    sql::query("INSERT INTO stops (scope, name, because, by_whom, since) VALUES (?, ?, ?, ?, ?)")
        .bind(word.to_owned())
        .bind(name.to_owned())
        .bind(stop.because.clone())
        .bind(stop.by.clone())
        .bind(stop.since.as_millisecond())
        .execute(&mut *connection)
        .await?;
    let request = json!({ "calls": stop.calls, "because": stop.because });
    record(&format!("{how}stop"), &stop.by, &request.to_string(), batch);
    let ended = cancel_leased(stop, how, batch, connection).await?;
    Ok(Done::Stopped { ended })
}

/// Lifts a stop: queued jobs and approved calls go on at once.
pub(crate) async fn lift(
    (calls, by, how): (&StopScope, &str, &str),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let (word, name) = calls.columns();
    let lifted = sql::query("DELETE FROM stops WHERE scope = ? AND name = ?")
        .bind(word.to_owned())
        .bind(name.to_owned())
        .execute(&mut *connection)
        .await?;
    if lifted.rows_affected() == 0 {
        let why = format!("{calls} is not stopped; `cofferdam stop --list` shows the stops");
        return Err(RoleError::Refused(why).into());
    }
    record(&format!("{how}resume"), by, &json!({ "calls": calls }).to_string(), batch);
    batch.claimable += LOOK;
    batch.approved = true;
    Ok(Done::Stopped { ended: 0 })
}

fn record(what: &str, by: &str, request: &str, batch: &mut Batch) {
    let event = Event::Administered { what: what.to_owned(), by: by.to_owned() };
    batch.record(Entry::of(event, None, "").with("request", request.to_owned()));
}

/// Cancels the leased jobs of a stop that have no outcome yet. At most one for each seat of a runner.
async fn cancel_leased(
    stop: &Stop,
    how: &str,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<u64, ChangeError> {
    let leased: Vec<JobRow> = sql::query_as(columns!(
        "INDEXED BY jobs_leased WHERE leased = 1 AND cancelled = 0 ORDER BY seq"
    ))
    .fetch_all(&mut *connection)
    .await?;
    let cancellation = Cancellation { by: stop.by.clone(), because: stop.because.clone() };
    let text = serde_json::to_string(&cancellation)
        .map_err(|error| RoleError::Refused(format!("the stop cannot be stored: {error}")))?;
    let mut ended = 0;
    for old in leased {
        let begins = matches!(old.phase()?, Phase::Leased | Phase::Prepared | Phase::Acting);
        if !begins || !stop.calls.covers(&old.tool, &old.principal) {
            continue;
        }
        let event = Event::Administered { what: format!("{how}stop"), by: stop.by.clone() };
        let entry = old.entry(event)?.with("because", json!(stop.because).to_string());
        let mut row = JobRow { cancellation: Some(text.clone()), cancelled: true, ..old.clone() };
        row.record(batch, entry);
        row.put(&old, batch, connection).await?;
        ended += 1;
    }
    Ok(ended)
}

impl Reader {
    /// The stops, oldest first.
    pub async fn stops(&self) -> Result<Vec<Stop>, ChangeError> {
        let rows: Vec<Row> = sql::query_as(ALL).fetch_all(self.readers()?).await?;
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The number of queued jobs that a stop holds.
    pub async fn held(&self) -> Result<u64, ChangeError> {
        let count: i64 = sql::query_scalar(
            "SELECT count(*) FROM jobs WHERE phase = 'queued' AND EXISTS (SELECT 1 FROM stops WHERE \
             scope = 'all' OR (scope = 'tool' AND name = jobs.tool) OR (scope = 'agent' AND name = \
             jobs.principal))",
        )
        .fetch_one(self.readers()?)
        .await?;
        Ok(to_u64(count))
    }
}
