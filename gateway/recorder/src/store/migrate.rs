//! Moves a stopped store from SQLite to an empty PostgreSQL database. The ledger is verified before
//! and after, and each table is compared, in the one transaction that makes the target: an
//! interrupted move leaves it empty. Never changes the store that it reads.

mod copy;
mod tables;
mod whole;

pub use whole::Whole;

use super::database;
use super::engine::Postgres;
use super::open::{MIGRATIONS, OpenError};
use super::sql::{Connection, query, query_scalar};
use crate::ledger::note::origin;
use crate::settings::Database;
use copy::{columns, content, copy};
use ed25519_dalek::VerifyingKey;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use tables::{COUNTED, TABLES};

/// The store that is moved: its folder, the environment of its ledger, and the key that signs it.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The folder of the store.
    pub store: &'a Path,
    /// The id of the environment, by the trust file.
    pub environment: &'a str,
    /// The recorder's public key, by the trust file.
    pub key: &'a VerifyingKey,
}

/// The progress of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The name of the table that is copied, or the check that runs.
    pub step: &'static str,
    /// The rows or entries so far.
    pub done: u64,
    /// The rows or entries at the end.
    pub of: u64,
}

/// The check of the ledger before anything is written.
pub const BEFORE: &str = "check before";

/// The check of the copied ledger.
pub const AFTER: &str = "check after";

/// A finished move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The ledger, the same in both stores.
    pub ledger: Whole,
    /// The rows of each table that has some.
    pub rows: Vec<(&'static str, u64)>,
}

/// The error of a move. The target is as it was before, and so is the store.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// A recorder has the store open.
    #[error("a recorder holds the store in `{0}`; stop `cofferdam serve` first")]
    Running(PathBuf),
    /// There is no store.
    #[error("there is no store in `{0}`; give the home of the installation with `--home`")]
    Absent(PathBuf),
    /// The file cannot be used.
    #[error("`{0}` cannot be used: {1}; make it readable for the user who runs this command")]
    File(PathBuf, std::io::Error),
    /// A recorder runs on the database.
    #[error("a recorder runs on the database `{0}`; stop each of them first")]
    InUse(String),
    /// The store is of another version.
    #[error(
        "the store has schema {found}, and this version moves schema {known}; {remedy}",
        remedy = if found > known {
            "use the version that wrote it, or a newer one"
        } else {
            "start `cofferdam serve` once with this version and stop it: the store is then of this \
             version"
        }
    )]
    Version {
        /// The schema of the store.
        found: u32,
        /// The schema of this version.
        known: u32,
    },
    /// The file of the store is damaged.
    #[error("the store is damaged: {0}; restore `store/` and `ledger/` together from a copy")]
    Damaged(String),
    /// The ledger is not what its checkpoint signs.
    #[error(
        "the ledger is not what its checkpoint signs: {0}; nothing was moved; keep the files as \
         they are, and restore `store/` and `ledger/` together from a copy"
    )]
    Ledger(String),
    /// The ledger belongs to another environment, or to another key.
    #[error(
        "the store has the ledger `{stored}`, and the trust file is of `{trusted}`; give the home \
         that both belong to"
    )]
    Environment {
        /// The ledger of the store.
        stored: String,
        /// The ledger of the trust file.
        trusted: String,
    },
    /// The database is not empty.
    #[error(
        "the database has tables already (`{0}`); a store is only moved into an empty one: make \
         another database"
    )]
    NotEmpty(String),
    /// A table came out of the database differently.
    #[error(
        "the table `{0}` came out of the database differently than it went in; nothing was moved; \
         this is a defect, please report it"
    )]
    Differs(&'static str),
    /// A table of the store is not known.
    #[error("the store has a table `{0}` that this version does not move; please report it")]
    Unknown(String),
    /// SQLite or PostgreSQL refused.
    #[error("the move failed, and nothing was moved: {0}; move again once the cause is gone")]
    Store(#[from] sqlx::Error),
    /// The answer to the commit is lost.
    #[error(
        "it is not known whether the database has the store: {0}; move again: if it has, the \
         command says that the database has tables already, and the store is whole"
    )]
    Commit(sqlx::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Target(#[from] OpenError),
}

/// Moves a stopped store into an empty database, and reports progress.
///
/// # Errors
/// [`MoveError`]: nothing was moved, except where it says that this is not known.
pub async fn migrate(
    from: Origin<'_>,
    to: Database,
    told: &mut (dyn FnMut(Progress) + Send),
) -> Result<Moved, MoveError> {
    let (mut source, _lock) = source(from.store).await?;
    known(&mut source).await?;
    let origin = origin(from.environment);
    let before = whole::verify(&mut source, (&origin, from.key), BEFORE, told).await?;
    let place = to.settings.place();
    let owned = Postgres::owned(to).await?;
    let (postgres, mut connection) = owned.ok_or(MoveError::InUse(place))?;
    empty(&mut connection).await?;
    let mut target = connection.begin_write().await?;
    postgres.make_tables(&mut target).await?;
    let mut copied = Vec::new();
    for table in &TABLES {
        let columns = columns(table, &mut source).await?;
        let content = copy(table, &columns, (&mut source, &mut target), told).await?;
        copied.push((table, columns, content.end()));
    }
    for (table, column) in COUNTED {
        let newest: Option<i64> = query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?")
            .bind(table)
            .fetch_optional(&mut source)
            .await?;
        let next = newest.unwrap_or(0).saturating_add(1);
        query(format!("ALTER TABLE {table} ALTER COLUMN {column} RESTART WITH {next}"))
            .execute(&mut *target)
            .await?;
    }
    for (table, columns, expected) in &copied {
        if content(table, columns, &mut target).await?.end() != *expected {
            return Err(MoveError::Differs(table.name));
        }
    }
    let after = whole::verify(&mut target, (&origin, from.key), AFTER, told).await?;
    if after != before {
        return Err(MoveError::Differs("leaves"));
    }
    target.commit().await.map_err(MoveError::Commit)?;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection of the move did not close cleanly");
    }
    let rows = copied.into_iter().map(|(table, _, (rows, _))| (table.name, rows));
    Ok(Moved { ledger: after, rows: rows.filter(|(_, rows)| *rows > 0).collect() })
}

