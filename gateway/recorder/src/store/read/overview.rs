//! Reads over all jobs, for the status, the metrics and the start: stuck jobs, counts and leases.
//! Never reads a payload.

use super::Reader;
use crate::settings::STUCK;
use crate::store::StoredLease;
use crate::store::batch::{ChangeError, to_u64};
use crate::store::row::{JobRow, columns, damaged};
use crate::store::sql;
use cofferdam_core::model::job::StuckJob;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use std::collections::BTreeMap;

impl Reader {
    /// The stuck jobs, oldest first.
    pub async fn stuck(&self) -> Result<Vec<StuckJob>, ChangeError> {
        let rows: Vec<JobRow> = sql::query_as(columns!(
            "WHERE stuck IS NOT NULL AND phase <> 'closed' ORDER BY seq LIMIT ?"
        ))
        .bind(STUCK)
        .fetch_all(self.readers()?)
        .await?;
        // The log names an unreadable row each time it is skipped.
        let told = |row: &JobRow| {
            Some(StuckJob { call: row.id().ok()?, phase: row.phase().ok()?, stuck: row.stuck()? })
        };
        Ok(rows.iter().filter_map(told).collect())
    }

    /// The number of jobs in each phase.
    pub async fn phases(&self) -> Result<BTreeMap<Phase, u64>, ChangeError> {
        let rows: Vec<(String, i64)> =
            sql::query_as("SELECT phase, count(*) FROM jobs INDEXED BY jobs_counts GROUP BY phase")
                .fetch_all(self.readers()?)
                .await?;
        let mut phases = rows
            .into_iter()
            .map(|(word, count)| {
                Ok((Phase::from_word(&word).ok_or_else(|| damaged("phase"))?, to_u64(count)))
            })
            .collect::<Result<BTreeMap<_, _>, RoleError>>()?;
        // A job that is decided once more waits for no person: it is told as queued.
        let reopened: i64 = sql::query_scalar(
            "SELECT count(*) FROM jobs INDEXED BY jobs_open WHERE phase = 'awaiting_approval' AND \
             phase <> 'closed' AND permit IS NOT NULL",
        )
        .fetch_one(self.readers()?)
        .await?;
        if let (1.., Some(waiting)) = (reopened, phases.get_mut(&Phase::AwaitingApproval)) {
            *waiting = waiting.saturating_sub(to_u64(reopened));
            *phases.entry(Phase::Queued).or_default() += to_u64(reopened);
        }
        Ok(phases)
    }

    /// The number of closed jobs with each outcome, also of removed ones.
    pub async fn outcomes(&self) -> Result<BTreeMap<Outcome, u64>, ChangeError> {
        let closed = "SELECT outcome, count(*) FROM jobs INDEXED BY jobs_counts WHERE phase = 'closed' AND outcome IS \
                      NOT NULL GROUP BY outcome";
        let mut rows: Vec<(String, i64)> = sql::query_as(closed).fetch_all(self.readers()?).await?;
        rows.extend(self.removed_counts("outcome").await?);
        let mut outcomes = BTreeMap::new();
        for (word, count) in rows {
            let outcome = Outcome::from_word(&word).ok_or_else(|| damaged("outcome"))?;
            *outcomes.entry(outcome).or_insert(0) += to_u64(count);
        }
        Ok(outcomes)
    }

    /// The number of signatures with each verdict, also of removed ones.
    pub async fn answers(&self) -> Result<BTreeMap<String, u64>, ChangeError> {
        let mut rows: Vec<(String, i64)> =
            sql::query_as("SELECT verdict, count(*) FROM statements GROUP BY verdict")
                .fetch_all(self.readers()?)
                .await?;
        rows.extend(self.removed_counts("verdict").await?);
        let mut answers = BTreeMap::new();
        for (verdict, count) in rows {
            *answers.entry(verdict).or_insert(0) += to_u64(count);
        }
        Ok(answers)
    }

    /// All leases; after a start, none of them has a runner.
    pub async fn standing(&self) -> Result<Vec<StoredLease>, ChangeError> {
        let rows: Vec<JobRow> = sql::query_as(columns!(
            "INDEXED BY jobs_leased WHERE leased = 1 AND phase <> 'closed' ORDER BY fence"
        ))
        .fetch_all(self.readers()?)
        .await?;
        rows.iter()
            .map(StoredLease::of)
            .collect::<Result<_, RoleError>>()
            .map_err(ChangeError::from)
    }
}
