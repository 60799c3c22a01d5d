//! The row of a job: read as a whole, changed as a value, and written back guarded by lease epoch
//! and phase. Never decides the meaning of a change.

mod related;

use crate::store::sql::{self, Connection, Executor, FromRow, Row};
pub(crate) use related::{document, operations, planned, stored};

use super::batch::{Batch, ChangeError, to_i64, to_u64};
use super::busy;
use crate::settings::{LONGEST_RETRY_MS, RETRY_MS};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{
    Cancellation, JobView, Note, Obstacle, OperationRecord, Planned, Resolution, StoredJob, Stuck,
};
use cofferdam_core::model::lease_rules::is_writable;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::{Event as RunEvent, Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use serde::de::DeserializeOwned;

/// A job without its document.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub seq: i64,
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
    pub cancellation: Option<String>,
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
    /// The claim token of the lease; kept after the runner's own end of the lease.
    pub claim: Option<String>,
    /// The number of the runner's newest report under this lease; 0 before the first.
    pub moved: i64,
    /// The index of the entry that answered it.
    pub moved_entry: i64,
}

/// By hand: the derive macro would bring a second SQLite, compiled for the compiler's own use.
impl FromRow for JobRow {
    fn from_row(row: &Row<'_>) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            call: row.get("call")?,
            principal: row.get("principal")?,
            tool: row.get("tool")?,
            plan: row.get("plan")?,
            arguments: row.get("arguments")?,
            phase: row.get("phase")?,
            outcome: row.get("outcome")?,
            detail: row.get("detail")?,
            fence: row.get("fence")?,
            leased: row.get("leased")?,
            attempts: row.get("attempts")?,
            cancelled: row.get("cancelled")?,
            approved: row.get("approved")?,
            progress: row.get("progress")?,
            resolution: row.get("resolution")?,
            cancellation: row.get("cancellation")?,
            stuck: row.get("stuck")?,
            retry_at: row.get("retry_at")?,
            files: row.get("files")?,
            meanwhile: row.get("meanwhile")?,
            approval: row.get("approval")?,
            reasons: row.get("reasons")?,
            environment: row.get("environment")?,
            permit: row.get("permit")?,
            expires: row.get("expires")?,
            ended: row.get("ended")?,
            ledger: row.get("ledger")?,
            version: row.get("version")?,
            claim: row.get("claim")?,
            moved: row.get("moved")?,
            moved_entry: row.get("moved_entry")?,
        })
    }
}

/// The columns of [`JobRow`].
macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT seq, call, principal, tool, plan, arguments, phase, outcome, detail, fence, \
             leased, attempts, cancelled, ",
            "approved, progress, resolution, cancellation, stuck, retry_at, files, meanwhile, approval, \
             reasons, environment, permit, expires, ended, ",
            "ledger, version, claim, moved, moved_entry FROM jobs ",
            $rest
        )
    };
}
pub(crate) use columns;

/// Milliseconds until the retry after this many obstacles: doubled each time, up to the longest
/// pause.
fn retry_ms(tries: u32) -> i64 {
    RETRY_MS.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_RETRY_MS)
}

/// The error of a row that this version did not write.
pub(crate) fn damaged(what: &str) -> RoleError {
    RoleError::Unavailable(format!(
        "the store's {what} is not readable: other software wrote it, or the file is damaged; \
         restore the store from a backup"
    ))
}

/// Parses stored JSON. Not with the strict reader of requests: serde wrote it, and numbers beyond
/// 2^53 must be read back.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, RoleError> {
    T::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|_| damaged(what))
}

/// The sealed plan in a stored document; `None` if it is unreadable.
pub(crate) fn plan_of(document: &str) -> Option<String> {
    parse::<StoredJob>(document, "job").ok().map(|job| job.plan)
}