/// Makes the tables in an empty database, or completes those of an older version. Returns the version
/// of the tables before and after; 0 before the first.
///
/// # Errors
/// A recorder runs on the database, or the database refuses.
pub async fn prepare(at: Database) -> Result<(u32, u32), MoveError> {
    let place = at.settings.place();
    let owned = Postgres::owned(at).await?;
    let (postgres, mut connection) = owned.ok_or(MoveError::InUse(place))?;
    let versions = postgres.complete(&mut connection).await?;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection of the owner did not close cleanly");
    }
    Ok(versions)
}

/// Locks and opens the store in a folder. Waits for no other process, and changes nothing.
async fn source(folder: &Path) -> Result<(Connection, File), MoveError> {
    let file = database(folder);
    if !file.is_file() {
        return Err(MoveError::Absent(folder.to_owned()));
    }
    let path = folder.join("lock");
    let lock = File::options().read(true).open(&path);
    let lock = lock.map_err(|error| MoveError::File(path.clone(), error))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => MoveError::Running(folder.to_owned()),
        TryLockError::Error(error) => MoveError::File(path, error),
    })?;
    let options = SqliteConnectOptions::new().filename(&file).read_only(true);
    let damaged = |error: sqlx::Error| match super::source::is_damage(&error) {
        true => MoveError::Damaged(error.to_string()),
        false => MoveError::Store(error),
    };
    let mut connection: Connection = options.connect().await.map_err(damaged)?.into();
    let check: String =
        query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await.map_err(damaged)?;
    if check != "ok" {
        return Err(MoveError::Damaged(check));
    }
    let found: i64 = query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    let (found, known) = (u32::try_from(found).unwrap_or(u32::MAX), MIGRATIONS.len());
    let known = u32::try_from(known).unwrap_or(u32::MAX);
    if found != known {
        return Err(MoveError::Version { found, known });
    }
    Ok((connection, lock))
}

/// Checks that this version knows each table of the store.
async fn known(source: &mut Connection) -> Result<(), MoveError> {
    let names: Vec<String> = query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' \
         ORDER BY name",
    )
    .fetch_all(source)
    .await?;
    let known: BTreeSet<&str> = TABLES.iter().map(|table| table.name).collect();
    let unknown = names.into_iter().find(|name| !known.contains(name.as_str()));
    unknown.map_or(Ok(()), |name| Err(MoveError::Unknown(name)))
}

/// Checks that the database has no table yet.
async fn empty(target: &mut Connection) -> Result<(), MoveError> {
    let first: Option<String> = query_scalar(
        "SELECT CAST(relname AS TEXT) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
         AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) \
         ORDER BY relname LIMIT 1",
    )
    .fetch_optional(target)
    .await?;
    first.map_or(Ok(()), |name| Err(MoveError::NotEmpty(name)))
}
