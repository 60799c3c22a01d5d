//! What a command answers: text for people, JSON for programs, and an exit code. The one place that
//! prints a result.

use crate::config::ConfigErrors;
use anyhow::Result;
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::escape::line;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h; what `serve` ends with when its configuration is faulty.
const CONFIGURATION: u8 = 64;
/// As clap ends.
const USAGE: u8 = 2;

/// A command's answer.
#[derive(Debug)]
pub struct Report {
    text: String,
    json: Option<Value>,
    good: bool,
}

impl Report {
    /// An answer: `text` ends without a line break.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json: Some(json), good: true }
    }

    /// Everything was said already.
    pub fn silent() -> Self {
        Self { text: String::new(), json: None, good: true }
    }

    /// What programs are answered.
    #[cfg(test)]
    pub fn value(&self) -> Value {
        self.json.clone().unwrap_or_default()
    }

    /// An answer that tells of a refusal or a failure: exit code 1.
    #[must_use]
    pub fn good(mut self, good: bool) -> Self {
        self.good = good;
        self
    }
}

/// The command line made no sense together, though each word did.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Prints the answer or the fault; gives the exit code.
pub fn end(done: Result<Report>, json: bool) -> ExitCode {
    match done {
        Ok(report) => {
            let printed = match (report.json, json) {
                (Some(value), true) => write_out(&format!("{:#}", marked(value))),
                (Some(_), false) => write_out(&report.text),
                (None, _) => Ok(()),
            };
            match printed {
                Ok(()) if report.good => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            let said = cofferdam_core::model::escape::chain(error.as_ref());
            let shown = on_terminal(&said);
            if json {
                match error.chain().find_map(|cause| cause.downcast_ref::<GuestError>()) {
                    Some(refused) => {
                        eprintln!("{}", marked(json!({"error": said, "code": refused.code})))
                    }
                    None => eprintln!("{}", marked(json!({"error": said}))),
                }
            } else {
                eprintln!("error: {shown}");
            }
            if error.is::<ConfigErrors>() {
                ExitCode::from(CONFIGURATION)
            } else if error.is::<Usage>() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// A fault as a terminal may be given it: some of its words may be another role's, an agent's or a
/// file's, and a terminal obeys what it cannot show. Line breaks stay.
fn on_terminal(said: &str) -> String {
    said.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The form of every answer in JSON: keys are added under the same mark, and change only with
/// another.
const FORM: &str = "cofferdam.cli.v1";

/// An answer with the mark of its form.
fn marked(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), FORM.into());
    }
    value
}

/// A reader that went away (`cofferdam jobs | head`) is no fault to tell.
fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_gives_a_terminal_no_commands() {
        let told = on_terminal("it failed\nthe tool says: \u{1b}]0;x\u{7}\r\u{9b}2J\u{202e}");
        assert_eq!(
            told,
            r"it failed\nthe tool says: \u{1b}]0;x\u{7}\u{d}\u{9b}2J\u{202e}"
                .replacen(r"\n", "\n", 1)
        );
    }
}
