//! A connection of either engine, the reading connections, and the two kinds of transactions: of the
//! writer, and of readers. Never opens a connection: `open.rs` does.

use super::dialect::Rewritten;
use super::query::{Changed, Query};
use super::row::Row;
use super::value::{for_postgres, for_sqlite};
use sqlx::pool::PoolConnection;
use sqlx::{
    AssertSqlSafe, Connection as _, Database, PgConnection, PgPool, Postgres, Sqlite,
    SqliteConnection, SqlitePool,
};
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// A future of a statement. Its type is closed, so that the futures of whole changes stay small.
type Boxed<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// A connection to the store.
pub(crate) struct Connection {
    engine: Engine,
    /// True if a transaction of the writer ended without a commit, and is still open.
    abandoned: bool,
    /// The term of the sequencer whose connection this is. Each of its transactions checks it.
    term: Option<i64>,
}

enum Engine {
    Sqlite(Held<Sqlite>),
    Postgres(Held<Postgres>, Rewritten),
}

/// The ways in which a connection is held.
enum Held<D: Database> {
    /// It belongs to no pool.
    Own(D::Connection),
    /// It goes back to its pool.
    Pooled(PoolConnection<D>),
    /// It goes back to its pool after its transaction.
    Reading(sqlx::Transaction<'static, D>),
}

impl<D: Database> Held<D> {
    fn get(&mut self) -> &mut D::Connection {
        match self {
            Self::Own(connection) => connection,
            Self::Pooled(connection) => connection,
            Self::Reading(transaction) => transaction,
        }
    }
}

/// The longest wait for an answer of PostgreSQL: longer than the server's own limit of a statement.
const ANSWER: Duration = Duration::from_secs(10);

/// The answer of PostgreSQL, or the error of a server that gives none.
async fn answered<T>(asked: impl Future<Output = sqlx::Result<T>> + Send) -> sqlx::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into();
    timeout(ANSWER, asked).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// The beginning of a reading transaction of PostgreSQL: one state for all of its statements.
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl From<SqliteConnection> for Connection {
    fn from(connection: SqliteConnection) -> Self {
        Self { engine: Engine::Sqlite(Held::Own(connection)), abandoned: false, term: None }
    }
}

impl Connection {
    /// A connection of PostgreSQL.
    pub const fn postgres(connection: PgConnection, rewritten: Rewritten) -> Self {
        let engine = Engine::Postgres(Held::Own(connection), rewritten);
        Self { engine, abandoned: false, term: None }
    }

    /// Returns whether several statements, with their transaction, can be one request.
    pub const fn takes_scripts(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// Makes this the connection of the sequencer with this term.
    pub const fn lead(&mut self, term: i64) {
        self.term = Some(term);
    }

    /// Begins a transaction that writes. It is rolled back if it is dropped. In PostgreSQL it holds the
    /// row of the sequencer until its end: a take-over waits for it, and one before it is noticed.
    ///
    /// # Errors
    /// Those of the engine, and [`Fenced`] in a term that is over.
    pub async fn begin_write(&mut self) -> sqlx::Result<Writing<'_>> {
        self.script("BEGIN IMMEDIATE", "BEGIN").await?;
        let term = self.term;
        let mut transaction = Writing { connection: self, open: true };
        if let Some(own) = term {
            let found: i64 = super::query_scalar("SELECT term FROM sequencer FOR SHARE")
                .fetch_one(&mut *transaction)
                .await?;
            if found != own {
                transaction.rollback().await?;
                return Err(Fenced { found, own }.into());
            }
        }
        Ok(transaction)
    }

    /// Closes the connection. An open transaction is rolled back.
    pub async fn close(self) -> sqlx::Result<()> {
        match self.engine {
            Engine::Sqlite(Held::Own(connection)) => connection.close().await,
            Engine::Postgres(Held::Own(connection), _) => connection.close().await,
            Engine::Sqlite(_) | Engine::Postgres(..) => Ok(()),
        }
    }

    /// Executes constant statements without values: those of the engine.
    pub async fn script(
        &mut self,
        sqlite: impl Into<String>,
        postgres: impl Into<String>,
    ) -> sqlx::Result<()> {
        let text = if self.takes_scripts() { sqlite.into() } else { postgres.into() };
        self.settle().await?;
        self.raw(text).await
    }

    fn raw(&mut self, text: String) -> Boxed<'_, ()> {
        Box::pin(async move {
            let sql = sqlx::raw_sql(AssertSqlSafe(text));
            match &mut self.engine {
                Engine::Sqlite(held) => sql.execute(held.get()).await.map(drop),
                Engine::Postgres(held, _) => answered(sql.execute(held.get())).await.map(drop),
            }
        })
    }

    /// Rolls back what was abandoned.
    async fn settle(&mut self) -> sqlx::Result<()> {
        if std::mem::take(&mut self.abandoned) {
            self.raw("ROLLBACK".to_owned()).await?;
        }
        Ok(())
    }

