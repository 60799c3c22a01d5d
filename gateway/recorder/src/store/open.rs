//! Opens the store: lock, pragmas and migrations. Refuses a store that another process has open,
//! and one of a newer version.

use super::busy;
use super::engine::{Engine, Postgres, Sqlite};
use super::open_files::OpenFiles;
use super::source::described;
use super::sql::{self, Connection, Pool};
use crate::remedy::remedy;
use crate::settings::RecorderContext;
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The migrations in order; the version of a store is the number of applied ones. Those after the
/// fifteenth are for both engines.
pub(super) const MIGRATIONS: [&str; 17] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
    include_str!("schema_11.sql"),
    include_str!("schema_12.sql"),
    include_str!("schema_13.sql"),
    include_str!("schema_14.sql"),
    include_str!("schema_15.sql"),
    include_str!("schema_16.sql"),
    include_str!("schema_17.sql"),
];

/// The migration that adds the objects of jobs.
const OBJECTS: u32 = 6;

/// The number of reading connections, for waiting agents and operators.
pub(crate) const READERS: u32 = 4;

/// The longest wait of a statement for another connection of this process.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// The error of a store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error(
        "another process holds the store in `{0}`; one recorder opens a store: stop the other \
         `cofferdam serve`, or give this one its own home"
    )]
    Held(PathBuf),
    /// A file or folder cannot be used.
    #[error("`{path}` cannot be used: {error}; {remedy}", error = .1, path = .0.display(), remedy = remedy(.1))]
    File(PathBuf, std::io::Error),
    /// A newer version wrote the store.
    #[error(
        "the store has schema {found}, this version knows {known}; start the version that wrote \
         it, or a newer one"
    )]
    Newer {
        /// The value of the store.
        found: u32,
        /// The newest schema of this version.
        known: u32,
    },
    /// An error of the engine: place, code, cause and remedy. The content of the ledger is not known.
    #[error("{0}")]
    Store(String),
    /// The first entries of this start could not be recorded.
    #[error("this start cannot be recorded: {0}")]
    Start(String),
    /// A task of the start failed.
    #[error("{0}; this is a defect, please report it")]
    Defect(String),
    /// The ledger does not match its signed checkpoint.
    #[error(
        "the store's ledger is not what its checkpoint signs: {0}; keep the files as they are, \
         and compare with `cofferdam ledger verify`"
    )]
    Ledger(String),
    /// The store belongs to another environment.
    #[error(
        "this trust file belongs to another environment ({trusted}) than the stored ledger \
         ({stored}); restore the right trust file"
    )]
    Environment {
        /// The environment of the trust file.
        trusted: String,
        /// The value of the store.
        stored: String,
    },
    /// The published ledger is ahead.
    #[error(
        "the published ledger has {published} entries, the store {stored}: the store is older \
         than what was published, as after restoring a backup; restore the newer one"
    )]
    RolledBack {
        /// The number of published entries.
        published: u64,
        /// The number of stored entries.
        stored: u64,
    },
    /// The ledger cannot be published.
    #[error("the ledger cannot be published: {0}")]
    Publish(#[from] crate::ledger::publish::PublishError),
    /// The operating system gave no random bytes.
    #[error("no randomness: {0}")]
    Random(String),
}

/// An open store: no other process writes it while this exists.
pub(crate) struct Opened {
    /// The only writing connection.
    pub writer: Connection,
    /// The reading connections.
    pub readers: Pool,
    /// The engine.
    pub engine: Arc<Engine>,
    /// The lock of a file, kept until this is dropped or the process ends.
    pub lock: Option<File>,
}

/// Opens the store: the database, if one is configured, or else the file in the folder.
pub(crate) async fn open(settings: &RecorderContext) -> Result<Opened, OpenError> {
    let Some(database) = settings.database.clone() else { return open_file(&settings.store).await };
    let (postgres, writer, readers) = Postgres::open(database, &*settings.stands_by).await?;
    Ok(Opened {
        writer,
        readers,
        engine: Arc::new(Engine::Postgres(Box::new(postgres))),
        lock: None,
    })
}

