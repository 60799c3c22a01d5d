//! The work of the owner of the tables: makes them in an empty database, and completes those of an
//! older version. Never runs beside a recorder.

use super::{Postgres, TABLES, lock};
use crate::settings::Database;
use crate::store::open::{MIGRATIONS, OpenError};
use crate::store::sql::{self, Connection, Rewritten};
use std::sync::atomic::AtomicI64;

/// The settings of the owner's session, which has no standby that waits for it.
const PATIENT: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET \
                       idle_session_timeout = 0";

impl Postgres {
    /// Connects as the owner, and keeps each recorder from the database until the connection is
    /// closed. `None` if a recorder runs on it.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn owned(database: Database) -> Result<Option<(Self, Connection)>, OpenError> {
        let own = Self { database, rewritten: Rewritten::default(), term: AtomicI64::new(0) };
        let failed = |error: sqlx::Error| own.failed(&error);
        let mut connection = own.connect().await.map_err(failed)?;
        connection.script("", PATIENT).await.map_err(failed)?;
        own.check_encoding(&mut connection).await?;
        let free = lock(&mut connection).await.map_err(failed)?;
        Ok(free.then_some((own, connection)))
    }

    /// Makes the tables of this version, in an open transaction.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn make_tables(&self, connection: &mut Connection) -> sqlx::Result<()> {
        connection.script("", TABLES).await?;
        self.migrate_from(super::FIRST, connection).await
    }

    /// Makes the tables, or completes them. Returns the version before and after; 0 before the
    /// first.
    ///
    /// # Errors
    /// The database refuses, or a newer version made its tables.
    pub async fn complete(&self, connection: &mut Connection) -> Result<(u32, u32), OpenError> {
        let failed = |error: sqlx::Error| self.failed(&error);
        let made: bool = sql::query_scalar("SELECT to_regclass('meta') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let mut before = 0;
        if made {
            let found: i64 = sql::query_scalar("SELECT schema FROM meta")
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
            before = u32::try_from(found).unwrap_or(u32::MAX);
        }
        self.prepare(connection).await?;
        self.migrate(connection).await.map_err(failed)?;
        Ok((before, u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)))
    }
}
