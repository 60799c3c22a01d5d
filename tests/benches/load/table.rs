//! The table of results. Computes no figure.

use serde_json::{Value, json};

/// Rows: what, the measured value, the wanted value.
#[derive(Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    pub fn row(&mut self, what: &str, measured: String, wanted: &str) {
        self.0.push([what.to_owned(), measured, wanted.to_owned()]);
    }

    pub fn print(&self) {
        println!("\n| what | measured | wanted |\n|---|---|---|");
        for [what, measured, wanted] in &self.0 {
            println!("| {what} | {measured} | {wanted} |");
        }
    }

    /// The rows as JSON.
    pub fn json(&self) -> Vec<Value> {
        let row = |[what, measured, wanted]: &[String; 3]| json!({"what": what, "measured": measured, "wanted": wanted});
        self.0.iter().map(row).collect()
    }
}
