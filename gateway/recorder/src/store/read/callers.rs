//! Reads of the register of callers, for operators.

use super::Reader;
use crate::store::batch::ChangeError;
use crate::store::row::{damaged, parse};
use cofferdam_core::model::callers::ServedCaller;
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::model::limit::SHOWN_CALLERS;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;

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
