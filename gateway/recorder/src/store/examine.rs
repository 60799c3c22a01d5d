//! Examines a store while no recorder has it open: integrity, environment and size. Only reads.

use super::database;
use super::engine::{ExaminedDatabase, Postgres};
use super::source::is_damage;
use crate::ledger::note::ORIGIN;
use crate::settings::Database;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;

/// The result of examining a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The environment of its ledger; `None` for an empty store.
    pub environment: Option<String>,
    /// The number of ledger entries.
    pub entries: u64,
}

/// The error of an examination, without a remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// The file exists and is not a valid store.
    #[error("{0}")]
    Damaged(String),
    /// The file cannot be read; its content is not known.
    #[error("{0}")]
    Unreadable(String),
}

/// Examines the store in a folder.
///
/// # Errors
/// The store is damaged or unreadable: the error text of SQLite.
pub fn examine(folder: &Path) -> Result<Examined, ExamineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ExamineError::Unreadable(error.to_string()))?;
    runtime.block_on(look(folder)).map_err(|error| match &error {
        // The finding of the integrity check.
        sqlx::Error::Protocol(found) => ExamineError::Damaged(found.clone()),
        error if is_damage(error) => ExamineError::Damaged(plain(error)),
        error => ExamineError::Unreadable(plain(error)),
    })
}

/// Looks into a database, and changes nothing.
///
/// # Errors
/// The database cannot be read: place, cause and remedy.
pub fn examine_database(database: Database) -> Result<ExaminedDatabase, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(Postgres::examine(database))
}

async fn look(folder: &Path) -> Result<Examined, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(database(folder)).read_only(true);
    let mut connection: SqliteConnection = options.connect().await?;
    let check: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    if check != "ok" {
        return Err(sqlx::Error::Protocol(check));
    }
    // A store without tables was never opened by a recorder.
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'checkpoint'")
            .fetch_one(&mut connection)
            .await?;
    let mut examined = Examined { environment: None, entries: 0 };
    if tables > 0 {
        let entries: i64 =
            sqlx::query_scalar("SELECT count(*) FROM leaves").fetch_one(&mut connection).await?;
        examined.entries = u64::try_from(entries).unwrap_or(0);
        let note: Option<String> = sqlx::query_scalar("SELECT note FROM checkpoint")
            .fetch_optional(&mut connection)
            .await?;
        let origin = note
            .as_deref()
            .and_then(|note| note.lines().next())
            .and_then(|line| line.strip_prefix(ORIGIN));
        examined.environment = origin.map(str::to_owned);
    }
    connection.close().await?;
    Ok(examined)
}

/// The error text of SQLite, once.
fn plain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}
