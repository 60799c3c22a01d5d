//! Texts for people. Words of agents and tools are quoted. Nothing here asks, signs or changes
//! anything.

mod ceiling;
mod change;
mod schema;
mod story;
mod time;

pub use ceiling::{ceiling, rbac};
pub use change::scalar;
use cofferdam_core::model::escape;
pub use schema::members;
pub use story::{Story, event, story};
pub use time::{ago, until};

/// A table with columns two blanks apart; the last column is never padded.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: String =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        padded.trim_end().to_owned()
    };
    std::iter::once(line(head.to_vec()))
        .chain(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Escapes and shortens a text for a table.
pub fn short(text: &str, most: usize) -> String {
    escape::short(escape::line(text), most)
}
