//! The store in one file: its folder, its lock, and the write-ahead log that is folded into it.

use crate::store::open_files::OpenFiles;
use crate::store::sql::{self, Connection};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// An open store in a file.
pub(crate) struct Sqlite {
    /// The folder of the store.
    pub folder: PathBuf,
    /// The options of a connection that writes.
    pub options: SqliteConnectOptions,
    /// The files that were opened at the start: no other files are written.
    pub files: Arc<OpenFiles>,
    /// The connection that folds the write-ahead log beside the writer; `None` after the end. Never
    /// writes an entry.
    pub folding: Mutex<Option<Connection>>,
}

impl Sqlite {
    pub(super) async fn connect(&self) -> sqlx::Result<Connection> {
        SqliteConnection::connect_with(&self.options).await.map(Connection::from)
    }

    /// Folds the write-ahead log beside the writer. The writer reports an error.
    pub async fn fold(&self) {
        let mut folding = self.folding.lock().await;
        let Some(connection) = folding.as_mut().filter(|_| self.files.check().is_ok()) else {
            return;
        };
        let passive = sql::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await;
        if let Err(error) = passive {
            tracing::debug!(%error, "the write-ahead log was not folded beside the writer");
        }
    }

    /// Closes the connection that folds. The writer closes last: SQLite then folds its write-ahead
    /// log into the one file.
    pub async fn close(&self) {
        if let Some(folding) = self.folding.lock().await.take()
            && let Err(error) = folding.close().await
        {
            tracing::debug!(%error, "the connection that folds did not close cleanly");
        }
    }
}