    pub(super) fn execute(&mut self, query: Query) -> Boxed<'_, Changed> {
        Box::pin(async move {
            self.settle().await?;
            let Query { text, values } = query;
            match &mut self.engine {
                Engine::Sqlite(held) => {
                    let query = sqlx::query_with(AssertSqlSafe(text), for_sqlite(values)?);
                    query.execute(held.get()).await.map(|done| Changed(done.rows_affected()))
                }
                Engine::Postgres(held, rewritten) => {
                    let text = AssertSqlSafe(rewritten.of(text));
                    let query = sqlx::query_with(text, for_postgres(values)?);
                    let done = answered(query.execute(held.get())).await?;
                    Ok(Changed(done.rows_affected()))
                }
            }
        })
    }

    /// Executes statements in order: as one request of SQLite, and one by one of PostgreSQL, which
    /// takes no values with several statements.
    pub(super) async fn execute_all(&mut self, queries: Vec<Query>) -> sqlx::Result<Changed> {
        if self.takes_scripts() {
            let (mut text, mut values) = (String::new(), Vec::new());
            for mut query in queries {
                text.push_str(if text.is_empty() { "" } else { "; " });
                text.push_str(&query.text);
                values.append(&mut query.values);
            }
            return self.execute(Query { text: text.into(), values }).await;
        }
        let mut changed = Changed(0);
        for query in queries {
            changed.0 += self.execute(query).await?.0;
        }
        Ok(changed)
    }

    pub(super) fn all<'c, T: Send + 'c>(
        &'c mut self,
        query: Query,
        read: fn(&Row<'_>) -> sqlx::Result<T>,
    ) -> Boxed<'c, Vec<T>> {
        Box::pin(async move {
            self.settle().await?;
            let Query { text, values } = query;
            match &mut self.engine {
                Engine::Sqlite(held) => {
                    let query = sqlx::query_with(AssertSqlSafe(text), for_sqlite(values)?);
                    let rows = query.fetch_all(held.get()).await?;
                    rows.iter().map(|row| read(&Row::Sqlite(row))).collect()
                }
                Engine::Postgres(held, rewritten) => {
                    let text = AssertSqlSafe(rewritten.of(text));
                    let query = sqlx::query_with(text, for_postgres(values)?);
                    let rows = answered(query.fetch_all(held.get())).await?;
                    rows.iter().map(|row| read(&Row::Postgres(row))).collect()
                }
            }
        })
    }

    pub(super) fn optional<'c, T: Send + 'c>(
        &'c mut self,
        query: Query,
        read: fn(&Row<'_>) -> sqlx::Result<T>,
    ) -> Boxed<'c, Option<T>> {
        Box::pin(async move {
            self.settle().await?;
            let Query { text, values } = query;
            match &mut self.engine {
                Engine::Sqlite(held) => {
                    let query = sqlx::query_with(AssertSqlSafe(text), for_sqlite(values)?);
                    let row = query.fetch_optional(held.get()).await?;
                    row.map(|row| read(&Row::Sqlite(&row))).transpose()
                }
                Engine::Postgres(held, rewritten) => {
                    let text = AssertSqlSafe(rewritten.of(text));
                    let query = sqlx::query_with(text, for_postgres(values)?);
                    let row = answered(query.fetch_optional(held.get())).await?;
                    row.map(|row| read(&Row::Postgres(&row))).transpose()
                }
            }
        })
    }
}

/// The refusal of a write in a term that is over: another recorder is the sequencer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "another recorder took over in term {found}, and this one had term {own}; it ends, and starts \
     again as a standby"
)]
pub(crate) struct Fenced {
    /// The term of the database.
    pub found: i64,
    /// The term of this recorder.
    pub own: i64,
}

impl Fenced {
    /// The refusal in an error of a statement.
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::AnyDriverError(error) => error.downcast_ref().copied(),
            _ => None,
        }
    }
}

impl From<Fenced> for sqlx::Error {
    fn from(fenced: Fenced) -> Self {
        Self::AnyDriverError(Box::new(fenced))
    }
}

/// An open transaction of the writer.
#[must_use = "a transaction is rolled back when it is dropped"]
pub(crate) struct Writing<'c> {
    connection: &'c mut Connection,
    open: bool,
}

impl Writing<'_> {
    /// Commits. After an error it is not known whether the commit happened.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        self.connection.script("COMMIT", "COMMIT").await?;
        self.open = false;
        Ok(())
    }

    /// Rolls back.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        self.open = false;
        self.connection.script("ROLLBACK", "ROLLBACK").await
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.connection.abandoned |= self.open;
    }
}

impl Deref for Writing<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

/// The reading connections.
#[derive(Clone)]
pub(crate) enum Pool {
    /// Of SQLite.
    Sqlite(SqlitePool),
    /// Of PostgreSQL.
    Postgres(PgPool, Rewritten),
}

impl Pool {
    /// A connection, for single statements.
    pub async fn acquire(&self) -> sqlx::Result<Reading> {
        let engine = match self {
            Self::Sqlite(pool) => Engine::Sqlite(Held::Pooled(pool.acquire().await?)),
            Self::Postgres(pool, rewritten) => {
                Engine::Postgres(Held::Pooled(pool.acquire().await?), rewritten.clone())
            }
        };
        Ok(Reading(Connection { engine, abandoned: false, term: None }))
    }

    /// A transaction: its statements read one state of the store.
    pub async fn begin(&self) -> sqlx::Result<Reading> {
        let engine = match self {
            Self::Sqlite(pool) => Engine::Sqlite(Held::Reading(pool.begin().await?)),
            Self::Postgres(pool, rewritten) => {
                let transaction = pool.begin_with(READING).await?;
                Engine::Postgres(Held::Reading(transaction), rewritten.clone())
            }
        };
        Ok(Reading(Connection { engine, abandoned: false, term: None }))
    }

    /// The number of open connections.
    pub fn size(&self) -> u32 {
        match self {
            Self::Sqlite(pool) => pool.size(),
            Self::Postgres(pool, _) => pool.size(),
        }
    }

    /// Closes the connections, after the reads that run.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, _) => pool.close().await,
        }
    }
}

/// A connection of the pool: it goes back when it is dropped, and its transaction ends.
pub(crate) struct Reading(Connection);

impl Deref for Reading {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}