impl JobRow {
    /// Reads the job of a call.
    pub async fn load(executor: impl Executor<'_>, call: &CallId) -> sqlx::Result<Option<Self>> {
        sql::query_as(columns!("WHERE call = ?"))
            .bind(call.to_string())
            .fetch_optional(executor)
            .await
    }

    /// Reads a job of this principal; the job of another one is not found.
    pub async fn owned(
        executor: impl Executor<'_>,
        call: &CallId,
        principal: &str,
    ) -> Result<Self, ChangeError> {
        let row = sql::query_as(columns!("WHERE call = ? AND principal = ?"))
            .bind(call.to_string())
            .bind(principal.to_owned());
        row.fetch_optional(executor).await?.ok_or_else(|| absent(call).into())
    }

    /// The phase of the job.
    pub fn phase(&self) -> Result<Phase, RoleError> {
        Phase::from_word(&self.phase).ok_or_else(|| damaged("phase"))
    }

    /// The outcome of the job, once it has one.
    pub fn outcome(&self) -> Result<Option<Outcome>, RoleError> {
        self.outcome
            .as_deref()
            .map(|word| Outcome::from_word(word).ok_or_else(|| damaged("outcome")))
            .transpose()
    }

    /// The id of the call.
    pub fn id(&self) -> Result<CallId, RoleError> {
        CallId::parse(&self.call).map_err(|_| damaged("call id"))
    }

    /// The lease epoch of the job.
    pub fn fence(&self) -> Fence {
        Fence(to_u64(self.fence))
    }

    /// The progress notes of its executor and tasks. Notes in the form of an earlier version are
    /// left out.
    pub fn notes(&self) -> Vec<Note> {
        self.progress.as_deref().and_then(|text| parse(text, "progress").ok()).unwrap_or_default()
    }

    /// The finding of a person, or that a person gave it up.
    pub fn resolution(&self) -> Result<Option<Resolution>, RoleError> {
        self.resolution.as_deref().map(|text| parse(text, "resolution")).transpose()
    }

    /// The operator who cancelled it.
    pub fn cancellation(&self) -> Result<Option<Cancellation>, RoleError> {
        self.cancellation.as_deref().map(|text| parse(text, "cancellation")).transpose()
    }

    /// The obstacle of a stuck job. An obstacle in the form of an earlier version is left out.
    pub fn stuck(&self) -> Option<Stuck> {
        self.stuck.as_deref().and_then(|text| parse(text, "obstacle").ok())
    }

    /// Notes the obstacle and the time of the retry. A lost runner does not change the obstacle.
    pub fn meet(
        &mut self,
        obstacle: Option<&Obstacle>,
        now: jiff::Timestamp,
    ) -> Result<(), RoleError> {
        let known = self.stuck();
        // A job that did not act starts from the beginning each time: its leases are counted, not
        // its retries.
        let before_acting = matches!(self.phase(), Ok(Phase::Leased | Phase::Prepared));
        let leases = if before_acting { self.attempts().saturating_sub(1) } else { 0 };
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

    /// Removes the obstacle.
    pub fn freed(&mut self) {
        self.stuck = None;
        self.retry_at = 0;
    }

    /// The number of leases before it acted.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.attempts).unwrap_or(u32::MAX)
    }

