//! Reads of the register of callers, for operators.

use super::Reader;
use crate::store::batch::{ChangeError, to_u64};
use crate::store::row::{damaged, parse};
use crate::store::usage::day_of;
use cofferdam_core::model::callers::ServedCaller;
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::model::limit::SHOWN_CALLERS;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What a caller used today.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UsedToday {
    /// New jobs.
    pub jobs: u64,
    /// Bytes of first entries of calls.
    pub bytes: u64,
    /// Calls that wait for a person now.
    pub waiting: u64,
}

impl Reader {
    /// The callers that were served, the last one first.
    pub async fn served(&self) -> Result<Vec<ServedCaller>, ChangeError> {
        let rows: Vec<(String, String, Option<String>, i64)> = sqlx::query_as(
            "SELECT name, roles, person, used FROM callers ORDER BY used DESC, name LIMIT ?",
        )
        .bind(SHOWN_CALLERS)
        .fetch_all(self.readers()?)
        .await?;
        rows.into_iter()
            .map(|(name, roles, person, used)| {
                let used = Timestamp::from_millisecond(used).map_err(|_| damaged("time"))?;
                Ok(ServedCaller { name, roles: parse(&roles, "roles")?, person, used })
            })
            .collect::<Result<_, RoleError>>()
            .map_err(ChangeError::from)
    }

    /// What these callers used today, and their calls that wait for a person.
    pub async fn used_today(
        &self,
        names: &[&str],
        now: Timestamp,
    ) -> Result<BTreeMap<String, UsedToday>, ChangeError> {
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT value, coalesce(jobs, 0), coalesce(bytes, 0), (SELECT count(*) FROM jobs \
             INDEXED BY jobs_waiting WHERE jobs.principal = value AND phase = \
             'awaiting_approval' AND approved = 0) FROM json_each(?1) LEFT JOIN usage ON \
             usage.day = ?2 AND usage.principal = value",
        )
        .bind(serde_json::json!(names).to_string())
        .bind(day_of(now))
        .fetch_all(self.readers()?)
        .await?;
        let used = |(name, jobs, bytes, waiting)| {
            let used =
                UsedToday { jobs: to_u64(jobs), bytes: to_u64(bytes), waiting: to_u64(waiting) };
            (name, used)
        };
        Ok(rows.into_iter().map(used).collect())
    }

    /// The static tokens that have ended.
    pub async fn ended_tokens(&self) -> Result<Vec<TokenDigest>, ChangeError> {
        let rows: Vec<String> =
            sqlx::query_scalar("SELECT digest FROM tokens WHERE ended IS NOT NULL ORDER BY digest")
                .fetch_all(self.readers()?)
                .await?;
        rows.iter()
            .map(|digest| TokenDigest::try_from(digest.clone()).map_err(|_| damaged("digest")))
            .collect::<Result<_, RoleError>>()
            .map_err(ChangeError::from)
    }
}
