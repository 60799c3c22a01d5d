//! Copies tables row by row in the order of their keys, a bounded number at once, and compares what
//! came out with what went in. Never changes a value.

use super::tables::{Cells, Content, Table};
use super::{MoveError, Progress};
use crate::store::batch::to_u64;
use crate::store::sql::{Builder, Connection, Value, query, query_as, query_scalar};

/// Rows that are read and written at once: few enough for the largest plans.
const ROWS: usize = 64;

/// The columns of a table in SQLite, in order.
pub(super) async fn columns(
    table: &Table,
    source: &mut Connection,
) -> Result<Vec<(String, bool)>, MoveError> {
    let rows: Vec<(String, String)> =
        query_as("SELECT name, type FROM pragma_table_info(?) ORDER BY cid")
            .bind(table.name)
            .fetch_all(source)
            .await?;
    Ok(rows.into_iter().map(|(name, kind)| (name, kind == "TEXT")).collect())
}

/// The next rows of a table after a key.
async fn next(
    table: &Table,
    columns: &[(String, bool)],
    after: Option<&[Value]>,
    connection: &mut Connection,
) -> sqlx::Result<Vec<Cells>> {
    // Both engines compare texts byte by byte then.
    let bytes = if connection.takes_scripts() { " COLLATE BINARY" } else { " COLLATE \"C\"" };
    let keys: Vec<String> = table
        .key
        .iter()
        .map(|key| {
            let is_text = columns.iter().any(|(name, is_text)| name == key && *is_text);
            format!("{key}{}", if is_text { bytes } else { "" })
        })
        .collect();
    let (keys, names) = (keys.join(", "), names(columns));
    let mut builder = Builder::new(format!("SELECT {names} FROM {}", table.name));
    if let Some(after) = after {
        builder.push(format_args!(" WHERE ({keys}) > ("));
        let mut values = builder.separated(", ");
        for value in after {
            values.push_bind(value.clone());
        }
        builder.push(")");
    }
    builder.push(format_args!(" ORDER BY {keys} LIMIT {ROWS}"));
    builder.build_query_as().fetch_all(connection).await
}

fn names(columns: &[(String, bool)]) -> String {
    columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Reads a table in the order of its key, and hands on each part.
async fn read(
    table: &Table,
    columns: &[(String, bool)],
    connection: &mut Connection,
    mut part: impl AsyncFnMut(&[Cells]) -> Result<(), MoveError>,
) -> Result<Content, MoveError> {
    let place = |key: &&str| columns.iter().position(|(name, _)| name == key);
    let places: Vec<usize> = table.key.iter().filter_map(place).collect();
    let (mut content, mut after) = (Content::default(), None);
    loop {
        let rows = next(table, columns, after.as_deref(), connection).await?;
        let Some(Cells(last)) = rows.last() else { return Ok(content) };
        let key = places.iter().filter_map(|place| last.get(*place).cloned());
        after = Some(key.collect::<Vec<_>>());
        rows.iter().for_each(|row| content.add(row));
        part(&rows).await?;
    }
}

/// Copies a table into an empty one. Returns the content of the source.
pub(super) async fn copy(
    table: &Table,
    columns: &[(String, bool)],
    (source, target): (&mut Connection, &mut Connection),
    told: &mut (dyn FnMut(Progress) + Send),
) -> Result<Content, MoveError> {
    let of: i64 = query_scalar(format!("SELECT count(*) FROM {}", table.name))
        .fetch_one(&mut *source)
        .await?;
    // The schema begins with a row in each table of one row.
    query(format!("DELETE FROM {}", table.name)).execute(&mut *target).await?;
    let mut done = 0;
    read(table, columns, source, async |rows| {
        Builder::new(format!("INSERT INTO {} ({}) ", table.name, names(columns)))
            .push_values(rows, |mut row, Cells(values)| {
                for value in values {
                    row.push_bind(value.clone());
                }
            })
            .build()
            .execute(&mut *target)
            .await?;
        done += rows.len() as u64;
        told(Progress { step: table.name, done, of: to_u64(of) });
        Ok(())
    })
    .await
}

/// The content of a copied table.
pub(super) async fn content(
    table: &Table,
    columns: &[(String, bool)],
    connection: &mut Connection,
) -> Result<Content, MoveError> {
    read(table, columns, connection, async |_| Ok(())).await
}
