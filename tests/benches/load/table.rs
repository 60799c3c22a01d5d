//! The table of results. Computes no figure.

use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;

/// Rows: what, the measured value, the wanted value.
#[derive(Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    pub fn row(&mut self, what: &str, measured: String, wanted: &str) {
        self.0.push([what.to_owned(), measured, wanted.to_owned()]);
    }

    /// Prints the table, or appends its rows to a file that collects those of several programs.
    pub fn give(&self, rows: Option<&Path>) {
        let lines: String =
            self.0.iter().map(|cells| format!("| {} |\n", cells.join(" | "))).collect();
        match rows {
            None => println!("\n| what | measured | wanted |\n|---|---|---|\n{lines}"),
            Some(path) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                file.unwrap().write_all(lines.as_bytes()).unwrap();
            }
        }
    }

    /// The rows as JSON.
    pub fn json(&self) -> Vec<Value> {
        let row = |[what, measured, wanted]: &[String; 3]| json!({"what": what, "measured": measured, "wanted": wanted});
        self.0.iter().map(row).collect()
    }
}
