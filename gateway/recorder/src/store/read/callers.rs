//! Reads of the register of callers, for operators.

use super::Reader;
use crate::store::batch::{ChangeError, to_u64};
use crate::store::row::{damaged, parse};
use crate::store::sql::{self, Builder};
use crate::store::usage::day_of;
use cofferdam_core::model::callers::ServedCaller;
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::model::limit::SHOWN_CALLERS;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The most names in one statement.
const CALLERS: usize = 4_096;

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
        let rows: Vec<(String, String, Option<String>, i64)> = sql::query_as(
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
        let mut connection = self.readers()?.begin().await?;
        let mut used: BTreeMap<String, UsedToday> =
            names.iter().map(|name| ((*name).to_owned(), UsedToday::default())).collect();
        for names in names.chunks(CALLERS) {
            let mut query = Builder::new("SELECT principal, jobs, bytes FROM usage WHERE day = ");
            query
                .push_bind(day_of(now))
                .push(" AND principal IN (")
                .push_list(names.iter().copied());
            let rows: Vec<(String, i64, i64)> =
                query.push(")").build_query_as().fetch_all(&mut *connection).await?;
            for (name, jobs, bytes) in rows {
                let used = used.entry(name).or_default();
                (used.jobs, used.bytes) = (to_u64(jobs), to_u64(bytes));
            }
            let mut query = Builder::new(
                "SELECT principal, count(*) FROM jobs INDEXED BY jobs_waiting WHERE phase = \
                 'awaiting_approval' AND approved = 0 AND principal IN (",
            );
            let query = query.push_list(names.iter().copied()).push(") GROUP BY principal");
            let rows: Vec<(String, i64)> =
                query.build_query_as().fetch_all(&mut *connection).await?;
            for (name, waiting) in rows {
                used.entry(name).or_default().waiting = to_u64(waiting);
            }
        }
        Ok(used)
    }

    /// The static tokens that have ended.
    pub async fn ended_tokens(&self) -> Result<Vec<TokenDigest>, ChangeError> {
        let rows: Vec<String> =
            sql::query_scalar("SELECT digest FROM tokens WHERE ended IS NOT NULL ORDER BY digest")
                .fetch_all(self.readers()?)
                .await?;
        rows.iter()
            .map(|digest| TokenDigest::try_from(digest.clone()).map_err(|_| damaged("digest")))
            .collect::<Result<_, RoleError>>()
            .map_err(ChangeError::from)
    }
}
