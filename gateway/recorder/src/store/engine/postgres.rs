//! The store in PostgreSQL: connections, tables, and the one recorder that writes. That one, the
//! sequencer, has a lock on the session of its writing connection, and a term that each of its
//! transactions checks. Never writes in a term that is over.

mod errors;
mod owner;

pub(crate) use errors::is_passing;

use crate::ledger::note::ORIGIN;
use crate::settings::Database;
use crate::store::batch::to_u64;
use crate::store::open::{MIGRATIONS, OpenError, READERS};
use crate::store::sql::{self, Connection, Fenced, Pool, Rewritten};
use cofferdam_core::protocol::role_settings::{DatabaseSettings, DatabaseTls};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The tables of SQLite's version 15.
const TABLES: &str = include_str!("../postgres_15.sql");

/// The version of [`TABLES`].
const FIRST: usize = 15;

/// The lock of the sequencer, in its database: a number that no other program is likely to use.
const LOCK: i64 = 0x636f_6666_6572_6461;

/// The pause between two tries to become the sequencer.
const TRY: Duration = Duration::from_millis(250);

/// The longest wait for a new connection to the server.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest wait for the lock after a lost connection: the server ends the lost session within
/// this time.
const RETAKE: Duration = Duration::from_secs(3);

/// Prepared statements that a connection keeps: about the number of different texts.
const STATEMENTS: usize = 512;

/// The settings of each session. The server ends the session of a machine that is gone within a few
/// seconds, and ends a statement before the recorder stops waiting for it.
const SESSION: [(&str, &str); 6] = [
    ("tcp_keepalives_idle", "2"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
    ("statement_timeout", "8000"),
    ("idle_in_transaction_session_timeout", "10000"),
];

/// The setting of the writing session: a sequencer that is paused loses its session, and a standby
/// takes over. A running one uses the session every second.
const PAUSED: (&str, &str) = ("idle_session_timeout", "10000");

/// The result of a look into a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExaminedDatabase {
    /// The environment of its ledger; `None` for an empty database.
    pub environment: Option<String>,
    /// The number of ledger entries under its signed checkpoint.
    pub entries: u64,
    /// The newest term of a sequencer; 0 before the first one.
    pub term: u64,
    /// The newest sequencer, in its own words: machine and process.
    pub holder: String,
}

/// An open store in a database.
pub(crate) struct Postgres {
    database: Database,
    rewritten: Rewritten,
    /// The term of this sequencer.
    term: AtomicI64,
}

impl Postgres {
    /// Opens the database: waits until this recorder is the sequencer, and makes or completes the
    /// tables. `waits` is called once if another recorder is the sequencer.
    ///
    /// # Errors
    /// The database cannot be used, or a newer version made its tables.
    pub async fn open(
        database: Database,
        waits: &(dyn Fn() + Send + Sync),
    ) -> Result<(Self, Connection, Pool), OpenError> {
        let own = Self { database, rewritten: Rewritten::default(), term: AtomicI64::new(0) };
        let failed = |error: sqlx::Error| own.failed(&error);
        let mut connection = own.stand_by(waits).await?;
        own.prepare(&mut connection).await?;
        let term = own.take_over(&mut connection).await.map_err(failed)?;
        own.term.store(term, Ordering::Relaxed);
        connection.lead(term);
        own.migrate(&mut connection).await.map_err(failed)?;
        let pool = own.pool().await.map_err(failed)?;
        Ok((own, connection, pool))
    }

    /// Looks into the database, and changes nothing.
    ///
    /// # Errors
    /// The database cannot be read: place, cause and remedy.
    pub async fn examine(database: Database) -> Result<ExaminedDatabase, String> {
        let own = Self { database, rewritten: Rewritten::default(), term: AtomicI64::new(0) };
        let looked = async {
            let mut connection = own.connect().await?;
            let made: bool = sql::query_scalar("SELECT to_regclass('sequencer') IS NOT NULL")
                .fetch_one(&mut connection)
                .await?;
            if !made {
                return Ok(ExaminedDatabase::default());
            }
            let note: Option<String> = sql::query_scalar("SELECT note FROM checkpoint")
                .fetch_optional(&mut connection)
                .await?;
            let (term, holder): (i64, String) = sql::query_as("SELECT term, holder FROM sequencer")
                .fetch_one(&mut connection)
                .await?;
            let mut lines = note.as_deref().unwrap_or_default().lines();
            let environment = lines.next().and_then(|line| line.strip_prefix(ORIGIN));
            let environment = environment.map(str::to_owned);
            let entries = lines.next().and_then(|line| line.parse().ok()).unwrap_or_default();
            let _ended = connection.close().await;
            Ok(ExaminedDatabase { environment, entries, term: to_u64(term), holder })
        };
        let looked: sqlx::Result<ExaminedDatabase> = looked.await;
        looked.map_err(|error| own.described("cannot be read", &error))
    }

    /// The database for people: server, port and name.
    pub fn place(&self) -> String {
        self.database.settings.place()
    }

    /// The error of a failure at the start.
    fn failed(&self, error: &sqlx::Error) -> OpenError {
        OpenError::Store(self.described("cannot be opened", error))
    }

