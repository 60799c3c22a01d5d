//! A job's row: read whole, changed as a value, put back guarded by the fence and phase it was read
//! with. Never decides what a change means.

use super::batch::{Batch, ChangeError, to_i64, to_u64};
use crate::settings::{LONGEST_RETRY_MS, RETRY_MS};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{
    JobView, Note, Obstacle, OperationRecord, Planned, Resolution, StoredJob, Stuck,
};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::{Event as RunEvent, Outcome, Phase};
use cofferdam_core::model::statement::SignedStatement;
use cofferdam_core::protocol::RoleError;
use serde::de::DeserializeOwned;
use sqlx::{SqliteConnection, SqliteExecutor};

/// A job without its document.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub call: String,
    pub principal: String,
    pub tool: String,
    pub plan: String,
    pub arguments: String,
    pub phase: String,
    pub outcome: Option<String>,
    pub detail: String,
    pub fence: i64,
    pub leased: bool,
    pub attempts: i64,
    pub cancelled: bool,
    pub approved: bool,
    pub progress: Option<String>,
    pub resolution: Option<String>,
    pub stuck: Option<String>,
    pub retry_at: i64,
    pub files: Option<String>,
    pub meanwhile: Option<String>,
    pub approval: Option<String>,
    pub reasons: String,
    pub environment: String,
    pub permit: Option<String>,
    pub expires: i64,
    pub ended: Option<i64>,
    pub ledger: i64,
    pub version: i64,
}

/// The columns of [`JobRow`].
macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT call, principal, tool, plan, arguments, phase, outcome, detail, fence, \
             leased, attempts, cancelled, ",
            "approved, progress, resolution, stuck, retry_at, files, meanwhile, approval, \
             reasons, environment, permit, expires, ended, ",
            "ledger, version FROM jobs ",
            $rest
        )
    };
}
pub(crate) use columns;

/// Milliseconds until a job is tried again that met an obstacle this often: doubled each time, up
/// to the longest.
fn retry_ms(tries: u32) -> i64 {
    RETRY_MS.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_RETRY_MS)
}

/// A row that is not what this version wrote.
pub(crate) fn damaged(what: &str) -> RoleError {
    RoleError::Unavailable(format!(
        "the store's {what} is not readable: other software wrote it, or the file is damaged; \
         restore the store from a backup"
    ))
}

/// Reads JSON of our own making. Not by the border's strict rules: serde wrote it, and an object's
/// number beyond 2^53 must read back.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, RoleError> {
    T::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|_| damaged(what))
}

/// The sealed plan in a stored document; none where that cannot be read.
pub(crate) fn plan_of(document: &str) -> Option<String> {
    parse::<StoredJob>(document, "job").ok().map(|job| job.plan)
}

impl JobRow {
    /// Reads one job.
    pub async fn load(
        executor: impl SqliteExecutor<'_>,
        call: &CallId,
    ) -> sqlx::Result<Option<Self>> {
        sqlx::query_as(columns!("WHERE call = ?"))
            .bind(call.to_string())
            .fetch_optional(executor)
            .await
    }

    /// Reads one job of this principal; another's is as if it were not there.
    pub async fn owned(
        executor: impl SqliteExecutor<'_>,
        call: &CallId,
        principal: &str,
    ) -> Result<Self, ChangeError> {
        let row = sqlx::query_as(columns!("WHERE call = ? AND principal = ?"))
            .bind(call.to_string())
            .bind(principal.to_owned());
        row.fetch_optional(executor).await?.ok_or_else(|| absent(call).into())
    }

    /// Where it is.
    pub fn phase(&self) -> Result<Phase, RoleError> {
        Phase::from_word(&self.phase).ok_or_else(|| damaged("phase"))
    }

    /// What became of it.
    pub fn outcome(&self) -> Result<Option<Outcome>, RoleError> {
        self.outcome
            .as_deref()
            .map(|word| Outcome::from_word(word).ok_or_else(|| damaged("outcome")))
            .transpose()
    }

    /// Its id.
    pub fn id(&self) -> Result<CallId, RoleError> {
        CallId::parse(&self.call).map_err(|_| damaged("call id"))
    }

    /// Its fence.
    pub fn fence(&self) -> Fence {
        Fence(to_u64(self.fence))
    }

    /// What its executor and its tasks said. Notes of another form, as an earlier version kept
    /// them, are not worth refusing a job over.
    pub fn notes(&self) -> Vec<Note> {
        self.progress.as_deref().and_then(|text| parse(text, "progress").ok()).unwrap_or_default()
    }

    /// What a person found out, or that a person gave it up.
    pub fn resolution(&self) -> Result<Option<Resolution>, RoleError> {
        self.resolution.as_deref().map(|text| parse(text, "resolution")).transpose()
    }