/// Opens the store in a folder.
pub(super) async fn open_file(folder: &Path) -> Result<Opened, OpenError> {
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |error| OpenError::File(path, error)
    };
    // Only this user may read the store.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(file_error(folder))?;
    let lock_path = folder.join("lock");
    let mut lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(file_error(&lock_path))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Held(folder.to_owned()),
        TryLockError::Error(error) => OpenError::File(lock_path.clone(), error),
    })?;
    // The text explains the file to people. The kernel has the lock, so a stale file locks no
    // process out.
    lock.set_len(0)
        .and_then(|()| lock.write_all(b"held by the recorder while it runs\n"))
        .map_err(file_error(&lock_path))?;
    let options = SqliteConnectOptions::new()
        .filename(super::database(folder))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        // A confined role has no folder for temporary files of large statements.
        .pragma("temp_store", "MEMORY")
        .foreign_keys(true);
    // Erased payloads are overwritten, not only unlinked.
    let writing = options
        .clone()
        .pragma("secure_delete", "ON")
        // A commit never waits for the log to be folded: another connection does that.
        .pragma("wal_autocheckpoint", "0");
    let mut writer = SqliteConnection::connect_with(&writing.clone().create_if_missing(true))
        .await
        .map(Connection::from)
        .map_err(failed(folder))?;
    let found: i64 = sql::query_scalar("PRAGMA user_version")
        .fetch_one(&mut writer)
        .await
        .map_err(failed(folder))?;
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    migrate(found, &mut writer).await.map_err(failed(folder))?;
    let held = Arc::new(OpenFiles::take(folder).map_err(file_error(&super::database(folder)))?);
    let folding = SqliteConnection::connect_with(&writing).await.map_err(failed(folder))?.into();
    let first = Arc::clone(&held);
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        // They stay open: later, another file may be at this path.
        .idle_timeout(None)
        .max_lifetime(None)
        // A failed connection is found when it is given back. A read of a lost store ends soon.
        .test_before_acquire(false)
        .acquire_timeout(BUSY)
        // A later connection must not read a file that replaced the store.
        .after_connect(move |_, _| {
            let checked = first.check_database().map_err(sqlx::Error::Protocol);
            Box::pin(async move { checked })
        })
        .connect_with(options.read_only(true))
        .await
        .map(Pool::Sqlite)
        .map_err(failed(folder))?;
    open_all(&readers).await.map_err(failed(folder))?;
    let sqlite = Sqlite {
        folder: folder.to_owned(),
        options: writing,
        files: held,
        folding: Mutex::new(Some(folding)),
    };
    Ok(Opened {
        writer,
        readers,
        engine: Arc::new(Engine::Sqlite(Box::new(sqlite))),
        lock: Some(lock),
    })
}

/// Opens every reading connection. The pool itself opens one, and the others when they are needed.
async fn open_all(readers: &Pool) -> sqlx::Result<()> {
    let mut open = Vec::new();
    for _ in 0..READERS {
        open.push(readers.acquire().await?);
    }
    Ok(())
}

/// An error of the store at the start.
pub(crate) fn failed_to_open(engine: &Engine) -> impl FnOnce(sqlx::Error) -> OpenError {
    move |error| OpenError::Store(engine.described("cannot be opened", &error))
}

/// An error of SQLite while it is opened.
fn failed(folder: &Path) -> impl FnOnce(sqlx::Error) -> OpenError {
    move |error| OpenError::Store(described(folder, "cannot be opened", &error))
}

pub(super) async fn migrate(found: u32, connection: &mut Connection) -> sqlx::Result<()> {
    for (migration, version) in
        MIGRATIONS.iter().zip(1u32..).skip(usize::try_from(found).unwrap_or(usize::MAX))
    {
        let mut transaction = connection.begin_write().await?;
        transaction.script(*migration, *migration).await?;
        if version == OBJECTS {
            busy::compute(&mut transaction).await?;
        }
        // A pragma accepts no bound values; the number is a constant of this crate.
        transaction.script(format!("PRAGMA user_version = {version}"), "").await?;
        transaction.commit().await?;
    }
    Ok(())
}
