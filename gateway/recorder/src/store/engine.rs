//! What differs between the two engines beside SQL: files, locks and the errors of each. Never has a
//! statement of a change.

mod postgres;
mod sqlite;

pub use postgres::ExaminedDatabase;
pub(crate) use postgres::{Postgres, is_passing};
pub(crate) use sqlite::Sqlite;

use super::sql::Connection;

/// The engine of an open store.
pub(crate) enum Engine {
    /// One file of this machine, which no other process has open.
    Sqlite(Box<Sqlite>),
    /// A database that recorders of several machines know. One of them writes.
    Postgres(Box<Postgres>),
}

impl Engine {
    /// Opens a connection that writes, in the place of one that failed.
    ///
    /// # Errors
    /// The store cannot be opened, or another recorder is the sequencer.
    pub async fn connect(&self) -> sqlx::Result<Connection> {
        match self {
            Self::Sqlite(sqlite) => sqlite.connect().await,
            Self::Postgres(postgres) => postgres.connect_again().await,
        }
    }

    /// Checks that the open files of the store are at their paths.
    ///
    /// # Errors
    /// One is not: path, cause and remedy.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Sqlite(sqlite) => sqlite.files.check(),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// The same for the file of the database alone.
    ///
    /// # Errors
    /// As [`Engine::check`].
    pub fn check_database(&self) -> Result<(), String> {
        match self {
            Self::Sqlite(sqlite) => sqlite.files.check_database(),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Notes the files of the newest connection that writes.
    pub fn note_files(&self) {
        if let Self::Sqlite(sqlite) = self {
            sqlite.files.note_logs();
        }
    }

    /// The engine of one file; `None` for PostgreSQL.
    pub fn sqlite(&self) -> Option<&Sqlite> {
        match self {
            Self::Sqlite(sqlite) => Some(sqlite),
            Self::Postgres(_) => None,
        }
    }

    /// The place of the store, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(sqlite) => format!("the store in `{}`", sqlite.folder.display()),
            Self::Postgres(postgres) => format!("the store in `{}`", postgres.place()),
        }
    }

    /// Returns whether a write could succeed again, as far as that shows without one.
    pub fn may_write(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => super::tried(&sqlite.folder).is_ok(),
            Self::Postgres(_) => true,
        }
    }

    /// The description of a failure: place, cause and remedy. `what` continues after the place
    /// (`cannot be opened`).
    pub fn described(&self, what: &str, error: &sqlx::Error) -> String {
        match self {
            Self::Sqlite(sqlite) => super::described(&sqlite.folder, what, error),
            Self::Postgres(postgres) => postgres.described(what, error),
        }
    }
}
