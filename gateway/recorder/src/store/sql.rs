//! The thin layer over the two engines of the store, SQLite and PostgreSQL. SQL is written once, in
//! the dialect of SQLite: `?` for a bound value, and `INDEXED BY` as a hint. For PostgreSQL the
//! layer rewrites it. Never decides what is stored.

mod builder;
mod connection;
mod dialect;
mod executor;
mod query;
mod row;
mod value;

pub(crate) use builder::Builder;
pub(crate) use connection::{Connection, Fenced, Pool};
pub(crate) use dialect::{Rewritten, schema};
pub(crate) use executor::Executor;
pub(crate) use query::{query, query_as, query_scalar};
pub(crate) use row::{FromRow, Row};
pub(crate) use value::Value;
