//! What executes a statement: a connection, or a pool that lends one for a single statement. Never
//! keeps a connection.

use super::connection::{Connection, Pool};
use super::query::{Changed, Query};
use super::row::Row;

/// A connection, or the pool that has one.
pub(crate) enum Lender<'c> {
    /// The caller's own connection.
    Own(&'c mut Connection),
    /// One of the pool, for one statement.
    Pool(&'c Pool),
}

/// What can execute a statement.
pub(crate) trait Executor<'c>: Send {
    /// The connection of the statement, or its pool.
    fn lender(self) -> Lender<'c>;
}

impl<'c> Executor<'c> for &'c mut Connection {
    fn lender(self) -> Lender<'c> {
        Lender::Own(self)
    }
}

impl<'c> Executor<'c> for &'c Pool {
    fn lender(self) -> Lender<'c> {
        Lender::Pool(self)
    }
}

impl<'c> Lender<'c> {
    pub(super) async fn execute(self, query: Query) -> sqlx::Result<Changed> {
        match self {
            Self::Own(connection) => connection.execute(query).await,
            Self::Pool(pool) => pool.acquire().await?.execute(query).await,
        }
    }

    pub(super) async fn execute_all(self, queries: Vec<Query>) -> sqlx::Result<Changed> {
        match self {
            Self::Own(connection) => connection.execute_all(queries).await,
            Self::Pool(pool) => pool.acquire().await?.execute_all(queries).await,
        }
    }

    pub(super) async fn all<T: Send + 'c>(
        self,
        query: Query,
        read: fn(&Row<'_>) -> sqlx::Result<T>,
    ) -> sqlx::Result<Vec<T>> {
        match self {
            Self::Own(connection) => connection.all(query, read).await,
            Self::Pool(pool) => pool.acquire().await?.all(query, read).await,
        }
    }

    pub(super) async fn optional<T: Send + 'c>(
        self,
        query: Query,
        read: fn(&Row<'_>) -> sqlx::Result<T>,
    ) -> sqlx::Result<Option<T>> {
        match self {
            Self::Own(connection) => connection.optional(query, read).await,
            Self::Pool(pool) => pool.acquire().await?.optional(query, read).await,
        }
    }
}
