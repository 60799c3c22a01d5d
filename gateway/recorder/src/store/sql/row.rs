//! The rows of a result, of either engine. Never converts a value that would lose something: a text
//! in the place of a number is an error.

use sqlx::postgres::{PgRow, PgValueRef, Postgres};
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row as _, TypeInfo as _, ValueRef as _};

/// A row of a result.
pub(crate) enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r SqliteRow),
    /// Of PostgreSQL.
    Postgres(&'r PgRow),
}

impl Row<'_> {
    /// The value of the column with this name.
    ///
    /// # Errors
    /// There is no such column, or its value has another type.
    pub fn get<T: Field>(&self, name: &str) -> sqlx::Result<T> {
        match self {
            Self::Sqlite(row) => T::of_sqlite(row, name),
            Self::Postgres(row) => T::of_postgres(row, name),
        }
    }

    /// The value of the column at this place, from 0.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn at<T: Field>(&self, place: usize) -> sqlx::Result<T> {
        match self {
            Self::Sqlite(row) => T::of_sqlite(row, place),
            Self::Postgres(row) => T::of_postgres(row, place),
        }
    }
}

/// A value of a column: one of the four types, or an optional one.
pub(crate) trait Field: Sized {
    /// The value in a row of SQLite.
    fn of_sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, at: I) -> sqlx::Result<Self>;
    /// The value in a row of PostgreSQL.
    fn of_postgres<I: ColumnIndex<PgRow>>(row: &PgRow, at: I) -> sqlx::Result<Self>;
}

/// Implements [`Field`] for a type and for its optional form.
macro_rules! field {
    ($type:ty, $of_postgres:expr) => {
        impl Field for $type {
            fn of_sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, at: I) -> sqlx::Result<Self> {
                row.try_get(at)
            }

            fn of_postgres<I: ColumnIndex<PgRow>>(row: &PgRow, at: I) -> sqlx::Result<Self> {
                let value: Option<Self> = Field::of_postgres(row, at)?;
                value.ok_or_else(|| sqlx::Error::Decode("a value is missing in a row".into()))
            }
        }

        impl Field for Option<$type> {
            fn of_sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, at: I) -> sqlx::Result<Self> {
                row.try_get(at)
            }

            fn of_postgres<I: ColumnIndex<PgRow>>(row: &PgRow, at: I) -> sqlx::Result<Self> {
                let value = row.try_get_raw(at)?;
                if value.is_null() {
                    return Ok(None);
                }
                let name = value.type_info().name().to_owned();
                $of_postgres(&name, value).map(Some)
            }
        }
    };
}

field!(i64, |name: &str, value| match name {
    "INT8" => decoded::<i64>(value),
    // A constant of a statement.
    "INT4" => decoded::<i32>(value).map(i64::from),
    other => Err(mismatch("a whole number", other)),
});
field!(bool, |name: &str, value| match name {
    "BOOL" => decoded::<bool>(value),
    "INT8" => decoded::<i64>(value).map(|flag| flag != 0),
    other => Err(mismatch("a flag", other)),
});
field!(String, |name: &str, value| match name {
    "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => decoded::<String>(value),
    other => Err(mismatch("a text", other)),
});
field!(Vec<u8>, |name: &str, value| match name {
    "BYTEA" => decoded::<Vec<u8>>(value),
    other => Err(mismatch("bytes", other)),
});

fn decoded<'r, T: Decode<'r, Postgres>>(value: PgValueRef<'r>) -> sqlx::Result<T> {
    T::decode(value).map_err(sqlx::Error::Decode)
}

fn mismatch(wanted: &str, found: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("a column has {found} in the place of {wanted}").into())
}

/// A value that is read from a whole row.
pub(crate) trait FromRow: Sized {
    /// Reads the row.
    ///
    /// # Errors
    /// A column is missing, or has another type.
    fn from_row(row: &Row<'_>) -> sqlx::Result<Self>;
}

/// Implements [`FromRow`] for a tuple of columns.
macro_rules! tuple {
    ($($type:ident $place:literal),+) => {
        impl<$($type: Field),+> FromRow for ($($type,)+) {
            fn from_row(row: &Row<'_>) -> sqlx::Result<Self> {
                Ok(($(row.at::<$type>($place)?,)+))
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