    /// Changes the phase to one that the rules of leases name.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase.word().to_owned();
    }

    /// Changes the phase by the table of transitions.
    pub fn advance(&mut self, event: RunEvent) -> Result<Phase, RoleError> {
        let next =
            self.phase()?.next(event).map_err(|illegal| RoleError::Refused(illegal.to_string()))?;
        self.enter(next);
        Ok(next)
    }

    /// Writes the outcome, only once.
    pub fn finish(&mut self, outcome: Outcome, detail: &str, now_ms: i64) -> Result<(), RoleError> {
        if !is_writable(self.outcome()?) {
            let written = self.outcome.as_deref().unwrap_or_default();
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

    /// Returns whether the gateway decides the job once more: it had a permit already.
    pub fn is_reopened(&self) -> bool {
        self.phase == Phase::AwaitingApproval.word() && self.permit.is_some()
    }

    /// The phase as it is told. A job that is decided once more waits for no person: it is queued.
    pub fn told_phase(&self) -> Result<Phase, RoleError> {
        if self.is_reopened() { Ok(Phase::Queued) } else { self.phase() }
    }

    /// Makes an entry about this job.
    pub fn entry(&self, event: Event) -> Result<Entry, RoleError> {
        let mut entry = Entry::of(event, Some(self.id()?), &self.principal);
        entry.plan = Some(self.plan.clone().try_into().map_err(|_| damaged("plan digest"))?);
        Ok(entry)
    }

    /// Records an entry about this job; returns its index. The job names the entry that proves its
    /// state: the newest one, and after its outcome that of the outcome or of a person's finding.
    pub fn record(&mut self, batch: &mut Batch, entry: Entry) -> u64 {
        let proves = self.outcome.is_none()
            || matches!(entry.event, Event::Finished { .. } | Event::Resolved { .. });
        let index = batch.record(entry);
        if proves {
            self.ledger = to_i64(index);
        }
        index
    }

    /// Replaces `old`, unless lease or phase changed meanwhile.
    pub async fn put(
        mut self,
        old: &Self,
        batch: &mut Batch,
        connection: &mut Connection,
    ) -> Result<(), ChangeError> {
        self.version += 1;
        // An expression, and not the column: SQLite would compare the value with the conditions of
        // partial indexes, and compile the statement again each time.
        let guarded = sql::query_scalar::<i64>(
            "UPDATE jobs SET phase = ?, outcome = ?, detail = ?, fence = ?, leased = ?, attempts \
             = ?, cancelled = ?,
             approved = ?, progress = ?, resolution = ?, cancellation = ?, stuck = ?, retry_at = ?, files = ?, \
             meanwhile = ?, permit = ?, expires = ?, ended = ?,
             ledger = ?, version = ?, claim = ?, moved = ?, moved_entry = ?
             WHERE call = ? AND fence = ? AND phase || '' = ? RETURNING version",
        );
        batch.touched.insert(self.id()?);
        let holds = busy::holds(&self);
        let queued = Phase::Queued.word();
        let (was, is) = (old.phase == queued, self.phase == queued);
        let claimed = was && !is && self.leased && old.attempts == 0;
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
            .bind(self.cancellation)
            .bind(self.stuck)
            .bind(self.retry_at)
            .bind(self.files)
            .bind(self.meanwhile)
            .bind(self.permit)
            .bind(self.expires)
            .bind(self.ended)
            .bind(self.ledger)
            .bind(self.version)
            .bind(self.claim)
            .bind(self.moved)
            .bind(self.moved_entry)
            .bind(old.call.clone())
            .bind(old.fence)
            .bind(old.phase.clone())
            .fetch_optional(&mut *connection)
            .await?
            .ok_or(ChangeError::Error(RoleError::Fenced))?;
        batch.queued += i64::from(is) - i64::from(was);
        batch.claimed += usize::from(claimed);
        Ok(busy::follow(old, holds, batch, connection).await?)
    }

    /// The job as its owner may read it.
    pub fn view(
        &self,
        planned: Vec<Planned>,
        operations: Vec<OperationRecord>,
    ) -> Result<JobView, RoleError> {
        let phase = self.told_phase()?;
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
            cancellation: self.cancellation()?,
            stuck: self.stuck(),
            files: self
                .files
                .as_deref()
                .map(|text| parse(text, "list of files"))
                .transpose()?
                .unwrap_or_default(),
            // Differences in the form of an earlier version are left out.
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

/// The error for a job that does not exist or belongs to another principal: one text for both.
pub(crate) fn absent(call: &CallId) -> RoleError {
    RoleError::NotFound(format!("no job `{call}` of this caller"))
}