    /// Why it cannot be finished at present. An obstacle of another form is not worth refusing a
    /// job over.
    pub fn stuck(&self) -> Option<Stuck> {
        self.stuck.as_deref().and_then(|text| parse(text, "obstacle").ok())
    }

    /// Notes what is in its way, and when it is tried again. A runner that was lost over a try
    /// leaves the obstacle as it was.
    pub fn meet(
        &mut self,
        obstacle: Option<&Obstacle>,
        now: jiff::Timestamp,
    ) -> Result<(), RoleError> {
        let known = self.stuck();
        // One that did not act yet is begun afresh each time: its leases are counted, not its
        // tries.
        let before_acting = matches!(self.phase(), Ok(Phase::Leased | Phase::Prepared));
        let leases = if before_acting {
            u32::try_from(self.attempts).unwrap_or(u32::MAX).saturating_sub(1)
        } else {
            0
        };
        let (since, tries) =
            known.as_ref().map_or((now, leases), |known| (known.since, known.tries));
        let Some(obstacle) = obstacle.cloned().or(known.map(|known| known.obstacle)) else {
            return Ok(());
        };
        let stuck = Stuck { obstacle, since, tries: tries.saturating_add(1) };
        self.retry_at = now.as_millisecond().saturating_add(retry_ms(stuck.tries));
        let problem = |error: serde_json::Error| {
            RoleError::Refused(format!("the obstacle cannot be stored: {error}"))
        };
        self.stuck = Some(serde_json::to_string(&stuck).map_err(problem)?);
        Ok(())
    }

    /// Nothing is in its way any more.
    pub fn freed(&mut self) {
        self.stuck = None;
        self.retry_at = 0;
    }

    /// Moves it by the one table.
    pub fn advance(&mut self, event: RunEvent) -> Result<Phase, RoleError> {
        let next =
            self.phase()?.next(event).map_err(|illegal| RoleError::Refused(illegal.to_string()))?;
        self.phase = next.word().to_owned();
        Ok(next)
    }

    /// Writes the outcome; once.
    pub fn finish(&mut self, outcome: Outcome, detail: &str, now_ms: i64) -> Result<(), RoleError> {
        if let Some(written) = &self.outcome {
            return Err(RoleError::Refused(format!(
                "the outcome `{written}` is already recorded and is written once"
            )));
        }
        self.outcome = Some(outcome.word().to_owned());
        self.detail = detail.to_owned();
        self.ended = Some(now_ms);
        self.freed();
        Ok(())
    }

    /// An entry about this job.
    pub fn entry(&self, event: Event) -> Result<Entry, RoleError> {
        let mut entry = Entry::of(event, Some(self.id()?), &self.principal);
        entry.plan = Some(self.plan.clone().try_into().map_err(|_| damaged("plan digest"))?);
        Ok(entry)
    }

    /// Records an entry about this job; answers its index. The job names the one that proves its
    /// state: its newest, and from its outcome on that of the outcome or of what a person found
    /// out.
    pub fn record(&mut self, batch: &mut Batch, entry: Entry) -> u64 {
        let proves = self.outcome.is_none()
            || matches!(entry.event, Event::Finished { .. } | Event::Resolved { .. });
        let index = batch.record(entry);
        if proves {
            self.ledger = to_i64(index);
        }
        index
    }

    /// Puts it back in place of `old`, unless another lease or phase is there by now.
    pub async fn put(
        mut self,
        old: &Self,
        batch: &mut Batch,
        connection: &mut SqliteConnection,
    ) -> Result<(), ChangeError> {
        self.version += 1;
        let guarded = sqlx::query_scalar::<_, i64>(
            "UPDATE jobs SET phase = ?, outcome = ?, detail = ?, fence = ?, leased = ?, attempts \
             = ?, cancelled = ?,
             approved = ?, progress = ?, resolution = ?, stuck = ?, retry_at = ?, files = ?, \
             meanwhile = ?, permit = ?, expires = ?, ended = ?,
             ledger = ?, version = ?
             WHERE call = ? AND fence = ? AND phase = ? RETURNING version",
        );
        batch.touched.insert(self.id()?);
        guarded
            .bind(self.phase)
            .bind(self.outcome)
            .bind(self.detail)
            .bind(self.fence)
            .bind(self.leased)
            .bind(self.attempts)
            .bind(self.cancelled)
            .bind(self.approved)
            .bind(self.progress)
            .bind(self.resolution)
            .bind(self.stuck)
            .bind(self.retry_at)
            .bind(self.files)
            .bind(self.meanwhile)
            .bind(self.permit)
            .bind(self.expires)
            .bind(self.ended)
            .bind(self.ledger)
            .bind(self.version)
            .bind(old.call.clone())
            .bind(old.fence)
            .bind(old.phase.clone())
            .fetch_optional(connection)
            .await?
            .map(drop)
            .ok_or(ChangeError::Error(RoleError::Fenced))
    }

