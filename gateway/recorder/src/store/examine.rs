//! A store looked at from outside, while no recorder has it: whether it is whole, whose it is, how
//! much is in it. Reads only.

use super::database;
use super::source::is_damage;
use crate::ledger::note::ORIGIN;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;

/// What a look at a store gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The environment whose ledger it holds; none while it holds none.
    pub environment: Option<String>,
    /// Entries of its ledger.
    pub entries: u64,
}

/// A look that failed; without a remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// The file is there, and holds no store or a broken one.
    #[error("{0}")]
    Damaged(String),
    /// It cannot be read. This says nothing about what is in it.
    #[error("{0}")]
    Unreadable(String),
}

/// Looks at the store in this folder.
///
/// # Errors
/// It is damaged, or cannot be read: SQLite's own words.
pub fn examine(folder: &Path) -> Result<Examined, ExamineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ExamineError::Unreadable(error.to_string()))?;
    runtime.block_on(look(folder)).map_err(|error| match &error {
        // What the check found.
        sqlx::Error::Protocol(found) => ExamineError::Damaged(found.clone()),
        error if is_damage(error) => ExamineError::Damaged(plain(error)),
        error => ExamineError::Unreadable(plain(error)),
    })
}

async fn look(folder: &Path) -> Result<Examined, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(database(folder)).read_only(true);
    let mut connection: SqliteConnection = options.connect().await?;
    let check: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    if check != "ok" {
        return Err(sqlx::Error::Protocol(check));
    }
    // A store that no recorder has opened yet has no tables.
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

/// SQLite's own words, once.
fn plain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}
