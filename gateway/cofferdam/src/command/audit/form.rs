//! The forms in which calls are printed: a table for people, comma-separated values, one JSON
//! document, or JSON lines. Rows are printed as they come. Never asks the recorder.

use crate::command::report::{Output, marked};
use crate::command::show::{short, table};
use cofferdam_core::model::call_row::CallRow;
use cofferdam_core::model::escape::line;
use cofferdam_core::text::audit::{csv_head, csv_line};
use cofferdam_core::text::seconds;
use serde_json::{Value, json};

/// The most characters of a summary in a table.
const SUMMARY: usize = 60;

/// The objects of a call in a table; further ones are counted.
const OBJECTS: usize = 2;

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A table for people.
    Table,
    /// Comma-separated values.
    Csv,
    /// One JSON document.
    Json,
    /// A JSON document on each line.
    JsonLines,
}

/// A list that is printed. Each method returns false once the reader closed the pipe.
pub(super) struct Listing {
    form: Form,
    out: Output,
    printed: u64,
}

impl Listing {
    pub(super) fn new(form: Form, out: Output) -> Self {
        Self { form, out, printed: 0 }
    }

    /// True if people read it.
    pub(super) fn is_for_people(&self) -> bool {
        self.form == Form::Table
    }

    /// Prints rows.
    pub(super) fn rows(&mut self, rows: &[CallRow]) -> bool {
        let begins = self.printed == 0;
        self.printed += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.out.print(&text(self.form, begins, rows))
    }

    /// Prints the end of the list. `more`: there are older calls. `known`: the entries that the list
    /// knows, and those of the ledger.
    pub(super) fn end(&mut self, more: bool, known: (u64, u64)) -> bool {
        let end = ending(self.form, self.printed, more, known);
        if known.0 < known.1 && self.form != Form::Table {
            self.out.note(&incomplete(known));
        }
        self.out.print(&end)
    }
}

/// Rows as text. `begins`: nothing was printed before.
fn text(form: Form, begins: bool, rows: &[CallRow]) -> String {
    let head = |head: String| if begins { head } else { String::new() };
    match form {
        Form::Table if rows.is_empty() => String::new(),
        Form::Table => {
            let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
            let text = table(
                &["TIME", "STATE", "AGENT", "FOR", "TOOL", "OBJECTS", "SUMMARY", "ID"],
                &cells,
            );
            let text =
                if begins { text.as_str() } else { text.split_once('\n').unwrap_or_default().1 };
            format!("{text}\n")
        }
        Form::Csv => head(csv_head()) + &rows.iter().map(csv_line).collect::<String>(),
        Form::Json => {
            let rows: Vec<String> = rows.iter().map(|row| json!(row).to_string()).collect();
            let between = if begins || rows.is_empty() { "" } else { ",\n" };
            format!("{}{between}{}", head("{\"calls\": [\n".to_owned()), rows.join(",\n"))
        }
        Form::JsonLines => rows.iter().map(|row| format!("{}\n", marked(json!(row)))).collect(),
    }
}

/// The end of a list.
fn ending(form: Form, printed: u64, more: bool, known: (u64, u64)) -> String {
    match form {
        Form::Table => {
            let mut lines = Vec::new();
            if printed == 0 {
                lines.push("No call matches.".to_owned());
            }
            if more {
                lines.push("\nThere are older ones: give a larger --limit, or --until.".to_owned());
            }
            if known.0 < known.1 {
                lines.push(format!("\n{}", incomplete(known)));
            }
            lines.into_iter().map(|line| format!("{line}\n")).collect()
        }
        Form::Json => {
            let Value::Object(rest) =
                marked(json!({"more": more, "through": known.0, "entries": known.1}))
            else {
                return String::new();
            };
            let rest: Vec<String> =
                rest.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            format!("\n], {}}}\n", rest.join(", "))
        }
        Form::Csv | Form::JsonLines => String::new(),
    }
}

fn incomplete((through, entries): (u64, u64)) -> String {
    format!(
        "The list is incomplete: it knows {through} of {entries} ledger entries. The recorder \
         continues it; `cofferdam status` says if new work is refused. Try again later."
    )
}

fn cells(row: &CallRow) -> Vec<String> {
    let state = match row.resolved {
        Some(found) => format!("{}, resolved as {found}", row.state),
        None => row.state.word().replace('_', " "),
    };
    let text = |text: &Option<String>| text.as_deref().map(line).unwrap_or_default();
    let mut objects: Vec<String> =
        row.objects.iter().take(OBJECTS).map(|object| object.to_string()).collect();
    if let Some(more) = row.objects.len().checked_sub(OBJECTS).filter(|more| *more > 0) {
        objects.push(format!("{more} more"));
    }
    let summary = match &row.summary {
        Some(summary) => short(summary, SUMMARY),
        None if row.erased => "(erased)".to_owned(),
        None => String::new(),
    };
    vec![
        seconds(row.at),
        state,
        line(&row.agent),
        text(&row.person),
        text(&row.tool),
        objects.join(", "),
        summary,
        row.call.to_string(),
    ]
}
