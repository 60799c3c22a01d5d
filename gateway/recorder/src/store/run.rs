//! The reports of runners: each changes the phase by the table of transitions, under the lease
//! epoch, with a ledger entry. Never accepts an event that the phase does not allow.

use super::batch::{Batch, ChangeError, to_i64, to_u64};
use super::change::Done;
use super::row::JobRow;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::lease_rules as rules;
use cofferdam_core::model::record::{Entry, Event, Recorded};
use cofferdam_core::model::run::{Event as RunEvent, Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use serde::Serialize;
use serde_json::{Map, json};

/// Applies a report to the job: all of its events, or none. The newest report again gets its first
/// answer, also after it closed the job.
pub(crate) async fn move_job(
    call: &CallId,
    fence: Fence,
    (events, number): (Vec<RunnerEvent>, Option<u64>),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let number = number.map_or(0, to_i64);
    let row = JobRow::load(&mut *connection, call).await?;
    let row = row.filter(|row| row.fence() == fence).ok_or(RoleError::Fenced)?;
    // The token stays with the end of the runner's own report, and goes with a lost lease: after a
    // loss, another runner may be recovering the job.
    let is_held = row.leased || row.claim.is_some();
    if number > 0 && number == row.moved && is_held {
        return Ok(Done::Recorded(Recorded { index: to_u64(row.moved_entry) }));
    }
    if number > 0 && number < row.moved {
        let why = format!("the report {number} comes after the report {}", row.moved);
        return Err(RoleError::Refused(why).into());
    }
    let old = Some(row).filter(|row| row.leased).ok_or(RoleError::Fenced)?;
    // An event that is refused takes back what those before it wrote.
    sql::query("SAVEPOINT events").execute(&mut *connection).await?;
    let moved = move_row(&old, fence, (events, number), batch, connection).await;
    if let Err(ChangeError::Error(_)) = &moved {
        sql::query("ROLLBACK TO events").execute(&mut *connection).await?;
    }
    if matches!(&moved, Ok(_) | Err(ChangeError::Error(_))) {
        sql::query("RELEASE events").execute(&mut *connection).await?;
    }
    moved
}

async fn move_row(
    old: &JobRow,
    fence: Fence,
    (events, number): (Vec<RunnerEvent>, i64),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let mut row = old.clone();
    if row.stuck.is_some() {
        // A retry that made progress: only now its lease gets an entry.
        let entry = row.entry(Event::Leased { fence })?;
        row.record(batch, entry);
        row.freed();
    }
    let mut index = None;
    for event in events {
        index = Some(move_once(&mut row, fence, event, batch, connection).await?);
    }
    let index = index.ok_or_else(|| RoleError::Refused("a report without an event".to_owned()))?;
    if number > 0 {
        (row.moved, row.moved_entry) = (number, to_i64(index));
    }
    row.put(old, batch, connection).await?;
    Ok(Done::Recorded(Recorded { index }))
}

/// Applies one event to the row. Returns the index of its ledger entry.
async fn move_once(
    row: &mut JobRow,
    fence: Fence,
    event: RunnerEvent,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<u64, ChangeError> {
    let entry = match event {
        RunnerEvent::Prepared { namespace, uid } => {
            let phase = row.advance(RunEvent::Prepare)?;
            payload(
                row.entry(Event::Moved { phase, fence })?,
                "namespace",
                &json!({ "name": namespace, "uid": uid }),
            )?
        }
        RunnerEvent::Acting => {
            if row.cancelled {
                return Err(RoleError::Refused("the job was cancelled".to_owned()).into());
            }
            let phase = row.advance(RunEvent::Act)?;
            row.entry(Event::Moved { phase, fence })?
        }
        RunnerEvent::Started { operation, undo, before } => {
            acting(row)?;
            let before_text = text(&before)?;
            let entry =
                payload(row.entry(Event::Started { operation, undo, fence })?, "before", &before)?;
            started(row, operation, undo, before_text, connection).await?;
            entry
        }
        RunnerEvent::Done { operation, undo, after } => {
            acting(row)?;
            let after_text = text(&after)?;
            let entry =
                payload(row.entry(Event::Done { operation, undo, fence })?, "after", &after)?;
            done(row, operation, undo, after_text, connection).await?;
            entry
        }
        RunnerEvent::Finished { outcome, code, detail, files, meanwhile } => {
            runners_own(row.phase()?, outcome)?;
            let cancelled_by = row.cancellation()?.filter(|_| outcome == Outcome::Cancelled);
            let detail = match cancelled_by {
                Some(by) => format!("{}; {detail}", by.words()),
                None => detail,
            };
            row.finish(outcome, &detail, batch.now_ms())?;
            row.advance(RunEvent::Finish)?;
            // A job about the same object may wait for this.
            batch.claimable += 1;
            if outcome != Outcome::Indeterminate {
                // A person gave up the job before its end was known; now it is known.
                row.resolution = None;
            }
            let mut told = Map::from_iter([
                ("code".to_owned(), json!(code)),
                ("detail".to_owned(), json!(detail)),
            ]);
            if !files.is_empty() {
                row.files = Some(text(&files)?);
                told.insert("files".to_owned(), json!(files));
            }
            if !meanwhile.is_empty() {
                row.meanwhile = Some(text(&meanwhile)?);
                told.insert("meanwhile".to_owned(), json!(meanwhile));
            }
            payload(row.entry(Event::Finished { outcome })?, "detail", &told)?
        }
        RunnerEvent::Gone { namespace } => {
            row.advance(RunEvent::Gone)?;
            row.leased = false;
            row.entry(Event::Closed { namespace })?
        }
    };
    Ok(row.record(batch, entry))
}

/// Checks an outcome of a runner: outcomes of people and of the recorder are refused, and success
/// before acting.
fn runners_own(phase: Phase, outcome: Outcome) -> Result<(), RoleError> {
    if rules::is_reportable(phase, outcome) {
        Ok(())
    } else {
        Err(RoleError::Refused(format!(
            "a runner cannot report `{outcome}` of a job that is {phase}"
        )))
    }
}

fn acting(row: &JobRow) -> Result<(), RoleError> {
    match row.phase()? {
        phase if rules::is_operating(phase) => Ok(()),
        phase => Err(RoleError::Refused(format!(
            "an operation acts only while its job is acting; this job is {phase}"
        ))),
    }
}

async fn started(
    row: &JobRow,
    operation: u32,
    undo: bool,
    before: String,
    connection: &mut Connection,
) -> Result<(), ChangeError> {
    let fresh = sql::query_scalar::<i64>(
        "INSERT INTO operations (call, operation, undo, before) VALUES (?, ?, ?, ?) ON CONFLICT \
         DO NOTHING RETURNING operation",
    )
    .bind(row.call.clone())
    .bind(i64::from(operation))
    .bind(undo)
    .bind(before)
    .fetch_optional(connection)
    .await?;
    // Nothing runs twice: work of an earlier lease is reconciled and never started again.
    fresh.map(drop).ok_or_else(|| {
        RoleError::Refused(format!("operation {operation} was started before")).into()
    })
}

async fn done(
    row: &JobRow,
    operation: u32,
    undo: bool,
    after: String,
    connection: &mut Connection,
) -> Result<(), ChangeError> {
    let known = sql::query_scalar::<i64>(
        "UPDATE operations SET after = ? WHERE call = ? AND operation = ? AND undo = ? AND after \
         IS NULL RETURNING operation",
    )
    .bind(after)
    .bind(row.call.clone())
    .bind(i64::from(operation))
    .bind(undo)
    .fetch_optional(connection)
    .await?;
    known.map(drop).ok_or_else(|| {
        RoleError::Refused(format!("operation {operation} was not started, or is done already"))
            .into()
    })
}

fn text<T: Serialize>(value: &T) -> Result<String, RoleError> {
    serde_json::to_string(value)
        .map_err(|error| RoleError::Refused(format!("the event cannot be stored: {error}")))
}

fn payload<T: Serialize>(entry: Entry, name: &str, value: &T) -> Result<Entry, RoleError> {
    Ok(entry.with(name, text(value)?))
}
