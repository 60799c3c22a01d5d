//! The tables of a store in the order in which they are copied, with their keys, and a row of any of
//! them. Never a table that the running recorder makes again by itself.

use crate::store::sql::{FromRow, Row, Value};
use sha2::{Digest as _, Sha256};
use sqlx::{Column as _, Row as _, TypeInfo as _};

/// A table: its name, and the columns of its key.
pub(super) struct Table {
    pub name: &'static str,
    pub key: &'static [&'static str],
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key }
}

/// Every table. One that another refers to comes first.
pub(super) const TABLES: [Table; 26] = [
    table("jobs", &["seq"]),
    table("statements", &["id"]),
    table("operations", &["call", "operation", "undo"]),
    table("leases", &["call", "fence"]),
    table("job_objects", &["object", "running", "seq"]),
    table("idempotency", &["principal", "key"]),
    table("rejections", &["principal", "plan"]),
    table("leaves", &["idx"]),
    table("payloads", &["leaf", "name"]),
    table("tiles", &["level", "idx"]),
    table("checkpoint", &["id"]),
    table("fences", &["id"]),
    table("usage", &["day", "principal"]),
    table("removed", &["what", "day"]),
    table("removed_counts", &["kind", "word"]),
    table("payloads_end", &["id"]),
    table("tokens", &["digest"]),
    table("callers", &["name"]),
    table("outbox", &["id"]),
    table("outbox_counts", &["receiver", "word"]),
    table("invitations", &["person"]),
    table("stops", &["scope", "name"]),
    table("calls", &["seq"]),
    table("call_objects", &["object", "at", "seq"]),
    table("call_signers", &["signer", "at", "seq"]),
    table("calls_end", &["id"]),
];

/// The tables whose numbers the engine gives, with the column: the next number is higher than any
/// that was given.
pub(super) const COUNTED: [(&str, &str); 3] =
    [("jobs", "seq"), ("statements", "id"), ("outbox", "id")];

/// A row of any table: its values in the order of the statement.
pub(super) struct Cells(pub Vec<Value>);

impl FromRow for Cells {
    fn from_row(row: &Row<'_>) -> sqlx::Result<Self> {
        let kinds: Vec<String> = match row {
            Row::Sqlite(row) => {
                row.columns().iter().map(|column| column.type_info().name().to_owned()).collect()
            }
            Row::Postgres(row) => {
                row.columns().iter().map(|column| column.type_info().name().to_owned()).collect()
            }
        };
        let cell = |(place, kind): (usize, &String)| match kind.as_str() {
            "INTEGER" | "INT8" => row.at(place).map(Value::Int),
            "TEXT" => row.at(place).map(Value::Text),
            "BLOB" | "BYTEA" => row.at(place).map(Value::Bytes),
            other => Err(sqlx::Error::Decode(format!("no column of a store has {other}").into())),
        };
        kinds.iter().enumerate().map(cell).collect::<sqlx::Result<_>>().map(Self)
    }
}

/// The number and the digest of rows, in the order of their keys.
#[derive(Clone, Default)]
pub(super) struct Content {
    rows: u64,
    digest: Sha256,
}

impl Content {
    /// Adds a row. Each value has its kind and its length before it, so that no two tables have the
    /// same bytes.
    pub fn add(&mut self, Cells(values): &Cells) {
        self.rows += 1;
        self.digest.update((values.len() as u64).to_be_bytes());
        for value in values {
            let (kind, bytes): (u8, Option<Vec<u8>>) = match value {
                Value::Int(number) => (1, number.map(|number| number.to_be_bytes().to_vec())),
                Value::Text(text) => (2, text.as_ref().map(|text| text.as_bytes().to_vec())),
                Value::Bytes(bytes) => (3, bytes.clone()),
            };
            self.digest.update([kind, u8::from(bytes.is_some())]);
            let bytes = bytes.unwrap_or_default();
            self.digest.update((bytes.len() as u64).to_be_bytes());
            self.digest.update(bytes);
        }
    }

    /// The number of rows, and their digest.
    pub fn end(self) -> (u64, [u8; 32]) {
        (self.rows, self.digest.finalize().into())
    }
}