    /// Waits until this recorder has the lock. A connection that is lost meanwhile is made again.
    async fn stand_by(&self, waits: &(dyn Fn() + Send + Sync)) -> Result<Connection, OpenError> {
        let mut connection = self.connect().await.map_err(|error| self.failed(&error))?;
        let mut told = false;
        loop {
            match lock(&mut connection).await {
                Ok(true) => return Ok(connection),
                Ok(false) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(
                            "another recorder is the sequencer of `{}`; this one stands by",
                            self.place()
                        );
                        waits();
                    }
                    sleep(TRY).await;
                }
                Err(error) if !told => return Err(self.failed(&error)),
                Err(error) => {
                    tracing::warn!(
                        what = "standby",
                        "{}",
                        self.described("cannot be reached", &error)
                    );
                    connection = loop {
                        sleep(TRY).await;
                        if let Ok(connection) = self.connect().await {
                            break connection;
                        }
                    };
                }
            }
        }
    }

    async fn check_encoding(&self, connection: &mut Connection) -> Result<(), OpenError> {
        let failed = |error: sqlx::Error| self.failed(&error);
        let encoding: String = sql::query_scalar("SELECT current_setting('server_encoding')")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if encoding != "UTF8" {
            return Err(OpenError::Store(format!(
                "the database `{}` has the encoding {encoding}; make one with UTF8: `createdb \
                 --encoding=UTF8 --template=template0`",
                self.place()
            )));
        }
        Ok(())
    }

    /// Makes the tables of the first version in an empty database.
    async fn prepare(&self, connection: &mut Connection) -> Result<(), OpenError> {
        let failed = |error: sqlx::Error| self.failed(&error);
        self.check_encoding(connection).await?;
        let made: bool = sql::query_scalar("SELECT to_regclass('meta') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if !made {
            let script = format!("BEGIN; {TABLES} COMMIT");
            connection.script("", script).await.map_err(failed)?;
        }
        let found: i64 = sql::query_scalar("SELECT schema FROM meta")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
        if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
    }

    /// Begins the next term. The update waits for a transaction of the term before.
    async fn take_over(&self, connection: &mut Connection) -> sqlx::Result<i64> {
        sql::query_scalar(
            "UPDATE sequencer SET term = term + 1, holder = ?, since = CAST(extract(epoch FROM \
             clock_timestamp()) * 1000 AS BIGINT) RETURNING term",
        )
        .bind(self.database.holder.as_str())
        .fetch_one(connection)
        .await
    }

    /// Completes the tables, in one transaction of this term.
    async fn migrate(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let found: i64 =
            sql::query_scalar("SELECT schema FROM meta").fetch_one(&mut *connection).await?;
        let found = usize::try_from(found).unwrap_or(FIRST);
        let mut transaction = connection.begin_write().await?;
        self.migrate_from(found.max(FIRST), &mut transaction).await?;
        transaction.commit().await
    }

    /// Completes tables of the version `found`, in an open transaction.
    async fn migrate_from(&self, found: usize, connection: &mut Connection) -> sqlx::Result<()> {
        for (migration, version) in MIGRATIONS.iter().zip(1_i64..).skip(found) {
            connection.script("", sql::schema(migration)).await?;
            let noted = sql::query("UPDATE meta SET schema = ?").bind(version);
            noted.execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn connect(&self) -> sqlx::Result<Connection> {
        let options = self.options().options([PAUSED]);
        let connecting = timeout(CONNECT, PgConnection::connect_with(&options)).await;
        let connection = connecting.unwrap_or_else(|_| Err(errors::no_answer()))?;
        Ok(Connection::postgres(connection, self.rewritten.clone()))
    }

    /// Opens a writing connection after one was lost, and takes the lock again. The term shows if
    /// another recorder was the sequencer meanwhile.
    pub(super) async fn connect_again(&self) -> sqlx::Result<Connection> {
        let mut connection = self.connect().await?;
        let term = self.term.load(Ordering::Relaxed);
        let begun = Instant::now();
        loop {
            let locked = lock(&mut connection).await?;
            let found: i64 =
                sql::query_scalar("SELECT term FROM sequencer").fetch_one(&mut connection).await?;
            if found != term {
                return Err(Fenced { found, own: term }.into());
            }
            if locked {
                connection.lead(term);
                return Ok(connection);
            }
            if begun.elapsed() >= RETAKE {
                return Err(sqlx::Error::Protocol(
                    "the server has not ended the lost session of this recorder yet".to_owned(),
                ));
            }
            sleep(TRY).await;
        }
    }

    async fn pool(&self) -> sqlx::Result<Pool> {
        let pool = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(CONNECT)
            .connect_with(self.options())
            .await?;
        Ok(Pool::Postgres(pool, self.rewritten.clone()))
    }

    fn options(&self) -> PgConnectOptions {
        let Database { settings, password, ca, .. } = &self.database;
        let DatabaseSettings { host, port, user, database, tls, .. } = settings;
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(*port)
            .username(user)
            .database(database)
            .application_name("cofferdam-recorder")
            .statement_cache_capacity(STATEMENTS)
            .options(SESSION)
            .ssl_mode(match tls {
                DatabaseTls::Off => PgSslMode::Disable,
                DatabaseTls::VerifyCa => PgSslMode::VerifyCa,
                DatabaseTls::VerifyFull => PgSslMode::VerifyFull,
            });
        if let Some(password) = password {
            options = options.password(password);
        }
        if let Some(ca) = ca {
            options = options.ssl_root_cert_from_pem(ca.clone());
        }
        options
    }

    /// The description of a failure: place, cause and remedy.
    pub fn described(&self, what: &str, error: &sqlx::Error) -> String {
        errors::described(&self.place(), what, error)
    }
}

/// Tries to take the lock of the sequencer for the session of a connection.
async fn lock(connection: &mut Connection) -> sqlx::Result<bool> {
    sql::query_scalar("SELECT pg_try_advisory_lock(?)").bind(LOCK).fetch_one(connection).await
}
