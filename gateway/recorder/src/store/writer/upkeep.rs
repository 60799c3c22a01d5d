//! The upkeep of the store between two commits: the write-ahead log of SQLite is folded and made
//! short, and the session of PostgreSQL is used. Never writes an entry.

use super::Writer;
use crate::store::database;
use crate::store::open::BUSY;
use crate::store::sql::{self, Connection};
use crate::waiters::locked;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The longest write-ahead log that is kept, in bytes: a few seconds of full load.
const LONGEST_LOG: u64 = 256 << 20;

/// The longest wait for readers while the write-ahead log is made empty between two batches.
const TRUNCATING: Duration = Duration::from_millis(100);

impl Writer {
    /// Folds the write-ahead log. A long reader prevents that: the log grows, and a warning names
    /// it.
    pub(super) async fn fold(&mut self) {
        if self.shared.forgetting.load(Ordering::Relaxed) {
            self.forget().await;
        }
        let Some(sqlite) = self.source.engine.sqlite() else { return self.keep_session().await };
        let Some(connection) = &mut self.connection else { return };
        let file = database(&sqlite.folder).with_extension("db-wal");
        let folded = match sql::query_as::<(i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_one(&mut *connection)
            .await
        {
            // The log is folded, and is written again from its beginning: that is faster than a
            // new file.
            Ok((_, frames, folded))
                if frames == folded
                    && locked(&self.shared.pinned).is_none()
                    && std::fs::metadata(&file).is_ok_and(|file| file.len() < LONGEST_LOG) =>
            {
                Ok(true)
            }
            Ok((_, frames, folded)) if frames == folded => {
                // It had become too long: truncate it. A new reader only delays that.
                let known = locked(&self.shared.pinned).is_some();
                truncate_log(connection).await.map(|done| done || !known)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        let mut pinned = locked(&self.shared.pinned);
        match folded {
            Ok(true) if pinned.take().is_some() => {
                tracing::info!("the write-ahead log is folded back again")
            }
            Ok(true) => {}
            Ok(false) => {
                let long =
                    std::fs::metadata(&file).map(|file| file.len() >> 20).unwrap_or_default();
                let file = file.display();
                let why = format!(
                    "`{file}` has {long} MiB: a process that reads the store keeps it from \
                     becoming short; end that process (`fuser {file}` names it)"
                );
                if pinned.is_none() {
                    tracing::warn!(path = %file, "{why}");
                }
                *pinned = Some(why);
            }
            Err(error) => {
                tracing::warn!(what = "write-ahead log", %error,
                "the write-ahead log cannot be folded back; tried again")
            }
        }
    }

    /// Uses the session of the sequencer, so that the server does not end it, and finds out early
    /// that it ended or that another recorder took over.
    async fn keep_session(&mut self) {
        let connection = match self.connected().await {
            Ok(connection) => connection,
            Err(error) => return self.failed(&error),
        };
        match used(connection).await {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => self.failed(&error.into()),
        }
    }

    /// Removes erased payloads from the write-ahead log. While a reader prevents it, the sweep asks
    /// for it again. PostgreSQL removes them by its own vacuum.
    pub(super) async fn forget(&mut self) {
        if self.source.engine.sqlite().is_none() {
            return self.shared.forgetting.store(false, Ordering::Relaxed);
        }
        let Some(connection) = &mut self.connection else { return };
        match truncate_log(connection).await {
            Ok(true) => self.shared.forgetting.store(false, Ordering::Relaxed),
            Ok(false) => tracing::debug!("a reader keeps erased payloads in the write-ahead log"),
            Err(error) => tracing::warn!(what = "write-ahead log", %error,
            "erased payloads stay in the write-ahead log; tried again"),
        }
    }
}

/// Folds the whole write-ahead log and makes its file empty. False if a reader prevented that:
/// SQLite says so in its answer, not by an error.
async fn truncate_log(connection: &mut Connection) -> Result<bool, sqlx::Error> {
    let limit = |wait: Duration| format!("PRAGMA busy_timeout = {}", wait.as_millis());
    connection.script(limit(TRUNCATING), "").await?;
    let truncated = sql::query_as::<(i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&mut *connection)
        .await;
    connection.script(limit(BUSY), "").await?;
    truncated.map(|(busy, _, _)| busy == 0)
}

/// Uses a session: a transaction that checks the term, and changes nothing.
async fn used(mut connection: Connection) -> sqlx::Result<Connection> {
    connection.begin_write().await?.rollback().await?;
    Ok(connection)
}