    /// As its owner sees it.
    pub fn view(
        &self,
        planned: Vec<Planned>,
        operations: Vec<OperationRecord>,
    ) -> Result<JobView, RoleError> {
        let phase = self.phase()?;
        let approval =
            self.approval.as_deref().map(|text| parse(text, "approval rule")).transpose()?;
        Ok(JobView {
            call: self.id()?,
            tool: self.tool.clone(),
            plan: self.plan.clone().try_into().map_err(|_| damaged("plan digest"))?,
            arguments: self
                .arguments
                .clone()
                .try_into()
                .map_err(|_| damaged("arguments digest"))?,
            phase,
            outcome: self.outcome()?,
            detail: self.detail.clone(),
            resolution: self.resolution()?,
            stuck: self.stuck(),
            files: self
                .files
                .as_deref()
                .map(|text| parse(text, "list of files"))
                .transpose()?
                .unwrap_or_default(),
            // Differences of another form, as an earlier version kept them, are not worth refusing
            // a job over.
            meanwhile: self
                .meanwhile
                .as_deref()
                .and_then(|text| parse(text, "differences").ok())
                .unwrap_or_default(),
            claimed: self.fence > 0,
            planned,
            operations,
            progress: self.notes(),
            approval: approval.filter(|_| phase == Phase::AwaitingApproval),
            reasons: parse(&self.reasons, "reasons")?,
            environment: parse(&self.environment, "environment")?,
            ledger: to_u64(self.ledger),
            expires: jiff::Timestamp::from_millisecond(self.expires)
                .map_err(|_| damaged("expiry"))?,
            version: to_u64(self.version),
        })
    }
}

/// What a caller learns of a job that is not there, or not theirs: the same.
pub(crate) fn absent(call: &CallId) -> RoleError {
    RoleError::NotFound(format!("no job `{call}` of this caller"))
}

/// What was recorded of a job's operations, in order.
pub(crate) async fn operations(
    executor: impl SqliteExecutor<'_>,
    call: &str,
) -> Result<Vec<OperationRecord>, ChangeError> {
    let rows: Vec<(i64, bool, String, Option<String>)> = sqlx::query_as(
        "SELECT operation, undo, before, after FROM operations WHERE call = ? ORDER BY undo, \
         operation",
    )
    .bind(call.to_owned())
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|(index, undo, before, after)| {
            Ok(OperationRecord {
                index: u32::try_from(index).map_err(|_| damaged("operation index"))?,
                undo,
                before: parse(&before, "before-state")?,
                after: after.as_deref().map(|text| parse(text, "after-state")).transpose()?,
            })
        })
        .collect::<Result<_, RoleError>>()
        .map_err(ChangeError::from)
}

/// A job's operations in words; none when it was erased.
pub(crate) async fn planned(
    executor: impl SqliteExecutor<'_>,
    call: &str,
) -> Result<Vec<Planned>, ChangeError> {
    Ok(document(executor, call).await?.as_ref().map(Planned::all).unwrap_or_default())
}

/// A job as it was stored at first; none when it was erased.
pub(crate) async fn document(
    executor: impl SqliteExecutor<'_>,
    call: &str,
) -> Result<Option<StoredJob>, ChangeError> {
    let document: Option<Option<String>> =
        sqlx::query_scalar("SELECT document FROM jobs WHERE call = ?")
            .bind(call.to_owned())
            .fetch_optional(executor)
            .await?;
    Ok(document.flatten().map(|document| parse(&document, "job")).transpose()?)
}

/// A job's signed statements, oldest first.
pub(crate) async fn statements(
    executor: impl SqliteExecutor<'_>,
    call: &str,
) -> sqlx::Result<Vec<SignedStatement>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT statement, signature FROM statements WHERE call = ? ORDER BY id")
            .bind(call.to_owned())
            .fetch_all(executor)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(statement, signature)| SignedStatement { statement, signature })
        .collect())
}

/// A job as it was stored, with what was added since; none when it was erased.
pub(crate) async fn stored(
    connection: &mut SqliteConnection,
    row: &JobRow,
) -> Result<Option<StoredJob>, ChangeError> {
    let document: Option<String> = sqlx::query_scalar("SELECT document FROM jobs WHERE call = ?")
        .bind(row.call.clone())
        .fetch_one(&mut *connection)
        .await?;
    let Some(document) = document else { return Ok(None) };
    let mut job: StoredJob = parse(&document, "job")?;
    job.statements = statements(connection, &row.call).await?;
    job.permit = row.permit.as_deref().map(|text| parse(text, "permit")).transpose()?;
    Ok(Some(job))
}
