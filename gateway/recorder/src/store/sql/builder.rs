//! A statement that is put together: its text from constants of this crate, its values bound. Never
//! has a word of a request in its text.

use super::executor::Executor;
use super::query::{Changed, Query, QueryAs, QueryScalar, query};
use super::row::{Field, FromRow};
use super::value::Value;
use std::fmt::{Display, Write as _};

/// A statement in the making; with [`Builder::then`], several that are executed in order.
pub(crate) struct Builder {
    before: Vec<Query>,
    text: String,
    values: Vec<Value>,
}

/// A list in the making, with a separator between its parts.
pub(crate) struct Separated<'b> {
    builder: &'b mut Builder,
    separator: &'static str,
    first: bool,
}

impl Builder {
    /// A statement that begins with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { before: Vec::new(), text: text.into(), values: Vec::new() }
    }

    /// Adds to the text.
    pub fn push(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string has no error.
        let _written = write!(self.text, "{text}");
        self
    }

    /// Adds a bound value.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// A list from here on.
    pub const fn separated(&mut self, separator: &'static str) -> Separated<'_> {
        Separated { builder: self, separator, first: true }
    }

    /// Adds `VALUES` with a row for each item.
    pub fn push_values<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut push_row: impl FnMut(Separated<'_>, T),
    ) -> &mut Self {
        self.push("VALUES ");
        for (place, row) in rows.into_iter().enumerate() {
            self.push(if place == 0 { "(" } else { ", (" });
            push_row(self.separated(", "), row);
            self.push(")");
        }
        self
    }

    /// Adds the values of a list, with commas. The last one is repeated up to a power of two, so that
    /// the engine compiles few different statements.
    pub fn push_list<T: Into<Value>>(&mut self, list: impl IntoIterator<Item = T>) -> &mut Self {
        let mut values: Vec<Value> = list.into_iter().map(Into::into).collect();
        if let Some(last) = values.last().cloned() {
            values.resize(values.len().next_power_of_two(), last);
        }
        let mut separated = self.separated(", ");
        for value in values {
            separated.push_bind(value);
        }
        self
    }

    /// Adds `VALUES` with these rows. Rows without any value are added up to a power of two, as in
    /// [`Builder::push_list`]: the statement has to leave them out.
    pub fn push_rows(&mut self, mut rows: Vec<Vec<Value>>) -> &mut Self {
        if let Some(first) = rows.first() {
            let absent = first.iter().map(Value::absent).collect();
            rows.resize(rows.len().next_power_of_two(), absent);
        }
        self.push_values(rows, |mut row, values| {
            for value in values {
                row.push_bind(value);
            }
        })
    }

    /// Ends this statement, and begins the next one. [`Builder::run`] executes both.
    pub fn then(&mut self, text: &str) -> &mut Self {
        let done = std::mem::replace(&mut self.text, text.to_owned());
        self.before.push(Query { text: done.into(), values: std::mem::take(&mut self.values) });
        self
    }

    /// The only statement.
    pub fn build(&mut self) -> Query {
        let values = std::mem::take(&mut self.values);
        Query { values, ..query(std::mem::take(&mut self.text)) }
    }

    /// The only statement, with rows that are read as `T`.
    pub fn build_query_as<T: FromRow + Send + 'static>(&mut self) -> QueryAs<T> {
        self.build().read()
    }

    /// The only statement, with rows of one column.
    pub fn build_query_scalar<T: Field + Send + 'static>(&mut self) -> QueryScalar<T> {
        QueryScalar::of(self.build())
    }

    /// Executes all of the statements, in order: with one request where the engine can.
    pub async fn run<'c>(mut self, executor: impl Executor<'c>) -> sqlx::Result<Changed> {
        let last = self.build();
        let mut all = self.before;
        all.push(last);
        executor.lender().execute_all(all).await
    }
}

impl Separated<'_> {
    /// Adds a bound value as a part.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.separate();
        self.builder.push_bind(value);
        self
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.builder.push(self.separator);
        }
    }
}
