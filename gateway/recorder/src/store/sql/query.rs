//! One statement with its bound values, and the ways to execute it. Never has the text of a request
//! in a statement: that is always a bound value.

use super::executor::Executor;
use super::row::{Field, FromRow, Row};
use super::value::Value;
use std::borrow::Cow;
use std::marker::PhantomData;

/// A statement with its bound values.
#[must_use = "a statement does nothing before it is executed"]
pub(crate) struct Query {
    pub(super) text: Cow<'static, str>,
    pub(super) values: Vec<Value>,
}

/// The result of a statement without rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed(pub(super) u64);

impl Changed {
    /// The number of inserted, changed or removed rows.
    pub const fn rows_affected(self) -> u64 {
        self.0
    }
}

/// A statement in the dialect of SQLite.
pub(crate) fn query(text: impl Into<Cow<'static, str>>) -> Query {
    Query { text: text.into(), values: Vec::new() }
}

/// A statement whose rows are read as `T`.
pub(crate) fn query_as<T: FromRow>(text: impl Into<Cow<'static, str>>) -> QueryAs<T> {
    QueryAs { query: query(text), rows: PhantomData }
}

/// A statement whose rows have one column, read as `T`.
pub(crate) fn query_scalar<T: Field>(text: impl Into<Cow<'static, str>>) -> QueryScalar<T> {
    QueryScalar(QueryAs { query: query(text), rows: PhantomData })
}

impl Query {
    /// Binds the next value.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Executes the statement.
    pub async fn execute<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<Changed> {
        executor.lender().execute(self).await
    }

    /// The same statement, with its rows.
    pub(super) const fn read<T: FromRow>(self) -> QueryAs<T> {
        QueryAs { query: self, rows: PhantomData }
    }
}

/// A statement whose rows are read as `T`.
#[must_use = "a statement does nothing before it is executed"]
pub(crate) struct QueryAs<T> {
    query: Query,
    rows: PhantomData<fn() -> T>,
}

impl<T: FromRow + Send + 'static> QueryAs<T> {
    /// Binds the next value.
    pub fn bind(self, value: impl Into<Value>) -> Self {
        Self { query: self.query.bind(value), rows: PhantomData }
    }

    /// Reads all rows.
    pub async fn fetch_all<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<Vec<T>> {
        executor.lender().all(self.query, T::from_row).await
    }

    /// Reads the only row.
    pub async fn fetch_one<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<T> {
        executor.lender().optional(self.query, T::from_row).await?.ok_or(NONE)
    }

    /// Reads a row, if there is one.
    pub async fn fetch_optional<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<Option<T>> {
        executor.lender().optional(self.query, T::from_row).await
    }
}

/// A statement whose rows have one column, read as `T`.
#[must_use = "a statement does nothing before it is executed"]
pub(crate) struct QueryScalar<T>(QueryAs<One<T>>);

/// The only column of a row.
struct One<T>(T);

impl<T: Field> FromRow for One<T> {
    fn from_row(row: &Row<'_>) -> sqlx::Result<Self> {
        row.at(0).map(Self)
    }
}

impl<T: Field + Send + 'static> QueryScalar<T> {
    pub(super) const fn of(query: Query) -> Self {
        Self(query.read())
    }

    /// Binds the next value.
    pub fn bind(self, value: impl Into<Value>) -> Self {
        Self(self.0.bind(value))
    }

    /// Reads the column of all rows.
    pub async fn fetch_all<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<Vec<T>> {
        let rows = self.0.fetch_all(executor).await?;
        Ok(rows.into_iter().map(|One(value)| value).collect())
    }

    /// Reads the column of the only row.
    pub async fn fetch_one<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<T> {
        self.0.fetch_one(executor).await.map(|One(value)| value)
    }

    /// Reads the column of a row, if there is one.
    pub async fn fetch_optional<'c>(self, executor: impl Executor<'c>) -> sqlx::Result<Option<T>> {
        Ok(self.0.fetch_optional(executor).await?.map(|One(value)| value))
    }
}

/// The error of a statement without its row.
const NONE: sqlx::Error = sqlx::Error::RowNotFound;
